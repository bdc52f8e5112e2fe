"""Sites are near people, and follow from where these live."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.sensing.mobility import Point, around
from actors.sensing.sites import choose_sites

people = st.lists(st.builds(Point, st.floats(44, 45), st.floats(11, 12)), min_size=1, max_size=30)


@given(people, st.integers(1, 8))
def test_there_are_as_many_sites_as_asked_for_within_the_people(homes, count):
    sites = choose_sites(homes, count)
    assert len(sites) == count
    assert sites == choose_sites(homes, count)
    for site in sites:
        assert min(p.lat for p in homes) - 1e-9 <= site.lat <= max(p.lat for p in homes) + 1e-9
        assert min(p.lon for p in homes) - 1e-9 <= site.lon <= max(p.lon for p in homes) + 1e-9


def test_each_village_gets_a_site():
    rng = Random(2)
    villages = [Point(44.1, 11.1), Point(44.9, 11.9), Point(44.1, 11.9)]
    homes = [around(village, 500, rng) for village in villages for _ in range(20)]
    sites = choose_sites(homes, 3)
    for village in villages:
        assert min(village.distance_m(site) for site in sites) < 300


@given(people)
def test_one_site_is_in_the_middle(homes):
    (site,) = choose_sites(homes, 1)
    assert site.lat == pytest.approx(sum(p.lat for p in homes) / len(homes))
    assert site.lon == pytest.approx(sum(p.lon for p in homes) / len(homes))
