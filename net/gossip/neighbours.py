"""Who is linked, and which topics they want."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from net.peer import PeerId


@dataclass(slots=True)
class Neighbour:
    """A linked peer."""

    outbound: bool
    """Whether we dialled it."""
    version: tuple[int, int] = (1, 1)
    """Of GossipSub, that it speaks: (1, 2) for ``/meshsub/1.2.0``."""
    direct: bool = False
    """Whether there is an explicit peering agreement."""
    since: float = 0.0
    """When the link came up, in seconds."""
    topics: set[str] = field(default_factory=set)


class Neighbours:
    """Linked peers and the topics they subscribed to."""

    def __init__(self) -> None:
        self._peers: dict[PeerId, Neighbour] = {}
        self._by_topic: dict[str, set[PeerId]] = {}
        self._direct: list[PeerId] = []

    def __len__(self) -> int:
        return len(self._peers)

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._peers

    def __iter__(self) -> Iterator[PeerId]:
        """All linked peers, sorted."""
        return iter(sorted(self._peers))

    def __getitem__(self, peer: PeerId) -> Neighbour:
        return self._peers[peer]

    def add(self, peer: PeerId, neighbour: Neighbour) -> None:
        """Note a link."""
        self._peers[peer] = neighbour
        if neighbour.direct:
            self._direct = sorted([*self._direct, peer])

    def remove(self, peer: PeerId) -> None:
        """Forget a link and the peer's topics."""
        for topic in self._peers[peer].topics:
            self._discard(peer, topic)
        if self._peers.pop(peer).direct:
            self._direct.remove(peer)

    def subscribe(self, peer: PeerId, topic: str) -> None:
        """Note that a linked peer wants a topic."""
        self._peers[peer].topics.add(topic)
        self._by_topic.setdefault(topic, set()).add(peer)

    def unsubscribe(self, peer: PeerId, topic: str) -> None:
        """Note that a linked peer does not want a topic any more."""
        if topic in self._peers[peer].topics:
            self._peers[peer].topics.remove(topic)
            self._discard(peer, topic)

    def subscribers(self, topic: str) -> list[PeerId]:
        """Peers that want the topic, sorted."""
        return sorted(self._by_topic.get(topic, ()))

    def direct(self, topic: str) -> list[PeerId]:
        """Direct peers that want the topic, sorted."""
        return [peer for peer in self._direct if topic in self._peers[peer].topics]

    def others(self, topic: str) -> list[PeerId]:
        """Peers that want the topic and are not direct, sorted: who may be in a mesh, or get gossip."""
        peers = self.subscribers(topic)
        return [peer for peer in peers if not self._peers[peer].direct] if self._direct else peers

    def _discard(self, peer: PeerId, topic: str) -> None:
        peers = self._by_topic[topic]
        peers.remove(peer)
        if not peers:
            del self._by_topic[topic]
