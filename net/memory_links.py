"""The links of a memory network: what a link does to what it carries, and the queues in which things wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import trio

from net.peer import PeerId
from net.transport import TransportEvent

LANE_FRAMES = 256
"""Frames and requests that may be under way, or wait for the receiver, in one direction of a link."""
LANE_BYTES = 4 << 20
"""Bytes likewise. The frame that crosses the bound is still taken, so one frame of any allowed size passes."""
LANE_EXCHANGES = 64
"""Requests of one peer to another that may await their answer; more wait their turn."""


@dataclass(frozen=True, slots=True)
class LinkConditions:
    """What one direction of a link does to frames, requests and answers.

    A frame takes `latency_s` plus a uniform draw of ± `jitter_s` seconds, but never overtakes an earlier one;
    it is lost with probability `loss`. Raises ValueError for what no link can be.
    """

    latency_s: float = 0.0
    """One way, at least 0."""
    jitter_s: float = 0.0
    """From 0 to `latency_s`."""
    loss: float = 0.0
    """From 0 to 1. Per frame: there is no retransmission below us; only dialling tries again."""

    def __post_init__(self) -> None:
        if not 0 <= self.jitter_s <= self.latency_s < float("inf"):
            msg = f"latency {self.latency_s} s ± {self.jitter_s} s: need 0 ≤ jitter ≤ latency"
            raise ValueError(msg)
        if not 0 <= self.loss <= 1:
            msg = f"a loss of {self.loss} is not a probability"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a peer (or all of them) sent and received as frames since it was first attached. Requests apart."""

    frames_sent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    bytes_received: int = 0
    frames_lost: int = 0
    """Sent, and taken by the link's loss or by its going down."""
    frames_dropped: int = 0
    """Not sent: `send_nowait` found the queue full or no link."""
    requests_sent: int = 0
    request_bytes: int = 0
    """Bodies of requests and answers this peer sent."""


@dataclass(slots=True)
class Tally:
    """The running counts behind a `Traffic`."""

    frames_sent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    bytes_received: int = 0
    frames_lost: int = 0
    frames_dropped: int = 0
    requests_sent: int = 0
    request_bytes: int = 0

    @classmethod
    def total(cls, tallies: Iterable[Tally]) -> Traffic:
        """Add up."""
        rows = [tuple(getattr(tally, name) for name in cls.__slots__) for tally in tallies]
        return Traffic(*map(sum, zip(*rows, strict=True)))


class Exchange:
    """One request of ours and what became of it."""

    __slots__ = ("answer", "definite", "done", "failure")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.answer: bytes | None = None
        self.failure = ""
        self.definite = False

    def succeed(self, answer: bytes) -> None:
        if not self.done.is_set():
            self.answer = answer
            self.done.set()

    def fail(self, reason: str, *, definite: bool) -> None:
        if not self.done.is_set():
            self.failure = reason
            self.definite = definite
            self.done.set()


class Lane:
    """What goes from one peer to another, first in, first out, over all links the two ever have.

    One lane outlives its link: the end of an old link arrives before the beginning of the next.
    """

    __slots__ = ("conditions", "in_flight", "last_due", "pending", "pending_bytes", "room", "source", "target")

    def __init__(self, source: PeerId, target: PeerId, conditions: LinkConditions) -> None:
        self.source = source
        self.target = target
        self.conditions = conditions
        self.in_flight: deque[tuple[LinkEnd, TransportEvent, int]] = deque()
        self.last_due = 0.0
        # In flight, or arrived and waiting for the receiver to read.
        self.pending = 0
        self.pending_bytes = 0
        self.room: trio.Event | None = None

    @property
    def is_full(self) -> bool:
        return self.pending >= LANE_FRAMES or self.pending_bytes >= LANE_BYTES

    async def wait_for_change(self) -> None:
        """Wait until something left the lane or its link went down."""
        if self.room is None:
            self.room = trio.Event()
        await self.room.wait()

    def wake(self) -> None:
        if self.room is not None:
            self.room.set()
            self.room = None

    def entered(self, size: int) -> None:
        self.pending += 1
        self.pending_bytes += size

    def left(self, size: int) -> None:
        """Count out one thing that was read by the receiver, or lost."""
        self.pending -= 1
        self.pending_bytes -= size
        if self.room is not None:
            self.wake()


Arrive = Callable[["LinkEnd", TransportEvent, int], None]
"""Takes an event of so many bytes that arrived at a link's end."""


class LinkEnd:
    """One peer's end of a link. `twin` is the other end; both share the outcome of dialling."""

    __slots__ = ("arrive", "exchanges", "lane", "outbound", "outcome", "owner", "tally", "twin", "up")

    twin: LinkEnd

    def __init__(
        self, owner: PeerId, arrive: Arrive, lane: Lane, tally: Tally, outcome: Outcome, *, outbound: bool
    ) -> None:
        self.owner = owner
        self.arrive = arrive  # how the owner's transport takes what its twin sent
        self.lane = lane  # from the owner to the twin's owner
        self.tally = tally  # the owner's
        self.outcome = outcome
        self.outbound = outbound
        self.up = False
        self.exchanges: list[Exchange] = []  # the owner's requests that await an answer

    def close(self, reason: str) -> None:
        """Take this end down: requests under way fail, senders that wait for room are woken to find out."""
        self.up = False
        for exchange in self.exchanges:
            exchange.fail(reason, definite=False)
        self.lane.wake()


@dataclass(slots=True)
class Outcome:
    """How a dial ended: `failure` is empty when the link came up."""

    settled: trio.Event = field(default_factory=trio.Event)
    failure: str = ""

    def settle(self, failure: str) -> None:
        self.failure = failure
        self.settled.set()
