"""With whom we exchange a topic's messages eagerly.

A GRAFT from a peer meets, in this order (gossipsub-v1.1.md, "Prune Backoff", "Outbound Mesh Quotas"; go):

    topic not joined here                  ignored: an answer would tell strangers what we do
    already a member                       nothing
    an explicit peer                       refused, and told of in the journal: it does not know of our agreement
    within a backoff                       refused, backoff renewed, and at fault: doubly right after a PRUNE, not at all
                                           for the first GRAFT that can have crossed the PRUNE, nor for the first on
                                           a link younger than the backoff: who was restarted does not know of it
    score below 0                          refused
    d_hi members and the peer dialled us   refused, other peers named (peer exchange)
    otherwise                              member

Refused means that PRUNE is the answer. Backoffs are decided by the time given; old ones are swept when room is needed.

The heartbeat (`maintain`) does, topic by topic: members below 0 leave; of d_hi or more the d_score best stay, and
others at random, with d_out outbound ones among them; fewer than d_lo are filled up to d; missing outbound members are
added; and every so often, a mesh whose median score is low gets members that are better (opportunistic grafting).
"""

from dataclasses import dataclass
from enum import Enum
from math import ceil, inf
from random import Random

from net.gossip.config import GossipConfig
from net.gossip.neighbours import Neighbours
from net.gossip.score_book import Score
from net.peer import PeerId


class GraftAnswer(Enum):
    """What becomes of a GRAFT that we get."""

    IGNORED = "ignored"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    FULL = "refused, and no fault of the peer"
    AT_FAULT = "refused, and the peer is to blame"
    FLOOD = "refused, and the peer is to blame twice"
    DIRECT = "refused, since explicit peers exist outside meshes"


@dataclass(slots=True)
class _Fanout:
    peers: list[PeerId]
    last_published: float


