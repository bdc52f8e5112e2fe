"""Whom a tally counts, at the edges: ties, silence, and the last millisecond."""

import pytest

from tests.chain.town import SALT, Town
from tests.strategies import MEC

WORKERS = [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "size,confirmations,rejections,status",
    [
        (3, 2, 1, "confirmed"),
        (3, 1, 2, "rejected"),
        (3, 0, 3, "rejected"),
        (3, 2, 0, "confirmed"),  # the third is silent
        (3, 1, 0, "rejected"),  # silence counts as assigned: one of three is no majority
        (3, 0, 0, "rejected"),
        (4, 2, 2, "rejected"),  # a tie is no majority
        (4, 3, 1, "confirmed"),
        (5, 3, 0, "confirmed"),
        (5, 2, 0, "rejected"),
    ],
)
def test_more_than_half_of_the_assigned_confirm(size, confirmations, rejections, status):
    town = Town(group_size=size)
    report = town.submit(60)
    group, sealed = town.assign(report, WORKERS)
    assert len(group) == size
    voters = group[: confirmations + rejections]
    for place, who in enumerate(voters):
        town.vote(report, sealed, who, place < confirmations)
    town.until(town.query("progress", report).vote_until_ms)
    for place, who in enumerate(voters):
        town.call(who, "reveal", report, place < confirmations, SALT)
    if len(voters) < size:
        town.until(town.query("progress", report).reveal_until_ms)
    town.call(MEC, "tally", report, sealed.opening)
    assert town.report(report).status == status


def test_windows_include_their_last_millisecond_and_no_more():
    town = Town()
    report = town.submit(60)
    group, sealed = town.assign(report, WORKERS)
    first, second, _ = group
    town.vote(report, sealed, first, True)
    town.vote(report, sealed, second, True)
    progress = town.query("progress", report)
    wait = progress.vote_until_ms - town.time_ms
    assert town.refusal(first, "reveal", report, True, SALT, after_ms=wait) == "reveal_too_early"
    town.call(first, "reveal", report, True, SALT, after_ms=1)
    wait = progress.reveal_until_ms - town.time_ms
    assert town.refusal(MEC, "tally", report, sealed.opening, after_ms=wait - 1) == "tally_too_early"
    town.call(second, "reveal", report, True, SALT, after_ms=1)
    assert town.refusal(MEC, "tally", report, sealed.opening, after_ms=0) == "tally_too_early"
    wait = progress.tally_until_ms - town.time_ms
    town.call(MEC, "tally", report, sealed.opening, after_ms=wait)
    assert town.report(report).status == "confirmed"
