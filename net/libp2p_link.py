"""One link over one libp2p connection: GossipSub frames both ways, requests both ways, identify and ping.

A link is up when our outgoing `/meshsub` stream is agreed; frames that the peer sent before wait until then. All
work on the connection happens in tasks of the link, never in a caller's, so that a link which ends takes it all along.
"""

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from net.host_group import host_group
from net.libp2p_stream import (
    WRITE_CHUNK,
    Connection,
    FrameSplitter,
    LinkBrokenError,
    Stream,
    answer,
    propose,
    uvarint,
)
from net.transport import (
    MAX_FRAME_BYTES,
    MAX_REQUEST_BYTES,
    FrameReceived,
    FrameTooLargeError,
    LinkDown,
    LinkUp,
    RequestFailedError,
    RequestReceived,
    TransportEvent,
)

GOSSIP_VERSIONS = {"/meshsub/1.2.0": (1, 2), "/meshsub/1.1.0": (1, 1), "/meshsub/1.0.0": (1, 0)}
GOSSIP_PROTOCOLS = tuple(GOSSIP_VERSIONS)
"""What we speak, the best first."""
IDENTIFY_PROTOCOL = "/ipfs/id/1.0.0"
PING_PROTOCOL = "/ipfs/ping/1.0.0"
STANDARD_PREFIXES = ("/ipfs/", "/libp2p/", "/meshsub/", "/floodsub/", "/multistream/")
"""Protocols of other libp2p implementations; every other id is a request for our owner."""
QUEUE_FRAMES = 256
QUEUE_BYTES = 4 * MAX_FRAME_BYTES
OPENING_TIMEOUT = 10.0
"""Seconds for the gossip stream of a new connection, and for a peer to negotiate a stream it opened."""
SERVE_TIMEOUT = 60.0
"""Seconds in which a request must have been received, carried out and answered."""
MAX_SERVED = 64
"""Streams of one peer that are being served; more are reset."""
MAX_ASKED = 64
"""Requests under way to one peer; more wait."""
MAX_REASON_BYTES = 1024
PING_BYTES = 32
PING_AFTER = 15.0
"""Seconds without a byte from the peer after which we send a ping of the connection, which it must answer."""
SILENCE_TIMEOUT = 30.0
"""Seconds without a byte after which the peer is taken for gone: without power it sends no FIN."""
_OK, _REFUSED = b"\x00", b"\x01"


@dataclass(slots=True)
class _Exchange:
    """A request of ours under way: what came of it."""

    done: trio.Event
    sent: bool = False
    answer: bytes | None = None
    failure: str = "broke off"
    definite: bool = False


