"""Anybody can draw again; an assigner that did not take whom chance gave is found out."""

import pytest

from chain.codec import block_id
from chain.contracts.spatial_audit import DISHONEST, HONEST, OPEN, UNASSIGNED, UNOPENED, Course, audit, seed_height
from chain.contracts.spatial_draw import combination_id, seal_group
from tests.chain.town import Town
from tests.strategies import MEC, account

WORKERS = [1, 2, 3, 4, 5, 6, 7]


class Observer:
    """Reads a town's blocks and nothing else; which combinations served, it asks the town."""

    def __init__(self, town, receipts):
        self.town, self.receipts = town, receipts

    def audit(self, report):
        town = self.town
        course = Course(report, town.network.registry)
        for height in range(1, town.height + 1):
            course.read(town.blocks[height], self.receipts[height])
        at = seed_height(course, town.rules)
        seed = block_id(town.blocks[at].header) if at <= town.height else None

        def served(combination, height, index):
            when = town.query("served_at", combination)
            return when is not None and when < (height, index)

        return audit(course, town.rules, seed, served)


@pytest.fixture
def town():
    return Town()


@pytest.fixture
def observer(town):
    receipts = {}
    made = town.block

    def noted(*transactions, **timing):
        found = made(*transactions, **timing)
        receipts[town.height] = found
        return found

    town.block = noted
    return Observer(town, receipts)


def test_an_honest_draw(town, observer):
    report = town.submit(60)
    group = town.decide(report, WORKERS, 3)
    found = observer.audit(report)
    assert found.verdict == HONEST
    assert set(found.group) == {account(who) for who in group}
    assert found.candidates == tuple(sorted(account(who) for who in WORKERS))
    assert (found.assigner, found.attempt) == (account(MEC), 0)
    assert found.seed == block_id(town.blocks[found.seed_height].header)


def test_a_rejected_report_can_be_audited_too(town, observer):
    report = town.submit(60)
    town.decide(report, WORKERS, 0)
    assert town.report(report).content is None
    assert observer.audit(report).verdict == HONEST


def test_combinations_that_had_served_are_passed_over(town, observer):
    """Four workers make four groups of three; the fourth report needs later draws, and an old audit stays as it was."""
    reports, groups = [], set()
    for number in range(4):
        reports.append(town.submit(60, (352_271_000 + number * 100_000, -808_431_000)))
        groups.add(tuple(sorted(town.decide(reports[-1], WORKERS[:4], 3))))
    found = [observer.audit(report) for report in reports]
    assert len(groups) == 4
    assert [each.verdict for each in found] == [HONEST] * 4
    assert max(each.attempt for each in found) > 0
    assert {combination_id(each.group) for each in found} == {
        combination_id(sorted(account(who) for who in group)) for group in groups
    }


def test_an_assigner_that_lets_its_friends_vote_is_found_out(town, observer):
    report = town.submit(60)
    drawn, sealed = town.seal(report, WORKERS)
    friends = sorted(account(who) for who in WORKERS if account(who) not in {account(each) for each in drawn[1:]})[:3]
    accounts = {account(who) for who in WORKERS}
    cheating = seal_group(report, accounts, friends, b"secret" * 6)
    assert cheating.group_root != sealed.group_root
    town.call(MEC, "assign", report, cheating.candidates_commitment, cheating.group_root)
    numbers = {account(who): who for who in WORKERS}
    for friend in friends:
        town.vote(report, cheating, numbers[friend], True)
    assert observer.audit(report).verdict == OPEN
    town.until(town.query("progress", report).reveal_until_ms)
    assert town.refusal(MEC, "tally", report, cheating.opening) == "group_not_drawn"
    assert observer.audit(report).verdict == DISHONEST
    town.until(town.query("progress", report).tally_until_ms)
    town.call(60, "expire", report)
    found = observer.audit(report)
    assert found.verdict == DISHONEST
    assert found.group == () and any("group_not_drawn" in finding for finding in found.findings)


def test_a_tally_that_merely_came_early_is_no_lie(town, observer):
    report = town.submit(60)
    _, sealed = town.assign(report, WORKERS)
    assert town.refusal(MEC, "tally", report, sealed.opening) == "tally_too_early"
    assert observer.audit(report).verdict == OPEN
    town.until(town.query("progress", report).tally_until_ms)
    town.call(60, "expire", report)
    assert observer.audit(report).verdict == UNOPENED


def test_before_anybody_is_assigned(town, observer):
    report = town.submit(60)
    assert observer.audit(report).verdict == UNASSIGNED
    town.until(town.time_ms + town.rules.assign_window_ms)
    town.call(60, "expire", report)
    assert observer.audit(report).verdict == UNASSIGNED


def test_openings_by_others_are_not_held_against_the_assigner(town, observer):
    report = town.submit(60)
    _, sealed = town.assign(report, WORKERS)
    other = seal_group(report, {account(8), account(9), account(10)}, [account(8)], b"others" * 6)
    assert town.refusal(60, "tally", report, other.opening) == "tally_by_other"
    assert observer.audit(report).verdict == OPEN
    assert sealed.opening != other.opening


def test_what_is_no_report(town, observer):
    town.submit(60)
    with pytest.raises(LookupError, match="not in these blocks"):
        observer.audit(bytes(32))
