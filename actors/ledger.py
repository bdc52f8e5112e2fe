"""What actors use of a ledger, whether their node holds one or asks a gateway."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import trio

from actors.identity import Identity
from chain.contract import encode_args
from chain.errors import Refused
from chain.keys import sign_transaction
from chain.values import Block, BlockId, Header, Receipt, Transaction, TxId

Stage = Literal["accepted", "included", "final"]
"""How far a transaction must have come: in a mempool, in a block, in a final block."""

# A refusal for one of these says that our idea of the next nonce is wrong, not that the call is.
NONCE_REFUSALS = frozenset({"nonce_too_low", "nonce_gap", "nonce_taken"})
NONCE_ATTEMPTS = 4


class OutcomeUnknownError(Exception):
    """The call may or may not have been carried out: no definite answer came in time. Ask again by its id."""

    def __init__(self, transaction: TxId, detail: str) -> None:
        super().__init__(f"transaction {transaction.hex()[:16]}: {detail}")
        self.transaction = transaction


class GatewayError(Exception):
    """No ledger node could be asked."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a transaction stands. `receipt` and `header` (of the block that holds it) are None while it waits."""

    transaction: TxId
    stage: Stage
    receipt: Receipt | None
    header: Header | None


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """A block of the best chain with its receipts, and whether it is final."""

    block: Block
    receipts: tuple[Receipt, ...]
    final: bool


@dataclass(frozen=True, slots=True)
class Heads:
    """How far a ledger node is."""

    head: Header
    final: Header


class Ledger(Protocol):
    """One account's access to the ledger."""

    identity: Identity

    async def call(
        self, contract: str, method: str, *args: Any, stage: Stage = "final", patience_s: float = 120.0
    ) -> Outcome:
        """Sign and send a call and wait until it is that far.

        Raises Refused when the ledger's rules do not allow it (nothing changed), OutcomeUnknownError when no answer
        came within `patience_s` seconds of the actor's time, GatewayError when nobody could be asked.
        """

    async def query(self, contract: str, method: str, *args: Any, at: Literal["head", "final"] = "head") -> Any:
        """Ask a read-only question. Raises Refused or GatewayError."""

    async def heads(self) -> Heads:
        """Head and last final block."""

    async def block(self, ref: BlockId | int) -> FoundBlock | None:
        """A block of the best chain by id or height."""

    async def headers(self, before: int | None, limit: int) -> Sequence[tuple[Header, int, int]]:
        """(header, transactions, bytes) of blocks below `before` (None: from the head), highest first."""

    async def waiting(self, limit: int) -> Sequence[Transaction]:
        """Transactions in the mempool of the node that is asked."""

    async def outcome(self, transaction: TxId) -> Outcome | None:
        """Where a transaction stands; None when the node has never seen it."""


class Sender:
    """Signs an account's transactions with consecutive nonces, however many tasks call at once.

    `next_nonce` asks the ledger for the account's next nonce, what waits in the mempool included;
    `submit` hands a transaction over and raises Refused.
    """

    def __init__(
        self,
        identity: Identity,
        next_nonce: Callable[[], Awaitable[int]],
        submit: Callable[[Transaction], Awaitable[None]],
    ) -> None:
        self._identity = identity
        self._next_nonce = next_nonce
        self._submit = submit
        self._nonce: int | None = None
        self._turn = trio.Lock()

    async def send(self, chain: BlockId, contract: str, method: str, args: tuple[Any, ...]) -> Transaction:
        """Sign and submit one call. Raises what `submit` raises; a wrong nonce is corrected and tried again."""
        encoded = encode_args(*args)
        async with self._turn:
            for attempt in range(NONCE_ATTEMPTS):
                nonce = await self._next_nonce() if self._nonce is None else self._nonce
                transaction = sign_transaction(self._identity.key, chain, nonce, contract, method, encoded)
                try:
                    await self._submit(transaction)
                except Refused as refused:
                    self._nonce = None
                    if refused.reason in NONCE_REFUSALS and attempt + 1 < NONCE_ATTEMPTS:
                        continue
                    raise
                except BaseException:
                    # Perhaps it arrived, perhaps not: the ledger knows.
                    self._nonce = None
                    raise
                self._nonce = nonce + 1
                return transaction
        raise AssertionError  # the last attempt returned or raised
