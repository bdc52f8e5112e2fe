"""Copies of long messages that are held back until their receivers had time to decline them.

In a mesh of degree d a message crosses nearly every edge once or twice, since both ends hear it at about the same time.
An IDONTWANT (gossipsub-v1.2.md) comes too late to prevent that if everybody forwards at once: it takes as long as the
copy. So a copy goes at once to `d_eager` members only, and to the others `stagger_s` later, unless they have it by then
(cf. "message staggering" in Farooq, Cizain and Kaiser, "Staggering and Fragmentation for Improved Large Message
Handling in libp2p GossipSub", arXiv:2504.10365, 2025, which sends one after the other). Nobody is passed over who did
not say so, by a notice or by a copy: a liar harms itself.
"""

from dataclasses import dataclass
from math import inf

from net.gossip.config import GossipConfig
from net.gossip.events import MessageId
from net.gossip.wire import Envelope
from net.peer import PeerId

MAX_HELD = 4096
"""Copies held back at the same time; further ones are sent at once."""


@dataclass(slots=True)
class Held:
    """Copies of one message that are to be sent at `due` (s)."""

    due: float
    entry: bytes
    peers: dict[PeerId, None]


class SecondWave:
    """The copies held back by one peer, in the order in which they fall due."""

    def __init__(self, config: GossipConfig) -> None:
        self._eager = config.d_eager
        self._stagger_s = config.stagger_s
        self.held: dict[MessageId, Held] = {}
        """By message, in the order in which they fall due; to be read."""
        self._copies = 0

    def __len__(self) -> int:
        return self._copies

    def split(self, envelope: Envelope, peers: list[PeerId], now: float) -> list[PeerId]:
        """Keep the copies for some of the peers for later; returns those to serve now.

        Who comes first changes from message to message, by its id: no member of the mesh is always late.
        """
        message_id = envelope.message.id
        if len(peers) <= self._eager or self._copies + len(peers) > MAX_HELD or message_id in self.held:
            return peers
        first = int.from_bytes(message_id[-2:], "big") % len(peers)
        order = peers[first:] + peers[:first]
        late = dict.fromkeys(order[self._eager :])
        self.held[message_id] = Held(now + self._stagger_s, envelope.entry, late)
        self._copies += len(late)
        return order[: self._eager]

    def has_it(self, peer: PeerId, message_id: MessageId) -> None:
        """Drop the copy that is held back for a peer, if there is one."""
        held = self.held.get(message_id)
        if held is not None and peer in held.peers:
            del held.peers[peer]
            self._copies -= 1
            if not held.peers:
                del self.held[message_id]

    @property
    def next_due(self) -> float:
        """When the next copy is to be sent; infinity when there is none."""
        return next(iter(self.held.values())).due if self.held else inf

    def take(self, now: float) -> list[tuple[PeerId, bytes]]:
        """Take out the copies that are due: for whom, and the encoded message."""
        due: list[tuple[PeerId, bytes]] = []
        while self.next_due <= now:
            held = self.held.pop(next(iter(self.held)))
            self._copies -= len(held.peers)
            due += [(peer, held.entry) for peer in held.peers]
        return due
