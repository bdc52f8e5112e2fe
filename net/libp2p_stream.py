"""Streams of py-libp2p as the links need them: read big, write whole, negotiate in one round trip.

py-libp2p reads a message's length byte by byte, sends a Yamux window update after every read, and breaks the
whole connection when a task is cancelled inside a write (the cipher has moved on, the bytes have not). Hence:
the socket below Noise gets a read buffer and writes that cannot be cut short; a stream credits its window in
steps of a quarter, after its bytes were consumed, so that a reader that falls behind stalls its sender.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.stream_muxer.exceptions import MuxedStreamEOF
from libp2p.stream_muxer.yamux.yamux import DEFAULT_WINDOW_SIZE, Yamux, YamuxStream

READ_CHUNK = 65_536
WRITE_CHUNK = 64_000
"""With Yamux' 12-byte header this still fits one Noise message (65,519 bytes)."""
CREDIT_STEP = DEFAULT_WINDOW_SIZE // 4
STALL_TIMEOUT = 30.0
"""Seconds a peer may refuse to take any byte before its link is given up."""
MAX_NEGOTIATION_LINE = 256
MAX_PROPOSALS = 16
MULTISTREAM = "/multistream/1.0.0"


class LinkBrokenError(Exception):
    """The peer, the network or py-libp2p ended a connection or stream; the message is the reason."""


@contextmanager
def libp2p_errors(doing: str) -> Iterator[None]:
    """Turn whatever py-libp2p raises into LinkBrokenError.

    Hostile bytes surface as anything from InvalidTag to UnicodeDecodeError there, so the net is wide; only calls
    into the library belong inside.
    """
    try:
        yield
    except LinkBrokenError:
        raise
    except Exception as error:
        cause: BaseException = error
        while True:  # down to what happened first
            if isinstance(cause, BaseExceptionGroup):
                cause = cause.exceptions[0]
            elif cause.__cause__ is not None:
                cause = cause.__cause__
            else:
                break
        detail = str(cause)
        reason = f"{doing}: {type(cause).__name__}" + (f": {detail}" if detail else "")
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
    """A TCP socket below Noise: small reads come from a buffer, a write finishes or the socket is dead.

    `overrun` is asked before each receive whether the peer has sent more than its windows allow: py-libp2p's
    Yamux only logs that, and would buffer without bound.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._chunk = b""
        self._at = 0
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
            if not self._chunk:
                raise ConnectionClosedError("connection closed by peer")
        end = len(self._chunk) if n is None else min(len(self._chunk), self._at + n)
        part = self._chunk[self._at : end]
        self._at = end
        return part

    async def write(self, data: bytes) -> None:
        # Shielded: half a Noise message on the wire would break the connection for everyone else who uses it.
        # Whoever ends the link closes the socket, which wakes us.
        with trio.move_on_after(STALL_TIMEOUT, shield=True) as scope:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionClosedError("connection reset") from error
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
            with libp2p_errors("writing a stream"):
                await self._stream.write(part)
            at += len(part)

    async def _open_window(self) -> int:
        # py-libp2p polls too, every 10 ms, and gives up after 5 s in the middle of a message; it has nothing to wait on.
        stream = self._stream
        if stream.send_window <= 0:
            give_up_at, pause = trio.current_time() + STALL_TIMEOUT, 0.0005
            while stream.send_window <= 0:
                if stream.send_closed or self._mux.event_shutting_down.is_set():
                    raise LinkBrokenError("stream closed by peer")
                if trio.current_time() > give_up_at:
                    raise LinkBrokenError(f"peer kept its window closed for {STALL_TIMEOUT:.0f} s")
                await trio.sleep(pause)
                pause = min(2 * pause, 0.02)
        return stream.send_window

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
