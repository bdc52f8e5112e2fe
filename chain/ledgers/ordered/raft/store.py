"""What survives a restart of a Raft node: hard state, snapshot, entries after it.

`RaftStore` is the protocol, `MemoryRaftStore` the reference that every other implementation must behave like
(`tests/chain/ordered/raft/store_conformance.py`). A store does not judge what it is given.
"""

from dataclasses import dataclass
from typing import Protocol

from chain.errors import MalformedError, StoreError
from chain.ledgers.ordered.raft.events import Persist
from chain.ledgers.ordered.raft.log import RaftLog
from chain.ledgers.ordered.raft.messages import (
    Configuration,
    Entry,
    HardState,
    Snapshot,
    check_configuration,
    check_entry,
)


@dataclass(frozen=True, slots=True)
class Stored:
    """All that a node needs to be where it was."""

    hard_state: HardState
    """Term 0 and no vote when none was saved."""
    snapshot: Snapshot | None
    entries: tuple[Entry, ...]
    """From the index after the snapshot's on, or from 1."""


class RaftStore(Protocol):
    """One node's memory. Every method may raise StoreError."""

    def persist(self, persist: Persist) -> None:
        """Keep all of it or nothing. What is kept when this returns survives what the store's durability says."""

    def load(self) -> Stored | None:
        """Return what was kept; None when nothing was."""

    def close(self) -> None:
        """Let go of files. Nothing else may be called afterwards."""


class MemoryRaftStore:
    """Keeps it in this process: for simulations, and as the plain model in tests. Survives nothing."""

    def __init__(self) -> None:
        self._hard_state: HardState | None = None
        self._snapshot: Snapshot | None = None
        self._entries: list[Entry] = []

    def persist(self, persist: Persist) -> None:
        base = self._snapshot.index if self._snapshot is not None else 0
        check_persist(persist, base, base + len(self._entries))
        if persist.hard_state is not None:
            self._hard_state = persist.hard_state
        if persist.snapshot is not None:
            del self._entries[: persist.snapshot.index - base]
            self._snapshot = persist.snapshot
            base = persist.snapshot.index
        if persist.first_index is not None:
            self._entries[persist.first_index - base - 1 :] = persist.entries

    def load(self) -> Stored | None:
        if self._hard_state is None and self._snapshot is None and not self._entries:
            return None
        return Stored(self._hard_state or HardState(0, b""), self._snapshot, tuple(self._entries))

    def close(self) -> None:
        """Nothing to let go of."""


def check_persist(persist: Persist, base: int, last: int) -> None:
    """Raise StoreError for what would leave a gap in a log that goes from `base` + 1 to `last`."""
    if persist.snapshot is not None:
        if persist.snapshot.index < base:
            raise StoreError(f"a snapshot at {persist.snapshot.index}, there is one at {base}")
        base = persist.snapshot.index
        last = max(last, base)
    if persist.first_index is not None and not base < persist.first_index <= last + 1:
        raise StoreError(f"entries from {persist.first_index} on, where the log has {base + 1} to {last}")
    if persist.entries and persist.first_index is None:
        raise StoreError("entries without a place")


def restored_log(founding: Configuration, stored: Stored | None, applied: int) -> tuple[RaftLog, HardState]:
    """Return what a node starts with: `stored`, or nothing after `founding`. Raises StoreError for what cannot be."""
    try:
        check_configuration(founding)
        for entry in stored.entries if stored is not None else ():
            check_entry(entry)
    except MalformedError as error:
        raise StoreError(str(error)) from error
    beginning = Snapshot(0, 0, founding, b"")
    if stored is None:
        stored = Stored(HardState(0, b""), None, ())
    snapshot = stored.snapshot or beginning
    terms = [snapshot.term, *(entry.term for entry in stored.entries), stored.hard_state.term]
    if terms != sorted(terms):
        raise StoreError("the terms of the log and of the hard state do not rise")
    log = RaftLog(snapshot, stored.entries)
    if not 0 <= applied <= log.last_index:
        raise StoreError(f"index {applied} was applied, the log ends at {log.last_index}")
    log.commit = log.applied = max(applied, snapshot.index)
    return log, stored.hard_state
