"""What becomes of messages, received and published: one rule a test."""

import pytest

from net.gossip import wire
from net.gossip.config import GossipConfig
from net.gossip.events import Deliver, Disconnect, Fault, Penalise, Send, Validate, Verdict
from net.gossip.wire import Graft, Subscription
from tests.net.gossip.by_hand import AUTHOR, PEERS, T, accept, faults, message, say, settled, told
from tests.net.gossip.simulated import router


def test_accepted_message_is_delivered_and_forwarded_to_the_mesh() -> None:
    one = settled()
    envelope = message(1)
    effects = accept(one, PEERS[0], envelope, 2.1)
    assert effects[0] == Deliver(envelope.message, PEERS[0])
    assert effects[1:] == [Send(peer, envelope.entry) for peer in one.mesh(T) if peer != PEERS[0]]
    assert len(effects) == 6
    assert all(effect.frame is effects[1].frame for effect in effects[1:])  # type: ignore[union-attr]


def test_message_is_not_sent_to_its_author_nor_to_who_sent_it_meanwhile() -> None:
    one = settled(5)
    one.link_up(AUTHOR, 2.0)
    say(one, AUTHOR, 2.0, subscriptions=(Subscription(T, subscribe=True),), graft=(Graft(T),))
    envelope = message(1)
    one.receive(PEERS[0], envelope.entry, 2.1)
    assert one.receive(PEERS[3], envelope.entry, 2.1) == []
    assert told(one.verdict(envelope.message.id, Verdict.ACCEPT, 2.2)) == [PEERS[1], PEERS[2], PEERS[4]]
    assert one.counters.duplicates == 1


def test_verdict_is_given_once() -> None:
    one = settled()
    accept(one, PEERS[0], message(1), 2.1)
    with pytest.raises(LookupError, match="awaits a verdict"):
        one.verdict(message(1).message.id, Verdict.ACCEPT, 2.2)


def test_ignored_message_goes_nowhere() -> None:
    one = settled()
    one.receive(PEERS[0], message(1).entry, 2.1)
    assert one.verdict(message(1).message.id, Verdict.IGNORE, 2.1) == []
    assert one.receive(PEERS[1], message(1).entry, 2.2) == []
    assert one.pending == 0


def test_rejected_message_costs_all_who_sent_it() -> None:
    one = settled()
    one.receive(PEERS[2], message(1).entry, 2.1)
    one.receive(PEERS[1], message(1).entry, 2.1)
    effects = one.verdict(message(1).message.id, Verdict.REJECT, 2.2)
    assert effects == [Penalise(PEERS[2], Fault.REJECTED), Penalise(PEERS[1], Fault.REJECTED)]


def test_bad_signature_costs_the_sender_and_does_not_spoil_the_id() -> None:
    one = settled()
    good = message(1)
    forged = wire.seal(AUTHOR, 1, T, b"other", good.message.signature)
    assert one.receive(PEERS[0], forged.entry, 2.1) == [Penalise(PEERS[0], Fault.BAD_SIGNATURE)]
    assert accept(one, PEERS[1], good, 2.2)[0] == Deliver(good.message, PEERS[1])


def test_message_of_a_topic_not_joined_is_dropped() -> None:
    one = settled()
    assert one.receive(PEERS[0], message(1, topic="other").entry, 2.1) == []
    assert one.counters.unwanted == 1


def test_own_message_that_comes_back_late_is_dropped() -> None:
    one = settled()
    _, effects = one.publish(T, b"mine", 2.1)
    frame = next(effect.frame for effect in effects if isinstance(effect, Send))
    assert one.receive(PEERS[0], frame, 2.2) == []
    assert one.receive(PEERS[0], frame, 2.1 + 121) == []


def test_message_too_long() -> None:
    one = settled(config=GossipConfig(max_message_bytes=100))
    assert faults(one.receive(PEERS[0], message(1, bytes(101)).entry, 2.1)) == [(PEERS[0], Fault.TOO_LONG)]
    assert accept(one, PEERS[0], message(2, bytes(100)), 2.1)
    with pytest.raises(ValueError, match="at most 100 bytes, not 101"):
        one.publish(T, bytes(101), 2.1)


def test_message_left_behind_by_leaving_the_topic() -> None:
    one = settled()
    one.receive(PEERS[0], message(1).entry, 2.1)
    one.unsubscribe(T, 2.2)
    assert one.verdict(message(1).message.id, Verdict.ACCEPT, 2.3) == []


@pytest.mark.parametrize("bound", [{"max_pending_messages": 2}, {"max_pending_bytes": 400}])
def test_pending_messages_are_bounded_and_may_come_again(bound: dict[str, int]) -> None:
    one = settled(config=GossipConfig(**bound))  # type: ignore[arg-type]
    for seqno in (1, 2, 3):
        one.receive(PEERS[0], message(seqno).entry, 2.1)
    assert one.pending == 2
    assert (one.counters.overflowed, one.counters.ignored) == (1, 1)
    one.verdict(message(1).message.id, Verdict.ACCEPT, 2.2)
    assert accept(one, PEERS[1], message(3), 2.3)


