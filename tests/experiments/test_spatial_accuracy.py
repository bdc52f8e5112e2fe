"""Condorcet by hand, the counting of outcomes by hand, and small towns with the whole protocol."""

from collections import Counter
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import pytest

from actors.scenario import PlaceConfig
from actors.sensing.city import City, Incident
from actors.sensing.mobility import Point
from experiments import spatial_accuracy
from experiments.condorcet import confirmed, prediction
from experiments.spatial_accuracy import Cell, Outcomes, Plan, report, run, table

TINY = Plan(accuracies=(1.0,), false_shares=(0.4,), seconds=32.0)


@pytest.mark.parametrize(
    "assigned,voted,probability,expected",
    [
        (3, 3, 0.8, 0.896),  # 0.8³ + 3·0.8²·0.2
        (5, 5, 0.8, 0.94208),  # 0.32768 + 0.4096 + 0.2048
        (5, 5, 0.6, 0.68256),
        (5, 5, 0.2, 0.05792),
        (4, 4, 0.5, 0.3125),  # two of four are no majority: (4 + 1) / 16
        (5, 4, 0.8, 0.8192),  # one vote is missing: 3 or 4 of 4
        (5, 3, 0.8, 0.512),
        (5, 2, 1.0, 0.0),
        (5, 5, 1.0, 1.0),
    ],
)
def test_majorities_by_hand(assigned, voted, probability, expected):
    assert confirmed(assigned, voted, probability) == pytest.approx(expected)


def test_predictions_by_hand():
    found = prediction(0.8, 0.4, {(5, 5): 1})
    assert found["recall"] == pytest.approx(0.94208)
    assert found["precision"] == pytest.approx(0.6 * 0.94208 / (0.6 * 0.94208 + 0.4 * 0.05792))
    # Three groups that all voted, and one with a vote missing.
    found = prediction(0.8, 0.4, {(5, 5): 3, (5, 4): 1})
    assert found["recall"] == pytest.approx((3 * 0.94208 + 0.8192) / 4)
    assert found["precision"] == pytest.approx(
        0.6 * found["recall"] / (0.6 * found["recall"] + 0.4 * (3 * 0.05792 + 0.0272) / 4)
    )
    assert prediction(0.8, 0.4, {(5, 2): 1}) == {"recall": 0.0, "precision": 1.0}


def city_with_lies(*lies):
    city = City(PlaceConfig(), (), ())
    for lat in lies:
        city.note(Incident(0, "fire", Point(lat, 0.0), real=False))
    return city


def test_outcomes_are_counted_by_truth():
    outcomes = Outcomes(SimpleNamespace(city=city_with_lies(2.0, 4.0)))
    for number in range(1, 7):
        outcomes.heard("submitted", {"report": b"%d" % number, "type": "fire", "lat_e7": number * 10**7, "lon_e7": 0})
    for report_, votes in ((b"1", [True, True, False]), (b"2", [True, False]), (b"3", [False] * 3), (b"5", [True])):
        for vote in votes:
            outcomes.heard("revealed", {"report": report_, "confirm": vote})
    outcomes.heard("confirmed", {"report": b"1", "assigned": 3})
    outcomes.heard("confirmed", {"report": b"2", "assigned": 3})
    outcomes.heard("rejected", {"report": b"3", "assigned": 5})
    outcomes.heard("rejected", {"report": b"4", "assigned": 4})
    outcomes.heard("expired", {"report": b"5"})
    outcomes.heard("closed", {"report": b"1"})

    assert outcomes.counts == {
        ("submitted", True): 4,
        ("submitted", False): 2,
        ("confirmed", True): 1,
        ("confirmed", False): 1,
        ("rejected", True): 1,
        ("rejected", False): 1,
        ("expired", True): 1,
    }
    assert outcomes.groups == {(3, 3): 1, (3, 2): 1, (5, 3): 1, (4, 0): 1}
    assert (outcomes.votes, outcomes.truthful) == (9, 2 + 1 + 0 + 1)

    cell = Cell(0.8, 0.4)
    sound = {"errors": [], "replicas_agree": True, "supply_conserved": True}
    cell.add(outcomes, sound)
    row = cell.row()
    assert row["recall"]["mean"] == pytest.approx(1 / 3)  # one confirmed, one rejected, one expired; one is under way
    assert row["precision"]["mean"] == 0.5
    assert row["turnout"] == pytest.approx(8 / 15)
    assert row["true"] == {"submitted": 4, "confirmed": 1, "rejected": 1, "expired": 1, "under_way": 1}
    assert row["false"] == {"submitted": 2, "confirmed": 1, "rejected": 1, "expired": 0, "under_way": 0}
    assert row["violations"] == []

    cell.add(outcomes, sound | {"errors": ["a crash"], "supply_conserved": False})
    assert cell.row()["true"]["submitted"] == 8
    assert cell.row()["violations"] == ["a crash", "not supply_conserved"]


