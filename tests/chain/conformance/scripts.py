"""What is told to every ledger: every call of every contract, and every refusal that its docstring lists.

A script asserts each outcome by itself, so ledgers that agree on something wrong are found out too. `test_ledgers_agree`
compares the records; `test_every_call_and_refusal_is_in_a_script` holds the scripts against the contracts.
"""

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from chain.contracts.spatial_draw import combination_id, commit_candidates
from chain.contracts.spatial_records import MAX_CANDIDATES, Opening
from chain.contracts.spatial_rules import MAX_GROUP, Box
from chain.values import MAX_INT, TxId
from tests.chain.conformance.campaign_scripts import CAMPAIGN_SCRIPTS
from tests.chain.conformance.founding import CREDIT, HOARDER, Founding
from tests.chain.conformance.ledgers import Asked
from tests.chain.conformance.story import DRAWN_MS, Story
from tests.chain.town import HERE, SALT
from tests.strategies import CHARLOTTE, FACILITY, MEC, account

NO_REPORT = TxId(bytes(32))
NO_HASH = bytes(32)
WORKERS = [1, 2, 3]
"""As many as a group has, so that chance picks the same on all ledgers."""
OUTSIDER, REQUESTER = 10, 11
FAR = 100_000
"""A step in E7 to a place where nothing is a duplicate: a kilometre."""


def money(story: Story) -> None:
    """Transfers, to the last micro-credit and beyond."""
    pay = partial(story.call, contract="accounts")
    refused = partial(story.refused, contract="accounts")
    pay(1, "transfer", account(2), 5)
    pay(2, "transfer", account(99), CREDIT + 5)
    refused("insufficient_balance", 2, "transfer", account(1), 1)
    refused("zero_amount", 1, "transfer", account(2), 0)
    refused("to_oneself", 1, "transfer", account(1), 1)
    refused("malformed_arguments", 1, "transfer", account(2)[:31], 1)
    refused("malformed_arguments", 1, "transfer", account(2), -1)
    refused("malformed_arguments", 1, "transfer", account(2))
    refused("unknown_method", 1, "balance", account(2))
    refused("unknown_method", 1, "steal", account(2))
    refused("unknown_contract", 1, "transfer", account(2), 1, contract="bank")
    story.call(3, "mint", account(3), 12 * CREDIT, contract="lab")
    refused("balance_overflow", 3, "transfer", account(HOARDER), 12 * CREDIT + 1)
    pay(3, "transfer", account(HOARDER), 12 * CREDIT)
    story.call(3, "mint", account(HOARDER), 5, contract="lab")  # nothing: it has all that it can have
    for who in (1, 2, 3, 99, HOARDER):
        story.query("balance", account(who), contract="accounts")
    story.query("nonce", account(1), contract="accounts")
    story.query("transfer", account(1), contract="accounts")


def reports(story: Story) -> None:
    """Reporting what was seen, once."""
    for reason, type_, lat_e7, lon_e7, late_ms in (
        ("unknown_type", "ufo", *HERE, 0),
        ("out_of_range", "fire", 900_000_001, HERE[1], 0),
        ("out_of_range", "fire", HERE[0], 2**63, 0),
        ("out_of_place", "fire", 349_999_999, HERE[1], 0),
        ("time_out_of_window", "fire", *HERE, -600_001),
        ("time_out_of_window", "fire", *HERE, 10_001),
    ):
        story.refused(reason, OUTSIDER, "submit", type_, lat_e7, lon_e7, story.time_ms + 1_000 + late_ms)
    story.refused("malformed_arguments", OUTSIDER, "submit", b"fire", *HERE, story.time_ms)
    story.refused("malformed_arguments", OUTSIDER, "submit", "fire", 35.2, HERE[1], story.time_ms)
    first = story.submit(1)
    story.refused("duplicate_report", 2, "submit", "fire", HERE[0] + 8_000, HERE[1], story.time_ms)
    other = story.submit(2, HERE, "pothole")
    story.submit(2, (HERE[0] + 9_100, HERE[1]))  # 101 m away
    story.call(3, "submit", "fire", HERE[0] + FAR, HERE[1], story.time_ms + 1_000 - 600_000)
    story.call(3, "submit", "fire", HERE[0] + 2 * FAR, HERE[1], story.time_ms + 1_000 + 10_000)
    story.query("reports", "pending", 2, None)
    story.query("reports", "pending", 9, first)
    story.query("reports", "lost", 9, None)
    story.query("latest", "pending", 3, None)
    story.query("latest", "", 9, other)
    story.query("latest", "lost", 9, None)
    story.query("latest", "pending", 9, NO_REPORT)
    story.query("reports", "pending", 9, NO_REPORT)
    story.query("like", "fire", *HERE, story.time_ms, 5)
    story.query("like", "ufo", *HERE, story.time_ms, 5)
    story.query("pending", CHARLOTTE, 9)
    story.query("pending", Box(0, 1, 0, 1), 9)
    for method in ("report", "progress"):
        story.query(method, NO_REPORT)
    story.query("progress", first)


