"""Links, subscriptions, heartbeat times and the configuration: one rule a test."""

from math import inf

import pytest

from net import transport
from net.gossip.config import GossipConfig
from net.gossip.events import Disconnect, Fault, Send
from net.gossip.wire import Graft, IWant, Prune, Rpc, Subscription
from tests.net.gossip.by_hand import PEERS, T, accept, faults, heard, message, say, settled, told
from tests.net.gossip.simulated import router


def test_hello_carries_the_subscriptions() -> None:
    one = router(0)
    one.subscribe("b", 0.0)
    one.subscribe("a", 0.0)
    effects = one.link_up(PEERS[0], 0.0)
    assert heard(effects, PEERS[0]) == Rpc(subscriptions=(Subscription("a", True), Subscription("b", True)))
    assert all(effect.control for effect in effects if isinstance(effect, Send))
    assert one.link_up(PEERS[0], 0.0) == []


def test_one_link_too_many_is_hung_up() -> None:
    one = router(0, GossipConfig(max_peers=2))
    for peer in PEERS[:2]:
        one.link_up(peer, 0.0)
    assert one.link_up(PEERS[2], 0.0) == [Disconnect(PEERS[2], "too many peers")]
    assert one.peers == PEERS[:2]


def test_who_dials_us_cannot_take_the_links_that_we_dial() -> None:
    one = router(0, GossipConfig(max_peers=16))
    for peer in PEERS[:14]:
        assert Disconnect(peer, "too many peers") not in one.link_up(peer, 0.0, outbound=False)
    assert one.link_up(PEERS[14], 0.0, outbound=False) == [Disconnect(PEERS[14], "too many peers")]
    for peer in PEERS[15:17]:
        one.link_up(peer, 0.0, outbound=True)
    assert one.peers == sorted(PEERS[:14] + PEERS[15:17])


def test_frames_without_link_are_dropped() -> None:
    one = settled()
    assert one.receive(PEERS[20], message(1).entry, 2.0) == []
    one.link_down(PEERS[0], 2.0)
    assert one.receive(PEERS[0], message(1).entry, 2.0) == []
    assert PEERS[0] not in one.mesh(T)


def test_topics_of_a_peer_are_bounded() -> None:
    one = router(0, GossipConfig(max_topics_per_peer=2))
    one.link_up(PEERS[0], 0.0)
    changes = tuple(Subscription(topic, subscribe=True) for topic in "abacd")
    assert faults(say(one, PEERS[0], 0.0, subscriptions=changes)) == [(PEERS[0], Fault.TOO_MANY_TOPICS)]
    assert [one.subscribers(topic) for topic in "abcd"] == [[PEERS[0]], [PEERS[0]], [], []]
    assert say(one, PEERS[0], 0.0, subscriptions=(Subscription("b", True),)) == []
    say(one, PEERS[0], 0.0, subscriptions=(Subscription("a", False), Subscription("c", True)))
    assert [one.subscribers(topic) for topic in "abcd"] == [[], [PEERS[0]], [PEERS[0]], []]
    one.subscribe("a", 0.0)
    one.subscribe("b", 0.0)
    with pytest.raises(ValueError, match="at most 2 topics"):
        one.subscribe("c", 0.0)


def test_subscribing_announces_and_grafts_in_one_frame() -> None:
    one = router(0)
    for peer in PEERS[:10]:
        one.link_up(peer, 0.0)
        say(one, peer, 0.0, subscriptions=(Subscription(T, subscribe=True),))
    effects = one.subscribe(T, 0.5)
    assert sorted(told(effects)) == PEERS[:10]
    grafted = [peer for peer in PEERS[:10] if heard(effects, peer).graft == (Graft(T),)]
    assert grafted == one.mesh(T)
    assert len(grafted) == 6
    assert one.subscribe(T, 0.5) == []


def test_unsubscribing_announces_and_prunes_with_the_short_backoff() -> None:
    one = settled(8)
    members = one.mesh(T)
    effects = one.unsubscribe(T, 3.0)
    for peer in PEERS[:8]:
        rpc = heard(effects, peer)
        assert rpc.subscriptions == (Subscription(T, subscribe=False),)
        assert rpc.prune == ((Prune(T, 10),) if peer in members else ())
    assert one.unsubscribe(T, 3.0) == []
    # Those who were members are let alone for 10 s and a heartbeat.
    regrafted = [peer for peer in PEERS[:8] if heard(one.subscribe(T, 4.0), peer).graft]
    assert set(regrafted).isdisjoint(members)
    one.tick(13.9)
    assert set(one.mesh(T)).isdisjoint(members)
    one.tick(15.1)
    assert len(one.mesh(T)) == 6


def test_a_peer_that_unsubscribes_leaves_the_mesh() -> None:
    one = settled()
    say(one, PEERS[0], 3.0, subscriptions=(Subscription(T, subscribe=False),))
    assert PEERS[0] not in one.mesh(T)
    assert one.subscribers(T) == PEERS[1:6]


def test_router_at_rest_needs_no_tick() -> None:
    one = settled(6)
    assert one.next_deadline() == inf
    accept(one, PEERS[0], message(1), 2.5)
    beats = 0
    while one.next_deadline() != inf:
        one.tick(one.next_deadline())
        beats += 1
    assert beats == 5


def test_a_heartbeat_comes_once_however_often_it_is_asked_for() -> None:
    one = settled(6)
    accept(one, PEERS[0], message(1), 2.5)
    due = one.next_deadline()
    for _ in range(10):
        one.tick(due - 0.01)
        one.tick(due)
        one.tick(due + 0.01)
    assert one.next_deadline() == pytest.approx(due + 1)
    assert say(one, PEERS[1], due + 0.02, iwant=(IWant((message(1).message.id,)),))


def test_heartbeats_keep_their_phase() -> None:
    one = router(0)
    phase = one.next_heartbeat(0.0)
    assert 0.0 <= phase < 1.0
    for now in (0.0, 7.3, 1234.56789, 1.7e9):
        beat = one.next_heartbeat(now)
        assert now < beat <= now + 1.000001
        assert one.next_heartbeat(beat) == pytest.approx(beat + 1)
        assert (beat - phase) % 1.0 == pytest.approx(0, abs=1e-6) or (beat - phase) % 1.0 == pytest.approx(1, abs=1e-6)


def test_a_busy_router_does_not_put_its_heartbeat_off() -> None:
    one = settled(6)
    accept(one, PEERS[0], message(1), 2.5)
    due = one.next_deadline()
    for step in range(30):
        accept(one, PEERS[0], message(2 + step), 2.6 + step / 10)
    assert one.next_deadline() == due


@pytest.mark.parametrize(
    "wrong",
    [
        {"d_lo": 7},
        {"d_hi": 5},
        {"d_out": 4},
        {"d_score": 9},
        {"mcache_gossip": 6},
        {"heartbeat_s": 0.0},
        {"max_message_bytes": 1 << 20},
        {"max_ihave_length": 1 << 20},
        {"gossip_threshold": 1.0},
    ],
)
def test_contradictory_configuration__reject(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        GossipConfig(**wrong)  # type: ignore[arg-type]


def test_frames_fit_the_transport() -> None:
    assert GossipConfig().max_frame_bytes == transport.MAX_FRAME_BYTES
