"""No call costs more than it may, no block more than it may, and every replica counts the same."""

import pytest
from msgspec.structs import replace

from chain.codec import encode
from chain.contract import Context, Registry, encode_args, nonce_key
from chain.contracts import accounts
from chain.errors import GenesisError, InvalidBlockError, Refused
from chain.gas import MIN_TRANSACTION_GAS, Meter, intrinsic_gas
from chain.genesis import Network
from chain.keys import sign_transaction
from chain.state import Version, WorldState
from chain.transition import APPLIED, apply_block, assemble, reward
from chain.values import MAX_ARGS_BYTES, BlockId, TxId
from tests.chain import lab
from tests.strategies import EPOCH_MS, account, genesis, key, pow_rules

REGISTRY = Registry({"accounts": accounts, "lab": lab})
PRODUCER = account(9)
LIMIT = 1_000_000


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


def with_entries(on, entries):
    return Network(on.genesis, on.registry, on.block, on.state.apply(entries, Version(0, 0)), on.id)


def context(meter, state=None):
    return Context(
        state or WorldState.empty(),
        "lab",
        sender=account(1),
        tx=TxId(bytes(32)),
        time_ms=5,
        block_id_at={2: BlockId(b"\x02" * 32)}.get,
        gas=meter,
    )


def cost(step, state=None):
    """What one step of a contract costs."""
    meter = Meter(10**9)
    step(context(meter, state))
    return meter.used


# --- by hand --------------------------------------------------------------------------------------------------------


def transfer_by_hand(args, theirs):
    """A transfer that leaves something, by the figures of the Yellow Paper and the EIPs; `theirs`: writing the receiver's.

    Keys are of 49 bytes, two words: 30 + 2 * 6. The event's fields are of 90 bytes:
    1 + (1 + 7 + 1) for the amount, (1 + 7 + 34) for the sender, (1 + 3 + 34) for the receiver.
    """
    zeros = sum(byte == 0 for byte in args)
    intrinsic = 21_000 + 4 * 16 + 16 * (len(args) - zeros) + 4 * zeros
    reads = 2 * (42 + 2_100)
    writes = (42 + 2_900) + (42 + theirs)
    return intrinsic + reads + writes + 375 + 375 + 8 * 90


@pytest.mark.parametrize("to,theirs", [(2, 2_900), (3, 20_000)], ids=["to who has some", "to who has none"])
def test_a_transfer_by_hand(to, theirs):
    on = network()
    payment = signed(on, 1, 0, "transfer", account(to), 30, contract="accounts")
    block, made = make(on, payment)
    assert len(payment.args) == 36
    assert made.receipts[0].gas == transfer_by_hand(payment.args, theirs)
    assert apply(on, block).receipts == made.receipts


def test_a_transfer_of_all_is_refunded():
    """What is stored is zero then, and a slot cleared."""
    on = network()
    payment = signed(on, 1, 0, "transfer", account(2), 100, contract="accounts")
    assert make(on, payment)[1].receipts[0].gas == transfer_by_hand(payment.args, 2_900) - 4_800


def test_a_refund_is_capped_at_a_fifth():
    """Of ten slots that are cleared, 48,000 would be refunded."""
    on = with_entries(network(), {b"lab/k": b"x" * 320})
    drop = signed(on, 1, 0, "drop", b"k")
    used = intrinsic_gas(drop.args) + 36 + 10 * 5_000
    assert used // 5 < 48_000
    assert make(on, drop)[1].receipts[0].gas == used - used // 5


@pytest.mark.parametrize("args,gas", [(b"", 21_064), (b"\x90", 21_080), (bytes(10), 21_104), (b"\0a\0", 21_088)])
def test_intrinsic_gas(args, gas):
    """21,000; 64 for the selector; 16 and 4 a byte."""
    assert intrinsic_gas(args) == gas


def test_steps_by_hand():
    state = WorldState.empty().apply(
        {b"lab/k": b"x" * 33, b"constant/lab/c": encode(b"y" * 62), b"lab/s/1": encode(1), b"lab/s/2": encode(2)},
        Version(1, 0),
    )
    assert cost(lambda ctx: ctx.sha256(b"")) == 60
    assert cost(lambda ctx: ctx.sha256(b"x" * 65)) == 60 + 3 * 12
    assert cost(lambda ctx: ctx.compute(7)) == 35
    assert cost(lambda ctx: ctx.block_id(2)) == 20
    assert cost(lambda ctx: ctx.version(b"k"), state) == 36 + 2_100
    assert cost(lambda ctx: (ctx.version(b"k"), ctx.version(b"k")), state) == 2 * 36 + 2_100 + 100
    assert cost(lambda ctx: ctx.constant(b"c", bytes), state) == 2 * 3
    assert cost(lambda ctx: ctx.emit("said")) == 375 + 375 + 8
    assert cost(lambda ctx: list(ctx.scan(b"none/", int)), state) == 36 + 2_100
    entry = 2_100 + 36 + 2_100
    assert cost(lambda ctx: list(ctx.scan(b"s/", int)), state) == 36 + 2_100 + 2 * entry
    assert cost(lambda ctx: next(ctx.scan(b"s/", int)), state) == 36 + 2_100 + entry


