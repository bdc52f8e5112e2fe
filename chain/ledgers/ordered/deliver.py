"""Catching up: what peers of an ordered ledger ask each other, and who is asked when.

Blocks come by gossip; what got lost is pulled by height from whoever has it, orderer or peer, for a block's seal tells
who made it. Now and then one peer is asked how far it is, and what state it has.
"""

from typing import Annotated, Any

import msgspec

from chain.codec import decode, encode
from chain.errors import MalformedError
from chain.ledger import Ask
from chain.ledgers.ordered.msp import Certificate, Signed
from chain.sync import MAX_BLOCKS, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES
from chain.values import Block, BlockIdField, Hash, Natural, Value


class GetStatus(Value, frozen=True, tag=0):
    """How far are you, and who? Asked of a new peer, and now and then."""


class GetBlocks(Value, frozen=True, tag=1):
    """Blocks from that height on, as many as fit, at most MAX_BLOCKS."""

    start: Natural


class GetState(Value, frozen=True, tag=2):
    """Which state did you have after that block? Asked of all when one disagrees."""

    height: Natural


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


Request = GetStatus | GetBlocks | GetState
Response = Status | Blocks | State
_ANSWERS: dict[type[Any], type[Any]] = {GetStatus: Status, GetBlocks: Blocks, GetState: State}


def decode_request(data: bytes) -> Request:
    """Raises MalformedError."""
    request: Any = Request
    return decode(request, data, limit=MAX_REQUEST_BYTES)  # type: ignore[no-any-return]


def decode_response(request: Request, data: bytes) -> Response:
    """Decode an answer to `request`. Raises MalformedError, also when it answers something else."""
    union: Any = Response
    response: Response = decode(union, data, limit=MAX_RESPONSE_BYTES)
    if type(response) is not _ANSWERS[type(request)]:
        raise MalformedError(f"{type(response).__name__} does not answer {type(request).__name__}")
    return response


class CatchUp:
    """Knows how far others say they are, and asks one of them at a time for what is missing."""

    def __init__(self, interval_ms: int) -> None:
        """`interval_ms`: how often a peer, in turn, is asked for its status."""
        self._interval_ms = interval_ms
        self._claims: dict[bytes, int] = {}
        """Linked ledger nodes, and the height that they are known to have."""
        self._asked: bytes | None = None
        """Whom we wait for to send blocks."""
        self._turn = 0
        """Of those who are ahead; the other, of all, counts on its own, lest some are never asked how far they are."""
        self._status_turn = 0
        self._next_ms: int | None = None

    @property
    def peers(self) -> tuple[bytes, ...]:
        """Linked ledger nodes, sorted."""
        return tuple(sorted(self._claims))

    def claim(self, peer: bytes) -> int:
        """How far `peer` is, as it says."""
        return self._claims.get(peer, 0)

    def peer_up(self, peer: bytes, now_ms: int) -> list[Ask]:
        self._claims.setdefault(peer, 0)
        if self._next_ms is None:
            self._next_ms = now_ms + self._interval_ms
        return [Ask(peer, encode(GetStatus()))]

    def peer_down(self, peer: bytes) -> None:
        self._claims.pop(peer, None)
        if self._asked == peer:
            self._asked = None
        if not self._claims:
            self._next_ms = None

    def has(self, peer: bytes, height: int) -> None:
        """`peer` sent a block of that height, or said that it has it."""
        if peer in self._claims:
            self._claims[peer] = max(self._claims[peer], height)

    def failed(self, peer: bytes) -> None:
        """`peer` did not answer, or not well: it is believed again when it next says how far it is."""
        if peer in self._claims:
            self._claims[peer] = 0
        self.done(peer)

    def done(self, peer: bytes) -> None:
        """`peer` has answered a request for blocks."""
        if self._asked == peer:
            self._asked = None

    def go_on(self, height: int) -> list[Ask]:
        """Ask for what comes after `height`, unless somebody is asked already or nobody has it."""
        if self._asked is not None:
            return []
        ahead = [peer for peer in sorted(self._claims) if self._claims[peer] > height]
        if not ahead:
            return []
        self._turn += 1
        self._asked = ahead[self._turn % len(ahead)]
        return [Ask(self._asked, encode(GetBlocks(height + 1)))]

    def tick(self, now_ms: int) -> list[Ask]:
        if self._next_ms is None or now_ms < self._next_ms:
            return []
        self._next_ms = now_ms + self._interval_ms
        peers = sorted(self._claims)
        self._status_turn += 1
        return [Ask(peers[self._status_turn % len(peers)], encode(GetStatus()))]

    def next_deadline_ms(self) -> int | None:
        return self._next_ms
