"""Ed25519 for the network: a signer per peer, and verification that a process does once per signature."""

from collections.abc import Callable
from functools import lru_cache

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from nacl.exceptions import ValueError as NaclValueError

Sign = Callable[[bytes], bytes]
"""Message to 64-byte Ed25519 signature."""
Verify = Callable[[bytes, bytes, bytes], bool]
"""(raw public key, signature, message) to whether the signature is good."""

# One process often runs hundreds of peers that all receive the same message. 16,384 entries hold several
# seconds of the busiest swarm and about 10 MB.
VERIFIED_CACHE = 16_384


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether ``signature`` is the key's Ed25519 signature of ``message``; never raises on hostile bytes."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except (BadSignatureError, NaclValueError):
        return False
    return True


verify_once = lru_cache(maxsize=VERIFIED_CACHE)(verify)
"""`verify`, remembered: for replicas that share a process. Same answers, since a signature never changes its truth."""
