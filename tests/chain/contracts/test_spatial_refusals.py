"""Every refusal of the spatial contract has its name, and changes nothing but the nonce (`Town.attempt` compares roots)."""

import pytest
from msgspec.structs import replace

from chain.contract import encode_args
from chain.contracts.spatial_draw import commit_ballot, commit_candidates, seal_group
from chain.contracts.spatial_records import MAX_TICKET_DEPTH, Responses, Salt
from chain.errors import Refused
from chain.merkle import MerklePath
from chain.values import TxId
from tests.chain.town import HERE, SALT, Town
from tests.strategies import EPOCH_MS, FACILITY, MEC, account

NO_REPORT = TxId(bytes(32))
NO_HASH = bytes(32)
WORKERS = [1, 2, 3, 4, 5]
OUTSIDER, REQUESTER = 50, 60


@pytest.fixture
def town():
    return Town()


@pytest.fixture
def report(town):
    return town.submit(REQUESTER)


@pytest.mark.parametrize(
    "type_,lat_e7,lon_e7,time_ms,reason",
    [
        ("ufo", *HERE, EPOCH_MS, "unknown_type"),
        ("", *HERE, EPOCH_MS, "unknown_type"),
        ("fire", 900_000_001, HERE[1], EPOCH_MS, "out_of_range"),
        ("fire", HERE[0], -1_800_000_001, EPOCH_MS, "out_of_range"),
        ("fire", 2**63, HERE[1], EPOCH_MS, "out_of_range"),
        ("fire", 349_999_999, HERE[1], EPOCH_MS, "out_of_place"),
        ("fire", HERE[0], -805_999_999, EPOCH_MS, "out_of_place"),
        ("fire", *HERE, EPOCH_MS + 1_000 - 600_001, "time_out_of_window"),
        ("fire", *HERE, EPOCH_MS + 1_000 + 10_001, "time_out_of_window"),
        ("fire", *HERE, -1, "malformed_arguments"),
        ("fire", *HERE, 2**63, "malformed_arguments"),
        (b"fire", *HERE, EPOCH_MS, "malformed_arguments"),
        ("fire", 35.2, HERE[1], EPOCH_MS, "malformed_arguments"),
    ],
)
def test_submit__reject(town, type_, lat_e7, lon_e7, time_ms, reason):
    assert town.refusal(OUTSIDER, "submit", type_, lat_e7, lon_e7, time_ms) == reason


@pytest.mark.parametrize("time_ms", [EPOCH_MS + 1_000 - 600_000, EPOCH_MS + 1_000 + 10_000])
def test_submit_at_the_ends_of_its_window(town, time_ms):
    town.call(OUTSIDER, "submit", "fire", *HERE, time_ms)


def test_submit__reject_duplicate_report(town, report):
    receipt = town.attempt(OUTSIDER, "submit", "fire", HERE[0] + 8_000, HERE[1], town.time_ms)
    assert (receipt.reason, receipt.detail) == ("duplicate_report", report.hex())
    town.submit(OUTSIDER, HERE, "pothole")  # another type
    town.submit(OUTSIDER, (HERE[0] + 9_100, HERE[1]))  # 101 m away
    assert town.refusal(OUTSIDER, "submit", "fire", HERE[0] + 9_200, HERE[1], town.time_ms) == "duplicate_report"


def test_the_race_attack__reject_duplicate_report(town):
    """Two of the same in one block: the first one counts."""
    args = encode_args("fire", *HERE, town.time_ms)
    first, second = town.block(town.sign(1, "spatial", "submit", args), town.sign(2, "spatial", "submit", args))
    assert first.ok and second.reason == "duplicate_report"


def test_duplicates_are_looked_for_within_their_window_alone():
    town = Town(duplicate_window_ms=60_000)
    town.submit(1)
    recorded = town.time_ms - 1_000
    town.until(recorded + 70_000)
    assert town.refusal(2, "submit", "fire", *HERE, recorded + 60_000) == "duplicate_report"
    town.call(2, "submit", "fire", *HERE, recorded + 60_001)


def test_duplicates_are_allowed_when_switched_off():
    town = Town(duplicate_radius_m=0)
    town.submit(1)
    town.submit(2)


@pytest.mark.parametrize("method", ["report", "progress"])
def test_queries__reject_unknown_report(town, method):
    with pytest.raises(Refused) as refusal:
        town.query(method, NO_REPORT)
    assert refusal.value.reason == "unknown_report"


