"""Each primitive of an attack against one router, or a few: what it costs the attacker, and that it is in vain."""

from collections import Counter
from math import inf

import pytest

from net.gossip import wire
from net.gossip.config import GossipConfig
from net.gossip.events import Fault, Send, Verdict
from net.gossip.router import GossipRouter
from net.gossip.score_book import ScoreBook
from net.gossip.score_params import ScoreParams, TopicScoreParams
from net.gossip.wire import Graft, IHave, IWant, Prune, Subscription
from net.peer import PeerId
from tests.net.gossip.by_hand import AUTHOR, PEERS, T, accept, faults, heard, message, say, settled, told
from tests.net.gossip.simulated import Network

BAD, *GOOD = PEERS[:6]
CONFIG = GossipConfig()


def scored(peers: int = 6, params: ScoreParams | None = None, config: GossipConfig | None = None) -> GossipRouter:
    return settled(peers, config=config, score=ScoreBook(params))


def tick_until(one: GossipRouter, until: float) -> list[tuple[PeerId, str]]:
    """Tick as the shell does; whom it blamed."""
    blamed = []
    while one.next_deadline() <= until:
        blamed += faults(one.tick(one.next_deadline()))
    return blamed


def test_graft_flood_ends_in_the_graylist() -> None:
    one = scored()
    say(one, BAD, 3.0, prune=(Prune(T, 60),))
    blamed: Counter[str] = Counter()
    pruned = 0
    for n in range(60):
        effects = say(one, BAD, 3.1 + n / 10, graft=(Graft(T),))
        blamed.update(reason for _, reason in faults(effects))
        pruned += bool(effects)
    # The first may have crossed the PRUNE; all others count twice, being so close to it.
    assert blamed[Fault.GRAFT_IN_BACKOFF] == blamed[Fault.GRAFT_FLOOD] == pruned - 1
    assert one.score(BAD, 9.1) < CONFIG.graylist_threshold
    assert pruned < 15
    assert BAD not in one.mesh(T)
    assert one.receive(BAD, message(1).entry, 9.2) == []
    assert one.counters.graylisted >= 45


def test_early_graft_counts_once_later_on() -> None:
    one = scored()
    say(one, BAD, 3.0, prune=(Prune(T, 60),))
    assert faults(say(one, BAD, 13.1, graft=(Graft(T),))) == [(BAD, Fault.GRAFT_IN_BACKOFF)]


def test_only_one_crossing_is_forgiven() -> None:
    one = scored()
    say(one, BAD, 3.0, prune=(Prune(T, 60),))
    assert faults(say(one, BAD, 3.1, graft=(Graft(T),))) == []
    assert len(faults(say(one, BAD, 3.2, graft=(Graft(T),)))) == 2


def test_advertising_what_one_does_not_send_costs_the_place_in_the_mesh_and_then_the_gossip() -> None:
    one = scored()
    for n in range(60):
        say(one, BAD, 3.0 + n, ihave=(IHave(T, (message(n).message.id,)),))
        tick_until(one, 3.5 + n)
    tick_until(one, 70.0)
    assert one.score(BAD, 70.0) < CONFIG.gossip_threshold
    assert BAD not in one.mesh(T)
    assert say(one, BAD, 70.0, ihave=(IHave(T, (message(99).message.id,)),)) == []


def test_ihave_spam_is_answered_to_a_bound_and_each_promise_is_watched() -> None:
    one = scored(config=GossipConfig(max_ihave_length=20))
    beat = one.next_heartbeat(5.0)
    asked = 0
    for n in range(200):
        effects = say(one, BAD, beat + n / 400, ihave=(IHave(T, (message(n).message.id,)),))
        asked += sum(len(want.ids) for want in heard(effects, BAD).iwant)
    assert asked == 10  # frames; the rest of the heartbeat's is not heeded
    assert len(tick_until(one, beat + 10)) == 10


def test_iwant_spam_gets_each_message_three_times() -> None:
    one = scored()
    accept(one, GOOD[0], message(1, bytes(5000)), 2.5)
    request = wire.encode(wire.Rpc(iwant=(IWant((message(1).message.id,) * 1000),)))
    sent = [
        len(effect.frame) for n in range(500) for effect in one.receive(BAD, request, 2.6) if isinstance(effect, Send)
    ]
    assert len(sent) == 3
    assert sum(sent) < 20_000


