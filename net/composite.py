"""Several transports of one peer as one, e.g. memory within a process and libp2p between processes.

A peer that is linked through two parts at once, as when both ends dial differently at the same time, has one link as
seen from above. What is sent to it goes through one of them, the carrier, for as long as that one is up: each part
keeps the order of its own frames, and nothing keeps order between parts. The two ends may have different carriers.

When a link goes down that carried anything either way, what was in flight is lost, a GRAFT or a subscription perhaps,
and both ends must start afresh with each other. They learn of it at different times, so that a greeting of the one may
reach the other before that one forgets: therefore the other links with the peer are closed too, both ends see one
LinkDown, and whoever wants the link dials again. A second link that carries nothing is closed after a while.

Each part has a task that moves its events into one bounded channel. The tasks do not wait for one another except for
room there, where those who wait are served in turn; hence a reader that falls behind stalls every part, and no part
starves another. A part's events may lag behind its links meanwhile. So that an old link's frames never pass for those
of the next one, a link that is known to be down when the next comes up is *spent*: what is still to be read of it is
dropped, up to its LinkDown, as what is in flight may be lost when a link goes down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from net.peer import Address, PeerId
from net.transport import (
    LinkDown,
    LinkUp,
    NotConnectedError,
    RequestReceived,
    Transport,
    TransportEvent,
)

MERGED_EVENTS = 64
"""Events of all parts that wait for the reader before the parts stall; each part has a bounded channel of its own."""
EVENTS_PER_TURN = 64
"""Events of one part that are moved before other tasks have their turn."""
TIDY_S = 30.0
"""How often second links that carried nothing are closed; those that are younger than this stay until the next time."""

MEMORY = ("/memory/",)
"""Addresses of `net.memory.MemoryTransport`."""
TCP = ("/ip4/", "/ip6/", "/dns/", "/dns4/", "/dns6/")
"""Addresses of `net.libp2p_host.Libp2pTransport`, be they of TCP or QUIC."""


@dataclass(frozen=True, slots=True)
class Part:
    """A transport, not yet running, and how the addresses begin that it can dial."""

    transport: Transport
    prefixes: tuple[str, ...]


class CompositeTransport:
    """A `net.transport.Transport` made of others; earlier parts are preferred where there is a choice.

    With one part there is no task and no channel between it and the reader.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        """Raise ValueError unless there are parts and they have one peer id."""
        if len({part.transport.peer_id for part in parts}) != 1:
            raise ValueError("a composite transport needs parts, and all of one peer id")
        self._parts = tuple(parts)
        self._transports = tuple(part.transport for part in parts)
        self._sole = self._transports[0] if len(parts) == 1 else None
        self._post, self._merged = trio.open_memory_channel[TransportEvent](MERGED_EVENTS)
        # Which part carries what is sent to a peer; held for links that are up, or whose LinkDown is yet to be read.
        self._carriers: dict[PeerId, Transport] = {}
        # The links that the reader has been told of, or that joined one; as far as the parts' events have been read.
        self._links: dict[PeerId, list[Transport]] = {}
        # Which parts carried something from or to a peer since its LinkUp was shown.
        self._used: dict[PeerId, set[Transport]] = {}
        self._spent: dict[Transport, set[PeerId]] = {transport: set() for transport in self._transports}
        self._started = False

    @property
    def peer_id(self) -> PeerId:
        """Who we are, on every part."""
        return self._transports[0].peer_id

    @property
    def addresses(self) -> Sequence[Address]:
        """Those of all parts, in the order of the parts; complete once `run` has started."""
        return tuple(address for transport in self._transports for address in transport.addresses)

    @property
    def events(self) -> trio.MemoryReceiveChannel[TransportEvent]:
        """What happened on any part, in order per peer while its carrier stays up; ends when `run` does."""
        return self._merged if self._sole is None else self._sole.events

    def peers(self) -> Sequence[PeerId]:
        """Peers with a link that is up through any part, sorted."""
        return sorted({peer for transport in self._transports for peer in transport.peers()})

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run all parts until cancelled; once (else RuntimeError). Started when all of them are.

        An error of a part escapes in an exception group and closes the others; so does a part that ends by itself.
        """
        if self._started:
            raise RuntimeError("this transport has run already; make another")
        self._started = True
        try:
            async with trio.open_nursery() as nursery:
                for transport in self._transports:
                    await nursery.start(transport.run)
                    if self._sole is None:
                        nursery.start_soon(self._merge, transport, nursery.cancel_scope)
                if self._sole is None:
                    nursery.start_soon(self._tidy)
                task_status.started()
        finally:
            self._carriers.clear()
            self._post.close()

    async def dial(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        """Bring up a link unless a part has one; tries the addresses in order, each on the parts that can dial it.

        Raises NotConnectedError, saying why for each address.
        """
        await trio.lowlevel.checkpoint()
        failures: list[str] = []
        for address in addresses:
            attempted = False
            for part in self._parts:
                if not address.startswith(part.prefixes):
                    continue
                if self._linked(peer) is not None:
                    return
                attempted = True
                try:
                    await part.transport.dial(peer, [address])
                except NotConnectedError as error:
                    failures.append(str(error))
                else:
                    return
            if not attempted:
                failures.append(f"no part of this transport dials {address[:200]!r}")
        if self._linked(peer) is None:
            raise NotConnectedError("; ".join(failures) or f"no address of {peer!r} is known")

    async def hang_up(self, peer: PeerId) -> None:
        """Close the links to `peer` of all parts, if there are any."""
        for transport in self._transports:
            await transport.hang_up(peer)

    async def send(self, peer: PeerId, frame: bytes) -> None:
        """Queue a frame; waits while the carrier is full. Raises FrameTooLargeError or NotConnectedError."""
        transport = self._carrier(peer)
        while True:
            try:
                await transport.send(peer, frame)
            except NotConnectedError:
                # Not queued, so another part may take it.
                if (other := self._next_carrier(peer, transport)) is None:
                    raise
                transport = other
            else:
                return

    def send_nowait(self, peer: PeerId, frame: bytes) -> bool:
        """Queue a frame; False, and counted by the part, without a link or room. Raises FrameTooLargeError."""
        transport = self._carrier(peer)
        if transport.send_nowait(peer, frame):
            return True
        if transport is self._sole or peer in transport.peers():
            return False
        other = self._next_carrier(peer, transport)
        return other is not None and other.send_nowait(peer, frame)

    async def request(self, peer: PeerId, protocol: str, body: bytes, *, timeout: float) -> bytes:
        """Ask a linked peer through its carrier. `timeout` in seconds.

        Raises RequestFailedError, NotConnectedError or FrameTooLargeError. It is not asked again through another part
        when the carrier goes down: the peer may have carried the request out.
        """
        transport = self._carrier(peer)
        while True:
            try:
                return await transport.request(peer, protocol, body, timeout=timeout)
            except NotConnectedError:
                if (other := self._next_carrier(peer, transport)) is None:
                    raise
                transport = other

    # Choosing a part. -----------------------------------------------------------------------------------------

    def _linked(self, peer: PeerId) -> Transport | None:
        return next((transport for transport in self._transports if peer in transport.peers()), None)

    def _carrier(self, peer: PeerId) -> Transport:
        """Give the part that sends to `peer`; without any link the first, which says so to the caller."""
        carrier = self._sole or self._carriers.get(peer)
        if carrier is None:
            carrier = self._linked(peer)
            if carrier is None:
                return self._transports[0]
            self._carry(peer, carrier)
        return carrier

    def _next_carrier(self, peer: PeerId, failed: Transport) -> Transport | None:
        """Choose again after a part turned out to have no link to `peer`; None when no other has one."""
        if self._sole is not None:
            return None
        self._carriers.pop(peer, None)
        carrier = self._linked(peer)
        if carrier is None:
            return None
        self._carry(peer, carrier)
        return None if carrier is failed else carrier

    def _carry(self, peer: PeerId, carrier: Transport) -> None:
        self._carriers[peer] = carrier
        self._used.setdefault(peer, set()).add(carrier)

    async def _tidy(self) -> None:
        """Close second links that carried nothing. The last link of a peer stays, whatever it carries."""
        before: set[tuple[PeerId, Transport]] = set()
        while True:
            await trio.sleep(TIDY_S)
            spare = {
                (peer, link)
                for peer, links in self._links.items()
                if len(links) > 1
                for link in links
                if link not in self._used.get(peer, ())
            }
            for peer in sorted({peer for peer, link in spare & before}):
                for link in self._transports[::-1]:
                    linked = sum(peer in transport.peers() for transport in self._transports)
                    if (peer, link) in spare & before and linked > 1 and link not in self._used.get(peer, ()):
                        await link.hang_up(peer)
            before = spare

    # Merging. -------------------------------------------------------------------------------------------------

    async def _merge(self, transport: Transport, scope: trio.CancelScope) -> None:
        """Move a part's events to our reader; close everything when the part has closed."""
        events = transport.events
        async for event in events:
            await self._pass_on(transport, event)
            for _ in range(EVENTS_PER_TURN - 1):
                try:
                    event = events.receive_nowait()
                except (trio.WouldBlock, trio.EndOfChannel):
                    break  # `async for` finds out which
                await self._pass_on(transport, event)
        scope.cancel()

    async def _pass_on(self, transport: Transport, event: TransportEvent) -> None:
        if isinstance(event, LinkUp):
            await self._link_up(transport, event)
        elif isinstance(event, LinkDown):
            await self._link_down(transport, event)
        elif event.peer not in self._spent[transport]:
            self._used.setdefault(event.peer, set()).add(transport)
            await self._show(event)
        elif isinstance(event, RequestReceived):
            await event.refuse("the link went down")  # nobody hears it, but each request is to be answered

    async def _show(self, event: TransportEvent) -> None:
        # While anyone waits for room there is none, so this does not overtake; and from here to the event's place in
        # the channel or in the line before it there is no checkpoint, so that what we note of links agrees with both.
        try:
            self._post.send_nowait(event)
        except trio.WouldBlock:
            await self._post.send(event)

    async def _link_up(self, transport: Transport, event: LinkUp) -> None:
        peer = event.peer
        if (links := self._links.get(peer)) is not None:
            for other in [other for other in links if peer not in other.peers()]:
                links.remove(other)
                self._spent[other].add(peer)
            if not links:
                del self._links[peer]
                self._used.pop(peer, None)
                await self._show(LinkDown(peer))
        # Looked up anew: while we waited, another part may have had its next link.
        if (links := self._links.get(peer)) is None:
            self._links[peer] = [transport]
            await self._show(event)
        else:
            links.append(transport)

    async def _link_down(self, transport: Transport, event: LinkDown) -> None:
        peer = event.peer
        was_used = self._carriers.get(peer) is transport or transport in self._used.get(peer, ())
        if self._carriers.get(peer) is transport and peer not in transport.peers():
            del self._carriers[peer]
        if peer in self._spent[transport]:
            self._spent[transport].remove(peer)
            return
        links = self._links[peer]
        links.remove(transport)
        if not links:
            del self._links[peer]
            self._used.pop(peer, None)
            await self._show(event)
        elif was_used:
            for other in list(links):
                await other.hang_up(peer)  # its LinkDown is on its way to us
