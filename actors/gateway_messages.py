"""What light actors and gateways say to each other: requests and answers of the protocol `messages.GATEWAY`.

MessagePack, tagged by type, typed and strict; every answer is bounded by the transport's limit for a response.
"""

from typing import Literal

import msgspec

from actors.messages import AddressesField
from chain.errors import MalformedError
from chain.values import Block, Header, Receipt, Transaction

MAX_WAIT_MS = 10_000
"""A gateway holds a `Wait` no longer than this; the asker asks again."""
MAX_REQUEST_BYTES = 20_000
MAX_ANSWER_BYTES = 2 << 20
MAX_HEADERS = 100
MAX_WAITING = 100


class Submit(msgspec.Struct, frozen=True, array_like=True, tag="submit", forbid_unknown_fields=True):
    """Put a transaction (canonical bytes) into the mempool. Answered by `Accepted` or `Refusal`."""

    transaction: bytes


class NextNonce(msgspec.Struct, frozen=True, array_like=True, tag="nonce", forbid_unknown_fields=True):
    """Ask for an account's next nonce. Answered by `Number`."""

    account: bytes


class Query(msgspec.Struct, frozen=True, array_like=True, tag="query", forbid_unknown_fields=True):
    """Ask a contract. Answered by `Result` or `Refusal`."""

    contract: str
    method: str
    args: bytes
    final: bool


class Wait(msgspec.Struct, frozen=True, array_like=True, tag="wait", forbid_unknown_fields=True):
    """Wait until a transaction is included or final, at most `for_ms`. Answered by `Found`, `Unknown` or `Refusal`."""

    transaction: bytes
    final: bool
    for_ms: int


class AskHeads(msgspec.Struct, frozen=True, array_like=True, tag="heads", forbid_unknown_fields=True):
    """Ask how far the node is. Answered by `HeadsAnswer`."""


class AskBlock(msgspec.Struct, frozen=True, array_like=True, tag="block", forbid_unknown_fields=True):
    """Ask for a block by id, or by height when `id` is empty. Answered by `BlockAnswer` or `Unknown`."""

    id: bytes
    height: int


class AskHeaders(msgspec.Struct, frozen=True, array_like=True, tag="headers", forbid_unknown_fields=True):
    """Ask for up to `limit` headers below `before` (-1: from the head). Answered by `HeadersAnswer`."""

    before: int
    limit: int


class AskWaiting(msgspec.Struct, frozen=True, array_like=True, tag="waiting", forbid_unknown_fields=True):
    """Ask for the first `limit` transactions of the mempool. Answered by `WaitingAnswer`."""

    limit: int


class AskAddresses(msgspec.Struct, frozen=True, array_like=True, tag="where", forbid_unknown_fields=True):
    """Ask where a ledger node (32-byte account) can be dialled. Answered by `AddressesAnswer`."""

    account: bytes


Request = Submit | NextNonce | Query | Wait | AskHeads | AskBlock | AskHeaders | AskWaiting | AskAddresses


class Accepted(msgspec.Struct, frozen=True, array_like=True, tag="accepted", forbid_unknown_fields=True):
    """The transaction waits in the mempool."""


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refused", forbid_unknown_fields=True):
    """The ledger's rules do not allow it."""

    reason: str
    detail: str


class Number(msgspec.Struct, frozen=True, array_like=True, tag="number", forbid_unknown_fields=True):
    """One integer."""

    value: int


class Result(msgspec.Struct, frozen=True, array_like=True, tag="result", forbid_unknown_fields=True):
    """Canonical encoding of what a query returned."""

    value: bytes


class Found(msgspec.Struct, frozen=True, array_like=True, tag="found", forbid_unknown_fields=True):
    """Where a transaction stands; `proof` (canonical `chain.light.InclusionProof`) is empty unless it is final."""

    stage: Literal["accepted", "included", "final"]
    receipt: Receipt | None
    header: Header | None
    proof: bytes


class Unknown(msgspec.Struct, frozen=True, array_like=True, tag="unknown", forbid_unknown_fields=True):
    """The node does not know it (yet)."""


class HeadsAnswer(msgspec.Struct, frozen=True, array_like=True, tag="at", forbid_unknown_fields=True):
    """Headers of the head and of the last final block."""

    head: Header
    final: Header


class BlockAnswer(msgspec.Struct, frozen=True, array_like=True, tag="whole", forbid_unknown_fields=True):
    """A block of the best chain."""

    block: Block
    receipts: tuple[Receipt, ...]
    final: bool


class HeadersAnswer(msgspec.Struct, frozen=True, array_like=True, tag="chain", forbid_unknown_fields=True):
    """(header, transactions, bytes) each."""

    rows: tuple[tuple[Header, int, int], ...]


class WaitingAnswer(msgspec.Struct, frozen=True, array_like=True, tag="pool", forbid_unknown_fields=True):
    """Transactions that wait."""

    transactions: tuple[Transaction, ...]


class AddressesAnswer(msgspec.Struct, frozen=True, array_like=True, tag="there", forbid_unknown_fields=True):
    """Multiaddresses to try, at most MAX_ADDRESSES; none when the gateway knows of none."""

    addresses: AddressesField


Answer = (
    Accepted
    | Refusal
    | Number
    | Result
    | Found
    | Unknown
    | HeadsAnswer
    | BlockAnswer
    | HeadersAnswer
    | WaitingAnswer
    | AddressesAnswer
)

_requests = msgspec.msgpack.Decoder(Request)
_answers = msgspec.msgpack.Decoder(Answer)
_encode = msgspec.msgpack.Encoder().encode


def encode_message(message: Request | Answer) -> bytes:
    """Bytes of a request or an answer."""
    return _encode(message)


def decode_request(raw: bytes) -> Request:
    """Read what an asker sent. Raises MalformedError."""
    if len(raw) > MAX_REQUEST_BYTES:
        msg = f"a request of {len(raw)} bytes, allowed are {MAX_REQUEST_BYTES}"
        raise MalformedError(msg)
    try:
        return _requests.decode(raw)  # type: ignore[no-any-return] # a union of structs
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a gateway request: {error}"
        raise MalformedError(msg) from None


def decode_answer(raw: bytes) -> Answer:
    """Read what a gateway answered. Raises MalformedError."""
    if len(raw) > MAX_ANSWER_BYTES:
        msg = f"an answer of {len(raw)} bytes, allowed are {MAX_ANSWER_BYTES}"
        raise MalformedError(msg)
    try:
        return _answers.decode(raw)  # type: ignore[no-any-return] # a union of structs
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a gateway answer: {error}"
        raise MalformedError(msg) from None
