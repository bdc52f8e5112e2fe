"""A connection over QUIC: aioquic's state machine, driven by trio, between peers that have proven who they are.

aioquic does the protocol without I/O (`QuicConnection`: datagrams, time and calls in, datagrams and events out);
py-libp2p makes and verifies the certificates. py-libp2p's own QUIC transport is not used: in 0.8.1 it lets an outbound
connection whose peer's certificate it cannot find pass for verified, and keeps tasks, locks and polls per stream.

- **Nothing before the proof.** aioquic tells of a finished handshake before any stream's bytes; what comes with it is
  looked at only if `net.libp2p_tls.verified_peer` knows the certificate, and, when we dialled, it is of the peer we
  meant. Otherwise the connection is closed there and then. Sessions are not resumed and there is no 0-RTT: both would
  go without certificates.
- **A reader that falls behind stalls its sender.** aioquic widens a stream's window as bytes come, read or not;
  `_Machine` ties it to what was read. A writer waits while `SEND_BYTES` of its stream are not acknowledged.
- **Closing is at once.** The close is sent once and forgotten, as a TCP socket that is closed: a peer that missed it
  notices the silence.
"""

import math
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import trio
from aioquic.quic import events
from aioquic.quic.packet import QuicErrorCode
from cryptography import x509
from libp2p.transport.quic.aioquic_compat import stream_send_buffer_size
from libp2p.transport.quic.listener import ServerQuicConnection

from net.libp2p_stream import STALL_TIMEOUT, WRITE_CHUNK, LinkBrokenError, Stream, libp2p_errors
from net.libp2p_tls import APPLICATION_PROTOCOL, STREAM_WINDOW, TlsIdentity, verified_peer
from net.peer import PeerId

SEND_BYTES = 1 << 18
"""Bytes of a stream that the peer has not acknowledged, over which its writer waits."""
CREDIT_STEP = STREAM_WINDOW // 4
BAD_CERTIFICATE = QuicErrorCode.CRYPTO_ERROR + 42
"""TLS alert 42, bad_certificate, as QUIC carries it (RFC 9001 section 4.8)."""
_CLIENT_OPENED, _ONE_WAY = 0, 2
"""Bits of a stream's id (RFC 9000 section 2.1)."""

SocketAddress = tuple[Any, ...]
"""What the system calls an address: host, port, and for IPv6 flow and scope."""


class _Machine(ServerQuicConnection):
    """aioquic's connection, as py-libp2p has it demand a certificate of clients; all we need of their private parts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.windows: dict[int, int] = {}
        """How far a stream's peer may send, for streams that were read from."""

    @property
    def certificates(self) -> list[x509.Certificate]:
        first = self.tls._peer_certificate  # noqa: SLF001 (it tells nobody)
        return [first, *self.tls._peer_certificate_chain] if first is not None else []  # noqa: SLF001

    @property
    def end(self) -> events.ConnectionTerminated | None:
        """Why it is over. aioquic says so in an event too, but only after three probe timeouts."""
        return self._close_event

    def _write_stream_limits(self, builder: Any, space: Any, stream: Any) -> None:
        # aioquic doubles the window once half of it has been received, and sends it if it changed. Shown nothing
        # received, it does not double.
        receiver = stream.receiver
        if not receiver.is_finished:
            stream.max_stream_data_local = self.windows.get(stream.stream_id, stream.max_stream_data_local)
        highest, receiver.highest_offset = receiver.highest_offset, 0
        try:
            super()._write_stream_limits(builder, space, stream)
        finally:
            receiver.highest_offset = highest


