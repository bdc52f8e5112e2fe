"""Where the router tells what its peers do and asks what it thinks of them: `Score`, and its two kinds.

`NoScore` thinks nothing of anybody. `ScoreBook` keeps `net.gossip.score.PeerCounters` of each peer:

    link_up ──▶ counted, decaying ──link_down──▶ score at most 0: frozen for `retain_s`, then forgotten
                                                 score above 0: forgotten, lest somebody saves up and spends it later

Times are in seconds and never decrease. All that a book does is decided by what it was told, never by when it was
asked, so asking more often changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Collection, Container
from dataclasses import dataclass
from ipaddress import ip_network
from math import inf
from typing import Protocol

from net.gossip.events import Fault, Message, MessageId
from net.gossip.score import (
    PeerCounters,
    TopicCounters,
    deficit_of,
    outlook_of,
    score_of,
    settle_peer,
    settle_topic,
    settled,
    steady_until,
    step_of,
)
from net.gossip.score_params import ScoreParams, TopicScoreParams
from net.peer import PeerId

MAX_OUTCOMES = 4096
"""Messages whose further copies are accounted for: those accepted within the window, and rejected ones."""
MAX_TOPICS = 1024
"""Topics with counters per peer; the one that was first counted goes first, unless the peer is in its mesh."""

MISDEEDS: dict[str, float] = {
    Fault.MALFORMED: 10.0,
    Fault.UNSIGNED: 1.0,
    Fault.TOO_MANY_TOPICS: 1.0,
    Fault.GRAFT_IN_BACKOFF: 1.0,
    Fault.GRAFT_FLOOD: 1.0,
    Fault.BROKEN_PROMISE: 1.0,
    Fault.BAD_RECORD: 1.0,
}
"""What counts for P7, and how often. A malformed frame is nothing that an honest peer can send. The rest is P4."""

Application = Callable[[PeerId], float]
"""P5 of a peer, besides complaints. Pure and quick; after a change of its answers, `GossipRouter.rescore` must be called."""


class Score(Protocol):
    """The router's view of its peers. 0 is neutral, below 0 is not trusted with a place in the mesh.

    The router asks before it reads a frame (graylist), sends an own message, gossips or answers gossip, takes a GRAFT
    or the peers of a PRUNE, and when it picks whom to keep in a mesh or to graft. The thresholds are in `GossipConfig`.
    """

    suspects: Container[PeerId]
    """Only these peers may score below 0; so nearly all frames need no more than a look here."""
    judged: Container[MessageId]
    """Only of these messages are copies worth telling to `copied`."""

    def of(self, peer: PeerId, now: float) -> float:
        """Return the peer's score."""

    def at_least(self, peer: PeerId, threshold: float, now: float) -> bool:
        """Tell whether the score is `threshold` or more; quicker than `of`."""

    def outlook(self, peer: PeerId, now: float) -> tuple[float, float]:
        """Return bounds of the scores that time alone can bring, `now` included."""

    def steady_until(self, peer: PeerId, now: float) -> float:
        """Return when time alone may make the score negative; infinity if never."""

    def link_up(self, peer: PeerId, now: float, group: str | None = None) -> bool:
        """Begin, or go on, to count. Linked peers of one group, if not None, are taken for one host (P6).

        Tells whether others' scores have changed with it.
        """

    def link_down(self, peer: PeerId, now: float) -> bool:
        """Decide what of it is kept; the peer has left all meshes before. Tells the same."""

    def grafted(self, peer: PeerId, topic: str, now: float) -> None:
        """Note a new mesh member."""

    def pruned(self, peer: PeerId, topic: str, now: float) -> None:
        """Note that a mesh member is none any more, whoever wanted it."""

    def delivered(self, message: Message, senders: Collection[PeerId], now: float) -> None:
        """Note an accepted message; the first of `senders` was the first to bring it."""

    def rejected(self, message: Message, senders: Collection[PeerId], now: float) -> None:
        """Note an invalid message."""

    def invalid(self, topic: str, peer: PeerId, now: float) -> None:
        """Note a message that was refused before it was judged."""

    def copied(self, message: Message, peer: PeerId, now: float) -> bool:
        """Note a copy of a message that is judged already. Tells whether the message was rejected."""

    def penalise(self, peer: PeerId, fault: str, now: float) -> None:
        """Note a misdeed (P7), by its name."""

    def complain(self, peer: PeerId, now: float) -> None:
        """Note that the application caught the peer, linked or not, at a lie (P5)."""

    def rescore(self) -> None:
        """Heed that what is not counted here, the application's opinion, has changed."""


