"""What travels on an ordered ledger beside transactions: proposals, responses, endorsements, envelopes, seals.

A client's signed `Transaction` is proposed to endorsers, who simulate it and sign what it would do (`Response`). The
client signs that with their endorsements (`Evidence`); transaction and evidence together are the `Envelope` that
orderers put into a block. A block keeps the evidence beside its transactions, and the orderers' signatures as its seal.
"""

from enum import Enum
from functools import lru_cache
from hashlib import sha256
from typing import Annotated

import msgspec

from chain.codec import decode, encode
from chain.ledgers.ordered.msp import Certificate, SignatureField, Signed
from chain.values import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_TRANSACTIONS,
    MAX_EVIDENCE_BYTES,
    MAX_SEAL_BYTES,
    MAX_TRANSACTION_BYTES,
    Event,
    Hash,
    Natural,
    Transaction,
    Value,
)

ENDORSEMENT = b"crowdmesh:endorsement:1:"
ENVELOPE = b"crowdmesh:envelope:1:"
SEAL = b"crowdmesh:seal:1:"
"""Each stands before a digest under a signature, so that it can never be taken for a signature of something else."""

MAX_KEY_BYTES = 1_024
MAX_READS = 8_192
MAX_WRITES = 2_048
MAX_RANGES = 512
MAX_EVENTS = 512
MAX_ENDORSEMENTS = 64
MAX_SEALS = 16
MAX_ENVELOPE_BYTES = MAX_TRANSACTION_BYTES + MAX_EVIDENCE_BYTES
NONCE_RANDOM_BITS = 20
"""A transaction's nonce is the time it was made, in ms, times 2**20, plus chance: see `made_ms`."""

_REMEMBERED = 2_048
"""Digests and decoded evidence, for the replicas of one process: two of the largest blocks, at most 128 MiB."""

KeyField = Annotated[bytes, msgspec.Meta(max_length=MAX_KEY_BYTES)]
VersionField = tuple[Natural, Natural]
"""Block height and index in the block: `chain.state.Version` as a plain tuple."""


class ValidationCode(Enum):
    """What committing peers say of a transaction in a block; the names are Fabric's, but for two.

    Proposals expire here, so that remembering the ids of a while is enough to find every duplicate.
    """

    VALID = "valid"
    BAD_PAYLOAD = "bad_payload"
    """The evidence is not the canonical encoding of any, or states more gas, or more work for it, than there can be."""
    BAD_CREATOR_SIGNATURE = "bad_creator_signature"
    """Transaction or envelope are not signed by the sender, or its certificate does not let it write."""
    BAD_PROPOSAL_TXID = "bad_proposal_txid"
    """The endorsed response is to another proposal."""
    DUPLICATE_TXID = "duplicate_txid"
    PROPOSAL_EXPIRED = "proposal_expired"
    """Made too long before its block, or too far ahead of it."""
    ENDORSEMENT_POLICY_FAILURE = "endorsement_policy_failure"
    MVCC_READ_CONFLICT = "mvcc_read_conflict"
    PHANTOM_READ_CONFLICT = "phantom_read_conflict"
    INVALID_CONFIG_TRANSACTION = "invalid_config_transaction"
    INVALID_WRITESET = "invalid_writeset"
    """It writes what belongs to the ledger itself."""


CONFLICTS = frozenset({ValidationCode.MVCC_READ_CONFLICT, ValidationCode.PHANTOM_READ_CONFLICT})
"""Nobody's fault: what was read has changed since, and the same call may well succeed when it is made again."""


class Proposal(Value, frozen=True):
    """What endorsers are asked to simulate. Made by the client's gateway."""

    transaction: Transaction
    creator: Certificate | None
    """The sender's; None where anyone may write."""
    time_ms: Natural
    """What the contract sees as the time; endorsers refuse one that is far from their clocks."""


class ReadItem(Value, frozen=True):
    """A key that was read and the version that was there; None when nothing was."""

    key: KeyField
    version: VersionField | None


class RangeItem(Value, frozen=True):
    """A scan, as far as it went: what must be found again."""

    prefix: KeyField
    start: KeyField
    """The whole key from which on it looked; at least the prefix."""
    last: KeyField
    """Where it ended, included; empty when it was exhausted."""
    exhausted: bool
    count: Natural
    digest: Hash
    """SHA-256 of the encoded (key, height, index) of what was found, in order."""


class WriteItem(Value, frozen=True):
    """A key and its new value; None deletes."""

    key: KeyField
    value: bytes | None


class Response(Value, frozen=True, cache_hash=True):
    """What a transaction would do: an endorser's whole answer. Equal states give equal responses, to the byte."""

    proposal: Hash
    """`proposal_digest` of what was simulated."""
    reads: Annotated[tuple[ReadItem, ...], msgspec.Meta(max_length=MAX_READS)]
    """Sorted by key, each once."""
    ranges: Annotated[tuple[RangeItem, ...], msgspec.Meta(max_length=MAX_RANGES)]
    """In the order in which they were made."""
    writes: Annotated[tuple[WriteItem, ...], msgspec.Meta(max_length=MAX_WRITES)]
    """Sorted by key, each once."""
    events: Annotated[tuple[Event, ...], msgspec.Meta(max_length=MAX_EVENTS)]
    result: bytes
    """Canonical MessagePack of what the call returned."""
    gas: Natural
    """What the call costs (`chain.gas`): counts towards its block's limit."""


