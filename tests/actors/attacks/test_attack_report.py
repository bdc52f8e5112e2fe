"""Rows of the table of attacks, and the command that prints it."""

import json
import math
from dataclasses import replace

import pytest
from click.testing import CliRunner

import launch
from actors import attack_report
from actors.attack_report import AttackRuns, row, run_attacks, table, wilson
from actors.attacks.catalogue import ATTACKS
from actors.overlay_trial import Size, run_trial

SMALL = Size(honest=10, attackers=6, rate=4.0, warm_s=3.0, attack_s=6.0, recovery_s=0.0, drain_s=2.0)
ECLIPSE = ATTACKS["eclipse"]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(attack_report, "QUICK", SMALL)


def test_row_is_the_worst_of_all_seeds():
    good = run_trial(ECLIPSE, "on", SMALL, 1)
    lost = replace(good, undelivered=good.pairs, p99_s=math.inf, max_s=math.inf, recovered_s=None)
    made = row(ECLIPSE, "on", SMALL, [good, lost], 0.0)
    assert made["success_rate"] == 0.5
    assert made["ledger"] is None
    assert made["seeds"] == 2
    assert made["undelivered"] == good.pairs + good.undelivered
    assert made["p99_ms"] is None and made["max_ms"] is None and made["mesh_recovered_s"] is None
    assert json.loads(json.dumps(made, allow_nan=False)) == made


@pytest.mark.parametrize(
    "wins,trials,low,high", [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0)]
)
def test_interval_is_wilsons(wins, trials, low, high):
    assert wilson(wins, trials) == pytest.approx([low, high], abs=1e-4)


def test_interrupt_keeps_the_rows_so_far(small):
    def tell(text: str) -> None:
        if "defence on" in text:
            raise KeyboardInterrupt

    runs = run_attacks("eclipse", "both", 1, tell=tell)
    assert runs.interrupted
    assert [each["defence"] for each in runs.rows] == ["off"]
    assert "eclipse" in table(runs)


def test_command_writes_its_report(small, tmp_path):
    path = tmp_path / "report.json"
    done = CliRunner().invoke(launch.main, ["attack", "eclipse", "--defence", "on", "--report", str(path)])
    assert done.exit_code == 0, done.output
    (made,) = json.loads(path.read_text())["rows"]
    assert (made["attack"], made["defence"], made["seeds"]) == ("eclipse", "on", 1)


def test_report_is_kept_after_each_row_and_progress_says_how_long(small, tmp_path):
    path, kept = tmp_path / "report.json", []

    def tell(text: str) -> None:
        kept.append((text.partition("(")[2], len(json.loads(path.read_text())["rows"]) if path.exists() else 0))

    def keep(runs: AttackRuns) -> None:
        path.write_text(json.dumps(runs.report()))

    run_attacks("eclipse", "both", 1, rate=5.0, data_bytes=2048, tell=tell, keep=keep)
    assert kept == [("0 of 2 trials done)", 0), ("1 of 2 trials done, 0 min left)", 1)]
    rows = json.loads(path.read_text())["rows"]
    assert [(each["rate"], each["data_bytes"], each["pairs"] > 0) for each in rows] == [(5.0, 2048, True)] * 2


@pytest.mark.parametrize("second, together", [(12.0, 12.0), (3.0, 7.0), (None, None)])
def test_a_row_has_recovered_when_the_last_seed_has(second, together):
    good = run_trial(ECLIPSE, "on", SMALL, 1)
    made = row(ECLIPSE, "on", SMALL, [replace(good, recovered_s=7.0), replace(good, recovered_s=second)], 0.0)
    assert made["mesh_recovered_s"] == together


def test_command_names_the_attacks_it_knows():
    done = CliRunner().invoke(launch.main, ["attack", "prayer"])
    assert done.exit_code == 2
    assert "covert-flash" in done.output