class Link:
    """What runs on a connection. `run` once, then it is spent."""

    def __init__(
        self,
        connection: Connection,
        *,
        identity: bytes,
        post: Callable[[TransportEvent], Awaitable[None]],
        counts: Counter[str],
    ) -> None:
        self.peer = connection.peer
        self.outbound = connection.outbound
        self.made_at = trio.current_time()
        self.is_up = False
        self.up = trio.Event()
        """Set when up, and also when it is clear that it never will be."""
        self.closed = trio.Event()
        """The connection is closed."""
        self.gone = trio.Event()
        """LinkDown, if due, has been posted."""
        self.reason = ""
        self._connection = connection
        self._identity = identity
        self._post = post
        self._counts = counts
        self._announced = trio.Event()
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._filled = trio.Event()
        self._room = trio.lowlevel.ParkingLot()
        self._served = 0
        self._gossip_in: trio.CancelScope | None = None
        self._asking = trio.Semaphore(MAX_ASKED)
        self._exchanges: list[_Exchange] = []

    async def run(self) -> None:
        """Serve until broken or closed; `reason` says why it ended. Posts LinkUp and LinkDown."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    try:
                        await nursery.start(self._connection.serve)
                        nursery.start_soon(self._accept, nursery)
                        nursery.start_soon(self._watch_silence)
                        stream, version = await self._open_gossip()
                        self.is_up = True
                        self.up.set()
                        host = self._connection.remote_address
                        group = None if host is None else host_group(host[0])
                        await self._post(LinkUp(self.peer, self.outbound, version, group))
                        self._announced.set()
                        await self._send_frames(stream)
                    finally:
                        # Now, and not when all in the nursery have ended: it closes before we are told.
                        self._nursery = None
        except* LinkBrokenError as broken:
            self.reason = self.reason or _first_reason(broken)
        finally:
            was_up, self.is_up = self.is_up, False
            self.drop()
            self._room.unpark_all()
            for exchange in self._exchanges:
                exchange.done.set()
        try:
            if was_up:
                await self._post(LinkDown(self.peer))
        finally:
            self.gone.set()

    def close(self, reason: str) -> None:
        """End `run` soon; idempotent."""
        self.reason = self.reason or reason
        self._scope.cancel()

    def drop(self) -> None:
        """Close the connection, whether `run` has begun or not; idempotent."""
        self.up.set()
        self.closed.set()
        self._connection.close_now()

    # What we send. --------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= QUEUE_FRAMES or self._queued_bytes >= QUEUE_BYTES

    async def wait_for_room(self) -> None:
        """Wait while the queue is full and the link is up."""
        while self.is_up and self.is_full:
            await self._room.park()

    def queue(self, frame: bytes) -> None:
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        self._filled.set()

    async def request(self, protocol: str, body: bytes, timeout: float) -> bytes:
        """Ask and wait at most `timeout` seconds. Raises RequestFailedError."""
        exchange = _Exchange(trio.Event())
        scope = trio.CancelScope()
        with trio.move_on_after(timeout):
            async with self._asking:
                if self._nursery is None:
                    raise RequestFailedError("the link went down", definite=True)
                self._exchanges.append(exchange)
                self._nursery.start_soon(self._ask, exchange, scope, protocol, body)
                try:
                    await exchange.done.wait()
                finally:
                    self._exchanges.remove(exchange)
                    scope.cancel()
        if exchange.answer is not None:
            return exchange.answer
        if exchange.done.is_set():
            raise RequestFailedError(exchange.failure, definite=exchange.definite or not exchange.sent)
        raise RequestFailedError(f"{self.peer!r} did not answer within {timeout} s", definite=not exchange.sent)

    async def _ask(self, exchange: _Exchange, scope: trio.CancelScope, protocol: str, body: bytes) -> None:
        with scope:
            stream = None
            try:
                stream = await self._connection.open_stream()
                if await propose(stream, (protocol,)) is None:
                    exchange.failure, exchange.definite = f"the peer does not speak {protocol}", True
                else:
                    exchange.sent = True
                    await stream.send_all(uvarint(len(body)) + body)
                    await stream.finish()
                    status = await stream.receive_exactly(1)
                    if status == _OK:
                        exchange.answer = await stream.receive_prefixed(MAX_REQUEST_BYTES)
                    elif status == _REFUSED:
                        reason = await stream.receive_prefixed(MAX_REASON_BYTES)
                        exchange.failure, exchange.definite = reason.decode(errors="replace"), True
                    else:
                        exchange.failure = f"unknown status {status[0]} in the answer"
            except LinkBrokenError as error:
                exchange.failure = str(error)
            exchange.done.set()
            if stream is not None and exchange.answer is not None:
                return
        if stream is not None:
            await self._abandon(stream)

    async def _open_gossip(self) -> tuple[Stream, tuple[int, int]]:
        with trio.move_on_after(OPENING_TIMEOUT):
            stream = await self._connection.open_stream()
            protocol = await propose(stream, GOSSIP_PROTOCOLS)
            if protocol is None:
                raise LinkBrokenError("the peer does not speak GossipSub")
            return stream, GOSSIP_VERSIONS[protocol]
        raise LinkBrokenError(f"the peer did not take our gossip stream within {OPENING_TIMEOUT:.0f} s")

    async def _send_frames(self, stream: Stream) -> None:
        # A write costs 0.5-0.9 ms over Yamux whatever its size, so all that is queued goes into one.
        queue = self._queue
        while True:
            if not queue:
                self._filled = trio.Event()
                await self._filled.wait()
            batch: list[bytes] = []
            size = frames_bytes = 0
            while queue and size < WRITE_CHUNK:
                frame = queue.popleft()
                prefix = uvarint(len(frame))
                batch += (prefix, frame)
                frames_bytes += len(frame)
                size += len(prefix) + len(frame)
            await stream.send_all(b"".join(batch))
            self._queued_bytes -= frames_bytes
            self._counts["frames sent"] += len(batch) // 2
            self._counts["writes"] += 1
            self._room.unpark_all()

    # What we receive. -----------------------------------------------------------------------------------------

    async def _accept(self, nursery: trio.Nursery) -> None:
        while True:
            stream = await self._connection.accept_stream()
            if self._served >= MAX_SERVED:
                self._counts["streams refused"] += 1
                nursery.start_soon(self._abandon, stream)
                continue
            self._served += 1
            nursery.start_soon(self._serve, stream)

    async def _serve(self, stream: Stream) -> None:
        """Serve one stream of the peer. A broken request is only its own; broken gossip breaks the link."""
        try:
            try:
                protocol = None
                with trio.move_on_after(OPENING_TIMEOUT):
                    protocol = await answer(stream, _is_served)
                if protocol is None:
                    self._counts["streams that never negotiated"] += 1
                elif protocol in GOSSIP_PROTOCOLS:
                    await self._receive_frames(stream)
                elif protocol == IDENTIFY_PROTOCOL:
                    await stream.send_all(uvarint(len(self._identity)) + self._identity)
                    await stream.finish()
                    return
                elif protocol == PING_PROTOCOL:
                    await _echo_pings(stream)
                else:
                    await self._serve_request(stream, protocol)
                    return
            except LinkBrokenError as error:
                self._counts[_bounded(error)] += 1
            await self._abandon(stream)
        finally:
            self._served -= 1

    async def _receive_frames(self, stream: Stream) -> None:
        if self._gossip_in is not None:
            self._gossip_in.cancel()  # the peer opened a newer one
        with trio.CancelScope() as self._gossip_in:
            await self._announced.wait()
            splitter = FrameSplitter(MAX_FRAME_BYTES)
            while True:
                try:
                    chunk = await stream.receive_some()
                except LinkBrokenError:
                    return  # the peer gave up this stream, not the link
                if not chunk:
                    return
                try:
                    frames = splitter.feed(chunk)
                except LinkBrokenError as error:
                    self.close(str(error))
                    raise
                for frame in frames:
                    await self._post(FrameReceived(self.peer, frame))

    async def _serve_request(self, stream: Stream, protocol: str) -> None:
        outcome: list[bytes] = []
        answered = trio.Event()

        async def settle(status: bytes, body: bytes) -> None:
            await trio.lowlevel.checkpoint()
            if not answered.is_set():
                outcome.append(status + uvarint(len(body)) + body)
                answered.set()

        async def reply(body: bytes) -> None:
            if len(body) > MAX_REQUEST_BYTES:
                raise FrameTooLargeError(f"a response of {len(body)} bytes exceeds {MAX_REQUEST_BYTES}")
            await settle(_OK, body)

        async def refuse(reason: str) -> None:
            await settle(_REFUSED, reason.encode()[:MAX_REASON_BYTES])

        with trio.move_on_after(SERVE_TIMEOUT):
            await self._announced.wait()
            body = await stream.receive_prefixed(MAX_REQUEST_BYTES)
            await self._post(RequestReceived(self.peer, protocol, body, reply, refuse))
            await answered.wait()
            await stream.send_all(outcome[0])
            await stream.finish()
            return
        self._counts["requests served too slowly"] += 1
        await self._abandon(stream)

    async def _abandon(self, stream: Stream) -> None:
        try:
            await stream.reset()
        except LinkBrokenError:
            self._counts["streams broken"] += 1

    # The connection. ------------------------------------------------------------------------------------------

    async def _watch_silence(self) -> None:
        connection = self._connection
        while True:
            heard_at = connection.heard_at
            await trio.sleep_until(heard_at + PING_AFTER)
            if connection.heard_at != heard_at:
                continue
            with trio.move_on_at(heard_at + SILENCE_TIMEOUT):
                await connection.ping()  # waits while the peer reads nothing, and then it is of no use
            await trio.sleep_until(heard_at + SILENCE_TIMEOUT)
            if connection.heard_at == heard_at:
                raise LinkBrokenError(f"nothing was heard for {SILENCE_TIMEOUT:g} s")


def _is_served(protocol: str) -> bool:
    if protocol in GOSSIP_PROTOCOLS or protocol in (IDENTIFY_PROTOCOL, PING_PROTOCOL):
        return True
    return protocol.startswith("/") and not protocol.startswith(STANDARD_PREFIXES)


async def _echo_pings(stream: Stream) -> None:
    while True:
        await stream.send_all(await stream.receive_exactly(PING_BYTES))


def _first_reason(group: BaseExceptionGroup[LinkBrokenError]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


def _bounded(error: LinkBrokenError) -> str:
    # Reasons may hold a peer's bytes; counts must not grow with them.
    return f"broken stream: {str(error).partition(':')[0][:60]}"
