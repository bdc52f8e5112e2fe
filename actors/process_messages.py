"""What a parent and its processes tell each other: MessagePack over two pipes.

Each message has a prefix of four bytes, its length (big-endian), of at most MAX_MESSAGE_BYTES. In order:

    parent → process (stdin)                      process → parent (stdout)
    Assignment   who you are                      Opened    where our ledger nodes listen
    Acquaint     the others' ledger nodes         Started   all of our actors are up
    Pages        the others' web pages            Progress  each second
    Stop, or the end of the pipe: end             Outcome   at the end, or Failed instead of any

A process whose parent is gone ends; it needs nobody to tell it.
"""

import struct
from typing import Any, TypeVar

import msgspec
import trio

from actors.messages import Known
from actors.scenario import Scenario
from actors.standing import Standing

MAX_MESSAGE_BYTES = 16 << 20
"""The largest is an Outcome: the ids of up to 100,000 final blocks, 40 bytes each."""
_LENGTH = struct.Struct(">I")
READ_BYTES = 65_536


class PipeError(Exception):
    """The other end said what is no message: a bug, or somebody who wrote into the pipe."""


class Assignment(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Everything that a process needs to run its share."""

    scenario: Scenario
    genesis: bytes
    started_ms: int
    index: int
    processes: int
    doors: tuple[str, ...]
    first_place: int
    """How many actors of earlier processes listen: where doors name ports, ours come after theirs."""
    data: str | None
    journal: str | None
    reports: str | None
    web: tuple[str, int] | None
    """Host and port of the pages; None for none."""
    web_elsewhere: bool
    """Whether another port will do."""


class Acquaint(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Ledger nodes of the other processes."""

    nodes: tuple[Known, ...]


class Pages(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """(name, URL) of the other processes' web pages."""

    pages: tuple[tuple[str, str], ...]


class Stop(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """End, and tell what came of it."""


class Opened(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Our ledger nodes, and where other processes can dial them."""

    nodes: tuple[Known, ...]


class Started(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """All of our actors are up; `page` is the URL of our web pages."""

    page: str | None


class Progress(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Where we are, and what went wrong since the last one."""

    standing: Standing
    errors: tuple[str, ...]


class Failed(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """We cannot run. `kind` is the name of the exception."""

    kind: str
    text: str


class Outcome(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """What came of our share."""

    report: dict[str, Any]
    """As of `actors.outcome.report`."""
    counted: int
    """Final blocks whose events were counted."""
    final_ids: dict[int, bytes]
    """Height to block id, as far back as they are kept."""
    latencies: tuple[tuple[int, int], ...]
    """(bin, how many), see `actors.gossip_meter`."""


ToProcess = Assignment | Acquaint | Pages | Stop
ToParent = Opened | Started | Progress | Failed | Outcome
T = TypeVar("T")


class Pipe:
    """One end of the two pipes between a parent and a process."""

    def __init__(self, receive: trio.abc.ReceiveStream, send: trio.abc.SendStream) -> None:
        self._receive, self._send = receive, send
        self._buffer = bytearray()
        self._sending = trio.Lock()

    async def send(self, message: ToProcess | ToParent) -> bool:
        """Write a whole message; waits while the pipe is full. False when the other end is gone."""
        body = msgspec.msgpack.encode(message)
        if len(body) > MAX_MESSAGE_BYTES:
            msg = f"a message of {len(body)} bytes exceeds {MAX_MESSAGE_BYTES}"
            raise PipeError(msg)
        async with self._sending:
            try:
                await self._send.send_all(_LENGTH.pack(len(body)) + body)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
        return True

    async def receive(self, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
        """Wait for the next message; None when the other end is gone. Raises PipeError."""
        head = await self._take(_LENGTH.size)
        if head is None:
            return None
        (size,) = _LENGTH.unpack(head)
        if size > MAX_MESSAGE_BYTES:
            msg = f"a message of {size} bytes announced, at most {MAX_MESSAGE_BYTES} allowed"
            raise PipeError(msg)
        body = await self._take(size)
        if body is None:
            return None
        try:
            return decoder.decode(body)
        except msgspec.DecodeError as error:
            msg = f"not a message: {error}"
            raise PipeError(msg) from None

    async def aclose(self) -> None:
        """Close both pipes."""
        await self._receive.aclose()
        await self._send.aclose()

    async def _take(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            try:
                chunk = await self._receive.receive_some(READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                chunk = b""
            if not chunk:
                return None
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


TO_PROCESS: msgspec.msgpack.Decoder[ToProcess] = msgspec.msgpack.Decoder(ToProcess)
TO_PARENT: msgspec.msgpack.Decoder[ToParent] = msgspec.msgpack.Decoder(ToParent)
