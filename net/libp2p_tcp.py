"""A connection over TCP, Noise and Yamux: read big, write whole.

py-libp2p reads a message's length byte by byte through six layers, sends a Yamux window update after every read, and
breaks the whole connection when a task is cancelled inside a write (the cipher has moved on, the bytes have not).
Hence: its Noise handshake and its Yamux stay, but what lies between them and the socket is ours, with a buffer each
way; and a stream credits its window in steps of a quarter, after its bytes were consumed, so that a reader that
falls behind stalls its sender.
"""

import os
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import trio
from libp2p.abc import ISecureConn
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.security.noise.io import MAX_PLAINTEXT_LENGTH
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.exceptions import MuxedStreamEOF
from libp2p.stream_muxer.yamux.yamux import (
    DEFAULT_WINDOW_SIZE,
    FLAG_SYN,
    TYPE_DATA,
    TYPE_PING,
    YAMUX_HEADER_FORMAT,
    Yamux,
    YamuxStream,
)
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.transport.upgrader import TransportUpgrader

from net.libp2p_stream import STALL_TIMEOUT, WRITE_CHUNK, LinkBrokenError, Stream, libp2p_errors
from net.peer import PeerId

if TYPE_CHECKING:
    from libp2p.security.noise.io import NoiseTransportReadWriter
    from libp2p.security.secure_session import SecureSession

READ_CHUNK = 65_536
OUT_BYTES = 1 << 18
"""Bytes written to a connection and not yet taken by the system, over which writers wait."""
CREDIT_STEP = DEFAULT_WINDOW_SIZE // 4


