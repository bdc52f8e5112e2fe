"""The checkers of campaigns accept honest chains, and see each thing that they are there for."""

import pytest
from msgspec.structs import replace

from actors.campaign_checkers import check_campaigns
from actors.ledger_checkers import check_chain, executed_alone
from chain.codec import encode
from chain.contract import purse_key
from chain.contracts.campaign_records import DONE, ON_CHALLENGE, SELECTION, Selection
from chain.state import Version
from tests.actors.altered_chain import again, altered, twice, without
from tests.chain.campaign_town import ORACLES, ORGANIZER, OUTSIDER, REQUESTER, WORKERS, Fair
from tests.strategies import account

ONE, TWO, THREE = WORKERS[:3]


def chain_of(fair):
    return list(zip(fair.blocks[1:], fair.receipts, strict=True))


@pytest.fixture(scope="module")
def fair():
    """A cycle in which a result is overturned, one worker's data do not come, and a dispute is answered and another is not;
    a void one; and the end.
    """
    fair = Fair(check=ON_CHALLENGE).to(SELECTION)
    fair.returned(Selection((0,), ()))
    fair.here(OUTSIDER, "challenge", fair.best())
    fair.move()
    fair.commit(ONE, TWO, THREE)
    fair.move()
    fair.open(ONE, THREE)
    for number in (0, 1):
        fair.here(REQUESTER, "dispute", account(ONE), number)
    fair.here(ONE, "answer", *fair.answer(ONE, 1))
    fair.move()
    fair.settle(2)
    fair.here(ORGANIZER, "next_cycle")
    fair.to(SELECTION)
    fair.move()
    fair.settle()
    fair.here(ORGANIZER, "close")
    for who in ORACLES:
        fair.here(who, "withdraw_oracle")
    return fair


def since(chain, name, change):
    """The chain, changed from the block on in which something of that name was first said."""
    place = next(n for n, (_, receipts) in enumerate(chain) for r in receipts for e in r.events if e.name == name)
    return [*chain[:place], *change(chain[place:])]


def more(name, **changes):
    return lambda chain: altered(chain, name, lambda said: said | changes)


def other_amount(name, factor):
    return lambda chain: altered(chain, name, lambda said: said | {"amount": said["amount"] * factor})


WRONG = {
    "went from registration to bidding": lambda chain: without(chain, "publishing_started"),
    "went from bidding to collection": lambda chain: without(chain, "selection_started"),
    "went from collection to ended": lambda chain: without(chain, "submission_started"),
    "went from nothing to publishing": lambda chain: without(chain, "registration_started"),
    "went from ended to ended": lambda chain: twice(chain, "ended"),
    "is publishing before it was settled": lambda chain: without(chain, "settled"),
    "is settled twice": lambda chain: twice(chain, "settled"),
    "has published in registration": lambda chain: without(chain, "publishing_started"),
    "has bid of cycle 3": more("bid", cycle=3),
    "went from cycle 0 to 5": more("publishing_started", cycle=5),
    "who was not selected": lambda chain: since(chain, "overturned", more("selected", workers=())),
    "or had committed": lambda chain: twice(chain, "committed"),
    "who had not committed": lambda chain: without(chain, "committed"),
    "or had opened": lambda chain: twice(chain, "submitted"),
    "did not commit and open": more("rewarded", worker=account(TWO)),
    "who had opened nothing": lambda chain: without(chain, "submitted"),
    "that nobody asked for": more("answered", task=2),
    "which is in dispute": lambda chain: without(chain, "answered"),
    "twice": lambda chain: twice(chain, "rewarded"),
    "and paid 1000": other_amount("rewarded", 2),
    "is void and paid": lambda chain: altered(chain, "ended", lambda said: said | {"void": True}),
    "is selected for twice": lambda chain: without(chain, "overturned"),
    "is settled, and holds 500 of": lambda chain: since(chain, "settled", lambda rest: without(rest, "released")),
    "more of the cycle's money than it held": lambda chain: of_method(chain, "publish_task", "locked"),
    "more of bond than it held": lambda chain: of_method(chain, "deploy", "locked"),
    "more of stakes than it held": lambda chain: of_method(chain, "register_oracle", "locked"),
    "keeps 60 of its bond": lambda chain: of_method(chain, "close", "released"),
}


def of_method(chain, method, name):
    """The first transaction with that method has no event of that name."""
    done = False
    found = []
    for block, receipts in chain:
        kept = []
        for transaction, receipt in zip(block.transactions, receipts, strict=True):
            if transaction.method == method and not done:
                done = True
                receipt = replace(receipt, events=tuple(event for event in receipt.events if event.name != name))
            kept.append(receipt)
        found.append((block, tuple(kept)))
    assert done
    return found


def test_an_honest_chain_is_accepted(fair):
    chain = chain_of(fair)
    said = {event.name for _, receipts in chain for receipt in receipts for event in receipt.events}
    assert said >= {"overturned", "forfeited", "unspent", "answered", "penalised", "closed", "withdrawn"}
    assert check_chain(fair.network, chain, fair.state) == []
    assert executed_alone(fair.network, chain, fair.state) == []


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_seen(what, fair):
    chain = chain_of(fair)
    found = check_campaigns(WRONG[what](chain))
    assert [complaint for complaint in found if what in complaint], found


def test_a_cycle_that_is_paid_twice_is_seen(fair):
    assert any(
        "more of the cycle's money than it held" in each for each in check_campaigns(again(chain_of(fair), "settled"))
    )


def test_money_in_a_purse_that_nobody_locked_is_seen(fair):
    richer = fair.state.apply({purse_key("campaign", b"bond/" + fair.campaign): encode(1)}, Version(1, 0))
    assert any("accounted for" in wrong for wrong in check_chain(fair.network, chain_of(fair), richer))


def test_money_that_left_a_purse_for_nowhere_is_seen():
    fair = Fair().to(DONE)
    key = next(key for key, _ in fair.state.scan(b"accounts/purse/"))
    poorer = fair.state.apply({key: None}, Version(1, 0))
    assert check_chain(fair.network, chain_of(fair), fair.state) == []
    assert any("accounted for" in wrong for wrong in check_chain(fair.network, chain_of(fair), poorer))
