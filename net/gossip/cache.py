"""What a router remembers of messages: ids it has seen, and recent messages it can hand out again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import cast

from net.gossip.events import MessageId
from net.gossip.wire import Envelope
from net.peer import PeerId


class SeenCache:
    """Ids seen in the last `ttl` seconds, counted from when they were first seen; at most `capacity` of them.

    Expiry is decided by the time given, never by a timer, so it does not matter when or whether old ids are dropped.
    """

    __slots__ = ("_capacity", "_first_seen", "_ttl", "evicted")

    def __init__(self, ttl: float, capacity: int) -> None:
        self._first_seen: dict[MessageId, float] = {}
        self._ttl = ttl
        self._capacity = capacity
        self.evicted = 0
        """Ids that were forgotten before their time, because of `capacity`."""

    def __len__(self) -> int:
        return len(self._first_seen)

    def has(self, message_id: MessageId, now: float) -> bool:
        """Tell whether the id was seen in the last `ttl` seconds."""
        first = self._first_seen.get(message_id)
        return first is not None and now < first + self._ttl

    def without(self, ids: Iterable[bytes], now: float) -> list[MessageId]:
        """Return the ids that `has` denies: hundreds come with each IHAVE, and nearly all were seen."""
        first_seen, ttl = self._first_seen, self._ttl
        return [one for one in cast("Iterable[MessageId]", ids) if now >= first_seen.get(one, -inf) + ttl]

    def add(self, message_id: MessageId, now: float) -> None:
        """Note an id; one that is still remembered keeps its first time."""
        if self.has(message_id, now):
            return
        # Insertion order is time order: the oldest are in front, an expired entry of this very id among them.
        while self._first_seen:
            oldest = next(iter(self._first_seen))
            expired = now >= self._first_seen[oldest] + self._ttl
            if not expired:
                if len(self._first_seen) < self._capacity:
                    break
                self.evicted += 1
            del self._first_seen[oldest]
        self._first_seen[message_id] = now


@dataclass(slots=True)
class _Cached:
    envelope: Envelope
    window: int
    sent: dict[PeerId, int] = field(default_factory=dict)


class MessageCache:
    """Messages of the last `history` heartbeats, to answer IWANT; those of the last `gossip` ones are advertised.

    gossipsub-v1.0.md, "Message Cache". The windows are numbered by `shift`; beyond `max_messages` or `max_bytes`
    the oldest messages go.
    """

    def __init__(self, history: int, gossip: int, *, max_messages: int, max_bytes: int) -> None:
        self._cached: dict[MessageId, _Cached] = {}
        self._history = history
        self._gossip = gossip
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._window = 0

    def __len__(self) -> int:
        return len(self._cached)

    def __iter__(self) -> Iterator[MessageId]:
        return iter(self._cached)

    def put(self, envelope: Envelope) -> None:
        """Add a message to the current window; a message there already stays where it is."""
        if envelope.message.id in self._cached:
            return
        self._cached[envelope.message.id] = _Cached(envelope, self._window)
        self._bytes += len(envelope.entry)
        while len(self._cached) > self._max_messages or self._bytes > self._max_bytes:
            self._drop_oldest()

    def take(self, message_id: bytes, peer: PeerId, most: int) -> Envelope | None:
        """Return the message unless it is gone or `peer` has got it from here `most` times before; count this time."""
        cached = self._cached.get(MessageId(message_id))
        if cached is None:
            return None
        count = cached.sent.get(peer, 0)
        if count >= most:
            return None
        cached.sent[peer] = count + 1
        return cached.envelope

    def advertised(self) -> dict[str, list[MessageId]]:
        """Return the ids of the last `gossip` windows by topic, oldest first."""
        ids: dict[str, list[MessageId]] = {}
        for message_id, cached in self._cached.items():
            if cached.window > self._window - self._gossip:
                ids.setdefault(cached.envelope.message.topic, []).append(message_id)
        return ids

    def shift(self) -> None:
        """Begin a new window and drop the one that is `history` windows old."""
        self._window += 1
        while self._cached and next(iter(self._cached.values())).window <= self._window - self._history:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._bytes -= len(self._cached.pop(next(iter(self._cached))).envelope.entry)
