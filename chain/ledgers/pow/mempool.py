"""Transactions that wait for a block: bounded, in order of arrival, each sender's in order of its nonces.

There are no fees: whoever came first goes first. What a sender may occupy is bounded, so nobody fills the pool alone.
A transaction whose predecessors have not arrived waits too, for gossip does not keep order; it just is not offered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from chain.codec import transaction_id
from chain.errors import Refused
from chain.values import Account, Transaction, TxId


@dataclass(frozen=True, slots=True)
class MempoolLimits:
    """What the pool may hold."""

    transactions: int = 4_096
    per_sender: int = 64
    """Also how far a nonce may be ahead of the sender's account."""
    ttl_ms: int = 15 * 60_000
    """A transaction that no block took for so long is dropped; its sender may submit it again."""


@dataclass(frozen=True, slots=True)
class _Entry:
    transaction: Transaction
    arrived_ms: int
    rank_ms: int
    """When it first came, as far as order is concerned: 0 for what was in a block already."""


class Mempool:
    """Holds transactions whose signature was checked. `next_nonce` is passed in: it is the state's business."""

    def __init__(self, limits: MempoolLimits | None = None) -> None:
        self._limits = limits or MempoolLimits()
        self._entries: dict[TxId, _Entry] = {}  # in order of arrival
        self._senders: dict[Account, dict[int, TxId]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, tx_id: TxId) -> bool:
        return tx_id in self._entries

    def get(self, tx_id: TxId) -> Transaction | None:
        entry = self._entries.get(tx_id)
        return entry.transaction if entry is not None else None

    def check(self, transaction: Transaction, next_nonce: int) -> None:
        """Raise Refused when `add` would, in constant time: before anything costly is done with the transaction."""
        if transaction_id(transaction) in self._entries:
            raise Refused("already_pending")
        nonce = transaction.nonce
        if nonce < next_nonce:
            raise Refused("nonce_too_low", f"{nonce}, the account is at {next_nonce}")
        if nonce >= next_nonce + self._limits.per_sender:
            raise Refused("nonce_gap", f"{nonce} is {self._limits.per_sender} or more ahead of {next_nonce}")
        own = self._senders.get(transaction.sender, {})
        if nonce in own:
            raise Refused("nonce_taken", f"another transaction with nonce {nonce} waits")
        if len(self._entries) >= self._limits.transactions:
            raise Refused("mempool_full", f"{len(self._entries)} transactions wait")

    def add(self, transaction: Transaction, next_nonce: int, now_ms: int) -> None:
        """Take a transaction in. Raises Refused.

        Reasons: already_pending, nonce_too_low, nonce_gap (too far ahead), nonce_taken, mempool_full.
        """
        self.check(transaction, next_nonce)
        self._insert(transaction, now_ms, rank_ms=now_ms)

    def put_back(self, transactions: list[Transaction], now_ms: int) -> list[Transaction]:
        """Take back what was in blocks that left the chain, ahead of all others; return what found no place."""
        lost = []
        kept = self._entries
        self._entries = {}
        for transaction in transactions:
            full = len(kept) + len(self._entries) >= self._limits.transactions
            if full or transaction.nonce in self._senders.get(transaction.sender, {}):
                lost.append(transaction)
            else:
                self._insert(transaction, now_ms, rank_ms=0)
        self._entries.update(kept)
        return lost

    def pending(self, sender: Account, next_nonce: int) -> list[Transaction]:
        """Return what `sender` has waiting from `next_nonce` on, up to the first gap."""
        own = self._senders.get(sender, {})
        found = []
        while (tx_id := own.get(next_nonce)) is not None:
            found.append(self._entries[tx_id].transaction)
            next_nonce += 1
        return found

    def offer(self, next_nonce: Callable[[Account], int], count: int, until_ms: int, slot_ms: int) -> list[Transaction]:
        """Return up to `count` transactions for a block, of those that had come by `until_ms`.

        In order of arrival, each next in its sender's order. Those of one slot of `slot_ms` count as come together and
        go by id, so that pools which they reached a latency apart offer the same; what was put back comes first.
        """
        came = [item for item in self._entries.items() if item[1].rank_ms <= until_ms]
        came.sort(key=lambda item: (item[1].rank_ms // slot_ms, item[0]))
        offered: list[Transaction] = []
        expected: dict[Account, int] = {}
        passed: set[TxId] = set()  # came before a predecessor did
        for tx_id, entry in came:
            sender = entry.transaction.sender
            if sender not in expected:
                expected[sender] = next_nonce(sender)
            if entry.transaction.nonce != expected[sender]:
                passed.add(tx_id)
                continue
            own = self._senders[sender]
            following: TxId | None = tx_id
            while following is not None:
                if len(offered) == count:
                    return offered
                offered.append(self._entries[following].transaction)
                expected[sender] += 1
                following = own.get(expected[sender])
                if following not in passed:
                    break
        return offered

    def first(self, count: int) -> tuple[Transaction, ...]:
        """Return the `count` transactions that have waited longest."""
        return tuple(entry.transaction for entry in islice(self._entries.values(), count))

    def committed(self, transaction: Transaction) -> Transaction | None:
        """Forget a transaction that a block took; return another one of the same nonce, which is void now."""
        own = self._senders.get(transaction.sender)
        tx_id = own.get(transaction.nonce) if own is not None else None
        if tx_id is None:
            return None
        removed = self._remove(tx_id)
        return None if tx_id == transaction_id(transaction) else removed

    def drop_used(self, next_nonce: Callable[[Account], int]) -> list[Transaction]:
        """Drop and return what can no longer be in a block: for when the state changed by more than blocks."""
        used = [
            tx_id
            for tx_id, entry in self._entries.items()
            if entry.transaction.nonce < next_nonce(entry.transaction.sender)
        ]
        return [self._remove(tx_id) for tx_id in used]

    def expire(self, now_ms: int) -> list[Transaction]:
        """Drop and return what has waited longer than its time to live."""
        late = []
        for tx_id, entry in self._entries.items():
            if entry.arrived_ms + self._limits.ttl_ms > now_ms:
                break  # arrival order, but for what was put back, which waits a little longer
            late.append(tx_id)
        return [self._remove(tx_id) for tx_id in late]

    def next_expiry_ms(self) -> int | None:
        """When `expire` next has something to do."""
        for entry in self._entries.values():
            return entry.arrived_ms + self._limits.ttl_ms
        return None

    def _insert(self, transaction: Transaction, now_ms: int, *, rank_ms: int) -> None:
        tx_id = transaction_id(transaction)
        self._entries[tx_id] = _Entry(transaction, now_ms, rank_ms)
        self._senders.setdefault(transaction.sender, {})[transaction.nonce] = tx_id

    def _remove(self, tx_id: TxId) -> Transaction:
        transaction = self._entries.pop(tx_id).transaction
        own = self._senders[transaction.sender]
        del own[transaction.nonce]
        if not own:
            del self._senders[transaction.sender]
        return transaction