def test_seen_message_is_new_after_its_time() -> None:
    one = settled()
    accept(one, PEERS[0], message(1), 2.0)
    assert one.receive(PEERS[0], message(1).entry, 121.9) == []
    assert accept(one, PEERS[0], message(1), 122.1)


def test_message_forgotten_before_its_verdict_is_not_judged_twice() -> None:
    one = settled()
    one.receive(PEERS[0], message(1).entry, 2.0)
    assert one.receive(PEERS[1], message(1).entry, 130.0) == []
    assert one.verdict(message(1).message.id, Verdict.ACCEPT, 131.0)
    assert one.pending == 0


def test_several_messages_in_one_frame() -> None:
    one = settled()
    frame = message(1).entry + message(2).entry + message(1).entry
    assert one.receive(PEERS[0], frame, 2.1) == [Validate(PEERS[0], message(n).message) for n in (1, 2)]


@pytest.mark.parametrize("frame", [b"\x0a\x05\x08", bytes(1 << 20 | 1)])
def test_malformed_frame__reject_and_change_nothing(frame: bytes) -> None:
    one = settled()
    effects = one.receive(PEERS[0], message(1).entry + frame, 2.1)
    assert faults(effects) == [(PEERS[0], Fault.MALFORMED)]
    assert isinstance(effects[-1], Disconnect)
    assert accept(one, PEERS[1], message(1), 2.1)


def test_unsigned_message_costs_the_sender() -> None:
    one = settled()
    effects = one.receive(PEERS[0], b"\x12\x03\x12\x01d" + message(1).entry, 2.1)
    assert effects == [Penalise(PEERS[0], Fault.UNSIGNED), Validate(PEERS[0], message(1).message)]


def test_flood_publish_reaches_all_subscribers_and_ourselves() -> None:
    one = settled(20)
    message_id, effects = one.publish(T, b"mine", 2.1)
    assert isinstance(effects[0], Deliver)
    assert (effects[0].message.id, effects[0].peer) == (message_id, None)
    assert told(effects) == PEERS[:20]
    assert len(one.mesh(T)) == 6


def test_without_flood_publish_the_mesh_gets_it() -> None:
    one = settled(20, config=GossipConfig(flood_publish=False))
    assert told(one.publish(T, b"mine", 2.1)[1]) == one.mesh(T)


def test_fanout_is_kept_refilled_and_expires() -> None:
    one = router(0, GossipConfig(flood_publish=False))
    for peer in PEERS[:20]:
        one.link_up(peer, 0.0)
        say(one, peer, 0.0, subscriptions=(Subscription(T, subscribe=True),))
    _, effects = one.publish(T, b"1", 0.0)
    first = told(effects)
    assert len(first) == 6
    assert not any(isinstance(effect, Deliver) for effect in effects)
    assert told(one.publish(T, b"2", 59.0)[1]) == first
    one.link_down(first[0], 59.5)
    second = told(one.publish(T, b"3", 118.0)[1])
    assert set(first[1:]) < set(second)
    assert len(second) == 6
    # Joining takes the fanout peers into the mesh.
    assert one.subscribe(T, 170.0)
    assert one.mesh(T) == second


def test_fanout_expires() -> None:
    chosen = set()
    for late in (59.9, 60.1):
        one = router(0, GossipConfig(flood_publish=False))
        for peer in PEERS[:20]:
            one.link_up(peer, 0.0)
            say(one, peer, 0.0, subscriptions=(Subscription(T, subscribe=True),))
        first = told(one.publish(T, b"1", 0.0)[1])
        chosen.add(told(one.publish(T, b"2", late)[1]) == first)
    assert chosen == {True, False}


def test_sequence_numbers_survive_a_restart() -> None:
    before = router(0, now=1000.0)
    last = [before.publish(T, b"x", 1000.0 + n)[0] for n in range(10)][-1]
    after = router(0, now=1011.0)
    assert after.publish(T, b"x", 1011.0)[0] > last


def test_fanout_topics_are_bounded_and_end_with_joining() -> None:
    """Seeds at which chance would pick the same six of twenty again are too rare to matter: 1 in 38,760."""
    for between in ("", "other topic", "join"):
        one = router(0, GossipConfig(flood_publish=False, max_fanout_topics=1))
        for peer in PEERS[:20]:
            one.link_up(peer, 0.0)
            say(one, peer, 0.0, subscriptions=(Subscription(T, True), Subscription("other", True)))
        first = told(one.publish(T, b"1", 0.0)[1])
        if between == "other topic":
            one.publish("other", b"2", 1.0)
        elif between == "join":
            one.subscribe(T, 1.0)
            one.unsubscribe(T, 1.0)
        assert (told(one.publish(T, b"3", 2.0)[1]) == first) == (not between)
