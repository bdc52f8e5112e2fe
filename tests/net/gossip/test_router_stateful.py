"""One router among peers that do anything: after every step its tables are within bounds and agree with each other."""

from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from net.gossip import wire
from net.gossip.config import GossipConfig
from net.gossip.events import Deliver, Disconnect, Effect, Fault, Message, Penalise, Send, Suggest, Validate, Verdict
from net.gossip.records import PeerRecord, open_record, seal_record
from net.gossip.score_book import ScoreBook
from net.gossip.score_params import ScoreParams, TopicScoreParams
from net.gossip.wire import Graft, IDontWant, IHave, IWant, PeerInfo, Prune, Rpc, Subscription
from net.peer import Address, PeerId
from net.signing import verify
from tests.net.gossip.simulated import identity, key, router

CONFIG = GossipConfig(
    d=3, d_lo=2, d_hi=4, d_out=1, d_score=1, d_lazy=2, max_peers=6, max_topics_per_peer=3, max_pending_messages=3,
    max_pending_bytes=2000, max_message_bytes=400, mcache_messages=8, max_backoffs=6, max_promises=3, max_ihave_length=4,
    seen_capacity=10_000, max_frame_bytes=2048, flood_publish=False, max_fanout_topics=1, idontwant_bytes=200,
    max_idontwant_length=3, offer_px=True, px_peers=2, accept_px_threshold=10.0,
)  # fmt: skip
TOPIC = TopicScoreParams(
    mesh_deliveries_weight=-1.0, mesh_failure_weight=-1.0, mesh_deliveries_window_s=10.0, mesh_deliveries_activation_s=3.0,
    first_deliveries_cap=3.0,
)  # fmt: skip
PARAMS = ScoreParams(default_topic=TOPIC, colocation_threshold=1, colocation_weight=-5.0, max_retained=2)
GROUPS = {identity(7): "host", identity(8): "host"}
PEERS = [identity(n) for n in range(1, 9)]
FRIEND = PEERS[1]
"""There is an explicit peering agreement with it."""
AUTHORS = (50, 51)
peers = st.sampled_from(PEERS)
topics = st.sampled_from("abcde")
seqnos = st.integers(0, 8)


def entry(author: int, seqno: int, topic: str, size: int, *, forged: bool = False) -> wire.Envelope:
    data = bytes(size)
    signature = key(author).sign(wire.signed_bytes(identity(author), seqno, topic, data)).signature
    return wire.seal(identity(author), seqno, topic, data, bytes(64) if forged else signature)


envelopes = st.builds(
    entry, st.sampled_from(AUTHORS), seqnos, topics, st.sampled_from([0, 200, 401]), forged=st.booleans()
)
ids = st.builds(
    lambda author, seqno: bytes(identity(author)) + seqno.to_bytes(8, "big"), st.sampled_from(AUTHORS), seqnos
)
id_lists = st.lists(ids | st.binary(max_size=3), max_size=6).map(tuple)
RECORDS = {
    identity(n): seal_record(
        PeerRecord(identity(n), 1, (Address(f"/memory/{n}"),)), lambda data, n=n: key(n).sign(data).signature
    )
    for n in range(1, 13)
}
peer_infos = st.builds(PeerInfo, st.sampled_from(list(map(bytes, RECORDS))), st.sampled_from([b"", *RECORDS.values()]))
frames = st.builds(
    Rpc,
    subscriptions=st.lists(st.builds(Subscription, topics, st.booleans()), max_size=3).map(tuple),
    publish=st.lists(envelopes, max_size=2).map(tuple),
    ihave=st.lists(st.builds(IHave, topics, id_lists), max_size=1).map(tuple),
    iwant=st.lists(st.builds(IWant, id_lists), max_size=1).map(tuple),
    graft=st.lists(st.builds(Graft, topics), max_size=2).map(tuple),
    prune=st.lists(
        st.builds(Prune, topics, st.none() | st.integers(0, 2**64 - 1), st.lists(peer_infos, max_size=2).map(tuple)),
        max_size=1,
    ).map(tuple),
    idontwant=st.lists(st.builds(IDontWant, id_lists), max_size=1).map(tuple),
    sender_record=st.sampled_from([b"", b"rubbish", *RECORDS.values()]),
).map(wire.encode)


