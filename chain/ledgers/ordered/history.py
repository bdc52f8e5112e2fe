"""The chain of an ordered ledger, which never forks: headers in memory, late bodies too, older ones from the archive."""

from chain.codec import block_id, transaction_id
from chain.genesis import Network
from chain.store import Archive
from chain.values import Block, BlockId, Header, Receipt, TxId

_Body = tuple[Block, tuple[Receipt, ...]]


class History:
    """Every committed block, by height, id and transaction."""

    def __init__(self, network: Network, archive: Archive | None, kept: int) -> None:
        self._archive = archive
        self._kept = kept
        self._headers = [network.block.header]
        self._ids = [network.id]
        self._heights = {network.id: 0}
        self._bodies: dict[int, _Body] = {0: (network.block, ())}
        self._places: dict[TxId, tuple[int, int]] = {}
        """Of valid transactions, and of invalid ones when no valid one has the id."""
        self._oldest = 1

    @property
    def head(self) -> Header:
        return self._headers[-1]

    @property
    def head_id(self) -> BlockId:
        return self._ids[-1]

    def append(self, block: Block, receipts: tuple[Receipt, ...]) -> None:
        """Add the block after the head."""
        self.append_header(block.header)
        height = block.header.height
        self._bodies[height] = (block, receipts)
        for index, receipt in enumerate(receipts):
            tx = receipt.transaction
            if receipt.ok or tx not in self._places:
                self._places[tx] = (height, index)
        self._forget(height - self._kept)

    def skip(self, header: Header) -> None:
        """Add the block after the head, without its body: it never was here."""
        self.append_header(header)
        self._forget(header.height - self._kept)
        self._oldest = header.height + 1

    def seek_oldest(self) -> None:
        """To be called when the headers that a store had are in: where it has no body for the last, it has none of them."""
        if self.body(self.head.height) is None:
            self._oldest = self.head.height + 1

    def oldest(self) -> int:
        """From which height on the bodies are here; that after the head when none is."""
        low, high = self._oldest, self.head.height + 1
        if low >= high or self.body(low) is not None:
            return low
        # The archive keeps the last ones: the first of these is between a body that is gone and one that is not.
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.body(middle) is not None else (middle, high)
        self._oldest = high
        return high

    def _forget(self, height: int) -> None:
        """Let go of what is that low, but for genesis."""
        old = self._bodies.pop(height, None) if height > 0 else None
        for transaction in old[0].transactions if old is not None else ():
            tx = transaction_id(transaction)
            if self._places.get(tx, (height + 1, 0))[0] <= height:
                self._places.pop(tx, None)

    def append_header(self, header: Header) -> None:
        """Add a block whose body is not here."""
        found = block_id(header)
        self._headers.append(header)
        self._ids.append(found)
        self._heights[found] = header.height

    def id_at(self, height: int) -> BlockId | None:
        return self._ids[height] if 0 <= height < len(self._ids) else None

    def header(self, ref: BlockId | int) -> Header | None:
        height = self._height(ref)
        return None if height is None else self._headers[height]

    def body(self, ref: BlockId | int) -> _Body | None:
        """Block and receipts; None when there is none or it is no longer kept."""
        height = self._height(ref)
        if height is None:
            return None
        body = self._bodies.get(height)
        if body is None and self._archive is not None and (stored := self._archive.block_at(height)) is not None:
            body = stored.block, stored.receipts
        return body

    def receipt(self, tx: TxId) -> tuple[Block, Receipt, int] | None:
        """Block, receipt and index of a transaction: where it was valid, else where it was first, as far as is known."""
        late = self._at(self._places.get(tx))
        if self._archive is None or (late is not None and late[1].ok):
            return late
        located = self._archive.locate(tx)
        height = self._heights.get(located[0]) if located is not None else None
        return self._at((height, located[1]) if located is not None and height is not None else None) or late

    def _at(self, place: tuple[int, int] | None) -> tuple[Block, Receipt, int] | None:
        body = self.body(place[0]) if place is not None else None
        if place is None or body is None:
            return None
        return body[0], body[1][place[1]], place[1]

    def _height(self, ref: BlockId | int) -> int | None:
        if isinstance(ref, int):
            return ref if 0 <= ref < len(self._headers) else None
        return self._heights.get(ref)
