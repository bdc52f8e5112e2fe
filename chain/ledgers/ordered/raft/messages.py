"""What Raft nodes say to each other and keep: typed, canonical, bounded. Terms start at 1; index 0 is before the log.

A message carries no sender: the transport says from whom it came. `check_message` is what can be said of a message
without knowing the state of who receives it.
"""

from enum import IntEnum
from typing import Annotated, Any

import msgspec

from chain.codec import decode, encode
from chain.errors import MalformedError
from chain.values import ACCOUNT_BYTES, MAX_INT, Natural, Value

MAX_MEMBERS = 64
"""Voters and learners of one configuration."""
MAX_ENTRIES = 4_096
"""Entries of one Append."""
MAX_ENTRY_BYTES = 16 * 1024 * 1024
"""Data of one entry, whatever a node's configuration says."""
MAX_SNAPSHOT_BYTES = 1024 * 1024
"""Data of one snapshot: it names a state (a block height), which its owner gets elsewhere, and is not that state."""
ENTRY_OVERHEAD = 16
"""Bytes by which an entry's encoding exceeds its data at most."""
MESSAGE_OVERHEAD = 64 + 2 * MAX_MEMBERS * (ACCOUNT_BYTES + 2)
"""Bytes of a message beside its entries or its snapshot's data at most."""

Term = Annotated[int, msgspec.Meta(ge=1, le=MAX_INT)]
Peer = Annotated[bytes, msgspec.Meta(min_length=ACCOUNT_BYTES, max_length=ACCOUNT_BYTES)]
Peers = Annotated[tuple[Peer, ...], msgspec.Meta(max_length=MAX_MEMBERS)]


class Kind(IntEnum):
    """What an entry is for."""

    DATA = 0
    """What the owner proposed."""
    NOOP = 1
    """The first entry of a leader: committing it commits what earlier leaders left."""
    CONFIGURATION = 2
    """The canonical encoding of a `Configuration`, in force from when it is in the log."""


class Configuration(Value, frozen=True):
    """Who takes part. Both sorted, without a peer in common; at most MAX_MEMBERS together."""

    voters: Peers
    """They elect and count. None: nobody can be elected (a node that waits to be told)."""
    learners: Peers
    """They get the log and do not count."""


class Entry(Value, frozen=True):
    """One place of the log; its index follows from where it is."""

    term: Term
    kind: Annotated[int, msgspec.Meta(ge=0, le=int(max(Kind)))]
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_ENTRY_BYTES)]


class HardState(Value, frozen=True):
    """What a node must not forget, lest it vote twice in a term."""

    term: Natural
    """The latest term seen; 0 before the first."""
    vote: Annotated[bytes, msgspec.Meta(max_length=ACCOUNT_BYTES)]
    """For whom it voted in `term`; empty for nobody."""


class Snapshot(Value, frozen=True):
    """Stands for all entries up to `index`, of which the last had `term`."""

    index: Natural
    term: Natural
    configuration: Configuration
    """The latest up to `index`."""
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_SNAPSHOT_BYTES)]
    """The owner's: whatever lets another owner get to the state after `index`."""


class RequestVote(Value, frozen=True, tag=0):
    """A candidate asks everybody; a pre-candidate asks whether it would be worth while."""

    term: Term
    """The candidate's; of a pre-candidate the one after its own."""
    pre: bool
    transfer: bool
    """The leader told the candidate to stand, so that its own lease does not protect it."""
    last_index: Natural
    last_term: Natural


class Vote(Value, frozen=True, tag=1):
    """Answers RequestVote. A granted one has the term of the question, a refused one that of the voter."""

    term: Natural
    pre: bool
    granted: bool


class Append(Value, frozen=True, tag=2):
    """The leader sends entries after `previous_index`, where the follower must have an entry of `previous_term`."""

    term: Term
    previous_index: Natural
    previous_term: Natural
    commit: Natural
    """The leader's."""
    entries: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=MAX_ENTRIES)]


class Appended(Value, frozen=True, tag=3):
    """Answers Append and InstallSnapshot: all up to `index` is as the leader's, and durable."""

    term: Term
    index: Natural


class Rejected(Value, frozen=True, tag=4):
    """Answers an Append that does not fit on the follower's log, or a message of a term that has passed (all zero)."""

    term: Term
    index: Natural
    """`previous_index` of what was refused."""
    hint_index: Natural
    """The follower's last index up to that whose term is at most `previous_term`: no later one can match."""
    hint_term: Natural
    """Its term."""


