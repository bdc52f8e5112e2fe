"""Campaigns between processes: phones that cannot dial each other, and actors that join over TCP."""

import pytest

from actors.run import RunPlan, run_plan
from tests.actors.campaigns.square import CYCLE_S, as_toml, brisk, campaigns, square
from tests.actors.processes import Process
from tests.actors.simulated import simulate
from tests.checkers import what_went_wrong

SECONDS = 80.0
AT = "44.4904,11.3406"


@pytest.fixture
def start(tmp_path):
    """Starts processes, and ends them whatever happens."""
    running: list[Process] = []

    def start(name: str, *arguments: str) -> Process:
        process = Process(tmp_path, name, *arguments)
        running.append(process)
        return process

    yield start
    for process in running:
        process.end()


def write(folder, **changes) -> str:
    path = folder / "square.toml"
    path.write_text(as_toml(brisk(**changes)))
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pow", "ordered"])
def test_two_processes_end_a_cycle_with_the_same_balances(kind, start, tmp_path):
    """What cannot be handed over between their phones is disputed, and handed over on the ledger."""
    swarm = start(
        "swarm", "swarm", write(tmp_path, ledger__kind=kind), "--processes", "2", "--no-web", "--for", f"{SECONDS:g}s"
    )
    report = swarm.finish(SECONDS + 60)
    assert what_went_wrong(report) == []
    ((cycle,), balances, locked) = campaigns(report)
    assert (cycle["phase"], cycle["settled"], locked) == ("closed", True, 0)
    assert cycle["disputed"] == cycle["answered"] > 0
    assert f"{cycle['disputed']} disputed" in swarm.output.read_text()
    assert balances == campaigns(simulate(brisk(ledger__kind=kind), tmp_path, seconds=SECONDS).report)[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pow", "ordered"])
def test_over_real_sockets(kind, tmp_path):
    # Miners are linked only after some seconds.
    deep = {"ledger__kind": kind, "ledger__finality_depth": 20, "campaign__oracles__seconds": 18.0}
    report = run_plan(RunPlan(square(network__kind="libp2p", **deep), "swarm", seconds=CYCLE_S + 30))
    assert what_went_wrong(report) == []
    ((cycle,), balances, locked) = campaigns(report)
    assert (cycle["phase"], cycle["disputed"], locked) == ("closed", 0, 0)
    assert balances == campaigns(simulate(square(**deep), tmp_path, seconds=CYCLE_S + 30).report)[1]


@pytest.mark.slow
def test_actors_that_join_take_part_as_far_as_they_can_pay(start, tmp_path):
    """Deposits and stakes are nothing here, tasks and bonds are not."""
    town = write(
        tmp_path,
        campaign__deposit=0,
        campaign__oracles={"stake": 0, "penalty": 0, "seconds": 8.0, "challenge_s": 1.0},
        campaign__phases__registration=20.0,
        campaign__tasks={"count": 6, "samples": 3, "interval_s": 3.0, "best_s": [4.0, 6.0]},
        population__worker__count=2,
    )
    swarm = start("swarm", "swarm", town, "--no-web")
    door = swarm.bootstrap()
    roles = [option for role in ("worker", "requester", "oracle", "organizer") for option in ("--role", role)]
    joined = start(
        "joined",
        *("node", *roles, "--data", str(tmp_path / "joined"), "--bootstrap", door, "--at", AT, "--scenario", town),
    )
    phone = start(
        "phone",
        *("node", "--role", "requester", "--data", str(tmp_path / "phone"), "--bootstrap", door, "--at", AT),
    )
    joined.wait_for(lambda: any(r["did"] == "submit_data" for r in joined.records("campaign")), "data", 90)
    done = {record["did"] for record in joined.records("campaign")}
    assert {"register_oracle", "bid_path", "submit_hash", "submit_data"} <= done
    joined.wait_for(lambda: any(r["did"] == "answer" for r in joined.records("campaign")), "an answer", 30)
    reports = [joined.stop(), phone.stop(), swarm.stop()]
    assert [report["errors"] for report in reports] == [[], [], []]
    idle = [record["why"] for record in joined.records("campaign_idle")]
    assert sum("an organizer's bond" in why for why in idle) == 1
    assert sum("no money for 6 of 6 tasks: 3 credits are needed, 0 are there" in why for why in idle) == 1
    assert "no money for 10 of 10 tasks" in phone.output.read_text()
    assert not joined.records("campaign_refused")