class QuicStream(Stream):
    """One bidirectional stream of QUIC."""

    def __init__(self, connection: "QuicConnection", number: int) -> None:
        super().__init__()
        self._connection = connection
        self._number = number
        self._chunks: deque[bytes] = deque()
        self._changed = trio.Event()
        self._granted = STREAM_WINDOW
        self._read = 0
        self.received_all = False
        """The peer sends no more, or we do not care."""
        self.sent_all = False
        self.failure = ""

    async def receive_some(self) -> bytes:
        if self._ahead:
            return self._take_ahead()
        if self._read + STREAM_WINDOW - self._granted >= CREDIT_STEP and not self.received_all:
            self._granted = self._read + STREAM_WINDOW
            self._connection.grant(self._number, self._granted)
        while not self._chunks:
            if self.failure:
                raise LinkBrokenError(self.failure)
            if self.received_all:
                await trio.lowlevel.checkpoint()
                return b""
            self._changed = trio.Event()
            await self._changed.wait()
        chunk = b"".join(self._chunks) if len(self._chunks) > 1 else self._chunks[0]
        self._chunks.clear()
        self._read += len(chunk)
        return chunk

    async def send_all(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            room = await self._connection.room(self, self._number)
            part = data[at : at + min(room, WRITE_CHUNK)]
            self._connection.send(self._number, part)
            at += len(part)

    async def finish(self) -> None:
        await trio.lowlevel.checkpoint()
        if not self.sent_all:
            self.check()
            self.sent_all = True
            self._connection.send(self._number, b"", end=True)

    async def reset(self) -> None:
        await trio.lowlevel.checkpoint()
        self._connection.reset(self, self._number)

    def check(self) -> None:
        """Raise LinkBrokenError unless there may be more to say."""
        if self.failure or self.sent_all:
            raise LinkBrokenError(self.failure or "stream closed")

    def feed(self, data: bytes, *, end: bool) -> None:
        """What the peer sent next."""
        if not self.received_all and not self.failure and data:
            self._chunks.append(data)
        self.received_all = self.received_all or end
        self._changed.set()

    def fail(self, reason: str) -> None:
        """Nothing more can be read; what was received still is."""
        self.failure = self.failure or reason
        self._changed.set()


class QuicConnection:
    """A `net.libp2p_stream.Connection` over QUIC, first as a handshake: `secured` tells when its peer is known.

    `send_datagram` gives a datagram to the network, which may drop it. `drive` must run for timers to fire, and ends
    when the connection does.
    """

    def __init__(
        self,
        identity: TlsIdentity,
        send_datagram: Callable[[bytes, SocketAddress], None],
        counts: Counter[str],
        *,
        remote: SocketAddress,
        expected: PeerId | None,
        **server_options: Any,
    ) -> None:
        self._outbound = expected is not None
        self._expected = expected
        self._machine = _Machine(configuration=identity.configuration(is_client=self._outbound), **server_options)
        self._send_datagram = send_datagram
        self._counts = counts
        self._remote = remote
        self._peer: PeerId | None = None
        self._secured = trio.Event()
        self._closed = trio.Event()
        self._reason = ""
        self._heard_at = trio.current_time()
        self._alarm = trio.CancelScope()
        self._life = trio.CancelScope()
        self._streams: dict[int, QuicStream] = {}
        self._opened: deque[QuicStream] = deque()
        self._offered = trio.Event()
        self._room = trio.lowlevel.ParkingLot()
        self._pings = 0
        self.on_id: Callable[[bytes, bool], None] = lambda _id, _valid: None
        """Told of each connection id by which the peer may name this connection, and when it may no longer."""
        if self._outbound:
            self._machine.connect(remote, now=trio.current_time())
            self._flush()

    # As a Connection. -----------------------------------------------------------------------------------------

    @property
    def peer(self) -> PeerId:
        if self._peer is None:
            raise RuntimeError("the handshake is not over")
        return self._peer

    @property
    def outbound(self) -> bool:
        return self._outbound

    @property
    def heard_at(self) -> float:
        return self._heard_at

    @property
    def remote_address(self) -> tuple[str, int] | None:
        return None if self._closed.is_set() else (str(self._remote[0]), int(self._remote[1]))

    @property
    def is_secured(self) -> bool:
        """Whether the peer has proven who it is."""
        return self._peer is not None

    @property
    def first_id(self) -> bytes:
        """By which the peer names this connection once it has heard of us."""
        return self._machine.host_cid

    async def secured(self) -> None:
        """Wait for the end of the handshake. Raises LinkBrokenError when it fails."""
        await self._secured.wait()
        self._check()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._check()
        task_status.started()
        await self._closed.wait()
        self._check()

    async def open_stream(self) -> Stream:
        await trio.lowlevel.checkpoint()
        self._check()
        with libp2p_errors("opening a stream"):
            number = self._machine.get_next_available_stream_id()
            self._machine.send_stream_data(number, b"")  # takes the number; sends nothing yet
        stream = self._streams[number] = QuicStream(self, number)
        return stream

    async def accept_stream(self) -> Stream:
        while not self._opened:
            self._check()
            self._offered = trio.Event()
            await self._offered.wait()
        return self._opened.popleft()

    async def ping(self) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        self._pings += 1
        self._machine.send_ping(self._pings)
        self._flush()

    def close_now(self) -> None:
        self.fail("closed")

    # What streams ask for. ------------------------------------------------------------------------------------

    def grant(self, number: int, limit: int) -> None:
        """Let the peer send on stream `number` up to `limit`."""
        if not self._closed.is_set():
            self._machine.windows[number] = limit
            self._flush()

    async def room(self, stream: QuicStream, number: int) -> int:
        """Wait until some bytes of a stream may be sent; how many. Raises LinkBrokenError."""
        with trio.move_on_after(STALL_TIMEOUT):
            while True:
                stream.check()
                if (room := SEND_BYTES - stream_send_buffer_size(self._machine, number)) > 0:
                    await trio.lowlevel.checkpoint_if_cancelled()
                    return room
                await self._room.park()
        raise LinkBrokenError(f"the peer took nothing of a stream for {STALL_TIMEOUT:.0f} s")

    def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Say more on a stream. Raises LinkBrokenError."""
        self._check()
        with libp2p_errors("writing a stream"):
            self._machine.send_stream_data(number, data, end)
        self._forget_if_done(number)
        self._flush()

    def reset(self, stream: QuicStream, number: int) -> None:
        """Abandon both directions of a stream."""
        if self._closed.is_set() or number not in self._streams:
            return
        with libp2p_errors("resetting a stream"):
            if not stream.sent_all:
                self._machine.reset_stream(number, QuicErrorCode.NO_ERROR)
            if not stream.received_all and not stream.failure:
                self._machine.stop_stream(number, QuicErrorCode.NO_ERROR)
        stream.sent_all = True
        stream.fail("stream reset")
        self._forget_if_done(number)
        self._flush()

    def _forget_if_done(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is not None and stream.sent_all and stream.received_all:
            del self._streams[number]
            self._machine.windows.pop(number, None)

    # The state machine. ---------------------------------------------------------------------------------------

    async def drive(self) -> None:
        """Fire timers until the connection is over."""
        with self._life:
            while not self._closed.is_set():
                with trio.CancelScope(deadline=self._deadline()) as self._alarm:
                    await trio.sleep_forever()
                self._step()

    def receive(self, datagrams: list[tuple[bytes, SocketAddress]]) -> None:
        """Take what came for this connection; whatever the bytes are, only this connection can suffer."""
        if not self._closed.is_set():
            self._step(datagrams)

    def fail(self, reason: str, code: int = QuicErrorCode.NO_ERROR) -> None:
        """End it and tell the peer; idempotent."""
        if self._closed.is_set():
            return
        try:
            with libp2p_errors("closing"):  # the library's state may be what is broken
                self._machine.close(error_code=code, reason_phrase=reason[:100])
                for datagram, address in self._machine.datagrams_to_send(trio.current_time()):
                    self._send_datagram(datagram, address)
        except LinkBrokenError:
            self._counts["connections not closed in form"] += 1
        self._ended(reason)

    def _step(self, datagrams: list[tuple[bytes, SocketAddress]] | None = None) -> None:
        now = trio.current_time()
        machine = self._machine
        try:
            with libp2p_errors("connection"):
                if datagrams is None:
                    machine.handle_timer(now)
                else:
                    for datagram, address in datagrams:
                        machine.receive_datagram(datagram, address, now)
                    self._heard_at = now
            while (event := machine.next_event()) is not None:
                self._handle(event)
        except LinkBrokenError as error:
            code = BAD_CERTIFICATE if self._peer is None else QuicErrorCode.PROTOCOL_VIOLATION
            self.fail(str(error), code)
            return
        self._flush()
        self._room.unpark_all()

    def _flush(self) -> None:
        """Send what is due, and see when the next timer is; or notice that it is over."""
        if self._closed.is_set():
            return
        try:
            with libp2p_errors("connection"):
                for datagram, address in self._machine.datagrams_to_send(trio.current_time()):
                    self._send_datagram(datagram, address)
                if (end := self._machine.end) is not None:
                    raise LinkBrokenError(f"closed: {end.reason_phrase[:100] or f'code {end.error_code:#x}'}")
                self._alarm.deadline = self._deadline()
        except LinkBrokenError as error:
            self._ended(str(error))

    def _deadline(self) -> float:
        timer = self._machine.get_timer()
        return math.inf if timer is None else timer

    def _handle(self, event: events.QuicEvent) -> None:
        match event:
            case events.HandshakeCompleted():
                if event.alpn_protocol != APPLICATION_PROTOCOL or event.session_resumed:
                    raise LinkBrokenError("handshake: not one of libp2p")
                peer = verified_peer(self._machine.certificates)
                if self._expected not in (None, peer):
                    raise LinkBrokenError(f"handshake: PeerIDMismatch: the certificate is of {peer}")
                self._peer = peer
                self._secured.set()
            case events.ConnectionIdIssued():
                self.on_id(event.connection_id, True)
            case events.ConnectionIdRetired():
                self.on_id(event.connection_id, False)
            case events.StreamDataReceived():
                if (stream := self._stream(event.stream_id)) is not None:
                    stream.feed(event.data, end=event.end_stream)
                    self._forget_if_done(event.stream_id)
            case events.StreamReset():
                if (stream := self._stream(event.stream_id)) is not None:
                    stream.fail("stream reset by peer")
                    stream.received_all = True
                    self._forget_if_done(event.stream_id)
            case events.StopSendingReceived():
                if (stream := self._streams.get(event.stream_id)) is not None:
                    stream.sent_all = True  # aioquic has answered with a reset
                    self._forget_if_done(event.stream_id)

    def _stream(self, number: int) -> QuicStream | None:
        """The stream of that number, which the peer may just have opened; aioquic lets it have 128 at once."""
        if self._peer is None:
            raise LinkBrokenError("bytes of a stream before the handshake's end")
        if number & _ONE_WAY:
            raise LinkBrokenError("libp2p has no streams of one direction")
        if number in self._streams or (number & 1 == _CLIENT_OPENED) == self._outbound:
            return self._streams.get(number)
        stream = self._streams[number] = QuicStream(self, number)
        self._opened.append(stream)
        self._offered.set()
        return stream

    def _check(self) -> None:
        if self._closed.is_set():
            raise LinkBrokenError(self._reason)

    def _ended(self, reason: str) -> None:
        self._reason = reason
        self._closed.set()
        self._secured.set()
        self._offered.set()
        for stream in self._streams.values():
            stream.fail(reason)
        self._streams.clear()
        self._room.unpark_all()
        self._life.cancel()