class NoScore:
    """Everybody scores 0 whatever they do; misbehaviour is counted by reason."""

    def __init__(self) -> None:
        self.penalties: Counter[str] = Counter()
        self.suspects: Container[PeerId] = ()
        self.judged: Container[MessageId] = ()

    def of(self, peer: PeerId, now: float) -> float:  # noqa: ARG002
        """Return 0."""
        return 0.0

    def at_least(self, peer: PeerId, threshold: float, now: float) -> bool:
        """Compare 0, or what a subclass thinks."""
        return self.of(peer, now) >= threshold

    def outlook(self, peer: PeerId, now: float) -> tuple[float, float]:
        """Return what it is: it does not change by itself."""
        score = self.of(peer, now)
        return score, score

    def steady_until(self, peer: PeerId, now: float) -> float:  # noqa: ARG002
        """Return infinity: it does not change by itself."""
        return inf

    def link_up(self, peer: PeerId, now: float, group: str | None = None) -> bool:  # noqa: ARG002
        """Do nothing."""
        return False

    def link_down(self, peer: PeerId, now: float) -> bool:  # noqa: ARG002
        """Do nothing."""
        return False

    def grafted(self, peer: PeerId, topic: str, now: float) -> None:
        """Do nothing."""

    def pruned(self, peer: PeerId, topic: str, now: float) -> None:
        """Do nothing."""

    def delivered(self, message: Message, senders: Collection[PeerId], now: float) -> None:
        """Do nothing."""

    def rejected(self, message: Message, senders: Collection[PeerId], now: float) -> None:
        """Do nothing."""

    def invalid(self, topic: str, peer: PeerId, now: float) -> None:
        """Do nothing."""

    def copied(self, message: Message, peer: PeerId, now: float) -> bool:  # noqa: ARG002
        """Do nothing."""
        return False

    def penalise(self, peer: PeerId, fault: str, now: float) -> None:  # noqa: ARG002
        """Count the reason."""
        self.penalties[fault] += 1

    def complain(self, peer: PeerId, now: float) -> None:  # noqa: ARG002
        """Count it."""
        self.penalties["complaint"] += 1

    def rescore(self) -> None:
        """Do nothing."""


@dataclass(slots=True)
class _Record:
    counters: PeerCounters
    group: str | None
    expires: float = inf
    """When it is forgotten; never while the peer is linked."""
    floor: float = -inf
    """The score is at least this during step `floor_step`: only what can lower it makes it be computed anew."""
    floor_step: int = -1


@dataclass(slots=True)
class _Outcome:
    params: TopicScoreParams
    rejected: bool
    counts_until: float
    senders: set[PeerId]
    """Who has brought it; only asked for members."""


