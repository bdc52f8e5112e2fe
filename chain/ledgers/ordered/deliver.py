"""What peers of an ordered ledger ask each other to catch up: typed, canonical, bounded messages.

Blocks come by gossip; what got lost is pulled by height from whoever has it, orderer or peer, for a block's seal tells
who made it. Who lacks too much, or what nobody has any more, takes over a state instead, in chunks, that enough members
attest; and the headers before it, whose ids lead back from the block that they attest.
"""

from typing import Annotated, Any

import msgspec

from chain.codec import decode
from chain.ledgers.ordered.msp import Certificate, Signed
from chain.snapshot import MAX_CHUNK_BYTES
from chain.sync import MAX_BLOCKS, MAX_HEADERS, MAX_REQUEST_BYTES, MAX_SNAPSHOT_CHUNKS, decode_answer
from chain.values import Block, BlockIdField, Hash, Header, Natural, Value


class GetStatus(Value, frozen=True, tag=0):
    """How far are you, and who? Asked of a new peer, and now and then."""


class GetBlocks(Value, frozen=True, tag=1):
    """Blocks from that height on, as many as fit, at most MAX_BLOCKS."""

    start: Natural


class GetState(Value, frozen=True, tag=2):
    """Which state did you have after that block? Asked of all when one disagrees."""

    height: Natural


class GetHeaders(Value, frozen=True, tag=3):
    """Headers from that height on, as many as there are, at most MAX_HEADERS."""

    start: Natural


class GetSnapshot(Value, frozen=True, tag=4):
    """One chunk of the state after the block of that height, one that a status named."""

    height: Natural
    chunk: Natural


class Status(Value, frozen=True, tag=0):
    """Answers GetStatus."""

    chain: BlockIdField
    height: Natural
    head: BlockIdField
    certificate: Certificate | None
    """The answerer's own; None when it has none, and can neither endorse nor attest."""
    state_root: Hash
    """After `head`."""
    attestation: Signed | None
    """Its signature over height, head and state root, so that who lies about its state has signed it."""
    leader: bytes
    """Account of the orderer that leads, as far as an orderer knows; empty when none does, or for other peers."""
    orders: bool
    """Whether it takes part in ordering."""
    oldest: Natural
    """Blocks from that height on can be asked for; earlier ones it never had, or did not keep."""
    snapshot: Natural
    """The latest height of which it keeps the state for others; 0 when there is none."""


class Blocks(Value, frozen=True, tag=1):
    """Answers GetBlocks: in order, without gaps; none when the first is not here."""

    blocks: Annotated[tuple[Block, ...], msgspec.Meta(max_length=MAX_BLOCKS)]


class State(Value, frozen=True, tag=2):
    """Answers GetState."""

    height: Natural
    head: BlockIdField
    state_root: Hash
    attestation: Signed | None
    """None when the answerer does not know any more, not yet, or has no certificate; then the two above are zero."""


class Headers(Value, frozen=True, tag=3):
    """Answers GetHeaders: in order, without gaps."""

    headers: Annotated[tuple[Header, ...], msgspec.Meta(max_length=MAX_HEADERS)]


class Snapshot(Value, frozen=True, tag=4):
    """Answers GetSnapshot. `count` is 0 when that state is not kept, or not any more."""

    count: Annotated[int, msgspec.Meta(ge=0, le=MAX_SNAPSHOT_CHUNKS)]
    """Chunks in all."""
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_CHUNK_BYTES)]


Request = GetStatus | GetBlocks | GetState | GetHeaders | GetSnapshot
Response = Status | Blocks | State | Headers | Snapshot
_ANSWERS: dict[type[Any], type[Any]] = {
    GetStatus: Status,
    GetBlocks: Blocks,
    GetState: State,
    GetHeaders: Headers,
    GetSnapshot: Snapshot,
}


def decode_request(data: bytes) -> Request:
    """Raises MalformedError."""
    request: Any = Request
    return decode(request, data, limit=MAX_REQUEST_BYTES)  # type: ignore[no-any-return]


def decode_response(request: Request, data: bytes) -> Response:
    """Decode an answer to `request`. Raises MalformedError, also when it answers something else."""
    return decode_answer(Response, _ANSWERS, request, data)  # type: ignore[no-any-return]
