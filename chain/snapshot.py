"""A world state as bounded chunks of bytes: for stores, and for peers that catch up.

Chunks say nothing about each other. Whoever puts them together compares the state's root with a header's.
"""

from collections.abc import Iterable, Iterator

from chain.codec import decode, encode
from chain.errors import MalformedError
from chain.state import Entry, Version, WorldState
from chain.values import Natural

CHUNK_BYTES = 256 * 1024
"""A chunk is at most this long, or has one entry."""
MAX_CHUNK_BYTES = 512 * 1024
_ENTRY_OVERHEAD = 32

_Row = tuple[bytes, bytes, Natural, Natural]


def state_chunks(state: WorldState) -> Iterator[bytes]:
    """Yield the encoded chunks of a state, in order of keys; at least one, even if empty."""
    rows: list[_Row] = []
    size = 0
    for key, (value, version) in state.scan(b""):
        added = len(key) + len(value) + _ENTRY_OVERHEAD
        if rows and size + added > CHUNK_BYTES:
            yield encode(rows)
            rows, size = [], 0
        rows.append((key, value, version.height, version.index))
        size += added
    yield encode(rows)


def state_of(chunks: Iterable[bytes]) -> WorldState:
    """Put a state together. Raises MalformedError for bytes that are no chunk, and for keys out of order."""
    entries: list[tuple[bytes, Entry]] = []
    for chunk in chunks:
        for key, value, height, index in decode(tuple[_Row, ...], chunk, limit=MAX_CHUNK_BYTES):
            if entries and key <= entries[-1][0]:
                raise MalformedError("keys of a state are out of order")
            entries.append((key, Entry(value, Version(height, index))))
    return WorldState.of(entries)