class ScoreBook:
    """Scores by the book, P1 to P7. Raises nothing whatever peers do; bounded by links, topics and `max_retained`."""

    def __init__(self, params: ScoreParams | None = None, *, application: Application | None = None) -> None:
        self.params = ScoreParams() if params is None else params
        self._application = application
        self._exempt = [ip_network(network) for network in self.params.colocation_exempt]
        self._linked: dict[PeerId, _Record] = {}
        self._retained: dict[PeerId, _Record] = {}
        self._groups: dict[str, dict[PeerId, None]] = {}
        self._topics: dict[str, TopicScoreParams | None] = {}
        self._outcomes: dict[MessageId, _Outcome] = {}
        self.judged: Container[MessageId] = self._outcomes
        self._suspects: set[PeerId] = set()  # asked for members only
        self.suspects: Container[PeerId] = self._suspects

    # --- asking

    def of(self, peer: PeerId, now: float) -> float:
        """Return the score of a linked peer, 0 of others."""
        record = self._linked.get(peer)
        return 0.0 if record is None else self._score(peer, record, now)

    def at_least(self, peer: PeerId, threshold: float, now: float) -> bool:
        """Compare, mostly with what is known of this decay step."""
        if threshold <= 0.0 and peer not in self._suspects:
            return True
        record = self._linked.get(peer)
        if record is None:
            return threshold <= 0.0
        if record.floor >= threshold and record.floor_step == now // self.params.decay_interval_s:
            return True
        return self._score(peer, record, now) >= threshold

    def outlook(self, peer: PeerId, now: float) -> tuple[float, float]:
        """Return bounds of the scores that time alone can bring."""
        record = self._linked.get(peer)
        return (0.0, 0.0) if record is None else outlook_of(self._complete(peer, record), self.params, now)

    def steady_until(self, peer: PeerId, now: float) -> float:
        """Return when time alone may make the score negative."""
        record = self._linked.get(peer)
        return inf if record is None else steady_until(self._complete(peer, record), self.params, now)

    def counters(self, peer: PeerId, now: float) -> PeerCounters | None:
        """Return a copy of what is counted of a linked peer, as of `now`."""
        record = self._linked.get(peer)
        return None if record is None else settled(self._complete(peer, record), self.params, now)

    def retained(self, now: float) -> list[PeerId]:
        """Peers without link that something is held against, in the order in which they left."""
        return [peer for peer, record in self._retained.items() if now < record.expires]

    def _score(self, peer: PeerId, record: _Record, now: float) -> float:
        record.floor = score_of(self._complete(peer, record), self.params, now)
        record.floor_step = step_of(now, self.params)
        return record.floor

    def _complete(self, peer: PeerId, record: _Record) -> PeerCounters:
        """Add what is asked of others."""
        if self._application is not None:
            record.counters.application = self._application(peer)
        return record.counters

    def rescore(self) -> None:
        """Forget what is remembered of the application's opinion."""
        for record in self._linked.values():
            record.floor_step = -1

    # --- links

    def link_up(self, peer: PeerId, now: float, group: str | None = None) -> bool:
        """Begin to count, or go on where the last link ended."""
        if group is not None and self._is_exempt(group):
            group = None
        step = step_of(now, self.params)
        record = self._retained.pop(peer, None)
        if record is None or now >= record.expires:
            record = _Record(PeerCounters(step), group)
        else:
            record.expires, record.group, record.floor_step = inf, group, -1
            # Frozen in between: what was held against it has not decayed.
            record.counters.step = step
            for counters in record.counters.topics.values():
                counters.step = step
        self._linked[peer] = record
        told = record.counters
        if self._application is not None or told.topics or told.misdeeds or told.complaints:
            self._suspects.add(peer)
        if group is not None:
            self._groups.setdefault(group, {})[peer] = None
        return self._regroup(group)

    def link_down(self, peer: PeerId, now: float) -> bool:
        """Forget the peer, or keep what is held against it."""
        record = self._linked.pop(peer, None)
        if record is None:
            return False
        score = self._score(peer, record, now)
        self._suspects.discard(peer)
        if record.group is not None:
            del self._groups[record.group][peer]
        regrouped = self._regroup(record.group)
        counters = settled(record.counters, self.params, now)
        for topic in counters.topics.values():
            topic.first_deliveries = topic.mesh_deliveries = 0.0
        counters.topics = {name: one for name, one in counters.topics.items() if one.mesh_failures or one.invalid}
        if score <= 0 and (counters.topics or counters.misdeeds or counters.complaints):
            counters.application, counters.colocated = 0.0, 1
            self._retain(peer, counters, now)
        return regrouped

    def _retain(self, peer: PeerId, counters: PeerCounters, now: float) -> None:
        """Remember what is held against a peer without link."""
        self._retained.pop(peer, None)
        while self._retained and (
            len(self._retained) >= self.params.max_retained or now >= self._retained[next(iter(self._retained))].expires
        ):
            del self._retained[next(iter(self._retained))]
        if self.params.max_retained:
            self._retained[peer] = _Record(counters, None, now + self.params.retain_s)

    def _is_exempt(self, group: str) -> bool:
        """Whether the group is a network in which many peers on one host are no sign of anything."""
        try:
            network = ip_network(group)
        except ValueError:
            return False  # of a network that has no addresses
        return any(network.version == one.version and network.overlaps(one) for one in self._exempt)

    def _regroup(self, group: str | None) -> bool:
        """Tell all members how many they are, and the caller whether that matters."""
        if group is None:
            return False
        members = self._groups[group]
        for peer in members:
            record = self._linked[peer]
            record.counters.colocated = len(members)
            self._suspect(peer)
        if not members:
            del self._groups[group]
        return bool(self.params.colocation_weight) and len(members) >= self.params.colocation_threshold

    # --- the mesh

    def grafted(self, peer: PeerId, topic: str, now: float) -> None:
        """P1 and P3 begin."""
        params = self._params_of(topic)
        if params is not None and (counters := self._counters_of(peer, topic, params, now)) is not None:
            counters.mesh_since = now
            if params.mesh_deliveries_weight:
                self._suspect(peer)

    def pruned(self, peer: PeerId, topic: str, now: float) -> None:
        """P1 and P3 end; what P3 misses sticks as P3b."""
        params = self._params_of(topic)
        if params is not None and (counters := self._counters_of(peer, topic, params, now)) is not None:
            counters.mesh_failures += deficit_of(counters, params, self.params, counters.step)
            counters.mesh_since = None
            if peer in self._suspects or counters.mesh_failures:
                self._suspect(peer)
            else:
                self._linked[peer].floor_step = -1  # P1 is gone

    # --- messages

    def delivered(self, message: Message, senders: Collection[PeerId], now: float) -> None:
        """P2 for the first sender, P3 for it and for members who brought a copy before the verdict."""
        params = self._params_of(message.topic)
        if params is None:
            return
        first = True
        for peer in senders:
            counters = self._counters_of(peer, message.topic, params, now)
            if counters is not None:
                if first and counters.first_deliveries < params.first_deliveries_cap:
                    counters.first_deliveries = min(counters.first_deliveries + 1, params.first_deliveries_cap)
                if counters.mesh_since is not None and counters.mesh_deliveries < params.mesh_deliveries_cap:
                    counters.mesh_deliveries = min(counters.mesh_deliveries + 1, params.mesh_deliveries_cap)
            first = False
        if params.mesh_deliveries_weight or params.mesh_failure_weight:
            until = now + params.mesh_deliveries_window_s
            self._remember(message.id, _Outcome(params, False, until, set(senders)), now)

    def rejected(self, message: Message, senders: Collection[PeerId], now: float) -> None:
        """P4 for everybody who sent it."""
        for peer in senders:
            self.invalid(message.topic, peer, now)
        if (params := self._params_of(message.topic)) is not None:
            self._remember(message.id, _Outcome(params, True, inf, set()), now)

    def copied(self, message: Message, peer: PeerId, now: float) -> bool:
        """P3 for a member's copy within the window, P4 for a copy of what was rejected."""
        outcome = self._outcomes.get(message.id)
        if outcome is None:
            return False
        if outcome.rejected:
            self.invalid(message.topic, peer, now)
            return True
        if now <= outcome.counts_until and peer not in outcome.senders:
            outcome.senders.add(peer)
            counters = self._counters_of(peer, message.topic, outcome.params, now)
            if counters is not None and counters.mesh_since is not None:
                counters.mesh_deliveries = min(counters.mesh_deliveries + 1, outcome.params.mesh_deliveries_cap)
        return False

    def invalid(self, topic: str, peer: PeerId, now: float) -> None:
        """P4."""
        params = self._params_of(topic)
        if params is not None and (counters := self._counters_of(peer, topic, params, now)) is not None:
            counters.invalid += 1
            self._suspect(peer)

    def _remember(self, message_id: MessageId, outcome: _Outcome, now: float) -> None:
        self._outcomes.pop(message_id, None)
        while self._outcomes:
            oldest = next(iter(self._outcomes))
            if len(self._outcomes) < MAX_OUTCOMES and now <= self._outcomes[oldest].counts_until:
                break
            del self._outcomes[oldest]
        self._outcomes[message_id] = outcome

    # --- misdeeds

    def penalise(self, peer: PeerId, fault: str, now: float) -> None:
        """P7, for faults that are no invalid messages."""
        record, count = self._linked.get(peer), MISDEEDS.get(fault, 0.0)
        if record is None or not count:
            return
        settle_peer(record.counters, self.params, step_of(now, self.params))
        record.counters.misdeeds += count
        self._suspect(peer)

    def complain(self, peer: PeerId, now: float) -> None:
        """P5; of a peer that has hung up already, too."""
        step, cap = step_of(now, self.params), self.params.complaints_cap
        record = self._linked.get(peer)
        if record is not None:
            settle_peer(record.counters, self.params, step)
            record.counters.complaints = min(record.counters.complaints + 1, cap)
            self._suspect(peer)
            return
        kept = self._retained.get(peer)
        counters = PeerCounters(step) if kept is None or now >= kept.expires else kept.counters
        counters.complaints = min(counters.complaints + 1, cap)  # frozen, as all that is held against who is gone
        self._retain(peer, counters, now)

    def _params_of(self, topic: str) -> TopicScoreParams | None:
        """Remember which parameters a topic has; only topics that we have joined are asked for."""
        try:
            return self._topics[topic]
        except KeyError:
            if len(self._topics) >= MAX_TOPICS:
                self._topics.clear()
            params = self._topics[topic] = self.params.of_topic(topic)
            return params

    def _counters_of(self, peer: PeerId, topic: str, params: TopicScoreParams, now: float) -> TopicCounters | None:
        """Return a linked peer's counters of a topic, settled."""
        record = self._linked.get(peer)
        if record is None:
            return None
        step = int(now // self.params.decay_interval_s)
        topics = record.counters.topics
        counters = topics.get(topic)
        if counters is None:
            if len(topics) >= MAX_TOPICS:
                del topics[next((name for name, one in topics.items() if one.mesh_since is None), next(iter(topics)))]
            counters = topics[topic] = TopicCounters(step)
        elif counters.step != step:
            settle_topic(counters, params, self.params, step)
        return counters

    def _suspect(self, peer: PeerId) -> None:
        """Something speaks against the peer."""
        self._suspects.add(peer)
        self._linked[peer].floor_step = -1
