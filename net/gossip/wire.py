"""GossipSub's RPC message in protobuf: bytes in, small frozen values out, and back.

Source: libp2p specs, pubsub/README.md ("The RPC", "Message Signing") and gossipsub-v1.0/v1.1/v1.2.md ("Protobuf").
The sender's record is py-libp2p's; others skip it.

    RPC      1 subscriptions*  2 publish*  3 control  4 sender's signed record
    SubOpts  1 subscribe(bool) 2 topic
    Message  1 from  2 data  3 seqno  4 topic  5 signature  6 key
    Control  1 ihave*{1 topic, 2 ids*}  2 iwant*{1 ids*}  3 graft*{1 topic}
             4 prune*{1 topic, 2 peers*{1 id, 2 signed record}, 3 backoff in s}  5 idontwant*{1 ids*}

What is not known is skipped, as protobuf demands; groups, which nobody has used since proto1, are refused. What is
known is strict. A frame that is no protobuf, or names no topic where one belongs, raises `RemoteProtocolError`. A
published message that is protobuf but not one of StrictSign lands in `Rpc.refused`: its forwarder is at fault, yet
the rest of the frame stands.

The encoding of a forwarded message is made anew from its fields: 1 to 5 in order, without key, for an Ed25519
peer id holds the key. So nobody can blow another's message up with unknown fields, and all copies of a message are the
same bytes, which makes `decode` cheap: it remembers small frames.
"""

from dataclasses import dataclass
from functools import lru_cache

from net.gossip.events import Message, MessageId
from net.peer import PeerId

SIGNING_PREFIX = b"libp2p-pubsub:"
SEQNO_BYTES = 8
SIGNATURE_BYTES = 64
MESSAGE_ID_BYTES = 38 + SEQNO_BYTES
MAX_TOPIC_BYTES = 256
"""A longer topic is refused. Ours have less than 100 bytes."""
MAX_ENTRIES = 4096
"""Subscriptions, messages or control entries in one frame; a stock py-libp2p announces at most 1,000 at a time."""
MAX_IDS = 1 << 15
"""Message ids in one frame: 1 MiB holds 21,845 ids of 46 bytes, so nobody honest sends more."""
MESSAGE_OVERHEAD_BYTES = 512
"""What a publish entry is longer than its data, at most: sender, sequence number, topic, signature, tags, lengths."""
# Frames of up to 4 KiB are remembered: 32 MiB of frames at worst, usually a tenth of it. Every peer gets each message
# from several neighbours as the same bytes, and one process may run hundreds of peers.
REMEMBERED_FRAMES = 8192
REMEMBERED_FRAME_BYTES = 4096

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_TAG = (1 << 32) - 1
_MAX_UINT64 = (1 << 64) - 1


class RemoteProtocolError(Exception):
    """The peer's fault: the frame is not an RPC. `str` of it is the reason."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The sender joins or leaves a topic; in the first frame of a link and whenever it changes."""

    topic: str
    subscribe: bool


@dataclass(frozen=True, slots=True)
class Envelope:
    """A published message and the two encodings the router needs of it."""

    message: Message
    signed: bytes
    """What the signature covers."""
    entry: bytes
    """An RPC frame of this message alone; also one entry of a longer frame."""


@dataclass(frozen=True, slots=True)
class IHave:
    """Gossip: the sender holds these messages of a topic. Ids are any bytes."""

    topic: str
    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class IWant:
    """The sender asks for these messages, after an `IHave`."""

    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Graft:
    """The sender took us into its mesh of the topic and wants to be in ours."""

    topic: str


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """Peer exchange: another peer of the topic, with its signed record when the sender has one. Not checked here."""

    peer: bytes
    signed_record: bytes