@dataclass(slots=True)
class _Backoff:
    """Times in seconds."""

    pruned_at: float
    """When the last PRUNE was exchanged."""
    until: float
    crossing_until: float
    """A GRAFT before that can have crossed the PRUNE that began it; one is forgiven."""


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
        # The oldest in front.
        self._backoffs: dict[tuple[str, PeerId], _Backoff] = {}

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

    def eager(self, topic: str) -> list[PeerId]:
        """Who gets the messages of a joined topic at once: its members and explicit peers; sorted. Not to be changed."""
        direct = self._neighbours.direct(topic)
        return sorted(self._members[topic] + direct) if direct else self._members[topic]

    def backoff_left_s(self, peer: PeerId, topic: str, now: float) -> int:
        """Seconds until `peer` may graft us, rounded up; the usual backoff when there is none."""
        backoff = self._backoffs.get((topic, peer))
        left = 0 if backoff is None else ceil(backoff.until - now)
        return left if left > 0 else self._config.prune_backoff_s

    def in_backoff(self, peer: PeerId, topic: str, now: float) -> bool:
        """Tell whether `peer` may not be grafted, nor graft us, at `now`."""
        backoff = self._backoffs.get((topic, peer))
        return backoff is not None and now < backoff.until

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
        for peer in self._members[topic]:
            self._score.grafted(peer, topic, now)
        return list(self._members[topic])

    def leave(self, topic: str, now: float) -> list[PeerId]:
        """Leave a topic. Returns those who were members, all to be told PRUNE."""
        members = self._members.pop(topic)
        for peer in members:
            self._score.pruned(peer, topic, now)
            self._back_off(peer, topic, now, self._config.unsubscribe_backoff_s)
        return members

    def fanout(self, topic: str, now: float) -> list[PeerId]:
        """Peers to send an own message of a topic that is not joined; sorted, up to `d`, remembered for a while."""
        peers = self._live_fanout(topic, now)
        willing = [
            peer
            for peer in self._neighbours.others(topic)
            if peer not in peers and self._score.at_least(peer, self._config.publish_threshold, now)
        ]
        peers = sorted(peers + self._sample(willing, self._config.d - len(peers)))
        self._fanout.pop(topic, None)
        if peers:
            if len(self._fanout) >= self._config.max_fanout_topics:
                del self._fanout[next(iter(self._fanout))]
            self._fanout[topic] = _Fanout(peers, now)
        return peers

    def targets(self, topic: str, now: float) -> list[PeerId]:
        """Whom to send an own message, sorted: all that are trusted; or explicit peers and members or fanout peers."""
        if self._config.flood_publish:
            threshold = self._config.publish_threshold
            return [peer for peer in self._neighbours.subscribers(topic) if self._score.at_least(peer, threshold, now)]
        return sorted([*(self._members.get(topic) or self.fanout(topic, now)), *self._neighbours.direct(topic)])

    def outside(self, topic: str, now: float) -> list[PeerId]:
        """Peers that may get gossip of a topic that we joined or publish to, because they get no messages; sorted."""
        spoken_to = self._members[topic] if topic in self._members else self._live_fanout(topic, now)
        if topic not in self._members and not spoken_to:
            return []
        threshold = self._config.gossip_threshold
        return [
            peer
            for peer in self._neighbours.others(topic)
            if peer not in spoken_to and self._score.at_least(peer, threshold, now)
        ]

    def _live_fanout(self, topic: str, now: float) -> list[PeerId]:
        fanout = self._fanout.get(topic)
        if fanout is None or now >= fanout.last_published + self._config.fanout_ttl_s:
            return []
        subscribers = self._neighbours.subscribers(topic)
        threshold = self._config.publish_threshold
        return [peer for peer in fanout.peers if peer in subscribers and self._score.at_least(peer, threshold, now)]

    # --- what peers do

    def on_graft(self, peer: PeerId, topic: str, now: float) -> GraftAnswer:
        """Decide on a GRAFT, by the table above."""
        members = self._members.get(topic)
        if members is None or peer in members:
            return GraftAnswer.IGNORED
        neighbour = self._neighbours[peer]
        if neighbour.direct:
            return GraftAnswer.DIRECT
        backoff = self._backoffs.get((topic, peer))
        if backoff is not None and now < backoff.until:
            if now < backoff.crossing_until:
                backoff.crossing_until = -inf
                answer = GraftAnswer.REFUSED
            elif backoff.pruned_at < neighbour.since:  # refusing it renews the backoff, so this happens once a link
                answer = GraftAnswer.REFUSED
            else:
                flood = now < backoff.pruned_at + self._config.graft_flood_s
                answer = GraftAnswer.FLOOD if flood else GraftAnswer.AT_FAULT
        elif not self._score.at_least(peer, 0.0, now):
            answer = GraftAnswer.REFUSED
        elif len(members) >= self._config.d_hi and not neighbour.outbound:
            answer = GraftAnswer.FULL
        else:
            self._members[topic] = sorted([*members, peer])
            self._score.grafted(peer, topic, now)
            return GraftAnswer.ACCEPTED
        self._back_off(peer, topic, now, self._config.prune_backoff_s)
        return answer

    def on_prune(self, peer: PeerId, topic: str, backoff: int | None, now: float) -> bool:
        """Take a PRUNE: the peer leaves the mesh and is let alone. Returns False when the topic is not joined."""
        if topic not in self._members:
            return False
        self.remove(peer, topic, now)
        asked = self._config.prune_backoff_s if not backoff else min(backoff, self._config.max_backoff_s)
        self._back_off(peer, topic, now, asked)
        return True

    def remove(self, peer: PeerId, topic: str, now: float) -> None:
        """The peer is no member of the topic, because it unsubscribed or its link is gone."""
        if peer in self._members.get(topic, ()):
            self._members[topic] = [member for member in self._members[topic] if member != peer]
            self._score.pruned(peer, topic, now)

    def _back_off(self, peer: PeerId, topic: str, now: float, seconds: float) -> None:
        old = self._backoffs.pop((topic, peer), None)
        if len(self._backoffs) >= self._config.max_backoffs:
            slack = self._config.heartbeat_s
            self._backoffs = {key: backoff for key, backoff in self._backoffs.items() if now < backoff.until + slack}
            if len(self._backoffs) >= self._config.max_backoffs:
                del self._backoffs[next(iter(self._backoffs))]
        if old is not None and now < old.until:
            old.pruned_at, old.until = now, max(old.until, now + seconds)
            self._backoffs[topic, peer] = old
        else:
            self._backoffs[topic, peer] = _Backoff(now, now + seconds, now + self._config.heartbeat_s)

    # --- heartbeat

    def maintain(self, now: float, *, opportunistic: bool) -> tuple[list[tuple[PeerId, str]], list[tuple[PeerId, str]]]:
        """Bring every mesh between `d_lo` and `d_hi` with `d_out` outbound members, as far as there are peers.

        Returns whom to tell GRAFT and PRUNE. Draws nothing from the rng when all is well.
        """
        grafts: list[tuple[PeerId, str]] = []
        prunes: list[tuple[PeerId, str]] = []
        for topic in self.topics:
            kept = self._keep(topic, now)
            dropped = [peer for peer in self._members[topic] if peer not in kept]
            for peer in dropped:
                self._score.pruned(peer, topic, now)
                self._back_off(peer, topic, now, self._config.prune_backoff_s)
            self._members[topic] = kept
            grafted = self._take_in(topic, self._missing(topic, now), now)
            if opportunistic:
                grafted += self._take_in(topic, self._better(topic, now), now)
            prunes += [(peer, topic) for peer in dropped]
            grafts += [(peer, topic) for peer in sorted(grafted)]
        return grafts, prunes

    def forecast(self, now: float) -> tuple[float, bool]:
        """Tell when `maintain` could do more though nothing happens, and whether opportunistic grafting could.

        The time is that of a backoff's end on a peer that is needed, or that at which a score may cross 0.
        """
        wake_at = min((self._wake_at(topic, now) for topic in self._members), default=inf)
        return wake_at, any(self._may_improve(topic, now) for topic in self._members)

    def _take_in(self, topic: str, peers: list[PeerId], now: float) -> list[PeerId]:
        if peers:
            self._members[topic] = sorted(self._members[topic] + peers)
            for peer in peers:
                self._score.grafted(peer, topic, now)
        return peers

    def _keep(self, topic: str, now: float) -> list[PeerId]:
        """Members that stay; sorted."""
        config = self._config
        trusted = [peer for peer in self._members[topic] if self._score.at_least(peer, 0.0, now)]
        if not self._crowded(trusted):
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

    def _crowded(self, members: list[PeerId]) -> bool:
        """Whether some must go. From d_hi on (v1.0: beyond it), or a mesh that is full to d_hi stays so for good (go)."""
        return len(members) >= self._config.d_hi and len(members) > self._config.d

    def _missing(self, topic: str, now: float) -> list[PeerId]:
        """Peers to take in because there are too few members, or too few outbound ones; sorted."""
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

    def _better(self, topic: str, now: float) -> list[PeerId]:
        """Peers to take in because the median member is poor; sorted (v1.1, "Opportunistic Grafting")."""
        scores = sorted(self._score.of(peer, now) for peer in self._members[topic])
        if len(scores) < 2 or scores[len(scores) // 2] >= self._config.opportunistic_graft_threshold:
            return []
        enough = scores[len(scores) // 2] + self._config.opportunistic_graft_margin
        better = [peer for peer in self._candidates(topic, now) if self._score.of(peer, now) > enough]
        return sorted(self._sample(better, self._config.opportunistic_graft_peers))

    def _may_improve(self, topic: str, now: float) -> bool:
        """Tell whether time alone can bring `_better` to find somebody."""
        members = self._members[topic]
        lows = sorted(self._score.outlook(peer, now)[0] for peer in members)
        if len(lows) < 2 or lows[len(lows) // 2] >= self._config.opportunistic_graft_threshold:
            return False
        enough = lows[len(lows) // 2] + self._config.opportunistic_graft_margin
        return any(
            self._score.outlook(peer, now)[1] > enough for peer in self._neighbours.others(topic) if peer not in members
        )

    def _wake_at(self, topic: str, now: float) -> float:
        members = self._members[topic]
        if self._crowded(members):
            return now
        # Whoever falls below 0 must leave at the next heartbeat.
        steady_until = min((self._score.steady_until(peer, now) for peer in members), default=inf)
        short = len(members) < self._config.d_lo
        if not short and self._outbound(members) >= self._config.d_out:
            return steady_until
        useful = [
            peer
            for peer in self._neighbours.others(topic)
            if peer not in members and (short or self._neighbours[peer].outbound)
        ]
        if any(not self._score.at_least(peer, 0.0, now) and self._score.outlook(peer, now)[1] >= 0 for peer in useful):
            return now  # it may be forgiven
        ends = [
            self._backoffs[topic, peer].until + self._config.heartbeat_s
            for peer in useful
            if (topic, peer) in self._backoffs
        ]
        return min(steady_until, min((end for end in ends if end > now), default=inf))

    def _candidates(self, topic: str, now: float) -> list[PeerId]:
        """Peers that we may graft, sorted. After a backoff we wait a heartbeat longer: the peer's ends later than ours."""
        members, slack = self._members[topic], self._config.heartbeat_s
        return [
            peer
            for peer in self._neighbours.others(topic)
            if peer not in members
            and not self.in_backoff(peer, topic, now - slack)
            and self._score.at_least(peer, 0.0, now)
        ]

    def _outbound(self, peers: list[PeerId]) -> int:
        return sum(self._neighbours[peer].outbound for peer in peers)

    def _sample(self, peers: list[PeerId], most: int) -> list[PeerId]:
        return self._rng.sample(peers, min(most, len(peers))) if peers and most > 0 else []
