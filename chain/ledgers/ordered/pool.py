"""Envelopes that wait to be ordered: bounded by number, bytes and sender, and each only as long as it can be valid."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from chain.codec import transaction_id
from chain.errors import Refused
from chain.ledgers.ordered.endorse import seen_key
from chain.ledgers.ordered.values import Envelope, encoded_evidence, made_ms
from chain.state import WorldState
from chain.values import Account, TxId


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What waits at most."""

    count: int = 8_192
    bytes: int = 32 * 1024 * 1024
    per_sender: int = 1_024


@dataclass(frozen=True, slots=True)
class Waiting:
    """An envelope in the pool."""

    serial: int
    """Position in the order of arrival; never used again."""
    envelope: Envelope
    evidence: bytes
    """Encoded."""
    size: int
    """Bytes of transaction and evidence."""
    gas: int
    """What the call costs, as its endorsers found it."""


class EnvelopePool:
    """In order of arrival. Orderers cut blocks from it; other peers keep it to tell what waits."""

    def __init__(self, limits: PoolLimits, ttl_ms: int) -> None:
        self._limits = limits
        self._ttl_ms = ttl_ms
        self._waiting: dict[TxId, Waiting] = {}
        self._of: Counter[Account] = Counter()
        self._bytes = 0
        self._serial = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, tx: TxId) -> bool:
        return tx in self._waiting

    def get(self, tx: TxId) -> Envelope | None:
        found = self._waiting.get(tx)
        return found.envelope if found is not None else None

    def _check(self, envelope: Envelope, size: int) -> None:
        sender = envelope.transaction.sender
        if transaction_id(envelope.transaction) in self._waiting:
            raise Refused("already_pending")
        if len(self._waiting) >= self._limits.count or self._bytes + size > self._limits.bytes:
            raise Refused("pool_full", f"{len(self._waiting)} transactions of {self._bytes} bytes wait to be ordered")
        if self._of[sender] >= self._limits.per_sender:
            raise Refused("pool_full", f"{self._of[sender]} transactions of this sender wait to be ordered")

    def add(self, envelope: Envelope) -> Waiting:
        """Raises Refused: ``already_pending``, ``pool_full``; nothing has changed then."""
        transaction = envelope.transaction
        evidence, size = encoded_evidence(envelope)
        self._check(envelope, size)
        self._serial += 1
        waiting = Waiting(self._serial, envelope, evidence, size, envelope.evidence.response.gas)
        self._waiting[transaction_id(transaction)] = waiting
        self._of[transaction.sender] += 1
        self._bytes += waiting.size
        return waiting

    def remove(self, tx: TxId) -> Envelope | None:
        """Take one out: it is in a block."""
        waiting = self._waiting.pop(tx, None)
        if waiting is None:
            return None
        self._bytes -= waiting.size
        sender = waiting.envelope.transaction.sender
        self._of[sender] -= 1
        if not self._of[sender]:
            del self._of[sender]
        return waiting.envelope

    def expire(self, now_ms: int) -> list[Envelope]:
        """Take out what no block may hold any more."""
        late = [tx for tx, one in self._waiting.items() if made_ms(one.envelope.transaction) + self._ttl_ms < now_ms]
        return [envelope for tx in late if (envelope := self.remove(tx)) is not None]

    def forget(self, state: WorldState, time_ms: int) -> list[Envelope]:
        """Take out what is in a block already, as far as a state and its block's time tell, or may be and expired."""
        gone = self.expire(time_ms)
        seen = [tx for tx, one in self._waiting.items() if seen_key(one.envelope.transaction.nonce, tx) in state]
        return gone + [envelope for tx in seen if (envelope := self.remove(tx)) is not None]

    def next_expiry_ms(self) -> int | None:
        """When the one that has waited longest expires; none before does that matter much."""
        first = next(iter(self._waiting.values()), None)
        return None if first is None else made_ms(first.envelope.transaction) + self._ttl_ms + 1

    def since(self, serial: int) -> list[Waiting]:
        """Those that came after the one with that serial, in order of arrival; costs what it returns."""
        fresh = list(takewhile(lambda waiting: waiting.serial > serial, reversed(self._waiting.values())))
        return fresh[::-1]

    def __iter__(self) -> Iterator[Waiting]:
        """In order of arrival."""
        return iter(self._waiting.values())
