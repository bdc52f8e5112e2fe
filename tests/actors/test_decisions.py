"""What actors decide for themselves, apart from everything around them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.facility import nearest
from actors.identity import Identity
from actors.sensing.mobility import Point
from actors.worker import observe
from chain.contracts.spatial_records import Operator


def operator(name, lat, lon):
    return Operator("facility", Identity.derive(1, name).account, round(lat * 1e7), round(lon * 1e7), 0)


coordinates = st.tuples(st.floats(44, 45), st.floats(11, 12))


@given(st.lists(coordinates, min_size=1, max_size=8), coordinates, st.randoms(use_true_random=False))
def test_a_place_belongs_to_the_nearest_in_whatever_order(sites, where, rng):
    operators = [operator(str(n), *site) for n, site in enumerate(sites)]
    here = Point(*where)
    found = nearest(operators, here)
    assert min(Point.from_e7(o.lat_e7, o.lon_e7).distance_m(here) for o in operators) == Point.from_e7(
        found.lat_e7, found.lon_e7
    ).distance_m(here)
    rng.shuffle(operators)
    assert nearest(operators, here) == found


def test_of_equally_near_ones_the_account_decides():
    twins = [operator(name, 44.5, 11.3) for name in ("a", "b", "c")]
    assert nearest(twins, Point(44.6, 11.3)).account == min(twin.account for twin in twins)


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("accuracy", [0.0, 0.5, 0.92, 1.0])
def test_a_look_is_right_as_often_as_the_accuracy_says(real, accuracy):
    rng = Random(3)
    right = sum(observe(real, accuracy, rng) == real for _ in range(5_000)) / 5_000
    assert right == pytest.approx(accuracy, abs=0.03)
