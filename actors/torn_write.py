"""A power cut in the midst of a write to a SQLite database: its write-ahead log ends, or turns to noise, somewhere.

The log (sqlite.org/fileformat2.html, "The Write-Ahead Log"): a header of 32 bytes with the page size and two salts; then
frames, each 24 bytes and a page. A frame with the header's salts is of this log and not of an older one, and one that
gives the size of the database ends a transaction. What SQLite cannot check by its sums it takes for not written.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24


def tear(path: Path, close: Callable[[], None], rng: Random) -> int:
    """Leave the database at `path` as a power cut in its last transaction would have. `close` closes it in order.

    Returns how many bytes of that transaction are gone, or are noise; 0 when the log holds none. Closing alone would
    write the log into the database: therefore what is there is copied before, and put back.
    """
    log = path.with_name(path.name + "-wal")
    kept = path.with_name(path.name + ".torn")
    data = log.read_bytes() if log.exists() else b""
    begin, end = last_transaction(data)
    if begin < end:
        shutil.copyfile(path, kept)
    close()
    if begin == end:
        return 0
    kept.replace(path)
    at = rng.randrange(begin, end)
    noise = rng.randbytes(end - at) if rng.random() < 0.5 else b""
    log.write_bytes(data[:at] + noise)
    return end - at


def last_transaction(log: bytes) -> tuple[int, int]:
    """Where the last transaction of a log begins and ends, in bytes; the same number twice when there is none."""
    begin = end = HEADER_BYTES
    page_bytes, salts = int.from_bytes(log[8:12], "big"), log[16:24]
    place = HEADER_BYTES
    while len(log) >= place + FRAME_HEADER_BYTES + page_bytes and log[place + 8 : place + 16] == salts:
        ends = any(log[place + 4 : place + 8])
        place += FRAME_HEADER_BYTES + page_bytes
        if ends:
            begin, end = end, place
    return begin, end
