"""Who a peer is and where it listens: libp2p peer ids of Ed25519 keys, and multiaddresses as text."""

from typing import NewType, Self

import base58

Address = NewType("Address", str)
"""A multiaddress as text, e.g. ``/ip4/127.0.0.1/tcp/4001`` or ``/memory/7``."""

# An Ed25519 peer id is the identity multihash (code 0x00, length 0x24) of the protobuf PublicKey
# {Type = Ed25519 (08 01), Data = 32 bytes (12 20 …)}; libp2p peer-ids.md, "Ed25519 Keys".
ED25519_PREFIX = bytes.fromhex("002408011220")
PEER_ID_BYTES = len(ED25519_PREFIX) + 32


class PeerId(bytes):
    """A libp2p peer id: 38 bytes that hold the peer's Ed25519 public key itself.

    Sorts and hashes as bytes; prints as the usual base58 text (``12D3KooW…``).
    """

    __slots__ = ()

    @classmethod
    def from_public_key(cls, public_key: bytes) -> Self:
        """Make the id of a raw 32-byte Ed25519 public key. Raises ValueError for another length."""
        if len(public_key) != 32:
            msg = f"an Ed25519 public key has 32 bytes, not {len(public_key)}"
            raise ValueError(msg)
        return cls(ED25519_PREFIX + public_key)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Check bytes from elsewhere. Raises ValueError unless they are an Ed25519 peer id."""
        if len(raw) != PEER_ID_BYTES or raw[: len(ED25519_PREFIX)] != ED25519_PREFIX:
            msg = f"not an Ed25519 peer id: {raw[:48].hex()}"
            raise ValueError(msg)
        return cls(raw)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the base58 form. Raises ValueError when it is not one of an Ed25519 peer id."""
        return cls.parse(base58.b58decode(text))

    @property
    def public_key(self) -> bytes:
        """The raw 32-byte Ed25519 public key."""
        return bytes(self[len(ED25519_PREFIX) :])

    def __str__(self) -> str:
        return base58.b58encode(bytes(self)).decode()

    def __repr__(self) -> str:
        return f"PeerId({str(self)[-8:]})"


def split_address(text: str) -> tuple[PeerId, Address]:
    """Read a multiaddress that ends in ``/p2p/<peer id>``; the address returned is without it. Raises ValueError."""
    address, _, peer = text.rpartition("/p2p/")
    if not address.startswith("/"):
        raise ValueError(f"the address must end in /p2p/<peer id>: {text[:200]!r}")
    try:
        return PeerId.from_text(peer), Address(address)
    except ValueError:
        raise ValueError(f"not the id of an Ed25519 peer: {peer[:200]!r}") from None
