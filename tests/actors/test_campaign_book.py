"""Where the money of a campaign went, as the book reads it from real blocks: each flow, and that none is missed."""

from actors.campaign_book import MAX_CAMPAIGNS
from chain.contracts.campaign_records import PUBLISHING, SUBMISSION
from chain.values import TxId
from tests.actors.told_fair import ToldFair
from tests.chain.campaign_town import ORACLES, ORGANIZER, OTHER_REQUESTER, OUTSIDER, REQUESTER, WORKERS

ONE, TWO, THREE, FOUR = WORKERS[:4]


def check(fair):
    """The book has what the ledger holds, by kind of purse."""
    held = dict.fromkeys(("task", "bid", "oracle", "bond"), 0)
    for (kind, _), amount in fair.purses().items():
        held[kind] += amount
    balance = dict.fromkeys(held, 0)
    for (purse, kind), amount in fair.book().totals(fair.campaign).items():
        balance[purse] += amount if kind == "locked" else -amount
    assert balance == held


def publish_and_bid(fair):
    """The organizer is late once."""
    fair.to(PUBLISHING)
    fair.publish(REQUESTER, 0, 1)
    fair.publish(OTHER_REQUESTER, 2)
    fair.move(OUTSIDER, late_ms=fair.terms.grace_ms + 1)
    for worker, *stops in ((ONE, (0, 0), (1, 9)), (TWO, (1, 0), (2, 9)), (THREE, (2, 0), (0, 9)), (FOUR, (0, 500))):
        fair.bid(worker, *stops)
    fair.move()


def test_each_flow_is_told_with_whose_it_was_and_who_has_it():
    fair = ToldFair(penalty=600)
    publish_and_bid(fair)
    assert fair.told() == [
        ("bond", "locked", None, ORGANIZER, None, 60),
        *(("oracle", "locked", None, oracle, None, 700) for oracle in ORACLES),
        *(("task", "locked", number, REQUESTER, None, 2_000) for number in (0, 1)),
        ("task", "locked", 2, OTHER_REQUESTER, None, 2_000),
        ("bond", "bounty", None, ORGANIZER, OUTSIDER, 10),
        *(("bid", "locked", None, worker, None, 500) for worker in (ONE, TWO, THREE, FOUR)),
    ]
    check(fair)
    seen = len(fair.told())
    (late,) = fair.drawn()
    fair.at(fair.ask("draw").draw.since_ms + fair.terms.oracle_ms + 1).here(OUTSIDER, "replace_oracle")
    assert fair.told(seen) == [
        ("oracle", "penalised", None, late, OUTSIDER, 600),
        ("oracle", "returned", None, late, late, 100),
    ], "what is left could not pay a penalty again"
    check(fair)
    fair.returned(fair.best())
    fair.move()
    fair.commit(ONE, TWO, THREE)
    fair.move()
    fair.open(ONE, THREE)
    fair.move()
    seen = len(fair.told())
    assert fair.settle(1) > 6
    paid = fair.told(seen)
    assert set(paid[:6]) == {
        ("task", "rewarded", 0, REQUESTER, ONE, 1_000),
        ("task", "rewarded", 0, REQUESTER, THREE, 1_000),
        ("task", "rewarded", 1, REQUESTER, ONE, 1_000),
        ("task", "rewarded", 2, OTHER_REQUESTER, THREE, 1_000),
        ("task", "unspent", 1, REQUESTER, REQUESTER, 1_000),
        ("task", "unspent", 2, OTHER_REQUESTER, OTHER_REQUESTER, 1_000),
    }
    assert paid[6:] == [
        ("bid", "returned", None, ONE, ONE, 500),
        ("bid", "forfeited", None, TWO, REQUESTER, 250),
        ("bid", "forfeited", None, TWO, OTHER_REQUESTER, 250),
        ("bid", "returned", None, THREE, THREE, 500),
        ("bid", "returned", None, FOUR, FOUR, 500),
    ]
    check(fair)
    seen = len(fair.told())
    fair.here(ORGANIZER, "close")
    left = [oracle for oracle in ORACLES if oracle != late]
    for oracle in left:
        fair.here(oracle, "withdraw_oracle")
    assert fair.told(seen) == [
        ("bond", "returned", None, ORGANIZER, ORGANIZER, 50),
        *(("oracle", "returned", None, oracle, oracle, 700) for oracle in left),
    ]
    assert fair.purses() == {}
    check(fair)


def test_what_one_call_pays_out_is_told_apart():
    """Deposits go back without a word, and one that is forfeited is told of after it went: which is which?"""
    by_ones, at_once = ToldFair().to(SUBMISSION), ToldFair().to(SUBMISSION)
    flows = []
    for fair, count in ((by_ones, 1), (at_once, 64)):
        fair.open(TWO)
        fair.move()
        before = len(fair.told())
        fair.settle(count)
        check(fair)
        flows.append(fair.told(before))
    assert flows[0] == flows[1]
    assert [flow[1:5:2] for flow in flows[1] if flow[0] == "bid"] == [
        *[("forfeited", ONE)] * 2, ("returned", TWO), *[("forfeited", THREE)] * 2, ("returned", FOUR),
    ]  # fmt: skip


def test_several_penalties_in_one_call_are_told_apart():
    """One of three returns another result, and pays those that agree."""
    fair = ToldFair(drawn=3, agreeing=2, check="on_challenge")
    publish_and_bid(fair)
    best = fair.best()
    wrong = fair.result(ONE)
    liar, *honest = fair.drawn()
    before = len(fair.told())
    fair.here(liar, "return_selection", wrong)
    for oracle in honest:
        fair.here(oracle, "return_selection", best)
    assert fair.told(before) == [("oracle", "penalised", None, liar, oracle, 150) for oracle in honest]
    check(fair)


def test_another_cycle_has_other_requesters():
    fair = ToldFair().to(SUBMISSION)
    fair.move()
    fair.settle()
    fair.here(ORGANIZER, "next_cycle")
    fair.publish(OTHER_REQUESTER, 0)
    check(fair)
    latest = fair.book().flows(fair.campaign)[0]
    assert (latest.cycle, latest.kind, latest.task) == (1, "locked", 0)
    assert latest.source is not None and latest.target is None


def test_what_is_not_known_any_more_is_not_made_up():
    """A book that begins later tells what it saw, and of whom it knows; campaigns are forgotten under a bound."""
    fair = ToldFair()
    begun = fair.height
    publish_and_bid(fair)
    late = fair.book(since=begun)
    bounties = [flow for flow in late.flows(fair.campaign) if flow.kind == "bounty"]
    assert [(flow.source, flow.amount) for flow in bounties] == [(None, 10)], "it did not see who deployed"
    nothing = TxId(b"n" * 32)
    assert late.flows(nothing) == [] and late.totals(nothing) == {}
    for _ in range(MAX_CAMPAIGNS):
        fair.do(ORGANIZER, "deploy", fair.terms)
    assert fair.book().flows(fair.campaign) == []
