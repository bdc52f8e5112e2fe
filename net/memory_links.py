"""The links of a memory network: their ends, and the queues in which things wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import trio

from net.memory_conditions import INFINITY, LANE_FRAMES, Impairment, LinkConditions
from net.peer import PeerId
from net.transport import TransportEvent

LANE_EXCHANGES = 64
"""Requests of one peer to another that may await their answer; more wait their turn."""


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
    frames_duplicated: int = 0
    """Sent once, and carried twice."""
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
    frames_duplicated: int = 0
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

    __slots__ = (
        "bytes_per_s",
        "cut_off",
        "in_flight",
        "last_due",
        "max_bytes",
        "nature",
        "next_arrival",
        "pending",
        "pending_bytes",
        "plain",
        "room",
        "sending",
        "source",
        "target",
        "trouble",
        "waiting",
    )

    def __init__(self, source: PeerId, target: PeerId, nature: LinkConditions, trouble: Impairment) -> None:
        self.source = source
        self.target = target
        self.in_flight: deque[tuple[LinkEnd, TransportEvent, int]] = deque()
        self.last_due = 0.0
        self.next_arrival = self._next_arrival  # bound once, scheduled for each thing under way
        # Under way, or arrived and waiting for the receiver to read.
        self.pending = 0
        self.pending_bytes = 0
        self.room: trio.Event | None = None
        # Only on lanes that are not plain: what has not left the sender, by its bytes still to be sent.
        self.waiting: deque[Parcel] = deque()
        self.sending: Sending | None = None
        # News that a cut keeps from arriving, to be repeated when it is over.
        self.cut_off: list[tuple[LinkEnd, TransportEvent]] = []
        self.change(nature, trouble)

    def change(self, nature: LinkConditions, trouble: Impairment) -> None:
        """Take over new conditions. The wire looks after what waits."""
        self.nature = nature
        self.trouble = trouble
        self.bytes_per_s = 0.0 if trouble.held else min(nature.bytes_per_s, trouble.bytes_per_s)
        self.max_bytes = nature.queue_bytes
        # One flag, so that an ordinary link pays for one look.
        self.plain = (
            nature.is_plain
            and not trouble.cut
            and self.bytes_per_s == INFINITY
            and not (self.waiting or self.sending or self.cut_off)
        )

    @property
    def is_full(self) -> bool:
        return self.pending >= LANE_FRAMES or self.pending_bytes >= self.max_bytes

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

    def _next_arrival(self) -> None:
        end, event, size = self.in_flight.popleft()
        self.pending -= 1
        self.pending_bytes -= size
        if self.room is not None:
            self.wake()
        end.arrive(end, event, size)

    def left(self, size: int) -> None:
        """Count out one thing that was read by the receiver, or lost."""
        self.pending -= 1
        self.pending_bytes -= size
        if self.room is not None:
            self.wake()


class Parcel:
    """Something that waits to be sent: how many bytes are left, and what happens when all have."""

    __slots__ = ("launch", "left")

    def __init__(self, left: float, launch: Callable[[], None]) -> None:
        self.left = left
        self.launch = launch


@dataclass(frozen=True, slots=True, eq=False)
class Sending:
    """A lane's first parcel, being sent since some time at some rate."""

    since: float
    bytes_per_s: float


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
    """How a dial ended: `failure` is empty when the link came up. `end` is the dialler's."""

    settled: trio.Event = field(default_factory=trio.Event)
    failure: str = ""
    end: LinkEnd = field(init=False)

    def settle(self, failure: str) -> None:
        self.failure = failure
        self.settled.set()
