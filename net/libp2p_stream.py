"""Streams of py-libp2p as the links need them: read big, write whole, negotiate in one round trip.

py-libp2p reads a message's length byte by byte through six layers, sends a Yamux window update after every read, and
breaks the whole connection when a task is cancelled inside a write (the cipher has moved on, the bytes have not).
Hence: its Noise handshake and its Yamux stay, but what lies between them and the socket is ours, with a buffer each
way; and a stream credits its window in steps of a quarter, after its bytes were consumed, so that a reader that
falls behind stalls its sender.
"""

import os
import struct
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, cast

import trio
from libp2p.abc import ISecureConn
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.security.noise.io import MAX_PLAINTEXT_LENGTH
from libp2p.stream_muxer.exceptions import MuxedStreamEOF
from libp2p.stream_muxer.yamux.yamux import DEFAULT_WINDOW_SIZE, TYPE_DATA, YAMUX_HEADER_FORMAT, Yamux, YamuxStream

if TYPE_CHECKING:
    from libp2p.security.noise.io import NoiseTransportReadWriter
    from libp2p.security.secure_session import SecureSession

READ_CHUNK = 65_536
WRITE_CHUNK = 64_000
"""With Yamux' 12-byte header this still fits one Noise message (65,519 bytes)."""
OUT_BYTES = 1 << 18
"""Bytes written to a connection and not yet taken by the system, over which writers wait."""
CREDIT_STEP = DEFAULT_WINDOW_SIZE // 4
STALL_TIMEOUT = 30.0
"""Seconds a peer may refuse to take any byte before its link is given up."""
MAX_NEGOTIATION_LINE = 256
MAX_PROPOSALS = 16
MULTISTREAM = "/multistream/1.0.0"


class LinkBrokenError(Exception):
    """The peer, the network or py-libp2p ended a connection or stream; the message is the reason."""


class libp2p_errors:  # noqa: N801 (reads as contextlib's do, whose generators cost too much per frame)
    """Turn whatever py-libp2p raises into LinkBrokenError.

    Hostile bytes surface as anything from InvalidTag to UnicodeDecodeError there, so the net is wide; only calls
    into the library belong inside.
    """

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, LinkBrokenError):
            return
        cause: BaseException = error
        while True:  # down to what happened first
            if isinstance(cause, BaseExceptionGroup):
                cause = cause.exceptions[0]
            elif cause.__cause__ is not None:
                cause = cause.__cause__
            else:
                break
        detail = str(cause)
        reason = f"{self._doing}: {type(cause).__name__}" + (f": {detail}" if detail else "")
        raise LinkBrokenError(reason) from error


def uvarint(number: int) -> bytes:
    """Unsigned LEB128, as multiformats and protobuf use it."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class FrameSplitter:
    """Cuts a byte stream into frames with uvarint length prefixes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Add bytes; return the frames that are now whole. Raises LinkBrokenError for a length out of bounds."""
        buffer = self._buffer
        buffer += chunk
        frames: list[bytes] = []
        start = 0
        while True:
            length = shift = 0
            at = start
            while True:
                if at == len(buffer):
                    del buffer[:start]
                    return frames
                byte = buffer[at]
                at += 1
                length |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
                if shift > 28:
                    raise LinkBrokenError("frame length is not a uvarint of at most 5 bytes")
            if length > self._max_bytes:
                raise LinkBrokenError(f"frame of {length} bytes exceeds {self._max_bytes}")
            if len(buffer) - at < length:
                del buffer[:start]
                return frames
            frames.append(bytes(buffer[at : at + length]))
            start = at + length


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


class Substream:
    """One Yamux stream. A single task reads, a single task writes. Methods raise LinkBrokenError."""

    def __init__(self, stream: YamuxStream) -> None:
        self._stream = stream
        self._mux: Yamux = stream.conn
        self._ahead = bytearray()
        self._uncredited = 0

    async def receive_some(self) -> bytes:
        """Wait for bytes and return at most 64 KiB; empty at the end. Credits what earlier calls returned."""
        if self._ahead:
            ahead = bytes(self._ahead)
            self._ahead.clear()
            return ahead
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

    async def receive_exactly(self, size: int) -> bytes:
        """Return the next `size` bytes; LinkBrokenError when the stream ends before."""
        got = bytearray()
        while len(got) < size:
            chunk = await self.receive_some()
            if not chunk:
                raise LinkBrokenError(f"stream ended after {len(got)} of {size} bytes")
            got += chunk
        self._ahead[:0] = got[size:]
        return bytes(got[:size])

    async def receive_prefixed(self, max_bytes: int) -> bytes:
        """Return the next uvarint-length-prefixed piece; LinkBrokenError when it is longer than `max_bytes`."""
        length = shift = 0
        while True:
            byte = (await self.receive_exactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 28:
                raise LinkBrokenError("length is not a uvarint of at most 5 bytes")
        if length > max_bytes:
            raise LinkBrokenError(f"{length} bytes announced, at most {max_bytes} allowed")
        return await self.receive_exactly(length)

    async def send_all(self, data: bytes) -> None:
        """Write everything; waits while the peer's window is closed, at most `STALL_TIMEOUT` seconds."""
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
        """Say that we send no more; reading goes on."""
        with libp2p_errors("closing a stream"):
            await self._stream.close()

    async def reset(self) -> None:
        """Abandon both directions."""
        with libp2p_errors("resetting a stream"):
            await self._stream.reset()


def _line(text: str) -> bytes:
    raw = text.encode() + b"\n"
    return uvarint(len(raw)) + raw


async def _receive_line(stream: Substream) -> str:
    raw = await stream.receive_prefixed(MAX_NEGOTIATION_LINE)
    if not raw.endswith(b"\n"):
        raise LinkBrokenError("negotiation line without newline")
    try:
        return raw[:-1].decode()
    except UnicodeDecodeError:
        raise LinkBrokenError("negotiation line is not UTF-8") from None


async def propose(stream: Substream, protocols: tuple[str, ...]) -> str | None:
    """Ask for the first of `protocols` the peer speaks (multistream-select 1.0); None when it speaks none."""
    hello = _line(MULTISTREAM)
    for protocol in protocols:
        await stream.send_all(hello + _line(protocol))
        if hello:
            hello = b""
            if await _receive_line(stream) != MULTISTREAM:
                raise LinkBrokenError("peer does not speak multistream-select 1.0")
        reply = await _receive_line(stream)
        if reply == protocol:
            return protocol
        if reply != "na":
            raise LinkBrokenError(f"unexpected answer in negotiation: {reply!r}")
    return None


async def answer(stream: Substream, accepts: Callable[[str], bool]) -> str:
    """Serve a negotiation: return the protocol that the peer proposed first among those `accepts` likes."""
    if await _receive_line(stream) != MULTISTREAM:
        raise LinkBrokenError("peer does not speak multistream-select 1.0")
    await stream.send_all(_line(MULTISTREAM))
    for _ in range(MAX_PROPOSALS):
        proposal = await _receive_line(stream)
        if accepts(proposal):
            await stream.send_all(_line(proposal))
            return proposal
        await stream.send_all(_line("na"))
    raise LinkBrokenError(f"no protocol agreed in {MAX_PROPOSALS} proposals")
