"""What a light client believes: that a block holds a transaction with its receipt, because enough peers say so.

Orderers know no receipts, so no header commits to them: each peer signs the block's id with the receipts' root. A client
that holds such proofs of members who satisfy a policy (the channel's endorsement default) knows what those who run the
contracts know.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

import msgspec

from chain.codec import block_id, decode, encode, transaction_id
from chain.errors import InvalidProofError, Refused
from chain.ledgers.ordered.access import signers
from chain.ledgers.ordered.channel import ChannelConfig
from chain.ledgers.ordered.endorse import Signer
from chain.ledgers.ordered.msp import Signed
from chain.ledgers.ordered.policy import Principal
from chain.light import MAX_PROOF_BYTES
from chain.merkle import MerklePath, merkle_path, merkle_verify, receipts_root, transaction_leaves
from chain.values import (
    MAX_BLOCK_TRANSACTIONS,
    MAX_EVIDENCE_BYTES,
    Block,
    BlockId,
    Header,
    Receipt,
    Transaction,
    TxId,
    Value,
)

RECEIPTS = b"crowdmesh:receipts:1:"
"""Stands before the digest of (block id, receipts root) under a peer's signature."""


class CommitProof(Value, frozen=True):
    """One peer's word. At most MAX_PROOF_BYTES."""

    transaction: Transaction
    evidence: Annotated[bytes, msgspec.Meta(max_length=MAX_EVIDENCE_BYTES)]
    receipt: Receipt
    transaction_path: MerklePath
    receipt_path: MerklePath
    header: Header
    receipts_root: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    attestation: Signed


def prove(block: Block, receipts: Sequence[Receipt], index: int, signer: Signer) -> CommitProof:
    """A peer's signed proof for the transaction at `index`. Raises IndexError when there is none."""
    root = receipts_root(receipts)
    return CommitProof(
        transaction=block.transactions[index],
        evidence=block.evidence[index],
        receipt=receipts[index],
        transaction_path=merkle_path(transaction_leaves(block.transactions, block.evidence), index),
        receipt_path=merkle_path([encode(receipt) for receipt in receipts], index),
        header=block.header,
        receipts_root=root,
        attestation=signer.sign(RECEIPTS, _digest(block_id(block.header), root)),
    )


def decode_commit_proof(data: bytes) -> CommitProof:
    """Decode a proof from a peer. Raises MalformedError."""
    return decode(CommitProof, data, limit=MAX_PROOF_BYTES)


def verify_commit(proof: CommitProof, *, config: ChannelConfig, tx: TxId, at_ms: int) -> Principal:
    """Who says that its receipt is what became of `tx`. Raises InvalidProofError."""
    if proof.receipt.transaction != tx or transaction_id(proof.transaction) != tx:
        raise InvalidProofError("the proof is another transaction's")
    where, path = proof.transaction_path, proof.receipt_path
    if (where.index, where.count) != (path.index, path.count) or where.count > MAX_BLOCK_TRANSACTIONS:
        raise InvalidProofError("transaction and receipt are not at the same place")
    (leaf,) = transaction_leaves((proof.transaction,), (proof.evidence,))
    if not merkle_verify(proof.header.transactions_root, leaf, where):
        raise InvalidProofError("the transaction is not in the block")
    if not merkle_verify(proof.receipts_root, encode(proof.receipt), path):
        raise InvalidProofError("the receipt is not in the block")
    digest = _digest(block_id(proof.header), proof.receipts_root)
    try:
        (principal,) = signers(config, [proof.attestation], RECEIPTS, digest, at_ms)
    except Refused as refused:
        raise InvalidProofError(f"attestation: {refused}") from None
    return principal


def same_outcome(proofs: Sequence[CommitProof]) -> bool:
    """Whether proofs are of one block and one receipt."""
    return len({(block_id(proof.header), encode(proof.receipt)) for proof in proofs}) <= 1


def _digest(block: BlockId, root: bytes) -> bytes:
    return sha256(encode((block, root))).digest()
