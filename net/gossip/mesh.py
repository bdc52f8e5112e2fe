"""Who is linked, which topics they want, and with whom we exchange a topic's messages eagerly.

A GRAFT from a peer meets, in this order (gossipsub-v1.1.md, "Prune Backoff", "Outbound Mesh Quotas"; go):

    topic not joined here                  ignored: an answer would tell strangers what we do
    already a member                       nothing
    within a backoff                       refused, backoff renewed, at fault unless its GRAFT can have crossed the PRUNE
    score below 0                          refused
    d_hi members and the peer dialled us   refused
    otherwise                              member

Refused means that PRUNE is the answer. Backoffs are decided by the time given; old ones are swept when room is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from random import Random

from net.gossip.config import GossipConfig
from net.gossip.score import Score
from net.peer import PeerId


@dataclass(slots=True)
class Neighbour:
    """A linked peer."""

    outbound: bool
    topics: set[str] = field(default_factory=set)


class Neighbours:
    """Linked peers and the topics they subscribed to."""

    def __init__(self) -> None:
        self._peers: dict[PeerId, Neighbour] = {}
        self._by_topic: dict[str, set[PeerId]] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._peers

    def __iter__(self) -> Iterator[PeerId]:
        """All linked peers, sorted."""
        return iter(sorted(self._peers))

    def __getitem__(self, peer: PeerId) -> Neighbour:
        return self._peers[peer]

    def add(self, peer: PeerId, *, outbound: bool) -> None:
        """Note a link."""
        self._peers[peer] = Neighbour(outbound)

    def remove(self, peer: PeerId) -> None:
        """Forget a link and the peer's topics."""
        for topic in self._peers[peer].topics:
            self._discard(peer, topic)
        del self._peers[peer]

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

    def _discard(self, peer: PeerId, topic: str) -> None:
        peers = self._by_topic[topic]
        peers.remove(peer)
        if not peers:
            del self._by_topic[topic]


class GraftAnswer(Enum):
    """What becomes of a GRAFT that we get."""

    IGNORED = "ignored"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    AT_FAULT = "refused, and the peer is to blame"


@dataclass(slots=True)
class _Fanout:
    peers: list[PeerId]
    last_published: float