def test_enrol__reject(town):
    assert town.refusal(OUTSIDER, "enrol", "mayor", *HERE) == "unknown_role"
    assert town.refusal(OUTSIDER, "enrol", "mec", 900_000_001, 0) == "out_of_range"
    assert town.refusal(OUTSIDER, "enrol", "mec", *HERE) == "enrolment_closed"
    assert town.refusal(FACILITY, "enrol", "mec", *HERE) == "enrolment_closed"
    town.call(MEC, "enrol", "mec", *HERE)
    (moved,) = town.query("operators", "mec", 10, None)
    assert (moved.account, moved.lat_e7, moved.since_ms) == (account(MEC), HERE[0], town.time_ms)


def test_open_enrolment_lets_anybody_in():
    town = Town(open_enrolment=True)
    town.call(OUTSIDER, "enrol", "facility", *HERE)
    assert {o.account for o in town.query("operators", "facility", 10, None)} == {account(OUTSIDER), account(FACILITY)}


def test_assign__reject(town, report):
    assert town.refusal(OUTSIDER, "assign", report, NO_HASH, NO_HASH) == "not_mec"
    assert town.refusal(FACILITY, "assign", report, NO_HASH, NO_HASH) == "not_mec"
    assert town.refusal(MEC, "assign", NO_REPORT, NO_HASH, NO_HASH) == "unknown_report"
    town.assign(report, WORKERS)
    assert town.refusal(MEC, "assign", report, NO_HASH, NO_HASH) == "already_assigned"


def test_assign__reject_draw_not_ready(town, report):
    """Recorded at 1, seeded by 2, which is final for block 4."""
    assert town.height == 1
    assert town.refusal(MEC, "assign", report, NO_HASH, NO_HASH) == "draw_not_ready"
    assert town.refusal(MEC, "assign", report, NO_HASH, NO_HASH) == "draw_not_ready"
    town.call(MEC, "assign", report, NO_HASH, NO_HASH)


def test_assign__reject_own_report(town):
    own = town.submit(MEC)
    town.until_final(2)
    assert town.refusal(MEC, "assign", own, NO_HASH, NO_HASH) == "assign_own_report"


def test_assign__reject_assign_window_closed(town, report):
    town.until(town.report(report).recorded_ms + 59_000)
    town.until_final(2)
    late = town.report(report).recorded_ms + 60_001 - town.time_ms
    assert town.refusal(MEC, "assign", report, NO_HASH, NO_HASH, after_ms=late) == "assign_window_closed"
    town.call(OUTSIDER, "expire", report)
    assert town.refusal(MEC, "assign", report, NO_HASH, NO_HASH) == "assign_window_closed"


def test_vote__reject(town, report):
    ballot = commit_ballot(report, account(OUTSIDER), True, SALT)
    no_ticket = seal_group(report, [account(1)], [account(1)], bytes(32)).tickets[account(1)]
    assert town.refusal(OUTSIDER, "vote", NO_REPORT, ballot, no_ticket) == "unknown_report"
    assert town.refusal(OUTSIDER, "vote", report, ballot, no_ticket) == "vote_not_open"
    group, sealed = town.assign(report, WORKERS)
    one = sealed.tickets[account(group[0])]
    assert town.refusal(REQUESTER, "vote", report, ballot, one) == "vote_by_requester"
    assert town.refusal(OUTSIDER, "vote", report, ballot, one) == "vote_not_assigned"
    (spare,) = [w for w in WORKERS if w not in group][:1]
    assert town.refusal(spare, "vote", report, ballot, one) == "vote_not_assigned"
    assert town.refusal(group[0], "vote", report, ballot, sealed.tickets[account(group[1])]) == "vote_not_assigned"
    town.vote(report, sealed, group[0], True)
    assert town.refusal(group[0], "vote", report, ballot, one) == "vote_twice"
    late = town.query("progress", report).vote_until_ms + 1 - town.time_ms
    again = sealed.tickets[account(group[1])]
    assert town.refusal(group[1], "vote", report, ballot, again, after_ms=late) == "vote_window_closed"


def test_vote__reject_a_ticket_of_a_tree_too_large(town, report):
    """Or a dishonest assigner could hand out any number of tickets."""
    group, sealed = town.assign(report, WORKERS)
    ticket = sealed.tickets[account(group[0])]
    larger = replace(ticket, path=MerklePath(0, 2**MAX_TICKET_DEPTH + 1, ticket.path.siblings))
    assert town.refusal(group[0], "vote", report, NO_HASH, larger) == "vote_not_assigned"


