"""A network in memory: peers of one process, whose links have latency, bandwidth, loss, and faults.

Time is trio's, hence virtual under a mock clock; chance is the `random.Random` given, drawn in the order of sending, so
a run is repeatable when its schedule is. What a link does is decided in `net.memory_wire`; what it is like and what may
ail it is said in `net.memory_conditions`.

*Dead links.* Where a cut separates two peers, in either direction, what they send vanishes. Both ends notice, as a
keep-alive would have them: each end is taken to ask every KEEP_ALIVE_S seconds whether the other is there, and to give
the link up once it had no answer for `silence_s`. No such message is really sent, since fifty links a peer would cost
more than what they carry: with a cut comes an alarm for each end, `silence_s` less a draw of up to KEEP_ALIVE_S later,
which reports LinkDown unless the cut was mended before. What a real link would repeat, that it opens or closes, comes
through after a cut. Dials fail while it lasts, after about 15 s.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import trio

from net.memory_conditions import Impairment, LinkConditions
from net.memory_links import LANE_EXCHANGES, Exchange, LinkEnd, Outcome, Tally, Traffic
from net.memory_wire import Listener, Nature, Trouble, Wire
from net.peer import Address, PeerId
from net.transport import (
    MAX_FRAME_BYTES,
    MAX_REQUEST_BYTES,
    FrameReceived,
    FrameTooLargeError,
    LinkDown,
    LinkUp,
    NotConnectedError,
    RequestFailedError,
    RequestReceived,
    TransportEvent,
)

INBOX_EVENTS = 256
"""Events that a transport holds for its reader before its senders' lanes begin to fill."""
LINK_BACKLOG = 64
"""Events about links that may wait for a reader that has fallen behind; then it refuses new links."""
DIAL_RETRIES_S = (1.0, 2.0, 4.0, 8.0)
"""Pauses after a lost opening packet, as TCP's (RFC 6298 §2: first 1 s, then doubled); then the dial has failed."""

DIAL_TIMEOUT_S = 120.0
"""How long a dial whose opening got through waits for the link; it may still come up later."""
SILENCE_S = 15.0
"""After how much silence a peer is given up, unless the network is made with another."""

__all__ = ["Impairment", "LinkConditions", "MemoryNetwork", "MemoryTransport", "Traffic"]


PERFECT = LinkConditions()
"""No latency, no loss: what is sent is there."""


