"""The table of all attacks: every threat is in it, rows are what trials measured, and the command writes it."""

import json

import pytest
from click.testing import CliRunner

import launch
from actors import attack_table
from actors.attack_report import ATTACKS
from actors.attack_table import CASES, NAMES, THREATS, Runs, cases_on, row, run, run_cases, table
from actors.attacks.case import TINY, Case, Measured, by_name

QUICK_ONES = [CASES["malleability"], CASES["race-payment"]]


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(attack_table, "QUICK", TINY)


def test_every_threat_of_the_spec_has_attacks_that_exist():
    # 6 of requesters, 7 of workers, 4 of miners, 3 of newbies, 5 of the network
    assert sum(not threat.startswith(("campaign: ", "consortium: ")) for threat, _ in THREATS) == 25
    known = {*ATTACKS, *CASES}
    for threat, names in THREATS:
        assert names, threat
        assert set(names) <= known, threat


def test_every_attack_on_the_system_stands_for_a_threat():
    named = {name for _, names in THREATS for name in names}
    assert set(CASES) <= named


def test_no_two_attacks_have_one_name():
    assert len(NAMES) == len(set(NAMES))
    with pytest.raises(ValueError, match="two attacks"):
        by_name([*QUICK_ONES, QUICK_ONES[0]])


def test_row_pools_the_attempts_of_all_seeds():
    case = CASES["ring-6"]
    made = row(case, "pow", "on", [Measured(1, 4, {"x": 1.0}), Measured(3, 4, {"x": 2.0})], 1.5)
    assert (made["wins"], made["tries"], made["seeds"]) == (4, 8, 2)
    assert made["success_rate"] == made["harm"] == 0.5
    assert made["succeeds"] is False  # the limit itself is not above the limit
    assert made["figures"] == {"x": 1.5}
    assert made["ledger"] == "pow"
    assert row(CASES["outsider"], "ordered", "on", [Measured(0, 1)], 0.0)["ledger"] == "ordered"
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_nothing_tried_has_no_interval():
    made = row(CASES["ring-6"], "pow", "off", [Measured(0, 0)], 0.0)
    assert made["ci95"] is None
    assert "–" in table([made])


def test_table_says_what_is_not_stopped_and_why():
    case = CASES["ring-9"]
    text = table([row(case, "pow", "off", [Measured(8, 8)], 0.0), row(case, "pow", "on", [Measured(6, 8)], 0.0)])
    assert "does not stop" in text
    assert case.stands in text
    assert "71%" in text  # the theory


def test_interrupt_keeps_the_rows_so_far(tiny):
    def tell(text: str) -> None:
        if "race" in text:
            raise KeyboardInterrupt

    runs, kept = Runs(), []
    run_cases(runs, QUICK_ONES, "on", 1, tell=tell, keep=lambda so_far: kept.append(len(so_far.rows)))
    assert runs.interrupted
    assert [each["attack"] for each in runs.rows] == ["malleability"]
    assert kept == [1]


def test_command_writes_its_report(tiny, tmp_path):
    path = tmp_path / "report.json"
    done = CliRunner().invoke(launch.main, ["attack", "malleability", "--seeds", "2", "--report", str(path)])
    assert done.exit_code == 0, done.output
    report = json.loads(path.read_text())
    assert [(each["attack"], each["defence"], each["seeds"]) for each in report["rows"]] == [
        ("malleability", "off", 2),
        ("malleability", "on", 2),
    ]
    assert report["threats"]["network: transaction malleability"] == ["malleability"]
    assert report["interrupted"] is False


def test_families_are_chosen_by_name(monkeypatch):
    chosen = []
    monkeypatch.setattr(attack_table, "run_cases", lambda _, cases, *__, **___: chosen.append(cases))
    run("chain", "on", 1)
    run("votes", "on", 1)
    run("campaign", "on", 1)
    run("ordered", "on", 1)
    assert [{case.family for case in cases} for cases in chosen] == [{"chain"}, {"votes"}, {"campaign"}, {"ordered"}]
    assert sum(map(len, chosen)) == len(CASES)


def fake(name: str, *, ordered: bool = False, family: str = "campaign") -> Case:
    """Won on proof of work, lost on an ordered ledger."""
    told = dict.fromkeys(("goal", "budget", "defence", "source"), "")
    lost = (lambda *_: Measured(0, 1)) if ordered else None
    return Case(name=name, family=family, run=lambda *_: Measured(1, 1), ordered=lost, **told)


@pytest.mark.parametrize(
    "ledger,rows",
    [
        (None, [("one", "pow", 1), ("both", "pow", 1), ("other", "ordered", 1)]),
        ("pow", [("one", "pow", 1), ("both", "pow", 1)]),
        ("ordered", [("both", "ordered", 0), ("other", "ordered", 1)]),
        ("both", [("one", "pow", 1), ("both", "pow", 1), ("both", "ordered", 0), ("other", "ordered", 1)]),
    ],
)
def test_ledger_chooses_what_runs_there(ledger, rows):
    cases = [fake("one"), fake("both", ordered=True), fake("other", family="ordered")]
    runs = Runs()
    run_cases(runs, cases, "on", 1, ledger=ledger)
    assert [(each["attack"], each["ledger"], each["wins"]) for each in runs.rows] == rows
    for _, kind, _ in rows:
        assert kind in table(runs.rows)


def test_one_attack_on_two_ledgers_has_two_lines():
    runs = Runs()
    run_cases(runs, [fake("both", ordered=True)], "both", 1, ledger="both")
    lines = [line for line in table(runs.rows).splitlines() if line.startswith("both ")]
    assert [line.split()[1:3] for line in lines[:2]] == [["pow", "100%!["], ["ordered", "0%"]]


def test_campaigns_are_attacked_on_either_ledger_and_votes_are_not():
    assert all(list(case.trials) == ["pow", "ordered"] for case in CASES.values() if case.family == "campaign")
    assert cases_on("votes", "ordered") == []
    assert {case.family for case in cases_on("all", "ordered")} == {"campaign", "ordered"}
    done = CliRunner().invoke(launch.main, ["attack", "ring-6", "--ledger", "ordered"])
    assert done.exit_code == 2
    assert "does not run on ordered" in done.output


def test_refuse_an_unknown_name():
    with pytest.raises(KeyError):
        run("prayer", "on", 1)
