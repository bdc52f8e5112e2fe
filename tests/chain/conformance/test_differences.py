"""Where ledgers differ on purpose: what an ordered one refuses that proof of work has no reason to refuse."""

import pytest

from chain.contract import state_key
from tests.chain.conformance.all_ledgers import LEDGERS
from tests.chain.conformance.founding import Founding
from tests.chain.conformance.ledgers import Asked
from tests.chain.conformance.on_ordered import OnOrdered
from tests.chain.conformance.story import Story

ORDERED = [name for name in LEDGERS if name.startswith("ordered")]
GUARDED = b"guarded"
NEITHER_OF_US = "AND('org2.peer', 'org3.peer')"


@pytest.mark.parametrize("name", LEDGERS)
def test_a_keys_policy_binds_on_ordered_ledgers_alone(name):
    story = Story(LEDGERS[name](Founding()))
    story.call(1, "put", GUARDED, 1, contract="lab")
    story.call(1, "guard", GUARDED, NEITHER_OF_US, contract="lab")
    for method, args in (("put", (GUARDED, 2)), ("drop", (GUARDED,)), ("guard", (GUARDED, None))):
        outcome = story.attempt(1, method, *args, contract="lab")
        assert outcome.reason == ("not_enough_endorsers" if name in ORDERED else "")
    found = story.ledger.final_state().get(state_key("lab", GUARDED))
    assert found == (b"\x01" if name in ORDERED else None)


def test_a_policy_binds_whoever_was_endorsed_before_it():
    """In one block: the write has the endorsements that were enough when it was proposed."""
    ledger = OnOrdered(Founding(), "solo")
    story = Story(ledger)
    guard, put = Asked(1, "lab", "guard", (GUARDED, NEITHER_OF_US)), Asked(2, "lab", "put", (GUARDED, 2))
    first, second = story.at_once(guard, put)
    assert (first.reason, second.reason) == ("", "endorsement_policy_failure")
    assert state_key("lab", GUARDED) not in ledger.final_state()
    block = ledger.replica.block(first.height)
    assert block is not None and len(block.transactions) == 2


@pytest.mark.parametrize("name", LEDGERS)
def test_a_key_is_only_so_long_on_ordered_ledgers(name):
    """A response is bounded as it travels. The longest key of the project's contracts has 96 bytes."""
    story = Story(LEDGERS[name](Founding()))
    story.call(1, "put", b"k" * 1_020, 1, contract="lab")
    outcome = story.attempt(1, "put", b"k" * 1_021, 1, contract="lab")
    assert outcome.reason == ("response_too_large" if name in ORDERED else "")
