"""Street distances and review times by hand, and what a run says of them."""

from dataclasses import replace

import numpy as np
import pytest

from actors.scenario import ScenarioError
from actors.sensing.mobility import Point
from actors.sensing.roads import Road, RoadNetwork, Spot
from experiments import spatial_allocation
from experiments.spatial_allocation import PAPER_MINUTES, Plan, report, run, steps, table
from experiments.street_distances import street_distances

A, B, C, D = range(4)
SQUARE = RoadNetwork(
    "square",
    (Point(0, 0),) * 4,
    (Road(A, B, 100), Road(B, C, 200), Road(B, C, 250), Road(C, D, 100), Road(D, A, 500)),
)
SMALL = Plan(facilities=8, reports=40, seeds=3)


def test_street_distances_by_hand():
    spots = [Spot(0, 50), Spot(3, 25), Spot(4, 400), Spot(0, 80), Spot(2, 125)]
    expected = [
        # s0 (A–B)   s1 (C–D)   s2 (D–A)    s3 (A–B)  s4 (the longer B–C)
        [0, 50 + 200 + 25, 50 + 100, 30, 50 + 125],
        [275, 0, 25 + 200 + 100 + 100, 25 + 200 + 20, 25 + 125],  # to s2 by D it is 475
        [150, 425, 0, 100 + 80, 100 + 100 + 125],
        [30, 245, 180, 0, 20 + 125],
        [175, 150, 325, 145, 0],
    ]
    assert street_distances(SQUARE, spots) == pytest.approx(np.array(expected, dtype=float), abs=0.01)


def test_spots_at_crossings_and_at_one_place():
    spots = [Spot(0, 0), Spot(0, 100), Spot(0, 100), Spot(1, 0), Spot(4, 500)]
    distances = street_distances(SQUARE, spots)
    expected = [[0, 100, 100, 100, 0], *[[100, 0, 0, 0, 100]] * 3, [0, 100, 100, 100, 0]]
    assert distances == pytest.approx(np.array(expected, dtype=float), abs=0.01)


def test_where_no_street_leads_is_infinitely_far():
    apart = RoadNetwork("apart", (Point(0, 0),) * 4, (Road(0, 1, 10), Road(2, 3, 10)))
    assert street_distances(apart, [Spot(0, 5), Spot(1, 5)])[0, 1] == np.inf


def test_review_times_by_hand():
    """Facilities at 0 and 10 km of one street, reports at 0.5, 1.5, 9, 5 (a tie) and 4.8 km; a kilometre a minute."""
    places = np.array([0, 10, 0.5, 1.5, 9, 5, 4.8]) * 1000
    whole, part, none = steps(np.abs(places[:, None] - places), 2, [5, 3, 0], speed_kmh=60)

    assert (whole.reports, part.reports, none.reports) == (5, 3, 0)
    assert whole.one_way == pytest.approx(0.5 + 1.5 + 1 + 5 + 4.8)
    assert part.one_way == pytest.approx(0.5 + 1.5 + 1)
    # The first facility goes to 5 km and back, of those at equal distance it is the first; the other to 9 km.
    assert whole.rounds == pytest.approx(10 + 2)
    assert part.rounds == pytest.approx(3 + 2)
    assert none.one_way == none.rounds == 0
    # The intervals include their beginnings.
    assert whole.counts == (1, 2, 0, 0, 1, 1, 0, 0, 0)
    assert part.counts == (1, 2, 0, 0, 0, 0, 0, 0, 0)
    assert whole.minutes == pytest.approx((0.5, 2.5, 0, 0, 4.8, 5, 0, 0, 0))


def test_same_seed_same_report():
    found = report(run(SMALL))
    assert found == report(run(SMALL))
    assert found["rows"][0] != report(run(replace(SMALL, seed=2)))["rows"][0]


def test_a_report_adds_up():
    found = report(run(SMALL))

    assert [row["reports"] for row in found["rows"]] == [40, 36, 32, 28, 24]
    assert [row["paper_min"] for row in found["rows"]] == list(PAPER_MINUTES)
    assert found["rows"][4]["paper_change"] == pytest.approx(-0.306, abs=5e-4)
    for place, row in enumerate(found["rows"]):
        counts = [interval["reports"][place]["mean"] for interval in found["intervals"]]
        minutes = [interval["one_way_min"][place]["mean"] for interval in found["intervals"]]
        assert sum(counts) == pytest.approx(row["reports"])
        assert sum(minutes) == pytest.approx(row["one_way_min"]["mean"])
        low, high = row["one_way_min"]["ci95"]
        assert low <= row["one_way_min"]["mean"] <= high
        least, most = row["rounds_change"]["seeds"]
        assert least <= row["rounds_change"]["mean"] <= most
    changes = [row["rounds_change"]["mean"] for row in found["rows"]]
    assert changes == sorted(changes, reverse=True) and changes[0] == 0
    assert found["rows"][4]["one_way_change"]["mean"] < changes[4]  # ways to single reports shrink faster than rounds


def test_speed_scales_minutes_and_nothing_else():
    slow, fast = (report(run(replace(SMALL, speed_kmh=speed))) for speed in (30, 60))
    for one, other in zip(slow["rows"], fast["rows"], strict=True):
        for reading in ("one_way", "rounds"):
            assert one[f"{reading}_min"]["mean"] == pytest.approx(2 * other[f"{reading}_min"]["mean"])
            assert one[f"{reading}_change"]["mean"] == pytest.approx(other[f"{reading}_change"]["mean"])


def test_a_road_network_from_files(tmp_path):
    """Facilities and reports are on its largest component alone."""
    (tmp_path / "nodes.csv").write_text("node,lat,lon\n" + "".join(f"{n},35.{n},-80\n" for n in range(5)))
    (tmp_path / "edges.csv").write_text("from,to,length_m\n0,1,700\n1,2,300\n3,4,90000\n")
    found = report(run(replace(SMALL, roads=tmp_path)))

    assert found["city"] == {"name": tmp_path.name, "crossings": 3, "roads": 2, "km": 1.0, "roads_refused": 0}
    assert found["intervals"][0]["reports"][0]["mean"] == 40
    with pytest.raises(ScenarioError, match=r"nodes\.csv"):
        run(replace(SMALL, roads=tmp_path / "nowhere"))


def test_an_interrupt_keeps_the_seeds_that_are_done():
    def impatient(text):
        if "seed 2" in text:
            raise KeyboardInterrupt

    runs = run(SMALL, impatient)
    found = report(runs)
    assert runs.interrupted and found["interrupted"]
    assert found["seeds"] == 2
    assert found["rows"] == report(run(replace(SMALL, seeds=2)))["rows"]


def test_interrupted_before_the_first_seed(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(spatial_allocation, "allocate", interrupt)
    found = report(run(SMALL))
    assert found["rows"] == found["intervals"] == []
    assert table(found) == "no seed was done"


def test_the_table_has_the_papers_totals_beside_ours():
    text = table(report(run(SMALL)))
    for minutes in PAPER_MINUTES:
        assert f"{minutes:.2f}" in text
    assert "-30.6%" in text
    assert "0–1" in text
