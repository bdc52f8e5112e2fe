"""What contracts can see and do, and how they are found."""

import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.codec import encode
from chain.contract import Context, Registry, balance_key, call, encode_args, event_fields, purse_key
from chain.contracts.accounts import balance_of, supply
from chain.errors import MalformedError, Refused
from chain.state import Version, WorldState
from chain.values import MAX_INT, BlockId, TxId
from tests.chain import lab
from tests.strategies import account

REGISTRY = Registry({"lab": lab})
EMPTY = WorldState.empty()
FILLED = EMPTY.apply({b"lab/" + bytes([n]): encode(n) for n in range(0, 10, 2)}, Version(3, 1))


def context(state=EMPTY, *, contract="lab", read_only=False):
    return Context(
        state,
        contract,
        sender=account(1),
        tx=TxId(bytes(32)),
        time_ms=5,
        block_id_at={2: BlockId(b"\x02" * 32)}.get,
        read_only=read_only,
    )


def reason(function, *args, **kwargs):
    with pytest.raises(Refused) as refusal:
        function(*args, **kwargs)
    return refusal.value.reason


def test_a_context_reads_its_own_writes():
    ctx = context(FILLED)
    assert ctx.get(b"\x02", int) == 2
    ctx.put(b"\x02", 7)
    assert ctx.get(b"\x02", int) == 7
    ctx.delete(b"\x02")
    assert ctx.get(b"\x02", int) is None
    assert ctx.writes == {b"lab/\x02": None}
    assert FILLED.get(b"lab/\x02") == encode(2)


def test_reads_are_recorded_with_the_version_that_was_there():
    ctx = context(FILLED)
    ctx.get(b"\x02", int)
    ctx.get(b"\x03", int)
    ctx.put(b"\x03", 1)
    ctx.get(b"\x03", int)
    assert ctx.version(b"\x04") == Version(3, 1)
    assert ctx.version(b"\x05") is None
    ctx.put(b"\x09", 1)
    expected = {b"\x02": Version(3, 1), b"\x03": None, b"\x04": Version(3, 1), b"\x05": None}
    assert ctx.reads == {b"lab/" + key: version for key, version in expected.items()}


@given(
    writes=st.dictionaries(st.integers(0, 12), st.one_of(st.none(), st.integers(0, 99)), max_size=8),
    start=st.integers(0, 12),
)
def test_a_scan_sees_state_and_own_writes_in_order(writes, start):
    ctx = context(FILLED)
    model = {n: n for n in range(0, 10, 2)}
    for n, value in writes.items():
        if value is None:
            ctx.delete(bytes([n]))
            model.pop(n, None)
        else:
            ctx.put(bytes([n]), value)
            model[n] = value
    expected = [(bytes([n]), value) for n, value in sorted(model.items()) if n >= start]
    assert list(ctx.scan(b"", int, start=bytes([start]))) == expected
    (trace,) = ctx.ranges
    assert trace.exhausted
    assert trace.found == [(b"lab/" + bytes([n]), Version(3, 1)) for n in range(0, 10, 2) if n >= start]


def test_a_scan_records_no_more_than_it_read():
    ctx = context(FILLED)
    scan = ctx.scan(b"", int)
    assert [next(scan), next(scan)] == [(b"\x00", 0), (b"\x02", 2)]
    (trace,) = ctx.ranges
    assert [key for key, _ in trace.found] == [b"lab/\x00", b"lab/\x02"] and not trace.exhausted


def test_contracts_do_not_see_each_other():
    other = EMPTY.apply({b"labs/\x00": encode(1), b"la/\x00": encode(2)}, Version(1, 0))
    assert list(context(other).scan(b"", int)) == []
    assert context(other).get(b"\x00", int) is None


def test_events_are_sorted_by_field():
    ctx = context()
    ctx.emit("seen", zebra=1, apple=b"x", mango=(1, 2))
    (event,) = ctx.events
    assert event.data == encode((("apple", b"x"), ("mango", (1, 2)), ("zebra", 1)))
    assert list(event_fields(event)) == ["apple", "mango", "zebra"]


def test_paying_mints_and_says_so():
    ctx = context()
    assert ctx.pay(account(2), 0) == 0 and ctx.events == [] and ctx.writes == {}
    assert ctx.pay(account(2), 5) == 5 and ctx.pay(account(2), 6) == 6
    after = EMPTY.apply(ctx.writes, Version(1, 0))
    assert balance_of(after, account(2)) == 11
    said = [(event.contract, event.name, event_fields(event)["amount"]) for event in ctx.events]
    assert said == [("accounts", "minted", 5), ("accounts", "minted", 6)]