class RouterMachine(RuleBasedStateMachine):
    """Every effect is checked as it comes; `delivered` and `validating` are the plain model of the messages."""

    @initialize(seed=st.integers(0, 5))
    def start(self, seed: int) -> None:
        self.now = 1000.0
        self.book = ScoreBook(PARAMS, application=lambda peer: 50.0 if peer == PEERS[0] else 0.0)
        self.router = router(0, CONFIG, seed=seed, now=self.now, score=self.book, direct=[FRIEND])
        self.linked: set[PeerId] = set()
        self.validating: dict[bytes, Message] = {}
        self.seen_at: dict[bytes, float] = {}

    def check(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(peer, frame, control):
                    assert peer in self.linked
                    assert len(frame) <= CONFIG.max_frame_bytes
                    rpc = wire.decode(frame)
                    assert not rpc.refused
                    assert control == (len(rpc.publish) == 0 or wire.encode(Rpc(publish=rpc.publish)) != frame)
                    assert not {envelope.message.id for envelope in rpc.publish} & set(self.validating)
                case Validate(peer, message):
                    assert peer in self.linked
                    assert message.topic in self.router.topics
                    assert message.id not in self.validating
                    assert self.now >= self.seen_at.get(message.id, -inf) + CONFIG.seen_ttl_s
                    assert len(message.data) <= CONFIG.max_message_bytes
                    self.validating[message.id] = message
                    self.seen_at[message.id] = self.now
                case Deliver(message, _):
                    assert message.topic in self.router.topics
                case Penalise(_, reason):
                    assert reason in set(Fault)
                case Suggest(peer, addresses):
                    assert peer not in self.linked | {self.router.peer_id}
                    assert addresses == open_record(RECORDS[peer], verify).addresses
                case Disconnect(peer, _):
                    assert isinstance(effects[0], Penalise) or peer not in self.linked

    @rule(peer=peers, outbound=st.booleans(), version=st.sampled_from([(1, 0), (1, 1), (1, 2)]))
    def link_up(self, peer: PeerId, outbound: bool, version: tuple[int, int]) -> None:
        effects = self.router.link_up(peer, self.now, outbound=outbound, version=version, group=GROUPS.get(peer))
        if not any(isinstance(effect, Disconnect) for effect in effects):
            self.linked.add(peer)
        self.check(effects)

    @rule(peer=peers)
    def link_down(self, peer: PeerId) -> None:
        self.linked.discard(peer)
        self.check(self.router.link_down(peer, self.now))

    @rule(peer=peers, frame=frames)
    def receive(self, peer: PeerId, frame: bytes) -> None:
        self.check(self.router.receive(peer, frame, self.now))

    @rule(peer=peers, frame=frames, cut=st.integers(1, 40), junk=st.binary(max_size=4))
    def receive_damaged(self, peer: PeerId, frame: bytes, cut: int, junk: bytes) -> None:
        self.check(self.router.receive(peer, frame[:-cut] + junk, self.now))

    @rule(peer=peers, chosen=st.sets(topics, min_size=1))
    def eager_peer(self, peer: PeerId, chosen: set[str]) -> None:
        """The common case, which chance alone would seldom hit: a peer that wants topics and grafts."""
        rpc = Rpc(tuple(Subscription(topic, True) for topic in sorted(chosen)), graft=tuple(map(Graft, sorted(chosen))))
        self.check(self.router.receive(peer, wire.encode(rpc), self.now))

    @rule(verdict=st.sampled_from(Verdict), index=st.integers(0, 10))
    def verdict(self, verdict: Verdict, index: int) -> None:
        if self.validating:
            message_id = sorted(self.validating)[index % len(self.validating)]
            message = self.validating.pop(message_id)
            effects = self.router.verdict(message.id, verdict, self.now)
            delivers = any(isinstance(effect, Deliver) for effect in effects)
            assert delivers == (verdict is Verdict.ACCEPT and message.topic in self.router.topics)
            self.check(effects)

    @rule(topic=topics, size=st.sampled_from([0, 400]))
    def publish(self, topic: str, size: int) -> None:
        message_id, effects = self.router.publish(topic, bytes(size), self.now)
        assert message_id.startswith(self.router.peer_id)
        assert any(isinstance(effect, Deliver) for effect in effects) == (topic in self.router.topics)
        self.check(effects)

    @rule(topic=topics)
    def subscribe(self, topic: str) -> None:
        if len(self.router.topics) < CONFIG.max_topics_per_peer:
            self.check(self.router.subscribe(topic, self.now))

    @rule(topic=topics)
    def unsubscribe(self, topic: str) -> None:
        self.check(self.router.unsubscribe(topic, self.now))

    @rule(peer=peers)
    def complain(self, peer: PeerId) -> None:
        self.router.complain(peer, self.now)

    @rule(seconds=st.sampled_from([0.01, 0.7, 5.0, 70.0, 130.0]))
    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self.router.next_deadline() <= until:
            due = self.router.next_deadline()
            assert due >= self.now
            self.now = due
            self.check(self.router.tick(self.now))
            assert self.router.next_deadline() > self.now
            for topic in self.router.topics:
                assert len(self.router.mesh(topic)) <= CONFIG.d_hi + CONFIG.d_out
        self.now = until

    @rule()
    def tick_too_early(self) -> None:
        """A heartbeat comes once."""
        self.router.tick(self.now)
        before = self.router.next_deadline()
        assert self.router.tick(self.now) == []
        assert self.router.next_deadline() == before

    @invariant()
    def members_are_linked_sorted_and_bounded(self) -> None:
        assert self.router.peers == sorted(self.linked)
        assert len(self.linked) <= CONFIG.max_peers + (FRIEND in self.linked)
        for topic in self.router.topics:
            members = self.router.mesh(topic)
            assert members == sorted(set(members))
            assert set(members) <= self.linked
        for topic in "abcde":
            assert set(self.router.subscribers(topic)) <= self.linked

    @invariant()
    def friend_is_in_no_mesh_and_neutral(self) -> None:
        assert all(FRIEND not in self.router.mesh(topic) for topic in self.router.topics)
        assert self.router.score(FRIEND, self.now) == 0.0
        assert FRIEND not in self.book.retained(self.now)

    @invariant()
    def scores_are_bounded_and_agree(self) -> None:
        for peer in PEERS:
            score = self.router.score(peer, self.now)
            assert score <= PARAMS.topic_cap + 50.0
            assert (peer in self.linked) or score == 0.0
            low, high = self.book.outlook(peer, self.now)
            assert low - 1e-6 <= score <= high + 1e-6
            assert self.book.at_least(peer, 0.0, self.now) == (score >= 0)
            counters = self.book.counters(peer, self.now)
            for topic, one in (counters.topics if counters else {}).items():
                assert (one.mesh_since is not None) == (peer in self.router.mesh(topic))
                assert 0 <= one.first_deliveries <= TOPIC.first_deliveries_cap
                assert 0 <= one.mesh_deliveries <= TOPIC.mesh_deliveries_cap
        assert len(self.book.retained(self.now)) <= PARAMS.max_retained

    @invariant()
    def pending_is_what_was_asked(self) -> None:
        assert self.router.pending == len(self.validating) <= CONFIG.max_pending_messages

    @invariant()
    def work_left_means_a_deadline(self) -> None:
        for topic in self.router.topics:
            if len(self.router.mesh(topic)) > CONFIG.d_hi + CONFIG.d_out:
                assert self.router.next_deadline() < inf


RouterMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRouter = RouterMachine.TestCase
