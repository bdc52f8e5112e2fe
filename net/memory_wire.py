"""What carries everything in a memory network: one heap of arrivals, and one task that waits for the earliest."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Protocol

import trio

from net.memory_conditions import INFINITY, SOUND, Impairment, LinkConditions
from net.memory_links import Lane, LinkEnd, Outcome, Parcel, Sending, Tally
from net.peer import Address, PeerId
from net.transport import FrameReceived, LinkDown, LinkUp, TransportEvent

KEEP_ALIVE_S = 5.0
"""How often each end of a link would ask whether the other is there, where a cut must be noticed."""

Nature = Callable[[PeerId, PeerId], LinkConditions]
"""What a link from one peer to another is like; constant."""
Trouble = Callable[[PeerId, PeerId], Impairment]
"""What ails it at present."""


class Listener(Protocol):
    """A transport that is running, as others on the wire see it."""

    @property
    def peer_id(self) -> PeerId: ...

    def far_end(self, dialler: PeerId, outcome: Outcome) -> LinkEnd:
        """Make this transport's end of a link that `dialler` opens."""

    def give_up(self, peer: PeerId) -> None:
        """Take down the link to a peer that has not been heard for too long."""


class Wire:
    """Decides what becomes of each thing sent, and hands it over when it is due.

    Arrivals are ordered by (time, sequence of sending); those that take no time are handed over at once, since waking
    a task costs trio 60 µs and handing over a frame about 1 µs. Arrivals of the same time share an entry of the heap:
    with a quantum, thousands do. Chance is drawn in the order of sending, and only by links whose conditions ask for it.
    """

    def __init__(self, rng: random.Random, nature: Nature, quantum_s: float, silence_s: float) -> None:
        self._rng = rng
        self._nature = nature
        self._quantum_s = quantum_s
        self._silence_s = silence_s
        self._conditions: dict[tuple[PeerId, PeerId], LinkConditions] = {}
        self._trouble: Trouble = _no_trouble
        self._silent: dict[
            tuple[PeerId, PeerId], object
        ] = {}  # by (lower, higher) peer id: those cut, if they had lanes
        self._lanes: dict[tuple[PeerId, PeerId], Lane] = {}
        self._times: list[float] = []  # a heap of the keys of _arrivals
        self._arrivals: dict[float, list[Callable[[], None]]] = {}  # each in the order of sending
        self._now = trio.current_time
        self._asleep_until = float("-inf")
        self._alarm = trio.Event()
        self.addresses: dict[PeerId, Address] = {}
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
            self._asleep_until = times[0] if times else INFINITY
            self._alarm = trio.Event()
            with trio.move_on_at(self._asleep_until):
                await self._alarm.wait()

    # Conditions. ----------------------------------------------------------------------------------------------

    def conditions(self, source: PeerId, target: PeerId) -> LinkConditions:
        return self._conditions.get((source, target)) or self._nature(source, target)

    def set_conditions(self, source: PeerId, target: PeerId, conditions: LinkConditions) -> None:
        self._conditions[source, target] = conditions
        if lane := self._lanes.get((source, target)):
            self._change(lane)

    def impair(self, trouble: Trouble) -> None:
        self._trouble = trouble
        # A copy, since links that open or close at once make and retire lanes.
        for lane in list(self._lanes.values()):
            self._change(lane)
        for lane in list(self._lanes.values()):
            self._keep_alive(min(lane.source, lane.target), max(lane.source, lane.target))

    def _change(self, lane: Lane) -> None:
        nature, trouble = self.conditions(lane.source, lane.target), self._trouble(lane.source, lane.target)
        if nature == lane.nature and trouble == lane.trouble:
            return
        if lane.sending is not None:
            sent = (trio.current_time() - lane.sending.since) * lane.sending.bytes_per_s
            lane.waiting[0].left = max(0.0, lane.waiting[0].left - sent)
            lane.sending = None
        lane.change(nature, trouble)
        if not trouble.cut:
            repeated, lane.cut_off = lane.cut_off, []
            for end, event in repeated:
                self._launch_surely(lane, end, event)
        self._pump(lane)
        lane.wake()  # there may be more room than before

    def opening_lost(self, source: PeerId, target: PeerId) -> bool:
        """Tell whether the opening packet of a link or its answer gets lost this time."""
        if self._is_cut(source, target):
            return True
        survives = (1 - self.conditions(source, target).loss) * (1 - self.conditions(target, source).loss)
        return survives < 1 and self._rng.random() >= survives

    def round_trip_s(self, a: PeerId, b: PeerId) -> float:
        return self.conditions(a, b).latency_s + self.conditions(b, a).latency_s

    # The keep-alive. ------------------------------------------------------------------------------------------

    def _is_cut(self, a: PeerId, b: PeerId) -> bool:
        return self._trouble(a, b).cut or self._trouble(b, a).cut

    def _keep_alive(self, low: PeerId, high: PeerId) -> None:
        """Start waiting, at both ends, for a pair that has been cut to be heard again, or stop."""
        pair = (low, high)
        if not self._is_cut(low, high):
            self._silent.pop(pair, None)
        elif pair not in self._silent:
            since = self._silent[pair] = object()
            for me, other in (pair, (high, low)):
                # The last answer may have come up to one interval before the cut.
                heard = trio.current_time() - self._rng.uniform(0, min(KEEP_ALIVE_S, self._silence_s))
                self._schedule(heard + self._silence_s, partial(self._give_up, pair, since, me, other))

    def _give_up(self, pair: tuple[PeerId, PeerId], since: object, me: PeerId, other: PeerId) -> None:
        if self._silent.get(pair) is not since:
            return
        outcome = self.dialling.get(pair)
        if outcome is not None and outcome.end.owner == me:
            # An opening that came through later would bring up a link of which its dialler knows nothing.
            for lane in (self._lanes.get((me, other)), self._lanes.get((other, me))):
                if lane is not None:
                    _forget_openings(lane)
            del self.dialling[pair]
            outcome.settle(f"{other!r} did not answer")
            self.carry_surely(outcome.end.lane, outcome.end.twin, LinkDown(me))
        if transport := self.listening.get(self.addresses[me]):
            transport.give_up(other)

    # Carrying. ------------------------------------------------------------------------------------------------

    def carry(self, lane: Lane, end: LinkEnd, event: TransportEvent, size: int) -> None:
        """Carry a frame or request over `lane` to the link's `end`, subject to loss."""
        if not lane.plain:
            lane.entered(size)
            self._send(lane, size, partial(self._launch, lane, end, event, size))
            return
        loss = lane.nature.loss
        if loss and self._rng.random() < loss:
            if type(event) is FrameReceived:
                end.twin.tally.frames_lost += 1
            return
        self._carry_in_order(lane, end, event, size)

    def carry_surely(self, lane: Lane, end: LinkEnd, event: TransportEvent) -> None:
        """Carry what a real link would repeat until it arrives: that it opens or closes."""
        if lane.plain:
            self._carry_in_order(lane, end, event, 0)
        else:
            lane.entered(0)
            self._send(lane, 0, partial(self._launch_surely, lane, end, event))

    def answer(self, lane: Lane, size: int, settle: Callable[[], None]) -> None:
        """Carry the answer to a request; answers need neither an order nor a place in the receiver's inbox."""
        if lane.plain:
            self._launch_answer(lane, settle)
        else:
            self._send(lane, size, partial(self._launch_answer, lane, settle))

    def _carry_in_order(self, lane: Lane, end: LinkEnd, event: TransportEvent, size: int) -> None:
        # The busiest place of a simulation, hence without calls that can be spared.
        nature = lane.nature
        if not (nature.latency_s or nature.jitter_s) and not lane.in_flight:
            end.arrive(end, event, size)
            return
        due = self._now() + nature.delay_s(self._rng)
        if self._quantum_s:
            due = -(-due // self._quantum_s) * self._quantum_s
        if due < lane.last_due:
            due = lane.last_due  # the link is ordered: what jitter would let overtake waits for what went before
        else:
            lane.last_due = due
        lane.in_flight.append((end, event, size))
        lane.pending += 1
        lane.pending_bytes += size
        arrivals = self._arrivals.get(due)
        if arrivals is None:
            self._schedule(due, lane.next_arrival)
        else:
            arrivals.append(lane.next_arrival)

    # Lanes that are not plain. Here things have entered the lane when they are sent, and leave it when launched. ----

    def _send(self, lane: Lane, size: int, launch: Callable[[], None]) -> None:
        if lane.bytes_per_s == INFINITY and not lane.waiting:
            launch()
            return
        lane.waiting.append(Parcel(size, launch))
        self._pump(lane)

    def _pump(self, lane: Lane, free_since: float | None = None) -> None:
        """Send what waits, one after the other, as fast as the lane takes it; a lane that is held takes nothing.

        `free_since`: when the last parcel was through, if that was before now because of the quantum.
        """
        while lane.waiting and lane.sending is None and lane.bytes_per_s:
            parcel = lane.waiting[0]
            if parcel.left and lane.bytes_per_s < INFINITY:
                since = trio.current_time() if free_since is None else free_since
                lane.sending = Sending(since, lane.bytes_per_s)
                done = self._rounded(since + parcel.left / lane.bytes_per_s)
                self._schedule(done, partial(self._sent, lane, lane.sending))
                return
            lane.waiting.popleft()
            parcel.launch()
        if not lane.waiting and not lane.plain:
            lane.change(lane.nature, lane.trouble)  # it may be plain again

    def _sent(self, lane: Lane, sending: Sending) -> None:
        if lane.sending is not sending:
            return
        now, done = trio.current_time(), sending.since
        # All that are through within this quantum, at the price of one wake-up; the first is, whatever rounding says.
        while True:
            parcel = lane.waiting.popleft()
            done += parcel.left / sending.bytes_per_s
            parcel.launch()
            if not lane.waiting or done + lane.waiting[0].left / sending.bytes_per_s > now:
                break
        lane.sending = None
        self._pump(lane, done)

    def _launch(self, lane: Lane, end: LinkEnd, event: TransportEvent, size: int) -> None:
        lane.left(size)
        nature, rng = lane.nature, self._rng
        is_frame = type(event) is FrameReceived
        if lane.trouble.cut or (nature.loss and rng.random() < nature.loss):
            if is_frame:
                end.twin.tally.frames_lost += 1
            return
        if is_frame and nature.duplication and rng.random() < nature.duplication:
            end.twin.tally.frames_duplicated += 1
            lane.entered(size)
            due = max(self._due(nature.delay_s(rng)), lane.last_due)
            self._schedule(due, partial(_arrival, lane, end, event, size))
        if is_frame and nature.reordering and rng.random() < nature.reordering:
            lane.entered(size)
            due = self._due(rng.random() * nature.delay_s(rng))
            self._schedule(due, partial(_arrival, lane, end, event, size))
        else:
            self._carry_in_order(lane, end, event, size)

    def _launch_surely(self, lane: Lane, end: LinkEnd, event: TransportEvent) -> None:
        if lane.trouble.cut:
            lane.cut_off.append((end, event))
        else:
            lane.left(0)
            self._carry_in_order(lane, end, event, 0)

    def _launch_answer(self, lane: Lane, settle: Callable[[], None]) -> None:
        nature = lane.nature
        if lane.trouble.cut or (nature.loss and self._rng.random() < nature.loss):
            return
        if nature.latency_s or nature.jitter_s:
            self._schedule(self._due(nature.delay_s(self._rng)), settle)
        else:
            settle()

    # Lanes. ---------------------------------------------------------------------------------------------------

    def lane(self, source: PeerId, target: PeerId) -> Lane:
        lane = self._lanes.get((source, target))
        if lane is None:
            nature, trouble = self.conditions(source, target), self._trouble(source, target)
            lane = self._lanes[source, target] = Lane(source, target, nature, trouble)
        return lane

    def retire(self, a: PeerId, b: PeerId) -> None:
        """Forget the lanes of a pair without a link, once empty: new ones will do as well."""
        if (min(a, b), max(a, b)) in self.dialling:
            return
        for pair in ((a, b), (b, a)):
            if (lane := self._lanes.get(pair)) and not lane.pending:
                del self._lanes[pair]

    def _due(self, delay_s: float) -> float:
        return self._rounded(self._now() + delay_s)

    def _rounded(self, due: float) -> float:
        return -(-due // self._quantum_s) * self._quantum_s if self._quantum_s else due

    def _schedule(self, due: float, arrival: Callable[[], None]) -> None:
        if due in self._arrivals:
            self._arrivals[due].append(arrival)
            return
        self._arrivals[due] = [arrival]
        heappush(self._times, due)
        if due < self._asleep_until:
            self._alarm.set()


def _arrival(lane: Lane, end: LinkEnd, event: TransportEvent, size: int) -> None:
    lane.left(size)
    end.arrive(end, event, size)


def _forget_openings(lane: Lane) -> None:
    kept: list[tuple[LinkEnd, TransportEvent]] = [
        (end, event) for end, event in lane.cut_off if not isinstance(event, LinkUp)
    ]
    for _ in range(len(lane.cut_off) - len(kept)):
        lane.left(0)
    lane.cut_off = kept


def _no_trouble(source: PeerId, target: PeerId) -> Impairment:  # noqa: ARG001 - a Trouble
    return SOUND
