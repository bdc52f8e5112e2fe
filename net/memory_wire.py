"""What carries everything in a memory network: one heap of arrivals, and one task that waits for the earliest."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Protocol

import trio

from net.memory_links import Lane, LinkConditions, LinkEnd, Outcome, Tally
from net.peer import Address, PeerId
from net.transport import FrameReceived, TransportEvent


class Listener(Protocol):
    """A transport that is running, as a dialling one sees it."""

    @property
    def peer_id(self) -> PeerId: ...

    def far_end(self, dialler: PeerId, outcome: Outcome) -> LinkEnd:
        """Make this transport's end of a link that `dialler` opens."""


class Wire:
    """Decides what becomes of each thing sent, and hands it over when it is due.

    Arrivals are ordered by (time, sequence of sending); those that take no time are handed over at once, since waking
    a task costs trio 60 µs and handing over a frame about 1 µs. Arrivals of the same time share an entry of the heap:
    with a quantum, thousands do.
    """

    def __init__(self, rng: random.Random, conditions: LinkConditions, quantum_s: float) -> None:
        self._rng = rng
        self._default = conditions
        self._quantum_s = quantum_s
        self._conditions: dict[tuple[PeerId, PeerId], LinkConditions] = {}
        self._lanes: dict[tuple[PeerId, PeerId], Lane] = {}
        self._times: list[float] = []  # a heap of the keys of _arrivals
        self._arrivals: dict[float, list[Callable[[], None]]] = {}  # each in the order of sending
        self._now = trio.current_time
        self._asleep_until = float("-inf")
        self._alarm = trio.Event()
        self.listening: dict[Address, Listener] = {}
        self.dialling: dict[tuple[PeerId, PeerId], Outcome] = {}  # by (lower, higher) peer id
        self.tallies: dict[PeerId, Tally] = {}

    async def run(self) -> None:
        """Let arrivals happen when they are due, until cancelled."""
        self._now = trio.lowlevel.current_clock().current_time  # the same without asking trio which clock it is
        times = self._times
        while True:
            now = self._now()
            while times and times[0] <= now:
                for arrival in self._arrivals.pop(heappop(times)):
                    arrival()
            self._asleep_until = times[0] if times else float("inf")
            self._alarm = trio.Event()
            with trio.move_on_at(self._asleep_until):
                await self._alarm.wait()

    # Conditions. ----------------------------------------------------------------------------------------------

    def conditions(self, source: PeerId, target: PeerId) -> LinkConditions:
        return self._conditions.get((source, target), self._default)

    def set_conditions(self, source: PeerId, target: PeerId, conditions: LinkConditions) -> None:
        self._conditions[source, target] = conditions
        if lane := self._lanes.get((source, target)):
            lane.conditions = conditions

    def opening_lost(self, source: PeerId, target: PeerId) -> bool:
        """Tell whether the opening packet of a link or its answer gets lost this time."""
        survives = (1 - self.conditions(source, target).loss) * (1 - self.conditions(target, source).loss)
        return survives < 1 and self._rng.random() >= survives

    def round_trip_s(self, a: PeerId, b: PeerId) -> float:
        return self.conditions(a, b).latency_s + self.conditions(b, a).latency_s

    # Carrying. ------------------------------------------------------------------------------------------------

    def carry(self, lane: Lane, end: LinkEnd, event: TransportEvent, size: int) -> None:
        """Carry a frame or request over `lane` to the link's `end`, subject to loss."""
        loss = lane.conditions.loss
        if loss and self._rng.random() < loss:
            if type(event) is FrameReceived:
                end.twin.tally.frames_lost += 1
            return
        self.carry_surely(lane, end, event, size)

    def carry_surely(self, lane: Lane, end: LinkEnd, event: TransportEvent, size: int) -> None:
        """Carry what a real link would repeat until it arrives: that it opens or closes."""
        conditions = lane.conditions
        if not conditions.latency_s and not lane.in_flight:
            end.arrive(end, event, size)
            return
        # The link is ordered: what jitter would let overtake waits for what went before.
        due = lane.last_due = max(self._due(conditions), lane.last_due)
        lane.in_flight.append((end, event, size))
        lane.entered(size)
        self._schedule(due, partial(_next_arrival, lane))

    def answer(self, lane: Lane, settle: Callable[[], None]) -> None:
        """Carry the answer to a request; answers need neither an order nor a place in the receiver's inbox."""
        conditions = lane.conditions
        if conditions.loss and self._rng.random() < conditions.loss:
            return
        if conditions.latency_s:
            self._schedule(self._due(conditions), settle)
        else:
            settle()

    def lane(self, source: PeerId, target: PeerId) -> Lane:
        lane = self._lanes.get((source, target))
        if lane is None:
            lane = self._lanes[source, target] = Lane(source, target, self.conditions(source, target))
        return lane

    def retire(self, a: PeerId, b: PeerId) -> None:
        """Forget the lanes of a pair without a link, once empty: new ones will do as well."""
        if (min(a, b), max(a, b)) in self.dialling:
            return
        for pair in ((a, b), (b, a)):
            if (lane := self._lanes.get(pair)) and not lane.pending:
                del self._lanes[pair]

    def _due(self, conditions: LinkConditions) -> float:
        due = self._now() + conditions.latency_s
        if conditions.jitter_s:
            due += self._rng.uniform(-conditions.jitter_s, conditions.jitter_s)
        if self._quantum_s:
            due = -(-due // self._quantum_s) * self._quantum_s
        return due

    def _schedule(self, due: float, arrival: Callable[[], None]) -> None:
        if due in self._arrivals:
            self._arrivals[due].append(arrival)
            return
        self._arrivals[due] = [arrival]
        heappush(self._times, due)
        if due < self._asleep_until:
            self._alarm.set()


def _next_arrival(lane: Lane) -> None:
    end, event, size = lane.in_flight.popleft()
    lane.left(size)
    end.arrive(end, event, size)