def operators(story: Story) -> None:
    """Enrolment as genesis has it, open or closed."""
    story.refused("unknown_role", OUTSIDER, "enrol", "mayor", *HERE)
    story.refused("out_of_range", OUTSIDER, "enrol", "mec", 900_000_001, 0)
    if story.rules.open_enrolment:
        story.call(OUTSIDER, "enrol", "facility", *HERE)
        story.call(OUTSIDER, "enrol", "mec", *HERE)
    else:
        story.refused("enrolment_closed", OUTSIDER, "enrol", "mec", *HERE)
        story.refused("enrolment_closed", FACILITY, "enrol", "mec", *HERE)
    story.call(MEC, "enrol", "mec", *HERE)
    story.query("operators", "mec", 10, None)
    story.query("operators", "facility", 10, account(FACILITY))
    story.query("operators", "mayor", 10, None)
    story.query("rules")


def assignments(story: Story) -> None:
    """Who may hand a report to a group, and when."""
    report = story.submit(REQUESTER)
    nothing = (NO_HASH, NO_HASH)
    story.refused("draw_not_ready", MEC, "assign", report, *nothing)
    story.refused("not_mec", OUTSIDER, "assign", report, *nothing)
    story.refused("not_mec", FACILITY, "assign", report, *nothing)
    story.refused("unknown_report", MEC, "assign", NO_REPORT, *nothing)
    own = story.submit(MEC, (HERE[0] + FAR, HERE[1]))
    late = story.submit(REQUESTER, (HERE[0] + 2 * FAR, HERE[1]))
    late_ms = story.time_ms
    story.assign(report, WORKERS)
    story.refused("already_assigned", MEC, "assign", report, *nothing)
    story.refused("assign_own_report", MEC, "assign", own, *nothing)
    story.until(late_ms + 60_000)
    story.refused("assign_window_closed", MEC, "assign", late, *nothing, after_ms=1)
    story.call(OUTSIDER, "expire", late)
    story.refused("assign_window_closed", MEC, "assign", late, *nothing)


def votes(story: Story) -> None:
    """Ballots, from the first to the last millisecond."""
    report = story.submit(REQUESTER)
    ballot = story.ballot(report, OUTSIDER, True)
    no_ticket = story.hide(report, [1], [1]).tickets[account(1)]
    story.refused("unknown_report", OUTSIDER, "vote", NO_REPORT, ballot, no_ticket)
    story.refused("vote_not_open", OUTSIDER, "vote", report, ballot, no_ticket)
    group, sealed = story.assign(report, WORKERS)
    one = sealed.tickets[account(group[0])]
    story.refused("vote_by_requester", REQUESTER, "vote", report, ballot, one)
    story.refused("vote_not_assigned", OUTSIDER, "vote", report, ballot, one)
    story.refused("vote_not_assigned", group[1], "vote", report, ballot, one)
    story.vote(report, sealed, group[0], True)
    story.refused("vote_twice", group[0], "vote", report, ballot, one)
    story.until(story.progress(report).vote_until_ms)
    story.call(group[1], "vote", report, ballot, sealed.tickets[account(group[1])], after_ms=0)
    story.wait(1_000)
    story.refused("vote_window_closed", group[2], "vote", report, ballot, sealed.tickets[account(group[2])])
    story.until(story.progress(report).tally_until_ms)
    story.call(OUTSIDER, "expire", report, after_ms=1)
    story.refused("vote_window_closed", group[2], "vote", report, ballot, sealed.tickets[account(group[2])])
    story.refused("reveal_window_closed", group[0], "reveal", report, True, SALT)
    story.refused("tally_not_open", MEC, "tally", report, sealed.opening)


