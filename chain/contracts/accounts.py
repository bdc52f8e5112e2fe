"""Money and nonces. Balances are in micro-credits; a key that was never paid has 0."""

from collections.abc import Iterable

from chain.codec import decode_own, encode
from chain.contract import PURSES, Context, balance_key, call, nonce_key, query
from chain.state import WorldState
from chain.values import MAX_INT, Account, AccountField, Natural

_BALANCE = b"balance/"
_NONCE = b"nonce/"


@call
def transfer(ctx: Context, to: AccountField, amount: Natural) -> None:
    """Give `amount` micro-credits of one's own to `to`. By anybody.

    Refused: ``zero_amount``; ``to_oneself``; ``insufficient_balance``; ``balance_overflow`` (the receiver's).
    """
    if amount == 0:
        ctx.refuse("zero_amount")
    if to == ctx.sender:
        ctx.refuse("to_oneself")
    mine = ctx.get(_BALANCE + ctx.sender, int) or 0
    if mine < amount:
        ctx.refuse("insufficient_balance", f"has {mine}, needs {amount}")
    theirs = ctx.get(_BALANCE + to, int) or 0
    if theirs + amount > MAX_INT:
        ctx.refuse("balance_overflow")
    ctx.put(_BALANCE + ctx.sender, mine - amount)
    ctx.put(_BALANCE + to, theirs + amount)
    ctx.emit("transferred", sender=ctx.sender, to=to, amount=amount)


@query
def balance(ctx: Context, account: AccountField) -> int:
    """Micro-credits of `account`."""
    return ctx.get(_BALANCE + account, int) or 0


@query
def nonce(ctx: Context, account: AccountField) -> int:
    """The nonce that the next transaction of `account` must have."""
    return ctx.get(_NONCE + account, int) or 0


def balance_of(state: WorldState, account: Account) -> int:
    """The same as the query, for those who hold the state."""
    data = state.get(balance_key(account))
    return 0 if data is None else decode_own(int, data)


def nonce_of(state: WorldState, account: Account) -> int:
    """The same as the query, for those who hold the state."""
    data = state.get(nonce_key(account))
    return 0 if data is None else decode_own(int, data)


def supply(state: WorldState) -> int:
    """All balances and all that contracts hold: genesis balances plus all that was minted, or money was made from nothing."""
    return _sum(state, b"accounts/" + _BALANCE) + held(state)


def held(state: WorldState) -> int:
    """Micro-credits in the purses of all contracts."""
    return _sum(state, PURSES)


def _sum(state: WorldState, part: bytes) -> int:
    return sum(decode_own(int, entry.value) for _, entry in state.scan(part))


def initial_balances(balances: Iterable[tuple[Account, int]]) -> dict[bytes, bytes | None]:
    """Genesis writes."""
    return {balance_key(account): encode(amount) for account, amount in balances if amount}
