"""The command `experiment`: what it writes, what it refuses, and how it ends."""

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from experiments import campaign_scale, campaign_solvers, experiment_options, spatial_accuracy, spatial_rewards
from experiments.experiment_command import experiment
from experiments.spatial_accuracy import Plan

ROOT = Path(__file__).parents[2]
TINY = Plan(accuracies=(1.0,), false_shares=(0.4,), seconds=8.0)
SHORT = spatial_rewards.Plan(reports=40, windows=4)


@pytest.fixture
def cli():
    return partial(CliRunner().invoke, experiment)


@pytest.fixture
def roads(tmp_path):
    """One street of a kilometre, in a folder."""
    folder = tmp_path / "roads"
    folder.mkdir()
    (folder / "nodes.csv").write_text("node,lat,lon\n0,35.0,-80\n1,35.1,-80\n")
    (folder / "edges.csv").write_text("from,to,length_m\n0,1,1000\n")
    return folder


def test_a_report_and_a_table(cli, roads, tmp_path):
    file = tmp_path / "out.json"
    result = cli(
        ["spatial-allocation", "--roads", str(roads), "--seeds", "2", "--speed-kmh", "60", "--report", str(file)]
    )

    assert result.exit_code == 0
    assert "roads: 1 km of streets, 1 roads; 60 km/h; 2 seeds" in result.stdout
    assert "seed 2 of 2" in result.stderr
    written = json.loads(file.read_text())
    # Of a hundred facilities on a kilometre the nearest is some five metres away.
    assert 2 < written["rows"][0]["one_way_min"]["mean"] < 10
    assert written["first_seed"] == 1 and written["seeds"] == 2


def test_json_is_all_there_is_on_stdout(cli, roads):
    result = cli(["spatial-allocation", "--roads", str(roads), "--quick", "--seed", "7", "--json", "--quiet"])

    assert result.exit_code == 0 and result.stderr == ""
    found = json.loads(result.stdout)
    assert (found["first_seed"], found["seeds"]) == (7, 5)


def test_bad_roads__are_a_users_error(cli, roads):
    (roads / "edges.csv").write_text("from,to,length_m\n0,9,1000\n")
    result = cli(["spatial-allocation", "--roads", str(roads)])

    assert result.exit_code == 2
    assert "edges.csv, line 2: node '9' is not in nodes.csv" in result.stderr


def test_what_is_not_installed__is_said_before_anything_is_measured(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment_options, "find_spec", lambda name: None if name == "matplotlib" else name)
    result = cli(["spatial-rewards", "--plots", str(tmp_path)])

    assert result.exit_code == 3
    assert "needs matplotlib; please type: make experiments" in result.stderr


@pytest.mark.parametrize("violations,code", [([], 0), (["not supply_conserved"], 1)])
def test_a_violation_is_an_exit_code(cli, monkeypatch, violations, code):
    """The violation is put into a cell that was measured; the rest is real."""
    measure = spatial_accuracy.run

    def run(plan, tell):
        runs = measure(plan, tell)
        runs.cells[0].violations.extend(violations)
        return runs

    monkeypatch.setattr(spatial_accuracy, "QUICK", TINY)
    monkeypatch.setattr(spatial_accuracy, "run", run)
    result = cli(["spatial-accuracy", "--quick"])

    assert result.exit_code == code
    assert all(f"VIOLATION: {text}" in result.stdout for text in violations)


@pytest.mark.slow
def test_an_interrupt_amid_a_trial_keeps_those_before():
    command = [sys.executable, "launch.py", "experiment", "spatial-accuracy", "--quick", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert "trial 1 of 6" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        stdout, _ = running.communicate(timeout=60)

    assert running.returncode == 130
    found = json.loads(stdout)
    assert found["interrupted"] and len(found["rows"]) == 1
    assert found["rows"][0]["violations"] == []


def test_plots_are_drawn(cli, roads, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="make experiments")
    monkeypatch.setattr(spatial_rewards, "QUICK", SHORT)
    plots = tmp_path / "new" / "plots"
    for command in (
        ["spatial-allocation", "--roads", str(roads), "--seeds", "2"],
        ["spatial-rewards", "--quick", "--seeds", "1"],
    ):
        result = cli([*command, "--plots", str(plots)])
        assert result.exit_code == 0, result.output
    assert sorted(path.name for path in plots.iterdir()) == [
        "spatial-allocation-distances.png",
        "spatial-allocation-totals.png",
        "spatial-rewards.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots.iterdir())


def test_campaigns(cli, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="make experiments")
    monkeypatch.setattr(campaign_scale, "QUICK", campaign_scale.Plan(sizes=((10, 15), (30, 150)), seeds=1))
    monkeypatch.setattr(campaign_solvers, "Plan", partial(campaign_solvers.Plan, sizes=(6, 18), instances=3))
    for name in ("campaign-paper", "campaign-solvers", "campaign-scale"):
        file = tmp_path / f"{name}.json"
        result = cli([name, "--quick", "--seeds", "2", "--seed", "3", "--plots", str(tmp_path), "--report", str(file)])
        assert result.exit_code == 0, result.output
        written = json.loads(file.read_text())
        assert (written["experiment"], written["first_seed"], written["seeds"]) == (name, 3, 2)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "campaign-paper-paths.png",
        "campaign-paper-typical.png",
        "campaign-scale.png",
        "campaign-solvers.png",
    ]


def test_a_planner_that_there_is_not__is_a_users_error(cli):
    result = cli(["campaign-paper", "--planner", "quick", "--seeds", "1"])
    assert result.exit_code == 2
    assert "--planner: 'quick' is no planner: one of greedy, improved, exact" in result.stderr


@pytest.mark.slow
def test_all_of_them(cli, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="make experiments")
    monkeypatch.setattr(spatial_rewards, "QUICK", SHORT)
    monkeypatch.setattr(spatial_accuracy, "QUICK", TINY)
    result = cli(["all", "--out", str(tmp_path / "out"), "--quick", "--quiet"])

    assert result.exit_code == 0, result.output
    reports = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")}
    assert {name: found["experiment"] for name, found in reports.items()} == {name: name for name in reports}
    assert sorted(reports) == [
        "campaign-paper",
        "campaign-scale",
        "campaign-solvers",
        "spatial-accuracy",
        "spatial-allocation",
        "spatial-rewards",
    ]


def test_plots_of_accuracies(cli, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="make experiments")
    monkeypatch.setattr(spatial_accuracy, "QUICK", TINY)  # nothing is tallied so early: figures without points
    result = cli(["spatial-accuracy", "--quick", "--plots", str(tmp_path)])

    assert result.exit_code == 0, result.output
    assert (tmp_path / "spatial-accuracy.png").read_bytes().startswith(b"\x89PNG")
