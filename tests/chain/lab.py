"""A contract for tests of the runtime: small on purpose, and wrong on request."""

from chain.contract import Context, call, query
from chain.values import AccountField, Natural


@call
def put(ctx: Context, key: bytes, value: int) -> int | None:
    """Returns what was there."""
    before = ctx.get(key, int)
    ctx.put(key, value)
    ctx.emit("put", value=value, key=key)
    return before


@call
def put_and_refuse(ctx: Context, key: bytes) -> None:
    ctx.put(key, 1)
    ctx.pay(ctx.sender, 5)
    ctx.emit("put", key=key)
    ctx.refuse("changed_my_mind", "d" * 1_000)


@call
def mint(ctx: Context, to: AccountField, amount: Natural) -> int:
    return ctx.pay(to, amount)


@call
def crash(ctx: Context) -> int:
    return 1 // int(ctx.time_ms < 0)


@call
def look_up_block(ctx: Context, height: Natural) -> bytes:
    return ctx.block_id(height)


@call
def guard(ctx: Context, key: bytes, policy: str | None) -> None:
    """Say who must endorse writing `key`."""
    ctx.set_policy(key, policy)


@call
def is_there(ctx: Context, key: bytes) -> bool:
    return ctx.version(key) is not None


@call
def drop(ctx: Context, key: bytes) -> None:
    ctx.delete(key)


@query
def total(ctx: Context, prefix: bytes) -> int:
    return sum(value for _, value in ctx.scan(prefix, int))


@query
def writing_query(ctx: Context) -> None:
    ctx.put(b"k", 1)


def unmarked(ctx: Context) -> None:
    ctx.put(b"k", 1)


@call
def put_many(ctx: Context, count: Natural) -> None:
    for number in range(count):
        ctx.put(number.to_bytes(4, "big"), number)


@call
def count(ctx: Context, prefix: bytes) -> int:
    return sum(1 for _ in ctx.scan(prefix, int))


@call
def spin(ctx: Context) -> None:
    """Never ends by itself."""
    while True:
        ctx.compute(1)


@call
def digest(ctx: Context, times: Natural) -> None:
    for _ in range(times):
        ctx.sha256(b"lab")