def test_a_cell_without_tallies_predicts_nothing():
    row = Cell(0.8, 0.4).row()
    assert row["turnout"] is row["condorcet_as_voted"] is row["recall"]["mean"] is row["precision"]["ci95"] is None
    assert "–" in table(report(spatial_accuracy.Runs(TINY, [Cell(0.8, 0.4)])))


@cache
def tiny(accuracy):
    return run(replace(TINY, accuracies=(accuracy,)))


def test_workers_who_are_never_wrong_record_the_truth():
    (row,) = report(tiny(1.0))["rows"]
    decided = Counter({truth: row[truth]["confirmed"] + row[truth]["rejected"] for truth in ("true", "false")})
    assert decided["true"] >= 5 and decided["false"] >= 3
    assert row["recall"]["mean"] == row["precision"]["mean"] == row["vote_accuracy"]["mean"] == 1.0
    assert row["turnout"] == 1.0
    assert row["condorcet"] == row["condorcet_as_voted"] == {"recall": 1.0, "precision": 1.0}
    assert row["violations"] == []


def test_workers_who_are_always_wrong_record_lies_alone():
    (row,) = report(tiny(0.0))["rows"]
    assert row["recall"]["mean"] == row["precision"]["mean"] == row["vote_accuracy"]["mean"] == 0.0
    assert row["true"]["rejected"] >= 5 and row["false"]["confirmed"] >= 3


def test_same_seed_same_report():
    assert report(run(TINY)) == report(tiny(1.0))


def test_seeds_and_cells_have_chances_of_their_own():
    submitted = []
    for seed, share in ((1, 0.3), (2, 0.3), (1, 0.31)):
        (row,) = report(run(replace(TINY, seed=seed, false_shares=(share,), seconds=8.0)))["rows"]
        submitted.append((row["true"]["submitted"], row["false"]["submitted"]))
    assert len(set(submitted)) == 3


def test_an_interrupt_keeps_the_trials_that_are_done():
    def impatient(text):
        raise KeyboardInterrupt(text)

    runs = run(replace(TINY, false_shares=(0.4, 0.5), seeds=2, seconds=8.0), impatient)
    assert runs.interrupted and len(runs.cells) == 1
    assert report(runs)["interrupted"]


@pytest.mark.slow
def test_recall_and_precision_are_what_condorcet_predicts():
    """Four cells at full length; an interval of 95 % misses now and then, so one of eight may."""
    found = report(run(Plan(accuracies=(0.7, 0.9), false_shares=(0.1, 0.4))))
    assert found["predicted"]["of"] == 8
    assert found["predicted"]["held"] >= 7
    for row in found["rows"]:
        low, high = row["vote_accuracy"]["ci95"]
        assert low - 0.02 <= row["accuracy"] <= high + 0.02
        assert row["precision"]["mean"] > 1 - row["false_share"]
