"""What a phone checks without a ledger: that a block holds a transaction with its receipt, under enough work.

An inclusion proof is the transaction, its receipt, their Merkle paths into one header, and the headers on top of it.
Whoever makes a false one must do all the work of those headers, so a phone that knows roughly how much work the
network does (from headers seen before, or from the founder) asks for no less: `minimum_work`.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from chain.codec import block_id, decode, encode, transaction_id
from chain.errors import InvalidBlockError, InvalidProofError, Refused
from chain.keys import check_transaction
from chain.ledgers.pow.rules import check_alone
from chain.merkle import MerklePath, merkle_path, merkle_verify
from chain.values import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_TRANSACTIONS,
    Block,
    BlockId,
    Header,
    Receipt,
    Transaction,
    Value,
)

MAX_PROOF_HEADERS = 256
MAX_PROOF_BYTES = MAX_BLOCK_BYTES


class InclusionProof(Value, frozen=True):
    """Made by a ledger node for a light one. At most MAX_PROOF_BYTES."""

    transaction: Transaction
    receipt: Receipt
    transaction_path: MerklePath
    receipt_path: MerklePath
    header: Header
    """Of the block that holds the transaction."""
    above: Annotated[tuple[Header, ...], msgspec.Meta(max_length=MAX_PROOF_HEADERS)]
    """The headers that follow it, lowest first."""


def prove(block: Block, receipts: Sequence[Receipt], index: int, above: Sequence[Header]) -> InclusionProof:
    """Return the proof for the transaction at `index`. Raises IndexError when there is none."""
    return InclusionProof(
        transaction=block.transactions[index],
        receipt=receipts[index],
        transaction_path=merkle_path([encode(transaction) for transaction in block.transactions], index),
        receipt_path=merkle_path([encode(receipt) for receipt in receipts], index),
        header=block.header,
        above=tuple(above),
    )


def decode_proof(data: bytes) -> InclusionProof:
    """Decode a proof from a peer. Raises MalformedError."""
    return decode(InclusionProof, data, limit=MAX_PROOF_BYTES)


def verify_inclusion(proof: InclusionProof, *, chain: BlockId, depth: int, minimum_work: int) -> Receipt:
    """Return the receipt that the proof proves.

    `chain` is the genesis id; `depth` the headers that must follow (the network's `finality_depth`); `minimum_work`
    the expected hashes that these must have cost together. Raises InvalidProofError.
    """
    transaction, receipt = proof.transaction, proof.receipt
    try:
        check_transaction(transaction, chain)
    except Refused as refusal:
        raise InvalidProofError(str(refusal)) from None
    if receipt.transaction != transaction_id(transaction):
        raise InvalidProofError("the receipt is another transaction's")
    where, path = proof.transaction_path, proof.receipt_path
    if (where.index, where.count) != (path.index, path.count) or where.count > MAX_BLOCK_TRANSACTIONS:
        raise InvalidProofError("transaction and receipt are not at the same place")
    if not merkle_verify(proof.header.transactions_root, encode(transaction), where):
        raise InvalidProofError("the transaction is not in the block")
    if not merkle_verify(proof.header.receipts_root, encode(receipt), path):
        raise InvalidProofError("the receipt is not in the block")
    if len(proof.above) < depth:
        raise InvalidProofError(f"{len(proof.above)} headers follow, {depth} must")
    work = _check_headers(proof.header, proof.above)
    if work < minimum_work:
        raise InvalidProofError(f"{work} hashes of work follow, {minimum_work} must")
    return receipt


def _check_headers(header: Header, above: Sequence[Header]) -> int:
    """Check that the headers follow each other and have their work; return the work on top of the first."""
    try:
        check_alone(header)
        for parent, child in zip((header, *above), above, strict=False):
            check_alone(child)
            if child.parent != block_id(parent) or child.height != parent.height + 1:
                raise InvalidProofError(f"the header at height {child.height} does not follow")
    except InvalidBlockError as error:
        raise InvalidProofError(str(error)) from None
    return sum(child.difficulty for child in above)
