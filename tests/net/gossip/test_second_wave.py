"""Copies held back: who gets one at once, when the others do, and who never."""

from math import inf

from net.gossip.config import GossipConfig
from net.gossip.second_wave import MAX_HELD, SecondWave
from net.peer import PeerId
from tests.net.gossip.by_hand import PEERS, message

CONFIG = GossipConfig(d_eager=2, stagger_s=0.5)


def peers(count: int) -> list[PeerId]:
    return PEERS[:count]


def test_some_go_at_once_and_the_others_when_due() -> None:
    wave, first = SecondWave(CONFIG), message(0)
    offset = int.from_bytes(first.message.id[-2:], "big") % 5
    order = peers(5)[offset:] + peers(5)[:offset]
    assert wave.split(first, peers(5), 1.0) == order[:2]
    assert (len(wave), wave.next_due) == (3, 1.5)
    assert wave.take(1.4) == []
    assert wave.take(1.5) == [(peer, first.entry) for peer in order[2:]]
    assert (len(wave), wave.next_due) == (0, inf)


def test_who_has_it_gets_none() -> None:
    wave, first, second = SecondWave(CONFIG), message(0), message(1)
    served = wave.split(first, peers(5), 1.0)
    late = [peer for peer in peers(5) if peer not in served]
    wave.split(second, peers(5), 1.0)
    wave.has_it(late[0], first.message.id)
    wave.has_it(late[0], first.message.id)  # said twice
    wave.has_it(late[0], message(2).message.id)  # not held back at all
    assert len(wave) == 5
    assert sorted(peer for peer, copy in wave.take(1.5) if copy == first.entry) == late[1:]


def test_nothing_is_due_when_all_have_it() -> None:
    wave, first = SecondWave(CONFIG), message(0)
    served = wave.split(first, peers(5), 1.0)
    for peer in peers(5):
        if peer not in served:
            wave.has_it(peer, first.message.id)
    assert (len(wave), wave.next_due) == (0, inf)


def test_everybody_is_first_at_times() -> None:
    wave = SecondWave(CONFIG)
    first = [wave.split(message(number), peers(5), 1.0)[0] for number in range(5)]
    assert sorted(first) == sorted(peers(5))


def test_few_copies_are_not_held_back() -> None:
    wave = SecondWave(CONFIG)
    assert wave.split(message(2), peers(2), 1.0) == peers(2)
    assert not wave


def test_beyond_the_bound_nothing_is_held_back() -> None:
    wave = SecondWave(CONFIG)
    number = 0
    while len(wave.split(message(number), peers(12), 1.0)) == 2:
        number += 1
    assert MAX_HELD - 12 < len(wave) <= MAX_HELD
