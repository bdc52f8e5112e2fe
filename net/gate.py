"""A cut between peers whose links are real: what a `MemoryNetwork` does to its own, around any transport.

No packet is dropped below: each end, told of the same cuts at the same time, keeps back what it would send across one and
throws away what it hears across one. Both take the link down after a silence, as a keep-alive would have them (see
`net.memory` on dead links), and dials fail while a cut lasts. Peers that were not told of a cut are not held by it.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import trio

from net.memory import DIAL_RETRIES_S
from net.memory_wire import KEEP_ALIVE_S
from net.peer import Address, PeerId
from net.transport import (
    MAX_FRAME_BYTES,
    MAX_REQUEST_BYTES,
    FrameReceived,
    NotConnectedError,
    RequestFailedError,
    RequestReceived,
    Transport,
    TransportEvent,
)

GATE_EVENTS = 64
"""Events between a gated transport and its reader, beside those that the transport itself holds."""

Cut = Callable[[PeerId, PeerId], bool]
"""``cut(source, target)``: whether what source sends to target vanishes."""


class Gate:
    """Which directions between peers are cut, for all gated transports of a process.

    `silence_s`: after how many seconds without hearing of it a peer behind a cut is given up; above 0.
    """

    def __init__(self, *, silence_s: float, rng: random.Random) -> None:
        if not silence_s > 0:
            raise ValueError(f"giving up after {silence_s} s would leave no link")
        self._silence_s, self._rng = silence_s, rng
        self._cut: Cut = _nowhere
        self._changed = trio.Event()

    def cut(self, cut: Cut) -> None:
        """From now on, cut these directions, in place of those before. The same answer for the same peers each time."""
        self._cut = cut
        self._changed.set()
        self._changed = trio.Event()

    def is_cut(self, source: PeerId, target: PeerId) -> bool:
        """Whether that direction is cut now."""
        return self._cut(source, target)

    def parts(self, a: PeerId, b: PeerId) -> bool:
        """Whether either direction is cut: no link lives on with half its traffic."""
        return self._cut(a, b) or self._cut(b, a)

    def patience_s(self) -> float:
        """For how long an end does not notice that a link was cut: its last keep-alive was a while ago."""
        return self._silence_s - self._rng.uniform(0, min(KEEP_ALIVE_S, self._silence_s))

    async def wait_for_change(self) -> None:
        """Wait until `cut` is called."""
        await self._changed.wait()


def _nowhere(source: PeerId, target: PeerId) -> bool:  # noqa: ARG001 - a Cut
    return False


class GatedTransport:
    """A `net.transport.Transport` whose links heed a gate. `run` runs the transport inside as well."""

    def __init__(self, inner: Transport, gate: Gate) -> None:
        self._inner, self._gate = inner, gate
        self._post, self._events = trio.open_memory_channel[TransportEvent](GATE_EVENTS)

    @property
    def peer_id(self) -> PeerId:
        """Who we are."""
        return self._inner.peer_id

    @property
    def addresses(self) -> Sequence[Address]:
        """Where others can dial us; complete once `run` has started."""
        return self._inner.addresses

    @property
    def events(self) -> trio.MemoryReceiveChannel[TransportEvent]:
        """What came through the gate, in order per peer; ends when `run` does."""
        return self._events

    def peers(self) -> Sequence[PeerId]:
        """Peers with a link that is up, as far as this end knows; sorted."""
        return self._inner.peers()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Errors of the transport inside escape in an exception group."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._inner.run)
                nursery.start_soon(self._give_up_the_silent)
                nursery.start_soon(self._pass_on, nursery.cancel_scope)
                task_status.started()
        finally:
            self._post.close()

    async def dial(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        """Bring up a link unless there is one. Raises NotConnectedError: across a cut, after some 15 s."""
        for pause in DIAL_RETRIES_S:
            if peer in self.peers() or not self._gate.parts(self.peer_id, peer):
                break
            await trio.sleep(pause)
        else:
            msg = f"{peer!r} did not answer"
            raise NotConnectedError(msg)
        await self._inner.dial(peer, addresses)

    async def hang_up(self, peer: PeerId) -> None:
        """Close the link to `peer`, if there is one."""
        await self._inner.hang_up(peer)

    async def send(self, peer: PeerId, frame: bytes) -> None:
        """Queue a frame, unless it would vanish. Raises FrameTooLargeError or NotConnectedError."""
        if self._keeps_back(peer, len(frame), MAX_FRAME_BYTES):
            await trio.lowlevel.checkpoint()
        else:
            await self._inner.send(peer, frame)

    def send_nowait(self, peer: PeerId, frame: bytes) -> bool:
        """Queue a frame without waiting, unless it would vanish. Raises FrameTooLargeError."""
        return self._keeps_back(peer, len(frame), MAX_FRAME_BYTES) or self._inner.send_nowait(peer, frame)

    async def request(self, peer: PeerId, protocol: str, body: bytes, *, timeout: float) -> bytes:
        """Ask a linked peer; a request or answer that vanishes shows as the timeout (seconds).

        Raises RequestFailedError, NotConnectedError or FrameTooLargeError.
        """
        if self._keeps_back(peer, len(body), MAX_REQUEST_BYTES):
            await trio.sleep(timeout)
            raise RequestFailedError(f"{peer!r} did not answer {protocol} within {timeout} s")
        return await self._inner.request(peer, protocol, body, timeout=timeout)

    def _keeps_back(self, peer: PeerId, size: int, bound: int) -> bool:
        """Whether what is sent to a linked peer vanishes. What no transport would take is left to ours to refuse."""
        return size <= bound and self._gate.is_cut(self.peer_id, peer) and peer in self.peers()

    async def _pass_on(self, scope: trio.CancelScope) -> None:
        async for event in self._inner.events:
            if isinstance(event, RequestReceived):
                if self._gate.is_cut(event.peer, self.peer_id):
                    await event.refuse("the link was cut")  # nobody hears it, but each request is to be answered
                else:
                    await self._post.send(self._behind(event))
            elif not isinstance(event, FrameReceived) or not self._gate.is_cut(event.peer, self.peer_id):
                await self._post.send(event)
        scope.cancel()

    def _behind(self, request: RequestReceived) -> RequestReceived:
        """Have the answer vanish if there is a cut by then: who asked finds out by the timeout."""

        async def reply(body: bytes) -> None:
            await trio.lowlevel.checkpoint()
            if not self._gate.is_cut(self.peer_id, request.peer):
                await request.reply(body)

        async def refuse(reason: str) -> None:
            await trio.lowlevel.checkpoint()
            if not self._gate.is_cut(self.peer_id, request.peer):
                await request.refuse(reason)

        return replace(request, reply=reply, refuse=refuse)

    async def _give_up_the_silent(self) -> None:
        """Hang up on who has been behind a cut for too long; a link that came up across one is found by and by."""
        due: dict[PeerId, float] = {}
        while True:
            now = trio.current_time()
            apart = [peer for peer in self.peers() if self._gate.parts(self.peer_id, peer)]
            due = {peer: due.get(peer, now + self._gate.patience_s()) for peer in apart}
            for peer in [peer for peer in apart if due[peer] <= now]:
                del due[peer]
                await self._inner.hang_up(peer)
            with trio.move_on_at(min(due.values(), default=now + KEEP_ALIVE_S)):
                await self._gate.wait_for_change()
