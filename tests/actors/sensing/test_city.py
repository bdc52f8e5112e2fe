"""What happens in a city follows from its seed or its file, inside its place, in order of time."""

from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.scenario import PlaceConfig, ReportsConfig
from actors.sensing.city import City, Incident, generate, generated_city, replay, reported_city
from actors.sensing.mobility import Point
from actors.sensing.reports_file import CitizenReport

PLACE = PlaceConfig()
TYPES = ("fire", "other")


def incidents(seed=1, *, per_minute=30.0, false_share=0.25, count=2_000):
    city = generated_city(PLACE, ReportsConfig(), Random(seed))
    return list(islice(generate(city, per_minute, TYPES, false_share, Random(seed)), count))


def test_generated_incidents_follow_from_the_seed():
    assert incidents(1, count=50) == incidents(1, count=50) != incidents(2, count=50)


def test_generated_incidents_are_a_poisson_process_inside_the_place():
    found = incidents()
    times = [incident.time_ms for incident in found]
    assert times == sorted(times)
    gaps = [b - a for a, b in zip([0, *times], times, strict=False)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(2_000, rel=0.1)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(mean**2, rel=0.2)
    assert sum(not incident.real for incident in found) / len(found) == pytest.approx(0.25, abs=0.04)
    assert {incident.type for incident in found} == set(TYPES)
    for incident in found:
        assert PLACE.lat_min <= incident.where.lat <= PLACE.lat_max
        assert PLACE.lon_min <= incident.where.lon <= PLACE.lon_max


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_inside_is_the_nearest_point_of_the_place(lat, lon):
    city = City(PLACE, [Point(44.5, 11.3)], [])
    inside = city.inside(Point(lat, lon))
    assert PLACE.lat_min <= inside.lat <= PLACE.lat_max and PLACE.lon_min <= inside.lon <= PLACE.lon_max
    if PLACE.lat_min <= lat <= PLACE.lat_max:
        assert inside.lat == lat


def test_who_looks_finds_what_was_not_made_up():
    city = City(PLACE, [Point(44.5, 11.3)], [])
    there = Point(44.51, 11.31)
    city.note(Incident(0, "fire", there, real=False))
    city.note(Incident(0, "other", there, real=True))
    assert not city.is_real("fire", *there.e7)
    assert city.is_real("other", *there.e7)
    assert city.is_real("fire", there.e7[0] + 1, there.e7[1])


def row(line, time_s):
    return CitizenReport(line, time_s, "fire", Point(44.5, 11.3))


times = st.lists(st.integers(0, 10**7), min_size=1, max_size=40).map(sorted)


@given(times, st.floats(1, 1e6), st.floats(1, 1e4))
def test_a_replay_keeps_order_speed_and_the_limit(when, speed, most):
    rows = [row(n, t) for n, t in enumerate(when)]
    found = list(replay(rows, ReportsConfig(speed=speed, max_per_minute=most)))
    assert len(found) == len(rows) and all(incident.real for incident in found)
    assert found[0].time_ms == 0
    for n, incident in enumerate(found):
        assert incident.time_ms >= (when[n] - when[0]) * 1000 / speed - 1  # never early
        if n:
            gap = incident.time_ms - found[n - 1].time_ms
            assert gap >= 60_000 / most - 1
            due = round((when[n] - when[0]) * 1000 / speed)
            # Late only because of those before it.
            assert incident.time_ms == pytest.approx(max(due, found[n - 1].time_ms + 60_000 / most), abs=2)


def test_nothing_to_replay():
    assert list(replay([], ReportsConfig())) == []


def test_people_live_where_reports_are():
    rows = [CitizenReport(n, n, "fire", Point(44.41 + n / 100, 11.25)) for n in range(5)]
    city = reported_city(PLACE, rows, Random(1))
    for n in range(50):
        home = city.home(Random(n))
        assert min(home.distance_m(r.where) for r in rows) < 260
