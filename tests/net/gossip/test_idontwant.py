"""IDONTWANT, said and heeded: one rule a test."""

from net.gossip.config import GossipConfig
from net.gossip.events import Send, Validate, Verdict
from net.gossip.wire import Graft, IDontWant, IWant, Rpc, Subscription, decode
from tests.net.gossip.by_hand import AUTHOR, PEERS, T, accept, heard, message, say, settled, told
from tests.net.gossip.simulated import Network

LONG = bytes(1024)


def test_long_message_is_announced_to_the_mesh_before_it_is_judged() -> None:
    one = settled(12, version=(1, 2))
    envelope = message(1, LONG)
    sender = one.mesh(T)[0]
    effects = one.receive(sender, envelope.entry, 2.1)
    assert effects[-1] == Validate(sender, envelope.message)
    assert told(effects[:-1]) == one.mesh(T)[1:]
    assert all(isinstance(effect, Send) and effect.control for effect in effects[:-1])
    for peer in one.mesh(T)[1:]:
        assert heard(effects, peer) == Rpc(idontwant=(IDontWant((envelope.message.id,)),))
    assert one.counters.declined == 5
    # Once: a copy says nothing new.
    assert one.receive(one.mesh(T)[1], envelope.entry, 2.1) == []


def test_short_messages_and_older_peers_are_left_alone() -> None:
    new, old = settled(version=(1, 2)), settled(version=(1, 1))
    assert told(new.receive(PEERS[0], message(1, LONG[1:]).entry, 2.1)) == []
    assert told(old.receive(PEERS[0], message(1, LONG).entry, 2.1)) == []


def test_message_that_cannot_become_pending_is_not_announced() -> None:
    one = settled(version=(1, 2), config=GossipConfig(max_pending_messages=1))
    one.receive(PEERS[0], message(1, LONG).entry, 2.1)
    assert one.receive(PEERS[0], message(2, LONG).entry, 2.1) == []


def test_unwanted_message_is_not_forwarded_but_sent_when_asked_for() -> None:
    one = settled(4)
    wanted = message(1)
    one.receive(PEERS[0], wanted.entry, 2.1)
    assert say(one, PEERS[1], 2.2, idontwant=(IDontWant((wanted.message.id, b"rubbish")),)) == []
    assert told(one.verdict(wanted.message.id, Verdict.ACCEPT, 2.3)) == [PEERS[2], PEERS[3]]
    assert told(accept(one, PEERS[0], message(2), 2.3)) == PEERS[1:4]
    answer = say(one, PEERS[1], 2.4, iwant=(IWant((wanted.message.id,)),))
    assert heard(answer, PEERS[1]).publish == (wanted,)


def test_notice_is_forgotten_after_three_heartbeats_and_with_the_link() -> None:
    for wait, forwarded in ((2.0, False), (3.0, True)):
        one = settled(4)
        at = one.next_heartbeat(5.0) + 0.1
        say(one, PEERS[1], at, idontwant=(IDontWant((message(1).message.id,)),))
        assert (PEERS[1] in told(accept(one, PEERS[0], message(1), at + wait))) == forwarded
    one = settled(4)
    say(one, PEERS[1], 2.1, idontwant=(IDontWant((message(1).message.id,)),))
    one.link_down(PEERS[1], 2.2)
    one.link_up(PEERS[1], 2.2)
    say(one, PEERS[1], 2.2, subscriptions=(Subscription(T, subscribe=True),), graft=(Graft(T),))
    assert PEERS[1] in told(accept(one, PEERS[0], message(1), 2.3))


def test_notices_are_bounded_per_heartbeat() -> None:
    one = settled(4, config=GossipConfig(max_idontwant_length=3))
    beat = one.next_heartbeat(5.0)
    ids = [message(n).message.id for n in range(6)]
    say(one, PEERS[1], beat + 0.1, idontwant=(IDontWant(tuple(ids[:2])), IDontWant(tuple(ids[2:4]))))
    say(one, PEERS[1], beat + 0.2, idontwant=(IDontWant((ids[4],)),))
    say(one, PEERS[1], beat + 1.1, idontwant=(IDontWant((ids[5],)),))
    kept = [PEERS[1] not in told(accept(one, PEERS[0], message(n), beat + 1.2)) for n in range(6)]
    assert kept == [True, True, True, False, False, True]


def test_copies_of_long_messages_become_fewer() -> None:
    copies = {}
    for version in ((1, 1), (1, 2)):
        network = Network(30, version=version, latency=(0.02, 0.03), config=GossipConfig(flood_publish=False))
        network.connect_at_random(6)
        network.subscribe(T)
        network.run(5)
        for author in network.ids[:10]:
            network.publish(author, T, bytes(20_000))
            network.run(1)
        assert len(network.deliveries) == 10 * 30
        copies[version] = sum(one.counters.duplicates for one in network.routers.values())
        told_so = any(decode(frame).idontwant for *_, frame in network.frames)
        assert told_so == (version == (1, 2))
    assert copies[1, 2] < copies[1, 1]


def test_author_is_not_told() -> None:
    one = settled(5, version=(1, 2))
    one.link_up(AUTHOR, 2.0, version=(1, 2))
    say(one, AUTHOR, 2.0, subscriptions=(Subscription(T, subscribe=True),), graft=(Graft(T),))
    assert AUTHOR in one.mesh(T)
    assert told(one.receive(PEERS[0], message(1, LONG).entry, 2.1)[:-1]) == PEERS[1:5]
