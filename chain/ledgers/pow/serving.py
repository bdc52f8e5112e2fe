"""Answering other nodes that catch up: bounded look-ups, nothing remembered about who asked."""

from chain.codec import encode
from chain.ledgers.pow.history import History
from chain.ledgers.pow.mempool import Mempool
from chain.ledgers.pow.tree import Node, Tree
from chain.snapshot import state_chunks
from chain.sync import (
    MAX_HEADERS,
    MAX_PENDING,
    MAX_RESPONSE_BYTES,
    Blocks,
    GetBlocks,
    GetHeaders,
    GetPending,
    GetSnapshot,
    GetStatus,
    Headers,
    Pending,
    Request,
    Response,
    Snapshot,
    Status,
)
from chain.values import MAX_INT, Block, BlockId, Transaction

_SERVED = 2
"""States kept for those who are at it: the last one and the one before."""
_ROOM = MAX_RESPONSE_BYTES - 64


class Server:
    """Serves a tree, its bodies, and the states of some final blocks."""

    def __init__(self, tree: Tree, history: History, mempool: Mempool) -> None:
        self._tree = tree
        self._history = history
        self._mempool = mempool
        self._snapshots = [tree.final]
        self._chunks: dict[BlockId, list[bytes]] = {}

    @property
    def last_snapshot(self) -> Node:
        """The newest final block whose state is kept for others."""
        return self._snapshots[-1]

    def keeps(self, node: Node) -> bool:
        """Tell whether the state after `node` is kept for others."""
        return node in self._snapshots

    def keep(self, node: Node) -> None:
        """Serve the state after a final block from now on, and let the oldest one go."""
        self._snapshots.append(node)
        if len(self._snapshots) > _SERVED:
            old = self._snapshots.pop(0)
            old.state = None
            self._chunks.pop(old.id, None)

    def answer(self, request: Request) -> Response:
        if isinstance(request, GetStatus):
            return self._status()
        if isinstance(request, GetHeaders):
            return self._headers(request)
        if isinstance(request, GetBlocks):
            return self._blocks(request)
        if isinstance(request, GetPending):
            return self._pending()
        return self._snapshot(request)

    def _status(self) -> Status:
        head = self._tree.head
        genesis = self._tree.at(0) or head
        return Status(
            chain=genesis.id,
            head=head.id,
            height=head.height,
            work=min(head.work, MAX_INT),
            final_height=self._tree.final.height,
            snapshot=self.last_snapshot.id,
            snapshot_height=self.last_snapshot.height,
            pending=len(self._mempool),
        )

    def _headers(self, request: GetHeaders) -> Headers:
        start = 0
        for found in request.locator:
            node = self._tree.get(found)
            if node is not None and self._tree.on_best_chain(node):
                start = node.height
                break
        nodes = (self._tree.at(height) for height in range(start + 1, start + 1 + MAX_HEADERS))
        return Headers(tuple(node.header for node in nodes if node is not None))

    def _blocks(self, request: GetBlocks) -> Blocks:
        blocks: list[Block] = []
        room = _ROOM
        for found in request.ids:
            node = self._tree.get(found)
            body = self._history.body(node) if node is not None else None
            if body is None:
                break
            room -= len(encode(body[0]))
            if room < 0:
                break
            blocks.append(body[0])
        return Blocks(tuple(blocks))

    def _pending(self) -> Pending:
        transactions: list[Transaction] = []
        room = _ROOM
        for transaction in self._mempool.first(MAX_PENDING):
            room -= len(encode(transaction))
            if room < 0:
                break
            transactions.append(transaction)
        return Pending(tuple(transactions))

    def _snapshot(self, request: GetSnapshot) -> Snapshot:
        node = next((node for node in self._snapshots if node.id == request.block), None)
        if node is None or node.state is None:
            return Snapshot(0, b"")
        chunks = self._chunks.get(node.id)
        if chunks is None:
            chunks = self._chunks[node.id] = list(state_chunks(node.state))
        data = chunks[request.chunk] if request.chunk < len(chunks) else b""
        return Snapshot(len(chunks), data)
