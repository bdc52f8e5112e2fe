"""SqliteStore: the conformance suite, and what only files can do wrong."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from chain.codec import block_id
from chain.errors import StoreError
from chain.ledgers.pow.ledger import PowLedger
from chain.sqlite_store import SCHEMA, SqliteStore
from tests.chain.pow.founding import found
from tests.chain.store_conformance import CONFIG, Branches, StoreConformance, dressed

ROOT = Path(__file__).resolve().parents[2]
CHAIN = found(initial_difficulty=2, finality_depth=4).id


class TestSqliteStore(StoreConformance):
    @pytest.fixture(params=["kill", "power"])
    def open_store(self, tmp_path, request):
        """Opening again closes first: what is read then was on disk."""
        stores = []

        def reopened(keep_blocks=None):
            for store in stores:
                store.close()
            path = tmp_path / "ledger.db"
            stores[:] = [SqliteStore(path, CHAIN, durability=request.param, keep_blocks=keep_blocks)]
            return stores[0]

        yield reopened
        for store in stores:
            store.close()


def test_open__rejects_another_network(tmp_path):
    SqliteStore(tmp_path / "ledger.db", CHAIN).close()
    with pytest.raises(StoreError, match="network"):
        SqliteStore(tmp_path / "ledger.db", bytes(32))
    SqliteStore(tmp_path / "ledger.db", CHAIN).close()


def test_open__rejects_newer_schema(tmp_path):
    SqliteStore(tmp_path / "ledger.db", CHAIN).close()
    db = sqlite3.connect(tmp_path / "ledger.db")
    db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    db.close()
    with pytest.raises(StoreError, match="schema"):
        SqliteStore(tmp_path / "ledger.db", CHAIN)


AS_VERSION_2 = """
ALTER TABLE blocks DROP COLUMN evidence;
ALTER TABLE blocks DROP COLUMN seal;
PRAGMA user_version = 2;
"""
AS_VERSION_1 = f"{AS_VERSION_2} DELETE FROM meta WHERE key = 'pruned'; PRAGMA user_version = 1;"


@pytest.mark.parametrize("as_it_was", [AS_VERSION_1, AS_VERSION_2], ids=["1", "2"])
def test_open__brings_an_older_schema_up_to_date(tmp_path, as_it_was):
    branches = Branches()
    store = SqliteStore(tmp_path / "ledger.db", CHAIN)
    for save in branches.mine(0, 14):
        store.save(save)
    store.close()
    db = sqlite3.connect(tmp_path / "ledger.db")
    db.executescript(as_it_was)
    db.close()
    store = SqliteStore(tmp_path / "ledger.db", CHAIN, keep_blocks=0)
    assert [store.block_at(height).block for height in range(1, 15)] == list(branches.mined[0].values())
    for save in branches.mine(0):
        store.save(save)
    assert store.block_at(8) is None and store.block_at(9) is not None
    assert PowLedger(branches.network, config=CONFIG, loaded=store.load()).head == branches.ledgers[0].head
    store.close()
    db = sqlite3.connect(tmp_path / "ledger.db")
    assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    db.close()


def test_pruning_makes_room_of_evidence_and_seals(tmp_path):
    branches = Branches()
    store = SqliteStore(tmp_path / "ledger.db", CHAIN, keep_blocks=0)
    for save in branches.mine(0, 14):
        store.save(dressed(save, {}))
    store.close()
    db = sqlite3.connect(tmp_path / "ledger.db")
    (lengths,) = db.execute(
        "SELECT group_concat(length(evidence) + length(seal)) FROM (SELECT * FROM blocks ORDER BY height) WHERE height < 10"
    ).fetchone()
    db.close()
    assert lengths.split(",") == ["1"] * 8 + [str(4 + 800 + 630)]


@pytest.mark.parametrize("table", ["blocks", "events", "transactions"])
def test_open__finds_damage_anywhere(tmp_path, table):
    """A page of zeros, as a disk may return one."""
    branches, path = Branches(), tmp_path / "ledger.db"
    store = SqliteStore(path, CHAIN)
    for save in branches.mine(0, 30):
        store.save(save)
    store.close()
    db = sqlite3.connect(path)
    size = db.execute("PRAGMA page_size").fetchone()[0]
    root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    db.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(bytes(size))
    with pytest.raises(StoreError, match=r"malformed|damaged"):
        SqliteStore(path, CHAIN)


def test_open__finds_a_gap_in_the_chain(tmp_path):
    branches, path = Branches(), tmp_path / "ledger.db"
    store = SqliteStore(path, CHAIN)
    for save in branches.mine(0, 6):
        store.save(save)
    store.close()
    db = sqlite3.connect(path)
    db.execute("DELETE FROM blocks WHERE height = 3")
    db.commit()
    db.close()
    with pytest.raises(StoreError, match="5 headers up to 6"):
        SqliteStore(path, CHAIN)


@pytest.mark.parametrize("durability", ["kill", "power"])
@pytest.mark.parametrize("cut", [1, 31, 33, 4_000, 20_000])
def test_a_torn_log_costs_no_more_than_what_it_tore(tmp_path, durability, cut):
    """A power cut in the midst of a write: the log ends anywhere. What is left opens, and is a chain as it once was."""
    branches, path = Branches(), tmp_path / "ledger.db"
    store = SqliteStore(path, CHAIN, durability=durability)
    for save in branches.mine(0, 20):
        store.save(save)
    torn = tmp_path / "torn.db"
    torn.write_bytes(path.read_bytes())
    log = path.with_name("ledger.db-wal").read_bytes()
    torn.with_name("torn.db-wal").write_bytes(log[:-cut])
    store.close()
    store = SqliteStore(torn, CHAIN)
    ledger = PowLedger(branches.network, config=CONFIG, loaded=store.load(), archive=store)
    assert 0 < ledger.head.height < 20
    assert ledger.head == branches.mined[0][ledger.head.height].header
    store.close()


def test_open__rejects_databases_of_others(tmp_path):
    db = sqlite3.connect(tmp_path / "ledger.db")
    db.execute("CREATE TABLE mine (x)")
    db.close()
    with pytest.raises(StoreError, match="something else"):
        SqliteStore(tmp_path / "ledger.db", CHAIN)


def test_open__rejects_what_is_no_database(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError):
        SqliteStore(tmp_path / "ledger.db", CHAIN)


def test_open__rejects_a_store_in_use(tmp_path):
    store = SqliteStore(tmp_path / "ledger.db", CHAIN)
    with pytest.raises(StoreError, match="locked"):
        SqliteStore(tmp_path / "ledger.db", CHAIN)
    store.close()


def test_restore__rejects_blocks_that_were_tampered_with(tmp_path):
    """Executing what is above the snapshot again finds it out."""
    branches = Branches()
    store = SqliteStore(tmp_path / "ledger.db", CHAIN)
    for save in branches.mine(0, 6):
        store.save(save)
    store.close()
    db = sqlite3.connect(tmp_path / "ledger.db")
    db.execute("UPDATE blocks SET transactions = x'90' WHERE height = 3")
    db.commit()
    db.close()
    store = SqliteStore(tmp_path / "ledger.db", CHAIN)
    with pytest.raises(StoreError, match="transactions_root"):
        PowLedger(branches.network, config=CONFIG, loaded=store.load())
    store.close()


WRITER = """
import sys
from chain.codec import block_id
from chain.ledger import Committed, Save
from chain.ledgers.pow.ledger import PowLedger
from chain.sqlite_store import SqliteStore
from tests.chain.pow.founding import GENESIS_MS, account, transfer
from tests.chain.store_conformance import CONFIG
from tests.chain.test_store_sqlite import NETWORK

