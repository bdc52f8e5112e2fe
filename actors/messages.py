"""What actors say to each other beside the ledger: presence claims, ballots, notices. Canonical, bounded, signed.

Requests and their protocols:

- ``presence``: worker → MEC node, sealed so that nobody else learns where the worker is; answered by an `Attestation`.
- ``ballot``: MEC node → drawn worker, over their own link; answered by an empty body.
- ``hello``: any actor → a peer it has just linked with; ledger nodes alone answer, with a `Welcome`.
- ``genesis``: a newcomer → a ledger node; answered by the canonical `chain.genesis.Genesis`.
- ``sensed``: selected worker → requester of a task that it won: a `Sensed`; answered by an empty body.
- ``endorse``: a gateway of an ordered ledger → an endorser: a canonical `Proposal`; answered by `Granted` or `Declined`.

Gossip: `Notice` on the topic of a cell.
"""

from typing import Annotated, Any, TypeVar

from msgspec import Meta
from nacl.exceptions import CryptoError

from actors.identity import Identity, seal
from actors.sensing.geohash import geohash
from actors.sensing.mobility import Point
from chain.codec import decode, encode
from chain.contracts.campaign_records import MAX_PATH, CampaignId, Cycle, Number, Salt, Sealed
from chain.contracts.spatial_records import Ticket
from chain.errors import MalformedError
from chain.ledgers.ordered.values import Endorsed, Proposal
from chain.values import (
    MAX_DETAIL,
    MAX_EVIDENCE_BYTES,
    MAX_TRANSACTION_BYTES,
    Account,
    AccountField,
    Hash,
    TxIdField,
    Value,
)
from net.peer import PEER_ID_BYTES, PeerId
from net.signing import verify

PRESENCE = "/crowdmesh/presence/1"
BALLOT = "/crowdmesh/ballot/1"
GATEWAY = "/crowdmesh/gateway/1"
SYNC = "/crowdmesh/sync/1"
HELLO = "/crowdmesh/hello/1"
GENESIS = "/crowdmesh/genesis/1"
ENDORSE = "/crowdmesh/endorse/1"
SENSED = "/crowdmesh/sensed/1"
MAX_MESSAGE_BYTES = 8_192
MAX_PEERS_TOLD = 16
MAX_ADDRESSES = 4
MAX_ADDRESS_CHARACTERS = 256
MAX_PROPOSAL_BYTES = MAX_TRANSACTION_BYTES + 1_024
MAX_ENDORSEMENT_BYTES = MAX_EVIDENCE_BYTES + 1_024

_PRESENCE_DOMAIN = b"crowdmesh:presence:1:"
_ATTESTATION_DOMAIN = b"crowdmesh:attestation:1:"

Message = TypeVar("Message", bound=Value)


class Claim(Value, frozen=True):
    """Where a worker says it is. Made by the worker, read by its MEC node alone."""

    worker: AccountField
    voter: AccountField
    """What it wants to be drawn as: itself, or a key of its own for one task."""
    mec: AccountField
    """The node it is meant for: another node cannot replay it."""
    lat_e7: int
    lon_e7: int
    time_ms: int


class SignedClaim(Value, frozen=True):
    """A claim and Ed25519 signatures of it: the worker's, and its voter's unless that is the worker itself."""

    claim: Claim
    signature: bytes
    voter_signature: bytes


class Attestation(Value, frozen=True):
    """A MEC node's word that a worker was present. Says nothing of where."""

    worker: AccountField
    mec: AccountField
    until_ms: int
    signature: bytes


class Ballot(Value, frozen=True):
    """What a drawn worker learns: what to look at, until when, and the ticket that lets it vote.

    Neither the requester nor any other worker is named.
    """

    report: TxIdField
    type: str
    lat_e7: int
    lon_e7: int
    time_ms: int
    vote_until_ms: int
    """Block time until which votes are taken."""
    reveal_until_ms: int
    voter: AccountField
    """Which key of the worker was drawn."""
    ticket: Ticket


class Sensed(Value, frozen=True):
    """Data of one task, sealed to its requester, with what shows that the worker committed to them.

    It says no more of other tasks than the contract will tell everybody when the commitment is opened.
    """

    campaign: CampaignId
    cycle: Cycle
    task: Number
    digests: Annotated[tuple[Hash, ...], Meta(max_length=MAX_PATH)]
    salt: Salt
    sealed: Sealed


class Notice(Value, frozen=True):
    """News of a report in a cell, published by a MEC node for everybody around: no requester, no worker."""

    report: TxIdField
    status: str
    type: str
    lat_e7: int
    lon_e7: int
    height: int


