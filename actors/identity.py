"""An actor is one Ed25519 key: libp2p peer id, ledger account and signer at once."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

from nacl.encoding import RawEncoder
from nacl.hash import blake2b
from nacl.public import Box, PrivateKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

from chain.values import Account
from net.peer import PeerId

SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Identity:
    """A secret 32-byte Ed25519 seed and what follows from it. Never printed: `repr` shows the peer id only."""

    secret: bytes = field(repr=False)
    peer_id: PeerId = field(init=False)
    _key: SigningKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.secret) != SEED_BYTES:
            msg = f"an identity's secret has {SEED_BYTES} bytes, not {len(self.secret)}"
            raise ValueError(msg)
        key = SigningKey(self.secret)
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "peer_id", PeerId.from_public_key(bytes(key.verify_key)))

    @classmethod
    def derive(cls, run_seed: int, name: str) -> Self:
        """The identity of actor `name` in the run with that seed: reproducible, hence worthless outside a testbed."""
        return cls(sha256(f"crowdmesh:identity:1:{run_seed}:{name}".encode()).digest())

    @property
    def account(self) -> Account:
        """The ledger account: the raw 32-byte public key."""
        return Account(self.peer_id.public_key)

    @property
    def key(self) -> SigningKey:
        """The signing key itself, for the ledger's own signatures."""
        return self._key

    def sign(self, message: bytes) -> bytes:
        """64-byte Ed25519 signature. Callers separate domains."""
        return self._key.sign(message).signature

    def open_sealed(self, sealed: bytes) -> bytes:
        """Open what `seal` closed for us. Raises nacl.exceptions.CryptoError for anything else."""
        return SealedBox(self._key.to_curve25519_private_key()).decrypt(sealed)


def seal(recipient: PeerId, plain: bytes) -> bytes:
    """Encrypt so that only `recipient` can read it (X25519 sealed box; 48 bytes longer; the sender is anonymous)."""
    return SealedBox(VerifyKey(recipient.public_key).to_curve25519_public_key()).encrypt(plain)


def seal_for(recipient: PeerId, plain: bytes, secret: bytes) -> bytes:
    """`seal`, with the ephemeral key made of a 32-byte `secret` that must serve for this `plain` alone: the same each time.

    What is sealed so can be committed to, and sealed again after a restart (libsodium's crypto_box_seal: the ephemeral
    public key, then a box whose nonce is the BLAKE2b of both public keys).
    """
    ephemeral = PrivateKey(secret)
    to = VerifyKey(recipient.public_key).to_curve25519_public_key()
    mine = bytes(ephemeral.public_key)
    nonce = blake2b(mine + bytes(to), digest_size=Box.NONCE_SIZE, encoder=RawEncoder)
    return mine + Box(ephemeral, to).encrypt(plain, nonce).ciphertext
