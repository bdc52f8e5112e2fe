"""Transactions that wait for a block: bounded, in order of arrival, each sender's in order of its nonces.

There are no fees: whoever came first goes first, and when there is no room, whoever waits with most makes some. Keys
cost nothing, so accounts that no block knows yet share a part of the pool alone: a crowd of them shuts nobody else out.
A transaction whose predecessors have not arrived waits too, for gossip does not keep order; it just is not offered.

A sender may put another transaction in place of one that has waited for a while, for it may have become pointless. The
newer one goes to the end of the queue, so nothing is gained by it, and each place changes hands only so often.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from chain.codec import transaction_id
from chain.errors import Refused
from chain.values import Account, Transaction, TxId

SLOT_BYTES = 2_048


@dataclass(frozen=True, slots=True)
class MempoolLimits:
    """What the pool may hold."""

    transactions: int = 4_096
    """Each counts once, and once more for every 2 KiB of its arguments: no more than about 9 MiB."""
    newcomers: int = 2_048
    """As many of these at most are of accounts that have not had a transaction in a block."""
    per_sender: int = 64
    """Also how far a nonce may be ahead of the sender's account."""
    ttl_ms: int = 15 * 60_000
    """A transaction that no block took for so long is dropped; its sender may submit it again."""
    replace_after_ms: int = 10_000
    """A transaction that has waited for so long may be replaced by its sender."""


class Left(NamedTuple):
    """A transaction that had to leave: ``replaced`` by its sender, ``evicted``, or ``nonce_taken`` meanwhile."""

    transaction: Transaction
    reason: str


@dataclass(frozen=True, slots=True)
class _Entry:
    transaction: Transaction
    arrived_ms: int
    rank_ms: int
    """When it first came, as far as order is concerned: 0 for what was in a block already."""


class _Shares:
    """How much of the pool each sender has, and who has most."""

    def __init__(self) -> None:
        self.total = 0
        self._held: dict[Account, int] = {}
        self._by_size: dict[int, dict[Account, None]] = {}

    def of(self, sender: Account) -> int:
        return self._held.get(sender, 0)

    def change(self, sender: Account, by: int) -> None:
        before = self._held.pop(sender, 0)
        if before:
            same = self._by_size[before]
            del same[sender]
            if not same:
                del self._by_size[before]
        after = before + by
        if after:
            self._held[sender] = after
            self._by_size.setdefault(after, {})[sender] = None
        self.total += by

    def heaviest(self) -> tuple[int, Account] | None:
        """Who has most, and how much; of several, the one that came to it last."""
        if not self._by_size:
            return None
        most = max(self._by_size)  # of a few hundred sizes at most
        return most, next(reversed(self._by_size[most]))


def _slots(transaction: Transaction) -> int:
    return 1 + len(transaction.args) // SLOT_BYTES


