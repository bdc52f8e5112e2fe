"""The log in memory: entries after a snapshot, with how many bytes they have."""

from bisect import bisect_right
from collections.abc import Sequence

from chain.ledgers.ordered.raft.messages import ENTRY_OVERHEAD, Entry, Snapshot


class RaftLog:
    """Entries from after the snapshot's index to `last_index`. Only `term` may be asked beyond that."""

    __slots__ = ("_ends", "_entries", "_offset", "applied", "commit", "last_index", "last_term", "snapshot")

    def __init__(self, snapshot: Snapshot, entries: Sequence[Entry]) -> None:
        self.commit = self.applied = snapshot.index
        """Up to where entries are known to be committed, and were given to the owner."""
        self.snapshot = snapshot
        """Stands for what is no longer here; index 0 when nothing is missing."""
        self._offset = snapshot.index
        self._entries: list[Entry] = []
        # Bytes of all entries ever up to each that is here, after those up to the snapshot: differences are what counts.
        self._ends = [0]
        self._note_last()
        if entries:
            self.append(entries)

    def _note_last(self) -> None:
        self.last_index = self._offset + len(self._entries)
        self.last_term = self._entries[-1].term if self._entries else self.snapshot.term

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def held_bytes(self) -> int:
        """Of all entries here, as they are on the wire at most."""
        return self._ends[-1] - self._ends[0]

    @property
    def uncommitted_bytes(self) -> int:
        """Of the entries after `commit`."""
        return self._ends[-1] - self._ends[self.commit - self._offset]

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

    def between(self, first: int, last: int) -> Sequence[Entry]:
        """The entries from `first` to `last`, which must be here."""
        return self._entries[first - self._offset - 1 : last - self._offset]

    def since(self, index: int) -> tuple[Entry, ...]:
        """All entries from `index` on, which must not be compacted away."""
        return tuple(self._entries[index - self._offset - 1 :])

    def batch(self, index: int, *, max_bytes: int, max_entries: int) -> tuple[Entry, ...]:
        """The entries from `index` on that fit; the first always does."""
        start = index - self._offset - 1
        ends = self._ends
        stop = len(self._entries)
        if ends[stop] - ends[start] > max_bytes:
            stop = max(start + 1, bisect_right(ends, ends[start] + max_bytes) - 1)
        return tuple(self._entries[start : min(stop, start + max_entries)])

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries, at least one, at the end."""
        self._entries += entries
        end = self._ends[-1]
        for entry in entries:
            end += len(entry.data) + ENTRY_OVERHEAD
            self._ends.append(end)
        self.last_index += len(entries)
        self.last_term = entries[-1].term

    def truncate(self, index: int) -> None:
        """Drop the entries from `index` on."""
        place = index - self._offset - 1
        del self._entries[place:], self._ends[place + 1 :]
        self._note_last()

    def compact(self, snapshot: Snapshot) -> None:
        """Let `snapshot`, whose index is here, stand for all up to it."""
        place = snapshot.index - self._offset
        del self._entries[:place], self._ends[:place]
        self.snapshot, self._offset = snapshot, snapshot.index
        self._note_last()

    def restore(self, snapshot: Snapshot) -> None:
        """Drop everything for `snapshot`."""
        self._entries.clear()
        self._ends = [0]
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


def entries_bytes(entries: Sequence[Entry]) -> int:
    """What entries count against bounds in bytes."""
    return sum([len(entry.data) for entry in entries]) + ENTRY_OVERHEAD * len(entries)
