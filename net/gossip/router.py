"""The GossipSub v1.1 router: no sockets, no clock, no tasks. `receive` and its like return effects.

Theory of operation
-------------------
Spec: libp2p pubsub/gossipsub/gossipsub-v1.0.md and -v1.1.md (protocol ``/meshsub/1.1.0``), StrictSign of pubsub/README.md.

A *link* is up or down (`link_up`, `link_down`; the shell alone decides). Frames of a peer without link are dropped.

A *topic* is joined or not (`subscribe`, `unsubscribe`; the actor alone decides). A joined topic has a mesh, which GRAFT
and PRUNE of peers and the heartbeat change: `net.gossip.mesh` has the rules. All linked peers are told what is joined.

A *message* goes through these states, each left by one thing only:

    unknown ──receive──▶ pending ──verdict ACCEPT──▶ delivered, forwarded, held for IWANT ──heartbeats──▶ seen
                            └──verdict IGNORE, REJECT──▶ seen                        seen ──seen_ttl_s──▶ unknown

An own message starts as delivered (`publish`). A message that cannot become pending (topic not joined, too long, bad
signature, no room) stays unknown: nobody can spoil an id for others by sending rubbish under it first.

The *heartbeat* (`tick`) repairs meshes, advertises what is held (`net.gossip.lazy`), blames for broken promises, and
ages the cache. A heartbeat that would do none of it may be skipped: `next_deadline` is infinite then, and otherwise a
multiple of the heartbeat interval from this router's phase. Whatever only expires (seen ids, backoffs, fanout, limits
per heartbeat) is decided by the time of the call. So a router at rest costs nothing, and one that is ticked at every
heartbeat nonetheless does the same, to the draw of the rng.

A frame that is no RPC changes nothing and ends in `Penalise` and `Disconnect`.

Deviations: no opportunistic grafting; peer exchange is read but neither offered nor used; fanout is refilled when we
publish, not by the heartbeat; a GRAFT which can have crossed our PRUNE is refused without blame; IDONTWANT (v1.2) is
skipped; a key in a message is checked and not forwarded.
"""

from dataclasses import dataclass
from math import inf
from random import Random

from net.gossip.cache import MessageCache, SeenCache
from net.gossip.config import GossipConfig
from net.gossip.counters import Counters
from net.gossip.events import (
    Deliver,
    Disconnect,
    Effect,
    Fault,
    MessageId,
    Penalise,
    Send,
    Validate,
    Verdict,
)
from net.gossip.lazy import LazyGossip
from net.gossip.mesh import GraftAnswer, Mesh, Neighbours
from net.gossip.outbox import Outbox
from net.gossip.score import NoScore, Score
from net.gossip.wire import (
    Envelope,
    Graft,
    Prune,
    RemoteProtocolError,
    Rpc,
    Subscription,
    decode,
    encode_control,
    encode_subscription,
    seal,
    signed_bytes,
)
from net.peer import PeerId
from net.signing import Sign, Verify


@dataclass(slots=True)
class _Pending:
    """A message that awaits its verdict, and who sent it: the first sender first."""

    envelope: Envelope
    senders: dict[PeerId, None]


