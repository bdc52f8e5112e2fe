"""What goes on a ledger. Every value is frozen and has exactly one encoding (`chain.codec`).

Units everywhere: coordinates in 1e-7 degree (E7), distances in millimetres or metres as named, time in
milliseconds since the Unix epoch, money in micro-credits (1 credit = 1,000,000).
"""

from typing import Annotated, NewType

import msgspec

Account = NewType("Account", bytes)
"""A raw 32-byte Ed25519 public key."""
TxId = NewType("TxId", bytes)
"""SHA-256 of the transaction's canonical encoding with an empty signature: nobody can change it afterwards."""
BlockId = NewType("BlockId", bytes)
"""SHA-256 over the header (`chain.codec.block_id`; on proof of work, the hash that meets the target)."""

ACCOUNT_BYTES = 32
ID_BYTES = 32
SIGNATURE_BYTES = 64
MAX_INT = 2**63 - 1
"""Largest integer of a signed value; it fits SQLite's and everybody else's signed 64 bits."""
MAX_NAME = 32
"""Longest name of a contract or method, in characters."""
MAX_DETAIL = 200
"""Longest detail of a refusal, in characters."""
MAX_ARGS_BYTES = 16_384
MAX_TRANSACTION_BYTES = MAX_ARGS_BYTES + 512
MAX_BLOCK_BYTES = 512 * 1024
MAX_BLOCK_TRANSACTIONS = 1_000
MAX_EVIDENCE_BYTES = 64 * 1024
"""Evidence of one transaction (`Block.evidence`)."""
MAX_SEAL_BYTES = 8 * 1024


AccountField = Annotated[Account, msgspec.Meta(min_length=ACCOUNT_BYTES, max_length=ACCOUNT_BYTES)]
TxIdField = Annotated[TxId, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
BlockIdField = Annotated[BlockId, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
Hash = Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=MAX_INT)]
"""An integer from 0 to MAX_INT. The field types above and this one are checked whenever bytes are decoded."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME, pattern="^[a-z][a-z0-9_]*$")]


class Value(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of signed and hashed values: an array of fields in order, no defaults, no floats, no maps."""


class Transaction(Value, frozen=True, cache_hash=True):
    """One signed call of a contract. Made by any actor; travels on the topic ``tx`` and inside blocks."""

    chain: BlockIdField
    """Id of the genesis block, 32 bytes: a transaction of one network is void on another."""
    sender: AccountField
    nonce: Natural
    """Sender's sequence number: 0, 1, 2, … without gaps. At most 2**63 - 1."""
    contract: Name
    method: Name
    args: Annotated[bytes, msgspec.Meta(max_length=MAX_ARGS_BYTES)]
    """Canonical MessagePack array of the call's arguments, at most MAX_ARGS_BYTES."""
    signature: Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
    """64-byte Ed25519 signature of the domain-separated id (`chain.keys`)."""


class Header(Value, frozen=True, cache_hash=True):
    """What a block's id is made of, and all that a light client keeps. Made by the miner, or the orderer."""

    version: Natural
    height: Natural
    """0 for genesis."""
    parent: BlockIdField
    time_ms: Natural
    transactions_root: Hash
    """Merkle root (`chain.merkle`) of the encoded transactions, in block order, each with its evidence where there is any;
    32 zero bytes when there are none.

    Signatures are inside, so a block id commits to all of its block: nobody can swap a signature for a bad one and
    have honest nodes remember the id as invalid. On genesis: the digest of all rules (`chain.genesis`)."""
    receipts_root: Hash
    """Merkle root of the encoded receipts, in block order."""
    state_root: Hash
    """Digest of the world state after this block (`chain.state`)."""
    producer: AccountField
    """The miner, who receives the block reward."""
    difficulty: Annotated[int, msgspec.Meta(ge=1, le=MAX_INT)]
    """Expected number of hashes; the target is (2**256 - 1) // difficulty."""
    nonce: Natural
    """0 to 2**63 - 1."""


class Block(Value, frozen=True):
    """A header, what it commits to, and the seal. At most MAX_BLOCK_TRANSACTIONS, and MAX_BLOCK_BYTES in all.

    On proof of work there is neither evidence nor a seal: a block with either is refused, and its id is not
    remembered as bad, for whoever relayed it may have added them.
    """

    header: Header
    transactions: Annotated[tuple[Transaction, ...], msgspec.Meta(max_length=MAX_BLOCK_TRANSACTIONS)]
    evidence: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=MAX_EVIDENCE_BYTES)], ...],
        msgspec.Meta(max_length=MAX_BLOCK_TRANSACTIONS),
    ]
    """Why each transaction is in the block, in block order, as its ledger encodes that; part of `transactions_root`."""
    seal: Annotated[bytes, msgspec.Meta(max_length=MAX_SEAL_BYTES)]
    """Who stands for the block, as its ledger encodes that. It signs the block's id, which does not commit to it."""


class Event(Value, frozen=True):
    """Something a contract said. `data` is a canonical MessagePack array of (name, value) pairs, sorted by name."""

    contract: Name
    name: Name
    data: bytes


class Receipt(Value, frozen=True):
    """What became of a transaction that is in a block."""

    transaction: TxIdField
    ok: bool
    reason: str
    """Empty when ok; otherwise the refusal's snake_case name. A refused call changed nothing but the sender's nonce."""
    detail: Annotated[str, msgspec.Meta(max_length=MAX_DETAIL)]
    result: bytes
    """Canonical MessagePack of what the call returned (nil when refused)."""
    gas: Natural
    """What it cost (`chain.gas`), refunds off, also when refused; all that it may cost when it ran out of gas."""
    events: tuple[Event, ...]
