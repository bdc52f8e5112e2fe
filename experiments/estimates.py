"""What a sample says, with its 95 % confidence interval."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from scipy.stats import binomtest, t

CONFIDENCE = 0.95


def mean(values: Sequence[float]) -> dict[str, Any]:
    """Mean of independent values, with Student's interval; the interval is None for a single value.

    Raises StatisticsError when there is none.
    """
    centre = fmean(values)
    if len(values) < 2:
        return {"mean": centre, "ci95": None}
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return {"mean": centre, "ci95": [centre - half, centre + half]}


def share(hits: int, of: int) -> dict[str, Any]:
    """A share, with the score interval (Wilson 1927); both None when it is of nothing."""
    if not of:
        return {"mean": None, "ci95": None}
    interval = binomtest(hits, of).proportion_ci(CONFIDENCE, method="wilson")
    return {"mean": hits / of, "ci95": [float(interval.low), float(interval.high)]}


def half_width(estimate: dict[str, Any]) -> float | None:
    """Half of an interval's width; None where there is none."""
    return None if estimate["ci95"] is None else (estimate["ci95"][1] - estimate["ci95"][0]) / 2
