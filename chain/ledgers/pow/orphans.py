"""Blocks that came before their parent or before their time: bounded, and no peer may crowd the others' out.

Nobody can judge them yet, so what is kept must at least look as if it could be of use: not far above the head, not far
in the future, and with about as much work as the head's.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from chain.codec import encode
from chain.values import Block, BlockId

MAX_ORPHANS = 128
MAX_ORPHAN_BYTES = 8 * 1024 * 1024
MAX_PER_PEER = 48
"""Of blocks; what a peer sends beyond pushes its own oldest out."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A block that waits, and who sent it."""

    id: BlockId
    block: Block
    peer: bytes
    size: int


class Orphans:
    """Finds what waits for a parent, or for a time, without looking through everything."""

    def __init__(self) -> None:
        self._orphans: OrderedDict[BlockId, Orphan] = OrderedDict()  # oldest first
        self._children: dict[BlockId, dict[BlockId, None]] = {}
        self._of_peer: dict[bytes, dict[BlockId, None]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._orphans)

    def __contains__(self, block_id: BlockId) -> bool:
        return block_id in self._orphans

    def __iter__(self) -> Iterator[Orphan]:
        """Oldest first; what is here now, whatever happens meanwhile."""
        return iter(tuple(self._orphans.values()))

    def keep(self, block_id: BlockId, block: Block, peer: bytes) -> None:
        """Let a block wait, and push others out where that is too much; the same one again changes nothing."""
        if block_id in self._orphans:
            return
        orphan = Orphan(block_id, block, peer, len(encode(block)))
        self._orphans[block_id] = orphan
        self._children.setdefault(BlockId(block.header.parent), {})[block_id] = None
        self._of_peer.setdefault(peer, {})[block_id] = None
        self._bytes += orphan.size
        while len(self._of_peer[peer]) > MAX_PER_PEER:
            self.remove(next(iter(self._of_peer[peer])))
        while len(self._orphans) > MAX_ORPHANS or self._bytes > MAX_ORPHAN_BYTES:
            self.remove(self._oldest_of_the_greediest())

    def children(self, block_id: BlockId) -> list[Orphan]:
        """What waits for this block, oldest first."""
        return [self._orphans[child] for child in self._children.get(block_id, ())]

    def remove(self, block_id: BlockId) -> None:
        """Forget a block, if it waits."""
        orphan = self._orphans.pop(block_id, None)
        if orphan is None:
            return
        self._bytes -= orphan.size
        parent = BlockId(orphan.block.header.parent)
        del self._children[parent][block_id]
        if not self._children[parent]:
            del self._children[parent]
        del self._of_peer[orphan.peer][block_id]
        if not self._of_peer[orphan.peer]:
            del self._of_peer[orphan.peer]

    def _oldest_of_the_greediest(self) -> BlockId:
        """By blocks; among equals, of whoever has had something here for longest."""
        greediest = max(self._of_peer.values(), key=len)
        return next(iter(greediest))
