"""What light actors and gateways say to each other: requests and answers of the protocol `messages.GATEWAY`.

MessagePack, tagged by type, typed and strict; every answer is bounded by the transport's limit for a response.
"""

from typing import Annotated, Literal

import msgspec

from actors.messages import AddressesField
from chain.errors import MalformedError
from chain.ledgers.ordered.msp import Certificate
from chain.ledgers.ordered.values import MAX_ENVELOPE_BYTES
from chain.values import Block, Header, Receipt, Transaction

MAX_WAIT_MS = 10_000
"""A gateway holds a `Wait` no longer than this; the asker asks again."""
WORD_WAIT_MS = 3_000
"""How long another gateway may take to have the block that the first one tells of."""
MAX_REQUEST_BYTES = MAX_ENVELOPE_BYTES + 1_024
MAX_ANSWER_BYTES = 2 << 20
MAX_HEADERS = 100
MAX_WAITING = 100
MAX_MEMBERS = 64
MAX_WORDS = 64
MAX_WORDS_BYTES = MAX_ANSWER_BYTES - 4_096


class Submit(msgspec.Struct, frozen=True, array_like=True, tag="submit", forbid_unknown_fields=True):
    """Put a transaction (canonical bytes) into the mempool. Answered by `Accepted` or `Refusal`."""

    transaction: bytes


class Endorse(msgspec.Struct, frozen=True, array_like=True, tag="endorse", forbid_unknown_fields=True):
    """Have a transaction (canonical bytes) endorsed, on an ordered ledger. Answered by `Prepared` or `Refusal`."""

    transaction: bytes
    creator: Certificate | None
    """The sender's, where not everybody may write."""


class SubmitEnvelope(msgspec.Struct, frozen=True, array_like=True, tag="order", forbid_unknown_fields=True):
    """Have a signed envelope (canonical bytes) ordered. Answered by `Accepted` or `Refusal`."""

    envelope: bytes


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


class AskMembers(msgspec.Struct, frozen=True, array_like=True, tag="members", forbid_unknown_fields=True):
    """Ask for the certificates of the node and of those it is linked with. Answered by `MembersAnswer`."""


class AskWords(msgspec.Struct, frozen=True, array_like=True, tag="words", forbid_unknown_fields=True):
    """Ask for what other peers prove of a transaction, for who cannot or would not ask them. Answered by `WordsAnswer`."""

    transaction: bytes


class AskOrdering(msgspec.Struct, frozen=True, array_like=True, tag="ordering", forbid_unknown_fields=True):
    """Ask whether anybody orders transactions. Answered by `OrderingAnswer`."""


Request = (
    Submit
    | Endorse
    | SubmitEnvelope
    | NextNonce
    | Query
    | Wait
    | AskHeads
    | AskBlock
    | AskHeaders
    | AskWaiting
    | AskAddresses
    | AskMembers
    | AskWords
    | AskOrdering
)


class Accepted(msgspec.Struct, frozen=True, array_like=True, tag="accepted", forbid_unknown_fields=True):
    """The transaction waits in the mempool."""


class Prepared(msgspec.Struct, frozen=True, array_like=True, tag="prepared", forbid_unknown_fields=True):
    """The endorsed transaction as an envelope (canonical bytes), for its sender to sign."""

    envelope: bytes


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
    """Where a transaction stands; `proof` is empty unless it is final.

    It is a canonical `chain.light.InclusionProof`, on an ordered ledger a `chain.ledgers.ordered.proof.CommitProof`.
    """

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


class MembersAnswer(msgspec.Struct, frozen=True, array_like=True, tag="who", forbid_unknown_fields=True):
    """Certificates, at most MAX_MEMBERS; the node's own comes first, if it has one."""

    certificates: Annotated[tuple[Certificate, ...], msgspec.Meta(max_length=MAX_MEMBERS)]


class WordsAnswer(msgspec.Struct, frozen=True, array_like=True, tag="said", forbid_unknown_fields=True):
    """Canonical `chain.ledgers.ordered.proof.CommitProof` of other peers, at most MAX_WORDS."""

    proofs: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=MAX_WORDS)]


class OrderingAnswer(msgspec.Struct, frozen=True, array_like=True, tag="leads", forbid_unknown_fields=True):
    """Of how many orderers the node hears, and the account of the one that leads; empty when none is known to."""

    orderers: int
    leader: bytes


Answer = (
    Accepted
    | Prepared
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
    | MembersAnswer
    | WordsAnswer
    | OrderingAnswer
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
