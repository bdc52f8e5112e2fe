"""What the router asks its shell to do, and the verdicts the shell gives back. All values, no behaviour."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NewType

from net.peer import Address, PeerId

MessageId = NewType("MessageId", bytes)
"""Sender's peer id followed by its 8-byte sequence number (libp2p's default for signed messages)."""


class Verdict(Enum):
    """What a topic's judge says of a message (libp2p's extended validation)."""

    ACCEPT = "accept"
    """Deliver and forward."""
    IGNORE = "ignore"
    """Neither deliver nor forward, but nobody is at fault: too early, seen, unknown parent."""
    REJECT = "reject"
    """Provably wrong: neither deliver nor forward, and the peer that sent it is at fault."""


class Fault(StrEnum):
    """Why the router blames a peer: all reasons of `Penalise` that come from the router itself."""

    MALFORMED = "malformed frame"
    """Not an RPC, or longer than a frame may be. The link ends."""
    UNSIGNED = "message without valid sender, sequence number or signature fields"
    """Refused before the signature was looked at: not allowed by StrictSign."""
    TOO_LONG = "message too long"
    BAD_SIGNATURE = "bad signature"
    REJECTED = "rejected message"
    """The topic's judge said REJECT."""
    TOO_MANY_TOPICS = "too many topics"
    GRAFT_IN_BACKOFF = "graft during backoff"
    GRAFT_FLOOD = "graft right after a prune"
    """On top of the former, within `GossipConfig.graft_flood_s`."""
    GRAFT_OF_DIRECT_PEER = "graft of an explicit peer"
    """It has no agreement with us, as we have with it. Costs nothing; its operator should know."""
    BAD_RECORD = "bad peer record"
    """It passed on a peer record that is forged or malformed, or its own is."""
    BROKEN_PROMISE = "advertised message not sent"
    """It answered our IWANT with nothing in time."""


@dataclass(frozen=True, slots=True)
class Message:
    """A signed pubsub message as received: who first published it, and what.

    `data` is at most `GossipConfig.max_message_bytes` long; `signature` is good when the router hands it out.
    """

    id: MessageId
    source: PeerId
    topic: str
    data: bytes
    seqno: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Send one RPC frame to a linked peer. `control` frames may not be dropped before payload is."""

    peer: PeerId
    frame: bytes
    control: bool = False


@dataclass(frozen=True, slots=True)
class Validate:
    """Judge this message, then call `GossipRouter.verdict`. `peer` delivered it first."""

    peer: PeerId
    message: Message


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand the message to the topic's local subscribers. `peer` is None for one's own."""

    message: Message
    peer: PeerId | None


@dataclass(frozen=True, slots=True)
class Penalise:
    """`peer` misbehaved: one reason of a bounded set (a short phrase), for the journal; its score knows already."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Hang up on `peer`: it cannot be spoken with."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True)
class Suggest:
    """Dial `peer` if more links are wanted: a trusted peer named it when it pruned us, with a record that `peer` signed."""

    peer: PeerId
    addresses: tuple[Address, ...]


Effect = Send | Validate | Deliver | Penalise | Disconnect | Suggest
