"""What one node may choose, and what all nodes of a cluster should choose alike: the times."""

from dataclasses import dataclass

from chain.ledgers.ordered.raft.messages import ENTRY_OVERHEAD, MAX_ENTRIES, MAX_ENTRY_BYTES, MESSAGE_OVERHEAD
from chain.ledgers.ordered.raft.messages import MAX_SNAPSHOT_BYTES as _MAX_SNAPSHOT_BYTES


@dataclass(frozen=True, slots=True)
class RaftConfig:
    """Times, sizes and bounds. Raises ValueError for what cannot work."""

    tick_ms: int = 100
    """The unit of the other two times. It should be above the time that a message and its answer take."""
    election_ticks: int = 10
    """A follower stands when it heard no leader for this long up to twice this long; a leader steps down when it heard
    no quorum for this long. Above `heartbeat_ticks`."""
    heartbeat_ticks: int = 1
    max_entry_bytes: int = 1024 * 1024
    """Data of one proposal."""
    max_append_bytes: int = 1024 * 1024
    """Entries in one message; a longer one goes alone."""
    max_append_entries: int = 1_024
    """At most MAX_ENTRIES."""
    max_inflight: int = 64
    """Messages with entries that a follower may have unanswered."""
    max_uncommitted_entries: int = 4_096
    max_uncommitted_bytes: int = 64 * 1024 * 1024
    """Beyond either, proposals are refused with ``log_full``; one always fits where all is committed."""
    max_log_entries: int = 65_536
    max_log_bytes: int = 512 * 1024 * 1024
    """Entries that are not compacted. Beyond, a leader refuses proposals and a follower takes no more entries, until its
    owner compacts."""
    max_snapshot_bytes: int = 64 * 1024
    learner_gap: int = 1_000
    """A learner becomes a voter when it lacks at most so many of the leader's entries."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        for name, most in (
            ("heartbeat_ticks", self.election_ticks - 1),
            ("max_append_entries", MAX_ENTRIES),
            ("max_entry_bytes", MAX_ENTRY_BYTES),
            ("max_snapshot_bytes", _MAX_SNAPSHOT_BYTES),
            # Half of a log stays for the first entries of leaders, which are refused nowhere, and for what is committed.
            ("max_uncommitted_entries", self.max_log_entries // 2),
            ("max_uncommitted_bytes", self.max_log_bytes // 2),
            ("max_entry_bytes", self.max_log_bytes // 2 - ENTRY_OVERHEAD),
        ):
            if getattr(self, name) > most:
                raise ValueError(f"{name} is {getattr(self, name)}, allowed are 1 to {most}")

    @property
    def election_ms(self) -> int:
        """The least time without a leader after which one stands."""
        return self.tick_ms * self.election_ticks

    @property
    def heartbeat_ms(self) -> int:
        """How often a leader says that it is there."""
        return self.tick_ms * self.heartbeat_ticks

    @property
    def max_message_bytes(self) -> int:
        """What a transport must be able to carry, and the longest message that a node reads."""
        entries = max(self.max_append_bytes, self.max_entry_bytes + ENTRY_OVERHEAD)
        return max(entries, self.max_snapshot_bytes) + MESSAGE_OVERHEAD
