"""Signed peer records: where a peer says it listens, signed by itself, so that others can pass it on.

Sources: libp2p specs RFC 0002 (signed envelopes) and RFC 0003 (routing records).

    Envelope    1 public key {1 type = 1 (Ed25519), 2 key}  2 payload type  3 payload  5 signature
    PeerRecord  1 peer id  2 seq  3 addresses* {1 multiaddr}

The signature covers domain, payload type and payload, each after its length. Records are made in one form and read in
any that protobuf allows, as long as they are whole: unknown fields are skipped.
"""

from dataclasses import dataclass
from functools import lru_cache

from multiaddr import Multiaddr  # type: ignore[import-untyped]

from net.gossip.wire import RemoteProtocolError, split_fields, tlv, uvarint
from net.peer import Address, PeerId
from net.signing import Sign, Verify

DOMAIN = b"libp2p-peer-record"
PAYLOAD_TYPE = b"\x03\x01"
"""The multicodec 0x0301 (libp2p-peer-record), written as go does."""
MAX_RECORD_BYTES = 4096
"""A longer record is refused."""
REMEMBERED_RECORDS = 2048
"""Good records that a process remembers: each of its peers gets them from several neighbours."""
MAX_ADDRESSES = 16
"""More addresses in one record are refused."""
_MAX_ADDRESS_BYTES = 256


class BadRecordError(Exception):
    """The fault of who sent it: this is no peer record, or not signed by whom it is of. `str` of it is the reason."""


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """Where `peer` listened when it wrote this; of two records the one with the higher `seq` holds."""

    peer: PeerId
    seq: int
    addresses: tuple[Address, ...]


def seal_record(record: PeerRecord, sign: Sign) -> bytes:
    """Encode and sign a record; `sign` is that of `record.peer`.

    Raises ValueError for an address that is no multiaddress, or more than fit.
    """
    try:
        addresses = [Multiaddr(address).to_bytes() for address in record.addresses]
    except Exception as error:  # multiaddr has no base class for what it raises
        raise ValueError(f"not a multiaddress among {record.addresses!r}: {error}") from error
    payload = tlv(0x0A, record.peer) + b"\x10" + uvarint(record.seq)
    payload += b"".join([tlv(0x1A, tlv(0x0A, address)) for address in addresses])
    envelope = tlv(0x0A, record.peer[2:]) + tlv(0x12, PAYLOAD_TYPE) + tlv(0x1A, payload)
    envelope += tlv(0x2A, sign(_signed(payload)))
    if len(addresses) > MAX_ADDRESSES or len(envelope) > MAX_RECORD_BYTES:
        raise ValueError(f"{len(addresses)} addresses are more than fit into a peer record")
    return envelope


@lru_cache(maxsize=REMEMBERED_RECORDS)
def open_record(raw: bytes, verify: Verify) -> PeerRecord:
    """Decode and check a record. Raises BadRecordError; the signature is looked at last.

    Addresses that we cannot read are left out: their protocols may be newer than ours.
    """
    if len(raw) > MAX_RECORD_BYTES:
        raise BadRecordError("peer record too long")
    try:
        envelope = {tag: raw[a:b] for tag, a, b in split_fields(raw, 0, len(raw), 16) if tag & 7 == 2}
        payload = envelope.get(0x1A, b"")
        entries = split_fields(payload, 0, len(payload), 16 + MAX_ADDRESSES)
        peer_id = next((payload[a:b] for tag, a, b in entries if tag == 0x0A), b"")
        seq = next((value for tag, value, _ in entries if tag == 0x10), 0)
        infos = [split_fields(payload, a, b, 4) for tag, a, b in entries if tag == 0x1A]
    except RemoteProtocolError as error:
        raise BadRecordError(f"peer record is no protobuf: {error}") from None
    if envelope.get(0x12) != PAYLOAD_TYPE:
        raise BadRecordError("envelope holds no peer record")
    try:
        peer = PeerId.parse(peer_id)
    except ValueError:
        raise BadRecordError("peer record is not of an Ed25519 peer") from None
    if envelope.get(0x0A) != peer[2:]:  # the identity multihash holds the public key's protobuf
        raise BadRecordError("peer record is not signed by its peer")
    if len(infos) > MAX_ADDRESSES:
        raise BadRecordError("peer record with too many addresses")
    if not verify(peer.public_key, envelope.get(0x2A, b""), _signed(payload)):
        raise BadRecordError("bad signature of a peer record")
    found = [_address(payload[a:b]) for info in infos for tag, a, b in info if tag == 0x0A]
    return PeerRecord(peer, seq, tuple(dict.fromkeys(address for address in found if address is not None)))


def _address(raw: bytes) -> Address | None:
    if not 0 < len(raw) <= _MAX_ADDRESS_BYTES:
        return None
    try:
        return Address(str(Multiaddr(raw)))
    except Exception:  # noqa: BLE001 - hostile bytes, and multiaddr has no base class for what it raises
        return None


def _signed(payload: bytes) -> bytes:
    return b"".join([uvarint(len(part)) + part for part in (DOMAIN, PAYLOAD_TYPE, payload)])
