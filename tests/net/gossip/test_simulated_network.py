"""What must hold of many routers together, on a seeded network in virtual time."""

import subprocess
import sys
from math import inf
from pathlib import Path

import pytest

from net.gossip.config import GossipConfig
from net.gossip.events import Fault, Message, Verdict
from net.gossip.score_book import ScoreBook
from net.gossip.score_params import ScoreParams, TopicScoreParams
from net.gossip.wire import decode
from net.peer import PeerId
from tests.net.gossip.simulated import Network, identity

T = "/test/topic"


@pytest.mark.parametrize("flood_publish", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_everybody_gets_every_message_once(seed: int, flood_publish: bool) -> None:
    network = Network(50, seed=seed, config=GossipConfig(flood_publish=flood_publish))
    network.connect_at_random(6)
    network.subscribe(T)
    network.run(5)
    ids = []
    for author in network.ids[:10]:
        ids.append(network.publish(author, T, b"hello"))
        network.run(0.3)
    network.run(5)
    for message_id in ids:
        assert sorted(network.receivers(message_id)) == sorted(network.ids)
    assert network.penalties == []


@pytest.mark.parametrize("seed", range(3))
def test_meshes_settle_between_d_lo_and_d_hi_and_agree(seed: int) -> None:
    network = Network(50, seed=seed)
    network.connect_at_random(8)
    network.subscribe(T)
    network.run(30)
    meshes = {peer: one.mesh(T) for peer, one in network.routers.items()}
    assert all(4 <= len(members) <= 12 for members in meshes.values())
    assert all(peer in meshes[member] for peer, members in meshes.items() for member in members)
    assert all(one.next_deadline() == inf for one in network.routers.values())
    assert network.penalties == []


@pytest.mark.parametrize("scored", [False, True])
def test_network_at_rest_costs_nothing(scored: bool) -> None:
    network = Network(30, score=lambda _: ScoreBook() if scored else None)
    network.connect_at_random(6)
    network.subscribe(T)
    network.subscribe("other", network.ids[:20])
    network.publish(network.ids[0], T, b"hello")
    network.run(900)
    ticks, frames = network.ticks, len(network.frames)
    network.run(24 * 3600)
    assert (network.ticks, len(network.frames)) == (ticks, frames)


def test_rejected_message_is_never_forwarded_and_costs_its_sender() -> None:
    def judge(_peer: PeerId, message: Message) -> Verdict:
        return Verdict.REJECT if message.data == b"wrong" else Verdict.ACCEPT

    network = Network(30, judge=judge)
    network.connect_at_random(4)
    network.subscribe(T)
    network.run(5)
    liar = network.ids[7]
    before = len(network.frames)
    message_id = network.publish(liar, T, b"wrong")
    network.run(10)
    carriers = {
        sender
        for _, sender, _, frame in network.frames[before:]
        if any(envelope.message.id == message_id for envelope in decode(frame).publish)
    }
    assert carriers == {liar}
    assert network.receivers(message_id) == [liar]  # its own Deliver: an author needs no verdict
    assert {(culprit, reason) for _, _, culprit, reason in network.penalties} == {(liar, Fault.REJECTED)}
    assert len(network.penalties) == len(network.routers[liar].subscribers(T))


def test_lost_frame_is_recovered_by_gossip() -> None:
    """The victim never gets the message pushed; it learns of it by IHAVE and asks."""
    network = Network(20)
    network.connect_at_random(8)
    network.subscribe(T)
    network.run(5)
    victim = network.ids[5]
    pushed: list[PeerId] = []

    def lost(sender: PeerId, receiver: PeerId, frame: bytes) -> bool:
        # The first copy from each neighbour is lost, whatever else is in the frame arrives.
        if receiver != victim or sender in pushed or not decode(frame).publish:
            return False
        pushed.append(sender)
        return True

    network.lost = lost
    author = next(peer for peer in network.ids if peer not in (victim, *network.routers[victim].peers))
    message_id = network.publish(author, T, b"hello")
    network.run(0.5)
    assert victim not in network.receivers(message_id)
    assert pushed
    network.run(5)
    assert network.receivers(message_id).count(victim) == 1
    assert network.routers[victim].counters.wanted >= 1


def test_who_advertises_and_does_not_send_is_blamed() -> None:
    network = Network(20)
    network.connect_at_random(8)
    network.subscribe(T)
    network.run(5)
    victim = network.ids[5]
    network.lost = lambda _sender, receiver, frame: receiver == victim and bool(decode(frame).publish)
    author = next(peer for peer in network.ids if peer not in (victim, *network.routers[victim].peers))
    network.publish(author, T, b"hello")
    network.run(10)
    assert network.penalties
    assert all((judge, reason) == (victim, Fault.BROKEN_PROMISE) for _, judge, _, reason in network.penalties)


def test_mesh_repairs_itself_when_peers_vanish() -> None:
    network = Network(30)
    network.connect_at_random(8)
    network.subscribe(T)
    network.run(5)
    survivor = network.ids[0]
    for peer in network.routers[survivor].mesh(T):
        network.disconnect(survivor, peer)
    assert network.routers[survivor].mesh(T) == []
    network.run(3)
    assert len(network.routers[survivor].mesh(T)) >= 4


def test_stranger_publishes_to_a_topic_it_has_not_joined() -> None:
    for flood in (True, False):
        network = Network(20, config=GossipConfig(flood_publish=flood))
        network.connect_at_random(5)
        network.subscribe(T, network.ids[1:])
        network.run(5)
        message_id = network.publish(network.ids[0], T, b"hello")
        network.run(5)
        assert sorted(network.receivers(message_id)) == sorted(network.ids[1:])


def test_flapping_subscriber_is_never_blamed_and_never_grafts_in_backoff() -> None:
    """Honest routers keep each other's backoffs, also when one leaves and joins all the time."""
    network = Network(20)
    network.connect_at_random(6)
    network.subscribe(T)
    network.run(5)
    flapper = network.ids[3]
    for _ in range(30):
        network.carry_out(flapper, network.routers[flapper].unsubscribe(T, network.now))
        network.run(network.rng.uniform(0, 3))
        network.subscribe(T, [flapper])
        network.run(network.rng.uniform(0, 3))
    network.run(70)
    assert network.penalties == []
    assert len(network.routers[flapper].mesh(T)) >= 4


STRICT = TopicScoreParams(
    mesh_deliveries_weight=-1.0,
    mesh_deliveries_threshold=2.0,
    mesh_deliveries_activation_s=5.0,
    mesh_failure_weight=-0.1,
)
"""Members that deliver little are pruned."""
SCORES: list[ScoreParams | None] = [
    None,
    ScoreParams(),
    ScoreParams(default_topic=STRICT, behaviour_threshold=0.0, colocation_threshold=3, colocation_weight=-0.5),
]


@pytest.mark.parametrize("params", SCORES)
@pytest.mark.parametrize("seed", range(3))
def test_skipping_heartbeats_changes_nothing(seed: int, params: ScoreParams | None) -> None:
    """Ticked only at their deadlines, routers send the same frames at the same times as when ticked always."""
    records = []
    groups = dict(zip(map(identity, range(15)), "aaaabcdefghijkl", strict=True))
    for always in (False, True):
        config = GossipConfig(
            d_hi=7,
            flood_publish=seed != 1,
            opportunistic_graft_beats=7,
            opportunistic_graft_margin=0.0,
            idontwant_bytes=0,
            gossip_threshold=-1.0,
            publish_threshold=-10.0,
            graylist_threshold=-1000.0,
        )
        network = Network(
            15,
            seed=seed,
            always_tick=always,
            config=config,
            score=lambda _: None if params is None else ScoreBook(params),
            group=groups.get,
        )
        network.connect_at_random(4)
        network.subscribe(T, network.ids[:12])
        network.run(network.rng.uniform(3, 6))
        network.lost = lambda _a, _b, frame: bool(decode(frame).publish) and frame[-1] % 3 == 0
        for step in range(12):
            network.publish(network.rng.choice(network.ids), T, bytes([step]))
            network.run(network.rng.expovariate(0.3))
            flapper = network.rng.choice(network.ids)
            if network.routers[flapper].topics:
                network.carry_out(flapper, network.routers[flapper].unsubscribe(T, network.now))
            else:
                network.subscribe(T, [flapper])
            if step % 4 == 1:
                one, other = sorted(network.links)[network.rng.randrange(len(network.links))]
                network.routers[one].complain(other, network.now)
                network.carry_out(one, [])
            if step % 3 == 0:
                one, other = sorted(network.links)[network.rng.randrange(len(network.links))]
                network.disconnect(one, other)
                network.run(network.rng.uniform(0, 20))
                network.connect(one, other)
        network.run(200)
        records.append((network.frames, network.deliveries, network.penalties, network.ticks))
    (*skipped, few), (*always_ticked, many) = records
    assert skipped == always_ticked
    assert few < many if params is not None else few < many / 2


def test_equal_runs_in_two_processes() -> None:
    """The order of sets and dicts of bytes differs between the processes; what the routers do must not."""
    script = (
        "import hashlib\n"
        "from tests.net.gossip.simulated import Network\n"
        "network = Network(25, seed=4)\n"
        "network.connect_at_random(5)\n"
        "for topic in 'abc': network.subscribe(topic, network.ids[ord(topic) % 3:])\n"
        "network.run(3)\n"
        "for step in range(20):\n"
        "    network.publish(network.ids[step], 'abc'[step % 3], b'x'); network.run(0.4)\n"
        "network.run(5)\n"
        "print(hashlib.sha256(repr((network.frames, network.deliveries)).encode()).hexdigest(), len(network.frames))\n"
    )
    root = Path(__file__).parents[3]
    outcomes = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outcomes) == 1
    assert int(outcomes.pop().split()[1]) > 500


