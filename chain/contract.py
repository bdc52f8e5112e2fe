"""How contracts are written, found and run.

A contract is a module of plain functions `(ctx, typed arguments…)`, marked `@call` (may write) or `@query` (may not).
All that it sees is its `Context`, which is the same in every replay on every replica: no clock, no current height, no
current block id. It refuses with `ctx.refuse`; then nothing but the sender's nonce changes. Any other exception is a
bug in the contract and stops the replica: swallowing it would let replicas with different bugs disagree in silence.
"""

import inspect
import types
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NoReturn, TypeVar, get_type_hints

from chain.codec import decode, decode_own, encode
from chain.errors import MalformedError, Refused
from chain.gas import BLOCK_HASH, LOG, LOG_DATA, LOG_TOPIC, LOW, VERY_LOW, Meter, sha256_gas, words
from chain.ledgers.ordered.policy import Policy, PolicyError
from chain.state import Version, WorldState
from chain.storage_gas import StorageMeter
from chain.values import MAX_ARGS_BYTES, MAX_DETAIL, MAX_INT, Account, BlockId, Event, TxId

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Key = bytes
"""A key within one contract's part of the state."""
BlockIdAt = Callable[[int], BlockId | None]
"""The id of the final block at a height; None while that height is not final for the block being executed."""

_MARK: Final = "__contract_kind__"
PURSES: Final = b"accounts/purse/"
"""Where all that contracts hold is, by contract and purse."""
CONSTANTS: Final = "constant"
"""Where in the world state that is which genesis alone writes. No contract has this name, so none writes there."""
MAX_QUERY_BYTES = 1024 * 1024


def call(function: F) -> F:
    """Mark a function of a contract that a transaction may name as its method."""
    setattr(function, _MARK, "call")
    return function


def query(function: F) -> F:
    """Mark a function of a contract that reads, and that any node answers without a transaction."""
    setattr(function, _MARK, "query")
    return function


def encode_args(*args: object) -> bytes:
    """What `Transaction.args` carries: the canonical array of the arguments."""
    return encode(args)


def state_key(contract: str, key: Key) -> bytes:
    """Where a contract's key is in the world state. Contract names have no ``/``, so no two contracts overlap."""
    return contract.encode() + b"/" + key


def balance_key(account: Account) -> bytes:
    """Whole key of an account's balance, an int in micro-credits. Owned by `chain.contracts.accounts`."""
    return b"accounts/balance/" + account


def purse_key(contract: str, purse: Key) -> bytes:
    """Whole key of what a contract holds in a purse, an int in micro-credits; absent means 0. Part of the supply."""
    return PURSES + state_key(contract, purse)


def nonce_key(account: Account) -> bytes:
    """Whole key of an account's next nonce, an int; absent means 0."""
    return b"accounts/nonce/" + account


def constant_key(contract: str, key: Key) -> bytes:
    """Whole key of what a contract was founded with: genesis writes it, and nobody after it."""
    return state_key(CONSTANTS, state_key(contract, key))


def key_policy_key(key: bytes) -> bytes:
    """Where the endorsement policy of one whole key is, a text; absent means its contract's. Ordered ledgers obey it."""
    return b"policy/" + key


@dataclass(slots=True)
class RangeRead:
    """A scan as far as it went: what must be found again for it to be valid still."""

    prefix: bytes
    start: bytes
    found: list[tuple[bytes, Version]] = field(default_factory=list)
    exhausted: bool = False