def test_own_writes_cost_a_scan_as_much_as_others():
    """When it begins, also those that it does not come to; so that nothing is gone through for nothing."""
    first = lambda ctx: next(ctx.scan(b"", int))  # noqa: E731 - one step, twice

    def written(ctx):
        for number in range(3):
            ctx.put(bytes([number]), number + 1)

    looked = cost(lambda ctx: (written(ctx), first(ctx))) - cost(written)
    assert looked == 36 + 2_100 + 3 * (2_100 + 36 + 100)


def test_operations_are_not_given_back():
    with pytest.raises(ValueError, match="-1"):
        context(Meter(10)).compute(-1)


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method,args", [("put_many", (10**6,)), ("count", (b"",)), ("spin", ()), ("digest", (10**9,))])
def test_out_of_gas__refused_with_nothing_changed_but_the_nonce(method, args):
    on = network(max_transaction_gas=LIMIT)
    on = with_entries(on, {b"lab/" + number.to_bytes(4, "big"): encode(0) for number in range(3_000)})
    block, made = make(on, signed(on, 1, 0, method, *args))
    (receipt,) = made.receipts
    assert (receipt.ok, receipt.reason, receipt.gas, receipt.events) == (False, "out_of_gas", LIMIT, ())
    untouched = on.state.apply({nonce_key(account(1)): encode(1)}, Version(1, 0))
    assert made.state.root == reward(on, untouched, PRODUCER, Version(1, 1)).root
    assert apply(on, block).receipts == made.receipts


def test_a_refused_call_says_what_it_cost():
    """Two slots that were new and an event; nothing is refunded for what is undone."""
    on = network()
    call = signed(on, 2, 0, "put_and_refuse", b"k")
    said = 375 + 375 + 8 * (len(encode((("account", account(2)), ("amount", 5), ("by", "lab")))))
    said += 375 + 375 + 8 * len(encode((("key", b"k"),)))
    balance = (42 + 2_100) + (42 + 2_900)
    assert make(on, call)[1].receipts[0].gas == intrinsic_gas(call.args) + (36 + 22_100) + balance + said


def test_refunds_are_no_gas_to_go_on_with():
    meter = Meter(100)
    meter.refund = 50
    meter.charge(100)
    with pytest.raises(Refused, match="out_of_gas"):
        meter.charge(1)
    assert (meter.used, meter.spent) == (100, 80)


def test_a_block_holds_what_its_gas_allows_and_the_next_goes_on():
    on = network(max_transaction_gas=LIMIT, max_block_gas=LIMIT)
    big, small = signed(on, 1, 0, "put_many", 44), signed(on, 2, 0, "put_many", 1)
    second = signed(on, 1, 1, "put_many", 44)
    block, made = make(on, big, second, small)
    assert block.transactions == (big,)  # nobody overtakes: who waits longest is next
    assert LIMIT // 2 < made.receipts[0].gas < LIMIT
    assert make(on, small, big, second)[0].transactions == (small, big)
    apply(on, block)


def test_a_call_that_ran_out_of_gas_fills_its_block():
    on = network(max_transaction_gas=LIMIT, max_block_gas=LIMIT + 21_000)
    runaway, payment = signed(on, 1, 0, "spin"), signed(on, 2, 0, "transfer", account(1), 1, contract="accounts")
    assert make(on, runaway, payment)[0].transactions == (runaway,)
    assert make(on, payment, runaway)[0].transactions == (payment,)


def test_a_block_with_more_gas__rejected():
    """By whoever keeps the rule, from a miner that does not."""
    strict = network(max_transaction_gas=LIMIT, max_block_gas=LIMIT)
    lax = Network(
        replace(strict.genesis, ledger=replace(strict.pow, max_block_gas=10**9)),
        strict.registry,
        strict.block,
        strict.state,
        strict.id,
    )
    block, _ = make(lax, *(signed(strict, 1, nonce, "put_many", 44) for nonce in range(2)))
    assert len(block.transactions) == 2
    apply(lax, block)
    with pytest.raises(InvalidBlockError, match=f"transaction 1: more than {LIMIT} gas"):
        apply(strict, block)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_transaction_gas": MIN_TRANSACTION_GAS - 1},
        {"max_transaction_gas": LIMIT, "max_block_gas": LIMIT - 1},
    ],
)
def test_genesis__reject(changes):
    with pytest.raises(GenesisError, match="gas"):
        network(**changes)


def test_the_largest_arguments_can_be_afforded():
    on = network(max_transaction_gas=MIN_TRANSACTION_GAS, max_block_gas=MIN_TRANSACTION_GAS)
    block, made = make(on, signed(on, 1, 0, "count", b"z" * (MAX_ARGS_BYTES - 10)))
    assert made.receipts[0].ok and block.transactions