store = SqliteStore(sys.argv[1], NETWORK.id, durability=sys.argv[2], keep_blocks=8)
ledger = PowLedger(NETWORK, producer=account(50), config=CONFIG, loaded=store.load(), archive=store)
now = ledger.head.time_ms
while True:
    now += 10_000
    for person in range(1, 6):
        ledger.submit(transfer(NETWORK, person, ledger.next_nonce(account(person))), now)
    height = ledger.head.height
    while ledger.head.height == height:
        for effect in ledger.mine(1, now):
            if isinstance(effect, Save):
                store.save(effect)
            if isinstance(effect, Committed):
                print(effect.block.header.height, block_id(effect.block.header).hex(), flush=True)
"""
NETWORK = found(initial_difficulty=2, finality_depth=4)


@pytest.mark.parametrize("durability", ["kill", "power"])
def test_nothing_reported_is_lost_when_killed(tmp_path, durability):
    check_kills(tmp_path / "ledger.db", durability, 4)


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["kill", "power"])
def test_nothing_reported_is_lost_when_killed_fifty_times(tmp_path, durability):
    check_kills(tmp_path / "ledger.db", durability, 50)


def check_kills(path, durability, kills):
    """The child says which blocks it has committed; it is killed in the midst of it, again and again."""
    rng = Random(7)
    reported = {}
    for _ in range(kills):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), durability],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [child.stdout.readline() for _ in range(rng.randrange(1, 60))]
        with pytest.raises(subprocess.TimeoutExpired):  # at any instant of a save, not always just after one
            child.wait(timeout=rng.uniform(0, 0.02))
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        for line in lines:
            if line.endswith("\n"):
                height, found_id = line.split()
                reported[int(height)] = found_id
        store = SqliteStore(path, NETWORK.id, keep_blocks=8)
        ledger = PowLedger(NETWORK, config=CONFIG, loaded=store.load(), archive=store)
        assert {height: block_id(store.header(height)).hex() for height in reported} == reported
        head = ledger.head.height
        assert head >= max(reported)
        kept = [height for height in range(1, head + 1) if store.block_at(height) is not None]
        assert kept == list(range(head - len(kept) + 1, head + 1))
        assert len(kept) >= min(head, 12)  # eight that are final, and four that are not
        assert len(store.events(limit=1_000)) == 5 * len(kept)
        store.close()
    assert len(reported) > 10 * kills
