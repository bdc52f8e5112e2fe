"""The GossipSub v1.2 router: no sockets, no clock, no tasks. `receive` and its like return effects.

The theory of operation is in `net.gossip`, the package's docstring.
"""

from collections.abc import Collection, Sequence
from math import inf
from random import Random

from net.gossip.beats import Heartbeats
from net.gossip.cache import MessageCache, SeenCache
from net.gossip.config import GossipConfig
from net.gossip.counters import Counters
from net.gossip.events import (
    Deliver,
    Disconnect,
    Effect,
    Fault,
    Message,
    MessageId,
    Penalise,
    Send,
    Validate,
    Verdict,
)
from net.gossip.exchange import PeerExchange
from net.gossip.lazy import LazyGossip
from net.gossip.mesh import GraftAnswer, Mesh
from net.gossip.neighbours import Neighbour, Neighbours
from net.gossip.outbox import Outbox
from net.gossip.pending import PendingMessages
from net.gossip.score_book import NoScore, Score
from net.gossip.unwanted import Unwanted
from net.gossip.wire import (
    Envelope,
    Graft,
    IDontWant,
    PeerInfo,
    Prune,
    RemoteProtocolError,
    Rpc,
    Subscription,
    decode,
    encode_control,
    encode_record,
    encode_subscription,
    seal,
    signed_bytes,
)
from net.peer import Address, PeerId
from net.signing import Sign, Verify