def reveals(story: Story) -> None:
    """Opening one's own ballot and no other."""
    report = story.submit(REQUESTER)
    story.refused("unknown_report", 1, "reveal", NO_REPORT, True, SALT)
    story.refused("reveal_without_vote", 1, "reveal", report, True, SALT)
    group, sealed = story.assign(report, WORKERS)
    story.vote(report, sealed, group[0], True)
    story.vote(report, sealed, group[1], False)
    story.refused("reveal_too_early", group[0], "reveal", report, True, SALT)
    progress = story.progress(report)
    story.until(progress.vote_until_ms)
    story.refused("reveal_too_early", group[0], "reveal", report, True, SALT, after_ms=0)
    story.refused("reveal_without_vote", group[2], "reveal", report, True, SALT, after_ms=1)
    story.refused("reveal_mismatch", group[0], "reveal", report, False, SALT)
    story.refused("reveal_mismatch", group[0], "reveal", report, True, b"t" * 16)
    story.refused("malformed_arguments", group[0], "reveal", report, True, b"short")
    story.call(group[0], "reveal", report, True, SALT)
    story.refused("reveal_twice", group[0], "reveal", report, True, SALT)
    story.until(progress.reveal_until_ms)
    story.refused("reveal_window_closed", group[1], "reveal", report, False, SALT, after_ms=1)
    assert story.call(MEC, "tally", report, sealed.opening).result == b"\xa8rejected"
    story.query("report", report)


def tallies(story: Story) -> None:
    """Openings that are too early, too late, another's, or not what was committed to."""
    report = story.submit(REQUESTER)
    _, sealed = story.seal(report, WORKERS)
    opening = sealed.opening
    story.refused("unknown_report", MEC, "tally", NO_REPORT, opening)
    story.refused("tally_not_open", MEC, "tally", report, opening)
    story.call(MEC, "assign", report, sealed.candidates_commitment, sealed.group_root)
    story.refused("tally_by_other", OUTSIDER, "tally", report, opening)
    wrong = (
        ("opening_mismatch", replace(opening, candidates=(*opening.candidates, account(4)))),
        ("opening_mismatch", replace(opening, candidates_salt=b"x" * 16)),
        ("too_few_candidates", replace(opening, candidates=opening.candidates[1:])),
        ("requester_among_candidates", replace(opening, candidates=(*opening.candidates, account(REQUESTER)))),
        ("group_not_drawn", replace(opening, salts=opening.salts[::-1])),
        ("group_not_drawn", replace(opening, salts=opening.salts[1:])),
    )
    for reason, other in wrong:
        story.refused(reason, MEC, "tally", report, other, after_ms=100)
    story.refused("tally_too_early", MEC, "tally", report, opening)
    story.until(story.progress(report).tally_until_ms)
    story.refused("tally_window_closed", MEC, "tally", report, opening, after_ms=1)


def unsorted(story: Story) -> None:
    """An assigner that commits to candidates in an order of its own."""
    report = story.submit(REQUESTER)
    group, sealed = story.seal(report, WORKERS)
    listed = tuple(sorted((account(who) for who in group), reverse=True))
    commitment = commit_candidates(report, listed, sealed.opening.candidates_salt)
    story.name("an unsorted commitment", commitment)
    story.call(MEC, "assign", report, commitment, sealed.group_root)
    story.until(story.progress(report).reveal_until_ms)
    opening = Opening(listed, sealed.opening.candidates_salt, sealed.opening.salts)
    story.refused("candidates_unsorted", MEC, "tally", report, opening, after_ms=1)


def expiries(story: Story) -> None:
    """Reports that nobody cared for."""
    report = story.submit(REQUESTER)
    story.refused("unknown_report", OUTSIDER, "expire", NO_REPORT)
    story.until(story.report(report).recorded_ms + 60_000)
    story.refused("not_expired", OUTSIDER, "expire", report, after_ms=0)
    story.call(OUTSIDER, "expire", report, after_ms=1)
    story.refused("already_decided", OUTSIDER, "expire", report)
    again = story.submit(REQUESTER)  # nothing is there any more
    group, sealed = story.assign(again, WORKERS)
    story.vote(again, sealed, group[0], True)
    story.until(story.progress(again).tally_until_ms)
    story.refused("not_expired", OUTSIDER, "expire", again, after_ms=0)
    story.call(OUTSIDER, "expire", again, after_ms=1)
    story.query("progress", again)
    story.query("reports", "expired", 9, None)
    story.query("reports", "", 9, None)


