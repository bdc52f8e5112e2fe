"""Seen ids expire by the time given; held messages age by heartbeats."""

from hypothesis import given
from hypothesis import strategies as st

from net.gossip.cache import MessageCache, SeenCache
from net.gossip.events import MessageId
from net.gossip.wire import Envelope, seal
from tests.net.gossip.simulated import identity


def envelope(number: int, topic: str = "t", size: int = 10) -> Envelope:
    return seal(identity(0), number, topic, bytes(size), bytes(64))


def test_seen_counts_from_the_first_time() -> None:
    seen = SeenCache(ttl=10, capacity=100)
    seen.add(MessageId(b"a"), 0.0)
    seen.add(MessageId(b"a"), 9.0)
    assert seen.has(MessageId(b"a"), 9.99)
    assert not seen.has(MessageId(b"a"), 10.0)


def test_seen_is_bounded_and_counts_what_it_forgets_early() -> None:
    seen = SeenCache(ttl=10, capacity=3)
    for number in range(5):
        seen.add(MessageId(bytes([number])), float(number))
    assert [seen.has(MessageId(bytes([number])), 4.0) for number in range(5)] == [False, False, True, True, True]
    assert (len(seen), seen.evicted) == (3, 2)
    seen.add(MessageId(b"late"), 100.0)
    assert (len(seen), seen.evicted) == (1, 2)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=60))
def test_seen_agrees_with_a_plain_table(steps: list[tuple[int, int]]) -> None:
    seen, plain, now = SeenCache(ttl=7, capacity=1000), dict[int, int](), 0
    for number, passed in steps:
        now += passed
        fresh = number in plain and now < plain[number] + 7
        assert seen.has(MessageId(bytes([number])), now) == fresh
        seen.add(MessageId(bytes([number])), now)
        if not fresh:
            plain[number] = now


def test_windows_age_by_shift() -> None:
    cache = MessageCache(history=5, gossip=3, max_messages=100, max_bytes=10_000)
    one = envelope(1)
    cache.put(one)
    advertised, held = [], []
    for _ in range(7):
        advertised.append(bool(cache.advertised()))
        held.append(cache.take(one.message.id, identity(1), 100) is not None)
        cache.shift()
    assert advertised == [True] * 3 + [False] * 4
    assert held == [True] * 5 + [False] * 2


def test_messages_are_advertised_by_topic() -> None:
    cache = MessageCache(history=5, gossip=3, max_messages=100, max_bytes=10_000)
    for number, topic in enumerate("aba"):
        cache.put(envelope(number, topic))
    ids = [envelope(number, topic).message.id for number, topic in enumerate("aba")]
    assert cache.advertised() == {"a": [ids[0], ids[2]], "b": [ids[1]]}


def test_one_peer_gets_a_message_so_many_times() -> None:
    cache = MessageCache(history=5, gossip=3, max_messages=100, max_bytes=10_000)
    cache.put(envelope(1))
    wanted = envelope(1).message.id
    assert [cache.take(wanted, identity(1), 2) is not None for _ in range(3)] == [True, True, False]
    assert cache.take(wanted, identity(2), 2) is not None


def test_messages_are_bounded_by_number_and_bytes() -> None:
    cache = MessageCache(history=5, gossip=3, max_messages=3, max_bytes=10_000)
    for number in range(5):
        cache.put(envelope(number))
    assert list(cache) == [envelope(number).message.id for number in (2, 3, 4)]
    cache.put(envelope(9, size=9_900))
    assert len(cache) == 0
