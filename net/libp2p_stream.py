"""What a stream and a connection are to a link, over TCP or QUIC, and what libp2p says on every stream first.

`net.libp2p_tcp` and `net.libp2p_quic` are the two kinds of connection.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import trio

from net.peer import PeerId

STALL_TIMEOUT = 30.0
"""Seconds a peer may refuse to take any byte before its link is given up."""
WRITE_CHUNK = 64_000
"""Bytes of one write. With Yamux' 12-byte header they still fit one Noise message (65,519 bytes)."""
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


class Connection(Protocol):
    """A connection whose peer has proven who it is, with streams on it. `serve` must run for anything to happen."""

    @property
    def peer(self) -> PeerId:
        """Whose key the connection was secured with."""

    @property
    def outbound(self) -> bool:
        """Whether we dialled."""

    @property
    def heard_at(self) -> float:
        """When the last bytes came, on trio's clock."""

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """The peer's numeric host and port; None once closed."""

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry bytes until cancelled; started() once streams can be opened. Raises LinkBrokenError."""

    async def open_stream(self) -> "Stream":
        """A new stream of ours. Raises LinkBrokenError."""

    async def accept_stream(self) -> "Stream":
        """Wait for the next stream that the peer opened. Raises LinkBrokenError."""

    async def ping(self) -> None:
        """Ask for a sign of life; waits while the peer takes nothing. Raises LinkBrokenError."""

    def close_now(self) -> None:
        """Close without waiting, and without flushing what is queued; idempotent."""


class Stream(ABC):
    """One stream of a connection. A single task reads, a single task writes. Methods raise LinkBrokenError."""

    def __init__(self) -> None:
        self._ahead = bytearray()

    @abstractmethod
    async def receive_some(self) -> bytes:
        """Wait for bytes and return at most 64 KiB; empty at the end. Credits what earlier calls returned."""

    @abstractmethod
    async def send_all(self, data: bytes) -> None:
        """Write everything; waits while the peer's window is closed, at most `STALL_TIMEOUT` seconds."""

    @abstractmethod
    async def finish(self) -> None:
        """Say that we send no more; reading goes on."""

    @abstractmethod
    async def reset(self) -> None:
        """Abandon both directions."""

    def _take_ahead(self) -> bytes:
        """What was read and not asked for yet."""
        ahead = bytes(self._ahead)
        self._ahead.clear()
        return ahead

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


def _line(text: str) -> bytes:
    raw = text.encode() + b"\n"
    return uvarint(len(raw)) + raw


async def _receive_line(stream: Stream) -> str:
    raw = await stream.receive_prefixed(MAX_NEGOTIATION_LINE)
    if not raw.endswith(b"\n"):
        raise LinkBrokenError("negotiation line without newline")
    try:
        return raw[:-1].decode()
    except UnicodeDecodeError:
        raise LinkBrokenError("negotiation line is not UTF-8") from None


async def propose(stream: Stream, protocols: tuple[str, ...]) -> str | None:
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


async def answer(stream: Stream, accepts: Callable[[str], bool]) -> str:
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
