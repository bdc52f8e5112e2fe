"""No call costs more than it may, no block more than it may, and every replica counts the same."""

import pytest
from msgspec.structs import replace

from chain.codec import encode
from chain.contract import Registry, encode_args, nonce_key
from chain.contracts import accounts
from chain.errors import GenesisError, InvalidBlockError
from chain.gas import EVENT, MIN_TRANSACTION_GAS, READ, SCAN_STEP, TRANSACTION, WRITE
from chain.genesis import Network
from chain.keys import sign_transaction
from chain.state import Version
from chain.transition import APPLIED, apply_block, assemble, reward
from tests.chain import lab
from tests.strategies import EPOCH_MS, account, genesis, key, pow_rules

REGISTRY = Registry({"accounts": accounts, "lab": lab})
PRODUCER = account(9)


@pytest.fixture(autouse=True)
def _own_work():
    APPLIED.enabled = False
    yield
    APPLIED.enabled = True


def network(**rules):
    return Network.found(genesis(balances=((1, 100), (2, 50)), work=pow_rules(**rules)), REGISTRY)


def signed(on, who, nonce, method, *args, contract="lab"):
    return sign_transaction(key(who), on.id, nonce, contract, method, encode_args(*args))


def make(on, *transactions):
    return assemble(
        on,
        on.block.header,
        on.id,
        on.state,
        transactions,
        time_ms=EPOCH_MS + 1,
        producer=PRODUCER,
        difficulty=7,
        final_ids=lambda _: None,
    )


def apply(on, block):
    return apply_block(on, on.state, block, final_ids=lambda _: None)


def test_a_transfer_by_hand():
    on = network()
    payment = signed(on, 1, 0, "transfer", account(2), 30, contract="accounts")
    block, made = make(on, payment)
    keys = 2 * len(b"accounts/balance/" + account(1))
    reads = 2 * READ + len(encode(100)) + len(encode(50))
    writes = 2 * WRITE + keys + len(encode(70)) + len(encode(80))
    event = EVENT + len(made.receipts[0].events[0].data)
    assert made.receipts[0].gas == TRANSACTION + len(payment.args) + reads + writes + event
    assert apply(on, block).receipts == made.receipts


def test_a_scan_by_hand():
    """Three numbers of one byte."""
    on = network()
    count = signed(on, 1, 1, "count", b"")
    _, made = make(on, signed(on, 1, 0, "put_many", 3), count)
    assert made.receipts[1].gas == TRANSACTION + len(count.args) + 3 * (SCAN_STEP + 1)


@pytest.mark.parametrize("method,args", [("put_many", (10**6,)), ("count", (b"",))])
def test_out_of_gas__refused_with_nothing_changed_but_the_nonce(method, args):
    on = network(max_transaction_gas=MIN_TRANSACTION_GAS)
    on = replace_state(on, {b"lab/" + number.to_bytes(4, "big"): encode(0) for number in range(3_000)})
    block, made = make(on, signed(on, 1, 0, method, *args))
    (receipt,) = made.receipts
    assert (receipt.ok, receipt.reason, receipt.gas, receipt.events) == (False, "out_of_gas", MIN_TRANSACTION_GAS, ())
    untouched = on.state.apply({nonce_key(account(1)): encode(1)}, Version(1, 0))
    assert made.state.root == reward(on, untouched, PRODUCER, Version(1, 1)).root
    assert apply(on, block).receipts == made.receipts


def replace_state(on, entries):
    return Network(on.genesis, on.registry, on.block, on.state.apply(entries, Version(0, 0)), on.id)


def test_a_refused_call_says_what_it_cost():
    on = network()
    _, made = make(on, signed(on, 2, 0, "put_and_refuse", b"k"))
    assert TRANSACTION + WRITE < made.receipts[0].gas < 3 * TRANSACTION


def test_a_block_holds_what_its_gas_allows_and_the_next_goes_on():
    on = network(max_transaction_gas=200_000, max_block_gas=200_000)
    big, small = signed(on, 1, 0, "put_many", 400), signed(on, 2, 0, "put_many", 1)
    second = signed(on, 1, 1, "put_many", 400)
    block, made = make(on, big, second, small)
    assert block.transactions == (big,)  # nobody overtakes: who waits longest is next
    assert 100_000 < made.receipts[0].gas < 200_000
    assert make(on, small, big, second)[0].transactions == (small, big)
    apply(on, block)


def test_a_block_with_more_gas__rejected():
    """By whoever keeps the rule, from a miner that does not."""
    strict = network(max_transaction_gas=200_000, max_block_gas=200_000)
    lax = Network(
        replace(strict.genesis, ledger=replace(strict.pow, max_block_gas=10**9)),
        strict.registry,
        strict.block,
        strict.state,
        strict.id,
    )
    block, _ = make(lax, *(signed(strict, 1, nonce, "put_many", 400) for nonce in range(2)))
    assert len(block.transactions) == 2
    apply(lax, block)
    with pytest.raises(InvalidBlockError, match="transaction 1: more than 200000 gas"):
        apply(strict, block)


@pytest.mark.parametrize(
    "changes", [{"max_transaction_gas": MIN_TRANSACTION_GAS - 1}, {"max_transaction_gas": 9, "max_block_gas": 8}]
)
def test_genesis__reject(changes):
    with pytest.raises(GenesisError, match="gas"):
        network(**changes)


def test_the_largest_arguments_can_be_afforded():
    on = network(max_transaction_gas=MIN_TRANSACTION_GAS, max_block_gas=MIN_TRANSACTION_GAS)
    block, made = make(on, signed(on, 1, 0, "count", b"z" * 16_000))
    assert made.receipts[0].ok and block.transactions
