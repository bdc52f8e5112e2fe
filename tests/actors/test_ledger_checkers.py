"""The checkers of final chains accept an honest one, and see each thing that they are there for."""

import pytest
from msgspec.structs import replace

from actors.ledger_checkers import check_chain, executed_alone
from chain.codec import encode
from chain.contract import event_fields
from chain.state import Version
from tests.actors.altered_chain import again, altered, twice, without
from tests.chain.town import Town
from tests.strategies import account


@pytest.fixture(scope="module")
def town():
    """A chain with a confirmed report and a rejected one."""
    town = Town()
    town.decide(town.submit(70), list(range(1, 9)), 3)
    town.decide(town.submit(71, (352_371_000, -808_431_000)), list(range(1, 9)), 1)
    return town


@pytest.fixture(scope="module")
def chain(town):
    return list(zip(town.blocks[1:], town.receipts, strict=True))


WRONG = {
    "is decided twice in one transaction": lambda chain: twice(chain, "confirmed"),
    "was paid 2 times": lambda chain: again(chain, "confirmed"),
    "is in two blocks": lambda chain: again(chain, "confirmed"),
    "comes when": lambda chain: again(chain, "voted"),
    "minted": lambda chain: twice(chain, "minted"),
    "due was {b": lambda chain: without(chain, "minted"),
    "micro-credits, accounted for": lambda chain: twice(chain, "minted"),
    "voted twice": lambda chain: twice(chain, "voted"),
    "revealed what it had not voted": lambda chain: without(chain, "voted"),
    "or twice": lambda chain: twice(chain, "revealed"),
    "names other workers": lambda chain: altered(
        chain, "confirmed", lambda said: said | {"workers": (account(60), *said["workers"][1:])}
    ),
    "is spatial.confirmed by": lambda chain: altered(
        chain, "confirmed", lambda said: said | {"assigned": 2 * said["assigned"]}
    ),
    "is spatial.rejected by": lambda chain: altered(chain, "rejected", lambda said: said | {"assigned": 1}),
    "assigned 0 times": lambda chain: without(chain, "assigned"),
    "another requester": lambda chain: altered(chain, "confirmed", lambda said: said | {"requester": account(61)}),
    "is spatial.expired after it was spatial.confirmed": lambda chain: altered_name(chain, "rejected", "expired"),
    "does not follow": lambda chain: [chain[0], *chain[2:]],
    "are not of its transactions": lambda chain: [(chain[0][0], chain[-1][1]), *chain[1:]],
}


def altered_name(chain, name, other):
    """A report that was rejected is the confirmed one, which now expired."""
    report = next(
        event_fields(event)["report"]
        for _, receipts in chain
        for receipt in receipts
        for event in receipt.events
        if event.name == "confirmed"
    )
    changed = altered(chain, name, lambda said: {"report": report, "was": "assigned"})
    return [
        (
            block,
            tuple(
                replace(
                    receipt,
                    events=tuple(replace(e, name=other) if e.name == name else e for e in receipt.events),
                )
                for receipt in receipts
            ),
        )
        for block, receipts in changed
    ]


def test_an_honest_chain_is_accepted(town, chain):
    said = [event.name for _, receipts in chain for receipt in receipts for event in receipt.events]
    assert said.count("confirmed") == said.count("rejected") == 1 and said.count("revealed") >= 6
    assert check_chain(town.network, chain, town.state) == []
    assert executed_alone(town.network, chain, town.state) == []


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_seen(what, town, chain):
    found = check_chain(town.network, WRONG[what](chain), town.state)
    assert [complaint for complaint in found if what in complaint], found


def test_money_in_the_state_that_nobody_minted_is_seen(town, chain):
    richer = town.state.apply({b"accounts/balance/" + account(62): encode(1)}, Version(1, 0))
    assert any("accounted for" in wrong for wrong in check_chain(town.network, chain, richer))
    assert executed_alone(town.network, chain, richer)


def test_other_receipts_are_seen(town, chain):
    assert executed_alone(town.network, without(chain, "voted"), town.state)
