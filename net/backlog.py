"""Control frames that wait for peers whose links are full.

A message that finds no room is dropped: gossip makes up for it. A GRAFT, PRUNE or subscription that is lost leaves the
two ends with different views for good, so control frames wait, in order, up to a bound; beyond it, the link had better
end, for both ends start afresh with the next one.
"""

from collections import deque
from enum import Enum

from net.gossip.events import Send
from net.peer import PeerId
from net.transport import NotConnectedError, Transport

CONTROL_BACKLOG_FRAMES = 256
"""Control frames that wait for one peer."""
CONTROL_BACKLOG_BYTES = 1 << 21
"""The same in bytes."""


class Sent(Enum):
    """What became of a frame."""

    TAKEN = "with the transport, or it waits its turn"
    FIRST = "it waits, as the first one: `drain` must be started"
    DROPPED = "a message without room"
    STALLED = "the backlog is full, and now empty: the link had better end"


class Backlogs:
    """Sends through `transport`, without waiting."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._waiting: dict[PeerId, deque[bytes]] = {}

    def send(self, effect: Send) -> Sent:
        """Send a frame behind those that wait, if any."""
        waiting = self._waiting.get(effect.peer)
        if waiting is None:
            if self._transport.send_nowait(effect.peer, effect.frame):
                return Sent.TAKEN
            if not effect.control:
                return Sent.DROPPED
            self._waiting[effect.peer] = deque([effect.frame])
            return Sent.FIRST
        if not effect.control:
            return Sent.DROPPED
        if len(waiting) < CONTROL_BACKLOG_FRAMES and sum(map(len, waiting)) < CONTROL_BACKLOG_BYTES:
            waiting.append(effect.frame)
            return Sent.TAKEN
        waiting.clear()
        return Sent.STALLED

    async def drain(self, peer: PeerId) -> None:
        """Send what waits for `peer`, waiting for room, until nothing does. A new link gets a new backlog."""
        waiting = self._waiting.get(peer)
        try:
            while waiting:
                await self._transport.send(peer, waiting.popleft())
        except NotConnectedError:
            pass  # LinkDown is under way to the router, which starts afresh with the next link
        finally:
            if waiting is not None and self._waiting.get(peer) is waiting:
                del self._waiting[peer]

    def forget(self, peer: PeerId) -> None:
        """The link is gone, and what waited for it."""
        if waiting := self._waiting.pop(peer, None):
            waiting.clear()
