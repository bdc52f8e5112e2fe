"""Searching a nonce: a template of the next block, and as many attempts at it as one is told to make.

Mining is paced from outside. `grind` does real SHA-256 from a copied midstate (the nonce is the last thing hashed),
so a call costs its attempts and little else.
"""

from hashlib import sha256

MAX_TARGET = 2**256 - 1


def target_of(difficulty: int) -> int:
    """Return the highest block id, as a big-endian integer, that has the work of `difficulty`."""
    return MAX_TARGET // difficulty


def has_work(block_id: bytes, difficulty: int) -> bool:
    """Tell whether a block id meets the target of `difficulty`."""
    return int.from_bytes(block_id, "big") <= target_of(difficulty)


def grind(prefix: bytes, difficulty: int, start: int, attempts: int) -> int | None:
    """Try `attempts` nonces from `start`; return the first that works.

    `prefix` is what precedes the 8-byte big-endian nonce in the preimage of the block id.
    """
    copy = sha256(prefix).copy
    # Digests compare like the big-endian integers they are.
    target = target_of(difficulty).to_bytes(32, "big")
    for nonce in range(start, start + attempts):
        attempt = copy()
        attempt.update(nonce.to_bytes(8, "big"))
        if attempt.digest() <= target:
            return nonce
    return None