def test_a_balance_never_exceeds_the_largest_integer():
    ctx = context()
    assert ctx.pay(account(2), MAX_INT - 1) == MAX_INT - 1
    assert ctx.pay(account(2), 10) == 1
    assert ctx.pay(account(2), 10) == 0
    assert sum(event_fields(event)["amount"] for event in ctx.events) == MAX_INT


def test_negative_payments_are_bugs():
    with pytest.raises(ValueError, match="-1"):
        context().pay(account(2), -1)


def test_a_block_id_that_is_not_final__reject_draw_not_ready():
    assert context().block_id(2) == b"\x02" * 32
    assert reason(context().block_id, 3) == "draw_not_ready"


@pytest.mark.parametrize(
    "contract,method,args,expected",
    [
        ("nothing", "put", b"\x90", "unknown_contract"),
        ("lab", "nothing", b"\x90", "unknown_method"),
        ("lab", "unmarked", b"\x90", "unknown_method"),
        ("lab", "total", encode_args(b""), "unknown_method"),  # a query is no call
        ("lab", "put", encode_args(b"k"), "malformed_arguments"),
        ("lab", "put", encode_args(b"k", 1, 2), "malformed_arguments"),
        ("lab", "put", encode_args("k", 1), "malformed_arguments"),
        ("lab", "put", encode_args(b"k", True), "malformed_arguments"),
        ("lab", "put", b"\x92\xc4\x01k\xcc\x01", "malformed_arguments"),  # 1 in two bytes
        ("lab", "put", encode_args(b"k", 1) + b"\x00", "malformed_arguments"),
        ("lab", "put", encode_args(b"k" * 17_000, 1), "malformed_arguments"),
        ("lab", "mint", encode_args(b"short", 1), "malformed_arguments"),
        ("lab", "mint", encode_args(account(1), 2**63), "malformed_arguments"),
        ("lab", "put", b"", "malformed_arguments"),
    ],
)
def test_calls__reject(contract, method, args, expected):
    assert reason(REGISTRY.run, context(), contract, method, args) == expected


def test_calls_and_queries_return_typed_values():
    ctx = context()
    assert REGISTRY.run(ctx, "lab", "put", encode_args(b"k", 4)) == encode(None)
    assert REGISTRY.run(ctx, "lab", "put", encode_args(b"k", 5)) == encode(4)
    answer = REGISTRY.query(FILLED, "lab", "total", encode_args(b""), time_ms=1)
    assert REGISTRY.result("lab", "total", answer) == 20
    assert REGISTRY.result("lab", "put", encode(4), is_query=False) == 4
    with pytest.raises(MalformedError):
        REGISTRY.result("lab", "total", encode("twenty"))


def test_queries__reject():
    assert reason(REGISTRY.query, EMPTY, "lab", "put", encode_args(b"k", 1), time_ms=1) == "unknown_method"
    assert reason(REGISTRY.query, EMPTY, "lab", "total", b"\x90", time_ms=1) == "malformed_arguments"


def test_bugs_in_a_contract_surface():
    with pytest.raises(ZeroDivisionError):
        REGISTRY.run(context(), "lab", "crash", b"\x90")
    with pytest.raises(RuntimeError, match="writes"):
        REGISTRY.query(EMPTY, "lab", "writing_query", b"\x90", time_ms=1)


def test_constants_are_read_and_are_no_reads():
    state = EMPTY.apply({b"constant/lab/c": encode(7), b"constant/labs/c": encode(8)}, Version(0, 0))
    ctx = context(state)
    assert ctx.constant(b"c", int) == 7
    assert (ctx.reads, ctx.ranges) == ({}, [])
    with pytest.raises(LookupError, match="constant/lab/d"):
        ctx.constant(b"d", int)


def test_nobody_but_genesis_writes_constants():
    with pytest.raises(ValueError, match="constant"):
        Registry({"constant": lab})


def test_arguments_without_types_are_refused_at_start():
    module = types.ModuleType("untyped")

    @call
    def guess(ctx, anything):
        return anything

    module.guess = guess
    with pytest.raises(TypeError, match="anything"):
        Registry({"untyped": module})


