"""Walkers stay near home, keep to their speed, and do not care how often they are looked at."""

from random import Random

import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import given
from hypothesis import strategies as st

from actors.sensing.mobility import Point, RandomWaypoint, around

places = st.builds(Point, st.floats(-70, 70), st.floats(-179, 179))
instants = st.lists(st.floats(0, 20_000), min_size=1, max_size=30).map(sorted)
seeds = st.integers(0, 1_000)


def walk(home, seed, roam_m=1_500.0, speed_m_s=1.4):
    return RandomWaypoint(home, roam_m=roam_m, speed_m_s=speed_m_s, rng=Random(seed))


@given(places, seeds, instants, instants)
def test_a_walk_does_not_depend_on_how_often_it_is_asked(home, seed, some, others):
    t = max(some[-1], others[-1])
    often, seldom = walk(home, seed), walk(home, seed)
    seen = {moment: often.position(moment) for moment in sorted([*some, *others, t])}
    for moment in others:
        assert seldom.position(moment) == seen[moment]


@given(places, seeds, instants, st.floats(1, 5_000))
def test_walkers_stay_around_home(home, seed, moments, roam_m):
    one = walk(home, seed, roam_m)
    for moment in moments:
        assert home.distance_m(one.position(moment)) <= roam_m * 1.01 + 0.01


@given(places, seeds, instants, st.floats(0.1, 30))
def test_walkers_keep_to_their_speed(home, seed, moments, speed):
    one = walk(home, seed, speed_m_s=speed)
    before, at = 0.0, one.position(0.0)
    for moment in moments:
        now = one.position(moment)
        assert at.distance_m(now) <= (moment - before) * speed * 1.01 + 0.01
        before, at = moment, now


@pytest.mark.parametrize("config", [{"roam_m": 0.0}, {"speed_m_s": 0.0}])
def test_who_does_not_move_stays(config):
    one = walk(Point(44, 11), 1, **config)
    assert len({one.position(t) for t in (0, 10, 10_000)}) == 1


def test_a_tiny_radius_does_not_take_for_ever():
    one = walk(Point(44, 11), 1, roam_m=0.001, speed_m_s=100.0)
    assert Point(44, 11).distance_m(one.position(5_000)) < 0.01


@given(places, st.floats(-20_000, 20_000), st.floats(-20_000, 20_000))
def test_moving_goes_as_far_as_it_says(start, north, east):
    far = (north**2 + east**2) ** 0.5
    assert start.distance_m(start.moved(north, east)) == pytest.approx(far, rel=0.012, abs=0.01)


def test_moving_over_the_date_line():
    there = Point(0.0, 179.999).moved(0, 1_000)
    assert -180 <= there.lon < -179.9


@given(places, places)
def test_distances_are_the_spheres(one, other):
    sphere = Geodesic(6_371_008.8, 0)
    exact = sphere.Inverse(one.lat, one.lon, other.lat, other.lon)["s12"]
    assert one.distance_m(other) == pytest.approx(exact, rel=1e-6, abs=0.05)
    assert one.distance_m(other) == pytest.approx(other.distance_m(one))


def test_the_far_side_of_the_globe_has_a_distance():
    assert Point(0, 0).distance_m(Point(0, 180)) == pytest.approx(20_015_114, rel=1e-6)


@given(st.integers(-900_000_000, 900_000_000), st.integers(-1_800_000_000, 1_800_000_000))
def test_integers_come_back(lat_e7, lon_e7):
    assert Point.from_e7(lat_e7, lon_e7).e7 == (lat_e7, lon_e7)


def test_around_is_uniform_in_the_disc():
    rng = Random(5)
    home = Point(44, 11)
    distances = [home.distance_m(around(home, 1_000, rng)) for _ in range(4_000)]
    assert max(distances) <= 1_001
    assert sum(d < 707.1 for d in distances) / 4_000 == pytest.approx(0.5, abs=0.03)
