"""What a Raft node asks its owner to do. All values, no behaviour; carried out in the order in which they come.

They are msgspec structs rather than dataclasses because a node at work makes several of them per entry, and these are
made in a fifth of the time.
"""

import msgspec

from chain.errors import Refused
from chain.ledgers.ordered.raft.messages import Configuration, Entry, HardState, Snapshot


class NotLeaderError(Refused):
    """Only the leader can do that; `leader` is who it is, or None when nobody is known to be."""

    def __init__(self, leader: bytes | None) -> None:
        super().__init__("not_leader", "nobody is known to lead" if leader is None else f"{leader.hex()[:16]} leads")
        self.leader = leader


class Effect(msgspec.Struct, frozen=True, gc=False):
    """Base of all that a node returns."""


class Persist(Effect, frozen=True):
    """Make this durable, all or nothing, before any effect after it is carried out. In this order:"""

    hard_state: HardState | None
    """Replaces the one before; None: unchanged."""
    snapshot: Snapshot | None
    """Replaces the one before, and all entries up to its index; None: unchanged."""
    first_index: int | None
    """All stored entries from this index on are dropped, and `entries` take their places. None: entries are unchanged."""
    entries: tuple[Entry, ...]


class Send(Effect, frozen=True):
    """Send a message to a peer. It may be lost."""

    peer: bytes
    message: bytes


class Commit(Effect, frozen=True):
    """Apply this. Every node gives the same, in order of index; indexes of no-ops and configurations are left out."""

    index: int
    term: int
    data: bytes


class Install(Effect, frozen=True):
    """Get to the state that the snapshot names before the `Commit` after it is applied: those before never come."""

    snapshot: Snapshot


class Reconfigured(Effect, frozen=True):
    """A configuration was committed."""

    index: int
    configuration: Configuration


class BecameLeader(Effect, frozen=True):
    """This node leads: it may propose. What earlier leaders left commits with its first entry."""

    term: int


class SteppedDown(Effect, frozen=True):
    """This node led, and does not any more. What it proposed and has not given as `Commit` may or may not be yet.

    `reason`: ``no_quorum`` (not enough voters were heard), ``higher_term`` (another was elected or stands),
    ``transferred`` (as asked) or ``removed`` (by a configuration).
    """

    reason: str


class LeaderIs(Effect, frozen=True):
    """Who leads as far as this node knows; None: nobody."""

    peer: bytes | None


class TransferFailed(Effect, frozen=True):
    """The peer did not take over within an election timeout; this node goes on leading."""

    peer: bytes
