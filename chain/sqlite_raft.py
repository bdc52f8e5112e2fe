"""The Raft store over SQLite: write-ahead log, one transaction per `Persist`.

Durability ``"power"`` (synchronous=FULL): what `persist` returned from survives a power cut, at the price of an fsync.
``"kill"`` (NORMAL): the death of the process alone; a node that forgets its vote after a power cut may vote twice, so
such a cluster must not lose power at several nodes. One process may have a store open at a time.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from chain.codec import decode, encode
from chain.errors import MalformedError, StoreError
from chain.ledgers.ordered.raft.events import Persist
from chain.ledgers.ordered.raft.messages import (
    MAX_SNAPSHOT_BYTES,
    MESSAGE_OVERHEAD,
    Entry,
    HardState,
    Snapshot,
    check_configuration,
    check_entry,
)
from chain.ledgers.ordered.raft.store import Stored, check_persist
from chain.values import BlockId

SCHEMA = 1
_APPLICATION_ID = 0x63_6D_72_66  # "cmrf": so that no other program's database is taken for ours
_SYNCHRONOUS = {"kill": "NORMAL", "power": "FULL"}

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
    place INTEGER PRIMARY KEY,    -- index in the log
    term INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    data BLOB NOT NULL
);
"""


class SqliteRaftStore:
    """A `chain.ledgers.ordered.raft.store.RaftStore` in one file (and SQLite's -wal beside it)."""

    def __init__(
        self, path: Path | str, chain: BlockId, node: bytes, *, durability: Literal["kill", "power"] = "power"
    ) -> None:
        """Open the store at `path`, or make it, for one node of the network whose genesis id is `chain`.

        Reads all of the file to check it. Raises StoreError when it is open elsewhere, is damaged, is no such store, is of
        another network or node, or of a newer schema.
        """
        self._path = str(path)
        self._base = self._last = 0
        with self._blame():
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            with self._blame():
                self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._found_or_check(chain, node)
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
        except BaseException:
            self._db.close()
            raise

    def _found_or_check(self, chain: BlockId, node: bytes) -> None:
        application = self._number("PRAGMA application_id")
        if application != _APPLICATION_ID:
            if application or self._number("SELECT count(*) FROM sqlite_master"):
                raise StoreError(f"{self._path} is a database of something else")
            self._db.executescript(
                f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {SCHEMA};"
            )
            self._set("chain", chain)
            self._set("node", node)
            self._db.execute("COMMIT")
        schema = self._number("PRAGMA user_version")
        if schema != SCHEMA:
            raise StoreError(f"{self._path} has schema {schema}, this program reads {SCHEMA}")
        for key, name, ours in (("chain", "network", chain), ("node", "node", node)):
            found = self._get(key)
            if found != ours:
                raise StoreError(
                    f"{self._path} is of the {name} {(found or b'').hex()[:16]}, this is {ours.hex()[:16]}"
                )
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise self._damaged(verdict)
        try:
            stored = self.load()
        except MalformedError as error:
            raise self._damaged(str(error)) from error
        if stored is not None:
            self._base = stored.snapshot.index if stored.snapshot is not None else 0
            self._last = self._base + len(stored.entries)

    def _damaged(self, verdict: object) -> StoreError:
        return StoreError(
            f"{self._path} is damaged ({verdict}): a node that forgot its votes and log must come back as a new member"
        )

    @contextmanager
    def _blame(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def _number(self, sql: str) -> int:
        return int(self._db.execute(sql).fetchone()[0])

    def _get(self, key: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return bytes(row[0]) if row is not None else None

    def _set(self, key: str, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def persist(self, persist: Persist) -> None:
        check_persist(persist, self._base, self._last)
        base, last = self._base, self._last
        with self._blame():
            db = self._db
            db.execute("BEGIN IMMEDIATE")
            try:
                if persist.hard_state is not None:
                    self._set("hard_state", encode(persist.hard_state))
                if persist.snapshot is not None:
                    base = persist.snapshot.index
                    last = max(last, base)
                    self._set("snapshot", encode(persist.snapshot))
                    db.execute("DELETE FROM entries WHERE place <= ?", (base,))
                first = persist.first_index
                if first is not None:
                    if first <= last:
                        db.execute("DELETE FROM entries WHERE place >= ?", (first,))
                    db.executemany(
                        "INSERT INTO entries VALUES (?, ?, ?, ?)",
                        [
                            (place, entry.term, int(entry.kind), entry.data)
                            for place, entry in enumerate(persist.entries, first)
                        ],
                    )
                    last = first + len(persist.entries) - 1
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
        self._base, self._last = base, last

    def load(self) -> Stored | None:
        with self._blame():
            state, kept = self._get("hard_state"), self._get("snapshot")
            rows = self._db.execute("SELECT place, term, kind, data FROM entries ORDER BY place").fetchall()
        if state is None and kept is None and not rows:
            return None
        snapshot = None
        if kept is not None:
            snapshot = decode(Snapshot, kept, limit=MAX_SNAPSHOT_BYTES + MESSAGE_OVERHEAD)
            check_configuration(snapshot.configuration)
        base = snapshot.index if snapshot is not None else 0
        if rows and (rows[0][0] != base + 1 or rows[-1][0] != base + len(rows)):
            raise self._damaged(f"{len(rows)} entries from {rows[0][0]} to {rows[-1][0]} after {base}")
        try:
            entries = msgspec.convert([row[1:] for row in rows], tuple[Entry, ...], builtin_types=(bytes,))
        except msgspec.ValidationError as error:
            raise MalformedError(str(error)) from None
        for entry in entries:
            if entry.kind:
                check_entry(entry)
        hard_state = decode(HardState, state, limit=MESSAGE_OVERHEAD) if state is not None else HardState(0, b"")
        return Stored(hard_state, snapshot, entries)

    def close(self) -> None:
        with self._blame():
            self._db.close()