def test_vote_at_the_last_millisecond(town, report):
    group, sealed = town.assign(report, WORKERS)
    last = town.query("progress", report).vote_until_ms - town.time_ms
    ticket = sealed.tickets[account(group[0])]
    town.call(group[0], "vote", report, NO_HASH, ticket, after_ms=last)


def test_reveal__reject(town, report):
    assert town.refusal(1, "reveal", NO_REPORT, True, SALT) == "unknown_report"
    assert town.refusal(1, "reveal", report, True, SALT) == "reveal_without_vote"
    group, sealed = town.assign(report, WORKERS)
    town.vote(report, sealed, group[0], True)
    town.vote(report, sealed, group[1], False)
    assert town.refusal(group[0], "reveal", report, True, SALT) == "reveal_too_early"
    progress = town.query("progress", report)
    town.until(progress.vote_until_ms)
    assert town.refusal(group[2], "reveal", report, True, SALT) == "reveal_without_vote"
    assert town.refusal(group[0], "reveal", report, False, SALT) == "reveal_mismatch"
    assert town.refusal(group[0], "reveal", report, True, b"t" * 16) == "reveal_mismatch"
    assert town.refusal(group[0], "reveal", report, True, b"short") == "malformed_arguments"
    town.call(group[0], "reveal", report, True, SALT)
    assert town.refusal(group[0], "reveal", report, True, SALT) == "reveal_twice"
    late = progress.reveal_until_ms + 1 - town.time_ms
    assert town.refusal(group[1], "reveal", report, False, SALT, after_ms=late) == "reveal_window_closed"


def test_a_copied_vote__reject_reveal_mismatch(town, report):
    """Who copies another's commitment can never open it: it names its worker."""
    group, sealed = town.assign(report, WORKERS)
    copied = commit_ballot(report, account(group[0]), True, SALT)
    town.vote(report, sealed, group[0], True)
    town.call(group[1], "vote", report, copied, sealed.tickets[account(group[1])])
    town.until(town.query("progress", report).vote_until_ms)
    town.call(group[0], "reveal", report, True, SALT)
    assert town.refusal(group[1], "reveal", report, True, SALT) == "reveal_mismatch"


def test_tally__reject(town, report):
    _, sealed = town.seal(report, WORKERS)
    assert town.refusal(MEC, "tally", NO_REPORT, sealed.opening) == "unknown_report"
    assert town.refusal(MEC, "tally", report, sealed.opening) == "tally_not_open"
    town.call(MEC, "assign", report, sealed.candidates_commitment, sealed.group_root)
    assert town.refusal(OUTSIDER, "tally", report, sealed.opening) == "tally_by_other"
    fewer = replace(sealed.opening, candidates=sealed.opening.candidates[1:])
    assert town.refusal(MEC, "tally", report, fewer) == "opening_mismatch"
    salted = replace(sealed.opening, candidates_salt=b"x" * 16)
    assert town.refusal(MEC, "tally", report, salted) == "opening_mismatch"
    swapped = replace(sealed.opening, salts=sealed.opening.salts[::-1])
    assert town.refusal(MEC, "tally", report, swapped) == "group_not_drawn"
    short = replace(sealed.opening, salts=sealed.opening.salts[1:])
    assert town.refusal(MEC, "tally", report, short) == "group_not_drawn"
    assert town.refusal(MEC, "tally", report, sealed.opening) == "tally_too_early"
    late = town.query("progress", report).tally_until_ms + 1 - town.time_ms
    assert town.refusal(MEC, "tally", report, sealed.opening, after_ms=late) == "tally_window_closed"


def assign_dishonestly(town, report, candidates, group, *, order=sorted):
    """Commit to any candidates and group; returns the opening that fits the commitments."""
    town.until_final(2)
    sealed = seal_group(report, candidates, sorted(group), bytes(32))
    listed = tuple(order(candidates))
    salt: Salt = sealed.opening.candidates_salt
    town.call(MEC, "assign", report, commit_candidates(report, listed, salt), sealed.group_root)
    town.until(town.query("progress", report).reveal_until_ms)
    return replace(sealed.opening, candidates=listed)


def test_a_group_that_was_chosen__reject_group_not_drawn(town, report):
    """The assigner's friends instead of the drawn ones."""
    drawn, _ = town.seal(report, WORKERS)
    friends = [w for w in WORKERS if w not in drawn] + drawn[:1]
    opening = assign_dishonestly(town, report, [account(w) for w in WORKERS], [account(w) for w in friends])
    assert town.refusal(MEC, "tally", report, opening) == "group_not_drawn"


