"""What a ledger core that is here can be asked, in the terms of `actors.ledger`."""

from actors.ledger import FoundBlock, Outcome
from chain.contract import Registry
from chain.ledger import LedgerCore
from chain.values import BlockId, TxId


def find_block(core: LedgerCore, ref: BlockId | int) -> FoundBlock | None:
    """A block of the best chain by id or height; None also when only its header is here."""
    block, receipts = core.block(ref), core.receipts(ref)
    if block is None or receipts is None:
        return None
    return FoundBlock(block, receipts, block.header.height <= core.final.height)


def find_outcome(core: LedgerCore, transaction: TxId) -> Outcome | None:
    """Where a transaction stands; None when the core does not know it."""
    located = core.receipt(transaction)
    if located is not None:
        block, receipt, _ = located
        final = block.header.height <= core.final.height
        return Outcome(transaction, "final" if final else "included", receipt, block.header)
    if core.pending_transaction(transaction) is not None:
        return Outcome(transaction, "accepted", None, None)
    return None


def answer_query(
    core: LedgerCore, registry: Registry, contract: str, method: str, args: bytes, *, final: bool
) -> bytes:
    """Ask a contract about the state after the head, or after the last final block. Raises Refused."""
    state, header = (core.final_state, core.final) if final else (core.state, core.head)
    return registry.query(state, contract, method, args, time_ms=header.time_ms)