class Endorsed(Value, frozen=True):
    """An endorser's answer to a proposal."""

    response: Response
    endorsement: Signed
    """Over `response_digest`."""
    height: Natural
    """Of the block after which it was simulated: for those who compare answers that differ."""


class Evidence(Value, frozen=True, cache_hash=True):
    """Why a block may say what a transaction did. Made by its client; at most MAX_EVIDENCE_BYTES."""

    creator: Certificate | None
    time_ms: Natural
    response: Response
    endorsements: Annotated[tuple[Signed, ...], msgspec.Meta(max_length=MAX_ENDORSEMENTS)]
    """Sorted by account, each once."""
    signature: SignatureField
    """The sender's, over `envelope_digest`."""


class Envelope(Value, frozen=True, cache_hash=True):
    """What is ordered. Published by a gateway on the topic ``tx``."""

    transaction: Transaction
    evidence: Evidence


class Batch(Value, frozen=True):
    """What orderers agree on: the contents of one block."""

    time_ms: Natural
    """By the clock of the orderer that cut it."""
    producer: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    """The account of that orderer."""
    transactions: Annotated[tuple[Transaction, ...], msgspec.Meta(max_length=MAX_BLOCK_TRANSACTIONS)]
    evidence: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=MAX_EVIDENCE_BYTES)], ...],
        msgspec.Meta(max_length=MAX_BLOCK_TRANSACTIONS),
    ]
    """Encoded, one for each transaction."""


Seal = Annotated[tuple[Signed, ...], msgspec.Meta(min_length=1, max_length=MAX_SEALS)]
"""Orderers' signatures over a block's id, sorted by account."""


def made_ms(transaction: Transaction) -> int:
    """When the client made it, by its own clock: its id is bound to a time, so it cannot be repeated later."""
    return transaction.nonce >> NONCE_RANDOM_BITS


def nonce_at(now_ms: int, chance: int) -> int:
    """A nonce for a transaction made at `now_ms`; `chance` is 20 random bits, lest two calls be one."""
    return (now_ms << NONCE_RANDOM_BITS) + chance % (1 << NONCE_RANDOM_BITS)


def proposal_of(envelope: Envelope) -> Proposal:
    """What the endorsers of an envelope were asked."""
    return Proposal(envelope.transaction, envelope.evidence.creator, envelope.evidence.time_ms)


@lru_cache(maxsize=_REMEMBERED)
def proposal_digest(proposal: Proposal) -> bytes:
    """SHA-256 of its encoding: 32 bytes."""
    return sha256(encode(proposal)).digest()


@lru_cache(maxsize=_REMEMBERED)
def response_digest(response: Response) -> bytes:
    """SHA-256 of its encoding: what endorsers sign, after ENDORSEMENT."""
    return sha256(encode(response)).digest()


@lru_cache(maxsize=4_096)
def envelope_digest(envelope: Envelope) -> bytes:
    """SHA-256 of all but the client's last signature: what that one signs, after ENVELOPE."""
    evidence = envelope.evidence
    unsigned = (envelope.transaction, evidence.creator, evidence.time_ms, evidence.response, evidence.endorsements)
    return sha256(encode(unsigned)).digest()


@lru_cache(maxsize=512)
def encoded_evidence(envelope: Envelope) -> tuple[bytes, int]:
    """Its evidence as it stands in a block, and how many bytes that and the transaction have together."""
    evidence = encode(envelope.evidence)
    return evidence, len(evidence) + len(encode(envelope.transaction))


@lru_cache(maxsize=512)
def decode_envelope(data: bytes) -> Envelope:
    """Remembered for the replicas of one process, who hear of it at about the same time. Raises MalformedError."""
    return decode(Envelope, data, limit=MAX_ENVELOPE_BYTES)


@lru_cache(maxsize=_REMEMBERED)
def decode_evidence(data: bytes) -> Evidence:
    """The evidence of a transaction in a block. Remembered, for the replicas of one process. Raises MalformedError."""
    return decode(Evidence, data, limit=MAX_EVIDENCE_BYTES)


@lru_cache(maxsize=16)
def decode_batch(data: bytes) -> Batch:
    """What an entry of the orderers' log says. Remembered likewise. Raises MalformedError."""
    return decode(Batch, data, limit=MAX_BLOCK_BYTES)


@lru_cache(maxsize=1_024)
def decode_seal(data: bytes) -> tuple[Signed, ...]:
    """Raises MalformedError."""
    seal: tuple[Signed, ...] = decode(Seal, data, limit=MAX_SEAL_BYTES)
    return seal