class Heartbeat(Value, frozen=True, tag=5):
    """The leader is there. `commit` is at most what the follower is known to have."""

    term: Term
    commit: Natural


class HeartbeatReply(Value, frozen=True, tag=6):
    """So is the follower."""

    term: Term


class Advance(Value, frozen=True, tag=7):
    """The leader tells at once, rather than with its next heartbeat, what was committed. No answer."""

    term: Term
    commit: Natural


class InstallSnapshot(Value, frozen=True, tag=8):
    """The leader has compacted away what the follower would need next."""

    term: Term
    snapshot: Snapshot


class TimeoutNow(Value, frozen=True, tag=9):
    """The leader asks a follower that has all of its log to stand for election at once."""

    term: Term


class Forgot(Value, frozen=True, tag=10):
    """A follower lost its disk, and with it what it had acknowledged to the leader of this term."""

    term: Term


Message = (
    RequestVote
    | Vote
    | Append
    | Appended
    | Rejected
    | Heartbeat
    | HeartbeatReply
    | Advance
    | InstallSnapshot
    | TimeoutNow
    | Forgot
)


def encode_message(message: Message) -> bytes:
    """Canonical bytes."""
    return encode(message)


def decode_message(data: bytes, *, limit: int) -> Message:
    """Decode and check. Raises MalformedError."""
    union: Any = Message
    message: Message = decode(union, data, limit=limit)
    check_message(message)
    return message


def check_message(message: Message) -> None:
    """Raise MalformedError for what no node can have meant, in whatever state it was."""
    kind = type(message)
    if kind is Append:
        _check_append(message)  # type: ignore[arg-type]
    elif kind is RequestVote:
        _check_point(message.last_index, message.last_term, message.term)  # type: ignore[union-attr]
    elif kind is Rejected:
        if message.hint_index > message.index:  # type: ignore[union-attr]
            raise MalformedError("a hint above what was rejected")
    elif kind is InstallSnapshot:
        snapshot = message.snapshot  # type: ignore[union-attr]
        _check_point(snapshot.index, snapshot.term, message.term)
        check_configuration(snapshot.configuration)
        if not snapshot.index:
            raise MalformedError("a snapshot of nothing")


def _check_append(message: Append) -> None:
    _check_point(message.previous_index, message.previous_term, message.term)
    term = message.previous_term
    for entry in message.entries:
        if entry.term < term:
            raise MalformedError(f"an entry of term {entry.term} after one of term {term}")
        term = entry.term
        if entry.kind:
            check_entry(entry)
    if term > message.term:
        raise MalformedError(f"an entry of term {term} from a leader of term {message.term}")
    if message.previous_index + len(message.entries) > MAX_INT:
        raise MalformedError("an index above the largest integer")


def _check_point(index: int, term: int, latest: int) -> None:
    if (index == 0) != (term == 0):
        raise MalformedError(f"index {index} has term {term}")
    if term > latest:
        raise MalformedError(f"an entry of term {term} told of in term {latest}")


def check_entry(entry: Entry) -> None:
    """Raise MalformedError for an entry whose data is not what its kind has."""
    if entry.kind == Kind.CONFIGURATION:
        decode_configuration(entry.data)
    elif entry.kind == Kind.NOOP and entry.data:
        raise MalformedError("a no-op with data")


def decode_configuration(data: bytes) -> Configuration:
    """Decode an entry's configuration and check it. Raises MalformedError."""
    configuration = decode(Configuration, data, limit=MESSAGE_OVERHEAD)
    check_configuration(configuration)
    return configuration


def check_configuration(configuration: Configuration) -> None:
    """Raise MalformedError unless sorted, distinct and within MAX_MEMBERS."""
    voters, learners = configuration.voters, configuration.learners
    members = {*voters, *learners}
    if len(members) != len(voters) + len(learners):
        raise MalformedError("a peer is in the configuration twice")
    if len(members) > MAX_MEMBERS:
        raise MalformedError(f"{len(members)} members, allowed are {MAX_MEMBERS}")
    if tuple(sorted(voters)) != voters or tuple(sorted(learners)) != learners:
        raise MalformedError("a configuration that is not sorted")
