"""The checkers of an ordered chain accept an honest one, and see what they are there for."""

import pytest
from msgspec.structs import replace

from actors.ledger_checkers import final_chain
from actors.membership import signer_of
from actors.ordered_checkers import check_ordered_chain
from chain.ledgers.ordered.blocks import seal
from chain.ledgers.ordered.values import ValidationCode
from tests.actors.ordered_chain import OrderedChain


@pytest.fixture(scope="module")
def town():
    """Two reports at one place in one block: the second one conflicts. Then one of the two once more."""
    town = OrderedChain()
    first, second = town.report("requester-01"), town.report("requester-02")
    town.cut(first, second)
    town.cut(first, town.report("requester-03", 900_000))
    town.cut()
    return town


def found_wrong(town, chain):
    return check_ordered_chain(town.network, chain, town.peers[0].final_state)


def test_an_honest_chain_passes(town):
    chain = final_chain(town.peers[0])
    reasons = [[receipt.reason for receipt in receipts] for _, receipts in chain]
    conflict, duplicate = ValidationCode.PHANTOM_READ_CONFLICT.value, ValidationCode.DUPLICATE_TXID.value
    assert reasons[0][0] == "" and reasons[0][1] in {conflict, ValidationCode.MVCC_READ_CONFLICT.value}
    assert reasons[1:] == [[duplicate, ""], []]
    assert found_wrong(town, chain) == []


def test_a_missing_block_is_seen(town):
    chain = final_chain(town.peers[0])
    assert any("does not follow" in each for each in found_wrong(town, chain[1:]))


def test_a_receipt_that_was_changed_is_seen(town):
    chain = final_chain(town.peers[0])
    block, (first, second) = chain[0]
    chain[0] = (block, (first, replace(second, ok=True, reason="", detail="")))
    assert "block 1 gives other receipts" in found_wrong(town, chain)


def test_a_transaction_that_is_valid_twice_is_seen(town):
    chain = final_chain(town.peers[0])
    block, (first, second) = chain[1]
    chain[1] = (block, (replace(first, ok=True, reason="", detail=""), second))
    assert any("is valid 2 times" in each for each in found_wrong(town, chain))


def test_a_seal_of_somebody_else_is_seen(town):
    chain = final_chain(town.peers[0])
    block, receipts = chain[2]
    chain[2] = (seal(block, signer_of(town.member("mec-01"))), receipts)
    assert any("block 3" in each and "no orderer" in each for each in found_wrong(town, chain))


def test_a_seal_that_was_left_out_is_seen(town):
    chain = final_chain(town.peers[0])
    block, receipts = chain[2]
    chain[2] = (replace(block, seal=b""), receipts)
    assert any("block 3: seal" in each for each in found_wrong(town, chain))


def test_a_state_that_the_blocks_do_not_give_is_seen(town):
    assert "the final state is not what the blocks give" in found_wrong(town, final_chain(town.peers[0])[:1])
