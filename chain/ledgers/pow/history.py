"""The best chain for those who look things up: blocks, receipts, where a transaction is, proofs.

Bodies of the last blocks are in memory; older ones come from the archive, if there is one.
"""

from collections.abc import Sequence

from chain.codec import transaction_id
from chain.ledgers.pow.tree import Change, Node, Tree
from chain.light import InclusionProof, prove
from chain.store import Archive
from chain.values import Block, BlockId, Header, Receipt, TxId

_Body = tuple[Block, tuple[Receipt, ...]]


class History:
    """Follows a tree's best chain."""

    def __init__(self, tree: Tree, archive: Archive | None, kept: int) -> None:
        self._tree = tree
        self._archive = archive
        self._kept = kept
        self._places: dict[TxId, tuple[Node, int]] = {}

    def follow(self, change: Change) -> None:
        """Take note of a change of the best chain."""
        for node in change.left:
            self._unlist(node)
        for node in change.joined:
            self.list(node)

    def list(self, node: Node) -> None:
        """Let the transactions of a node of the best chain be found."""
        for index, transaction in enumerate(node.block.transactions if node.block is not None else ()):
            self._places[transaction_id(transaction)] = (node, index)

    def finalise(self, final: Sequence[Node]) -> None:
        """Let go of bodies as many blocks below the new final ones as are kept."""
        for node in final:
            old = self._tree.at(node.height - self._kept)
            if old is not None and old.height > 0:
                self.release(old)

    def release(self, node: Node) -> None:
        """Let go of a body."""
        self._unlist(node)
        node.block = node.receipts = None

    def _unlist(self, node: Node) -> None:
        for transaction in node.block.transactions if node.block is not None else ():
            self._places.pop(transaction_id(transaction), None)

    def _node(self, ref: BlockId | int) -> Node | None:
        if isinstance(ref, int):
            return self._tree.at(ref)
        node = self._tree.get(ref)
        return node if node is not None and self._tree.on_best_chain(node) else None

    def body(self, node: Node) -> _Body | None:
        """Return block and receipts of a node of any branch."""
        if node.block is not None and node.receipts is not None:
            return node.block, node.receipts
        stored = self._archive.block(node.id) if self._archive is not None else None
        return (stored.block, stored.receipts) if stored is not None else None

    def header(self, ref: BlockId | int) -> Header | None:
        node = self._node(ref)
        return node.header if node is not None else None

    def block(self, ref: BlockId | int) -> Block | None:
        node = self._node(ref)
        body = self.body(node) if node is not None else None
        return body[0] if body is not None else None

    def receipts(self, ref: BlockId | int) -> tuple[Receipt, ...] | None:
        node = self._node(ref)
        body = self.body(node) if node is not None else None
        return body[1] if body is not None else None

    def receipt(self, tx_id: TxId) -> tuple[Block, Receipt, int] | None:
        place = self._place(tx_id)
        if place is None:
            return None
        node, index = place
        body = self.body(node)
        return (body[0], body[1][index], index) if body is not None else None

    def proof(self, tx_id: TxId, depth: int) -> InclusionProof | None:
        """Prove that a block with `depth` blocks of the best chain on top holds a transaction; None otherwise."""
        place = self._place(tx_id)
        if place is None:
            return None
        node, index = place
        body = self.body(node)
        above = [self._tree.at(node.height + step) for step in range(1, depth + 1)]
        headers = [after.header for after in above if after is not None]
        if body is None or len(headers) < depth:
            return None
        block, receipts = body
        return prove(block, receipts, index, headers)

    def _place(self, tx_id: TxId) -> tuple[Node, int] | None:
        if (place := self._places.get(tx_id)) is not None:
            return place
        found = self._archive.locate(tx_id) if self._archive is not None else None
        if found is None:
            return None
        node = self._node(found[0])
        return (node, found[1]) if node is not None else None
