"""Who takes part: one server is added or removed at a time (thesis 4.1), and a configuration is in force once in the log.

Majorities of two configurations that differ by one voter overlap, so that each change is safe by itself. Two uncommitted
ones at a time would not be, nor would the first change of a leader that has not committed an entry of its term yet
(https://groups.google.com/g/raft-dev/c/t4xj6dJTP6E): the leader asks `RaftNode` for neither.
"""

from collections.abc import Sequence

from chain.errors import Refused
from chain.ledgers.ordered.raft.messages import (
    MAX_MEMBERS,
    Configuration,
    Entry,
    Kind,
    Snapshot,
    decode_configuration,
)


class Membership:
    """The configurations of the log, oldest first, after that of its snapshot."""

    __slots__ = ("_history", "_members", "latest", "quorum", "voters")

    def __init__(self, snapshot: Snapshot, entries: Sequence[Entry]) -> None:
        self._history: list[tuple[int, Configuration]] = [(snapshot.index, snapshot.configuration)]
        self.note(snapshot.index + 1, entries)
        self._note_latest()

    def _note_latest(self) -> None:
        self.latest = self._history[-1][1]
        """In force."""
        self.voters = self.latest.voters
        self.quorum = len(self.voters) // 2 + 1
        self._members = tuple(sorted((*self.voters, *self.latest.learners)))

    @property
    def members(self) -> tuple[bytes, ...]:
        """Voters and learners, sorted."""
        return self._members

    @property
    def index(self) -> int:
        """Where the one in force is in the log."""
        return self._history[-1][0]

    def at(self, index: int) -> Configuration:
        """The one that was the latest at `index`."""
        return next(configuration for since, configuration in reversed(self._history) if since <= index)

    def note(self, first_index: int, entries: Sequence[Entry]) -> bool:
        """Take over configurations among new entries of the log. Return whether there were any."""
        before = len(self._history)
        for place, entry in enumerate(entries):
            if entry.kind == Kind.CONFIGURATION:
                self._history.append((first_index + place, decode_configuration(entry.data)))
        if len(self._history) == before:
            return False
        self._note_latest()
        return True

    def truncate(self, index: int) -> None:
        """The log has lost its entries from `index` on."""
        while self._history[-1][0] >= index:
            self._history.pop()
        self._note_latest()

    def compact(self, index: int) -> None:
        """The log begins after `index`."""
        while len(self._history) > 1 and self._history[1][0] <= index:
            del self._history[0]

    def restore(self, snapshot: Snapshot) -> None:
        """The log is `snapshot`."""
        self._history = [(snapshot.index, snapshot.configuration)]
        self._note_latest()

    def may_stand(self, peer: bytes, commit: int) -> bool:
        """Whether `peer` may be elected: a voter of the configuration in force, or of one that may still count.

        One that is being removed may hold the longest log, and be the only one who can get its removal committed
        (thesis 4.2.2).
        """
        if peer in self.voters:
            return True
        for since, configuration in reversed(self._history):
            if peer in configuration.voters:
                return True
            if since <= commit:
                return False
        return False


def with_learner(configuration: Configuration, peer: bytes) -> Configuration:
    """Raises Refused: already_member, too_many_members."""
    members = (*configuration.voters, *configuration.learners)
    if peer in members:
        raise Refused("already_member", peer.hex()[:16])
    if len(members) >= MAX_MEMBERS:
        raise Refused("too_many_members", f"there are {MAX_MEMBERS}")
    return Configuration(configuration.voters, tuple(sorted((*configuration.learners, peer))))


def with_voter(configuration: Configuration, peer: bytes) -> Configuration:
    """Make a learner a voter. Raises Refused: not_a_learner."""
    if peer not in configuration.learners:
        raise Refused("not_a_learner", peer.hex()[:16])
    return Configuration(
        tuple(sorted((*configuration.voters, peer))),
        tuple(learner for learner in configuration.learners if learner != peer),
    )


def without(configuration: Configuration, peer: bytes) -> Configuration:
    """Raises Refused: unknown_peer, last_voter."""
    if peer not in (*configuration.voters, *configuration.learners):
        raise Refused("unknown_peer", peer.hex()[:16])
    if configuration.voters == (peer,):
        raise Refused("last_voter", "nobody would be left to elect")
    return Configuration(
        tuple(voter for voter in configuration.voters if voter != peer),
        tuple(learner for learner in configuration.learners if learner != peer),
    )