_GRAFT_FAULTS = {
    GraftAnswer.AT_FAULT: (Fault.GRAFT_IN_BACKOFF,),
    GraftAnswer.FLOOD: (Fault.GRAFT_IN_BACKOFF, Fault.GRAFT_FLOOD),
    GraftAnswer.DIRECT: (Fault.GRAFT_OF_DIRECT_PEER,),
}
_MESSAGE_FIRST = b"\x12"
"""How a frame begins that has messages and no subscriptions: everybody encodes these first."""


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
        direct: Collection[PeerId] = (),
    ) -> None:
        """`direct`: peers with whom there is an explicit peering agreement; they must say the same of us."""
        self.peer_id = peer_id
        self._direct = frozenset(direct)
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
        self._unwanted = Unwanted(config)
        self._exchange = PeerExchange(peer_id, sign=sign, verify=verify, config=config, rng=rng)
        self._pending = PendingMessages(config)
        self._outbox = Outbox(config.max_frame_bytes)
        # Nanoseconds since the epoch: a router that restarts with an older number would be silent for `seen_ttl_s`.
        self._seqno = max(0, int(now * 1e9))
        # The phase keeps peers that start together from beating together.
        self._beats = Heartbeats(now + rng.random() * config.heartbeat_s, config.heartbeat_s)
        self._last_beat = self._beats.number(now)

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

    def score(self, peer: PeerId, now: float) -> float:
        """The peer's score; 0 of a peer that is not linked."""
        return self._score.of(peer, now)

    # --- links

    def link_up(
        self,
        peer: PeerId,
        now: float,
        *,
        outbound: bool = True,
        version: tuple[int, int] = (1, 1),
        group: str | None = None,
    ) -> list[Effect]:
        """Begin to speak with `peer`: `outbound` when we dialled it; `version` of GossipSub, (1, 2) for ``/meshsub/1.2.0``.

        `group` is the host it is on, if that shows. A link that is up already stays as it is.
        """
        if peer in self._neighbours or peer == self.peer_id:
            return []
        direct, most = peer in self._direct, self._config.max_peers if outbound else self._config.max_dialled_us
        if len(self._neighbours) >= most and not direct:
            return [Disconnect(peer, "too many peers")]
        self._neighbours.add(peer, Neighbour(outbound, version, direct=direct, since=now))
        # The score never hears of a direct peer, so that it is neutral whatever happens.
        if not direct and self._score.link_up(peer, now, group):
            self._beats.want(now)
        if self._exchange.record:
            self._outbox.subscription(peer, encode_record(self._exchange.record))
        for topic in self._mesh.topics:
            self._outbox.subscription(peer, encode_subscription(Subscription(topic, subscribe=True)))
        return self._flush()

    def link_down(self, peer: PeerId, now: float) -> list[Effect]:
        """Forget a link. What the peer is to blame for, and backoffs, outlive it."""
        if peer not in self._neighbours:
            return []
        for topic in self._mesh.topics:
            if peer in self._mesh.members(topic):
                self._mesh.remove(peer, topic, now)
                self._beats.want(now)
        self._neighbours.remove(peer)
        self._lazy.forget(peer)
        self._unwanted.forget(peer)
        self._exchange.forget(peer)
        if self._score.link_down(peer, now):
            self._beats.want(now)
        return []

    def announce(self, addresses: Sequence[Address], now: float) -> list[Effect]:
        """Tell all links, present and future, where we listen: a signed record that others may pass on.

        Raises ValueError for what is no multiaddress.
        """
        self._exchange.announce(addresses, max(0, int(now * 1e9)))
        for peer in self._neighbours:
            self._outbox.subscription(peer, encode_record(self._exchange.record))
        return self._flush()

    def rescore(self, now: float) -> None:
        """The application thinks otherwise of some peers than it did: look at them at the next heartbeat."""
        self._score.rescore()
        self._beats.want(now)

    def complain(self, peer: PeerId, now: float) -> None:
        """The application caught `peer` at what nobody honest does; linked or not, this is held against it."""
        if peer not in self._direct:
            self._score.complain(peer, now)
            self._beats.want(now)

    # --- what peers send

    def receive(self, peer: PeerId, frame: bytes, now: float) -> list[Effect]:
        """Take one frame of a linked peer."""
        if peer not in self._neighbours:
            return []
        self.counters.frames += 1
        heeded = peer not in self._score.suspects or self._score.at_least(peer, self._config.graylist_threshold, now)
        if not heeded:
            self.counters.graylisted += 1
            # Else we would never know what it wants once it is forgiven: subscriptions are said once a link.
            if frame.startswith(_MESSAGE_FIRST):
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
        if not heeded:
            return effects
        if rpc.refused:
            effects += self._blame(peer, Fault.UNSIGNED, now)
        for envelope in rpc.publish:
            effects += self._on_message(peer, envelope, now)
        if rpc.sender_record and not self._exchange.learn(peer, rpc.sender_record, self._beats.number(now)):
            effects += self._blame(peer, Fault.BAD_RECORD, now)
        if rpc.ihave or rpc.iwant or rpc.graft or rpc.prune or rpc.idontwant:
            effects += self._on_control(peer, rpc, now)
        elif len(frame) < self._config.idontwant_bytes:
            return effects  # nothing in a frame so short made us say anything
        # Ahead of the Validates: an IDONTWANT is in time only before the judge has spoken.
        return [*self._flush(), *effects]

    def _on_subscriptions(self, peer: PeerId, subscriptions: tuple[Subscription, ...], now: float) -> list[Effect]:
        topics = self._neighbours[peer].topics
        refused = False
        for change in subscriptions:
            if not change.subscribe:
                self._neighbours.unsubscribe(peer, change.topic)
                self._mesh.remove(peer, change.topic, now)
            elif change.topic in topics or len(topics) < self._config.max_topics_per_peer:
                self._neighbours.subscribe(peer, change.topic)
            else:
                refused = True
            if self._mesh.joined(change.topic):
                self._beats.want(now)
        return self._blame(peer, Fault.TOO_MANY_TOPICS, now) if refused else []

    def _on_message(self, peer: PeerId, envelope: Envelope, now: float) -> list[Effect]:
        message = envelope.message
        if self._seen.has(message.id, now):
            self.counters.duplicates += 1
            pending = self._pending.messages.get(message.id)
            if pending is not None:
                pending.senders[peer] = None
            elif message.id in self._score.judged and self._score.copied(message, peer, now):
                return self._penalised(peer, Fault.REJECTED, now)
            return []
        if message.source == self.peer_id or not self._mesh.joined(message.topic):
            self.counters.unwanted += 1
            self._lazy.arrived(message.id)
            return []
        if len(message.data) > self._config.max_message_bytes:
            return self._blame_invalid(peer, message, Fault.TOO_LONG, now)
        if not self._pending.room_for(envelope):
            self.counters.overflowed += 1
            self.counters.ignored += 1
            self._lazy.arrived(message.id)
            return []
        if not self._verify(message.source.public_key, message.signature, envelope.signed):
            return self._blame_invalid(peer, message, Fault.BAD_SIGNATURE, now)
        self._seen.add(message.id, now)
        self._lazy.arrived(message.id)
        self._pending.add(envelope, peer)
        if len(message.data) >= self._config.idontwant_bytes:
            self._decline_copies(peer, message)
        return [Validate(peer, message)]

    def _decline_copies(self, sender: PeerId, message: Message) -> None:
        """Tell the mesh that we have this one."""
        encoded = None
        for peer in self._mesh.eager(message.topic):
            if peer not in (sender, message.source) and self._neighbours[peer].version >= (1, 2):
                encoded = encoded or encode_control(IDontWant((message.id,)))
                self._outbox.control(peer, encoded)
                self.counters.declined += 1

    def _on_control(self, peer: PeerId, rpc: Rpc, now: float) -> list[Effect]:
        beat = self._beats.number(now)
        if rpc.idontwant:
            self._unwanted.note(peer, beat, rpc.idontwant)
        if (rpc.ihave or rpc.iwant) and self._score.at_least(peer, self._config.gossip_threshold, now):
            if rpc.ihave:
                adverts = [advert for advert in rpc.ihave if self._mesh.joined(advert.topic)]
                wanted = self._lazy.on_ihave(peer, beat, adverts, now)
                if wanted is not None:
                    self.counters.wanted += len(wanted.ids)
                    self._outbox.control(peer, encode_control(wanted))
                    self._beats.want_from(self._lazy.next_due, now)
            for envelope in self._lazy.on_iwant(peer, beat, rpc.iwant) if rpc.iwant else ():
                self.counters.forwarded += 1
                self._outbox.message(peer, envelope.entry)
        effects: list[Effect] = []
        for topic in dict.fromkeys(graft.topic for graft in rpc.graft):
            effects += self._on_graft(peer, topic, now)
        for prune in rpc.prune:
            effects += self._on_prune(peer, prune, now)
        return effects

    def _on_graft(self, peer: PeerId, topic: str, now: float) -> list[Effect]:
        answer = self._mesh.on_graft(peer, topic, now)
        if answer is GraftAnswer.ACCEPTED:
            self._beats.want(now)
        elif answer is not GraftAnswer.IGNORED:
            self._send_prune(
                peer, topic, self._mesh.backoff_left_s(peer, topic, now), now, exchange=answer is GraftAnswer.FULL
            )
        return [effect for fault in _GRAFT_FAULTS.get(answer, ()) for effect in self._blame(peer, fault, now)]

    def _on_prune(self, peer: PeerId, prune: Prune, now: float) -> list[Effect]:
        if not self._mesh.on_prune(peer, prune.topic, prune.backoff, now):
            return []
        self._beats.want(now)
        if not prune.peers or not self._score.at_least(peer, self._config.accept_px_threshold, now):
            return []
        suggestions, bad = self._exchange.take(prune.peers)
        if bad:
            return self._blame(peer, Fault.BAD_RECORD, now)
        return [suggestion for suggestion in suggestions if suggestion.peer not in self._neighbours]

    def _send_prune(self, peer: PeerId, topic: str, backoff: int, now: float, *, exchange: bool) -> None:
        """Tell a peer PRUNE and, to one that is trusted, other peers of the topic where it may go."""
        named: tuple[PeerInfo, ...] = ()
        if exchange and self._config.offer_px and self._score.at_least(peer, 0.0, now):
            others = [one for one in self._neighbours.subscribers(topic) if one != peer]
            named = self._exchange.offer([one for one in others if self._score.at_least(one, 0.0, now)])
        self._outbox.control(peer, encode_control(Prune(topic, backoff, named)))

    # --- what the judge and the actor say

    def verdict(self, message_id: MessageId, verdict: Verdict, now: float) -> list[Effect]:
        """Say what is to become of a message. Raises LookupError when it awaits no verdict (any more)."""
        pending = self._pending.pop(message_id)
        envelope, senders = pending.envelope, pending.senders
        if verdict is Verdict.IGNORE:
            self.counters.ignored += 1
            return []
        if verdict is Verdict.REJECT:
            self.counters.rejected += 1
            self._score.rejected(envelope.message, senders, now)
            return [effect for peer in senders for effect in self._penalised(peer, Fault.REJECTED, now)]
        message = envelope.message
        if not self._mesh.joined(message.topic):  # left while the judge was at work
            return []
        self.counters.accepted += 1
        self._score.delivered(message, senders, now)
        self._cache.put(envelope)
        self._beats.want(now)
        targets = [one for one in self._mesh.eager(message.topic) if one not in senders and one != message.source]
        if self._unwanted.used:
            targets = [one for one in targets if self._unwanted.wants(one, message.id, self._beats.number(now))]
        self.counters.forwarded += len(targets)
        return [Deliver(message, next(iter(senders))), *[Send(peer, envelope.entry) for peer in targets]]

    def still_wanted(self, peer: PeerId, message_id: MessageId, now: float) -> bool:
        """Whether to send a copy that was held back after `verdict`; one that is not sent is not counted as forwarded."""
        wanted = peer in self._neighbours and self._unwanted.wants(peer, message_id, self._beats.number(now))
        self.counters.forwarded -= not wanted
        return wanted

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
        self._cache.put(envelope)
        self._beats.want(now)
        effects: list[Effect] = [Deliver(envelope.message, None)] if self._mesh.joined(topic) else []
        targets = self._mesh.targets(topic, now)
        self.counters.forwarded += len(targets)
        return envelope.message.id, [*effects, *[Send(peer, envelope.entry) for peer in targets]]

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
        self._beats.want(now)
        return self._flush()

    def unsubscribe(self, topic: str, now: float) -> list[Effect]:
        """Leave a topic; nothing happens when it is not joined. Messages that await a verdict are dropped with it."""
        if not self._mesh.joined(topic):
            return []
        announcement = encode_subscription(Subscription(topic, subscribe=False))
        for peer in self._neighbours:
            self._outbox.subscription(peer, announcement)
        for peer in self._mesh.leave(topic, now):
            self._send_prune(peer, topic, self._config.unsubscribe_backoff_s, now, exchange=True)
        return self._flush()

    # --- time

    def next_deadline(self) -> float:
        """When to call `tick` next, in seconds; infinity while a heartbeat would do nothing."""
        return self._beats.due

    def next_heartbeat(self, now: float) -> float:
        """The first heartbeat after `now`, needed or not."""
        return self._beats.after(now)

    def tick(self, now: float) -> list[Effect]:
        """Do the heartbeat, once however many are due. Before the next one is due: nothing."""
        beat = self._beats.number(now)
        if beat <= self._last_beat:
            return []
        self._last_beat = beat
        self.counters.heartbeats += 1
        effects = [
            effect for peer in self._lazy.overdue(now) for effect in self._blame(peer, Fault.BROKEN_PROMISE, now)
        ]
        every = self._config.opportunistic_graft_beats
        grafts, prunes = self._mesh.maintain(now, opportunistic=beat % every == 0)
        for peer, topic in prunes:
            self._send_prune(peer, topic, self._config.prune_backoff_s, now, exchange=True)
        for peer, topic in grafts:
            self._outbox.control(peer, encode_control(Graft(topic)))
        self._gossip(now)
        self._cache.shift()
        self._beats.due = inf
        if len(self._cache):
            self._beats.want(now)
        else:  # no need to look ahead farther than to the next heartbeat
            wake_at, regraft = self._mesh.forecast(now)
            self._beats.want_from(wake_at, now)
            self._beats.want_from(self._lazy.next_due, now)
            if regraft:
                self._beats.want_multiple(every, now)
        return effects + self._flush()

    def _gossip(self, now: float) -> None:
        """Advertise recent messages to some peers of their topics outside the mesh."""
        for topic, ids in sorted(self._cache.advertised().items()):
            encoded = None
            for peer in self._lazy.choose(self._mesh.outside(topic, now)):
                if encoded is None or len(ids) > self._config.max_ihave_length:
                    encoded = encode_control(self._lazy.advertise(topic, ids))
                self.counters.advertised += min(len(ids), self._config.max_ihave_length)
                self._outbox.control(peer, encoded)

    def _blame(self, peer: PeerId, fault: Fault, now: float) -> list[Effect]:
        self._score.penalise(peer, fault, now)
        return self._penalised(peer, fault, now)

    def _blame_invalid(self, peer: PeerId, message: Message, fault: Fault, now: float) -> list[Effect]:
        """Blame for a message that must not have been sent, whoever else may send one of the same id."""
        self._score.invalid(message.topic, peer, now)
        return self._penalised(peer, fault, now)

    def _penalised(self, peer: PeerId, fault: Fault, now: float) -> list[Effect]:
        self._beats.want(now)  # it may have to leave a mesh
        return [Penalise(peer, fault)]

    def _flush(self) -> list[Effect]:
        return list(self._outbox.flush())
