"""Rounds against the shortest ones, found by trying all."""

from itertools import permutations
from math import dist
from random import Random
from statistics import fmean

import pytest

from experiments.tours import length, short_round


def between(places):
    return [[dist(a, b) for b in places] for a in places]


def shortest(distances):
    return min(length(distances, order) for order in permutations(range(1, len(distances))))


@pytest.mark.parametrize(
    "places,expected",
    [
        ([(0, 0)], 0),
        ([(0, 0), (3, 4)], 10),
        ([(0, 0), (4, 0), (1, 0)], 8),  # there and back along a line
        ([(0, 0), (3, 3), (3, 0), (0, 3)], 12),  # around a square
        ([(1, 0), (0, 0), (2, 0), (5, 0), (-3, 0)], 16),  # where the nearest neighbour goes astray
    ],
)
def test_rounds_by_hand(places, expected):
    assert short_round(between(places)) == pytest.approx(expected)


def test_rounds_are_nearly_the_shortest():
    rng = Random(1)
    ratios = []
    for stops in (3, 4, 5, 6, 7):
        for _ in range(20):
            distances = between([(rng.random(), rng.random()) for _ in range(stops + 1)])
            ratios.append(short_round(distances) / shortest(distances))
    assert min(ratios) >= 1 - 1e-9
    assert fmean(ratios) < 1.01
    assert max(ratios) < 1.15


def test_length_is_of_the_closed_round():
    distances = between([(0, 0), (1, 0), (1, 1), (0, 1)])
    assert length(distances, [1, 2, 3]) == 4
    assert length(distances, [2, 1, 3]) == pytest.approx(2 + 2 * 2**0.5)
    assert length(distances, []) == 0
