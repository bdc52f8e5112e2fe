"""The block tree: who follows whom, how much work a branch holds, which branch is best and what is final.

The best branch is the heaviest; among equals the one seen first, so that a selfish miner gains nothing by answering a
block with its own. A block `finality_depth` below the head is final: branches that leave the best chain below it are
forgotten and never taken up again, however heavy. Two halves of a network that stay apart for longer than that do
not reunite by themselves: this is the price of finality on proof of work, and what `Finalised` rests upon.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from chain.ledgers.pow.difficulty import next_difficulty
from chain.ledgers.pow.parameters import PowRules
from chain.state import WorldState
from chain.values import Block, BlockId, Header, Receipt


class Node:
    """A header in its place in the tree. `block`, `receipts` and `state` are let go when they are old."""

    __slots__ = ("_difficulty", "_median", "block", "header", "id", "parent", "receipts", "state", "work")

    def __init__(self, header: Header, block_id: BlockId, parent: "Node | None") -> None:
        self.header = header
        self.id = block_id
        self.parent = parent
        self.work: int = parent.work + header.difficulty if parent is not None else 0
        """Expected hashes spent on the branch up to here, genesis excluded."""
        self.block: Block | None = None
        self.receipts: tuple[Receipt, ...] | None = None
        self.state: WorldState | None = None
        self._difficulty = 0
        self._median = -1

    @property
    def height(self) -> int:
        return self.header.height

    def back(self) -> Iterator["Node"]:
        """Yield this node and its ancestors down to genesis."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def median_time_past(self, rules: PowRules) -> int:
        """Median time in ms of the last `median_window` blocks up to this one: a child must be later."""
        if self._median < 0:
            times = []
            for node in self.back():
                times.append(node.header.time_ms)
                if len(times) == rules.median_window:
                    break
            times.sort()
            self._median = times[len(times) // 2]
        return self._median

    def child_difficulty(self, rules: PowRules) -> int:
        """Difficulty that a child of this block must have."""
        if not self._difficulty:
            # The innermost loop of catching up: no generator here.
            node, left = self, rules.retarget_window
            times, difficulties = [node.header.time_ms], []
            while left and node.parent is not None:
                difficulties.append(node.header.difficulty)
                node = node.parent
                times.append(node.header.time_ms)
                left -= 1
            times.reverse()
            difficulties.reverse()
            self._difficulty = next_difficulty(
                times,
                difficulties,
                interval_ms=rules.block_interval_ms,
                window=rules.retarget_window,
                initial=rules.initial_difficulty,
            )
        return self._difficulty

    def may_produce(self, producer: bytes, rules: PowRules) -> bool:
        """Tell whether a child by `producer` keeps the quota: at most `quota` of any `quota_window` blocks; 0 is no quota."""
        if not rules.quota:
            return True
        mined = 1
        seen = 1
        for node in self.back():
            if seen == rules.quota_window or node.parent is None:
                break
            seen += 1
            mined += node.header.producer == producer
        return mined <= rules.quota


@dataclass(frozen=True, slots=True)
class Change:
    """How the best chain changed: `left` highest first, `joined` and `final` lowest first."""

    left: tuple[Node, ...]
    joined: tuple[Node, ...]
    final: tuple[Node, ...]


class Tree:
    """All blocks above the last final one, and the headers of the final chain below."""

    def __init__(self, genesis: Node, finality_depth: int) -> None:
        self._depth = finality_depth
        self._chain = [genesis]
        self._final = 0
        self._nodes = {genesis.id: genesis}
        self._live: dict[BlockId, Node] = {}

    @property
    def head(self) -> Node:
        return self._chain[-1]

    @property
    def final(self) -> Node:
        return self._chain[self._final]

    @property
    def live_count(self) -> int:
        """Blocks above the last final one, on all branches."""
        return len(self._live)

    def get(self, block_id: bytes) -> Node | None:
        """Return a block of the final chain or of a branch above it."""
        return self._nodes.get(BlockId(block_id))

    def at(self, height: int) -> Node | None:
        """Return the block of the best chain at `height`, if there is one."""
        return self._chain[height] if 0 <= height < len(self._chain) else None

    def above_final(self) -> list[Node]:
        """Return the best chain's blocks that are not final, lowest first."""
        return self._chain[self._final + 1 :]

    def on_best_chain(self, node: Node) -> bool:
        return self.at(node.height) is node

    def ancestor(self, node: Node, height: int) -> Node:
        """Return the ancestor of `node`, or itself, at `height`, which is at most its own. Cheap below `final`."""
        if height <= self._final:
            return self._chain[height]
        while node.height > height and node.parent is not None:
            node = node.parent
        return node

    def comes_too_late(self, header: Header) -> bool:
        """Tell whether a block, not in the tree, could only belong to a branch that leaves below the final block."""
        return header.height <= self._final

    def add(self, node: Node) -> Change | None:
        """Add a node whose parent is here and not below `final`. Return how the best chain changed, if it did."""
        self._nodes[node.id] = node
        self._live[node.id] = node
        if node.work <= self.head.work:
            return None
        return self.switch(node)

    def switch(self, head: Node) -> Change:
        """Make the branch that ends in `head` the best chain, and final what is deep enough on it."""
        branch = []
        for node in head.back():
            if self.on_best_chain(node):
                break
            branch.append(node)
        fork = head.height - len(branch)
        left = tuple(reversed(self._chain[fork + 1 :]))
        del self._chain[fork + 1 :]
        self._chain.extend(reversed(branch))
        return Change(left, tuple(reversed(branch)), self._finalise(head.height - self._depth))

    def rebase(self, chain: list[Node]) -> tuple[Node, ...]:
        """Follow `chain`, nodes that lead on from `final` or above, as the final chain (`final` becomes its end).

        Returns the blocks that left the best chain, highest first. Everything that is not final is forgotten.
        """
        left = tuple(reversed(self._chain[self._final + 1 :]))
        for block_id in self._live:
            del self._nodes[block_id]
        self._live.clear()
        del self._chain[self._final + 1 :]
        for node in chain:
            self._chain.append(node)
            self._nodes[node.id] = node
        self._final = len(self._chain) - 1
        return left

    def _finalise(self, height: int) -> tuple[Node, ...]:
        if height <= self._final:
            return ()
        final = tuple(self._chain[self._final + 1 : height + 1])
        self._final = height
        for node in final:
            del self._live[node.id]
        if len(self._live) > self.head.height - height:
            self._forget_lost_branches()
        return final

    def _forget_lost_branches(self) -> None:
        """Forget what does not lead on from the final block; insertion order puts parents first, so one pass does."""
        live: dict[BlockId, Node] = {}
        for block_id, node in self._live.items():
            if node.parent is self.final or (node.parent is not None and node.parent.id in live):
                live[block_id] = node
            else:
                del self._nodes[block_id]
        self._live = live
