"""How well gossip works in this process: what was published, who received it, when.

Every overlay of the process reports here. Memory is bounded: latencies are a histogram of 0.1 ms bins up to ten
seconds, and a message is forgotten `HORIZON_MS` after it was published, when whoever still lacks it counts as
undelivered.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from net.gossip.counters import Counters
from net.gossip.events import MessageId
from net.peer import PeerId

HORIZON_MS = 20_000
BIN_MS = 0.1
BINS = 100_000
MAX_TRACKED = 65_536


@dataclass(frozen=True, slots=True)
class GossipFigures:
    """Totals so far; percentiles of the time from publishing to delivery, milliseconds."""

    published: int
    delivered: int
    duplicates: int
    undelivered: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class _Flight:
    __slots__ = ("owed", "since_ms", "topic")

    def __init__(self, since_ms: float, topic: str, owed: set[PeerId]) -> None:
        self.since_ms = since_ms
        self.topic = topic
        self.owed = owed
        """Who wanted it when it was published, wants it still, and has not got it."""


class GossipMeter:
    """Counts what the overlays of one process tell it. `now_s` is the run's monotonic time in seconds."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._subscribers: dict[str, set[PeerId]] = {}
        self._flights: OrderedDict[MessageId, _Flight] = OrderedDict()
        self._bins = np.zeros(BINS + 1, dtype=np.int64)
        self._counters: list[Counters] = []
        self._published = self._delivered = self._undelivered = 0
        self._max_ms = 0.0

    def subscribed(self, peer: PeerId, topic: str) -> None:
        """`peer` wants `topic` from now on."""
        self._subscribers.setdefault(topic, set()).add(peer)

    def unsubscribed(self, peer: PeerId, topic: str) -> None:
        """`peer` does not want it any more, or is gone: what is in flight is no longer owed to it."""
        peers = self._subscribers.get(topic)
        if peers is not None:
            peers.discard(peer)
            if not peers:
                del self._subscribers[topic]
            for flight in self._flights.values():
                if flight.topic == topic:
                    flight.owed.discard(peer)

    def published(self, peer: PeerId, message: MessageId, topic: str) -> None:
        """`peer` published a message."""
        now_ms = self._now_s() * 1000
        self._forget(now_ms - HORIZON_MS)
        self._published += 1
        self._flights[message] = _Flight(now_ms, topic, self._subscribers.get(topic, set()) - {peer})
        if len(self._flights) > MAX_TRACKED:
            self._close(self._flights.popitem(last=False)[1])

    def delivered(self, peer: PeerId, message: MessageId) -> None:
        """`peer`, who is not the publisher, got a message for the first time."""
        self._delivered += 1
        flight = self._flights.get(message)
        if flight is not None:
            flight.owed.discard(peer)
            latency = self._now_s() * 1000 - flight.since_ms
            self._bins[min(BINS, int(latency / BIN_MS))] += 1
            self._max_ms = max(self._max_ms, latency)

    def watch(self, counters: Counters) -> None:
        """Sum up this router's duplicates too; it stays counted after its overlay has ended."""
        self._counters.append(counters)

    def figures(self, *, settle: bool = False) -> GossipFigures:
        """Totals; with `settle` what is still missing counts as undelivered although its horizon has not passed."""
        missing = sum(len(flight.owed) for flight in self._flights.values()) if settle else 0
        return GossipFigures(
            self._published,
            self._delivered,
            sum(counters.duplicates for counters in self._counters),
            self._undelivered + missing,
            self._percentile(0.50),
            self._percentile(0.99),
            round(self._max_ms, 1),
        )

    def latencies(self) -> Sequence[tuple[int, int]]:
        """(bin of `BIN_MS`, deliveries in it), for bins that have some."""
        return [(int(number), int(self._bins[number])) for number in np.flatnonzero(self._bins)]

    def _percentile(self, share: float) -> float:
        return percentile_ms(self._bins, share)

    def _forget(self, before_ms: float) -> None:
        while self._flights:
            first = next(iter(self._flights.values()))
            if first.since_ms > before_ms:
                return
            self._close(self._flights.popitem(last=False)[1])

    def _close(self, flight: _Flight) -> None:
        self._undelivered += len(flight.owed)


def percentile_ms(bins: "np.ndarray[Any, np.dtype[np.int64]]", share: float) -> float:
    """The time in milliseconds in which that share (0 to 1) of what a histogram counts was delivered; 0 if none was."""
    cumulative = np.cumsum(bins)
    if cumulative[-1] == 0:
        return 0.0
    return round(float(np.searchsorted(cumulative, share * cumulative[-1])) * BIN_MS, 1)


def histogram(latencies: Iterable[tuple[int, int]]) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Add up what `GossipMeter.latencies` of several processes gave. Raises ValueError for a bin that there is not."""
    bins = np.zeros(BINS + 1, dtype=np.int64)
    for number, count in latencies:
        if not 0 <= number <= BINS:
            raise ValueError(f"there is no bin {number}")
        bins[number] += count
    return bins
