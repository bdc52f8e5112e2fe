"""SqliteRaftStore: the conformance suite, and what only files can do wrong."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from chain.errors import StoreError
from chain.ledgers.ordered.raft.messages import HardState
from chain.sqlite_raft import SCHEMA, SqliteRaftStore
from tests.chain.ordered.raft.store_conformance import RaftStoreConformance, entry, saved, snapshot

ROOT = Path(__file__).resolve().parents[2]
CHAIN, NODE = b"\x07" * 32, b"\x08" * 32


class TestSqliteRaftStore(RaftStoreConformance):
    @pytest.fixture(params=["kill", "power"])
    def open_store(self, tmp_path, request):
        """Opening again closes first: what is read then was on disk."""
        stores = []

        def reopened():
            for store in stores:
                store.close()
            stores[:] = [SqliteRaftStore(tmp_path / "raft.db", CHAIN, NODE, durability=request.param)]
            return stores[0]

        yield reopened
        for store in stores:
            store.close()


@pytest.fixture
def path(tmp_path):
    """Of a store that was closed with some entries."""
    store = SqliteRaftStore(tmp_path / "raft.db", CHAIN, NODE)
    store.persist(saved(HardState(2, NODE), snapshot(3), 4, [entry(1, bytes(900)) for _ in range(20)]))
    store.close()
    return tmp_path / "raft.db"


def alter(path, sql):
    db = sqlite3.connect(path)
    db.executescript(sql)
    db.close()


@pytest.mark.parametrize(
    "chain, node, match", [(bytes(32), NODE, "network"), (CHAIN, bytes(32), "node")], ids=["network", "node"]
)
def test_open__rejects_another(path, chain, node, match):
    with pytest.raises(StoreError, match=match):
        SqliteRaftStore(path, chain, node)
    SqliteRaftStore(path, CHAIN, NODE).close()


@pytest.mark.parametrize(
    "sql, match",
    [
        (f"PRAGMA user_version = {SCHEMA + 1}", "schema"),
        ("PRAGMA application_id = 7", "something else"),
        ("DELETE FROM entries WHERE place = 9", "damaged"),
        ("DELETE FROM entries WHERE place = 4", "damaged"),
        ("UPDATE meta SET value = x'92' WHERE key = 'hard_state'", "damaged"),
        ("UPDATE meta SET value = x'00' WHERE key = 'snapshot'", "damaged"),
        ("UPDATE entries SET kind = 2 WHERE place = 9", "damaged"),
        ("UPDATE entries SET data = 'text' WHERE place = 9", "damaged"),
        ("UPDATE entries SET term = 'text' WHERE place = 9", "damaged"),
        ("DELETE FROM meta WHERE key = 'node'", "node"),
    ],
)
def test_open__rejects_what_no_store_left(path, sql, match):
    alter(path, sql)
    with pytest.raises(StoreError, match=match):
        SqliteRaftStore(path, CHAIN, NODE)


def test_open__finds_a_page_of_zeros(path):
    db = sqlite3.connect(path)
    size = db.execute("PRAGMA page_size").fetchone()[0]
    root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entries'").fetchone()[0]
    db.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(bytes(size))
    with pytest.raises(StoreError, match=r"malformed|damaged"):
        SqliteRaftStore(path, CHAIN, NODE)


def test_open__rejects_databases_of_others(tmp_path):
    alter(tmp_path / "raft.db", "CREATE TABLE mine (x)")
    with pytest.raises(StoreError, match="something else"):
        SqliteRaftStore(tmp_path / "raft.db", CHAIN, NODE)


def test_open__rejects_a_store_in_use(tmp_path):
    store = SqliteRaftStore(tmp_path / "raft.db", CHAIN, NODE)
    with pytest.raises(StoreError, match="locked"):
        SqliteRaftStore(tmp_path / "raft.db", CHAIN, NODE)
    store.close()


WRITER = """
import sys
from chain.ledgers.ordered.raft.messages import HardState
from chain.sqlite_raft import SqliteRaftStore
from tests.chain.ordered.raft.store_conformance import entry, saved, snapshot

store = SqliteRaftStore(sys.argv[1], b"\\x07" * 32, b"\\x08" * 32, durability=sys.argv[2])
stored = store.load()
base = stored.snapshot.index if stored and stored.snapshot else 0
last = base + len(stored.entries) if stored else 0
term = stored.hard_state.term if stored else 0
while True:
    term += 1
    store.persist(saved(HardState(term, b""), None, last + 1, [entry(term, b"%d" % (last + n)) for n in (1, 2, 3)]))
    last += 3
    print(term, last, flush=True)
    if last % 30 == 0:
        store.persist(saved(None, snapshot(last - 10)))
"""


@pytest.mark.parametrize("durability", ["kill", "power"])
def test_nothing_reported_is_lost_when_killed(tmp_path, durability):
    """A term comes with its entries or not at all, wherever the process is killed."""
    rng = Random(5)
    path = tmp_path / "raft.db"
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), durability],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [child.stdout.readline() for _ in range(rng.randrange(1, 60))]
        os.kill(child.pid, signal.SIGKILL)
        lines += [line for line in child.stdout.readlines() if line.endswith("\n")]
        child.wait()
        child.stdout.close()
        term, last = map(int, lines[-1].split())
        store = SqliteRaftStore(path, CHAIN, NODE)
        stored = store.load()
        base = stored.snapshot.index if stored.snapshot is not None else 0
        found = base + len(stored.entries)
        assert found >= last and stored.hard_state.term >= term
        assert found == 3 * stored.hard_state.term
        assert [e.data for e in stored.entries] == [b"%d" % n for n in range(base + 1, found + 1)]
        store.close()
