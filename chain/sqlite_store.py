"""The store over SQLite: write-ahead log, one transaction per `Save`, rows for an explorer's look-ups.

Durability ``"kill"`` (synchronous=NORMAL): what `save` returned from survives the death of the process. ``"power"``
(FULL): also a power cut, at the price of an fsync per save. One process may have a store open at a time. One thread
may save while another reads: what is final reads the same all the time, what a save is about may not be there yet.

A store that prunes reuses the room of what it drops: its file stops growing, and does not shrink.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from chain.codec import block_id, decode_own, encode
from chain.errors import MalformedError, StoreError
from chain.ledger import Save
from chain.snapshot import state_chunks, state_of
from chain.state import WorldState
from chain.store import Loaded, StoredBlock, StoredEvent, check_events_limit, events_of, pruned_below
from chain.values import Block, BlockId, Event, Header, Receipt, Transaction, TxId

SCHEMA = 3
_APPLICATION_ID = 0x63_6D_73_68  # "cmsh": so that no other program's database is taken for ours
_SYNCHRONOUS = {"kill": "NORMAL", "power": "FULL"}

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (
    seq INTEGER PRIMARY KEY,      -- order of saving: parents first
    id BLOB NOT NULL UNIQUE,
    parent BLOB NOT NULL,
    height INTEGER NOT NULL,
    best INTEGER NOT NULL,        -- 1 on the best chain
    header BLOB NOT NULL,
    transactions BLOB,            -- NULL where only the header is known, or was kept
    receipts BLOB,
    evidence BLOB NOT NULL DEFAULT x'90',  -- an array of none, as on proof of work, and where `transactions` is NULL
    seal BLOB NOT NULL DEFAULT x''
);
CREATE INDEX blocks_by_height ON blocks (best, height);
CREATE TABLE transactions (
    id BLOB NOT NULL, block INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (id, block)
) WITHOUT ROWID;
CREATE INDEX transactions_by_block ON transactions (block);
CREATE TABLE events (
    block INTEGER NOT NULL,
    place INTEGER NOT NULL,       -- of the transaction in the block
    position INTEGER NOT NULL,    -- of the event in the receipt
    height INTEGER NOT NULL,
    tx BLOB NOT NULL,
    contract TEXT NOT NULL,
    name TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (block, place, position)
) WITHOUT ROWID;
CREATE INDEX events_by_height ON events (height, place, position);
CREATE INDEX events_by_name ON events (contract, name, height);
CREATE TABLE snapshot (chunk INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""
_MIGRATIONS = {
    1: "INSERT INTO meta VALUES ('pruned', x'00')",
    2: "ALTER TABLE blocks ADD COLUMN evidence BLOB NOT NULL DEFAULT x'90';"
    " ALTER TABLE blocks ADD COLUMN seal BLOB NOT NULL DEFAULT x''",
}
"""What makes a store of each older schema one of the next; all of them, or none, when a store is opened."""


_REPETITIONS = 64
"""Blocks with one transaction that are looked through for the one where it was valid: nobody repeats what is valid
before it was."""


class SqliteStore:
    """A `chain.store.Store` in one file (and SQLite's -wal beside it)."""

    def __init__(
        self,
        path: Path | str,
        chain: BlockId,
        *,
        durability: Literal["kill", "power"] = "kill",
        keep_blocks: int | None = None,
    ) -> None:
        """Open the store at `path`, or make it, for the network whose genesis id is `chain`; see `pruned_below`.

        Reads all of the file to check it. A store of an older schema is brought up to date. Raises StoreError when it is
        open elsewhere, is damaged, is no store, is of another network, or of a newer schema.
        """
        self._path = str(path)
        self._keep_blocks = keep_blocks
        with self._blame():
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            with self._blame():
                self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._found_or_check(chain)
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
        except BaseException:
            self._db.close()
            raise

    def _found_or_check(self, chain: BlockId) -> None:
        application = self._number("PRAGMA application_id")
        if application != _APPLICATION_ID:
            if application or self._number("SELECT count(*) FROM sqlite_master"):
                raise StoreError(f"{self._path} is a database of something else")
            self._db.executescript(
                f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {SCHEMA};"
            )
            self._set("chain", chain)
            self._set("base", 0)
            self._set("pruned", 0)
            self._db.execute("COMMIT")
        self._migrate(self._number("PRAGMA user_version"))
        found = self._get("chain")
        if found != chain:
            raise StoreError(f"{self._path} is of the network {found.hex()[:16]}, this is {chain.hex()[:16]}")
        self._check()

    def _migrate(self, schema: int) -> None:
        if schema == SCHEMA:
            return
        steps = range(schema, SCHEMA)
        if not steps or not all(step in _MIGRATIONS for step in steps):
            raise StoreError(f"{self._path} has schema {schema}, this program reads 1 to {SCHEMA}")
        script = " ".join(f"{_MIGRATIONS[step]};" for step in steps)
        self._db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {SCHEMA}; COMMIT")

    def _check(self) -> None:
        """Find damage now, rather than when a peer asks for the block that it hit."""
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict == "ok" and self._number("SELECT count(*) FROM meta WHERE key = 'head'"):
            headers, top, known = self._db.execute(
                "SELECT count(*), max(height), max(id = ?) FROM blocks WHERE best = 1", (self._get("head"),)
            ).fetchone()
            base, final = (decode_own(int, self._get(key)) for key in ("base", "final"))
            if not (known and headers == top and base <= final <= top):
                verdict = f"{headers} headers up to {top}, head {'known' if known else 'unknown'}, final {final}"
        if verdict != "ok":
            raise StoreError(
                f"{self._path} is damaged ({verdict}): move it away, and what is missing comes back from other nodes"
            )

    @contextmanager
    def _blame(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, MalformedError) as error:
            raise StoreError(f"{self._path}: {error}") from error

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._blame():
            yield self._db

    def _number(self, sql: str, *values: object) -> int:
        row = self._db.execute(sql, values).fetchone()
        return int(row[0])

    def _get(self, key: str) -> bytes:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise StoreError(f"{self._path} lacks its {key}")
        return bytes(row[0])

    def _set(self, key: str, value: bytes | int) -> None:
        data = value if isinstance(value, bytes) else encode(value)
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, data))

    # --- writing --------------------------------------------------------------------------------------------------

    def save(self, save: Save) -> None:
        with self._using() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                for header in save.headers:
                    self._add_header(header)
                for block, receipts in save.blocks:
                    self._add_block(block, receipts)
                self._follow(save.head)
                self._set("head", save.head)
                self._set("final", save.final_height)
                self._forget_lost_branches(save.final_height)
                if save.snapshot is not None:
                    self._keep(save.snapshot, save.final_height)
                self._prune(save.final_height)
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _add_header(self, header: Header) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO blocks (id, parent, height, best, header) VALUES (?, ?, ?, 0, ?)",
            (block_id(header), header.parent, header.height, encode(header)),
        )

    def _add_block(self, block: Block, receipts: Sequence[Receipt]) -> None:
        header = block.header
        added = self._db.execute(
            "INSERT OR IGNORE INTO blocks (id, parent, height, best, header, transactions, receipts, evidence, seal)"
            " VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?)",
            (
                block_id(header),
                header.parent,
                header.height,
                encode(header),
                encode(block.transactions),
                encode(receipts),
                encode(block.evidence),
                block.seal,
            ),
        )
        if not added.rowcount:
            return
        seq = added.lastrowid
        if block.transactions:
            self._db.executemany(
                "INSERT INTO transactions VALUES (?, ?, ?)",
                [(tx, seq, place) for tx, place in _places(receipts).items()],
            )
            self._db.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        seq,
                        at.index,
                        at.position,
                        at.height,
                        at.transaction,
                        at.event.contract,
                        at.event.name,
                        at.event.data,
                    )
                    for at in events_of(block, receipts)
                ],
            )

    def _follow(self, head: BlockId) -> None:
        """Mark the branch that ends in `head` as the best chain."""
        branch: list[tuple[int]] = []
        fork = 0
        found: bytes = head
        while (row := self._block_row(found)) is not None:
            seq, parent, height, best = row
            if best:
                fork = height
                break
            branch.append((seq,))
            found = parent
        self._db.execute("UPDATE blocks SET best = 0 WHERE best = 1 AND height > ?", (fork,))
        self._db.executemany("UPDATE blocks SET best = 1 WHERE seq = ?", branch)

    def _block_row(self, found: bytes) -> tuple[int, bytes, int, int] | None:
        row: tuple[int, bytes, int, int] | None = self._db.execute(
            "SELECT seq, parent, height, best FROM blocks WHERE id = ?", (found,)
        ).fetchone()
        return row

    def _forget_lost_branches(self, final_height: int) -> None:
        lost = self._db.execute("SELECT seq FROM blocks WHERE best = 0 AND height <= ?", (final_height,)).fetchall()
        for table, column in (("events", "block"), ("transactions", "block"), ("blocks", "seq")):
            self._db.executemany(f"DELETE FROM {table} WHERE {column} = ?", lost)  # noqa: S608 - constants

    def _keep(self, state: WorldState, height: int) -> None:
        self._db.execute("DELETE FROM snapshot")
        self._db.executemany("INSERT INTO snapshot VALUES (?, ?)", enumerate(state_chunks(state)))
        self._set("base", height)

    def _prune(self, final_height: int) -> None:
        """Drop bodies, indexes and events of blocks that are old enough, and leave their headers."""
        if self._keep_blocks is None:
            return
        below = pruned_below(decode_own(int, self._get("base")), final_height, self._keep_blocks)
        before = decode_own(int, self._get("pruned"))
        if below <= before:
            return
        old = self._db.execute(
            "SELECT seq FROM blocks WHERE best = 1 AND height > ? AND height <= ?", (before, below)
        ).fetchall()
        for table in ("events", "transactions"):
            self._db.executemany(f"DELETE FROM {table} WHERE block = ?", old)  # noqa: S608 - constants
        self._db.executemany(
            "UPDATE blocks SET transactions = NULL, receipts = NULL, evidence = x'90', seal = x'' WHERE seq = ?", old
        )
        self._set("pruned", below)

    # --- reading --------------------------------------------------------------------------------------------------

    def load(self) -> Loaded | None:
        with self._using() as db:
            if not self._number("SELECT count(*) FROM meta WHERE key = 'head'"):
                return None
            base = decode_own(int, self._get("base"))
            chunks = [row[0] for row in db.execute("SELECT data FROM snapshot ORDER BY chunk")]
            headers = db.execute("SELECT header FROM blocks WHERE best = 1 AND height <= ? ORDER BY height", (base,))
            blocks = db.execute(
                "SELECT header, transactions, receipts, evidence, seal FROM blocks"
                " WHERE height > ? AND transactions IS NOT NULL ORDER BY seq",
                (base,),
            )
            return Loaded(
                headers=tuple(decode_own(Header, row[0]) for row in headers) if chunks else (),
                snapshot=state_of(chunks) if chunks else None,
                blocks=tuple((stored.block, stored.receipts) for stored in map(_stored, blocks)),
                head=BlockId(self._get("head")),
                final_height=decode_own(int, self._get("final")),
            )

    def header(self, height: int) -> Header | None:
        with self._using() as db:
            row = db.execute("SELECT header FROM blocks WHERE best = 1 AND height = ?", (height,)).fetchone()
            return decode_own(Header, row[0]) if row is not None else None

    def block(self, block_id: BlockId) -> StoredBlock | None:
        return self._one_block("id = ?", block_id)

    def block_at(self, height: int) -> StoredBlock | None:
        return self._one_block("height = ?", height)

    def _one_block(self, condition: str, value: bytes | int) -> StoredBlock | None:
        with self._using() as db:
            row = db.execute(
                "SELECT header, transactions, receipts, evidence, seal FROM blocks"  # noqa: S608 - conditions are constants
                f" WHERE best = 1 AND transactions IS NOT NULL AND {condition}",
                (value,),
            ).fetchone()
            return _stored(row) if row is not None else None

    def locate(self, tx_id: TxId) -> tuple[BlockId, int] | None:
        with self._using() as db:
            rows = db.execute(
                "SELECT b.id, t.place, b.receipts FROM transactions t JOIN blocks b ON b.seq = t.block"
                " WHERE t.id = ? AND b.best = 1 ORDER BY b.height LIMIT ?",
                (tx_id, _REPETITIONS),
            ).fetchall()
            if len(rows) > 1:
                rows.sort(key=lambda row: not decode_own(tuple[Receipt, ...], row[2])[row[1]].ok)
            return (BlockId(rows[0][0]), rows[0][1]) if rows else None

    def events(
        self, *, contract: str | None = None, name: str | None = None, since_height: int = 0, limit: int = 100
    ) -> Sequence[StoredEvent]:
        check_events_limit(limit)
        conditions = ["b.best = 1", "e.height >= ?"]
        values: list[object] = [since_height]
        for column, value in (("e.contract", contract), ("e.name", name)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        with self._using() as db:
            rows = db.execute(
                "SELECT e.height, e.place, e.position, e.tx, e.contract, e.name, e.data"  # noqa: S608 - constants
                f" FROM events e JOIN blocks b ON b.seq = e.block WHERE {' AND '.join(conditions)}"
                " ORDER BY e.height, e.place, e.position LIMIT ?",
                (*values, limit),
            )
            return [
                StoredEvent(height, place, position, TxId(tx), Event(of, called, data))
                for height, place, position, tx, of, called, data in rows
            ]

    def close(self) -> None:
        with self._using() as db:
            db.close()


def _places(receipts: Sequence[Receipt]) -> dict[TxId, int]:
    """Where each transaction of a block is: where it was valid, else where it comes first."""
    places: dict[TxId, int] = {}
    for place, receipt in enumerate(receipts):
        if receipt.ok or receipt.transaction not in places:
            places[receipt.transaction] = place
    return places


def _stored(row: tuple[bytes, bytes, bytes, bytes, bytes]) -> StoredBlock:
    header, transactions, receipts, evidence, seal = row
    block = Block(
        decode_own(Header, header),
        decode_own(tuple[Transaction, ...], transactions),
        decode_own(tuple[bytes, ...], evidence),
        seal,
    )
    return StoredBlock(block, decode_own(tuple[Receipt, ...], receipts))
