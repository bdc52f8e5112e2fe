"""One node that mines and applies transactions."""

import pytest

from chain.contracts.accounts import balance_of, supply
from chain.errors import Refused
from chain.ledger import Broadcast, Committed, Finalised, Save
from chain.ledgers.pow.ledger import PowLedger
from tests.chain.pow.founding import GENESIS_MS, account, found, transfer


def mine_blocks(ledger, count, now_ms, step_ms=10_000):
    """Mine until the head is `count` blocks higher, a block every `step_ms`; return the effects and the time."""
    effects = []
    for _ in range(count):
        height = ledger.head.height
        now_ms += step_ms
        while ledger.head.height == height:
            effects += ledger.mine(1, now_ms)
    return effects, now_ms


def of(kind, effects):
    return [effect for effect in effects if isinstance(effect, kind)]


def test_one_node_mines_transactions_until_they_are_final():
    network = found()
    ledger = PowLedger(network, producer=account(1))
    payment = transfer(network, 2, 0, to=3, amount=5)
    submitted = ledger.submit(payment, GENESIS_MS)
    assert [effect.topic for effect in of(Broadcast, submitted)] == ["tx"]

    effects, _ = mine_blocks(ledger, 10, GENESIS_MS)
    committed, finalised = of(Committed, effects), of(Finalised, effects)
    assert [effect.block.header.height for effect in committed] == list(range(1, 11))
    assert [effect.block.header.height for effect in finalised] == [1, 2, 3, 4]
    assert [save.head for save in of(Save, effects)][-1] == ledger.head_id
    assert committed[0].block.transactions == (payment,)
    assert committed[0].receipts[0].ok
    assert balance_of(ledger.state, account(3)) == 1_000_000_005
    assert supply(ledger.state) == 10 * 1_000_000_000 + 10 * network.genesis.pow.block_reward
    assert ledger.statistics().pending == 0


@pytest.mark.parametrize(
    "nonce,amount,reason",
    [(1, 1, "nonce_gap"), (0, 0, "zero_amount"), (0, 10**10, "insufficient_balance"), (64, 1, "nonce_gap")],
)
def test_submit__refuses(nonce, amount, reason):
    network = found()
    ledger = PowLedger(network)
    before = ledger.statistics()
    with pytest.raises(Refused) as refusal:
        ledger.submit(transfer(network, 2, nonce, amount=amount), GENESIS_MS)
    assert refusal.value.reason == reason
    assert ledger.statistics() == before
