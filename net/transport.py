"""The seam under every peer: links that carry frames in order, and request/response.

A *frame* is one GossipSub RPC (a protobuf, without length prefix). A transport neither knows topics nor
looks into frames. Implementations: `net.memory.MemoryTransport`, `net.libp2p_host.Libp2pTransport`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from net.peer import Address, PeerId

MAX_FRAME_BYTES = 1 << 20
"""A longer frame is refused: locally with `FrameTooLargeError`, from a peer by closing the link."""
MAX_REQUEST_BYTES = 4 << 20
"""Bound on the body of a request and of a response."""


class TransportError(Exception):
    """Base of what a transport raises."""


class FrameTooLargeError(TransportError):
    """Our fault: the frame or body exceeds its bound."""


class NotConnectedError(TransportError):
    """There is no link to that peer (any more), or it could not be dialled."""


class RequestFailedError(TransportError):
    """The peer refused the request, does not speak the protocol, broke off or took longer than the timeout.

    `definite` is True when the peer certainly did not carry the request out.
    """

    def __init__(self, reason: str, *, definite: bool = False) -> None:
        super().__init__(reason)
        self.definite = definite


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link to `peer` can carry frames; `outbound` when we dialled it."""

    peer: PeerId
    outbound: bool
    version: tuple[int, int] = field(default=(1, 2), compare=False)
    """Of GossipSub, that both speak; (1, 2) among our own. How a link is spoken on, not which it is: not compared."""
    group: str | None = field(default=None, compare=False)
    """The network that the peer's end is in, where it shows: `net.host_group.host_group` of its IP address. In memory,
    what the network was told. Peers of one group may be one peer; None says nothing. Not compared either."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The link is gone. Frames in flight may be lost."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """One whole frame of at most `MAX_FRAME_BYTES`, in the order in which the peer sent it."""

    peer: PeerId
    frame: bytes


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A peer asks; exactly one of `reply` and `refuse` must be awaited, once. Neither raises when the peer is gone."""

    peer: PeerId
    protocol: str
    body: bytes
    reply: Callable[[bytes], Awaitable[None]]
    refuse: Callable[[str], Awaitable[None]]


TransportEvent = LinkUp | LinkDown | FrameReceived | RequestReceived


class Transport(Protocol):
    """Links of one peer. `run` must be running in a nursery of the owner for anything to happen.

    The event channel is bounded; a reader that falls behind stalls its senders (backpressure), never memory.
    """

    @property
    def peer_id(self) -> PeerId:
        """Who we are on this transport."""

    @property
    def addresses(self) -> Sequence[Address]:
        """Where others can dial us; complete once `run` has started."""

    @property
    def events(self) -> trio.MemoryReceiveChannel[TransportEvent]:
        """What happened, in order per peer. It ends when the transport closes."""

    def peers(self) -> Sequence[PeerId]:
        """Peers with a link that is up, sorted."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started() once `addresses` are known. Closes every link and socket on the way out."""

    async def dial(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        """Bring up a link unless there is one already. Raises NotConnectedError when no address answers."""

    async def hang_up(self, peer: PeerId) -> None:
        """Close the link to `peer`, if there is one."""

    async def send(self, peer: PeerId, frame: bytes) -> None:
        """Queue a frame, in order per link; waits while the link's bounded queue is full.

        Raises FrameTooLargeError, or NotConnectedError when there is no link. Returning does not mean delivered.
        """

    def send_nowait(self, peer: PeerId, frame: bytes) -> bool:
        """Queue a frame without waiting; False (and a counted drop) when the queue is full or the link is gone."""

    async def request(self, peer: PeerId, protocol: str, body: bytes, *, timeout: float) -> bytes:
        """Ask a linked peer and return its answer. `timeout` in seconds.

        Raises RequestFailedError, NotConnectedError or FrameTooLargeError.
        """
