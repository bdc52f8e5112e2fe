"""What ledger nodes ask each other to catch up: typed, canonical, bounded messages.

A node that is a little behind asks for headers and then for the bodies it lacks. One that is far behind asks for all
headers, then for the state after a final block, which it checks against that block's header, then for the bodies on top.
Every request has a bounded answer; the one who asks checks everything, for proof of work makes headers, roots make
bodies and states verifiable.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from chain.codec import decode, encode
from chain.errors import MalformedError
from chain.snapshot import MAX_CHUNK_BYTES
from chain.values import MAX_BLOCK_BYTES, Block, BlockIdField, Hash, Header, Natural, Transaction, Value

MAX_LOCATOR = 64
MAX_HEADERS = 512
MAX_BLOCKS = 32
MAX_PENDING = 256
MAX_SNAPSHOT_CHUNKS = 4_096
MAX_REQUEST_BYTES = 4_096
MAX_RESPONSE_BYTES = MAX_BLOCK_BYTES + 64 * 1024
"""Also what a transport must be able to carry in one answer."""


class GetStatus(Value, frozen=True, tag=0):
    """Where are you? Asked of a new peer, and now and then."""


class GetHeaders(Value, frozen=True, tag=1):
    """Headers after the first of `locator` that is on your best chain; after genesis when none is."""

    locator: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=MAX_LOCATOR)]
    """Ids on the asker's chain, highest first, ever further apart."""


class GetBlocks(Value, frozen=True, tag=2):
    """These blocks, as many as fit, in this order."""

    ids: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=MAX_BLOCKS)]


class GetSnapshot(Value, frozen=True, tag=3):
    """One chunk of the state after a final block that your status named."""

    block: BlockIdField
    chunk: Natural


class GetPending(Value, frozen=True, tag=4):
    """Transactions that wait: gossip forgets, and tells nothing to those who come later."""


class Status(Value, frozen=True, tag=0):
    """Answers GetStatus."""

    chain: BlockIdField
    """Genesis id."""
    head: BlockIdField
    height: Natural
    work: Natural
    """Expected hashes on the best chain, at most MAX_INT."""
    final_height: Natural
    snapshot: BlockIdField
    """The final block whose state can be asked for; genesis when there is no other."""
    snapshot_height: Natural
    pending: Natural
    """Transactions that wait."""


class Headers(Value, frozen=True, tag=1):
    """Answers GetHeaders; fewer than MAX_HEADERS when there are no more."""

    headers: Annotated[tuple[Header, ...], msgspec.Meta(max_length=MAX_HEADERS)]


class Blocks(Value, frozen=True, tag=2):
    """Answers GetBlocks: the first of those asked for, up to the first that is not here or does not fit."""

    blocks: Annotated[tuple[Block, ...], msgspec.Meta(max_length=MAX_BLOCKS)]


class Snapshot(Value, frozen=True, tag=3):
    """Answers GetSnapshot. `count` is 0 when that state is no longer kept."""

    count: Annotated[int, msgspec.Meta(ge=0, le=MAX_SNAPSHOT_CHUNKS)]
    """Chunks in all."""
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_CHUNK_BYTES)]


class Pending(Value, frozen=True, tag=4):
    """Answers GetPending: those that have waited longest, as many as fit."""

    transactions: Annotated[tuple[Transaction, ...], msgspec.Meta(max_length=MAX_PENDING)]


Request = GetStatus | GetHeaders | GetBlocks | GetSnapshot | GetPending
Response = Status | Headers | Blocks | Snapshot | Pending
_ANSWERS: dict[type[Any], type[Any]] = {
    GetStatus: Status,
    GetHeaders: Headers,
    GetBlocks: Blocks,
    GetSnapshot: Snapshot,
    GetPending: Pending,
}


def decode_request(data: bytes) -> Request:
    """Raises MalformedError."""
    request: Any = Request
    return decode(request, data, limit=MAX_REQUEST_BYTES)  # type: ignore[no-any-return]


def decode_response(request: Request, data: bytes) -> Response:
    """Decode an answer to `request`. Raises MalformedError, also when it answers something else."""
    return decode_answer(Response, _ANSWERS, request, data)  # type: ignore[no-any-return]


def decode_answer(union: Any, answers: Mapping[type[Any], type[Any]], request: Value, data: bytes) -> Any:
    """Decode one of `union` that must be what `answers` has for the request. Raises MalformedError."""
    response = decode(union, data, limit=MAX_RESPONSE_BYTES)
    if type(response) is not answers[type(request)]:
        raise MalformedError(f"{type(response).__name__} does not answer {type(request).__name__}")
    return response


def encode_message(message: Request | Response) -> bytes:
    """Canonical bytes of a request or response."""
    return encode(message)
