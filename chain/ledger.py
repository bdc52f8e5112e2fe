"""The Ledger seam: what every ledger core is, the effects it returns, and what a node passes in.

A core is sans-IO. Its owner (`actors.node`) feeds it, and carries its effects out *in order*: `Save` is durable
before the `Committed` after it is acted upon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from chain.genesis import Network
from chain.state import WorldState
from chain.values import Account, Block, BlockId, Header, Receipt, Transaction, TxId, Value


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Publish to all ledger nodes. `topic` is ``"tx"`` or ``"blocks"``; `data` the canonical encoding."""

    topic: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a sync request to one peer; then call `LedgerCore.answered` with the response, or None when it failed."""

    peer: bytes
    request: bytes


@dataclass(frozen=True, slots=True)
class Save:
    """Make this durable, atomically: blocks (with receipts) that joined the tree, the head, what became final."""

    headers: tuple[Header, ...]
    """Final headers below `blocks` whose bodies this replica never had: it joined by a snapshot. Lowest first."""
    blocks: tuple[tuple[Block, tuple[Receipt, ...]], ...]
    head: BlockId
    final_height: int
    snapshot: WorldState | None
    """The state at `final_height`, when it is time to keep one."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A block joined the best chain, on top of the one committed before. It is not final yet."""

    block: Block
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Reorged:
    """These blocks left the best chain, highest first; `Committed` for the new branch follows."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Finalised:
    """A block of the best chain is now `finality_depth` deep and will never be reorganised away."""

    block: Block
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Jumped:
    """This replica, far behind, took over the final state after `header`, and never executed the blocks before it.

    `Committed` goes on with the block after `header`. What was committed and not final before was `Reorged`.
    """

    header: Header


@dataclass(frozen=True, slots=True)
class Dropped:
    """A transaction left the mempool without being in a block; `reason` is a snake_case name.

    After a `Jumped` it may be ``outcome_unknown``: its nonce, or on an ordered ledger its id, was used in a block that
    never was here, or may have been.
    """

    transaction: Transaction
    reason: str


@dataclass(frozen=True, slots=True)
class Penalise:
    """`peer` sent something provably wrong."""

    peer: bytes
    reason: str
    knew: bool = True
    """False: it may have passed on in good faith what it could not check either."""


class HeaderStatus(Enum):
    """What a header that breaks no rule is to a replica."""

    NEW = auto()
    KNOWN = auto()
    UNKNOWN_PARENT = auto()
    TOO_EARLY = auto()
    """Its time is more than `max_future_ms` after now. It may be taken later."""
    STALE = auto()
    """It forks below the final block, and came too late."""
    FORKED = auto()
    """Ordered: another block than ours, signed by an orderer all the same: worth telling, for it proves a lie."""


@dataclass(frozen=True, slots=True)
class Equivocated:
    """Ordered: there is a second block of that height with a good seal, so one of these orderers signed two."""

    height: int
    ours: BlockId
    other: BlockId
    signers: tuple[Account, ...]
    """Of the other one."""


@dataclass(frozen=True, slots=True)
class Disagreed:
    """Ordered: a member attests another state than ours after the same block."""

    height: int
    account: Account


@dataclass(frozen=True, slots=True)
class Diverged:
    """Ordered: so many members attest another state that this replica is the one that is wrong. It endorses no more."""

    height: int
    reason: str


LedgerEffect = (
    Broadcast
    | Ask
    | Save
    | Committed
    | Reorged
    | Finalised
    | Jumped
    | Dropped
    | Penalise
    | Equivocated
    | Disagreed
    | Diverged
)


class LedgerStatistics(Protocol):
    """What every replica tells people about itself; each kind of ledger adds its own."""

    @property
    def height(self) -> int:
        """Of the head."""

    @property
    def head(self) -> BlockId:
        """Id of the best chain's last block."""

    @property
    def final_height(self) -> int:
        """Of the last final block."""

    @property
    def pending(self) -> int:
        """Transactions that wait."""


class LedgerCore(Protocol):
    """One replica. All methods are synchronous, take the actor's time and leave the state as it was when they raise.

    Look-ups know the best chain alone: its blocks by id or height, genesis at 0.
    """

    # What it is. ------------------------------------------------------------------------------------------------

    @property
    def chain(self) -> BlockId:
        """Id of the genesis block: what transactions are signed for."""

    @property
    def network(self) -> Network:
        """Rules and contracts."""

    @property
    def head(self) -> Header:
        """Header of the best chain's last block."""

    @property
    def head_id(self) -> BlockId:
        """Id of `head`."""

    @property
    def final(self) -> Header:
        """Header of the last final block."""

    @property
    def state(self) -> WorldState:
        """World state after `head`."""

    @property
    def final_state(self) -> WorldState:
        """World state after `final`."""

    def statistics(self) -> LedgerStatistics:
        """Tell how far it is and what waits."""

    # Look-ups. --------------------------------------------------------------------------------------------------

    def block(self, ref: BlockId | int) -> Block | None:
        """Return a block by id or height; None when it is not there or its body is gone."""

    def header(self, ref: BlockId | int) -> Header | None:
        """Return a header by id or height, genesis included."""

    def receipts(self, ref: BlockId | int) -> tuple[Receipt, ...] | None:
        """Return the receipts of a block, in block order; None as for `block`."""

    def receipt(self, tx_id: TxId) -> tuple[Block, Receipt, int] | None:
        """Return where a transaction is: block, receipt, index in the block."""

    def proof(self, tx_id: TxId) -> Value | None:
        """Return what convinces a light client of a transaction's outcome, of a type that the kind of ledger has.

        None until it is final, and when nothing can be proven here.
        """

    def is_final(self, block_id: BlockId) -> bool:
        """Tell whether that block is final."""

    def pending(self, limit: int = 100) -> tuple[Transaction, ...]:
        """Return the first `limit` transactions that wait, in order of arrival."""

    def pending_transaction(self, tx_id: TxId) -> Transaction | None:
        """Return a transaction that waits."""

    def query(self, contract: str, method: str, args: bytes, *, final: bool = False) -> bytes:
        """Answer a contract's query after the head, or after the last final block. Raises Refused."""

    # Blocks. How transactions come in is each ledger's own. ------------------------------------------------------

    def check_block(self, block: Block, now_ms: int) -> HeaderStatus:
        """Judge a block for gossip without changing anything, by all that can be checked without executing it.

        Raises InvalidBlockError naming the broken rule.
        """

    def receive_block(self, peer: bytes, block: Block, now_ms: int) -> Sequence[LedgerEffect]:
        """Take a block. Raises InvalidBlockError; unknown parents start a sync."""

    # Other nodes, and time. ---------------------------------------------------------------------------------------

    def peer_up(self, peer: bytes, now_ms: int) -> Sequence[LedgerEffect]:
        """Another ledger node can be asked."""

    def peer_down(self, peer: bytes, now_ms: int) -> Sequence[LedgerEffect]:
        """It cannot any more."""

    def answer(self, peer: bytes, request: bytes) -> bytes:
        """Serve a sync request of another node. Raises MalformedError."""

    def answered(self, peer: bytes, request: bytes, response: bytes | None, now_ms: int) -> Sequence[LedgerEffect]:
        """The response to an `Ask`, or None when the peer failed to give one."""

    def tick(self, now_ms: int) -> Sequence[LedgerEffect]:
        """Do what is due."""

    def next_deadline_ms(self) -> int | None:
        """When to tick next; None when nothing is due."""