class Context:
    """All that a contract can see. Writes are seen by later reads of the same context, and by nobody else."""

    def __init__(
        self,
        state: WorldState,
        contract: str,
        *,
        sender: Account,
        tx: TxId,
        time_ms: int,
        block_id_at: BlockIdAt,
        gas: Meter | None = None,
        read_only: bool = False,
    ) -> None:
        """Without `gas`, nothing is limited: for queries, and for what the ledger does by itself.

        `gas` is that of one call: nothing is warm yet for the storage that it meters, and what is in `state` is original.
        """
        self.sender = sender
        self.tx = tx
        self.time_ms = time_ms
        """Proof of work: the block's; ordered: the proposal's. On queries: the head's."""
        self.writes: dict[bytes, bytes | None] = {}
        """Whole key → new value, None to delete."""
        self.reads: dict[bytes, Version | None] = {}
        """Whole key → the version that was there, None when nothing was.

        Not of what is written unread, as in Fabric, though what that costs depends on what is there.
        """
        self.ranges: list[RangeRead] = []
        self.events: list[Event] = []
        self._state = state
        self._contract = contract
        self._prefix = state_key(contract, b"")
        self._block_id_at = block_id_at
        meter = gas or Meter(MAX_INT)
        self._charge = meter.charge
        self._storage = StorageMeter(meter)
        self._written: list[bytes] = []
        """Keys of `writes`, sorted."""
        self._read_only = read_only

    def get(self, key: Key, type_: type[T]) -> T | None:
        """The value at `key`, or None."""
        data = self._read(self._prefix + key)
        return None if data is None else decode_own(type_, data)

    def put(self, key: Key, value: object) -> None:
        """Write a value made of what `chain.codec.encode` takes. Never None: that is `delete`."""
        self._write(self._prefix + key, encode(value))

    def delete(self, key: Key) -> None:
        """Nothing is at `key` from now on; it need not be there."""
        self._write(self._prefix + key, None)

    def scan(self, prefix: Key, type_: type[T], *, start: Key = b"") -> Iterator[tuple[Key, T]]:
        """(key, value) for the keys that begin with `prefix`, in order, from `start` (a whole key, included) on.

        Own writes made before the scan are seen, those made during it are not. The call pays for all of those when the scan
        begins, for what was there before as the scan comes to it.
        """
        whole, first = self._prefix + prefix, self._prefix + max(prefix, start)
        self._storage.begin(whole)
        own = self._own(whole, first)
        for key, value in own:
            self._storage.step(key, value)
        masked = {key for key, _ in own}
        trace = RangeRead(whole, first)
        self.ranges.append(trace)
        cut = len(self._prefix)
        at = 0
        for key, entry in self._state.scan(whole, start=first):
            self._storage.step(key, entry.value)
            trace.found.append((key, entry.version))
            while at < len(own) and own[at][0] < key:
                if (value := own[at][1]) is not None:
                    yield own[at][0][cut:], decode_own(type_, value)
                at += 1
            if key not in masked:
                yield key[cut:], decode_own(type_, entry.value)
        trace.exhausted = True
        for key, value in own[at:]:
            if value is not None:
                yield key[cut:], decode_own(type_, value)

    def constant(self, key: Key, type_: type[T]) -> T:
        """What the contract was founded with under `key`, as Solidity's immutables are: part of the code, not of storage.

        It cannot change, so no ledger takes it for something read. Raises LookupError where genesis has no such thing.
        """
        whole = constant_key(self._contract, key)
        data = self._state.get(whole)
        if data is None:
            raise LookupError(f"genesis has no {whole!r}")
        self._charge(VERY_LOW * words(len(data)))
        found: T = _founded(type_, data)  # type: ignore[arg-type] # a class has a hash
        return found

    def set_policy(self, key: Key, policy: str | None) -> None:
        """Say whose endorsements writing `key` needs from the next transaction on; None: the contract's own again.

        On an ordered ledger (`chain.ledgers.ordered.policy` has the syntax); proof of work keeps it and has no use for it.
        Raises Refused (``bad_policy``).
        """
        if policy is not None:
            try:
                Policy.parse(policy)
            except PolicyError as error:
                raise Refused("bad_policy", str(error)) from None
        self._write(key_policy_key(self._prefix + key), None if policy is None else policy.encode())

    def version(self, key: Key) -> Version | None:
        """Which transaction last wrote `key` before this one; None when it is not there.

        Counts as a read, and costs one of a slot: as if the version lay in the entry's first.
        """
        whole = self._prefix + key
        self._storage.read(whole, None)
        version = self._state.version(whole)
        self.reads.setdefault(whole, version)
        return version

    def block_id(self, height: int) -> BlockId:
        """Id of the final block at `height`, a source of chance that nobody chose after that height was mined.

        Raises Refused (``draw_not_ready``) while it is not final.
        """
        self._charge(BLOCK_HASH)
        found = self._block_id_at(height)
        if found is None:
            raise Refused("draw_not_ready", f"block {height} is not final yet")
        return found

    def sha256(self, data: bytes) -> bytes:
        """SHA-256 of `data`: 32 bytes. A contract hashes with this, for what it hashes may be long."""
        self._charge(sha256_gas(len(data)))
        return sha256(data).digest()

    def compute(self, operations: int) -> None:
        """Say that so many operations on numbers are to follow: a contract does where their count depends on the state."""
        if operations < 0:
            raise ValueError(f"{operations} operations")
        self._charge(LOW * operations)

    def emit(self, event: str, **fields: object) -> None:
        """Say something to whoever listens; fields are sorted by name."""
        self._emit(self._contract, event, fields)

    def pay(self, to: Account, amount: int) -> int:
        """Mint `amount` micro-credits (0 or more) for `to`; returns what was minted, which emits ``accounts.minted``.

        A balance never exceeds MAX_INT: what would not fit is not minted.
        """
        if amount < 0:
            raise ValueError(f"cannot mint {amount}")
        key = balance_key(to)
        balance = self._amount(key)
        minted = min(amount, MAX_INT - balance)
        if minted:
            self._write(key, encode(balance + minted))
            self._emit("accounts", "minted", {"account": to, "amount": minted, "by": self._contract})
        return minted

    def lock(self, purse: Key, amount: int) -> None:
        """Put `amount` micro-credits (0 or more) of the sender's into a purse of this contract.

        A purse of its own for each thing that money is held for: calls that share one would conflict on an ordered ledger.
        Raises Refused (``insufficient_balance``; ``purse_overflow``: what did not fit into a balance before is in there still).
        """
        if amount < 0:
            raise ValueError(f"cannot lock {amount}")
        if amount == 0:
            return
        balance = self._amount(balance_key(self.sender))
        if balance < amount:
            raise Refused("insufficient_balance", f"has {balance}, needs {amount}")
        whole = purse_key(self._contract, purse)
        held = self._amount(whole)
        if held + amount > MAX_INT:
            raise Refused("purse_overflow", f"holds {held}")
        self._write(balance_key(self.sender), encode(balance - amount))
        self._write(whole, encode(held + amount))
        self._emit("accounts", "locked", {"account": self.sender, "amount": amount, "by": self._contract})

    def release(self, purse: Key, to: Account, amount: int) -> int:
        """Pay `amount` micro-credits out of a purse; returns what was paid, which emits ``accounts.released``.

        What would make a balance exceed MAX_INT stays. Raises ValueError when the purse does not hold so much.
        """
        whole = purse_key(self._contract, purse)
        held = self._amount(whole)
        if not 0 <= amount <= held:
            raise ValueError(f"cannot release {amount} of {held}")
        key = balance_key(to)
        balance = self._amount(key)
        paid = min(amount, MAX_INT - balance)
        if paid:
            self._write(key, encode(balance + paid))
            self._write(whole, encode(held - paid) if held > paid else None)
            self._emit("accounts", "released", {"account": to, "amount": paid, "by": self._contract})
        return paid

    def locked(self, purse: Key) -> int:
        """Micro-credits in a purse of this contract."""
        return self._amount(purse_key(self._contract, purse))

    def refuse(self, reason: str, detail: str = "") -> NoReturn:
        """End the call with nothing changed but the sender's nonce. `reason` is a snake_case name."""
        raise Refused(reason, detail)

    def _amount(self, whole: bytes) -> int:
        data = self._read(whole)
        return 0 if data is None else decode_own(int, data)

    def _read(self, whole: bytes) -> bytes | None:
        if whole in self.writes:
            value = self.writes[whole]
        else:
            entry = self._state.entry(whole)
            value, version = (None, None) if entry is None else entry
            self.reads.setdefault(whole, version)
        self._storage.read(whole, value)
        return value

    def _write(self, whole: bytes, value: bytes | None) -> None:
        if self._read_only:
            raise RuntimeError(f"a query of {self._contract} writes")
        original = self._state.get(whole)
        if whole in self.writes:
            current = self.writes[whole]
        else:
            current = original
            insort(self._written, whole)
        self._storage.write(whole, original, current, value)
        self.writes[whole] = value

    def _own(self, prefix: bytes, first: bytes) -> list[tuple[bytes, bytes | None]]:
        """Own writes to keys that begin with `prefix`, in order, from `first` on."""
        own = []
        for at in range(bisect_left(self._written, first), len(self._written)):
            key = self._written[at]
            if not key.startswith(prefix):
                break
            own.append((key, self.writes[key]))
        return own

    def _emit(self, contract: str, name: str, fields: Mapping[str, object]) -> None:
        if self._read_only:
            raise RuntimeError(f"a query of {self._contract} emits {name}")
        data = encode(tuple(sorted(fields.items())))
        self._charge(LOG + LOG_TOPIC + LOG_DATA * len(data))
        self.events.append(Event(contract, name, data))