def test_identities_are_in_no_particular_order() -> None:
    """Else tests of sorted iteration would hold by chance."""
    assert [identity(n) for n in range(20)] != sorted(identity(n) for n in range(20))


@pytest.mark.parametrize("seed", range(2))
def test_honest_peers_are_never_distrusted(seed: int) -> None:
    """With a tenth of all frames lost, nobody falls below the gossip threshold, and hardly anybody below 0."""
    network = Network(30, seed=seed, score=lambda _: ScoreBook())
    network.connect_at_random(6)
    network.subscribe(T)
    network.run(5)
    network.lost = lambda _a, _b, _frame: network.rng.random() < 0.1
    ids, lowest, negative, looks = [], 0.0, 0, 0
    for step in range(300):
        ids.append(network.publish(network.rng.choice(network.ids), T, bytes(2000 if step % 5 == 0 else 20)))
        network.run(0.5)
        if step % 20 == 0:
            scores = [one.score(peer, network.now) for one in network.routers.values() for peer in one.peers]
            lowest, negative, looks = min(lowest, *scores), negative + sum(s < 0 for s in scores), looks + len(scores)
    assert lowest > GossipConfig().gossip_threshold
    assert negative < looks / 100
    network.run(10)
    assert sum(len(network.receivers(one)) for one in ids) >= 0.995 * len(ids) * 30
