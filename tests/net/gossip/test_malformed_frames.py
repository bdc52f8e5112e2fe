"""Frames that nobody honest sends: each is refused with a reason and a penalty, and changes nothing.

Two sources of them: Hypothesis, which finds small ones, and a generator from a seed, which makes many. The seed and number
of a frame are in the failure.
"""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.gossip import wire
from net.gossip.config import GossipConfig
from net.gossip.events import Disconnect, Effect, Fault, Penalise, Send, Validate
from net.gossip.router import GossipRouter
from net.gossip.wire import Graft, IDontWant, IHave, IWant, PeerInfo, Prune, RemoteProtocolError, Rpc, Subscription
from tests.net.gossip.by_hand import PEERS, T, message, settled
from tests.net.gossip.simulated import identity

CONFIG = GossipConfig(max_frame_bytes=1 << 15, max_message_bytes=1 << 13, max_ihave_length=100)
BAD = PEERS[0]


def valid(rng: Random) -> bytes:
    """A frame with a few parts of every kind."""
    topics = [T, "other", "ü" * 20]
    ids = tuple(rng.randbytes(rng.choice((0, 8, 46))) for _ in range(rng.randrange(4)))
    rpc = Rpc(
        subscriptions=tuple(Subscription(rng.choice(topics), rng.random() < 0.5) for _ in range(rng.randrange(3))),
        publish=tuple(
            message(rng.randrange(5), bytes(rng.randrange(40)), rng.choice(topics)) for _ in range(rng.randrange(2))
        ),
        ihave=tuple(IHave(rng.choice(topics), ids) for _ in range(rng.randrange(2))),
        iwant=tuple(IWant(ids) for _ in range(rng.randrange(2))),
        graft=tuple(Graft(rng.choice(topics)) for _ in range(rng.randrange(2))),
        prune=tuple(
            Prune(rng.choice(topics), rng.randrange(100), (PeerInfo(bytes(identity(1)), rng.randbytes(9)),))
            for _ in range(rng.randrange(2))
        ),
        idontwant=tuple(IDontWant(ids) for _ in range(rng.randrange(2))),
    )
    return wire.encode(rpc)


def truncated(rng: Random) -> bytes:
    """The last field lacks its end."""
    whole = valid(rng) + wire.encode_subscription(Subscription(T, subscribe=True))
    return whole[: -rng.randint(1, 4)]


def oversized(rng: Random) -> bytes:
    return valid(rng) + rng.randbytes(1) * (CONFIG.max_frame_bytes + 1)


def bad_wire_type(rng: Random) -> bytes:
    """Groups, and the two types that there are not."""
    return valid(rng) + bytes((rng.randrange(1, 16) << 3 | rng.choice((3, 4, 6, 7)),)) + rng.randbytes(3)


def field_zero(rng: Random) -> bytes:
    return valid(rng) + bytes((rng.randrange(8),)) + rng.randbytes(5)


def endless_varint(rng: Random) -> bytes:
    return valid(rng) + b"\x0a" + bytes(rng.randrange(0x80, 0x100) for _ in range(10)) + rng.randbytes(5)


def length_beyond_the_end(rng: Random) -> bytes:
    tag = rng.choice((0x0A, 0x12, 0x1A, 0x22, 0x32))
    return valid(rng) + bytes((tag,)) + wire.uvarint(rng.choice((100, 2**31, 2**63))) + rng.randbytes(rng.randrange(90))


def nested_beyond_the_end(rng: Random) -> bytes:
    """The outer length is right, an inner one is not."""
    outer = rng.choice((0x0A, 0x12, 0x1A))
    inner = bytes((rng.choice((0x0A, 0x12, 0x1A)),)) + wire.uvarint(rng.randrange(50, 500)) + rng.randbytes(8)
    return valid(rng) + wire.tlv(outer, inner)


def too_many_entries(rng: Random) -> bytes:
    return valid(rng) + b"\x32\x00" * (wire.MAX_ENTRIES + 1)


def bad_topic(rng: Random) -> bytes:
    topic = rng.choice((b"\xff", b"\xed\xa0\x80", b"t" * (wire.MAX_TOPIC_BYTES + 1)))
    kind = rng.choice((0x0A, 0x1A, 0x22))
    part = wire.tlv(0x0A, b"\x08\x01" + wire.tlv(0x12, topic))
    return valid(rng) + (part if kind == 0x0A else wire.tlv(0x1A, wire.tlv(kind, wire.tlv(0x0A, topic))))


def no_topic(rng: Random) -> bytes:
    control = wire.tlv(rng.choice((0x0A, 0x1A, 0x22)), b"\x18\x05")
    return valid(rng) + rng.choice((wire.tlv(0x0A, b"\x08\x01"), wire.tlv(0x1A, control)))


