"""Explicit peering (gossipsub-v1.1.md, "Explicit Peering Agreements"): outside meshes and scores, and told everything."""

from net.gossip.config import GossipConfig
from net.gossip.events import Disconnect, Fault, Verdict
from net.gossip.router import GossipRouter
from net.gossip.score_book import ScoreBook
from net.gossip.score_params import ScoreParams
from net.gossip.wire import Graft, IDontWant, IHave, Subscription
from tests.net.gossip.by_hand import PEERS, T, accept, faults, heard, message, say, settled, told
from tests.net.gossip.simulated import Network, identity, router

FRIEND, *OTHERS = PEERS[:10]


def befriended(peers: int = 10, config: GossipConfig | None = None) -> GossipRouter:
    return settled(peers, config=config, score=ScoreBook(), direct=[FRIEND], version=(1, 2))


def test_direct_peer_is_in_no_mesh_and_gets_every_message() -> None:
    one = befriended()
    for n in range(5):
        effects = accept(one, one.mesh(T)[n % 6], message(n), 3.0 + n)
        assert FRIEND in told(effects)
        one.tick(one.next_deadline())
        assert FRIEND not in one.mesh(T)
    assert FRIEND not in told(accept(one, FRIEND, message(9), 9.0))


def test_direct_peer_that_does_not_want_the_topic_gets_nothing_of_it() -> None:
    one = befriended()
    say(one, FRIEND, 2.5, subscriptions=(Subscription(T, subscribe=False),))
    assert FRIEND not in told(accept(one, one.mesh(T)[0], message(1), 3.0))


def test_direct_peer_gets_own_messages_with_and_without_flooding_and_a_mesh() -> None:
    for flood in (True, False):
        one = befriended(config=GossipConfig(flood_publish=flood))
        assert FRIEND in told(one.publish(T, b"x", 3.0)[1])
        one.unsubscribe(T, 4.0)
        targets = told(one.publish(T, b"y", 5.0)[1])
        assert targets.count(FRIEND) == 1
        assert flood or len(targets) == 1 + GossipConfig().d


def test_direct_peer_gets_no_gossip() -> None:
    one = befriended()
    for n in range(40):
        accept(one, FRIEND, message(n), 3.0)
    effects = one.tick(one.next_deadline())
    advertised = [peer for peer in PEERS[:10] if heard(effects, peer).ihave]
    assert len(advertised) == 3
    assert FRIEND not in advertised


def test_graft_of_a_direct_peer_is_refused_with_prune_and_told_of() -> None:
    one = befriended()
    effects = say(one, FRIEND, 3.0, graft=(Graft(T),))
    assert heard(effects, FRIEND).prune[0].topic == T
    assert faults(effects) == [(FRIEND, Fault.GRAFT_OF_DIRECT_PEER)]
    assert FRIEND not in one.mesh(T)
    assert one.score(FRIEND, 3.0) == 0.0


def test_direct_peer_is_read_whatever_it_does() -> None:
    """So that a bug of one end does not end the agreement: invalid messages, floods, lies."""
    one = befriended()
    for n in range(20):
        one.receive(FRIEND, message(n).entry, 3.0)
        one.verdict(message(n).message.id, Verdict.REJECT, 3.0)
        say(one, FRIEND, 3.0, graft=(Graft(T),))
        one.complain(FRIEND, 3.0)
    assert one.score(FRIEND, 3.0) == 0.0
    assert FRIEND in told(accept(one, OTHERS[0], message(30), 3.1))
    assert heard(say(one, FRIEND, 3.2, ihave=(IHave(T, (message(31).message.id,)),)), FRIEND).iwant
    one.link_down(FRIEND, 4.0)
    one.link_up(FRIEND, 5.0)
    assert one.score(FRIEND, 5.0) == 0.0


def test_direct_peer_can_decline_and_is_told_what_we_have() -> None:
    one = befriended(config=GossipConfig(idontwant_bytes=4))
    effects = one.receive(one.mesh(T)[0], message(1).entry, 3.0)
    assert heard(effects, FRIEND).idontwant == (IDontWant((message(1).message.id,)),)
    say(one, FRIEND, 3.0, idontwant=(IDontWant((message(1).message.id,)),))
    assert FRIEND not in told(one.verdict(message(1).message.id, Verdict.ACCEPT, 3.1))


def test_direct_peer_is_let_in_when_there_is_no_room() -> None:
    config = GossipConfig(max_peers=8)
    one = router(0, config, direct=[PEERS[20]])
    for peer in PEERS[:10]:
        one.link_up(peer, 0.0)
    assert one.link_up(PEERS[21], 0.0) == [Disconnect(PEERS[21], "too many peers")]
    one.link_up(PEERS[20], 0.0, outbound=False)
    assert PEERS[20] in one.peers


def test_direct_peers_count_for_no_host() -> None:
    book = ScoreBook(ScoreParams(colocation_threshold=2))
    settled(3, score=book, direct=[FRIEND], group="host")
    assert [book.of(peer, 2.0) for peer in PEERS[:3]] == [0.0, 0.0, 0.0]


def test_message_crosses_a_line_of_direct_peers_that_have_no_mesh() -> None:
    """Peers 0 to 4 in a row, each pair agreed: what one publishes reaches all, without one GRAFT."""
    network = Network(5, seed=1, direct=lambda n: {identity(m) for m in (n - 1, n + 1) if 0 <= m < 5})
    for n in range(4):
        network.connect(identity(n), identity(n + 1))
    network.subscribe(T)
    network.run(3)
    assert all(network.routers[peer].mesh(T) == [] for peer in network.ids)
    sent = network.publish(identity(0), T, b"x")
    network.run(1)
    assert sorted(network.receivers(sent)) == sorted(network.ids)
    assert network.penalties == []