class GossipRouter:
    """One peer's router. `now` is in seconds and never decreases from call to call.

    The shell carries out the effects in order, calls `verdict` exactly once for each `Validate`, and calls `tick` at
    `next_deadline`, which any other call may change.
    """

    def __init__(
        self,
        peer_id: PeerId,
        *,
        sign: Sign,
        verify: Verify,
        config: GossipConfig,
        rng: Random,
        now: float,
        score: Score | None = None,
    ) -> None:
        self.peer_id = peer_id
        self.counters = Counters()
        self._sign = sign
        self._verify = verify
        self._config = config
        self._rng = rng
        self._score: Score = NoScore() if score is None else score
        self._neighbours = Neighbours()
        self._mesh = Mesh(self._neighbours, self._score, config, rng)
        self._seen = SeenCache(config.seen_ttl_s, config.seen_capacity)
        self._cache = MessageCache(
            config.mcache_history,
            config.mcache_gossip,
            max_messages=config.mcache_messages,
            max_bytes=config.mcache_bytes,
        )
        self._lazy = LazyGossip(self._seen, self._cache, config, rng)
        self._pending: dict[MessageId, _Pending] = {}
        self._pending_bytes = 0
        self._outbox = Outbox(config.max_frame_bytes)
        # Nanoseconds since the epoch: a router that restarts with an older number would be silent for `seen_ttl_s`.
        self._seqno = max(0, int(now * 1e9))
        # Heartbeats are at _start + k * heartbeat_s; the phase keeps peers that start together from beating together.
        self._start = now + rng.random() * config.heartbeat_s
        self._last_beat = self._beat(now)
        self._due = inf

    # --- what can be seen from outside

    @property
    def topics(self) -> list[str]:
        """Topics joined, sorted."""
        return self._mesh.topics

    @property
    def peers(self) -> list[PeerId]:
        """Linked peers, sorted."""
        return list(self._neighbours)

    @property
    def pending(self) -> int:
        """Messages that await their verdict."""
        return len(self._pending)

    def mesh(self, topic: str) -> list[PeerId]:
        """Mesh members of a topic, sorted; none when the topic is not joined."""
        return list(self._mesh.members(topic)) if self._mesh.joined(topic) else []

    def subscribers(self, topic: str) -> list[PeerId]:
        """Linked peers that subscribed to the topic, sorted."""
        return self._neighbours.subscribers(topic)

    # --- links

    def link_up(self, peer: PeerId, now: float, *, outbound: bool = True) -> list[Effect]:  # noqa: ARG002 (all calls have it)
        """Begin to speak with `peer`; `outbound` when we dialled it. A link that is up already stays as it is."""
        if peer in self._neighbours or peer == self.peer_id:
            return []
        if len(self._neighbours) >= self._config.max_peers:
            return [Disconnect(peer, "too many peers")]
        self._neighbours.add(peer, outbound=outbound)
        for topic in self._mesh.topics:
            self._outbox.subscription(peer, encode_subscription(Subscription(topic, subscribe=True)))
        return self._flush()

    def link_down(self, peer: PeerId, now: float) -> list[Effect]:
        """Forget a link. What the peer is to blame for, and backoffs, outlive it."""
        if peer not in self._neighbours:
            return []
        for topic in self._mesh.topics:
            if peer in self._mesh.members(topic):
                self._mesh.remove(peer, topic)
                self._want_beat(now)
        self._neighbours.remove(peer)
        self._lazy.forget(peer)
        return []

    # --- what peers send

    def receive(self, peer: PeerId, frame: bytes, now: float) -> list[Effect]:
        """Take one frame of a linked peer."""
        if peer not in self._neighbours:
            return []
        self.counters.frames += 1
        if self._score.of(peer, now) < self._config.graylist_threshold:
            self.counters.graylisted += 1
            return []
        try:
            if len(frame) > self._config.max_frame_bytes:
                raise RemoteProtocolError("frame too long")
            rpc = decode(frame)
        except RemoteProtocolError as error:
            return [*self._blame(peer, Fault.MALFORMED, now), Disconnect(peer, str(error))]
        effects: list[Effect] = []
        if rpc.subscriptions:
            effects += self._on_subscriptions(peer, rpc.subscriptions, now)
        if rpc.refused:
            effects += self._blame(peer, Fault.UNSIGNED, now)
        for envelope in rpc.publish:
            effects += self._on_message(peer, envelope, now)
        if rpc.ihave or rpc.iwant or rpc.graft or rpc.prune:
            effects += self._on_control(peer, rpc, now)
            effects += self._flush()
        return effects

    def _on_subscriptions(self, peer: PeerId, subscriptions: tuple[Subscription, ...], now: float) -> list[Effect]:
        topics = self._neighbours[peer].topics
        refused = False
        for change in subscriptions:
            if not change.subscribe:
                self._neighbours.unsubscribe(peer, change.topic)
                self._mesh.remove(peer, change.topic)
            elif change.topic in topics or len(topics) < self._config.max_topics_per_peer:
                self._neighbours.subscribe(peer, change.topic)
            else:
                refused = True
            if self._mesh.joined(change.topic):
                self._want_beat(now)
        return self._blame(peer, Fault.TOO_MANY_TOPICS, now) if refused else []

    def _on_message(self, peer: PeerId, envelope: Envelope, now: float) -> list[Effect]:
        message = envelope.message
        if self._seen.has(message.id, now):
            self.counters.duplicates += 1
            pending = self._pending.get(message.id)
            if pending is not None:
                pending.senders[peer] = None
            return []
        if message.source == self.peer_id or not self._mesh.joined(message.topic):
            self.counters.unwanted += 1
            self._lazy.arrived(message.id)
            return []
        if len(message.data) > self._config.max_message_bytes:
            return self._blame(peer, Fault.TOO_LONG, now)
        if not self._room_for(envelope):
            self.counters.overflowed += 1
            self.counters.ignored += 1
            self._lazy.arrived(message.id)
            return []
        if not self._verify(message.source.public_key, message.signature, envelope.signed):
            return self._blame(peer, Fault.BAD_SIGNATURE, now)
        self._seen.add(message.id, now)
        self._lazy.arrived(message.id)
        self._pending[message.id] = _Pending(envelope, {peer: None})
        self._pending_bytes += len(envelope.entry)
        return [Validate(peer, message)]

    def _room_for(self, envelope: Envelope) -> bool:
        return (
            envelope.message.id not in self._pending  # forgotten by the seen cache before its verdict came
            and len(self._pending) < self._config.max_pending_messages
            and self._pending_bytes + len(envelope.entry) <= self._config.max_pending_bytes
        )

    def _on_control(self, peer: PeerId, rpc: Rpc, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if (rpc.ihave or rpc.iwant) and self._score.of(peer, now) >= self._config.gossip_threshold:
            beat = self._beat(now)
            if rpc.ihave:
                adverts = [advert for advert in rpc.ihave if self._mesh.joined(advert.topic)]
                wanted = self._lazy.on_ihave(peer, beat, adverts, now)
                if wanted is not None:
                    self.counters.wanted += len(wanted.ids)
                    self._outbox.control(peer, encode_control(wanted))
                    self._want_beat_from(self._lazy.next_due, now)
            for envelope in self._lazy.on_iwant(peer, beat, rpc.iwant) if rpc.iwant else ():
                self.counters.forwarded += 1
                self._outbox.message(peer, envelope.entry)
        at_fault = False
        for topic in dict.fromkeys(graft.topic for graft in rpc.graft):
            answer = self._mesh.on_graft(peer, topic, now)
            at_fault = at_fault or answer is GraftAnswer.AT_FAULT
            if answer is GraftAnswer.ACCEPTED:
                self._want_beat(now)
            elif answer is not GraftAnswer.IGNORED:
                self._outbox.control(peer, encode_control(Prune(topic, self._config.prune_backoff_s)))
        for prune in rpc.prune:
            if self._mesh.on_prune(peer, prune.topic, prune.backoff, now):
                self._want_beat(now)
        if at_fault:
            effects += self._blame(peer, Fault.GRAFT_IN_BACKOFF, now)
        return effects

    # --- what the judge and the actor say

    def verdict(self, message_id: MessageId, verdict: Verdict, now: float) -> list[Effect]:
        """Say what is to become of a message. Raises LookupError when it awaits no verdict (any more)."""
        pending = self._pending.pop(message_id, None)
        if pending is None:
            raise LookupError(f"no message {message_id.hex()} awaits a verdict")
        envelope, senders = pending.envelope, pending.senders
        self._pending_bytes -= len(envelope.entry)
        if verdict is Verdict.IGNORE:
            self.counters.ignored += 1
            return []
        if verdict is Verdict.REJECT:
            self.counters.rejected += 1
            return [effect for peer in senders for effect in self._blame(peer, Fault.REJECTED, now)]
        message = envelope.message
        if not self._mesh.joined(message.topic):  # left while the judge was at work
            return []
        self.counters.accepted += 1
        self._hold(envelope, now)
        sends = [
            Send(peer, envelope.entry)
            for peer in self._mesh.members(message.topic)
            if peer not in senders and peer != message.source
        ]
        self.counters.forwarded += len(sends)
        return [Deliver(message, next(iter(senders))), *sends]

    def publish(self, topic: str, data: bytes, now: float) -> tuple[MessageId, list[Effect]]:
        """Sign and send a message; delivered to ourselves as well when the topic is joined.

        Raises ValueError when the data or the topic is longer than it may be.
        """
        if len(data) > self._config.max_message_bytes:
            raise ValueError(f"a message has at most {self._config.max_message_bytes} bytes, not {len(data)}")
        seqno = self._seqno + 1
        signature = self._sign(signed_bytes(self.peer_id, seqno, topic, data))
        envelope = seal(self.peer_id, seqno, topic, data, signature)
        self._seqno = seqno
        self.counters.published += 1
        self._seen.add(envelope.message.id, now)
        self._hold(envelope, now)
        effects: list[Effect] = [Deliver(envelope.message, None)] if self._mesh.joined(topic) else []
        targets = self._targets(topic, now)
        self.counters.forwarded += len(targets)
        effects += [Send(peer, envelope.entry) for peer in targets]
        return envelope.message.id, effects

    def _targets(self, topic: str, now: float) -> list[PeerId]:
        """Whom to send an own message, sorted."""
        members = self._mesh.members(topic) if self._mesh.joined(topic) else []
        if self._config.flood_publish:
            threshold = self._config.publish_threshold
            trusted = [peer for peer in self._neighbours.subscribers(topic) if self._score.of(peer, now) >= threshold]
            return sorted({*members, *trusted})
        return members or self._mesh.fanout(topic, now)

    def subscribe(self, topic: str, now: float) -> list[Effect]:
        """Join a topic; nothing happens when it is joined. Raises ValueError when that is one topic too many."""
        if self._mesh.joined(topic):
            return []
        if len(self._mesh.topics) >= self._config.max_topics_per_peer:
            raise ValueError(f"a peer joins at most {self._config.max_topics_per_peer} topics")
        announcement = encode_subscription(Subscription(topic, subscribe=True))
        for peer in self._neighbours:
            self._outbox.subscription(peer, announcement)
        graft = encode_control(Graft(topic))
        for peer in self._mesh.join(topic, now):
            self._outbox.control(peer, graft)
        self._want_beat(now)
        return self._flush()

    def unsubscribe(self, topic: str, now: float) -> list[Effect]:
        """Leave a topic; nothing happens when it is not joined. Messages that await a verdict are dropped with it."""
        if not self._mesh.joined(topic):
            return []
        announcement = encode_subscription(Subscription(topic, subscribe=False))
        for peer in self._neighbours:
            self._outbox.subscription(peer, announcement)
        prune = encode_control(Prune(topic, self._config.unsubscribe_backoff_s))
        for peer in self._mesh.leave(topic, now):
            self._outbox.control(peer, prune)
        return self._flush()

    # --- time

    def next_deadline(self) -> float:
        """When to call `tick` next, in seconds; infinity while a heartbeat would do nothing."""
        return self._due

    def next_heartbeat(self, now: float) -> float:
        """The first heartbeat after `now`, needed or not."""
        return self._start + (self._beat(now) + 1) * self._config.heartbeat_s

    def tick(self, now: float) -> list[Effect]:
        """Do the heartbeat, once however many are due. Before the next one is due: nothing."""
        beat = self._beat(now)
        if beat <= self._last_beat:
            return []
        self._last_beat = beat
        self.counters.heartbeats += 1
        effects: list[Effect] = []
        for peer in self._lazy.overdue(now):
            effects += self._blame(peer, Fault.BROKEN_PROMISE, now)
        grafts, prunes, wake_at = self._mesh.maintain(now)
        for peer, topic in prunes:
            self._outbox.control(peer, encode_control(Prune(topic, self._config.prune_backoff_s)))
        for peer, topic in grafts:
            self._outbox.control(peer, encode_control(Graft(topic)))
        self._gossip(now)
        self._cache.shift()
        self._due = inf
        self._want_beat_from(wake_at, now)
        self._want_beat_from(self._lazy.next_due, now)
        if len(self._cache):
            self._want_beat(now)
        return effects + self._flush()

    def _gossip(self, now: float) -> None:
        """Advertise recent messages to some peers of their topics outside the mesh."""
        for topic, ids in sorted(self._cache.advertised().items()):
            spoken_to = self._mesh.spoken_to(topic, now)
            if spoken_to is None:
                continue
            candidates = [
                peer
                for peer in self._neighbours.subscribers(topic)
                if peer not in spoken_to and self._score.of(peer, now) >= self._config.gossip_threshold
            ]
            encoded = None
            for peer in self._lazy.choose(candidates):
                if encoded is None or len(ids) > self._config.max_ihave_length:
                    encoded = encode_control(self._lazy.advertise(topic, ids))
                self.counters.advertised += min(len(ids), self._config.max_ihave_length)
                self._outbox.control(peer, encoded)

    def _hold(self, envelope: Envelope, now: float) -> None:
        self._cache.put(envelope)
        self._want_beat(now)

    def _beat(self, now: float) -> int:
        """Number of the last heartbeat at or before `now`; -1 before the first."""
        beat = int((now - self._start) // self._config.heartbeat_s)
        # The division may round across the very time that next_heartbeat computed.
        if self._start + (beat + 1) * self._config.heartbeat_s <= now:
            return beat + 1
        return beat - 1 if self._start + beat * self._config.heartbeat_s > now else beat

    def _want_beat(self, now: float) -> None:
        """The next heartbeat has something to do. One that is due already stays due, however busy we are."""
        if self._due == inf or self._due > now + self._config.heartbeat_s:
            self._due = min(self._due, self.next_heartbeat(now))

    def _want_beat_from(self, moment: float, now: float) -> None:
        """The first heartbeat at or after `moment` has something to do."""
        if moment != inf:
            at = self._start + self._beat(moment) * self._config.heartbeat_s
            at = at if at >= moment else self.next_heartbeat(moment)
            self._due = min(self._due, max(at, self.next_heartbeat(now)))

    def _blame(self, peer: PeerId, fault: Fault, now: float) -> list[Effect]:
        self._score.penalise(peer, fault, now)
        return [Penalise(peer, fault)]

    def _flush(self) -> list[Effect]:
        return list(self._outbox.flush())
