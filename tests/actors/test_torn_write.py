"""A torn last write: a store loses that write and no other, and the node that has it catches up."""

from random import Random

import pytest

from actors.checkers import Bounds, check
from actors.run import RunPlan, run_plan
from actors.scenario import ScenarioError
from actors.torn_write import FRAME_HEADER_BYTES, HEADER_BYTES, last_transaction, tear
from chain.sqlite_store import SqliteStore
from tests.actors.simulated import small
from tests.chain.store_conformance import Branches
from tests.checkers import of_kind, read_journal, what_went_wrong


def told(store):
    """What a store has, to be compared."""
    loaded = store.load()
    return loaded.headers, loaded.snapshot and loaded.snapshot.root, loaded.blocks, loaded.head, loaded.final_height


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("durability", ["kill", "power"])
def test_a_store_loses_its_last_write_alone(tmp_path, durability, seed):
    branches, path = Branches(), tmp_path / "ledger.db"
    saves = branches.mine(0, 9)
    store = SqliteStore(path, branches.network.id, durability=durability)
    loaded = []
    for save in saves:
        store.save(save)
        loaded.append(told(store))
    log = path.with_name("ledger.db-wal")
    whole = log.read_bytes()
    begin, end = last_transaction(whole)
    gone = tear(path, store.close, Random(seed))
    assert end == len(whole) and 0 < gone <= end - begin
    left = log.read_bytes()
    assert left[: end - gone] == whole[: end - gone] and len(left) in (end - gone, end) and left != whole
    store = SqliteStore(path, branches.network.id, durability=durability)
    assert told(store) == loaded[-2] != loaded[-1]
    assert loaded[-2][-1] == 4  # nine blocks, finality four: the fifth was final by the ninth alone
    store.save(saves[-1])
    assert told(store) == loaded[-1]
    assert {file.name for file in tmp_path.iterdir()} <= {"ledger.db", "ledger.db-wal"}
    store.close()


def test_a_store_without_a_log_loses_nothing(tmp_path):
    branches, path = Branches(), tmp_path / "ledger.db"
    store = SqliteStore(path, branches.network.id)
    for save in branches.mine(0, 3):
        store.save(save)
    loaded = told(store)
    store.close()  # the log is gone: it is all in the database
    store = SqliteStore(path, branches.network.id)
    assert tear(path, store.close, Random(1)) == 0
    store = SqliteStore(path, branches.network.id)
    assert told(store) == loaded
    store.close()


def frame(*, ends=False, salts=b"saltsalt"):
    return bytes(4) + (5 * ends).to_bytes(4, "big") + salts + bytes(8) + bytes(512)


FRAME = FRAME_HEADER_BYTES + 512


@pytest.mark.parametrize(
    "frames, found",
    [
        ([], (0, 0)),
        ([frame()], (0, 0)),
        ([frame(), frame(ends=True)], (0, 2)),
        ([frame(ends=True), frame(), frame(ends=True), frame()], (1, 3)),
        ([frame(ends=True), frame(ends=True, salts=b"oldoldol")], (0, 1)),
        ([frame(ends=True), frame(ends=True)[:-1]], (0, 1)),
    ],
)
def test_where_the_last_transaction_is(frames, found):
    header = bytes(8) + (512).to_bytes(4, "big") + bytes(4) + b"saltsalt" + bytes(8)
    assert last_transaction(header + b"".join(frames)) == tuple(HEADER_BYTES + FRAME * n for n in found)


def test_no_log_at_all():
    assert last_transaction(b"") == (HEADER_BYTES, HEADER_BYTES)


def test_who_comes_back_with_a_torn_disk_loses_no_final_block(tmp_path):
    """In virtual time, with stores on disk: a miner and a MEC node, twice each."""
    crashes = [
        {"at_s": at, "kind": "crash", "actors": ["miner-01", "mec-01"], "tear_disk": True, "for_s": 3}
        for at in (12, 22)
    ]
    scenario = small(faults=crashes, ledger__finality_depth=6, population__miner__count=3)
    raw = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        path, swarms = folder / "journal.jsonl", []
        plan = RunPlan(scenario, "simulate", seconds=40.0, data=folder / "data", journal=path, on_start=swarms.append)
        report = run_plan(plan)
        raw.append(path.read_bytes())
    journal = read_journal(path)
    assert raw[0] == raw[1]
    assert what_went_wrong(report) == []
    assert check(journal, Bounds(settle_ms=30_000)) == []
    torn = of_kind(journal, "torn")
    assert len(torn) == 4 and sum(r["bytes"] > 0 for r in torn) >= 3
    for name in ("miner-01", "mec-01"):
        mine = [r for r in journal if r["a"] == name and r["k"] in ("final", "down")]
        # What is final for the first time after a crash follows what was before, or repeats the one that was torn off.
        for before, after in zip(mine, mine[2:], strict=False):
            between = mine[mine.index(before) + 1]
            if before["k"] == after["k"] == "final" and between["k"] == "down":
                assert before["height"] <= after["height"] <= before["height"] + 1
    assert run_heights(swarms[0]) > 10


def run_heights(swarm):
    return min(node.core.final.height for node in swarm.full_nodes)


@pytest.mark.parametrize(
    "changes, told", [({}, r"faults\[0\].tear_disk: stores are in memory"), ({"lose_disk": True}, "lost already")]
)
def test_no_disk_to_tear__reject(changes, told):
    crash = {"at_s": 1, "kind": "crash", "actors": ["mec"], "tear_disk": True, **changes}
    with pytest.raises(ScenarioError, match=told):
        run_plan(RunPlan(small(faults=[crash]), "simulate", seconds=5.0))
