"""Where the router asks for a score, and what it does with it."""

from collections import Counter
from random import Random

from net.gossip.config import GossipConfig
from net.gossip.events import Fault
from net.gossip.router import GossipRouter
from net.gossip.score_book import NoScore
from net.gossip.wire import Graft, IHave, Prune, Subscription
from net.peer import PeerId
from tests.net.gossip.by_hand import ME, PEERS, T, heard, message, say, told
from tests.net.gossip.simulated import key


class FixedScore(NoScore):
    """Scores set by the test; penalties counted by peer."""

    def __init__(self) -> None:
        super().__init__()
        self.scores: dict[PeerId, float] = {}
        self.suspects = PEERS
        self.blamed: Counter[tuple[PeerId, str]] = Counter()

    def of(self, peer: PeerId, _now: float) -> float:
        return self.scores.get(peer, 0.0)

    def penalise(self, peer: PeerId, reason: str, _now: float) -> None:
        self.blamed[peer, reason] += 1


def scored(peers: int) -> tuple[GossipRouter, FixedScore]:
    score = FixedScore()
    one = GossipRouter(
        ME,
        sign=lambda data: key(0).sign(data).signature,
        verify=lambda *_: True,
        config=GossipConfig(),
        rng=Random(1),
        now=0.0,
        score=score,
    )
    one.subscribe(T, 0.0)
    for peer in PEERS[:peers]:
        one.link_up(peer, 0.0)
        say(one, peer, 0.1, subscriptions=(Subscription(T, subscribe=True),))
    one.tick(2.0)
    return one, score


def test_score_gates_by_its_thresholds() -> None:
    one, score = scored(6)
    low = PEERS[0]
    offer = {"ihave": (IHave(T, (message(7).message.id,)),)}
    score.scores[low] = -501
    assert say(one, low, 2.1, **offer) == []
    assert low in told(one.publish(T, b"x", 2.1)[1])
    assert one.receive(low, message(1).entry, 2.1) != []
    score.scores[low] = -2501
    assert one.receive(low, message(2).entry, 2.1) == []
    assert one.counters.graylisted == 1
    score.scores[low] = -1
    assert say(one, low, 2.1, **offer) != []


def test_negative_score_leaves_the_mesh_and_is_not_taken_in() -> None:
    one, score = scored(6)
    score.scores[PEERS[0]] = -1
    say(one, PEERS[1], 2.1, prune=(Prune(T),))  # something for the heartbeat to do
    assert heard(one.tick(one.next_deadline()), PEERS[0]).prune == (Prune(T, 60),)
    assert PEERS[0] not in one.mesh(T)
    assert heard(say(one, PEERS[0], 200.0, graft=(Graft(T),)), PEERS[0]).prune == (Prune(T, 60),)


def test_low_score_gets_no_own_messages_once_out_of_the_mesh() -> None:
    one, score = scored(8)
    outside = next(peer for peer in PEERS[:8] if peer not in one.mesh(T))
    score.scores[outside] = -1001
    assert outside not in told(one.publish(T, b"x", 2.1)[1])


def test_best_scores_stay_when_pruning() -> None:
    one, score = scored(12)
    score.scores = {peer: float(number) for number, peer in enumerate(PEERS)}
    one.link_up(PEERS[12], 2.1)
    for peer in PEERS[:13]:
        say(one, peer, 2.1, graft=(Graft(T),))
    one.tick(one.next_deadline())
    assert set(PEERS[9:13]) <= set(one.mesh(T))
    assert len(one.mesh(T)) == 6


def test_penalties_reach_the_score() -> None:
    one, score = scored(6)
    one.receive(PEERS[0], b"\x0a", 2.1)
    assert score.blamed == {(PEERS[0], Fault.MALFORMED): 1}


def test_a_mesh_is_filled_with_proven_peers_before_newcomers() -> None:
    one, score = scored(20)
    gone = one.mesh(T)[:5]
    proven = [peer for peer in PEERS[:20] if peer not in one.mesh(T)][::4]
    for peer in proven:
        score.scores[peer] = 0.5
    for peer in gone:
        one.link_down(peer, 3.0)
    one.tick(4.5)
    assert len(one.mesh(T)) == 6
    assert set(proven) < set(one.mesh(T))  # and newcomers, where they do not suffice
