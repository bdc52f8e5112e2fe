"""The append-only record of what happened: what checkers and reports read, and what makes a run comparable.

One JSON object a line, in the order of happening: ``{"t": ms since the run began, "a": actor, "k": kind, …}``.
The journal's hash is the SHA-256 of those lines; two runs of one simulation have the same.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec

Listener = Callable[[int, str, str, dict[str, Any]], None]
"""(time in ms since the run began, actor, kind, fields)."""


class Journal:
    """Records go to the hash, to the file when there is one, and to the listeners; none is kept in memory.

    `now_ms` is the run's clock, `origin_ms` the time that counts as zero.
    """

    def __init__(self, now_ms: Callable[[], int], origin_ms: int, path: Path | None = None) -> None:
        self._now_ms = now_ms
        self._origin_ms = origin_ms
        self._hash = sha256()
        self._encode = msgspec.json.Encoder().encode
        self._file: BinaryIO | None = path.open("wb") if path else None
        self._listeners: list[Listener] = []
        self.records = 0

    def listen(self, listener: Listener) -> None:
        """Call `listener` for every record from now on, synchronously."""
        self._listeners.append(listener)

    def record(self, actor: str, kind: str, **fields: Any) -> None:
        """Append one record. Field values are JSON-ready: text, integers, floats, booleans, lists of these."""
        t = self._now_ms() - self._origin_ms
        line = self._encode({"t": t, "a": actor, "k": kind, **fields}) + b"\n"
        self._hash.update(line)
        if self._file is not None:
            self._file.write(line)
        self.records += 1
        for listener in self._listeners:
            listener(t, actor, kind, fields)

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of all lines so far."""
        return self._hash.hexdigest()

    def flush(self) -> None:
        """Hand what was recorded to the system: it survives the death of the process from then on."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Flush and close the file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