@lru_cache(maxsize=64)
def _founded(type_: Any, data: bytes) -> Any:
    """A constant's value, decoded once: it is a frozen one."""
    return decode_own(type_, data)


def event_fields(event: Event) -> dict[str, Any]:
    """What `emit` was given: ids and accounts as bytes, tuples as tuples."""
    pairs: tuple[tuple[str, Any], ...] = decode_own(tuple[tuple[str, Any], ...], event.data)
    return dict(pairs)


@dataclass(frozen=True, slots=True)
class Method:
    """One function of a contract, with the types of its arguments and of what it returns."""

    function: Callable[..., Any]
    is_query: bool
    arguments: Any
    returns: Any

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Method":
        hints = get_type_hints(function, include_extras=True)
        names = list(inspect.signature(function).parameters)[1:]
        missing = [name for name in [*names, "return"] if name not in hints]
        if missing:
            raise TypeError(f"{function.__module__}.{function.__qualname__} does not say the type of {missing}")
        arguments = types.GenericAlias(tuple, tuple(hints[name] for name in names))
        return cls(function, getattr(function, _MARK) == "query", arguments, hints["return"])

    def decode_args(self, args: bytes) -> tuple[Any, ...]:
        """Raises Refused (``malformed_arguments``)."""
        try:
            decoded: tuple[Any, ...] = decode(self.arguments, args, limit=MAX_ARGS_BYTES)
            return decoded
        except MalformedError as error:
            raise Refused("malformed_arguments", str(error)) from None


