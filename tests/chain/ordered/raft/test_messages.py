"""Messages have one encoding, and those that no correct peer can have sent change nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.codec import encode
from chain.errors import MalformedError
from chain.ledgers.ordered.raft.messages import (
    MAX_ENTRIES,
    MESSAGE_OVERHEAD,
    Advance,
    Append,
    Appended,
    Configuration,
    Entry,
    Forgot,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Kind,
    Rejected,
    RequestVote,
    Snapshot,
    TimeoutNow,
    Vote,
    decode_message,
    encode_message,
)
from tests.chain.ordered.raft.cluster import CONFIG, Cluster, Faults, peer_of
from tests.chain.ordered.raft.test_elections import node_of, tell

ONE, TWO, THREE = map(peer_of, range(1, 4))
MEMBERS = Configuration((ONE, TWO, THREE), ())
BIG = 2**63 - 1

EXAMPLES = [
    RequestVote(3, True, False, 2, 2),
    Vote(0, True, False),
    Append(3, 1, 1, 1, (Entry(1, 0, b"x"), Entry(3, Kind.NOOP, b""), Entry(3, Kind.CONFIGURATION, encode(MEMBERS)))),
    Appended(3, 5),
    Rejected(3, 5, 4, 2),
    Heartbeat(3, 5),
    HeartbeatReply(3),
    Advance(3, 5),
    InstallSnapshot(3, Snapshot(7, 2, MEMBERS, b"height 7")),
    TimeoutNow(3),
    Forgot(3),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_one_encoding(message):
    data = encode_message(message)
    assert decode_message(data, limit=10_000) == message
    for wrong in (data + b"\0", data[:-1], b"\xdc\0" + bytes([data[0] & 15]) + data[1:]):
        with pytest.raises(MalformedError):
            decode_message(wrong, limit=10_000)
    with pytest.raises(MalformedError):
        decode_message(data, limit=len(data) - 1)


@given(st.binary(max_size=60))
def test_bytes_are_messages_or_malformed(data):
    try:
        message = decode_message(data, limit=1_000)
    except MalformedError:
        return
    assert encode_message(message) == data


@pytest.mark.parametrize(
    "message",
    [
        Heartbeat(0, 0),
        Heartbeat(2**63, 0),
        Append(1, 0, 0, 0, (Entry(1, 3, b""),)),
        Append(1, 0, 0, 0, (Entry(0, 0, b""),)),
        Append(2, 1, 0, 0, ()),
        Append(2, 0, 1, 0, ()),
        Append(2, 1, 3, 0, ()),
        Append(2, 0, 0, 0, (Entry(3, 0, b""),)),
        Append(2, 1, 2, 0, (Entry(1, 0, b""),)),
        Append(2, 0, 0, 0, (Entry(2, 0, b""), Entry(1, 0, b""))),
        Append(2, 0, 0, 0, (Entry(2, Kind.NOOP, b"x"),)),
        Append(2, 0, 0, 0, (Entry(2, Kind.CONFIGURATION, b"x"),)),
        Append(2, 0, 0, 0, (Entry(2, Kind.CONFIGURATION, encode(Configuration((TWO, ONE), ()))),)),
        Append(2, BIG, 1, 0, (Entry(2, 0, b""),)),
        Append(1, 0, 0, 0, (Entry(1, 0, b""),) * (MAX_ENTRIES + 1)),
        RequestVote(2, False, False, 1, 0),
        RequestVote(2, False, False, 1, 3),
        Rejected(2, 3, 4, 1),
        InstallSnapshot(2, Snapshot(0, 0, MEMBERS, b"")),
        InstallSnapshot(2, Snapshot(5, 3, MEMBERS, b"")),
        InstallSnapshot(2, Snapshot(5, 0, MEMBERS, b"")),
        InstallSnapshot(2, Snapshot(5, 2, Configuration((ONE, ONE), ()), b"")),
        (11, 1),
        (7, 1),
        (7, 1, 1, 1),
    ],
    ids=str,
)
def test_decode__rejects_what_nobody_can_mean(message):
    with pytest.raises(MalformedError):
        decode_message(encode(message), limit=10**6)


def test_a_message_may_be_as_long_as_stated():
    largest = Append(BIG, BIG - 9, BIG - 1, BIG, (Entry(BIG, 0, bytes(CONFIG.max_entry_bytes)),))
    assert len(encode_message(largest)) <= CONFIG.max_message_bytes
    members = Configuration(tuple(peer_of(n) for n in range(64)), ())
    snapshot = InstallSnapshot(BIG, Snapshot(BIG, BIG, members, bytes(CONFIG.max_snapshot_bytes)))
    assert len(encode_message(snapshot)) <= CONFIG.max_snapshot_bytes + MESSAGE_OVERHEAD
    with pytest.raises(MalformedError, match="bytes"):
        node_of().receive(TWO, bytes(CONFIG.max_message_bytes + 1), 0)


def state(node):
    log = node.log
    return (node.role, node.term, node.leader, log.last_index, log.last_term, log.commit, node.next_deadline_ms())


@pytest.mark.parametrize(
    "sender, message",
    [
        (ONE, Heartbeat(9, 0)),
        (THREE, Heartbeat(2, 0)),
        (THREE, Append(2, 0, 0, 0, ())),
        (THREE, Advance(2, 0)),
        (THREE, TimeoutNow(2)),
        (THREE, InstallSnapshot(2, Snapshot(9, 2, MEMBERS, b""))),
        (TWO, Heartbeat(2, 5)),
        (TWO, Advance(2, 5)),
        (THREE, Heartbeat(3, 5)),
        (TWO, Append(2, 2, 2, 0, ())),
        (TWO, Append(2, 0, 0, 0, (Entry(2, 0, b"1 of 1"),))),
        (TWO, Append(2, 0, 0, 0, (Entry(1, 0, b"other"),))),
        (TWO, InstallSnapshot(2, Snapshot(2, 2, MEMBERS, b""))),
        (THREE, Appended(3, 1)),
        (THREE, Vote(3, False, True)),
        (THREE, Vote(4, True, True)),
    ],
    ids=lambda value: str(value) if not isinstance(value, bytes) else f"from {value[0]}",
)
def test_receive__rejects_what_cannot_be__and_changes_nothing(sender, message):
    """TWO leads term 2, and all but the last of four entries are committed here."""
    cluster = Cluster(1, 3, logs={1: [1, 1, 2, 2]})
    node = cluster.node(ONE)
    tell(node, TWO, Heartbeat(2, 3), 10)
    before = state(node)
    with pytest.raises(MalformedError):
        tell(node, sender, message, 20)
    assert state(node) == before
    assert node.tick(20) == []


@pytest.mark.parametrize(
    "message", [Heartbeat(1, 0), Append(1, 0, 0, 0, ()), Appended(1, 3), Rejected(1, 3, 2, 1)], ids=str
)
def test_a_leader_rejects_what_cannot_be(message):
    cluster = Cluster(1, 3, faults=Faults(delay_ms=(1, 1)))
    cluster.elect(ONE)
    node = cluster.node(ONE)
    assert (node.term, node.log.last_index) == (1, 1)
    before = state(node)
    with pytest.raises(MalformedError):
        tell(node, TWO, message, cluster.now)
    assert state(node) == before
