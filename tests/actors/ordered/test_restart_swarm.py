"""A swarm on the ordered ledger keeps its ledger in --data: ended in order or killed, it goes on where it was."""

import signal
from pathlib import Path

import pytest

from tests.actors.processes import TOWN, Kept, Process, kept

QUICK = "ledger.ordered.batch.idle_ms=200"
"""Between blocks when nothing happens."""


@pytest.fixture
def start(tmp_path):
    """Starts the swarm, each time with the same data, and ends it whatever happens."""
    (tmp_path / "town.toml").write_text(TOWN.replace("[population]", "[population]\norderer = { count = 3 }"))
    running: list[Process] = []

    def start(name: str) -> Process:
        town, data = str(tmp_path / "town.toml"), str(tmp_path / "data")
        options = ("--ledger", "ordered", "--set", QUICK, "--no-web", "--data", data)
        running.append(Process(tmp_path, name, "swarm", town, *options))
        return running[-1]

    yield start
    for process in running:
        process.end()


def stores(data: Path) -> dict[str, Kept]:
    """What every ledger node has; all agree as far as they got."""
    names = [path.name.removesuffix(".sqlite") for path in data.glob("*.sqlite") if ".raft" not in path.name]
    assert sum(name.startswith("orderer") for name in names) == 3
    found = {name: kept(data, f"{name}.sqlite") for name in names}
    for one in found.values():
        for other in found.values():
            assert all(other.ids[height] == one.ids[height] for height in one.ids.keys() & other.ids.keys())
    return found


@pytest.mark.slow
def test_it_goes_on_at_the_same_height_after_an_interrupt_and_after_a_kill(start, tmp_path):
    swarm = start("first")
    swarm.wait_for(lambda: swarm.final_height() >= 8, "final blocks")
    report = swarm.stop(signal.SIGINT)
    assert report["errors"] == [] and report["replicas_agree"] and report["supply_conserved"]
    before = stores(tmp_path / "data")
    height = report["chain"]["height"]
    assert {max(each.ids) for each in before.values()} == {height}

    swarm = start("second")
    swarm.wait_for(lambda: swarm.final_height() >= height + 8, "going on")
    assert min(record["height"] for record in swarm.records("final")) == height + 1
    swarm.kill()
    told = {(record["a"], record["height"], record["id"]) for record in swarm.records("final")}
    after = stores(tmp_path / "data")
    # What it told the world before it died is in the store of who told it.
    assert told and all(after[name].ids[height].hex()[:16] == block for name, height, block in told)
    for name, each in after.items():
        assert before[name].ids.items() <= each.ids.items()

    swarm = start("third")
    top = max(max(each.ids) for each in after.values())
    swarm.wait_for(lambda: swarm.final_height() >= top + 8, "going on after a kill")
    report = swarm.stop(signal.SIGINT)
    assert report["errors"] == [] and report["replicas_agree"] and report["supply_conserved"]
    for name, each in stores(tmp_path / "data").items():
        assert after[name].ids.items() <= each.ids.items()