class Registry:
    """The contracts of a network, by name."""

    def __init__(self, contracts: Mapping[str, types.ModuleType]) -> None:
        """Raises ValueError for a name that no contract may have."""
        if CONSTANTS in contracts:
            raise ValueError(f"a contract cannot be called {CONSTANTS}")
        self._methods: dict[str, dict[str, Method]] = {}
        for name, module in contracts.items():
            marked = {n: f for n, f in vars(module).items() if inspect.isfunction(f) and hasattr(f, _MARK)}
            self._methods[name] = {n: Method.of(f) for n, f in marked.items()}

    @property
    def contracts(self) -> tuple[str, ...]:
        """Names, sorted."""
        return tuple(sorted(self._methods))

    def has(self, contract: str) -> bool:
        return contract in self._methods

    @property
    def methods(self) -> tuple[tuple[str, str, Method], ...]:
        """Calls and queries of all contracts as (contract, name, method), sorted."""
        return tuple(
            (contract, name, methods[name])
            for contract, methods in sorted(self._methods.items())
            for name in sorted(methods)
        )

    def method(self, contract: str, name: str, *, is_query: bool) -> Method:
        """Raises Refused (``unknown_contract``, ``unknown_method``)."""
        methods = self._methods.get(contract)
        if methods is None:
            raise Refused("unknown_contract", contract)
        method = methods.get(name)
        if method is None or method.is_query != is_query:
            raise Refused("unknown_method", f"{contract}.{name}")
        return method

    def run(self, context: Context, contract: str, name: str, args: bytes) -> bytes:
        """Carry out a call in `context`; returns the encoded result. Raises Refused; then drop the context."""
        method = self.method(contract, name, is_query=False)
        return encode(method.function(context, *method.decode_args(args)))

    def query(
        self, state: WorldState, contract: str, name: str, args: bytes, *, time_ms: int, sender: Account | None = None
    ) -> bytes:
        """Answer a query on `state`; `time_ms` is its block's. Returns the encoded result. Raises Refused."""
        method = self.method(contract, name, is_query=True)
        context = Context(
            state,
            contract,
            sender=sender or Account(bytes(32)),
            tx=TxId(bytes(32)),
            time_ms=time_ms,
            block_id_at=lambda _: None,
            read_only=True,
        )
        return encode(method.function(context, *method.decode_args(args)))

    def result(self, contract: str, name: str, data: bytes, *, is_query: bool = True) -> Any:
        """The typed value of an encoded result, for whoever asked. Raises Refused, MalformedError."""
        method = self.method(contract, name, is_query=is_query)
        return decode(method.returns, data, limit=MAX_QUERY_BYTES)


def bounded_detail(error: Refused) -> str:
    """The part of a refusal's detail that fits into a receipt."""
    return error.detail[:MAX_DETAIL]
