"""Blocks in, changes of the best chain out: checks headers, executes bodies, keeps what came too soon.

A block joins the tree only when its parent is there with its state and its own execution gave the roots in its
header, so every node above the final one has a state and any branch can become the best without further checks.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from chain.codec import block_id, encode
from chain.errors import InvalidBlockError
from chain.genesis import Network
from chain.ledgers.pow.rules import HeaderStatus, check_alone, check_child
from chain.ledgers.pow.tree import Change, Node, Tree
from chain.merkle import transactions_root
from chain.state import WorldState
from chain.transition import Applied, apply_block
from chain.values import Block, BlockId, Header

_MAX_WAITING = 128
"""Blocks kept that came before their parent or before their time."""
_MAX_WAITING_BYTES = 8 * 1024 * 1024
_WAITING_DISCOUNT = 16
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


@dataclass(frozen=True, slots=True)
class _Waiting:
    block: Block
    peer: bytes
    size: int


class Replica:
    """The tree with its states. Knows neither mempool nor peers' progress."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.rules = network.genesis.pow
        root = Node(network.block.header, network.id, None)
        root.block, root.receipts, root.state = network.block, (), network.state
        self.tree = Tree(root, self.rules.finality_depth)
        self._waiting: OrderedDict[BlockId, _Waiting] = OrderedDict()
        self._waiting_bytes = 0
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

    def take(self, peer: bytes, block: Block, now_ms: int, imported: Imported) -> HeaderStatus:
        """Take a block in, and those that waited for it. One that came too soon is kept for a while.

        Raises InvalidBlockError when the block itself breaks a rule; nothing has changed then.
        """
        status = self.check_header(block.header, now_ms)
        if status is HeaderStatus.NEW:
            self._connect(block, imported)
            self._connect_waiting(now_ms, imported)
        elif status in (HeaderStatus.UNKNOWN_PARENT, HeaderStatus.TOO_EARLY):
            self._wait(peer, block)
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
        self._connect_waiting(now_ms, imported)

    def next_due_ms(self) -> int | None:
        """When the first block that was too early can be taken."""
        times = [
            waiting.block.header.time_ms - self.rules.max_future_ms
            for waiting in self._waiting.values()
            if self.tree.get(waiting.block.header.parent) is not None
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
            # Only when the body is the one the miner made: anybody can put another one under a good header.
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
        imported.nodes.append(node)
        change = self.tree.add(node)
        if change is not None:
            imported.changes.append(change)

    def _wait(self, peer: bytes, block: Block) -> None:
        found = block_id(block.header)
        # A block that nobody can check yet must at least have cost something like a real one.
        cheap = block.header.difficulty * _WAITING_DISCOUNT < self.tree.head.header.difficulty
        if found in self._waiting or cheap:
            return
        waiting = _Waiting(block, peer, len(encode(block)))
        self._waiting[found] = waiting
        self._waiting_bytes += waiting.size
        while len(self._waiting) > _MAX_WAITING or self._waiting_bytes > _MAX_WAITING_BYTES:
            self._forget(next(iter(self._waiting)))

    def _forget(self, found: BlockId) -> _Waiting:
        waiting = self._waiting.pop(found)
        self._waiting_bytes -= waiting.size
        return waiting

    def _connect_waiting(self, now_ms: int, imported: Imported) -> None:
        """Take in waiting blocks until none of them fits any more. Each pass takes at least one or is the last."""
        progress = bool(self._waiting)
        while progress:
            progress = False
            for found in list(self._waiting):
                waiting = self._waiting[found]
                try:
                    status = self.check_header(waiting.block.header, now_ms)
                    if status in (HeaderStatus.UNKNOWN_PARENT, HeaderStatus.TOO_EARLY):
                        continue
                    if status is HeaderStatus.NEW:
                        self._connect(waiting.block, imported)
                        progress = True
                except InvalidBlockError as error:
                    imported.wrong.append((waiting.peer, str(error)))
                self._forget(found)
