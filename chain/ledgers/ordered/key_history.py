"""What became of a key over time (Fabric's ``GetHistoryForKey``): read off the blocks, whose evidence has every write."""

from collections.abc import Iterator
from dataclasses import dataclass

from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.values import decode_evidence
from chain.state import Version
from chain.values import TxId


@dataclass(frozen=True, slots=True)
class KeyWrite:
    """A valid transaction that wrote the key."""

    version: Version
    transaction: TxId
    time_ms: int
    """Its block's."""
    value: bytes | None
    """None: it deleted the key."""


def key_history(ledger: OrderedLedger, key: bytes, *, limit: int, blocks: int = 10_000) -> Iterator[KeyWrite]:
    """Yield who wrote a whole key, latest first: at most `limit` writes, from the last `blocks` blocks.

    It ends where bodies are no longer kept. What stood in genesis has no writer. Costs a look at every block passed over:
    for people and audits, not for contracts.
    """
    height = ledger.head.height
    for at in range(height, max(0, height - blocks), -1):
        block, receipts = ledger.block(at), ledger.receipts(at)
        if block is None or receipts is None:
            return
        for index in range(len(receipts) - 1, -1, -1):
            if not receipts[index].ok:
                continue
            for write in decode_evidence(block.evidence[index]).response.writes:
                if write.key == key:
                    if not limit:
                        return
                    limit -= 1
                    tx = receipts[index].transaction
                    yield KeyWrite(Version(at, index), TxId(tx), block.header.time_ms, write.value)