class BufferedTcp(ReadWriteCloser):
    """A TCP socket with a buffer each way: small reads cost no system call, and a write is whole once it is buffered.

    `pump` sends what was written, as much as there is in one go; before it runs, `write` sends at once. `overrun` is
    asked before each receive whether the peer has sent more than its windows allow: py-libp2p's Yamux only logs that,
    and would buffer without bound.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._chunk = b""
        self._at = 0
        self._out = bytearray()
        self._pumping = False
        self._sending = False
        self._filled = trio.Event()
        self._room = trio.lowlevel.ParkingLot()
        self.heard_at = trio.current_time()
        """When the last bytes came."""
        self.overrun: Callable[[], bool] = lambda: False

    async def read(self, n: int | None = None) -> bytes:
        if n == 0:
            return b""
        if self._at == len(self._chunk):
            if self.overrun():
                self.close_now()
                raise ConnectionClosedError("peer exceeded its receive windows")
            try:
                self._chunk = bytes(await self._stream.receive_some(READ_CHUNK))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionClosedError("connection reset") from error
            self._at = 0
            self.heard_at = trio.current_time()
            if not self._chunk:
                raise ConnectionClosedError("connection closed by peer")
        end = len(self._chunk) if n is None else min(len(self._chunk), self._at + n)
        part = self._chunk[self._at : end]
        self._at = end
        return part

    async def write(self, data: bytes) -> None:
        """Buffer everything, then wait while the buffer is over its bound; so a cancelled write is still whole."""
        if not self._pumping:
            self._out += data
            await self._flush()
            return
        self._out += data if self._out or self._sending else self._send_now(data)
        if self._out:
            self._filled.set()
        while len(self._out) > OUT_BYTES:
            await self._room.park()

    def _send_now(self, data: bytes) -> bytes:
        """Give the system what it takes without waiting, which saves a task switch; return the rest."""
        if os.name == "nt":
            return data  # a socket is no file there
        try:
            return data[os.write(self._stream.socket.fileno(), data) :]
        except BlockingIOError:
            return data
        except OSError as error:
            raise ConnectionClosedError("connection reset") from error

    async def pump(self) -> None:
        """Send what `write` buffers, until cancelled. Raises LinkBrokenError."""
        self._pumping = True
        with libp2p_errors("connection"):
            while True:
                if not self._out:
                    self._filled = trio.Event()
                    await self._filled.wait()
                await self._flush()

    async def _flush(self) -> None:
        while self._out:
            data, self._out = self._out, bytearray()
            self._room.unpark_all()
            self._sending = True
            with trio.move_on_after(STALL_TIMEOUT) as scope:
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    raise ConnectionClosedError("connection reset") from error
            self._sending = False
            if scope.cancelled_caught:
                self.close_now()
                raise ConnectionClosedError(f"peer took no bytes for {STALL_TIMEOUT:.0f} s")

    def close_now(self) -> None:
        self._stream.socket.close()

    async def close(self) -> None:
        self.close_now()
        await trio.lowlevel.checkpoint()

    def get_remote_address(self) -> tuple[str, int] | None:
        try:
            host, port = self._stream.socket.getpeername()[:2]
        except OSError:
            return None
        return str(host), int(port)


class NoiseRecords(RawConnection):
    """What py-libp2p's Noise session does after its handshake, without a task switch per record.

    A record is a 2-byte big-endian length and so many bytes of ciphertext (libp2p noise, "Wire format"). A write is
    encrypted and buffered before anything else can happen, hence tasks may write at any time without a lock.
    """

    def __init__(self, tcp: BufferedTcp, session: ISecureConn, *, initiator: bool) -> None:
        super().__init__(tcp, initiator)
        # The session of the Noise transport keeps the cipher states here.
        records = cast("NoiseTransportReadWriter", cast("SecureSession", session).conn)
        self._encrypt, self._decrypt = records.encrypt, records.decrypt
        self._tcp = tcp
        self._cipher = bytearray()
        self._plain = bytearray()

    async def read(self, n: int | None = None) -> bytes:
        plain = self._plain
        while len(plain) < (1 if n is None else n):
            await self._receive()
        part = bytes(plain[:n])
        del plain[: len(part)]
        return part

    async def _receive(self) -> None:
        cipher = self._cipher
        cipher += await self._tcp.read()
        at = 0
        while len(cipher) - at >= 2:
            end = at + 2 + (cipher[at] << 8 | cipher[at + 1])
            if end > len(cipher):
                break
            try:
                self._plain += self._decrypt(bytes(cipher[at + 2 : end]))
            except Exception as error:
                self._tcp.close_now()  # Yamux would log it and read on
                raise ConnectionClosedError("a record is not authentic") from error
            at = end
        del cipher[:at]

    async def write(self, data: bytes) -> None:
        out = bytearray()
        for at in range(0, len(data), MAX_PLAINTEXT_LENGTH):
            record = self._encrypt(data[at : at + MAX_PLAINTEXT_LENGTH])
            out += len(record).to_bytes(2, "big") + record
        await self._tcp.write(bytes(out))


class Substream(Stream):
    """One Yamux stream."""

    def __init__(self, stream: YamuxStream) -> None:
        super().__init__()
        self._stream = stream
        self._mux: Yamux = stream.conn
        self._uncredited = 0

    async def receive_some(self) -> bytes:
        if self._ahead:
            return self._take_ahead()
        with libp2p_errors("reading a stream"):
            if self._uncredited >= CREDIT_STEP and not self._stream.recv_closed:
                credit, self._uncredited = self._uncredited, 0
                self._stream.recv_window += credit
                await self._stream.send_window_update(credit)
            try:
                chunk = await self._mux.read_stream(self._stream.stream_id, READ_CHUNK)
            except MuxedStreamEOF:
                return b""
        self._uncredited += len(chunk)
        return chunk

    async def send_all(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            window = await self._open_window()
            part = data[at : at + min(window, WRITE_CHUNK)]
            # `YamuxStream.write` does this behind three locks, which `NoiseRecords` makes needless.
            self._stream.send_window -= len(part)
            header = struct.pack(YAMUX_HEADER_FORMAT, 0, TYPE_DATA, 0, self._stream.stream_id, len(part))
            with libp2p_errors("writing a stream"):
                await self._mux.secured_conn.write(header + part)
            at += len(part)

    async def _open_window(self) -> int:
        # py-libp2p polls too, every 10 ms, and gives up after 5 s in the middle of a message; it has nothing to wait on.
        stream = self._stream
        give_up_at, pause = None, 0.0005
        while True:
            if stream.send_closed or self._mux.event_shutting_down.is_set():
                raise LinkBrokenError("stream closed")
            if stream.send_window > 0:
                return stream.send_window
            now = trio.current_time()
            give_up_at = give_up_at or now + STALL_TIMEOUT
            if now > give_up_at:
                raise LinkBrokenError(f"peer kept its window closed for {STALL_TIMEOUT:.0f} s")
            await trio.sleep(pause)
            pause = min(2 * pause, 0.02)

    async def finish(self) -> None:
        with libp2p_errors("closing a stream"):
            await self._stream.close()

    async def reset(self) -> None:
        with libp2p_errors("resetting a stream"):
            await self._stream.reset()


class TcpConnection:
    """A `net.libp2p_stream.Connection` over TCP, Noise and Yamux."""

    def __init__(self, peer: PeerId, mux: Yamux, tcp: BufferedTcp, *, outbound: bool) -> None:
        self._peer = peer
        self._mux = mux
        self._tcp = tcp
        self._outbound = outbound
        tcp.overrun = self._overrun

    @property
    def peer(self) -> PeerId:
        return self._peer

    @property
    def outbound(self) -> bool:
        return self._outbound

    @property
    def heard_at(self) -> float:
        return self._tcp.heard_at

    @property
    def remote_address(self) -> tuple[str, int] | None:
        return self._tcp.get_remote_address()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tcp.pump)
            nursery.start_soon(self._multiplex)
            await self._mux.event_started.wait()
            task_status.started()

    async def open_stream(self) -> Stream:
        with libp2p_errors("opening a stream"):
            return Substream(await self._mux.open_stream())

    async def accept_stream(self) -> Stream:
        with libp2p_errors("connection"):
            return Substream(await self._mux.accept_stream())  # type: ignore[arg-type]

    async def ping(self) -> None:
        with libp2p_errors("connection"):
            await self._mux.secured_conn.write(struct.pack(YAMUX_HEADER_FORMAT, 0, TYPE_PING, FLAG_SYN, 0, 0))

    def close_now(self) -> None:
        self._tcp.close_now()

    async def _multiplex(self) -> None:
        with libp2p_errors("connection"):
            await self._mux.start()
        raise LinkBrokenError("connection closed by peer")

    def _overrun(self) -> bool:
        buffers = self._mux.stream_buffers
        buffered = sum(len(buffer) for buffer in buffers.values())
        return buffered > len(buffers) * DEFAULT_WINDOW_SIZE + READ_CHUNK


class NoiseUpgrader:
    """Makes connections of TCP streams, in the name of one key pair."""

    def __init__(self, keys: KeyPair) -> None:
        noise = NoiseTransport(keys, noise_privkey=create_noise_key_pair().private_key)
        self._upgrader = TransportUpgrader({NOISE: noise}, {TProtocol(YAMUX): Yamux})

    async def dial(self, host: str, port: int, peer: PeerId) -> TcpConnection:
        """Connect to `peer`. Raises LinkBrokenError."""
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise LinkBrokenError(str(error)) from error
        return await self.upgrade(stream, expected=peer)

    async def upgrade(self, stream: trio.SocketStream, *, expected: PeerId | None) -> TcpConnection:
        """Secure a stream that we dialled (`expected`) or let in (None); LinkBrokenError, and it is closed."""
        tcp = BufferedTcp(stream)
        outbound = expected is not None
        try:
            with libp2p_errors("handshake"):
                raw = RawConnection(tcp, outbound)
                secured = await self._upgrader.upgrade_security(raw, outbound, ID(expected) if expected else None)
                their_id = secured.get_remote_peer()
                peer = PeerId.parse(their_id.to_bytes())  # ValueError: not Ed25519
                # The upgrader knows no other multiplexer than Yamux.
                records = cast("ISecureConn", NoiseRecords(tcp, secured, initiator=outbound))
                mux = cast("Yamux", await self._upgrader.upgrade_connection(records, their_id))
        except BaseException:
            tcp.close_now()
            raise
        return TcpConnection(peer, mux, tcp, outbound=outbound)
