"""The RPC codec against protobuf's own, by way of the classes that py-libp2p generated."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import signature_validator

from net.gossip import wire
from net.gossip.wire import (
    Envelope,
    Graft,
    IDontWant,
    IHave,
    IWant,
    PeerInfo,
    Prune,
    RemoteProtocolError,
    Rpc,
    Subscription,
)
from net.signing import verify
from tests.net.gossip.simulated import identity, key

TOPICS = st.text(max_size=40)
OWN_IDS = st.binary(min_size=wire.MESSAGE_ID_BYTES, max_size=wire.MESSAGE_ID_BYTES)
IDS = (st.lists(st.binary(max_size=60), max_size=5) | st.lists(OWN_IDS, max_size=5)).map(tuple)
SEQNOS = st.integers(0, 2**64 - 1)


def sealed(number: int, seqno: int, topic: str, data: bytes) -> Envelope:
    signature = key(number).sign(wire.signed_bytes(identity(number), seqno, topic, data)).signature
    return wire.seal(identity(number), seqno, topic, data, signature)


ENVELOPES = st.builds(sealed, st.integers(0, 3), SEQNOS, TOPICS, st.binary(max_size=300))
PEER_INFOS = st.builds(PeerInfo, st.binary(max_size=40), st.binary(max_size=40))
PRUNES = st.builds(Prune, TOPICS, st.none() | st.integers(0, 2**64 - 1), st.lists(PEER_INFOS, max_size=2).map(tuple))
RPCS = st.builds(
    Rpc,
    subscriptions=st.lists(st.builds(Subscription, TOPICS, st.booleans()), max_size=3).map(tuple),
    publish=st.lists(ENVELOPES, max_size=2).map(tuple),
    ihave=st.lists(st.builds(IHave, TOPICS, IDS), max_size=2).map(tuple),
    iwant=st.lists(st.builds(IWant, IDS), max_size=2).map(tuple),
    graft=st.lists(st.builds(Graft, TOPICS), max_size=2).map(tuple),
    prune=st.lists(PRUNES, max_size=2).map(tuple),
    idontwant=st.lists(st.builds(IDontWant, IDS), max_size=2).map(tuple),
    sender_record=st.binary(max_size=40),
)


def to_stock(rpc: Rpc, *, records: bool = False) -> rpc_pb2.RPC:
    """The same frame in generated classes; with `records`, also fields that ours does not know."""
    stock = rpc_pb2.RPC()
    for change in rpc.subscriptions:
        stock.subscriptions.add(subscribe=change.subscribe, topicid=change.topic)
    for envelope in rpc.publish:
        message = envelope.message
        stock.publish.add(
            from_id=bytes(message.source),
            data=message.data,
            seqno=message.seqno.to_bytes(8, "big"),
            topicIDs=[message.topic],
            signature=message.signature,
            key=bytes(message.source)[2:] if records else None,
        )
    control = stock.control
    for advert in rpc.ihave:
        control.ihave.add(topicID=advert.topic, messageIDs=advert.ids)
    for request in rpc.iwant:
        control.iwant.add(messageIDs=request.ids)
    for graft in rpc.graft:
        control.graft.add(topicID=graft.topic)
    for prune in rpc.prune:
        entry = control.prune.add(topicID=prune.topic, backoff=prune.backoff)
        for info in prune.peers:
            entry.peers.add(peerID=info.peer, signedPeerRecord=info.signed_record)
    for notice in rpc.idontwant:
        control.idontwant.add(messageIDs=notice.ids)
    if rpc.sender_record:
        stock.senderRecord = rpc.sender_record
    if records:
        stock.testExtension.SetInParent()
        control.extensions.topicObservation = True
    return stock


def from_stock(stock: rpc_pb2.RPC) -> Rpc:
    """What the generated classes understood."""
    control = stock.control
    return Rpc(
        subscriptions=tuple(Subscription(one.topicid, one.subscribe) for one in stock.subscriptions),
        publish=tuple(
            wire.seal(
                identity([bytes(identity(n)) for n in range(4)].index(one.from_id)),
                int.from_bytes(one.seqno, "big"),
                one.topicIDs[0],
                one.data,
                one.signature,
            )
            for one in stock.publish
        ),
        ihave=tuple(IHave(one.topicID, tuple(one.messageIDs)) for one in control.ihave),
        iwant=tuple(IWant(tuple(one.messageIDs)) for one in control.iwant),
        graft=tuple(Graft(one.topicID) for one in control.graft),
        prune=tuple(
            Prune(
                one.topicID,
                one.backoff if one.HasField("backoff") else None,
                tuple(PeerInfo(info.peerID, info.signedPeerRecord) for info in one.peers),
            )
            for one in control.prune
        ),
        idontwant=tuple(IDontWant(tuple(one.messageIDs)) for one in control.idontwant),
        sender_record=stock.senderRecord,
    )


@given(RPCS)
def test_stock_reads_what_we_write(rpc: Rpc) -> None:
    assert from_stock(rpc_pb2.RPC.FromString(wire.encode(rpc))) == rpc


@given(RPCS, st.booleans())
def test_we_read_what_stock_writes(rpc: Rpc, records: bool) -> None:
    assert wire.decode(to_stock(rpc, records=records).SerializeToString()) == rpc


@given(RPCS)
def test_decode_undoes_encode(rpc: Rpc) -> None:
    assert wire.decode(wire.encode(rpc)) == rpc


@given(RPCS, RPCS)
def test_frames_glued_together_are_merged(first: Rpc, second: Rpc) -> None:
    """Protobuf demands it of everything that is repeated, and of the singular control message."""
    glued = wire.decode(wire.encode(first) + wire.encode(second))
    assert glued == from_stock(rpc_pb2.RPC.FromString(wire.encode(first) + wire.encode(second)))


@given(ENVELOPES)
def test_both_accept_the_signature(envelope: Envelope) -> None:
    message = envelope.message
    assert verify(message.source.public_key, message.signature, envelope.signed)
    assert signature_validator(rpc_pb2.RPC.FromString(envelope.entry).publish[0])


def test_stock_signature_is_accepted_and_forwarded_without_key() -> None:
    stock = rpc_pb2.Message(from_id=bytes(identity(1)), data=b"", seqno=bytes(8), topicIDs=["a"])
    stock.signature = key(1).sign(wire.SIGNING_PREFIX + stock.SerializeToString()).signature
    stock.key = bytes(identity(1))[2:]
    (envelope,) = wire.decode(rpc_pb2.RPC(publish=[stock]).SerializeToString()).publish
    assert verify(envelope.message.source.public_key, envelope.message.signature, envelope.signed)
    stock.ClearField("key")
    assert envelope.entry == rpc_pb2.RPC(publish=[stock]).SerializeToString()


def test_ids_are_taken_at_once_only_where_ids_belong() -> None:
    ids = bytes((0x00, wire.MESSAGE_ID_BYTES)) + bytes(wire.MESSAGE_ID_BYTES)
    for kind in (0x0A, 0x12, 0x1A, 0x2A):
        with pytest.raises(RemoteProtocolError, match="bad field number"):
            wire.decode(wire.tlv(0x1A, wire.tlv(kind, ids)))
    one = wire.tlv(0x12, bytes(wire.MESSAGE_ID_BYTES))
    for short in (b"", b"\x0a", b"\x0a\x01", one):
        with pytest.raises(RemoteProtocolError, match=r"IHAVE without topic|truncated"):
            wire.decode(wire.tlv(0x1A, wire.tlv(0x0A, short)))
    frame = wire.tlv(0x1A, wire.tlv(0x0A, wire.tlv(0x0A, b"t") + one + one))
    assert wire.decode(frame) == Rpc(ihave=(IHave("t", (bytes(wire.MESSAGE_ID_BYTES),) * 2),))
    many = wire.tlv(0x12, wire.tlv(0x0A, bytes(wire.MESSAGE_ID_BYTES)) * (wire.MAX_IDS + 1))
    with pytest.raises(RemoteProtocolError, match="too many"):
        wire.decode(wire.tlv(0x1A, many))


@given(st.data())
def test_mutated_frames_are_read_or_refused(data: st.DataObject) -> None:
    """Whatever the bytes, the outcome is a frame or RemoteProtocolError, and the same one twice."""
    frame = bytearray(wire.encode(data.draw(RPCS)))
    for _ in range(data.draw(st.integers(1, 3))):
        if frame:
            frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    frame = frame[: data.draw(st.integers(0, len(frame)))] + data.draw(st.binary(max_size=8))
    outcomes: list[Rpc | str] = []
    for _ in range(2):
        try:
            outcomes.append(wire.decode(bytes(frame)))
        except RemoteProtocolError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@given(st.binary(max_size=200))
def test_what_we_read_stock_can_read_too(frame: bytes) -> None:
    try:
        rpc = wire.decode(frame)
    except RemoteProtocolError:
        return
    rpc_pb2.RPC.FromString(frame)
    assert wire.decode(wire.encode(rpc)).subscriptions == rpc.subscriptions


@pytest.mark.parametrize(
    "frame, reason",
    [
        (b"\x0a", "truncated varint"),
        (b"\x0a\x05\x08", "truncated field"),
        (b"\x0a\xff", "truncated varint"),
        (b"\x30" + b"\xff" * 11, "varint too long"),
        (b"\x30" + b"\xff" * 9 + b"\x7f", "varint too long"),
        (b"\x02\x00", "bad field number"),
        (b"\xf8\xff\xff\xff\xff\x0f\x00", "bad field number"),
        (b"\x33\x34", "bad wire type"),
        (b"\x31\x00", "truncated field"),
        (b"\x35\x00", "truncated field"),
        (b"\x0a\x02\x08\x01", "subscription without topic"),
        (b"\x0a\x04\x12\x02\xff\xfe", "topic is not UTF-8"),
        (b"\x0a\x84\x02\x12\x81\x02" + b"a" * 257, "topic too long"),
        (b"\x1a\x02\x1a\x00", "GRAFT without topic"),
        (b"\x1a\x02\x22\x00", "PRUNE without topic"),
        (b"\x1a\x02\x0a\x00", "IHAVE without topic"),
        (b"\x12\x00" * (wire.MAX_ENTRIES + 1), "too many fields"),
        (b"\x1a\x02\x12\x00" * (wire.MAX_ENTRIES + 1), "too many fields"),
    ],
)
def test_malformed_frame__reject(frame: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^{reason}$"):
        wire.decode(frame)


def test_ids_are_bounded_in_a_whole_frame() -> None:
    half = IWant((b"",) * (wire.MAX_IDS // 2))
    assert wire.decode(wire.encode(Rpc(iwant=(half, half)))).iwant == (half, half)
    for more in (IWant((b"",)), IWant((b"",) * (wire.MAX_IDS + 1))):
        with pytest.raises(RemoteProtocolError, match=r"^too many (message ids|fields)$"):
            wire.decode(wire.encode(Rpc(iwant=(half, half, more))))


WHOLE: dict[str, Any] = {
    "from_id": bytes(identity(1)),
    "data": b"d",
    "seqno": bytes(8),
    "topicIDs": ["a"],
    "signature": bytes(64),
}


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"from_id": None}, "message without sender"),
        ({"seqno": None}, "message without sequence number"),
        ({"topicIDs": []}, "message without topic"),
        ({"signature": None}, "message without signature"),
        ({"from_id": b"\x12\x20" + bytes(32)}, "sender is not an Ed25519 peer id"),
        ({"seqno": bytes(7)}, "sequence number is not 8 bytes long"),
        ({"signature": bytes(63)}, "signature is not 64 bytes long"),
        ({"key": bytes(identity(2))[2:]}, "key is not the sender's"),
        ({"topicIDs": ["a", "b"]}, "message field given twice"),
    ],
)
def test_message_that_strict_sign_forbids__refused_without_harm_to_the_rest(
    change: dict[str, Any], reason: str
) -> None:
    stock = rpc_pb2.RPC(publish=[rpc_pb2.Message(**(WHOLE | change)), rpc_pb2.Message(**WHOLE)])
    rpc = wire.decode(stock.SerializeToString())
    assert rpc.refused == (reason,)
    assert len(rpc.publish) == 1


def test_absent_data_is_not_empty_data() -> None:
    """Their signatures differ, so forwarding must keep them apart."""
    absent = rpc_pb2.RPC(publish=[rpc_pb2.Message(**(WHOLE | {"data": None}))]).SerializeToString()
    empty = rpc_pb2.RPC(publish=[rpc_pb2.Message(**(WHOLE | {"data": b""}))]).SerializeToString()
    assert wire.decode(absent).publish[0].entry == absent
    assert wire.decode(empty).publish[0].entry == empty
    assert wire.decode(absent).publish[0].signed != wire.decode(empty).publish[0].signed


def test_topic_too_long_of_ours__reject() -> None:
    with pytest.raises(ValueError, match="at most 256 bytes"):
        wire.seal(identity(1), 0, "é" * 129, b"", bytes(64))


def test_overhead_bound_holds() -> None:
    entry = sealed(0, 2**64 - 1, "é" * 128, bytes(1 << 18)).entry
    assert len(entry) - (1 << 18) <= wire.MESSAGE_OVERHEAD_BYTES