def test_invalid_messages_graylist_after_two() -> None:
    one = scored()
    for seqno in (1, 2):
        one.receive(BAD, message(seqno).entry, 2.5)
        one.verdict(message(seqno).message.id, Verdict.REJECT, 2.5)
    assert one.score(BAD, 2.5) == pytest.approx(-4000)
    assert one.receive(BAD, message(3).entry, 2.6) == []
    effects = one.tick(one.next_deadline())
    assert heard(effects, BAD).prune == (Prune(T, 60),)
    assert BAD not in one.mesh(T)


@pytest.mark.parametrize(
    "frame, fault",
    [
        (wire.seal(AUTHOR, 1, T, b"x", bytes(64)).entry, Fault.BAD_SIGNATURE),
        (message(1, bytes(CONFIG.max_message_bytes + 1)).entry, Fault.TOO_LONG),
    ],
)
def test_forged_and_oversized_messages_count_as_invalid(frame: bytes, fault: Fault) -> None:
    one = scored()
    assert faults(one.receive(BAD, frame, 2.5)) == [(BAD, fault)]
    assert one.score(BAD, 2.5) == pytest.approx(-1000)


def test_late_copies_of_a_rejected_message_cost_as_well() -> None:
    one = scored()
    one.receive(GOOD[0], message(1).entry, 2.5)
    one.verdict(message(1).message.id, Verdict.REJECT, 2.5)
    assert faults(one.receive(BAD, message(1).entry, 20.0)) == [(BAD, Fault.REJECTED)]


def test_malformed_frame_is_remembered_when_the_peer_comes_back() -> None:
    one = scored()
    one.receive(BAD, b"\x0a", 2.5)
    one.link_down(BAD, 2.5)
    one.link_up(BAD, 100.0)
    assert one.score(BAD, 100.0) == pytest.approx(-160)
    say(one, BAD, 100.0, subscriptions=(Subscription(T, subscribe=True),))
    assert heard(say(one, BAD, 100.0, graft=(Graft(T),)), BAD).prune == (Prune(T, 60),)


WATCHFUL = ScoreParams(
    default_topic=TopicScoreParams(
        mesh_deliveries_weight=-1.0,
        mesh_deliveries_threshold=4.0,
        mesh_deliveries_activation_s=10.0,
        mesh_deliveries_window_s=0.1,
        mesh_failure_weight=-1.0,
    )
)


def test_member_that_withholds_messages_is_pruned_and_does_not_come_back_soon() -> None:
    one = scored(6, WATCHFUL)
    blamed = []
    for n in range(60):
        now = 2.5 + n / 2
        envelope = message(n)
        accept(one, GOOD[n % 5], envelope, now)
        for peer in GOOD:
            one.receive(peer, envelope.entry, now + 0.05)
        blamed += tick_until(one, now + 0.4)
    assert blamed == []
    assert one.mesh(T) == GOOD
    assert one.score(BAD, 32.5) < 0
    tick_until(one, 150.0)  # the backoff is over, the failure is not forgotten
    assert BAD not in one.mesh(T)


def test_withholding_shows_without_any_event() -> None:
    """The deficit becomes active by time alone; the heartbeat then is due by itself."""
    one = scored(6, WATCHFUL)
    assert 12.0 <= one.next_deadline() <= 14.0
    pruned = told(one.tick(one.next_deadline()))
    assert pruned == PEERS[:6]
    assert one.mesh(T) == []


def captured(config: GossipConfig) -> tuple[GossipRouter, list[PeerId]]:
    """A router whose mesh is full of peers that send nothing; those outside bring messages by gossip."""
    one = scored(20, config=config)
    silent = one.mesh(T)
    outside = [peer for peer in PEERS[:20] if peer not in silent]
    for n in range(40):
        now = 3.0 + n
        accept(one, outside[n % len(outside)], message(n), now)
        tick_until(one, now + 0.5)
    tick_until(one, 130.0)
    return one, silent


def test_opportunistic_grafting_frees_a_captured_mesh() -> None:
    one, silent = captured(CONFIG)
    assert len(set(one.mesh(T)) - set(silent)) >= 2
    stuck, silent = captured(GossipConfig(opportunistic_graft_threshold=0.0))
    assert stuck.mesh(T) == silent


def test_colocated_flood_is_not_taken_into_the_mesh() -> None:
    one = settled(4, score=ScoreBook())
    for peer in PEERS[4:16]:
        one.link_up(peer, 3.0, outbound=False, group="203.0.113.7/32")
        say(one, peer, 3.0, subscriptions=(Subscription(T, subscribe=True),))
        say(one, peer, 3.0, graft=(Graft(T),))
    tick_until(one, 10.0)
    assert one.mesh(T) == PEERS[:4]


