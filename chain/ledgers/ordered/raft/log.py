"""The log in memory: entries after a snapshot, with how many bytes they have."""

from collections.abc import Sequence

from chain.ledgers.ordered.raft.messages import ENTRY_OVERHEAD, Entry, Snapshot


class RaftLog:
    """Entries `first_index` to `last_index`. Only `term` may be asked beyond that."""

    __slots__ = ("_entries", "_offset", "applied", "bytes", "commit", "last_index", "last_term", "snapshot")

    def __init__(self, snapshot: Snapshot, entries: Sequence[Entry]) -> None:
        self.commit = self.applied = snapshot.index
        """Up to where entries are known to be committed, and were given to the owner."""
        self.snapshot = snapshot
        """Stands for what is no longer here; index 0 when nothing is missing."""
        self._offset = snapshot.index
        self._entries = list(entries)
        self.bytes = sum(entry_bytes(entry) for entry in entries)
        """Of all entries here, as they are on the wire at most."""
        self._note_last()

    def _note_last(self) -> None:
        self.last_index = self._offset + len(self._entries)
        self.last_term = self._entries[-1].term if self._entries else self.snapshot.term

    def __len__(self) -> int:
        return len(self._entries)

    def term(self, index: int) -> int | None:
        """The term of the entry at `index`; None when it is compacted away or not there yet."""
        place = index - self._offset
        if place == 0:
            return self.snapshot.term
        if 0 < place <= len(self._entries):
            return self._entries[place - 1].term
        return None

    def entry(self, index: int) -> Entry:
        """The entry at `index`, which must be here."""
        return self._entries[index - self._offset - 1]

    def since(self, index: int) -> tuple[Entry, ...]:
        """All entries from `index` on, which must not be compacted away."""
        return tuple(self._entries[index - self._offset - 1 :])

    def batch(self, index: int, *, max_bytes: int, max_entries: int) -> tuple[Entry, ...]:
        """The entries from `index` on that fit; the first always does."""
        start = index - self._offset - 1
        entries = self._entries[start : start + max_entries]
        room = max_bytes
        for place, entry in enumerate(entries):
            room -= len(entry.data) + ENTRY_OVERHEAD
            if room < 0 and place:
                return tuple(entries[:place])
        return tuple(entries)

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries at the end."""
        self._entries += entries
        for entry in entries:
            self.bytes += len(entry.data) + ENTRY_OVERHEAD
        self.last_index += len(entries)
        self.last_term = entries[-1].term

    def truncate(self, index: int) -> None:
        """Drop the entries from `index` on."""
        place = index - self._offset - 1
        self.bytes -= sum(entry_bytes(entry) for entry in self._entries[place:])
        del self._entries[place:]
        self._note_last()

    def compact(self, snapshot: Snapshot) -> None:
        """Let `snapshot`, whose index is here, stand for all up to it."""
        place = snapshot.index - self._offset
        self.bytes -= sum(entry_bytes(entry) for entry in self._entries[:place])
        del self._entries[:place]
        self.snapshot, self._offset = snapshot, snapshot.index
        self._note_last()

    def restore(self, snapshot: Snapshot) -> None:
        """Drop everything for `snapshot`."""
        self._entries.clear()
        self.bytes = 0
        self.snapshot, self._offset = snapshot, snapshot.index
        self.commit = self.applied = snapshot.index
        self._note_last()

    def last_not_above(self, index: int, term: int) -> tuple[int, int]:
        """The last index up to `index`, and its term, whose term is at most `term`; (index, 0) where that is unknown.

        Two logs cannot agree above it when the other has an entry of `term` at `index`. It takes a step per entry, not per
        term: a follower's uncommitted tail is bounded, and this is asked once per conflict.
        """
        index = min(index, self.last_index)
        while (found := self.term(index)) is not None:
            if found <= term:
                return index, found
            index -= 1
        return index, 0


def entry_bytes(entry: Entry) -> int:
    """What an entry counts against bounds in bytes."""
    return len(entry.data) + ENTRY_OVERHEAD
