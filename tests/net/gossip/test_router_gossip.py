"""IHAVE, IWANT and promises: one rule a test."""

from math import inf

from net.gossip import wire
from net.gossip.config import GossipConfig
from net.gossip.events import Fault, MessageId, Send
from net.gossip.wire import IHave, IWant, Rpc
from net.peer import PeerId
from tests.net.gossip.by_hand import PEERS, T, accept, faults, heard, message, say, settled, told


def test_ihave_goes_to_peers_outside_the_mesh() -> None:
    one = settled(30)
    envelope = message(1)
    accept(one, PEERS[0], envelope, 2.1)
    effects = one.tick(3.1)
    outside = set(PEERS[:30]) - set(one.mesh(T))
    assert set(told(effects)) < outside
    assert len(told(effects)) == 6  # a quarter of 24
    for peer in told(effects):
        assert heard(effects, peer) == Rpc(ihave=(IHave(T, (envelope.message.id,)),))


def test_messages_are_advertised_three_times_and_held_five() -> None:
    one = settled(30)
    wanted = message(1).message.id
    accept(one, PEERS[0], message(1), 2.1)
    advertised, held = 0, 0
    for beat in range(8):
        held += bool(say(one, PEERS[10 + beat], 2.9 + beat, iwant=(IWant((wanted,)),)))
        advertised += bool(one.tick(3.1 + beat))
    assert (advertised, held) == (3, 5)


def test_unknown_messages_are_asked_for_once_each() -> None:
    one = settled()
    accept(one, PEERS[0], message(1), 2.1)
    ids = [message(n).message.id for n in (1, 2, 3)]
    adverts = (IHave(T, (*ids, ids[1], b"short")), IHave("other", (message(9).message.id,)))
    assert heard(say(one, PEERS[1], 2.2, ihave=adverts), PEERS[1]) == Rpc(iwant=(IWant((ids[1], ids[2])),))
    assert say(one, PEERS[1], 2.2, ihave=(IHave(T, (ids[0],)),)) == []


def test_ihave_is_bounded_per_peer_and_heartbeat() -> None:
    one = settled(config=GossipConfig(max_ihave_length=30, max_ihave_messages=2))
    ids = [message(n).message.id for n in range(40)]

    def asked(peer: PeerId, now: float, some: list[MessageId]) -> int:
        return sum(len(want.ids) for want in heard(say(one, peer, now, ihave=(IHave(T, tuple(some)),)), peer).iwant)

    start = one.next_heartbeat(5.0)
    assert asked(PEERS[0], start + 0.1, ids[:20]) == 20
    assert asked(PEERS[0], start + 0.2, ids[20:]) == 10
    assert asked(PEERS[1], start + 0.3, ids[:1]) == 1
    assert asked(PEERS[1], start + 0.4, ids[1:2]) == 1
    assert asked(PEERS[1], start + 0.5, ids[2:3]) == 0
    assert asked(PEERS[1], start + 1.1, ids[2:3]) == 1


def test_iwant_is_bounded_per_message_and_per_heartbeat() -> None:
    one = settled(config=GossipConfig(max_iwant_length=5))
    for seqno in range(3):
        accept(one, PEERS[0], message(seqno), 2.1)
    ids = tuple(message(seqno).message.id for seqno in range(3))
    start = one.next_heartbeat(2.1)
    answered = [len(heard(say(one, PEERS[1], start + 0.1, iwant=(IWant(ids),)), PEERS[1]).publish) for _ in range(3)]
    assert answered == [3, 2, 0]
    answered = [
        len(heard(say(one, PEERS[1], start + 1.1 + beat, iwant=(IWant(ids),)), PEERS[1]).publish) for beat in range(3)
    ]
    assert answered == [3, 1, 0]  # each message three times in all


def test_iwant_answer_is_split_into_frames() -> None:
    one = settled(config=GossipConfig(max_frame_bytes=4096, max_message_bytes=1500, max_ihave_length=60))
    for seqno in range(5):
        accept(one, PEERS[0], message(seqno, bytes(1500)), 2.1)
    ids = tuple(message(seqno).message.id for seqno in range(5))
    effects = say(one, PEERS[1], 2.2, iwant=(IWant(ids),))
    frames = [effect.frame for effect in effects if isinstance(effect, Send)]
    assert [len(wire.decode(frame).publish) for frame in frames] == [2, 2, 1]
    assert all(len(frame) <= 4096 for frame in frames)


def test_broken_promise_is_blamed_after_three_seconds() -> None:
    one = settled()
    say(one, PEERS[0], 10.0, ihave=(IHave(T, (message(1).message.id,)),))
    due = one.next_deadline()
    assert 13.0 <= due < 14.0
    assert faults(one.tick(due)) == [(PEERS[0], Fault.BROKEN_PROMISE)]
    assert one.next_deadline() == inf


def test_promise_is_kept_by_anyone() -> None:
    one = settled()
    say(one, PEERS[0], 10.0, ihave=(IHave(T, (message(1).message.id,)),))
    accept(one, PEERS[1], message(1), 11.0)
    for now in range(12, 20):
        assert faults(one.tick(float(now))) == []


def test_promise_ends_with_the_link() -> None:
    one = settled()
    say(one, PEERS[0], 10.0, ihave=(IHave(T, (message(1).message.id,)),))
    one.link_down(PEERS[0], 11.0)
    for now in range(12, 20):
        assert faults(one.tick(float(now))) == []


def test_promises_are_bounded() -> None:
    one = settled(config=GossipConfig(max_promises=2))
    for number, peer in enumerate(PEERS[:3]):
        say(one, peer, 10.0, ihave=(IHave(T, (message(number).message.id,)),))
    assert faults(one.tick(15.0)) == [(peer, Fault.BROKEN_PROMISE) for peer in PEERS[:2]]


def test_promise_broken_and_then_kept() -> None:
    one = settled()
    offer = (IHave(T, (message(1).message.id,)),)
    say(one, PEERS[0], 10.0, ihave=offer)
    assert faults(one.tick(14.5)) == [(PEERS[0], Fault.BROKEN_PROMISE)]
    say(one, PEERS[0], 15.0, ihave=offer)
    accept(one, PEERS[0], message(1), 15.1)
    assert faults(one.tick(20.0)) == []
