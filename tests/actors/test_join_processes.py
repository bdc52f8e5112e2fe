"""Other processes join a swarm over TCP, in every role, and take part until they are paid."""

from pathlib import Path

import pytest

from actors import keyfile
from actors.identity import Identity
from chain.codec import decode_own
from chain.contract import state_key
from chain.contracts.accounts import balance_of
from chain.contracts.spatial_board import operator_key
from chain.contracts.spatial_records import Operator
from tests.actors.processes import CORNER, MIDDLE, TOWN, Process, kept


def identity(data: Path, name: str) -> Identity:
    return keyfile.read(data / f"{name}.key")


def enrolled(state, role: str, who: Identity) -> Operator | None:
    raw = state.get(state_key("spatial", operator_key(role, who.account)))
    return None if raw is None else decode_own(Operator, raw)


@pytest.fixture
def start(tmp_path):
    """Starts processes, and ends them whatever happens."""
    (tmp_path / "town.toml").write_text(TOWN)
    running: list[Process] = []

    def start(name: str, *arguments: str) -> Process:
        process = Process(tmp_path, name, *arguments)
        running.append(process)
        return process

    yield start
    for process in running:
        process.end()


@pytest.mark.slow
def test_every_role_joins_and_takes_part(start, tmp_path):
    swarm = start("swarm", "swarm", str(tmp_path / "town.toml"), "--no-web", "--data", str(tmp_path / "swarm"))
    door = swarm.bootstrap()

    def join(name: str, place: str, *roles: str) -> Process:
        options = [option for role in roles for option in ("--role", role)]
        return start(
            name,
            *("node", *options, "--data", str(tmp_path / name), "--bootstrap", door, "--at", place),
            *("--scenario", str(tmp_path / "town.toml")),
        )

    worker = join("worker", MIDDLE, "worker")
    others = join("others", CORNER, "miner", "mec", "facility", "requester")
    worker.wait_for(lambda: worker.records("revealed"), "a vote of the worker")
    others.wait_for(lambda: len(others.records("enrolled")) == 2, "two enrolments")
    others.wait_for(lambda: len(others.records("reported")) >= 2, "reports of the requester")
    # What was revealed is tallied and final a few seconds later.
    target = others.final_height() + 16
    others.wait_for(lambda: others.final_height() >= target, "final blocks")

    reports = [process.stop() for process in (worker, others, swarm)]

    assert [report["errors"] for report in reports] == [[], [], []]
    assert all(report["replicas_agree"] and report["supply_conserved"] for report in reports)
    chain, replica = kept(tmp_path / "swarm", "mec-01"), kept(tmp_path / "others", "miner")
    assert balance_of(chain.state, identity(tmp_path / "worker", "worker-1").account) > 0
    miner = identity(tmp_path / "others", "miner-1")
    assert miner.account in chain.producers
    assert enrolled(chain.state, "mec", identity(tmp_path / "others", "mec-1")) is not None
    assert enrolled(chain.state, "facility", identity(tmp_path / "others", "facility-1")) is not None
    common = chain.ids.keys() & replica.ids.keys()
    assert len(common) > 16 and all(chain.ids[height] == replica.ids[height] for height in common)
    # The miner was told of one ledger node and found the swarm's other one, beside those of its own process.
    peers = {record["peer"] for record in others.records("ledger_peer") if record["a"].startswith("miner")}
    swarms = {str(Identity.derive(1, name).peer_id)[-8:] for name in ("mec-01", "mec-02")}
    assert swarms <= peers


def lost(before: dict, after: dict) -> list[int]:
    """Heights at which a final block is gone or another."""
    return [height for height, block in before.items() if after.get(height) != block]


def crash(start, tmp_path, kills: int) -> list[str]:
    """Kill a miner `kills` times and the swarm once, and check that nothing final was lost; what it took."""
    town, figures = str(tmp_path / "town.toml"), []

    def start_swarm() -> Process:
        return start("swarm", "swarm", town, "--no-web", "--data", str(tmp_path / "swarm"))

    swarm = start_swarm()
    door = swarm.bootstrap()

    def start_node() -> Process:
        return start(
            "node",
            *("node", "--role", "miner", "--data", str(tmp_path / "node"), "--bootstrap", door, "--scenario", town),
        )

    node = start_node()
    node.wait_for(lambda: node.final_height() >= 5, "final blocks")
    ever: dict = {}
    for kill in range(kills):
        node.kill()
        told = {record["height"]: record["id"] for record in node.records("final")}
        had = kept(tmp_path / "node", "miner").ids
        # What it told the world before it died is in its store.
        assert not lost(told, {height: block.hex()[:16] for height, block in had.items()})
        assert not lost(ever, had)
        ever |= had
        missed = swarm.final_height()
        node = start_node()
        took = node.wait_for(lambda: node.final_height() > missed, "what it missed")  # noqa: B023 - now
        figures.append(f"kill {kill + 1}: had {max(had)} final, swarm {missed}; ahead of that after {took:.1f} s")
        goal = node.final_height() + 5
        node.wait_for(lambda: node.final_height() >= goal, "progress")  # noqa: B023

    swarm.kill()
    before = kept(tmp_path / "swarm", "mec-01").ids
    swarm = start_swarm()
    assert swarm.bootstrap() == door
    took = swarm.wait_for(lambda: swarm.final_height() > max(before) + 5, "going on")
    figures.append(f"swarm killed at {max(before)} final; 6 more after {took:.1f} s")
    goal = swarm.final_height()
    node.wait_for(lambda: node.final_height() > goal, "the swarm's new blocks")

    reports = [node.stop(), swarm.stop()]

    assert [report["errors"] for report in reports] == [[], []]
    assert all(report["replicas_agree"] and report["supply_conserved"] for report in reports)
    ours, theirs = kept(tmp_path / "node", "miner").ids, kept(tmp_path / "swarm", "mec-01").ids
    common = {height: block for height, block in ours.items() if height in theirs}
    assert not lost(ever | before, ours | theirs) and not lost(common, theirs)
    return figures


def test_no_final_block_is_lost_to_sigkill(start, tmp_path):
    crash(start, tmp_path, 2)


@pytest.mark.slow
def test_no_final_block_is_lost_to_five_sigkills(start, tmp_path, capsys):
    figures = crash(start, tmp_path, 5)
    with capsys.disabled():
        print("", *figures, sep="\n")