def test_members_that_forward_nothing_are_pruned_all_over_a_network() -> None:
    """A third of the peers forwards nothing; honest ones prune them and still get everything."""
    network = Network(30, seed=3, score=lambda _: ScoreBook(WATCHFUL))
    network.connect_at_random(6)
    mute = set(network.ids[::3])
    network.judge = lambda peer, _message: Verdict.IGNORE if peer in mute else Verdict.ACCEPT
    network.subscribe(T)
    network.run(3)
    honest = [peer for peer in network.ids if peer not in mute]

    def share() -> float:
        members = [member for peer in honest for member in network.routers[peer].mesh(T)]
        return sum(member in mute for member in members) / len(members)

    before, ids = share(), []
    for n in range(150):
        ids.append(network.publish(network.rng.choice(honest), T, b"%d" % n))
        network.run(0.2)
    after = share()
    network.run(5)
    assert before > 0.2
    assert after < before / 3
    for message_id in ids:
        assert set(honest) <= set(network.receivers(message_id))


def test_who_is_needed_is_grafted_once_it_is_forgiven_though_nothing_happens() -> None:
    one = scored(3, ScoreParams(behaviour_threshold=0.0, behaviour_decay=0.5))
    say(one, BAD, 3.0, prune=(Prune(T, 1),))
    for _ in range(3):
        one.receive(BAD, b"\x12\x03\x12\x01d", 3.0)  # unsigned
    assert one.score(BAD, 3.0) < 0
    tick_until(one, 9.0)
    assert BAD not in one.mesh(T)
    tick_until(one, 40.0)
    assert one.score(BAD, 40.0) == pytest.approx(0, abs=0.1)
    assert BAD in one.mesh(T)
    assert one.next_deadline() == inf


def test_complaint_costs_the_place_in_the_mesh_and_is_forgiven_in_time() -> None:
    one = scored()
    one.complain(BAD, 3.0)
    assert one.next_deadline() <= 4.1
    effects = one.tick(one.next_deadline())
    assert heard(effects, BAD).prune == (Prune(T, 60),)
    assert one.mesh(T) == GOOD
    assert say(one, BAD, 5.0, ihave=(IHave(T, (message(99).message.id,)),)) == []
    one.link_down(BAD, 6.0)
    one.link_up(BAD, 100.0)
    say(one, BAD, 100.0, subscriptions=(Subscription(T, subscribe=True),))
    assert heard(say(one, BAD, 101.0, graft=(Graft(T),)), BAD).prune
    assert one.score(BAD, 3600.0) < 0
    assert one.score(BAD, 3700.0) == 0.0
    say(one, BAD, 3700.0, graft=(Graft(T),))
    assert BAD in one.mesh(T)


def test_graylisted_peer_is_heard_when_it_says_what_it_wants() -> None:
    """It says so once a link; when it is forgiven, we must know."""
    one = scored()
    for _ in range(3):
        one.complain(BAD, 3.0)
    one.link_down(BAD, 4.0)
    one.link_up(BAD, 5.0)
    assert one.score(BAD, 5.0) < CONFIG.graylist_threshold
    hello = Subscription(T, subscribe=True)
    assert say(one, BAD, 5.0, subscriptions=(hello,), graft=(Graft(T),), publish=(message(1),)) == []
    assert BAD in one.subscribers(T)
    assert BAD not in one.mesh(T)
    assert one.pending == 0
    assert one.receive(BAD, message(2).entry, 5.0) == []
    assert one.counters.graylisted == 2
    assert BAD not in told(one.publish(T, b"x", 5.0)[1])


def test_links_of_a_host_come_and_go_and_the_heartbeat_heeds_it() -> None:
    host = PEERS[:3]
    one = settled(3, score=ScoreBook(ScoreParams(colocation_threshold=3)), group="host")
    assert (one.mesh(T), one.next_deadline()) == (host, inf)
    one.link_up(PEERS[3], 3.0, group="host")
    tick_until(one, 5.0)
    assert one.mesh(T) == []
    tick_until(one, 79.0)  # the backoffs are over
    assert (one.mesh(T), one.next_deadline()) == ([], inf)
    one.link_down(PEERS[3], 80.0)
    tick_until(one, 82.0)
    assert one.mesh(T) == host