class MemoryNetwork:
    """All links between the peers that are attached to it.

    `run` must be running for whatever takes time to arrive. `quantum_s` (seconds) rounds arrivals up to its multiples,
    so that a simulation of many peers wakes the dispatcher less often; 0 keeps them exact.
    """

    def __init__(
        self,
        *,
        rng: random.Random,
        conditions: LinkConditions | Nature = PERFECT,
        quantum_s: float = 0.0,
        silence_s: float = SILENCE_S,
    ) -> None:
        """Take `conditions` for all links, or a function from (source, target) to those of one direction.

        `silence_s`: after how many seconds the end of a link that was cut gives up its peer; above 0.
        """
        if not silence_s > 0:
            raise ValueError(f"giving up after {silence_s} s would leave no link")
        nature = _alike(conditions) if isinstance(conditions, LinkConditions) else conditions
        self._wire = Wire(rng, nature, quantum_s, silence_s)

    def attach(self, peer_id: PeerId, *, handling_s: float = 0.0, group: str | None = None) -> MemoryTransport:
        """Make the transport of a peer; one that comes back keeps its address and its counts.

        `handling_s`: CPU seconds that each frame and request takes the peer, one after the other; what arrives
        meanwhile waits, and its senders are held up. For virtual time, where handling takes no time by itself. `group`:
        the host that the peer is on, as others see it (`net.transport.LinkUp.group`); None tells them nothing.
        Raises ValueError while an earlier transport of that peer is running.
        """
        addresses = self._wire.addresses
        address = addresses.setdefault(peer_id, Address(f"/memory/{len(addresses) + 1}"))
        if address in self._wire.listening:
            msg = f"{peer_id} is attached already"
            raise ValueError(msg)
        return MemoryTransport(self._wire, peer_id, address, handling_s, group)

    def set_conditions(self, source: PeerId, target: PeerId, conditions: LinkConditions) -> None:
        """Set what becomes of all that `source` sends to `target` from now on (one direction)."""
        self._wire.set_conditions(source, target, conditions)

    def conditions(self, source: PeerId, target: PeerId) -> LinkConditions:
        """Say what holds from `source` to `target` by nature."""
        return self._wire.conditions(source, target)

    def impair(self, trouble: Trouble) -> None:
        """From now on, have `trouble(source, target)` say what ails each direction; in place of what did before.

        It must give the same answer for the same peers until the next call. What waits on a link that was held or
        clogged is sent on under the new conditions; what was under way arrives.
        """
        self._wire.impair(trouble)

    def traffic(self, peer_id: PeerId | None = None) -> Traffic:
        """Count what one peer, or all of them together, sent and received since first attached."""
        tallies = self._wire.tallies
        return Tally.total(tallies.values() if peer_id is None else [tallies[peer_id]])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let arrivals happen when they are due, until cancelled."""
        task_status.started()
        await self._wire.run()


class MemoryTransport:
    """A `net.transport.Transport` on a `MemoryNetwork`; made by `MemoryNetwork.attach`.

    A dial that is cancelled may still bring its link up. Two peers that dial each other at once get one link. A run
    that is cancelled is a crash: what it had not yet sent or read is gone, and its peers see LinkDown.
    """

    def __init__(
        self, wire: Wire, peer_id: PeerId, address: Address, handling_s: float = 0.0, group: str | None = None
    ) -> None:
        self._wire = wire
        self._peer_id = peer_id
        self._address = address
        self._handling_s = handling_s
        self._group = group
        self._tally = wire.tallies.setdefault(peer_id, Tally())
        self._links: dict[PeerId, LinkEnd] = {}
        self._inbox, self._events = trio.open_memory_channel[TransportEvent](INBOX_EVENTS)
        # Arrived while the inbox was full, in order of arrival over all links; bounded by their lanes.
        self._overflow: deque[tuple[LinkEnd | None, TransportEvent, int]] = deque()
        self._overflowed = trio.Event()
        self._backlog = 0  # LinkUp and LinkDown in _overflow
        self._started = False
        self._running = False

    @property
    def peer_id(self) -> PeerId:
        """Who we are on this network."""
        return self._peer_id

    @property
    def addresses(self) -> Sequence[Address]:
        """One address, ``/memory/<n>``, the same after a restart."""
        return (self._address,)

    @property
    def events(self) -> trio.MemoryReceiveChannel[TransportEvent]:
        """What happened, in order of arrival; ends when `run` does."""
        return self._events

    def peers(self) -> Sequence[PeerId]:
        """Peers with a link that is up, sorted."""
        return sorted(self._links)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and carry until cancelled; once in a transport's life (else RuntimeError)."""
        if self._started or self._address in self._wire.listening:
            msg = f"{self._peer_id!r} has run already; attach it again"
            raise RuntimeError(msg)
        self._started = self._running = True
        self._wire.listening[self._address] = self
        task_status.started()
        try:
            await self._feed_inbox()
        finally:
            self._running = False
            del self._wire.listening[self._address]
            for peer in list(self._links):
                self._drop_link(peer, f"{self._peer_id!r} stopped")
            for end, _, size in self._overflow:
                if end is not None:
                    end.twin.lane.left(size)
            self._overflow.clear()
            self._inbox.close()

    async def dial(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        """Bring up a link unless there is one; takes one round trip. Raises NotConnectedError."""
        await trio.lowlevel.checkpoint()
        wire, me = self._wire, self._peer_id
        for pause in DIAL_RETRIES_S:
            if peer in self._links or not wire.opening_lost(me, peer):
                break
            await trio.sleep(pause)
        else:
            msg = f"{peer!r} did not answer"
            raise NotConnectedError(msg)
        if not self._running:
            msg = "this transport is not running"
            raise NotConnectedError(msg)
        if peer in self._links:
            return
        pair = (min(me, peer), max(me, peer))
        outcome = wire.dialling.get(pair)
        if outcome is None:
            listener = next((found for a in addresses if (found := wire.listening.get(a))), None)
            if listener is None or listener is self or listener.peer_id != peer:
                await trio.sleep(wire.round_trip_s(me, peer))
                msg = f"{peer!r} does not listen on {', '.join(addresses) or 'no address'}"
                raise NotConnectedError(msg)
            outcome = wire.dialling[pair] = Outcome()
            self._open(listener, outcome)
        with trio.move_on_after(DIAL_TIMEOUT_S):
            await outcome.settled.wait()
        if outcome.failure or not outcome.settled.is_set():
            raise NotConnectedError(outcome.failure or f"{peer!r} did not answer within {DIAL_TIMEOUT_S:g} s")

    async def hang_up(self, peer: PeerId) -> None:
        """Close the link to `peer`, if there is one; the peer learns of it one latency later."""
        await trio.lowlevel.checkpoint()
        if peer in self._links:
            self._drop_link(peer, "we hung up")
            self._put(None, LinkDown(peer), 0)

    async def send(self, peer: PeerId, frame: bytes) -> None:
        """Queue a frame; waits while the lane is full. Raises FrameTooLargeError or NotConnectedError."""
        await trio.lowlevel.checkpoint()
        if len(frame) > MAX_FRAME_BYTES:
            raise FrameTooLargeError(_too_large("frame", len(frame), MAX_FRAME_BYTES))
        end = self._end(peer)
        while end.lane.is_full:
            await end.lane.wait_for_change()
            if not end.up:
                msg = f"the link to {peer!r} went down"
                raise NotConnectedError(msg)
        self._send(end, frame)

    def send_nowait(self, peer: PeerId, frame: bytes) -> bool:
        """Queue a frame; False, and counted, without a link or room. Raises FrameTooLargeError."""
        if len(frame) > MAX_FRAME_BYTES:
            raise FrameTooLargeError(_too_large("frame", len(frame), MAX_FRAME_BYTES))
        end = self._links.get(peer)
        if end is None or end.lane.is_full:
            self._tally.frames_dropped += 1
            return False
        self._send(end, frame)
        return True

    async def request(self, peer: PeerId, protocol: str, body: bytes, *, timeout: float) -> bytes:
        """Ask `peer`; a request or answer lost under way shows as the timeout (seconds).

        Raises RequestFailedError, NotConnectedError or FrameTooLargeError.
        """
        await trio.lowlevel.checkpoint()
        if len(body) > MAX_REQUEST_BYTES:
            raise FrameTooLargeError(_too_large("request", len(body), MAX_REQUEST_BYTES))
        end = self._end(peer)
        exchange, asked = Exchange(), False
        with trio.move_on_after(timeout):
            while end.up and (end.lane.is_full or len(end.exchanges) >= LANE_EXCHANGES):
                await end.lane.wait_for_change()
            if end.up:
                asked = True
                await self._ask(end, exchange, protocol, body)
        if exchange.answer is not None:
            return exchange.answer
        if exchange.done.is_set():
            raise RequestFailedError(exchange.failure, definite=exchange.definite)
        reason = f"{peer!r} did not answer {protocol} within {timeout} s" if end.up else f"{peer!r} is gone"
        raise RequestFailedError(reason, definite=not asked)

    # Sending. -------------------------------------------------------------------------------------------------

    def _end(self, peer: PeerId) -> LinkEnd:
        end = self._links.get(peer)
        if end is None:
            msg = f"no link to {peer!r}"
            raise NotConnectedError(msg)
        return end

    def _send(self, end: LinkEnd, frame: bytes) -> None:
        size = len(frame)
        self._tally.frames_sent += 1
        self._tally.bytes_sent += size
        self._wire.carry(end.lane, end.twin, FrameReceived(self._peer_id, frame), size)

    async def _ask(self, end: LinkEnd, exchange: Exchange, protocol: str, body: bytes) -> None:
        end.exchanges.append(exchange)
        self._tally.requests_sent += 1
        self._tally.request_bytes += len(body)
        asked = _Asked(self._wire, end, exchange)
        event = RequestReceived(self._peer_id, protocol, body, asked.reply, asked.refuse)
        try:
            self._wire.carry(end.lane, end.twin, event, len(body))
            await exchange.done.wait()
        finally:
            end.exchanges.remove(exchange)
            end.lane.wake()

    # Links. ---------------------------------------------------------------------------------------------------

    def far_end(self, dialler: PeerId, outcome: Outcome) -> LinkEnd:
        """Make our end of a link that `dialler` opens."""
        lane = self._wire.lane(self._peer_id, dialler)
        return LinkEnd(self._peer_id, self._arrive, lane, self._tally, outcome, outbound=False)

    def _open(self, listener: Listener, outcome: Outcome) -> None:
        """Send the opening of a new link on its way; the outcome settles when both ends are up or it failed."""
        lane = self._wire.lane(self._peer_id, listener.peer_id)
        mine = LinkEnd(self._peer_id, self._arrive, lane, self._tally, outcome, outbound=True)
        mine.twin = listener.far_end(self._peer_id, outcome)
        mine.twin.twin = mine
        outcome.end = mine
        self._tell(mine, LinkUp(self._peer_id, outbound=False, group=self._group))

    def _tell(self, end: LinkEnd, news: LinkUp | LinkDown) -> None:
        self._wire.carry_surely(end.lane, end.twin, news)

    def _drop_link(self, peer: PeerId, reason: str) -> None:
        """Close our end and send the news after what we sent before."""
        end = self._links.pop(peer)
        end.close(reason)
        self._tell(end, LinkDown(self._peer_id))

    def give_up(self, peer: PeerId) -> None:
        """Take down the link to a peer that has not been heard for too long, if there is one."""
        if peer in self._links:
            self._drop_link(peer, f"{peer!r} has not been heard for too long")
            self._put(None, LinkDown(peer), 0)

    def _settle(self, end: LinkEnd, failure: str) -> None:
        if end.outcome.settled.is_set():
            return
        me, peer = end.owner, end.twin.owner
        del self._wire.dialling[min(me, peer), max(me, peer)]
        end.outcome.settle(failure)

    # Receiving. -----------------------------------------------------------------------------------------------

    def _arrive(self, end: LinkEnd, event: TransportEvent, size: int) -> None:
        """Take what the wire carried to our `end`."""
        if type(event) is FrameReceived:
            if not end.up:
                end.twin.tally.frames_lost += 1
                return
            self._tally.frames_received += 1
            self._tally.bytes_received += size
            self._put(end, event, size)
        elif isinstance(event, LinkUp):
            self._link_arrives(end, event)
        elif isinstance(event, LinkDown):
            self._link_goes(end, event)
        elif end.up:
            self._put(end, event, size)

    def _link_arrives(self, end: LinkEnd, event: LinkUp) -> None:
        # There is no link to that peer yet: its end, if there was one, came before on the same lane.
        given_up = end.outbound and end.outcome.settled.is_set()
        if not self._running or self._backlog >= LINK_BACKLOG or given_up:
            self._tell(end, LinkDown(self._peer_id))
            if end.outbound:
                self._settle(end, "this transport stopped, or has no room for events, while it dialled")
            return
        end.up = True
        self._links[event.peer] = end
        self._put(end, event, 0)
        if end.outbound:
            self._settle(end, "")
        else:
            self._tell(end, LinkUp(self._peer_id, outbound=True, group=self._group))

    def _link_goes(self, end: LinkEnd, event: LinkDown) -> None:
        if end.up:
            del self._links[event.peer]
            end.close(f"{event.peer!r} closed the link")
            self._put(end, event, 0)
        elif end.outbound and not end.outcome.settled.is_set():
            self._settle(end, f"{event.peer!r} refused the link")
        if event.peer not in self._links:
            self._wire.retire(self._peer_id, event.peer)

    def _put(self, end: LinkEnd | None, event: TransportEvent, size: int) -> None:
        """Put an event where the reader finds it, after all that came before. `end` is None for our own doing."""
        if not self._overflow and not self._handling_s:
            try:
                self._inbox.send_nowait(event)
            except trio.WouldBlock:
                pass
            except trio.BrokenResourceError:
                return  # the owner closed `events`: nobody reads any more
            else:
                return
        self._overflowed.set()
        self._overflow.append((end, event, size))
        if end is not None:
            end.twin.lane.entered(size)
        if isinstance(event, LinkUp | LinkDown):
            self._backlog += 1

    async def _feed_inbox(self) -> None:
        """Move what did not fit into the inbox as its reader makes room, each thing when it has been handled."""
        while True:
            await self._overflowed.wait()
            while self._overflow:
                end, event, size = self._overflow[0]
                if self._handling_s and isinstance(event, FrameReceived | RequestReceived):
                    await trio.sleep(self._handling_s)
                with suppress(trio.BrokenResourceError):  # as in _put
                    try:
                        self._inbox.send_nowait(event)
                    except trio.WouldBlock:
                        await self._inbox.send(event)
                self._overflow.popleft()
                if end is not None:
                    end.twin.lane.left(size)
                if isinstance(event, LinkUp | LinkDown):
                    self._backlog -= 1
                    if event.peer not in self._links:
                        self._wire.retire(self._peer_id, event.peer)
            self._overflowed = trio.Event()


class _Asked:
    """The two ways to answer a request, of which one may be taken, once."""

    __slots__ = ("_answered", "_end", "_exchange", "_wire")

    def __init__(self, wire: Wire, end: LinkEnd, exchange: Exchange) -> None:
        self._wire = wire
        self._end = end  # of the peer that asked
        self._exchange = exchange
        self._answered = False

    async def reply(self, body: bytes) -> None:
        if len(body) > MAX_REQUEST_BYTES:
            raise FrameTooLargeError(_too_large("answer", len(body), MAX_REQUEST_BYTES))
        self._end.twin.tally.request_bytes += len(body)
        await self._answer(len(body), partial(self._exchange.succeed, body))

    async def refuse(self, reason: str) -> None:
        await self._answer(len(reason), partial(self._exchange.fail, reason, definite=True))

    async def _answer(self, size: int, settle: Callable[[], None]) -> None:
        await trio.lowlevel.checkpoint()
        if self._answered:
            msg = "a request is answered once"
            raise RuntimeError(msg)
        self._answered = True
        # When the link has gone down meanwhile, the exchange has failed already, and this changes nothing.
        self._wire.answer(self._end.twin.lane, size, settle)


def _too_large(what: str, size: int, bound: int) -> str:
    return f"a {what} of {size} bytes; at most {bound} are allowed"


def _alike(conditions: LinkConditions) -> Nature:
    return lambda source, target: conditions  # noqa: ARG005 - a Nature
