"""Blocks in, changes of the best chain out: checks headers, executes bodies, keeps what came too soon.

A block joins the tree only when its parent is there with its state and its own execution gave the roots in its
header, so every node above the final one has a state and any branch can become the best without further checks.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from chain.codec import block_id
from chain.errors import InvalidBlockError
from chain.genesis import Network
from chain.ledger import HeaderStatus
from chain.ledgers.pow.orphans import MAX_ORPHANS, Orphans
from chain.ledgers.pow.rules import check_alone, check_bare, check_child
from chain.ledgers.pow.tree import Change, Node, Tree
from chain.merkle import transactions_root
from chain.state import WorldState
from chain.transition import Applied, apply_block
from chain.values import Block, BlockId, Header

_ORPHAN_DISCOUNT = 16
"""A block that waits must have cost at least a sixteenth of what the head did."""
_MAX_LIVE = 4_096
"""Blocks above the final one on all branches. Each cost its maker a proof of work; beyond this, new ones are lost."""
_MAX_BAD = 1_024
"""Ids remembered of blocks with a good header and a bad body."""


@dataclass(slots=True)
class Imported:
    """What came of taking blocks in, in order."""

    nodes: list[Node] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    wrong: list[tuple[bytes, str]] = field(default_factory=list)
    """Peers whose waiting blocks turned out to break a rule, and which."""


class Replica:
    """The tree with its states. Knows neither mempool nor peers' progress."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.rules = network.pow
        root = Node(network.block.header, network.id, None)
        root.block, root.receipts, root.state = network.block, (), network.state
        self.tree = Tree(root, self.rules.finality_depth)
        self._orphans = Orphans()
        self._forgotten = 0
        """Height up to which nothing that waits is kept."""
        self._bad: OrderedDict[BlockId, str] = OrderedDict()

    def check_header(self, header: Header, now_ms: int) -> HeaderStatus:
        """Judge a header without changing anything. Raises InvalidBlockError naming the broken rule."""
        found = block_id(header)
        if self.tree.get(found) is not None:
            return HeaderStatus.KNOWN
        if found in self._bad:
            raise InvalidBlockError(self._bad[found])
        check_alone(header)
        if self.tree.comes_too_late(header):
            return HeaderStatus.STALE
        parent = self.tree.get(header.parent)
        if parent is None:
            return HeaderStatus.UNKNOWN_PARENT
        check_child(parent, header, self.rules)
        if header.time_ms > now_ms + self.rules.max_future_ms:
            return HeaderStatus.TOO_EARLY
        return HeaderStatus.NEW

    def check_block(self, block: Block, now_ms: int) -> HeaderStatus:
        """Judge a block as far as can be without executing it. Raises InvalidBlockError naming the broken rule."""
        check_bare(block)
        return self.check_header(block.header, now_ms)

    def take(self, peer: bytes, block: Block, now_ms: int, imported: Imported) -> HeaderStatus:
        """Take a block in, and those that waited for it. One that came too soon is kept for a while.

        Raises InvalidBlockError when the block itself breaks a rule; nothing has changed then.
        """
        status = self.check_block(block, now_ms)
        if status is HeaderStatus.NEW:
            self._connect(block, imported)
            self._connect_children(block_id(block.header), now_ms, imported)
        elif status in (HeaderStatus.UNKNOWN_PARENT, HeaderStatus.TOO_EARLY) and self._may_wait(block.header, now_ms):
            self._orphans.keep(block_id(block.header), block, peer)
        return status

    def add_own(self, block: Block, applied: Applied, imported: Imported) -> None:
        """Add a block that was mined here on top of the head and executed while it was made."""
        parent = self.tree.head
        check_child(parent, block.header, self.rules)
        self._grow(parent, block, applied, imported)

    def restore(self, block: Block, imported: Imported) -> None:
        """Execute a block that was taken in before a restart. Raises InvalidBlockError."""
        parent = self.tree.get(block.header.parent)
        if parent is not None and parent.state is not None and self.tree.get(block_id(block.header)) is None:
            check_child(parent, block.header, self.rules)
            self._connect(block, imported)

    def take_due(self, now_ms: int, imported: Imported) -> None:
        """Take in the blocks whose time has come."""
        for orphan in self._orphans:
            if self.tree.get(orphan.block.header.parent) is not None:
                self._connect_children(BlockId(orphan.block.header.parent), now_ms, imported)

    def next_due_ms(self) -> int | None:
        """When the first block that was too early can be taken."""
        times = [
            orphan.block.header.time_ms - self.rules.max_future_ms
            for orphan in self._orphans
            if self.tree.get(orphan.block.header.parent) is not None
        ]
        return min(times, default=None)

    def jump(self, nodes: list[Node], state: WorldState) -> tuple[Node, ...]:
        """Make `nodes`, verified headers that follow the final block, final, with `state` after the last of them.

        Returns the blocks that left the best chain, highest first.
        """
        left = self.tree.rebase(nodes)
        for node in nodes[:-1]:
            node.state = None
        self.tree.final.state = state
        return left

    def final_id(self, parent: Node, height: int) -> BlockId | None:
        """Return the id of an ancestor for a contract that runs in a child of `parent`; None when not final then."""
        if height > parent.height + 1 - self.rules.finality_depth:
            return None
        return self.tree.ancestor(parent, height).id

    def _connect(self, block: Block, imported: Imported) -> None:
        parent = self.tree.get(block.header.parent)
        if parent is None or parent.state is None:
            raise AssertionError("a block is connected below the final one")
        if self.tree.live_count >= _MAX_LIVE:
            return
        try:
            applied = self._execute(parent, parent.state, block)
        except InvalidBlockError as error:
            # Only when the body is the one the miner made: anybody can put another one under a good header. And nobody's
            # additions are here: `check_block` refused those, and a store has what passed it.
            if transactions_root(block.transactions) == block.header.transactions_root:
                self._bad[block_id(block.header)] = str(error)
                if len(self._bad) > _MAX_BAD:
                    self._bad.popitem(last=False)
            raise
        self._grow(parent, block, applied, imported)

    def _execute(self, parent: Node, state: WorldState, block: Block) -> Applied:
        return apply_block(self.network, state, block, final_ids=lambda height: self.final_id(parent, height))

    def _grow(self, parent: Node, block: Block, applied: Applied, imported: Imported) -> None:
        node = Node(block.header, block_id(block.header), parent)
        node.block = block
        node.receipts = applied.receipts
        node.state = applied.state
        self._orphans.remove(node.id)
        imported.nodes.append(node)
        change = self.tree.add(node)
        if change is not None:
            imported.changes.append(change)

    def _may_wait(self, header: Header, now_ms: int) -> bool:
        """Whether a block that nobody can check yet is worth its room."""
        head = self.tree.head.header
        return (
            header.difficulty * _ORPHAN_DISCOUNT >= head.difficulty
            and header.height <= head.height + MAX_ORPHANS
            and header.time_ms <= now_ms + 2 * self.rules.max_future_ms
        )

    def _connect_children(self, parent: BlockId, now_ms: int, imported: Imported) -> None:
        """Take in what waited for a block, and what waited for that, as far as it fits."""
        parents = [parent]
        while parents:
            for orphan in self._orphans.children(parents.pop()):
                try:
                    status = self.check_header(orphan.block.header, now_ms)
                    if status is HeaderStatus.TOO_EARLY:
                        continue
                    if status is HeaderStatus.NEW:
                        self._connect(orphan.block, imported)
                        parents.append(orphan.id)
                except InvalidBlockError as error:
                    imported.wrong.append((orphan.peer, str(error)))
                self._orphans.remove(orphan.id)
        if self._forgotten < self.tree.final.height:
            self._forgotten = self.tree.final.height
            for orphan in self._orphans:
                if orphan.block.header.height <= self._forgotten:
                    self._orphans.remove(orphan.id)
