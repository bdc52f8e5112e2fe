"""Copies of long messages that are held back until their receivers had time to decline them.

In a mesh of degree d a message crosses nearly every edge once or twice, since both ends hear it at about the same time.
An IDONTWANT (gossipsub-v1.2.md) comes too late to prevent that if everybody forwards at once: it takes as long as the
copy. So a copy goes at once to `d_eager` members only, and to the others `stagger_s` later, unless they have it by then
(cf. "message staggering" in Farooq, Cizain and Kaiser, "Staggering and Fragmentation for Improved Large Message
Handling in libp2p GossipSub", arXiv:2504.10365, 2025, which sends one after the other). Nobody is passed over who did not say so: a liar harms itself.
"""

from collections import deque
from dataclasses import dataclass

from net.gossip.config import GossipConfig
from net.gossip.events import Message, MessageId, Send

MAX_HELD = 4096
"""Copies held back at the same time; further ones are sent at once."""


@dataclass(frozen=True, slots=True)
class Held:
    """A copy that is to be sent at `due` (s)."""

    due: float
    message_id: MessageId
    send: Send


class SecondWave:
    """The copies held back by one peer, in the order in which they fall due."""

    def __init__(self, config: GossipConfig) -> None:
        self._eager = config.d_eager
        self._stagger_s = config.stagger_s
        # Short messages are not declined.
        self._least_bytes = config.idontwant_bytes
        self._held: deque[Held] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def split(self, message: Message, sends: list[Send], now: float) -> list[Send]:
        """Keep some of the copies of a message for later; returns those to send now.

        Who comes first changes from message to message, by its id: no member of the mesh is always late.
        """
        if not self._stagger_s or len(sends) <= self._eager or len(message.data) < self._least_bytes:
            return sends
        if len(self._held) + len(sends) > MAX_HELD:
            return sends
        first = int.from_bytes(message.id[-2:], "big") % len(sends)
        order = sends[first:] + sends[:first]
        due = now + self._stagger_s
        self._held.extend(Held(due, message.id, send) for send in order[self._eager :])
        return order[: self._eager]

    @property
    def next_due(self) -> float:
        """When the next copy is to be sent; infinity when there is none."""
        return self._held[0].due if self._held else float("inf")

    def take(self, now: float) -> list[Held]:
        """Take out the copies that are due."""
        due: list[Held] = []
        while self._held and self._held[0].due <= now:
            due.append(self._held.popleft())
        return due