class Mempool:
    """Holds transactions whose signature was checked. `next_nonce` is passed in: it is the state's business."""

    def __init__(self, limits: MempoolLimits | None = None) -> None:
        self._limits = limits or MempoolLimits()
        self._entries: dict[TxId, _Entry] = {}  # in order of arrival
        self._senders: dict[Account, dict[int, TxId]] = {}
        self._known = _Shares()
        self._new = _Shares()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, tx_id: TxId) -> bool:
        return tx_id in self._entries

    def get(self, tx_id: TxId) -> Transaction | None:
        entry = self._entries.get(tx_id)
        return entry.transaction if entry is not None else None

    def check(self, transaction: Transaction, next_nonce: int, now_ms: int) -> None:
        """Raise Refused when `add` would, before anything costly is done with the transaction."""
        self._plan(transaction, next_nonce, now_ms)

    def add(self, transaction: Transaction, next_nonce: int, now_ms: int) -> list[Left]:
        """Take a transaction in; return what had to leave for it. Raises Refused.

        Reasons: already_pending, nonce_too_low, nonce_gap (too far ahead), nonce_taken (by one that has not waited for
        long), mempool_full (and nobody has more in it).
        """
        leaving = self._plan(transaction, next_nonce, now_ms)
        for left in leaving:
            self._remove(transaction_id(left.transaction))
        self._insert(transaction, now_ms, rank_ms=now_ms, shares=self._shares_of(transaction.sender, next_nonce))
        return leaving

    def put_back(self, transactions: list[Transaction], now_ms: int) -> list[Left]:
        """Take back what was in blocks that left the chain, ahead of all others; return what found no place."""
        left = []
        kept = self._entries
        self._entries = {}
        for transaction in transactions:
            if transaction.nonce in self._senders.get(transaction.sender, {}):
                left.append(Left(transaction, "nonce_taken"))
            else:
                shares = self._shares_of(transaction.sender, next_nonce=1)
                self._insert(transaction, now_ms, rank_ms=0, shares=shares)
        self._entries.update(kept)
        while self._known.total + self._new.total > self._limits.transactions:
            heaviest = self._heaviest()
            if heaviest is None:
                raise AssertionError("a pool with too much in it has somebody who has most of it")
            left.append(Left(self._remove(self._last(heaviest[1])), "evicted"))
        return left

    # --- who has to leave -----------------------------------------------------------------------------------------

    def _plan(self, transaction: Transaction, next_nonce: int, now_ms: int) -> list[Left]:
        """Tell what must leave for a transaction to be taken. Raises Refused as `add` says."""
        limits = self._limits
        if transaction_id(transaction) in self._entries:
            raise Refused("already_pending")
        sender, nonce = transaction.sender, transaction.nonce
        if nonce < next_nonce:
            raise Refused("nonce_too_low", f"{nonce}, the account is at {next_nonce}")
        if nonce >= next_nonce + limits.per_sender:
            raise Refused("nonce_gap", f"{nonce} is {limits.per_sender} or more ahead of {next_nonce}")
        leaving = []
        added = _slots(transaction)
        if (same := self._senders.get(sender, {}).get(nonce)) is not None:
            waiting = self._entries[same]
            if now_ms < waiting.arrived_ms + limits.replace_after_ms:
                raise Refused("nonce_taken", f"another transaction with nonce {nonce} waits, and came just now")
            leaving.append(Left(waiting.transaction, "replaced"))
            added -= _slots(waiting.transaction)
        shares = self._shares_of(sender, next_nonce)
        holds = shares.of(sender) + added
        over = self._known.total + self._new.total + added - limits.transactions
        over_new = self._new.total + added - limits.newcomers if shares is self._new else 0
        if over > 0 or over_new > 0:
            leaving += self._evictions(
                max(over, over_new), holds, self._new.heaviest() if over_new > 0 else self._heaviest()
            )
        return leaving

    def _evictions(self, needed: int, holds: int, heaviest: tuple[int, Account] | None) -> list[Left]:
        """The last ones of whoever has most, if that one keeps no less than the newcomer will hold. Raises Refused."""
        leaving: list[Left] = []
        if heaviest is not None:
            most, sender = heaviest
            own = self._senders[sender]
            for nonce in sorted(own, reverse=True):
                victim = self._entries[own[nonce]].transaction
                most -= _slots(victim)
                if most < holds:
                    break
                leaving.append(Left(victim, "evicted"))
                needed -= _slots(victim)
                if needed <= 0:
                    return leaving
        raise Refused("mempool_full", f"{len(self._entries)} transactions wait, and nobody has more of them")

    def _shares_of(self, sender: Account, next_nonce: int) -> _Shares:
        """Where a sender counts: as a newcomer when it comes as one, and until a block has taken something of it."""
        if self._known.of(sender):
            return self._known
        return self._new if self._new.of(sender) or next_nonce == 0 else self._known

    def _heaviest(self) -> tuple[int, Account] | None:
        known, new = self._known.heaviest(), self._new.heaviest()
        if known is None or new is None:
            return known or new
        return known if known[0] > new[0] else new

    def _last(self, sender: Account) -> TxId:
        own = self._senders[sender]
        return own[max(own)]

    # --- what waits -----------------------------------------------------------------------------------------------

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
        if newly := self._new.of(transaction.sender):
            self._new.change(transaction.sender, -newly)
            self._known.change(transaction.sender, newly)
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

    def _insert(self, transaction: Transaction, now_ms: int, *, rank_ms: int, shares: _Shares) -> None:
        tx_id = transaction_id(transaction)
        shares.change(transaction.sender, _slots(transaction))
        self._entries[tx_id] = _Entry(transaction, now_ms, rank_ms)
        self._senders.setdefault(transaction.sender, {})[transaction.nonce] = tx_id

    def _remove(self, tx_id: TxId) -> Transaction:
        transaction = self._entries.pop(tx_id).transaction
        shares = self._new if self._new.of(transaction.sender) else self._known
        shares.change(transaction.sender, -_slots(transaction))
        own = self._senders[transaction.sender]
        del own[transaction.nonce]
        if not own:
            del self._senders[transaction.sender]
        return transaction
