"""What survives a restart: blocks with receipts, the head, what is final, and now and then the state.

`Store` is the protocol, `MemoryStore` the reference that every other implementation must behave like
(`tests/chain/store_conformance.py`). A store does not judge: what it is given was checked by a ledger core.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from chain.codec import block_id
from chain.errors import StoreError
from chain.ledger import Save
from chain.state import WorldState
from chain.values import Block, BlockId, Event, Header, Receipt, TxId

MAX_EVENTS_PAGE = 1_000
"""Events that one look-up returns at most."""


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block of the best chain as it was saved."""

    block: Block
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of the best chain and where it is: block height, transaction index, index among its events."""

    height: int
    index: int
    position: int
    transaction: TxId
    event: Event


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that a ledger core needs to be where it was."""

    headers: tuple[Header, ...]
    """The final chain from height 1 up to `snapshot`'s block; empty when there is no snapshot."""
    snapshot: WorldState | None
    """The state after the last of `headers`; None means the genesis state."""
    blocks: tuple[tuple[Block, tuple[Receipt, ...]], ...]
    """What was saved above, parents before children, in the order in which it was saved; no branches that lost."""
    head: BlockId
    final_height: int


class Archive(Protocol):
    """The reading half of a store: the best chain, for look-ups of what a core no longer keeps."""

    def header(self, height: int) -> Header | None:
        """Return the best chain's header at `height`; genesis is not kept."""

    def block(self, block_id: BlockId) -> StoredBlock | None:
        """Return a block of the best chain; None also when only its header is here."""

    def block_at(self, height: int) -> StoredBlock | None:
        """Return the best chain's block at `height`."""

    def locate(self, tx_id: TxId) -> tuple[BlockId, int] | None:
        """Return the block of the best chain that holds a transaction, and the index in it.

        An ordered ledger's orderers may repeat one: the place where it was valid counts, else the first.
        """


class Store(Archive, Protocol):
    """One replica's memory. Every method may raise StoreError."""

    def save(self, save: Save) -> None:
        """Keep all of it or nothing. What is kept when this returns survives what the store's durability says."""

    def load(self) -> Loaded | None:
        """Return what was saved; None when nothing was."""

    def events(
        self, *, contract: str | None = None, name: str | None = None, since_height: int = 0, limit: int = 100
    ) -> Sequence[StoredEvent]:
        """Return events of the best chain from `since_height` on, in order, at most `limit` (≤ MAX_EVENTS_PAGE)."""

    def close(self) -> None:
        """Let go of files. Nothing else may be called afterwards."""


def events_of(block: Block, receipts: Iterable[Receipt]) -> Iterator[StoredEvent]:
    """Yield a block's events in order."""
    for index, receipt in enumerate(receipts):
        for position, event in enumerate(receipt.events):
            yield StoredEvent(block.header.height, index, position, receipt.transaction, event)


def pruned_below(base_height: int, final_height: int, keep_blocks: int) -> int:
    """Return up to which height, included, a store keeps nothing of a block but its header.

    A store may be told to keep the bodies, receipts and events of the last `keep_blocks` final blocks alone. Whatever is
    above the last snapshot, at `base_height`, stays: a restart executes it again.
    """
    return min(base_height, final_height - keep_blocks)


