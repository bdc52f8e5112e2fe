"""Calls that race: on an ordered ledger which come in each other's way, and on all that what comes of it is the same.

The table is the project's answer to the question of hot keys. What is in it is inherent (one report, one purse, one
neighbourhood) but for ``responses/<facility>``: a facility that begins or ends several reviews within one block is in its
own way.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import pytest

from chain.contract import encode_args
from chain.contracts.accounts import balance_of, supply
from chain.genesis import standard_registry
from chain.values import TxId
from tests.chain.conformance.all_ledgers import LEDGERS
from tests.chain.conformance.campaign_pairs import CAMPAIGN_PAIRS, MVCC, PHANTOM, Pair
from tests.chain.conformance.founding import CREDIT, PEOPLE, Founding
from tests.chain.conformance.ledgers import Asked, LedgerUnderTest, Outcome
from tests.chain.conformance.on_ordered import OnOrdered
from tests.chain.conformance.story import Story
from tests.chain.town import HERE, SALT
from tests.strategies import FACILITY, MEC, account

FAR = 100_000
OTHER_FACILITY = 902
OPEN = Founding({"open_enrolment": True, "tally_window_ms": 600_000})


def pay(who: int, to: int, amount: int = 1) -> Asked:
    return Asked(who, "accounts", "transfer", (account(to), amount))


def tell(story: Story, step_e7: int, type_: str = "fire", who: int = 8) -> Asked:
    return Asked(who, "spatial", "submit", (type_, HERE[0] + step_e7, HERE[1], story.time_ms))


def of(method: str, who: int, report: TxId, *further: object) -> Asked:
    return Asked(who, "spatial", method, (report, *further))


def revealed(story: Story, *cases: tuple[int, list[int]]) -> list[Asked]:
    """Tallies that are due of reports by these requesters, confirmed by these groups."""
    due = []
    places = [(HERE[0] + (5 + place) * FAR, HERE[1]) for place in range(len(cases))]
    for (requester, trio), place in zip(cases, places, strict=True):
        report = story.submit(requester, place)
        group, sealed = story.assign(report, trio)
        for who in group:
            story.vote(report, sealed, who, True)
        story.until(story.progress(report).vote_until_ms)
        for who in group:
            story.call(who, "reveal", report, True, SALT)
        due.append(of("tally", MEC, report, sealed.opening))
    return due


def confirmed(story: Story) -> tuple[TxId, TxId]:
    """Two reports that facilities may take; there are two facilities."""
    story.call(OTHER_FACILITY, "enrol", "facility", *HERE)
    first, second = revealed(story, (10, [1, 2, 3]), (11, [4, 5, 6]))
    story.at_once(first, second)
    return TxId(first.args[0]), TxId(second.args[0])


def two_assignments(story: Story) -> tuple[Asked, Asked]:
    reports = story.submit(10), story.submit(11, (HERE[0] + FAR, HERE[1]))
    sealed = [story.seal(report, [1, 2, 3])[1] for report in reports]
    one, two = (
        of("assign", MEC, report, each.candidates_commitment, each.group_root)
        for report, each in zip(reports, sealed, strict=True)
    )
    return one, two


def two_votes(story: Story) -> tuple[Asked, Asked]:
    report = story.submit(10)
    group, sealed = story.assign(report, [1, 2, 3])
    one, two = (
        of("vote", who, report, story.ballot(report, who, True), sealed.tickets[account(who)]) for who in group[:2]
    )
    return one, two


def one_vote_twice(story: Story) -> tuple[Asked, Asked]:
    first, _ = two_votes(story)
    return first, first


def two_reveals(story: Story) -> tuple[Asked, Asked]:
    asked = two_votes(story)
    story.at_once(*asked)
    report = TxId(asked[0].args[0])
    story.until(story.progress(report).vote_until_ms)
    one, two = (of("reveal", each.who, report, True, SALT) for each in asked)
    return one, two


def a_tally_and(requester: int, trio: list[int]) -> Pair:
    """Another tally."""

    def pair(story: Story) -> tuple[Asked, Asked]:
        first, second = revealed(story, (10, [1, 2, 3]), (requester, trio))
        return first, second

    return pair


def a_tally_and_a_payment(story: Story) -> tuple[Asked, Asked]:
    return revealed(story, (10, [1, 2, 3]))[0], pay(1, 12)


def an_expiry_and_a_report(story: Story) -> tuple[Asked, Asked]:
    gone = story.submit(10)
    story.wait(61_000)
    return of("expire", 9, gone), tell(story, 9_500)


def two_expiries(story: Story) -> tuple[Asked, Asked]:
    gone = story.submit(10)
    story.wait(61_000)
    return of("expire", 9, gone), of("expire", 8, gone)


def expiries_of_two(story: Story) -> tuple[Asked, Asked]:
    gone = story.submit(10), story.submit(10, (HERE[0] + FAR, HERE[1]))
    story.wait(61_000)
    return of("expire", 9, gone[0]), of("expire", 9, gone[1])


def enrolment(who: int) -> Asked:
    return Asked(who, "spatial", "enrol", ("facility", *HERE))


def taken_by(who: int) -> Pair:
    def pair(story: Story) -> tuple[Asked, Asked]:
        first, second = confirmed(story)
        return of("take", FACILITY, first), of("take", who, second)

    return pair


def closed_by(who: int) -> Pair:
    def pair(story: Story) -> tuple[Asked, Asked]:
        first, second = confirmed(story)
        story.call(FACILITY, "take", first)
        story.call(who, "take", second)
        return of("close", FACILITY, first, "repaired"), of("close", who, second, "repaired")

    return pair


def one_report_taken_twice(story: Story) -> tuple[Asked, Asked]:
    first, _ = confirmed(story)
    return of("take", FACILITY, first), of("take", OTHER_FACILITY, first)


PAIRS: dict[str, tuple[Pair, str]] = {
    "payments among four": (lambda _: (pay(1, 2), pay(3, 4)), ""),
    "payments by one": (lambda _: (pay(1, 2), pay(1, 3)), MVCC),
    "payments to one": (lambda _: (pay(1, 2), pay(3, 2)), MVCC),
    "a payment and a report": (lambda story: (pay(1, 2), tell(story, 0, who=1)), ""),
    "reports in two places": (lambda story: (tell(story, 0), tell(story, FAR, who=9)), ""),
    "reports by one": (lambda story: (tell(story, 0), tell(story, FAR)), ""),
    "reports of two types": (lambda story: (tell(story, 0), tell(story, 0, "pothole", 9)), ""),
    "reports of one thing": (lambda story: (tell(story, 0), tell(story, 8_000, who=9)), PHANTOM),
    "reports in one neighbourhood": (lambda story: (tell(story, 0), tell(story, 9_500, who=9)), PHANTOM),
    "assignments by one node": (two_assignments, ""),
    "votes on one report": (two_votes, ""),
    "one vote twice": (one_vote_twice, MVCC),
    "reveals of one report": (two_reveals, ""),
    "a tally and a tally": (a_tally_and(11, [4, 5, 6]), ""),
    "tallies of one requester": (a_tally_and(10, [4, 5, 6]), MVCC),
    "tallies with a worker in both": (a_tally_and(11, [3, 4, 5]), MVCC),
    "a tally and a payment by who is rewarded": (a_tally_and_a_payment, MVCC),
    "an expiry and a report near by": (an_expiry_and_a_report, PHANTOM),
    "an expiry twice": (two_expiries, MVCC),
    "expiries of two reports": (expiries_of_two, ""),
    "enrolments": (lambda _: (enrolment(8), enrolment(9)), ""),
    "an enrolment twice": (lambda _: (enrolment(8), enrolment(8)), ""),  # it writes and does not ask what was there
    "reviews begun by one facility": (taken_by(FACILITY), MVCC),
    "reviews begun by two": (taken_by(OTHER_FACILITY), ""),
    "reviews ended by one facility": (closed_by(FACILITY), MVCC),
    "reviews ended by two": (closed_by(OTHER_FACILITY), ""),
    "one report taken twice": (one_report_taken_twice, MVCC),
    **CAMPAIGN_PAIRS,
}


@cache
def together(pair: str) -> tuple[tuple[Asked, Asked], Sequence[Outcome]]:
    """Make a pair of calls, once, in one block."""
    make, _ = PAIRS[pair]
    ledger = OnOrdered(OPEN, "solo", attempts=1)
    story = Story(ledger)
    asked = make(story)
    before = ledger.replica.head.height
    outcomes = story.at_once(*asked)
    block = ledger.replica.block(outcomes[0].height)
    assert outcomes[0].height > before and block is not None and len(block.transactions) == 2
    return asked, outcomes


@pytest.mark.parametrize("pair", PAIRS)
def test_what_is_in_each_others_way(pair):
    """Of two calls in one block the first is valid, and the second is or is not."""
    _, expected = PAIRS[pair]
    _, (first, second) = together(pair)
    assert (first.reason, second.reason) == ("", expected)


def test_no_call_is_always_in_its_own_way():
    """Nothing is written by every call of a kind: two of each go into one block, if they are about different things.

    But for changes of the channel, which have a sequence and a block to themselves.
    """
    beside = {
        (one.contract, one.method)
        for (one, other), (_, second) in (together(pair) for pair in PAIRS)
        if (one.contract, one.method) == (other.contract, other.method) and not second.reason
    }
    calls = {(contract, name) for contract, name, each in standard_registry("ordered").methods if not each.is_query}
    assert beside == calls - {("channel", "update")}


def carried_out(ledger: LedgerUnderTest) -> Counter[tuple[bytes, str, str, bytes]]:
    """How often each call was carried out, by all blocks of the chain."""
    found: Counter[tuple[bytes, str, str, bytes]] = Counter()
    for height in range(1, ledger.replica.head.height + 1):
        block, receipts = ledger.replica.block(height), ledger.replica.receipts(height)
        assert block is not None and receipts is not None
        for each, receipt in zip(block.transactions, receipts, strict=True):
            found[each.sender, each.contract, each.method, each.args] += receipt.ok
    return found


def race(name: str, make: Callable[[Story], Sequence[Asked]]) -> tuple[Counter[str], Sequence[Outcome], Story]:
    """Make calls at once, and see that each that was said to be carried out was so, once, and the others never."""
    story = Story(LEDGERS[name](OPEN))
    asked = make(story)
    before = carried_out(story.ledger)
    outcomes = story.at_once(*asked)
    story.ledger.final_state()
    expected: Counter[tuple[bytes, str, str, bytes]] = Counter()
    for each, outcome in zip(asked, outcomes, strict=True):
        expected[account(each.who), each.contract, each.method, encode_args(*each.args)] += not outcome.reason
    assert +(carried_out(story.ledger) - before) == +expected
    return Counter(outcome.reason for outcome in outcomes), outcomes, story


@pytest.mark.parametrize("pair", [pair for pair, (_, conflict) in PAIRS.items() if conflict])
def test_who_is_in_the_way_is_tried_again(pair):
    """Until it is carried out, or refused for the reason for which proof of work refuses the second one."""
    make, _ = PAIRS[pair]
    (reference, _, at_pow), *others = (race(name, make) for name in LEDGERS)
    for reasons, _, story in others:
        assert reasons == reference
        assert supply(story.ledger.state()) == supply(at_pow.ledger.state())


def payments_to_one(_: Story) -> list[Asked]:
    return [pay(who, 99, 1_000 + who) for who in PEOPLE]


def payments_round(_: Story) -> list[Asked]:
    """Everybody gives all to the next."""
    return [pay(who, who % len(PEOPLE) + 1, CREDIT) for who in PEOPLE]


@pytest.mark.parametrize("make", [payments_to_one, payments_round])
def test_a_hot_purse(make):
    """Twelve payments that all read what another writes: none is lost, and none is made twice."""
    balances = []
    for name in LEDGERS:
        reasons, _, story = race(name, make)
        assert reasons == {"": len(PEOPLE)}
        state = story.ledger.state()
        balances.append([balance_of(state, account(who)) for who in (*PEOPLE, 99)])
    assert balances == [balances[0]] * len(LEDGERS)


def test_a_purse_is_emptied_once():
    """Of five payments only two can be covered: which ones is chance, how many is not."""
    for name in LEDGERS:
        reasons, outcomes, story = race(name, lambda _: [pay(1, 100 + to, 2 * CREDIT // 5) for to in range(5)])
        assert reasons == {"": 2, "insufficient_balance": 3}
        state = story.ledger.state()
        assert balance_of(state, account(1)) == CREDIT // 5
        paid = [balance_of(state, account(100 + to)) for to in range(5)]
        assert paid == [0 if outcome.reason else 2 * CREDIT // 5 for outcome in outcomes]


def test_one_thing_is_reported_once():
    """The race attack by seven at once."""
    for name in LEDGERS:
        reasons, _, story = race(name, lambda story: [tell(story, 1_000 * who, who=who) for who in range(1, 8)])
        assert reasons == {"": 1, "duplicate_report": 6}
        assert len(story.query("reports", "pending", 10, None)) == 1
