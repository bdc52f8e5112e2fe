"""What is said of better solvers, and of larger campaigns."""

from random import Random

import pytest

from experiments import campaign_scale, campaign_solvers
from experiments.campaign_solvers import Plan, plan_paths, report, run, select, table

FEW = Plan(sizes=(6, 18), instances=5, seeds=2)


def timeless(found):
    return [{key: value for key, value in row.items() if key != "cpu_ms"} for row in found["rows"]]


def test_same_seed_same_figures():
    assert timeless(report(run(FEW))) == timeless(report(run(FEW)))


def test_better_planners_visit_more():
    found = plan_paths(10, Random(1))
    assert found["greedy"].tasks < found["improved"].tasks <= found["exact"].tasks
    assert "exact" not in plan_paths(18, Random(1))


@pytest.mark.parametrize("kind", campaign_solvers.KINDS)
def test_better_selectors_take_fewer(kind):
    longest, sizes = select(kind, Random(1))
    assert sizes["exact"] <= sizes["improved"] <= sizes["greedy"]
    assert 5 <= longest <= 10


def test_a_report_adds_up():
    found = report(run(FEW))
    planning = [(row["tasks"], row["solver"]) for row in found["rows"] if row["part"] == "planning"]
    assert planning == [(6, "greedy"), (6, "improved"), (6, "exact"), (18, "greedy"), (18, "improved")]
    for row in found["rows"]:
        if row["part"] == "selection":
            assert 0 <= row["excess"]["mean"] <= row["worst_excess"] <= row["bound"] - 1 <= row["bound_ln"] - 1
        elif row["solver"] == "greedy":
            assert row["ratio_to_greedy"]["mean"] == 1
    text = table(found)
    assert "planning, a worker" in text and "selection of 15 paths" in text


def test_an_interrupt_keeps_what_is_done():
    def impatient(text):
        if text.startswith("6 tasks: seed 1"):
            raise KeyboardInterrupt

    found = report(run(FEW, impatient))
    assert found["interrupted"]
    assert [row["campaigns"] for row in found["rows"] if row["part"] == "planning"] == [1, 1, 1]
    assert [row["instances"] for row in found["rows"] if row["part"] == "selection"] == [5] * 6


def test_interrupted_before_anything(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(campaign_solvers, "select", interrupt)
    monkeypatch.setattr(campaign_scale, "measure", interrupt)
    for measured in (campaign_solvers, campaign_scale):
        found = measured.report(measured.run(measured.Plan()))
        assert found["interrupted"] and found["rows"] == []
        assert measured.table(found) == "nothing was done"


def test_larger_campaigns():
    plan = campaign_scale.Plan(sizes=((10, 15), (30, 150)), seeds=2)
    found = campaign_scale.report(campaign_scale.run(plan))
    assert [(row["tasks"], row["paths"], row["paths_of"]) for row in found["rows"]] == [
        (10, 15, "published"),
        (10, 15, "tenth"),
        (30, 150, "published"),
        (30, 150, "tenth"),
    ]
    published = found["rows"][2]
    assert 150 * 5 <= published["stops"] <= 150 * 9
    assert published["paid"]["mean"] == 90  # enough paths for three samples of each task
    assert found["rows"][3]["stops"] == 150 * 3
    peaks = [row["peak_mb"] for row in found["rows"]]
    assert peaks == sorted(peaks) and peaks[0] > 10
    assert "5–9 tasks" in campaign_scale.table(found)