PeerField = Annotated[bytes, Meta(min_length=PEER_ID_BYTES, max_length=PEER_ID_BYTES)]
AddressesField = Annotated[
    tuple[Annotated[str, Meta(max_length=MAX_ADDRESS_CHARACTERS)], ...], Meta(max_length=MAX_ADDRESSES)
]


class Known(Value, frozen=True):
    """A ledger node and where it can be dialled."""

    peer: PeerField
    addresses: AddressesField


class Hello(Value, frozen=True):
    """Who links up says whether it holds a ledger, and where it can be dialled (loopback and memory included)."""

    ledger: bool
    addresses: AddressesField


class Welcome(Value, frozen=True):
    """Other ledger nodes that the asker may dial: at most MAX_PEERS_TOLD, chosen at random."""

    peers: Annotated[tuple[Known, ...], Meta(max_length=MAX_PEERS_TOLD)]


class Granted(Value, frozen=True, tag=0):
    """An endorser's signed response to a proposal."""

    endorsed: Endorsed


class Declined(Value, frozen=True, tag=1):
    """Why an endorser gives none."""

    reason: Annotated[str, Meta(max_length=64)]
    detail: Annotated[str, Meta(max_length=MAX_DETAIL)]


def tx_topic(network: str) -> str:
    """Transactions, among ledger nodes."""
    return f"/{network}/tx"


def blocks_topic(network: str) -> str:
    """Blocks, among ledger nodes."""
    return f"/{network}/blocks"


def cell_topic(network: str, where: Point) -> str:
    """What concerns a place: one topic for each geohash cell of five characters."""
    return f"/{network}/cell/{geohash(where.lat, where.lon)}"


def read(type_: type[Message], raw: bytes) -> Message:
    """Decode one of these messages. Raises MalformedError."""
    return decode(type_, raw, limit=MAX_MESSAGE_BYTES)


def read_proposal(raw: bytes) -> Proposal:
    """What an endorser is asked. Raises MalformedError."""
    return decode(Proposal, raw, limit=MAX_PROPOSAL_BYTES)


def read_endorsement(raw: bytes) -> Granted | Declined:
    """What an endorser answered. Raises MalformedError."""
    union: Any = Granted | Declined
    answer: Granted | Declined = decode(union, raw, limit=MAX_ENDORSEMENT_BYTES)
    return answer


def seal_claim(worker: Identity, mec: PeerId, where: Point, now_ms: int, *, voter: Identity | None = None) -> bytes:
    """A signed claim that only `mec` can open; `voter`: the key to be drawn as, when it is not the worker's own."""
    lat_e7, lon_e7 = where.e7
    drawn = worker if voter is None else voter
    claim = Claim(worker.account, drawn.account, Account(mec.public_key), lat_e7, lon_e7, now_ms)
    said = _PRESENCE_DOMAIN + encode(claim)
    signed = SignedClaim(claim, worker.sign(said), b"" if drawn.account == worker.account else drawn.sign(said))
    return seal(mec, encode(signed))


def open_claim(mec: Identity, sealed: bytes) -> Claim:
    """The claim inside. Raises MalformedError: not sealed to us, not canonical, not for us, or not signed."""
    if len(sealed) > MAX_MESSAGE_BYTES:
        msg = f"a presence claim of {len(sealed)} bytes"
        raise MalformedError(msg)
    try:
        signed = read(SignedClaim, mec.open_sealed(sealed))
    except (CryptoError, ValueError) as error:
        msg = f"cannot open the presence claim: {error}"
        raise MalformedError(msg) from None
    claim = signed.claim
    if claim.mec != mec.account:
        msg = "the presence claim is meant for another MEC node"
        raise MalformedError(msg)
    said = _PRESENCE_DOMAIN + encode(claim)
    if not verify(claim.worker, signed.signature, said):
        msg = "the presence claim is not signed by its worker"
        raise MalformedError(msg)
    own = claim.voter == claim.worker
    if signed.voter_signature if own else not verify(claim.voter, signed.voter_signature, said):
        msg = "the presence claim is not signed by its voter"
        raise MalformedError(msg)
    return claim


def attest(mec: Identity, worker: Account, until_ms: int) -> Attestation:
    """A MEC node's signed word that `worker` is present until `until_ms`."""
    return Attestation(worker, mec.account, until_ms, mec.sign(_attested(worker, mec.account, until_ms)))


def is_attested(attestation: Attestation) -> bool:
    """Whether its MEC node signed it."""
    signed = _attested(attestation.worker, attestation.mec, attestation.until_ms)
    return verify(attestation.mec, attestation.signature, signed)


def _attested(worker: Account, mec: Account, until_ms: int) -> bytes:
    return _ATTESTATION_DOMAIN + encode((worker, mec, until_ms))