@dataclass(frozen=True, slots=True)
class Prune:
    """The sender dropped us from its mesh; no GRAFT for `backoff` s (None: a v1.0 peer, the receiver's default)."""

    topic: str
    backoff: int | None = None
    peers: tuple[PeerInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class IDontWant:
    """The sender has these messages and asks not to be sent them (v1.2)."""

    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Rpc:
    """One frame, decoded. `refused` gives a reason for each published message that StrictSign does not allow."""

    subscriptions: tuple[Subscription, ...] = ()
    publish: tuple[Envelope, ...] = ()
    refused: tuple[str, ...] = ()
    ihave: tuple[IHave, ...] = ()
    iwant: tuple[IWant, ...] = ()
    graft: tuple[Graft, ...] = ()
    prune: tuple[Prune, ...] = ()
    idontwant: tuple[IDontWant, ...] = ()
    sender_record: bytes = b""
    """The sender's signed peer record, not checked; empty for none."""


ControlEntry = IHave | IWant | Graft | Prune | IDontWant


# --- decoding -------------------------------------------------------------------------------------------------------


def decode(frame: bytes) -> Rpc:
    """Decode a frame in time linear in its length. Raises RemoteProtocolError."""
    return _decode_once(frame) if len(frame) <= REMEMBERED_FRAME_BYTES else _decode(frame)


def _decode(frame: bytes) -> Rpc:
    subscriptions: list[Subscription] = []
    publish: list[Envelope] = []
    refused: list[str] = []
    control: list[tuple[int, int, int]] = []
    record = b""
    for tag, start, stop in split_fields(frame, 0, len(frame), MAX_ENTRIES):
        if tag == 0x12:
            envelope = _decode_message(frame, start, stop)
            if isinstance(envelope, str):
                refused.append(envelope)
            else:
                publish.append(envelope)
        elif tag == 0x0A:
            subscriptions.append(_decode_subscription(frame, start, stop))
        elif tag == 0x1A:  # a singular message given twice is merged (protobuf encoding, "Last One Wins")
            control += split_fields(frame, start, stop, MAX_ENTRIES - len(control))
        elif tag == 0x22:
            record = frame[start:stop]
    if not control:
        return Rpc(tuple(subscriptions), tuple(publish), tuple(refused), sender_record=record)
    decoded = _decode_control(frame, control)
    return Rpc(tuple(subscriptions), tuple(publish), tuple(refused), *decoded, sender_record=record)


_decode_once = lru_cache(maxsize=REMEMBERED_FRAMES)(_decode)


def _decode_subscription(frame: bytes, start: int, stop: int) -> Subscription:
    topic = subscribe = None
    for tag, a, b in split_fields(frame, start, stop, MAX_ENTRIES):
        if tag == 0x08:
            subscribe = a != 0
        elif tag == 0x12:
            topic = _topic(frame[a:b])
    if topic is None:
        raise RemoteProtocolError("subscription without topic")
    return Subscription(topic, subscribe is True)


def _decode_message(frame: bytes, start: int, stop: int) -> Envelope | str:
    """Return the message, or why StrictSign does not allow it."""
    fields: dict[int, bytes] = {}
    for tag, a, b in split_fields(frame, start, stop, MAX_ENTRIES):
        if tag in _MESSAGE_TAGS:
            if tag in fields:  # two implementations may see two messages in it
                return "message field given twice"
            fields[tag] = frame[a:b]
    for tag, reason in _REQUIRED:
        if tag not in fields:
            return reason
    try:
        source = PeerId.parse(fields[0x0A])
    except ValueError:
        return "sender is not an Ed25519 peer id"
    if len(fields[0x1A]) != SEQNO_BYTES:
        return "sequence number is not 8 bytes long"
    if len(fields[0x2A]) != SIGNATURE_BYTES:
        return "signature is not 64 bytes long"
    if fields.get(0x32, source[2:]) != source[2:]:  # the identity multihash holds the public key's protobuf
        return "key is not the sender's"
    topic = _topic(fields[0x22])
    envelope = _envelope(source, fields[0x1A], topic, fields.get(0x12), fields[0x2A])
    # Forwarded as it came when it came in the canonical form, so that all who share the frame share its memory.
    return Envelope(envelope.message, envelope.signed, frame) if envelope.entry == frame else envelope


_MESSAGE_TAGS = frozenset((0x0A, 0x12, 0x1A, 0x22, 0x2A, 0x32))
_REQUIRED = (
    (0x0A, "message without sender"),
    (0x1A, "message without sequence number"),
    (0x22, "message without topic"),
    (0x2A, "message without signature"),
)


def _decode_control(
    frame: bytes, fields: list[tuple[int, int, int]]
) -> tuple[tuple[IHave, ...], tuple[IWant, ...], tuple[Graft, ...], tuple[Prune, ...], tuple[IDontWant, ...]]:
    ihave: list[IHave] = []
    iwant: list[IWant] = []
    graft: list[Graft] = []
    prune: list[Prune] = []
    idontwant: list[IDontWant] = []
    room = MAX_IDS
    for tag, start, stop in fields:
        if tag == 0x0A:
            topic, ids = _decode_entry(frame, start, stop, 0x12, room)
            room -= len(ids)
            ihave.append(IHave(_named(topic, "IHAVE"), ids))
        elif tag == 0x12:
            ids = _decode_entry(frame, start, stop, 0x0A, room)[1]
            room -= len(ids)
            iwant.append(IWant(ids))
        elif tag == 0x1A:
            graft.append(Graft(_named(_decode_entry(frame, start, stop, 0, room)[0], "GRAFT")))
        elif tag == 0x22:
            prune.append(_decode_prune(frame, start, stop))
        elif tag == 0x2A:
            ids = _decode_entry(frame, start, stop, 0x0A, room)[1]
            room -= len(ids)
            idontwant.append(IDontWant(ids))
    return tuple(ihave), tuple(iwant), tuple(graft), tuple(prune), tuple(idontwant)


def _decode_entry(frame: bytes, start: int, stop: int, id_tag: int, room: int) -> tuple[str | None, tuple[bytes, ...]]:
    topic = None
    if id_tag == 0x12 and start + 2 <= stop and frame[start] == 0x0A and frame[start + 1] < 0x80:
        begin = start + 2 + frame[start + 1]
        if (uniform := _uniform_ids(frame, begin, stop, id_tag, room)) is not None:
            return _topic(frame[start + 2 : begin]), uniform
    elif id_tag and (uniform := _uniform_ids(frame, start, stop, id_tag, room)) is not None:
        return None, uniform
    ids: list[bytes] = []
    for tag, a, b in split_fields(frame, start, stop, room + 1):
        if tag == id_tag:
            ids.append(frame[a:b])
        elif tag == 0x0A:
            topic = _topic(frame[a:b])
    if len(ids) > room:
        raise RemoteProtocolError("too many message ids")
    return topic, tuple(ids)


def _uniform_ids(frame: bytes, start: int, stop: int, tag: int, room: int) -> tuple[bytes, ...] | None:
    """Take fields of `tag` with ids of our own length, if nothing else is there: nearly always, and by the hundreds."""
    count, rest = divmod(stop - start, MESSAGE_ID_BYTES + 2)
    if rest or not 0 < count <= room:
        return None
    if frame[start : stop : MESSAGE_ID_BYTES + 2] != bytes((tag,)) * count:
        return None
    if frame[start + 1 : stop : MESSAGE_ID_BYTES + 2] != bytes((MESSAGE_ID_BYTES,)) * count:
        return None
    return tuple([frame[at : at + MESSAGE_ID_BYTES] for at in range(start + 2, stop, MESSAGE_ID_BYTES + 2)])


def _decode_prune(frame: bytes, start: int, stop: int) -> Prune:
    topic = backoff = None
    peers: list[PeerInfo] = []
    for tag, a, b in split_fields(frame, start, stop, MAX_ENTRIES):
        if tag == 0x0A:
            topic = _topic(frame[a:b])
        elif tag == 0x18:
            backoff = a
        elif tag == 0x12:
            info = {inner: frame[x:y] for inner, x, y in split_fields(frame, a, b, MAX_ENTRIES)}
            peers.append(PeerInfo(info.get(0x0A, b""), info.get(0x12, b"")))
    return Prune(_named(topic, "PRUNE"), backoff, tuple(peers))


def _named(topic: str | None, what: str) -> str:
    if topic is None:
        raise RemoteProtocolError(f"{what} without topic")
    return topic


def _topic(raw: bytes) -> str:
    if len(raw) > MAX_TOPIC_BYTES:
        raise RemoteProtocolError("topic too long")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("topic is not UTF-8") from None


def split_fields(buf: bytes, pos: int, end: int, most: int) -> list[tuple[int, int, int]]:
    """Split ``buf[pos:end]`` into at most `most` fields: (tag, value, 0) of a varint, (tag, start, stop) of the rest.

    Raises RemoteProtocolError.
    """
    found: list[tuple[int, int, int]] = []
    while pos < end:
        if len(found) == most:
            raise RemoteProtocolError("too many fields")
        tag = buf[pos]
        pos += 1
        if tag >= 0x80:
            tag, pos = _varint(buf, pos - 1, end)
        if not 8 <= tag <= _MAX_TAG:
            raise RemoteProtocolError("bad field number")
        kind = tag & 7
        if kind == _BYTES:
            size, pos = (buf[pos], pos + 1) if pos < end and buf[pos] < 0x80 else _varint(buf, pos, end)
        elif kind == _VARINT:
            value, pos = _varint(buf, pos, end)
            found.append((tag, value, 0))
            continue
        elif kind == _FIXED64:
            size = 8
        elif kind == _FIXED32:
            size = 4
        else:
            raise RemoteProtocolError("bad wire type")
        stop = pos + size
        if stop > end:
            raise RemoteProtocolError("truncated field")
        found.append((tag, pos, stop))
        pos = stop
    return found


def _varint(buf: bytes, pos: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while pos < end:
        byte = buf[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > _MAX_UINT64:
                raise RemoteProtocolError("varint too long")
            return value, pos
        shift += 7
        if shift > 63:
            raise RemoteProtocolError("varint too long")
    raise RemoteProtocolError("truncated varint")


# --- encoding -------------------------------------------------------------------------------------------------------


def signed_bytes(source: PeerId, seqno: int, topic: str, data: bytes) -> bytes:
    """Return what the sender of a message signs."""
    return SIGNING_PREFIX + _unsigned(source, seqno.to_bytes(SEQNO_BYTES, "big"), topic, data)


def seal(source: PeerId, seqno: int, topic: str, data: bytes, signature: bytes) -> Envelope:
    """Make the message that `signature` of `signed_bytes` belongs to. Raises ValueError for a topic too long."""
    if len(topic.encode()) > MAX_TOPIC_BYTES:
        msg = f"a topic has at most {MAX_TOPIC_BYTES} bytes of UTF-8: {topic[:40]!r}…"
        raise ValueError(msg)
    return _envelope(source, seqno.to_bytes(SEQNO_BYTES, "big"), topic, data, signature)


def encode_subscription(subscription: Subscription) -> bytes:
    """Encode one entry of a frame."""
    return tlv(0x0A, (b"\x08\x01" if subscription.subscribe else b"\x08\x00") + tlv(0x12, subscription.topic.encode()))


def encode_control(entry: ControlEntry) -> bytes:
    """Encode one entry of a control message; `encode_frame` wraps several of them."""
    match entry:
        case IHave(topic, ids):
            return tlv(0x0A, tlv(0x0A, topic.encode()) + _encode_ids(0x12, ids))
        case IWant(ids):
            return tlv(0x12, _encode_ids(0x0A, ids))
        case Graft(topic):
            return tlv(0x1A, tlv(0x0A, topic.encode()))
        case Prune(topic, backoff, peers):
            body = tlv(0x0A, topic.encode())
            for info in peers:
                body += tlv(0x12, tlv(0x0A, info.peer) + tlv(0x12, info.signed_record))
            return tlv(0x22, body if backoff is None else body + b"\x18" + uvarint(backoff))
        case IDontWant(ids):
            return tlv(0x2A, _encode_ids(0x0A, ids))


def _encode_ids(tag: int, ids: tuple[bytes, ...]) -> bytes:
    head = bytes((tag, MESSAGE_ID_BYTES))
    return b"".join([head + one if len(one) == MESSAGE_ID_BYTES else tlv(tag, one) for one in ids])


def encode_record(signed_record: bytes) -> bytes:
    """Encode the sender's own record as one entry of a frame."""
    return tlv(0x22, signed_record)


def encode_frame(entries: list[bytes], control: list[bytes]) -> bytes:
    """Put control entries in one control message, then encoded subscriptions and messages, into one frame.

    One control message, because not all implementations merge several.
    """
    body = b"".join(entries)
    return tlv(0x1A, b"".join(control)) + body if control else body


def encode(rpc: Rpc) -> bytes:
    """Encode a whole frame. `refused` has no encoding."""
    parts: list[ControlEntry] = [*rpc.ihave, *rpc.iwant, *rpc.graft, *rpc.prune, *rpc.idontwant]
    control = [encode_control(entry) for entry in parts]
    entries = [encode_subscription(one) for one in rpc.subscriptions]
    if rpc.sender_record:
        entries.append(encode_record(rpc.sender_record))
    return encode_frame(entries + [envelope.entry for envelope in rpc.publish], control)


def _envelope(source: PeerId, seqno: bytes, topic: str, data: bytes | None, signature: bytes) -> Envelope:
    unsigned = _unsigned(source, seqno, topic, data)
    number = int.from_bytes(seqno, "big")
    message = Message(MessageId(bytes(source) + seqno), source, topic, data or b"", number, signature)
    return Envelope(message, SIGNING_PREFIX + unsigned, tlv(0x12, unsigned + tlv(0x2A, signature)))


def _unsigned(source: PeerId, seqno: bytes, topic: str, data: bytes | None) -> bytes:
    # Absent data and empty data are signed differently, so `None` is kept apart from b"".
    payload = b"" if data is None else tlv(0x12, data)
    return tlv(0x0A, source) + payload + tlv(0x1A, seqno) + tlv(0x22, topic.encode())


def tlv(tag: int, value: bytes) -> bytes:
    """Encode a field of bytes; `tag` is below 128."""
    return bytes((tag,)) + uvarint(len(value)) + value


def uvarint(value: int) -> bytes:
    """Encode a number, not negative."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
