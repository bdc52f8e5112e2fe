"""Intervals against tables."""

import pytest

from experiments.estimates import half_width, mean, share


def test_mean_with_students_interval():
    # t with 2 degrees of freedom at 97.5 %: 4.3027; standard deviation 1, of three values.
    assert mean([4.0, 5.0, 6.0]) == {
        "mean": 5.0,
        "ci95": pytest.approx([5 - 4.3027 / 3**0.5, 5 + 4.3027 / 3**0.5], abs=1e-4),
    }
    assert mean([7.0]) == {"mean": 7.0, "ci95": None}


def test_share_with_wilsons_interval():
    # Wilson 1927: (8 + 1.92) / (10 + 3.84) ± 1.96 / 13.84 · √(8·2/10 + 0.96)
    assert share(8, 10) == {"mean": 0.8, "ci95": pytest.approx([0.4902, 0.9433], abs=1e-4)}
    assert share(5, 5)["ci95"] == pytest.approx([0.5655, 1.0], abs=1e-4)
    assert share(0, 0) == {"mean": None, "ci95": None}


def test_half_width():
    assert half_width({"mean": 2.0, "ci95": [1.0, 4.0]}) == 1.5
    assert half_width({"mean": 2.0, "ci95": None}) is None
