"""`launch.py audit`: the draws of a run that has ended, replayed from its data directory."""

import json

import pytest
from click.testing import CliRunner

import launch
from actors.data_directory import DataDirectory
from actors.run import RunPlan, run_plan
from chain.contract import event_fields
from chain.genesis import Network
from chain.sqlite_store import SqliteStore
from tests.actors.simulated import small
from tests.checkers import read_journal


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The data directory of a run, and the reports that its journal calls confirmed."""
    folder = tmp_path_factory.mktemp("run")
    plan = RunPlan(small(), "simulate", seconds=60.0, data=folder / "data", journal=folder / "journal.jsonl")
    run_plan(plan)
    journal = read_journal(folder / "journal.jsonl")
    return folder / "data", {record["id"] for record in journal if record["k"] == "reported"}


def ask(*args):
    return CliRunner().invoke(launch.main, ["audit", *map(str, args)])


def whole_ids(data):
    """Of the reports on the ledger of a run."""
    directory = DataDirectory(data)
    network = Network.found(directory.genesis())
    store = SqliteStore(data / "mec-01.sqlite", network.id)
    found = [event_fields(event.event)["report"].hex() for event in store.events(name="submitted")]
    store.close()
    directory.close()
    return found


def test_every_draw_of_an_honest_run_is_honest(ended):
    data, reported = ended
    verdicts = {}
    for report in whole_ids(data):
        result = ask(report, "--data", data, "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        verdicts[report[:16]] = found["verdict"]
        assert (found["verdict"] == "honest") == (len(found["group"]) == 3)
    assert set(verdicts) >= reported
    assert list(verdicts.values()).count("honest") >= 5
    assert set(verdicts.values()) <= {"honest", "open", "unassigned", "unopened"}


def test_for_people(ended):
    data, _ = ended
    result = ask(whole_ids(data)[0], "--data", data, "--actor", "miner-01")
    assert result.exit_code == 0
    assert "verdict    honest" in result.stdout and "is the one that chance drew" in result.stdout


@pytest.mark.parametrize(
    "report, options, message",
    [
        ("00" * 32, [], "no block here holds report"),
        ("xyz", [], "'xyz' is no report: an id is 64 hexadecimal digits"),
        ("00" * 32, ["--actor", "nobody"], "holds no ledger of 'nobody'"),
    ],
)
def test_what_cannot_be_audited__says_why(ended, report, options, message):
    result = ask(report, "--data", ended[0], *options)
    assert result.exit_code in (2, 3)
    assert message in result.stderr


def test_a_directory_without_a_run__says_so(tmp_path):
    for folder in (tmp_path / "absent", tmp_path):
        result = ask("00" * 32, "--data", folder)
        assert result.exit_code == 3
        assert "--data" in result.stderr