class MemoryStore:
    """Keeps blocks in this process: for simulations, and as the plain model in tests. Survives nothing.

    With `keep_blocks`, as `pruned_below` says; else everything.
    """

    def __init__(self, *, keep_blocks: int | None = None) -> None:
        self._keep_blocks = keep_blocks
        self._blocks: dict[BlockId, StoredBlock] = {}  # in the order saved
        self._headers: dict[BlockId, Header] = {}
        self._best: list[BlockId] = []  # from height 1
        self._snapshot: tuple[int, WorldState] | None = None
        self._transactions: dict[TxId, tuple[BlockId, int]] = {}
        self._final_height = 0
        self._undecided: dict[BlockId, int] = {}  # heights of blocks that were not final when saved
        self._pruned = 0

    def save(self, save: Save) -> None:
        for header in save.headers:
            self._headers[block_id(header)] = header
        for block, receipts in save.blocks:
            found = block_id(block.header)
            self._headers[found] = block.header
            self._blocks[found] = StoredBlock(block, receipts)
            self._undecided[found] = block.header.height
        self._follow(save.head)
        self._final_height = save.final_height
        self._forget_lost_branches()
        if save.snapshot is not None:
            self._snapshot = (save.final_height, save.snapshot)
        self._prune()

    def _follow(self, head: BlockId) -> None:
        branch = []
        header = self._headers.get(head)
        while header is not None:
            found = block_id(header)
            if header.height <= len(self._best) and self._best[header.height - 1] == found:
                break
            branch.append(found)
            header = self._headers.get(header.parent)
        kept = header.height if header is not None else 0
        for gone in self._best[kept:]:
            self._forget_transactions(gone, self._blocks.get(gone))
        del self._best[kept:]
        for joined in reversed(branch):
            self._best.append(joined)
            for index, receipt in enumerate(self._blocks[joined].receipts if joined in self._blocks else ()):
                if receipt.ok or receipt.transaction not in self._transactions:
                    self._transactions[receipt.transaction] = (joined, index)

    def _forget_transactions(self, found: BlockId, stored: StoredBlock | None) -> None:
        for receipt in stored.receipts if stored is not None else ():  # None: the header came without it
            if self._transactions.get(receipt.transaction, (found, 0))[0] == found:
                self._transactions.pop(receipt.transaction, None)

    def _forget_lost_branches(self) -> None:
        decided = [found for found, height in self._undecided.items() if height <= self._final_height]
        for found in decided:
            if self._best[self._undecided.pop(found) - 1] != found:
                del self._blocks[found], self._headers[found]

    def _prune(self) -> None:
        if self._keep_blocks is None or self._snapshot is None:
            return
        below = pruned_below(self._snapshot[0], self._final_height, self._keep_blocks)
        for height in range(self._pruned + 1, below + 1):
            found = self._best[height - 1]
            self._forget_transactions(found, self._blocks.pop(found, None))
        self._pruned = max(self._pruned, below)

    def load(self) -> Loaded | None:
        if not self._headers:
            return None
        base, state = self._snapshot if self._snapshot is not None else (0, None)
        return Loaded(
            headers=tuple(self._headers[found] for found in self._best[:base]),
            snapshot=state,
            blocks=tuple((s.block, s.receipts) for s in self._blocks.values() if s.block.header.height > base),
            head=self._best[-1],
            final_height=self._final_height,
        )

    def header(self, height: int) -> Header | None:
        return self._headers[self._best[height - 1]] if 0 < height <= len(self._best) else None

    def block(self, block_id: BlockId) -> StoredBlock | None:
        stored = self._blocks.get(block_id)
        if stored is None:
            return None
        height = stored.block.header.height
        return stored if height <= len(self._best) and self._best[height - 1] == block_id else None

    def block_at(self, height: int) -> StoredBlock | None:
        return self._blocks.get(self._best[height - 1]) if 0 < height <= len(self._best) else None

    def locate(self, tx_id: TxId) -> tuple[BlockId, int] | None:
        return self._transactions.get(tx_id)

    def events(
        self, *, contract: str | None = None, name: str | None = None, since_height: int = 0, limit: int = 100
    ) -> Sequence[StoredEvent]:
        check_events_limit(limit)
        found: list[StoredEvent] = []
        for height in range(max(1, since_height), len(self._best) + 1):
            stored = self.block_at(height)
            for event in events_of(stored.block, stored.receipts) if stored is not None else ():
                if contract in (None, event.event.contract) and name in (None, event.event.name):
                    found.append(event)
                    if len(found) == limit:
                        return found
        return found

    def close(self) -> None:
        """Nothing to let go of."""


def check_events_limit(limit: int) -> None:
    """Raise StoreError for a page that is empty or too large."""
    if not 1 <= limit <= MAX_EVENTS_PAGE:
        raise StoreError(f"limit is {limit}, allowed are 1 to {MAX_EVENTS_PAGE}")