class Mesh:
    """The members of every joined topic, fanout peers of others, and backoffs. Decides; the router tells the peers."""

    def __init__(self, neighbours: Neighbours, score: Score, config: GossipConfig, rng: Random) -> None:
        self._neighbours = neighbours
        self._score = score
        self._config = config
        self._rng = rng
        # Sorted lists: a dozen members, read for each message and always in order.
        self._members: dict[str, list[PeerId]] = {}
        self._fanout: dict[str, _Fanout] = {}
        # (topic, peer) to (begin, end); the oldest in front.
        self._backoffs: dict[tuple[str, PeerId], tuple[float, float]] = {}

    @property
    def topics(self) -> list[str]:
        """Topics joined, sorted."""
        return sorted(self._members)

    def joined(self, topic: str) -> bool:
        """Tell whether the topic is joined."""
        return topic in self._members

    def members(self, topic: str) -> list[PeerId]:
        """Members of a joined topic, sorted. Not to be changed."""
        return self._members[topic]

    def in_backoff(self, peer: PeerId, topic: str, now: float) -> bool:
        """Tell whether `peer` may not be grafted, nor graft us, at `now`."""
        return now < self._backoffs.get((topic, peer), (0.0, -inf))[1]

    # --- joining, leaving, fanout

    def join(self, topic: str, now: float) -> list[PeerId]:
        """Join a topic with up to `d` members, former fanout peers first. Returns the members, all to be told GRAFT."""
        fanout = self._live_fanout(topic, now)
        self._fanout.pop(topic, None)
        self._members[topic] = []
        candidates = self._candidates(topic, now)
        chosen = [peer for peer in fanout if peer in candidates][: self._config.d]
        rest = [peer for peer in candidates if peer not in chosen]
        self._members[topic] = sorted(chosen + self._sample(rest, self._config.d - len(chosen)))
        return list(self._members[topic])

    def leave(self, topic: str, now: float) -> list[PeerId]:
        """Leave a topic. Returns those who were members, all to be told PRUNE."""
        members = self._members.pop(topic)
        for peer in members:
            self._back_off(peer, topic, now, self._config.unsubscribe_backoff_s)
        return members

    def fanout(self, topic: str, now: float) -> list[PeerId]:
        """Peers to send an own message of a topic that is not joined; sorted, up to `d`, remembered for a while."""
        peers = self._live_fanout(topic, now)
        willing = [
            peer
            for peer in self._neighbours.subscribers(topic)
            if peer not in peers and self._score.of(peer, now) >= self._config.publish_threshold
        ]
        peers = sorted(peers + self._sample(willing, self._config.d - len(peers)))
        self._fanout.pop(topic, None)
        if peers:
            if len(self._fanout) >= self._config.max_fanout_topics:
                del self._fanout[next(iter(self._fanout))]
            self._fanout[topic] = _Fanout(peers, now)
        return peers

    def spoken_to(self, topic: str, now: float) -> list[PeerId] | None:
        """Members, or fanout peers, or None when the topic is neither joined nor published to lately."""
        if topic in self._members:
            return self._members[topic]
        return self._live_fanout(topic, now) or None

    def _live_fanout(self, topic: str, now: float) -> list[PeerId]:
        fanout = self._fanout.get(topic)
        if fanout is None or now >= fanout.last_published + self._config.fanout_ttl_s:
            return []
        subscribers = self._neighbours.subscribers(topic)
        return [peer for peer in fanout.peers if peer in subscribers]

    # --- what peers do

    def on_graft(self, peer: PeerId, topic: str, now: float) -> GraftAnswer:
        """Decide on a GRAFT, by the table above."""
        members = self._members.get(topic)
        if members is None or peer in members:
            return GraftAnswer.IGNORED
        begin, end = self._backoffs.get((topic, peer), (0.0, -inf))
        if now < end:
            self._back_off(peer, topic, now, self._config.prune_backoff_s)
            crossed = now < begin + self._config.heartbeat_s
            return GraftAnswer.REFUSED if crossed else GraftAnswer.AT_FAULT
        full = len(members) >= self._config.d_hi and not self._neighbours[peer].outbound
        if full or self._score.of(peer, now) < 0:
            self._back_off(peer, topic, now, self._config.prune_backoff_s)
            return GraftAnswer.REFUSED
        self._members[topic] = sorted([*members, peer])
        return GraftAnswer.ACCEPTED

    def on_prune(self, peer: PeerId, topic: str, backoff: int | None, now: float) -> bool:
        """Take a PRUNE: the peer leaves the mesh and is let alone. Returns False when the topic is not joined."""
        if topic not in self._members:
            return False
        self.remove(peer, topic)
        asked = self._config.prune_backoff_s if not backoff else min(backoff, self._config.max_backoff_s)
        self._back_off(peer, topic, now, asked)
        return True

    def remove(self, peer: PeerId, topic: str) -> None:
        """The peer is no member of the topic, because it unsubscribed or its link is gone."""
        if peer in self._members.get(topic, ()):
            self._members[topic] = [member for member in self._members[topic] if member != peer]

    def _back_off(self, peer: PeerId, topic: str, now: float, seconds: float) -> None:
        begin, end = self._backoffs.pop((topic, peer), (now, -inf))
        if now >= end:
            begin = now
        if len(self._backoffs) >= self._config.max_backoffs:
            slack = self._config.heartbeat_s
            self._backoffs = {key: span for key, span in self._backoffs.items() if now < span[1] + slack}
            if len(self._backoffs) >= self._config.max_backoffs:
                del self._backoffs[next(iter(self._backoffs))]
        self._backoffs[topic, peer] = (begin, max(end, now + seconds))

    # --- heartbeat

    def maintain(self, now: float) -> tuple[list[tuple[PeerId, str]], list[tuple[PeerId, str]], float]:
        """Bring every mesh between `d_lo` and `d_hi` with `d_out` outbound members, as far as there are peers.

        Returns whom to tell GRAFT and PRUNE, and when this could do more though nothing happens: when a backoff ends
        on a peer that is needed. Draws nothing from the rng when all is well.
        """
        grafts: list[tuple[PeerId, str]] = []
        prunes: list[tuple[PeerId, str]] = []
        wake_at = inf
        for topic in self.topics:
            kept = self._keep(topic, now)
            dropped = [peer for peer in self._members[topic] if peer not in kept]
            for peer in dropped:
                self._back_off(peer, topic, now, self._config.prune_backoff_s)
            self._members[topic] = kept
            grafted = self._graft(topic, now)
            self._members[topic] = sorted(kept + grafted)
            prunes += [(peer, topic) for peer in dropped]
            grafts += [(peer, topic) for peer in grafted]
            wake_at = min(wake_at, self._wake_at(topic, now))
        return grafts, prunes, wake_at

    def _keep(self, topic: str, now: float) -> list[PeerId]:
        """Members that stay; sorted."""
        config = self._config
        trusted = [peer for peer in self._members[topic] if self._score.of(peer, now) >= 0]
        if len(trusted) <= config.d_hi:
            return trusted
        order = self._sample(trusted, len(trusted))
        order.sort(key=lambda peer: -self._score.of(peer, now))
        order[config.d_score :] = self._sample(order[config.d_score :], len(order) - config.d_score)
        kept, spare = order[: config.d], order[config.d :]
        missing = config.d_out - self._outbound(kept)
        outbound = [peer for peer in spare if self._neighbours[peer].outbound][: max(0, missing)]
        inbound = [peer for peer in reversed(kept) if not self._neighbours[peer].outbound]
        replaced = inbound[: len(outbound)]
        return sorted([peer for peer in kept if peer not in replaced] + outbound)

    def _graft(self, topic: str, now: float) -> list[PeerId]:
        """Peers to take in."""
        config, members = self._config, self._members[topic]
        if len(members) < config.d_lo:
            grafted = self._sample(self._candidates(topic, now), config.d - len(members))
        else:
            grafted = []
        missing = config.d_out - self._outbound(members + grafted)
        if missing > 0 and len(members + grafted) >= config.d_lo:
            outbound = [
                peer for peer in self._candidates(topic, now) if peer not in grafted and self._neighbours[peer].outbound
            ]
            grafted = grafted + self._sample(outbound, missing)
        return sorted(grafted)

    def _wake_at(self, topic: str, now: float) -> float:
        members = self._members[topic]
        short = len(members) < self._config.d_lo
        if not short and self._outbound(members) >= self._config.d_out:
            return inf
        ends = [
            self._backoffs[topic, peer][1] + self._config.heartbeat_s
            for peer in self._neighbours.subscribers(topic)
            if (topic, peer) in self._backoffs and peer not in members and (short or self._neighbours[peer].outbound)
        ]
        return min((end for end in ends if end > now), default=inf)

    def _candidates(self, topic: str, now: float) -> list[PeerId]:
        """Peers that we may graft, sorted. After a backoff we wait a heartbeat longer: the peer's ends later than ours."""
        members, slack = self._members[topic], self._config.heartbeat_s
        return [
            peer
            for peer in self._neighbours.subscribers(topic)
            if peer not in members and not self.in_backoff(peer, topic, now - slack) and self._score.of(peer, now) >= 0
        ]

    def _outbound(self, peers: list[PeerId]) -> int:
        return sum(self._neighbours[peer].outbound for peer in peers)

    def _sample(self, peers: list[PeerId], most: int) -> list[PeerId]:
        return self._rng.sample(peers, min(most, len(peers))) if peers and most > 0 else []