def test_candidates_in_another_order__reject_candidates_unsorted(town, report):
    everybody = [account(w) for w in WORKERS]
    opening = assign_dishonestly(
        town, report, everybody, everybody[:3], order=lambda listed: sorted(listed, reverse=True)
    )
    assert town.refusal(MEC, "tally", report, opening) == "candidates_unsorted"


def test_a_candidate_twice__reject_candidates_unsorted(town, report):
    everybody = [account(w) for w in WORKERS]
    opening = assign_dishonestly(
        town, report, everybody, everybody[:3], order=lambda listed: sorted([*listed, account(1)])
    )
    assert town.refusal(MEC, "tally", report, opening) == "candidates_unsorted"


def test_the_requester_as_candidate__reject(town, report):
    everybody = [account(w) for w in [*WORKERS, REQUESTER]]
    opening = assign_dishonestly(town, report, everybody, everybody[:3])
    assert town.refusal(MEC, "tally", report, opening) == "requester_among_candidates"


def test_two_candidates__reject_too_few(town, report):
    both = [account(w) for w in WORKERS[:2]]
    opening = assign_dishonestly(town, report, both, both)
    assert town.refusal(MEC, "tally", report, opening) == "too_few_candidates"


def test_a_combination_serves_once(town, report):
    """With three candidates there is one combination: a second report cannot be tallied by it."""
    trio = WORKERS[:3]
    town.decide(report, trio, 3)
    second = town.submit(REQUESTER, (HERE[0] + 100_000, HERE[1]))
    recorded = town.height
    town.until_final(recorded + 1)
    group = sorted(account(w) for w in trio)
    sealed = seal_group(second, group, group, bytes(32))
    town.call(MEC, "assign", second, sealed.candidates_commitment, sealed.group_root)
    town.until(town.query("progress", second).reveal_until_ms)
    assert town.refusal(MEC, "tally", second, sealed.opening) == "group_not_drawn"


def test_expire__reject(town, report):
    assert town.refusal(OUTSIDER, "expire", NO_REPORT) == "unknown_report"
    due = town.report(report).recorded_ms + 60_000
    assert town.refusal(OUTSIDER, "expire", report, after_ms=due - town.time_ms) == "not_expired"
    town.call(OUTSIDER, "expire", report, after_ms=1)
    assert town.report(report).status == "expired"
    assert town.refusal(OUTSIDER, "expire", report) == "already_decided"


def test_an_untallied_report_expires_with_its_votes(town, report):
    group, sealed = town.assign(report, WORKERS)
    town.vote(report, sealed, group[0], True)
    progress = town.query("progress", report)
    wait = progress.tally_until_ms - town.time_ms
    assert town.refusal(OUTSIDER, "expire", report, after_ms=wait) == "not_expired"
    town.call(OUTSIDER, "expire", report, after_ms=1)
    assert town.query("progress", report).votes == 0
    assert town.report(report).content is None
    assert town.refusal(group[1], "vote", report, NO_HASH, sealed.tickets[account(group[1])]) == "vote_window_closed"
    assert town.refusal(group[0], "reveal", report, True, SALT) == "reveal_window_closed"
    assert town.refusal(MEC, "tally", report, sealed.opening) == "tally_not_open"


def test_take_and_close__reject(town, report):
    assert town.refusal(OUTSIDER, "take", report) == "not_facility"
    assert town.refusal(FACILITY, "take", NO_REPORT) == "unknown_report"
    assert town.refusal(FACILITY, "take", report) == "not_confirmed"
    assert town.refusal(FACILITY, "close", report, "repaired") == "not_taken"
    town.decide(report, WORKERS, 2)
    town.call(FACILITY, "take", report)
    assert town.refusal(FACILITY, "take", report) == "already_taken"
    assert town.refusal(OUTSIDER, "close", report, "repaired") == "taken_by_other"
    assert town.refusal(FACILITY, "close", report, "Not a name") == "malformed_arguments"
    town.call(FACILITY, "close", report, "repaired")
    closed = town.report(report)
    assert (closed.status, closed.outcome, closed.closed_ms) == ("closed", "repaired", town.time_ms)
    waited, reviewed = closed.taken_ms - closed.decided_ms, closed.closed_ms - closed.taken_ms
    assert waited > 0 and reviewed > 0
    assert town.query("responses", account(FACILITY)) == Responses(1, waited, 1, reviewed)
    assert town.query("responses", account(OUTSIDER)) == Responses(0, 0, 0, 0)
    assert town.refusal(FACILITY, "close", report, "repaired") == "not_taken"
