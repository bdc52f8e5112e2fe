"""Gas where calls are endorsed first: none is ordered that ran out of it, and no block holds more than it may."""

from random import Random

import pytest

from chain.codec import encode
from chain.errors import InvalidBlockError, Refused
from chain.gas import intrinsic_gas
from chain.ledger import Broadcast
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.orderer import Orderer
from chain.ledgers.ordered.values import RangeItem, decode_evidence
from chain.storage_gas import LEAST_STEP
from tests.chain.ordered.lab import Consortium, orderer_signer

LIMIT = 1_000_000
BLOCK_LIMIT = 2 * LIMIT
BIG = 27
"""Writing so many drawers of one slot costs less than a third of a block, and more than a quarter."""


@pytest.fixture
def lab():
    return Consortium(gas=LIMIT, block_gas=BLOCK_LIMIT)


def big(lab, number):
    return lab.call("put_many", 1_000 * number, BIG, 30, who=f"client {number}")


def gas_of(block):
    return sum(decode_evidence(evidence).response.gas for evidence in block.evidence)


def test_a_call_by_hand(lab):
    """One new slot, found by a key of nine bytes, and an event with 22 bytes of fields."""
    envelope = lab.call("put", b"a", 1)
    fields = encode((("key", b"a"), ("value", 1)))
    intrinsic = intrinsic_gas(envelope.transaction.args)
    assert envelope.evidence.response.gas == intrinsic + 36 + 2_100 + 20_000 + 375 + 375 + 8 * len(fields)
    assert lab.commit(envelope) == ["VALID"]
    (receipt,) = lab.one.receipts(1)
    assert receipt.gas == envelope.evidence.response.gas


def test_out_of_gas__refused_by_endorsers_and_never_ordered(lab):
    before = lab.root
    proposal = lab.propose(lab.transaction("put_many", 0, 10**6, 1))
    with pytest.raises(Refused, match=f"out_of_gas.* {LIMIT}"):
        lab.one.endorse(proposal, lab.now)
    assert lab.root == before and lab.one.head.height == 0 and len(lab.one.pool) == 0


def test_more_gas_than_a_call_may_cost(lab):
    """Stated by liars, is not ordered by honest orderers, and changes nothing when others order it."""
    honest = lab.call("put", b"a", 1)
    assert lab.one.check_envelope(lab.forge(honest, gas=LIMIT), lab.now) is None
    lie = lab.forge(honest, gas=LIMIT + 1)
    with pytest.raises(Refused, match="too_much_gas"):
        lab.one.receive_transaction(lie, lab.now)
    before = lab.contents
    assert lab.commit(lie) == ["BAD_PAYLOAD"]
    assert lab.contents == before and lab.one.receipts(1)[0].gas == 0


def test_scans_are_paid_for(lab):
    """As many entries as the stated gas may have paid for, with a fifth of it refunded, and not one more."""
    honest = lab.call("total_to", b"x", b"t")
    paid = LIMIT // 2 * 5 // 4 // LEAST_STEP
    found = RangeItem(b"cabinet/x", b"cabinet/x", b"", True, paid, bytes(32))
    assert lab.commit(lab.forge(honest, ranges=(found,), gas=LIMIT // 2)) == ["PHANTOM_READ_CONFLICT"]
    lab.now += 10
    again = lab.call("total_to", b"x", b"t")
    more = RangeItem(b"cabinet/x", b"cabinet/x", b"", True, paid + 1, bytes(32))
    assert lab.commit(lab.forge(again, ranges=(more,), gas=LIMIT // 2)) == ["BAD_PAYLOAD"]


def test_a_block_with_more_gas__rejected(lab):
    """Whoever sealed it; what is no evidence counts nothing."""
    calls = [big(lab, number) for number in range(4)]
    block = lab.cut(*calls)
    assert BLOCK_LIMIT // 4 < calls[0].evidence.response.gas < BLOCK_LIMIT // 3
    before = lab.one.head_id
    with pytest.raises(InvalidBlockError, match=rf"{gas_of(block)} gas, allowed are {BLOCK_LIMIT}"):
        lab.one.receive_block(b"x", block, lab.now)
    assert lab.one.head_id == before
    junk = lab.cut_raw([one.transaction for one in calls], [*(encode(one.evidence) for one in calls[:3]), b"\x90"])
    assert lab.deliver(junk) == ["VALID"] * 3 + ["BAD_PAYLOAD"]


def test_an_orderer_cuts_before_a_block_has_more_gas(lab):
    """Seven calls of which three go into a block, and every peer takes what it makes."""
    ledger = OrderedLedger(lab.network, signer=orderer_signer(0))
    orderer = Orderer(ledger, rng=Random(1), now_ms=lab.now)
    orderer.start(lab.now)
    for number in range(7):
        ledger.receive_transaction(big(lab, number), lab.now)
    effects = [*orderer.offer(lab.now), *orderer.tick(lab.now + 200)]
    assert [effect.topic for effect in effects if isinstance(effect, Broadcast)] == ["blocks"] * 3
    blocks = [ledger.block(height) for height in (1, 2, 3)]
    assert [len(block.transactions) for block in blocks] == [3, 3, 1]
    assert all(gas_of(block) <= BLOCK_LIMIT for block in blocks)
    lab.now += 200
    for block in blocks:
        assert set(lab.deliver(block)) == {"VALID"}