MAKERS: list[Callable[[Random], bytes]] = [
    truncated, oversized, bad_wire_type, field_zero, endless_varint, length_beyond_the_end, nested_beyond_the_end,
    too_many_entries, bad_topic, no_topic,
]  # fmt: skip
RARE = {oversized, too_many_entries}
"""Long ones, at a hundredth of the frequency."""


def malformed(seed: int) -> Iterator[bytes]:
    rng = Random(seed)
    while True:
        maker = rng.choice(MAKERS)
        if maker not in RARE or rng.random() < 0.01:
            yield maker(rng)


def state(one: GossipRouter) -> tuple[object, ...]:
    """All that a frame could change, as far as it shows."""
    return (
        one.peers, one.topics, one.mesh(T), one.subscribers(T), one.subscribers("other"), one.pending,
        [getattr(one.counters, name) for name in one.counters.__slots__ if name != "frames"],
    )  # fmt: skip


def check_refused(one: GossipRouter, frame: bytes, before: tuple[object, ...]) -> None:
    effects = one.receive(BAD, frame, 2.5)
    penalty, hang_up = effects
    assert penalty == Penalise(BAD, Fault.MALFORMED)
    assert isinstance(hang_up, Disconnect)
    assert hang_up.reason
    assert state(one) == before


def refuse_many(seed: int, count: int) -> None:
    one = settled(6, config=CONFIG)
    before = state(one)
    frames = malformed(seed)
    for number in range(count):
        frame = next(frames)
        try:
            check_refused(one, frame, before)
        except Exception as error:
            raise AssertionError(f"frame {number} of seed {seed}: {frame[:200].hex()}") from error
    # And the link would still do, had the shell not hung up.
    assert one.receive(BAD, message(1).entry, 2.6) == [Validate(BAD, message(1).message)]


@pytest.mark.parametrize("seed", range(2))
def test_malformed_frame__reject_with_reason_and_penalty(seed: int) -> None:
    refuse_many(seed, 3_000)


@pytest.mark.slow
def test_two_hundred_thousand_malformed_frames__reject() -> None:
    for seed in range(100, 110):
        refuse_many(seed, 20_000)


@pytest.mark.parametrize("maker", MAKERS)
def test_each_kind_is_malformed_by_itself(maker: Callable[[Random], bytes]) -> None:
    one = settled(6, config=CONFIG)
    before = state(one)
    for seed in range(20):
        check_refused(one, maker(Random(seed)), before)


def bent(rng: Random) -> bytes:
    """A message whose bytes were changed, cut or added to anywhere."""
    frame = bytearray(message(rng.randrange(5), bytes(20)).entry)
    for _ in range(rng.randint(1, 3)):
        frame[rng.randrange(len(frame))] = rng.randrange(256)
    return bytes(frame[: rng.choice((len(frame), rng.randrange(len(frame)))) or 1])


def check_bent(one: GossipRouter, frame: bytes, before: tuple[object, ...]) -> str:
    """Refused, with a reason; or the frame is well formed, and none of what we know is in it, or what it was before."""
    effects: list[Effect] = one.receive(BAD, frame, 2.5)
    assert not any(isinstance(effect, Send) for effect in effects)
    if any(isinstance(effect, Validate) for effect in effects):
        assert {effect.message.id for effect in effects if isinstance(effect, Validate)} <= {
            message(n).message.id for n in range(5)
        }
        return "unchanged"
    if effects:
        assert isinstance(effects[0], Penalise)
        assert effects[0].reason in set(Fault)
        assert state(one) == before
        return effects[0].reason
    rpc = wire.decode(frame)
    assert not rpc.refused
    return "nothing in it"


def test_bent_message_is_refused_or_has_nothing_in_it() -> None:
    rng = Random(7)
    outcomes = set()
    for _ in range(1_500):
        one = settled(6, config=CONFIG)
        outcomes.add(check_bent(one, bent(rng), state(one)))
    assert {Fault.MALFORMED, Fault.UNSIGNED, Fault.BAD_SIGNATURE, "nothing in it"} <= outcomes


@given(st.binary(min_size=1, max_size=60), st.integers(0, 60))
def test_any_bytes_are_refused_or_are_an_rpc(raw: bytes, cut: int) -> None:
    for frame in (raw, message(1).entry[:cut] + raw):
        one = settled(6, config=CONFIG)
        before = state(one)
        try:
            wire.decode(frame)
        except RemoteProtocolError:
            check_refused(one, frame, before)
        else:
            assert not any(isinstance(effect, Disconnect) for effect in one.receive(BAD, frame, 2.5))
