"""A contract for tests of the ordered ledger: numbers in drawers, and every way to read and write them."""

from chain.contract import Context, call, query
from chain.values import AccountField, Natural


@call
def put(ctx: Context, key: bytes, value: int) -> None:
    """Blind: nothing is read."""
    ctx.put(key, value)
    ctx.emit("put", key=key, value=value)


@call
def put_many(ctx: Context, first: Natural, count: Natural, size: Natural) -> None:
    for number in range(first, first + count):
        ctx.put(b"many/%06d" % number, b"x" * size)


@call
def replace(ctx: Context, key: bytes, value: int) -> int | None:
    """Returns what was there."""
    before = ctx.get(key, int)
    ctx.put(key, value)
    return before


@call
def delete(ctx: Context, key: bytes) -> None:
    ctx.delete(key)


@call
def copy(ctx: Context, source: bytes, target: bytes) -> int:
    value = ctx.get(source, int) or 0
    ctx.put(target, value)
    return value


@call
def increment(ctx: Context, key: bytes) -> int:
    value = (ctx.get(key, int) or 0) + 1
    ctx.put(key, value)
    return value


@call
def increment_twice(ctx: Context, key: bytes) -> int:
    """Reads what it wrote."""
    increment(ctx, key)
    return increment(ctx, key)


@call
def transfer(ctx: Context, source: bytes, target: bytes, amount: Natural) -> None:
    have = ctx.get(source, int) or 0
    if have < amount:
        ctx.refuse("too_little", f"{have}")
    ctx.put(source, have - amount)
    ctx.put(target, (ctx.get(target, int) or 0) + amount)


@call
def total_to(ctx: Context, prefix: bytes, target: bytes) -> int:
    """An exhausted scan."""
    found = sum(value for _, value in ctx.scan(prefix, int))
    ctx.put(target, found)
    return found


@call
def first_to(ctx: Context, prefix: bytes, count: Natural, target: bytes) -> list[bytes]:
    """A scan that ends with the `count`-th key."""
    found = []
    for key, _ in ctx.scan(prefix, int):
        found.append(key)
        if len(found) == count:
            break
    ctx.put(target, len(found))
    return found


@call
def put_then_total(ctx: Context, key: bytes, value: int, prefix: bytes) -> int:
    """A scan that sees its own write."""
    ctx.put(key, value)
    return sum(one for _, one in ctx.scan(prefix, int))


@call
def read_many(ctx: Context, count: Natural) -> None:
    for number in range(count):
        ctx.get(b"%d" % number, int)


@call
def scan_often(ctx: Context, count: Natural) -> None:
    for _ in range(count):
        list(ctx.scan(b"nothing", int))


@call
def say_often(ctx: Context, count: Natural) -> None:
    for number in range(count):
        ctx.emit("said", number=number)


@call
def guard(ctx: Context, key: bytes, policy: str | None) -> None:
    """Give a key a policy of its own."""
    ctx.set_policy(key, policy)


@call
def mint(ctx: Context, to: AccountField, amount: Natural) -> int:
    """Writes what is another contract's."""
    return ctx.pay(to, amount)


@call
def say(ctx: Context, what: bytes) -> None:
    """Writes nothing."""
    ctx.emit("said", what=what)


@call
def look_up_block(ctx: Context, height: Natural) -> bytes:
    return ctx.block_id(height)


@call
def at(ctx: Context, key: bytes) -> int:
    """Uses the time that the proposal has."""
    ctx.put(key, ctx.time_ms)
    return ctx.time_ms


@call
def crash(ctx: Context) -> int:
    return 1 // int(ctx.time_ms < 0)


@query
def get(ctx: Context, key: bytes) -> int | None:
    return ctx.get(key, int)


@query
def total(ctx: Context, prefix: bytes) -> int:
    return sum(value for _, value in ctx.scan(prefix, int))
