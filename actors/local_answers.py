"""What a ledger core that is here can be asked, in the terms of `actors.ledger`."""

from collections.abc import Sequence

from actors.ledger import FoundBlock, Outcome
from chain.codec import encode
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.pow.ledger import PowLedger
from chain.values import BlockId, Header, TxId

NodeCore = PowLedger | OrderedLedger
"""What a ledger node has as its core."""


def find_block(core: NodeCore, ref: BlockId | int) -> FoundBlock | None:
    """A block of the best chain by id or height; None also when only its header is here."""
    block, receipts = core.block(ref), core.receipts(ref)
    if block is None or receipts is None:
        return None
    return FoundBlock(block, receipts, block.header.height <= core.final.height)


def find_outcome(core: NodeCore, transaction: TxId) -> Outcome | None:
    """Where a transaction stands; None when the core does not know it."""
    located = core.receipt(transaction)
    if located is not None:
        block, receipt, _ = located
        final = block.header.height <= core.final.height
        return Outcome(transaction, "final" if final else "included", receipt, block.header)
    if core.pending_transaction(transaction) is not None:
        return Outcome(transaction, "accepted", None, None)
    return None


def recent_headers(core: NodeCore, before: int | None, limit: int) -> Sequence[tuple[Header, int, int]]:
    """(header, transactions, bytes) of up to `limit` blocks below `before` (None: from the head), highest first."""
    top = core.head.height + 1 if before is None else min(before, core.head.height + 1)
    rows = []
    for height in range(top - 1, max(-1, top - 1 - limit), -1):
        header, block = core.header(height), core.block(height)
        if header is None:
            break
        rows.append((header, len(block.transactions) if block else 0, len(encode(block)) if block else 0))
    return rows
