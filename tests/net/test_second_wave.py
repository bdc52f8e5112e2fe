"""Copies held back: who gets one at once, when the others do, and who never."""

from net.gossip.config import GossipConfig
from net.gossip.events import Message, MessageId, Send
from net.second_wave import MAX_HELD, SecondWave
from tests.net.gossip.simulated import identity

CONFIG = GossipConfig(d_eager=2, stagger_s=0.5)
LONG = b"x" * CONFIG.idontwant_bytes


def message(number: int, data: bytes = LONG) -> Message:
    source = identity(0)
    return Message(MessageId(bytes(source) + number.to_bytes(8, "big")), source, "t", data, number, bytes(64))


def sends(count: int) -> list[Send]:
    return [Send(identity(number), b"frame") for number in range(1, count + 1)]


def test_some_go_at_once_and_the_others_when_due() -> None:
    wave, copies = SecondWave(CONFIG), sends(5)
    now = wave.split(message(0), copies, 1.0)
    assert now == copies[:2]
    assert wave.next_due == 1.5
    assert wave.take(1.4) == []
    later = wave.take(1.5)
    assert [held.send for held in later] == copies[2:]
    assert {held.message_id for held in later} == {message(0).id}
    assert (len(wave), wave.next_due) == (0, float("inf"))


def test_everybody_is_first_at_times() -> None:
    wave = SecondWave(CONFIG)
    first = [wave.split(message(number), sends(5), 1.0)[0].peer for number in range(5)]
    assert sorted(first) == sorted(send.peer for send in sends(5))


def test_short_messages_and_few_copies_are_not_held_back() -> None:
    wave = SecondWave(CONFIG)
    assert wave.split(message(1, LONG[1:]), sends(5), 1.0) == sends(5)
    assert wave.split(message(2), sends(2), 1.0) == sends(2)
    assert SecondWave(GossipConfig()).split(message(3), sends(5), 1.0) == sends(5)
    assert not wave


def test_beyond_the_bound_nothing_is_held_back() -> None:
    wave = SecondWave(CONFIG)
    number = 0
    while len(wave.split(message(number), sends(12), 1.0)) == 2:
        number += 1
    assert MAX_HELD - 12 < len(wave) <= MAX_HELD
