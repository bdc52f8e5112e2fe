"""Copies and notices where copies are held back: a copy under way is the notice."""

from net.gossip.config import GossipConfig
from net.gossip.copies import COPY_TELLS_BYTES
from net.gossip.events import Deliver, Effect, Send, Validate, Verdict
from net.gossip.router import GossipRouter
from net.gossip.wire import Graft, IDontWant, Rpc, Subscription
from net.peer import PeerId
from tests.net.gossip.by_hand import AUTHOR, PEERS, T, heard, message, say, settled, told
from tests.net.gossip.simulated import Network

CONFIG = GossipConfig(d=6, d_eager=2, stagger_s=0.04)
LONG = bytes(CONFIG.idontwant_bytes)
NOW = 2.1
DUE = NOW + CONFIG.stagger_s


def take(one: GossipRouter, data: bytes = LONG, verdict: Verdict = Verdict.ACCEPT) -> tuple[list[PeerId], list[Effect]]:
    """Have PEERS[0] bring a message; returns who got a copy at once, and the notices."""
    envelope = message(1, data)
    assert one.receive(PEERS[0], envelope.entry, NOW) == [Validate(PEERS[0], envelope.message)]
    effects = one.verdict(envelope.message.id, verdict, NOW)
    if verdict is Verdict.ACCEPT:
        assert effects.pop(0) == Deliver(envelope.message, PEERS[0])
    return told(effects), one.notices()


def copies(effects: list[Effect]) -> list[PeerId]:
    return sorted(effect.peer for effect in effects if isinstance(effect, Send) and not effect.control)


def test_members_get_a_copy_or_a_notice_and_the_sender_neither() -> None:
    one = settled(config=CONFIG, version=(1, 2))
    served, notices = take(one)
    assert len(served) == CONFIG.d_eager
    assert sorted(served + told(notices)) == PEERS[1:6]
    for peer in told(notices):
        assert heard(notices, peer) == Rpc(idontwant=(IDontWant((message(1).message.id,)),))
    assert one.counters.forwarded == CONFIG.d_eager


def test_the_others_get_theirs_when_it_is_due() -> None:
    one = settled(config=CONFIG, version=(1, 2))
    served, _ = take(one)
    assert one.next_deadline() == DUE
    assert copies(one.tick(DUE - 0.001)) == []
    assert copies(one.tick(DUE)) == [peer for peer in PEERS[1:6] if peer not in served]
    assert one.counters.forwarded == 5
    assert copies(one.tick(DUE)) == []


def test_a_copy_says_that_its_sender_needs_none() -> None:
    one = settled(config=CONFIG, version=(1, 2))
    _, notices = take(one)
    first, second, third = told(notices)
    one.receive(first, message(1, LONG).entry, NOW + 0.01)
    say(one, second, NOW + 0.01, idontwant=(IDontWant((message(1).message.id,)),))
    assert copies(one.tick(DUE)) == [third]


def test_a_copy_of_something_else_says_nothing() -> None:
    one = settled(config=CONFIG, version=(1, 2))
    _, notices = take(one)
    one.receive(told(notices)[0], message(2, LONG).entry, NOW + 0.01)
    say(one, told(notices)[1], NOW + 0.01, idontwant=(IDontWant((message(2).message.id,)),))
    assert copies(one.tick(DUE)) == sorted(told(notices))


def test_who_declined_gets_a_notice_for_it_holds_a_copy_back_itself() -> None:
    one = settled(config=CONFIG, version=(1, 2))
    say(one, PEERS[1], NOW, idontwant=(IDontWant((message(1).message.id,)),))
    served, notices = take(one)
    assert PEERS[1] not in served
    assert PEERS[1] in told(notices)
    assert PEERS[1] not in copies(one.tick(DUE))


def test_who_sent_a_copy_before_the_verdict_gets_nothing() -> None:
    one = settled(config=CONFIG, version=(1, 2))
    envelope = message(1, LONG)
    one.receive(PEERS[0], envelope.entry, NOW)
    one.receive(PEERS[1], envelope.entry, NOW)
    effects = [*one.verdict(envelope.message.id, Verdict.ACCEPT, NOW), *one.notices(), *one.tick(DUE)]
    assert set(told(effects)) == set(PEERS[2:6])


def test_notices_of_one_turn_share_frames() -> None:
    one = settled(config=CONFIG, version=(1, 2))
    for number in (1, 2, 3):
        one.receive(PEERS[0], message(number, LONG).entry, NOW)
    for number in (1, 2, 3):
        one.verdict(message(number).message.id, Verdict.ACCEPT, NOW)
    notices = one.notices()
    assert len(told(notices)) == len(set(told(notices)))
    assert sum(len(heard(notices, peer).idontwant) for peer in told(notices)) == one.counters.declined == 3 * 3
    assert one.notices() == []


def test_what_is_not_forwarded_is_declined_everywhere() -> None:
    for verdict in (Verdict.IGNORE, Verdict.REJECT):
        one = settled(config=CONFIG, version=(1, 2))
        served, notices = take(one, verdict=verdict)
        assert served == []
        assert told(notices) == PEERS[1:6]


def test_of_a_very_long_message_everybody_is_told_before_it_is_judged() -> None:
    one = settled(config=CONFIG, version=(1, 2))
    envelope = message(1, bytes(COPY_TELLS_BYTES + 1))
    assert told(one.receive(PEERS[0], envelope.entry, NOW)[:-1]) == PEERS[1:6]
    served = copies(one.verdict(envelope.message.id, Verdict.ACCEPT, NOW))
    assert len(served) == CONFIG.d_eager
    assert one.notices() == []


def test_short_messages_go_to_all_at_once() -> None:
    one = settled(config=CONFIG, version=(1, 2))
    served, notices = take(one, LONG[1:])
    assert (served, notices) == (PEERS[1:6], [])


def test_older_peers_get_copies_and_no_notices() -> None:
    one = settled(config=CONFIG, version=(1, 1))
    served, notices = take(one)
    assert notices == []
    assert copies(one.tick(DUE)) == [peer for peer in PEERS[1:6] if peer not in served]


def test_author_gets_neither() -> None:
    one = settled(5, config=CONFIG, version=(1, 2))
    one.link_up(AUTHOR, 2.0, version=(1, 2))
    say(one, AUTHOR, 2.0, subscriptions=(Subscription(T, subscribe=True),), graft=(Graft(T),))
    served, notices = take(one)
    assert AUTHOR not in [*served, *told(notices), *copies(one.tick(DUE))]


def test_a_link_that_went_down_gets_none() -> None:
    one = settled(config=CONFIG, version=(1, 2))
    _, notices = take(one)
    gone, *rest = told(notices)
    one.link_down(gone, NOW + 0.01)
    assert copies(one.tick(DUE)) == sorted(rest)


def test_everybody_hears_of_everything_with_far_fewer_copies() -> None:
    sent = {}
    for stagger_s in (0.0, 0.06):
        config = GossipConfig(flood_publish=False, d_eager=3, stagger_s=stagger_s)
        network = Network(30, latency=(0.02, 0.03), config=config)
        network.connect_at_random(6)
        network.subscribe(T)
        network.run(5)
        for author in network.ids[:10]:
            network.publish(author, T, bytes(2_000))
            network.run(1)
        assert len(network.deliveries) == 10 * 30
        sent[stagger_s] = sum(one.counters.forwarded for one in network.routers.values())
    assert sent[0.06] < 0.8 * sent[0.0]
