"""Merkle trees as in RFC 6962, section 2: leaves and nodes are hashed apart (0x00, 0x01), and the tree of n leaves
splits at the largest power of two below n. No leaf is ever doubled, so no two lists share a root (CVE-2012-2459).
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Annotated

import msgspec

from chain.values import Hash, Natural, Receipt, Transaction, Value

Sha256 = Callable[[bytes], bytes]
"""SHA-256, metered in a contract's call (`Context.sha256`) or not."""

EMPTY_ROOT = bytes(32)
MAX_DEPTH = 32


class MerklePath(Value, frozen=True):
    """Where a leaf is in a tree, and the hashes that lead from it to the root."""

    index: Natural
    count: Natural
    """Number of leaves of the tree; the root does not commit to it, the verifier bounds it."""
    siblings: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=MAX_DEPTH)]
    """From the leaf upwards."""


def sha256_of(data: bytes) -> bytes:
    return sha256(data).digest()


def leaf_hash(leaf: bytes, hashed: Sha256 = sha256_of) -> bytes:
    return hashed(b"\x00" + leaf)


def _node_hash(left: bytes, right: bytes, hashed: Sha256 = sha256_of) -> bytes:
    return hashed(b"\x01" + left + right)


def _next_level(level: list[bytes], hashed: Sha256 = sha256_of) -> list[bytes]:
    """Pair neighbours; an odd last one rises as it is, which gives RFC 6962's split."""
    paired = [_node_hash(level[i], level[i + 1], hashed) for i in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        paired.append(level[-1])
    return paired


def merkle_root(leaves: Sequence[bytes], hashed: Sha256 = sha256_of) -> bytes:
    """Root over the leaves in their order; 32 zero bytes when there are none."""
    if not leaves:
        return EMPTY_ROOT
    level = [leaf_hash(leaf, hashed) for leaf in leaves]
    while len(level) > 1:
        level = _next_level(level, hashed)
    return level[0]


def merkle_path(leaves: Sequence[bytes], index: int) -> MerklePath:
    """Path of the leaf at `index`. Raises IndexError when there is none."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    level = [leaf_hash(leaf) for leaf in leaves]
    siblings = []
    position = index
    while len(level) > 1:
        neighbour = position ^ 1
        if neighbour < len(level):
            siblings.append(level[neighbour])
        level = _next_level(level)
        position //= 2
    return MerklePath(index=index, count=len(leaves), siblings=tuple(siblings))


def merkle_verify(root: bytes, leaf: bytes, path: MerklePath, hashed: Sha256 = sha256_of) -> bool:
    """Whether `path` leads from `leaf` to `root`."""
    if not 0 <= path.index < path.count:
        return False
    node = leaf_hash(leaf, hashed)
    position, last = path.index, path.count - 1
    used = 0
    while last > 0:
        if position != last or position % 2:  # otherwise it rises alone
            if used == len(path.siblings):
                return False
            sibling = path.siblings[used]
            used += 1
            left, right = (sibling, node) if position % 2 else (node, sibling)
            node = _node_hash(left, right, hashed)
        position //= 2
        last //= 2
    return used == len(path.siblings) and node == root


def transactions_root(transactions: Sequence[Transaction], evidence: Sequence[bytes] = ()) -> bytes:
    """What a header commits to as `transactions_root`: full encodings, signatures included.

    `evidence`, when there is any, is one item for each transaction and follows its encoding, which says where it ends.
    Raises ValueError when there are more or fewer.
    """
    return merkle_root(transaction_leaves(transactions, evidence))


def transaction_leaves(transactions: Sequence[Transaction], evidence: Sequence[bytes] = ()) -> list[bytes]:
    """The leaves of that tree, in block order."""
    leaves = [msgspec.msgpack.encode(transaction) for transaction in transactions]
    if evidence:
        leaves = [leaf + item for leaf, item in zip(leaves, evidence, strict=True)]
    return leaves


def receipts_root(receipts: Sequence[Receipt]) -> bytes:
    """What a header commits to as `receipts_root`."""
    return merkle_root([msgspec.msgpack.encode(receipt) for receipt in receipts])
