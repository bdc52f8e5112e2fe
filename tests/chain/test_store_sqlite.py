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
from tests.chain.store_conformance import CONFIG, Branches, StoreConformance

ROOT = Path(__file__).resolve().parents[2]
CHAIN = found(initial_difficulty=2, finality_depth=4).id


class TestSqliteStore(StoreConformance):
    @pytest.fixture(params=["kill", "power"])
    def open_store(self, tmp_path, request):
        """Opening again closes first: what is read then was on disk."""
        stores = []

        def reopened():
            for store in stores:
                store.close()
            stores[:] = [SqliteStore(tmp_path / "ledger.db", CHAIN, durability=request.param)]
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

store = SqliteStore(sys.argv[1], NETWORK.id)
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


def test_nothing_reported_is_lost_when_killed(tmp_path):
    """The child says which blocks it has committed; it is killed in the midst of it, again and again."""
    rng = Random(7)
    path = tmp_path / "ledger.db"
    reported = {}
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [child.stdout.readline() for _ in range(rng.randrange(1, 60))]
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        for line in lines:
            if line.endswith("\n"):
                height, found_id = line.split()
                reported[int(height)] = found_id
        store = SqliteStore(path, NETWORK.id)
        ledger = PowLedger(NETWORK, config=CONFIG, loaded=store.load(), archive=store)
        assert {height: block_id(store.header(height)).hex() for height in reported} == reported
        assert ledger.head.height >= max(reported)
        assert ledger.head.height == len(store.events(limit=1_000, since_height=1)) // 5
        store.close()
    assert len(reported) > 60
