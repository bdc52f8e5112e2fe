"""Faults where links are real: in a swarm over libp2p, and in one population that several processes run."""

from pathlib import Path

import pytest

from actors.checkers import Bounds, check
from actors.run import RunPlan, run_plan
from tests.actors.processes import TOWN, Process
from tests.actors.simulated import small
from tests.checkers import of_kind, read_journal, what_went_wrong

UNDER_WAY_MS = 500
"""What was sent before the cut may still arrive for so long: real links have queues."""
SILENCE_S = 3.0
BOUNDS = Bounds(settle_ms=25_000, mesh_low=1)
"""See tests/actors/test_partition_in_real_time.py. Eight ledger nodes and their phones make small meshes."""


def crossed(journal, groups, since, until):
    """Deliveries in that time (ms), and those of them whose publisher is in another group."""
    source = {r["id"]: r["a"] for r in of_kind(journal, "published")}
    got = [r for r in of_kind(journal, "delivered") if since < r["t"] < until]
    side = {name: number for number, names in enumerate(groups) for name in names}
    return got, [r for r in got if side[r["a"]] != side[source[r["id"]]]]


@pytest.mark.slow
def test_a_partition_over_libp2p(tmp_path):
    """Fourteen actors on sockets, in halves for ten seconds: what a memory network would do."""
    cut = {"at_s": 10, "kind": "partition", "groups": [["50%"], ["rest"]], "for_s": 10}
    scenario = small(
        network__kind="libp2p",
        network__silence_s=SILENCE_S,
        population__miner__count=4,
        population__mec__count=2,
        ledger__finality_depth=40,
        ledger__block_interval_ms=500,
        faults=[cut],
    )
    path = tmp_path / "journal.jsonl"
    report = run_plan(RunPlan(scenario, "swarm", seconds=55.0, journal=path))
    journal = read_journal(path)
    assert what_went_wrong(report) == []
    assert check(journal, BOUNDS) == []
    begin, end = of_kind(journal, "fault")
    inside, across = crossed(journal, begin["groups"], begin["t"] + UNDER_WAY_MS, end["t"])
    assert inside and not across
    assert crossed(journal, begin["groups"], end["t"] + BOUNDS.settle_ms, 55_000)[1]


@pytest.mark.slow
def test_two_processes_suffer_one_schedule(tmp_path):
    """A partition whose halves are in both processes, and a crash in each: told once, suffered where it is due."""
    faults = """
[[faults]]
at_s = 15
kind = "partition"
groups = [["50%"], ["rest"]]
for_s = 10
[[faults]]
at_s = 27
kind = "crash"
actors = ["mec"]
for_s = 2
"""
    town = tmp_path / "town.toml"
    town.write_text(TOWN + faults)
    sets = ("ledger.finality_depth=100", f"network.silence_s={SILENCE_S}", "population.worker.count=14")
    settings = [part for each in sets for part in ("--set", each)]
    arguments = ("swarm", str(town), "--processes", "2", "--no-web", "--for", "65", *settings)
    swarm = Process(Path(tmp_path), "swarm", *arguments)
    try:
        assert swarm._process.wait(120) == 0, swarm.output.read_text()[-2000:]
    finally:
        swarm.end()
    journal = read_journal(swarm.journal)
    assert check(journal, BOUNDS) == []
    faults = of_kind(journal, "fault")
    assert [(r["number"], r["phase"]) for r in faults] == [(0, "begin"), (0, "end"), (1, "begin"), (1, "end")]
    begin, end = faults[:2]
    inside, across = crossed(journal, begin["groups"], begin["t"] + UNDER_WAY_MS, end["t"])
    assert inside and not across
    assert crossed(journal, begin["groups"], end["t"] + BOUNDS.settle_ms, 65_000)[1]
    downs = of_kind(journal, "down")
    assert {r["a"] for r in downs} == {"mec-01", "mec-02"} and len(downs) == 2  # one in each process
    assert [r for r in of_kind(journal, "up") if r["a"] in ("mec-01", "mec-02") and r["t"] > 28_500]