def reviews(story: Story) -> None:
    """A facility takes what was confirmed, once, and closes it."""
    report = story.submit(REQUESTER)
    story.refused("not_facility", OUTSIDER, "take", report)
    story.refused("unknown_report", FACILITY, "take", NO_REPORT)
    story.refused("not_confirmed", FACILITY, "take", report)
    story.refused("unknown_report", FACILITY, "close", NO_REPORT, "repaired")
    story.refused("not_taken", FACILITY, "close", report, "repaired")
    story.decide(report, WORKERS, 2)
    story.call(FACILITY, "take", report)
    story.refused("already_taken", FACILITY, "take", report)
    story.refused("taken_by_other", OUTSIDER, "close", report, "repaired")
    story.refused("malformed_arguments", FACILITY, "close", report, "Not a name")
    story.call(FACILITY, "close", report, "repaired")
    story.refused("not_taken", FACILITY, "close", report, "repaired")
    story.refused("already_taken", FACILITY, "take", report)
    story.query("responses", account(FACILITY))
    story.query("latest", "closed", 5, None)


def rewards(story: Story) -> None:
    """Five reports in a row: history grows to its cap, and no group serves twice."""
    trios = ([1, 2, 3], [1, 2, 4], [1, 3, 4], [2, 3, 4], [1, 2, 5])
    for place, trio in enumerate(trios):
        report = story.submit(REQUESTER, (HERE[0] + place * FAR, HERE[1] + place * FAR))
        story.decide(report, trio, 3 if place % 2 else 2)
    for who in (1, 4, REQUESTER):
        story.query("history", account(who), 3)
        story.query("balance", account(who), contract="accounts")
    report = story.submit(REQUESTER, (HERE[0] - FAR, HERE[1]))
    served = sorted(account(who) for who in trios[0])
    story.wait(10_000)
    sealed = story.hide(report, trios[0], trios[0])
    assert story.query("served_at", combination_id(served)) is not None
    assert story.query("served_at", NO_HASH) is None
    story.call(MEC, "assign", report, sealed.candidates_commitment, sealed.group_root)
    story.until(story.progress(report).reveal_until_ms)
    assert sealed.opening.candidates == tuple(served)
    story.refused("group_not_drawn", MEC, "tally", report, sealed.opening)
    story.call(FACILITY, "take", story.query("reports", "confirmed", 1, None)[0].id)


def crowd(story: Story) -> None:
    """Chance picks three of seven: others on each ledger, and what comes of it is the same but for who it is."""
    report = story.submit(REQUESTER)
    group = story.decide(report, [1, 2, 3, 4, 5, 6, 7], 2)
    for who in group:
        story.query("history", account(who), 3)
        story.query("balance", account(who), contract="accounts")


def largest(story: Story) -> None:
    """The most candidates and the largest group that there can be: the most that a call of ours reads, writes and says."""
    report = story.submit(REQUESTER)
    group, sealed = story.assign(report, range(200, 200 + MAX_CANDIDATES))
    assert len(group) == MAX_GROUP
    ballots = [(who, (report, story.ballot(report, who, True), sealed.tickets[account(who)])) for who in group]
    cast = story.at_once(*(Asked(who, "spatial", "vote", ballot) for who, ballot in ballots))
    story.until(story.progress(report).vote_until_ms)
    shown = story.at_once(*(Asked(who, "spatial", "reveal", (report, True, SALT)) for who in group))
    assert {outcome.reason for outcome in (*cast, *shown)} == {""}
    story.call(MEC, "tally", report, sealed.opening)
    story.query("report", report)