def rich(balance, **purses):
    """A state in which account 1 has so much, and the laboratory's purses hold that."""
    held = {purse_key("lab", name.encode()): encode(amount) for name, amount in purses.items()}
    return EMPTY.apply({balance_key(account(1)): encode(balance)} | held, Version(1, 0))


def after(state, ctx):
    return state.apply(ctx.writes, Version(2, 0))


def test_locking_moves_money_into_a_purse_and_says_so():
    state = rich(10)
    ctx = context(state)
    ctx.lock(b"a", 3)
    ctx.lock(b"a", 4)
    ctx.lock(b"b", 3)
    assert (ctx.locked(b"a"), ctx.locked(b"b"), ctx.locked(b"c")) == (7, 3, 0)
    assert reason(ctx.lock, b"a", 1) == "insufficient_balance"
    assert balance_of(after(state, ctx), account(1)) == 0
    assert supply(after(state, ctx)) == 10
    assert [(event.name, event_fields(event)["amount"]) for event in ctx.events] == [
        ("locked", 3),
        ("locked", 4),
        ("locked", 3),
    ]
    assert context(after(state, ctx), contract="labs").locked(b"a") == 0  # another contract's purses are its own


def test_releasing_pays_out_of_a_purse_and_an_empty_one_is_gone():
    state = rich(0, a=10)
    ctx = context(state)
    assert ctx.release(b"a", account(2), 4) == 4 and ctx.release(b"a", account(1), 6) == 6
    assert ctx.locked(b"a") == 0 and purse_key("lab", b"a") not in after(state, ctx)
    assert (balance_of(after(state, ctx), account(1)), balance_of(after(state, ctx), account(2))) == (6, 4)
    assert supply(after(state, ctx)) == 10
    assert [event_fields(event)["by"] for event in ctx.events] == ["lab", "lab"]


def test_nothing_is_moved_without_a_trace():
    ctx = context(rich(5, a=5))
    ctx.lock(b"a", 0)
    assert ctx.release(b"a", account(2), 0) == 0 and ctx.release(b"b", account(2), 0) == 0
    assert (ctx.writes, ctx.events) == ({}, [])


@pytest.mark.parametrize("purse,amount", [(b"a", 6), (b"a", -1), (b"b", 1), (b"a", MAX_INT)])
def test_releasing_more_than_there_is_is_a_bug(purse, amount):
    ctx = context(rich(5, a=5))
    with pytest.raises(ValueError, match=str(amount)):
        ctx.release(purse, account(2), amount)
    assert (ctx.writes, ctx.events) == ({}, [])


def test_locking_less_than_nothing_is_a_bug():
    with pytest.raises(ValueError, match="-1"):
        context(rich(5)).lock(b"a", -1)


def test_what_does_not_fit_into_a_balance_stays_in_the_purse():
    state = rich(MAX_INT - 3, a=10)
    ctx = context(state)
    assert ctx.release(b"a", account(1), 10) == 3
    assert ctx.release(b"a", account(1), 7) == 0
    assert ctx.locked(b"a") == 7
    assert [event_fields(event)["amount"] for event in ctx.events] == [3]
    assert supply(after(state, ctx)) == MAX_INT + 7


def test_a_purse_never_holds_more_than_the_largest_integer():
    state = rich(MAX_INT, a=1)
    ctx = context(state)
    assert reason(ctx.lock, b"a", MAX_INT) == "purse_overflow"
    assert (ctx.writes, ctx.events) == ({}, [])
    ctx.lock(b"a", MAX_INT - 1)
    assert ctx.locked(b"a") == MAX_INT
    assert reason(ctx.lock, b"a", 1) == "purse_overflow"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, MAX_INT) | st.integers(0, 9)), max_size=12))
def test_locking_and_releasing_keep_the_sum(moves):
    state = rich(9, a=MAX_INT - 4, b=2)
    ctx = context(state)
    for lock, amount in moves:
        for purse in (b"a", b"b"):
            try:
                if lock:
                    ctx.lock(purse, amount)
                else:
                    ctx.release(purse, account(1), min(amount, ctx.locked(purse)))
            except Refused:
                continue
    assert supply(after(state, ctx)) == supply(state)
    assert 0 <= balance_of(after(state, ctx), account(1)) <= MAX_INT
    assert 0 <= ctx.locked(b"a") <= MAX_INT and 0 <= ctx.locked(b"b") <= MAX_INT