def laboratory(story: Story) -> None:
    """What contracts may do that the project's do not: key policies, deletions, scans, blocks' ids, and too much of it."""
    call, refused = partial(story.call, contract="lab"), partial(story.refused, contract="lab")
    call(1, "put", b"k/1", 7)
    call(1, "put", b"k/2", 8)
    assert call(2, "put", b"k/1", 9).result == b"\x07"
    assert call(1, "count", b"k/").result == b"\x02"
    assert call(1, "is_there", b"k/1").result == b"\xc3"
    call(1, "drop", b"k/1")
    call(1, "drop", b"k/1")  # is not there
    assert call(1, "is_there", b"k/1").result == b"\xc2"
    assert call(1, "count", b"k/").result == b"\x01"
    refused("changed_my_mind", 1, "put_and_refuse", b"k/1")
    call(1, "put_many", 50)
    refused("out_of_gas", 1, "put_many", 5_000)
    call(1, "guard", b"k/2", "AND('org1.peer', 'org2.peer')")
    call(1, "put", b"k/2", 1)
    call(1, "guard", b"k/2", "AND('org2.peer', 'org3.peer')")
    call(1, "put", b"k/2", 2, endorsers=(1, 2))
    call(1, "guard", b"k/3", "OR('org3.peer', 'org3.admin')")
    call(1, "put", b"k/3", 3, endorsers=(2,))
    call(1, "guard", b"k/3", None, endorsers=(2,))
    call(1, "put", b"k/3", 4)
    refused("bad_policy", 1, "guard", b"k/2", "EITHER('org1.peer')", endorsers=(1, 2))
    assert story.ledger.network.id in call(1, "look_up_block", 0).result
    height = call(1, "put", b"k/4", 4).height
    refused("draw_not_ready", 1, "look_up_block", height + 1, after_ms=100)
    story.wait(DRAWN_MS)
    found = story.ledger.block_id(height)
    assert found is not None
    story.name("block of a call", found)
    assert found in call(1, "look_up_block", height).result
    refused("draw_not_ready", 1, "look_up_block", 1_000_000)
    refused("draw_not_ready", 1, "look_up_block", MAX_INT)
    story.query("total", b"k/", contract="lab")


def at_once(story: Story) -> None:
    """Calls that have nothing to do with one another: twelve payments, five reports, then all three ballots at a time."""
    pay = [Asked(who, "accounts", "transfer", (account(100 + who), who)) for who in range(1, 13)]
    assert {outcome.reason for outcome in story.at_once(*pay)} == {""}
    seen_ms = story.time_ms
    places = [(HERE[0] + step * FAR, HERE[1] - step * FAR) for step in range(5)]
    told = story.at_once(*(Asked(1, "spatial", "submit", ("fire", *place, seen_ms)) for place in places))
    report = told[2].transaction
    assert {outcome.reason for outcome in told} == {""}
    assert report is not None
    group, sealed = story.assign(report, [4, 5, 6])
    ballots = [(who, (report, story.ballot(report, who, True), sealed.tickets[account(who)])) for who in group]
    cast = story.at_once(*(Asked(who, "spatial", "vote", ballot) for who, ballot in ballots))
    story.until(story.progress(report).vote_until_ms)
    shown = story.at_once(*(Asked(who, "spatial", "reveal", (report, True, SALT)) for who in group))
    assert {outcome.reason for outcome in (*cast, *shown)} == {""}
    story.call(MEC, "tally", report, sealed.opening)


Script = Callable[[Story], None]
SCRIPTS: dict[str, tuple[Script, Founding]] = {
    "money": (money, Founding()),
    "reports": (reports, Founding()),
    "operators": (operators, Founding()),
    "open enrolment": (operators, Founding({"open_enrolment": True})),
    "assignments": (assignments, Founding()),
    "votes": (votes, Founding()),
    "reveals": (reveals, Founding()),
    "tallies": (tallies, Founding()),
    "unsorted": (unsorted, Founding()),
    "expiries": (expiries, Founding()),
    "reviews": (reviews, Founding()),
    "rewards": (rewards, Founding({"history_cap": 3})),
    "rewards as in the paper": (rewards, Founding({"reward": "paper"})),
    "no duplicates looked for": (rewards, Founding({"duplicate_radius_m": 0})),
    "crowd": (crowd, Founding()),
    "largest": (largest, Founding({"group_size": MAX_GROUP})),
    "laboratory": (laboratory, Founding()),
    "at once": (at_once, Founding()),
    **{name: (tell, Founding()) for name, tell in CAMPAIGN_SCRIPTS.items()},
}
