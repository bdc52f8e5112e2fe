"""Review time of facilities when false reports are filtered out before they travel (spec/spatial.md, "Evaluation").

Facilities and reports lie at random on the streets; each report is the nearest facility's, by street distance. Of the
reports a share is incorrect and, as in the paper, all of that is filtered out: what filtering by vote achieves is
measured by `experiments.spatial_accuracy`. Incorrect ones are drawn once a seed: those of 10 % are among those of 20 %.

The paper says that review time "counts travel to all of a facility's reports", not how. Two readings are computed:
`one_way`, the sum over reports of the way there, which shrinks in proportion to the number of reports; and `rounds`, one
round through all of a facility's reports and back, which shrinks more slowly. All streets have one speed: it scales
minutes, and changes neither decline nor shape. Nothing is fitted to the paper's totals.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from actors.clock import Stopwatch
from actors.sensing.roads import RoadNetwork, grid_city, read_roads
from experiments import estimates
from experiments.street_distances import street_distances
from experiments.tours import short_round

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4)
"""Of reports that are incorrect."""
PAPER_MINUTES = (1651.99, 1573.74, 1329.33, 1238.65, 1146.84)
"""Kamali et al. 2021, Table 1: total optimal time for 1,000 to 600 reports."""
SPEED_KMH = 56.327
"""35 miles an hour: what North Carolina allows inside towns where no sign says otherwise (G.S. 20-141(b)(1))."""
INTERVALS_M = tuple(range(1_000, 9_000, 1_000))
"""Where one interval of distance ends and the next begins; the last has no end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. `roads` None: a grid city, generated anew for each seed."""

    roads: Path | None = None
    facilities: int = 100
    reports: int = 1_000
    speed_kmh: float = SPEED_KMH
    seed: int = 1
    seeds: int = 30


@dataclass(frozen=True, slots=True)
class Step:
    """One share of incorrect reports in one seed; minutes."""

    reports: int
    one_way: float
    rounds: float
    counts: tuple[int, ...]
    """Reports by interval of distance from their facility."""
    minutes: tuple[float, ...]
    """One way, by interval."""


@dataclass
class Runs:
    """The seeds so far, and the city of the last. `interrupted` when somebody did not want to wait for the rest."""

    plan: Plan
    steps: list[tuple[Step, ...]] = field(default_factory=list)
    """By seed; in each by share."""
    city: RoadNetwork | None = None
    interrupted: bool = False


def run(plan: Plan, tell: Callable[[str], object] | None = None) -> Runs:
    """Measure all seeds; Ctrl-C ends early with those that are done. Raises ScenarioError for bad `roads`."""
    runs = Runs(plan)
    read = read_roads(plan.roads).largest_component() if plan.roads else None
    watch = Stopwatch()
    try:
        for done, seed in enumerate(range(plan.seed, plan.seed + plan.seeds)):
            rng = Random(f"{seed}/spatial-allocation")
            runs.city = read or grid_city(rng).largest_component()
            runs.steps.append(allocate(runs.city, plan, rng))
            if tell:
                left_s = watch.wall_s / (done + 1) * (plan.seeds - done - 1)
                tell(f"seed {done + 1} of {plan.seeds}, {left_s:.0f} s left")
    except KeyboardInterrupt:
        runs.interrupted = True
    return runs


def allocate(city: RoadNetwork, plan: Plan, rng: Random) -> tuple[Step, ...]:
    """One seed: places, distances, and a step for each share."""
    spots = [*city.spots(plan.facilities, rng), *city.spots(plan.reports, rng)]
    return steps(street_distances(city, spots), plan.facilities, _kept(plan.reports), plan.speed_kmh)


def _kept(reports: int) -> Sequence[int]:
    """How many reports are correct, by share. Reports are in random order: the last are the incorrect ones."""
    return [round(reports * (1 - share)) for share in SHARES]


def steps(
    metres: "np.ndarray[Any, np.dtype[np.float64]]", facilities: int, kept: Sequence[int], speed_kmh: float
) -> tuple[Step, ...]:
    """From street distances among `facilities` and then reports: a step for each number of reports kept."""
    minute = speed_kmh * 1000 / 60
    ways = metres[:facilities, facilities:]
    own, nearest = ways.argmin(axis=0), ways.min(axis=0)  # of facilities at equal distance, the first
    intervals = [bisect_right(INTERVALS_M, way) for way in nearest]
    found = []
    for number in kept:
        counts, minutes, rounds = [0] * (len(INTERVALS_M) + 1), [0.0] * (len(INTERVALS_M) + 1), 0.0
        for report in range(number):
            counts[intervals[report]] += 1
            minutes[intervals[report]] += float(nearest[report]) / minute
        for facility in range(facilities):
            places = [facility, *(np.flatnonzero(own[:number] == facility) + facilities)]
            rounds += short_round(metres[np.ix_(places, places)].tolist()) / minute
        found.append(Step(number, sum(minutes), rounds, tuple(counts), tuple(minutes)))
    return tuple(found)


def report(runs: Runs) -> dict[str, Any]:
    """All figures, as JSON: means over the seeds with their intervals. Empty rows when no seed was done.

    ``change`` is against the same seed without filtering; its ``seeds`` are the least and the most of any seed.
    """
    plan, city = runs.plan, runs.city
    by_share = list(zip(*runs.steps, strict=True))
    rows = []
    for place, (share, many, paper) in enumerate(zip(SHARES, by_share, PAPER_MINUTES, strict=False)):
        row: dict[str, Any] = {"incorrect": share, "reports": many[0].reports}
        for reading in ("one_way", "rounds"):
            totals = [getattr(each, reading) for each in many]
            firsts = [getattr(each, reading) for each in by_share[0]]
            row[f"{reading}_min"] = estimates.mean(totals)
            changes = [now / then - 1 for now, then in zip(totals, firsts, strict=True)]
            row[f"{reading}_change"] = estimates.mean(changes) | {"seeds": [min(changes), max(changes)]}
        row["paper_min"], row["paper_change"] = paper, paper / PAPER_MINUTES[0] - 1
        rows.append(row | {"paper_reports": 1_000 - 100 * place})
    return {
        "experiment": "spatial-allocation",
        "city": city
        and {
            "name": city.name,
            "crossings": len(city.crossings),
            "roads": len(city.roads),
            "km": round(city.length_m / 1000, 1),
            "roads_refused": city.roads_refused,
        },
        "facilities": plan.facilities,
        "reports": plan.reports,
        "speed_kmh": plan.speed_kmh,
        "first_seed": plan.seed,
        "seeds": len(runs.steps),
        "interrupted": runs.interrupted,
        "rows": rows,
        "intervals": [_interval(place, by_share) for place in range(len(INTERVALS_M) + 1)] if by_share else [],
    }


def _interval(place: int, by_share: Sequence[Sequence[Step]]) -> dict[str, Any]:
    edges = [0, *INTERVALS_M, None]
    return {
        "from_m": edges[place],
        "to_m": edges[place + 1],
        "reports": [estimates.mean([step.counts[place] for step in many]) for many in by_share],
        "one_way_min": [estimates.mean([step.minutes[place] for step in many]) for many in by_share],
    }


def table(report: dict[str, Any]) -> str:
    """For a terminal: totals beside the paper's Table 1, then what its Figures 4 and 5 count, of our run."""
    if not report["rows"]:
        return "no seed was done"
    lines = [
        _setting(report),
        "",
        "total review time, minutes; change against no report being incorrect",
        "incorrect  reports         one way            rounds              paper",
        *(
            f"{row['incorrect']:8.0%} {row['reports']:9}  {_pair(row, 'one_way')}  {_pair(row, 'rounds')}  "
            f"{row['paper_min']:8.2f} {row['paper_change']:+7.1%}"
            for row in report["rows"]
        ),
        "",
        _comparison(report["rows"][0], report["rows"][-1]),
    ]
    heads = "".join(f"{f'{share:.0%}':>16}" for share in SHARES)
    for name, key in (("reports", "reports"), ("review time (one way), minutes,", "one_way_min")):
        lines += [
            "",
            f"{name} by distance to the facility, by share filtered out (0 %: without filtering)",
            "km       " + heads,
        ]
        for each in report["intervals"]:
            if not each["reports"][0]["mean"]:
                continue  # nothing is so far from its facility
            cells = "".join(f"{_estimate(value):>16}" for value in each[key])
            lines.append(f"{interval_name(each):9}{cells}")
    return "\n".join(lines)


def _setting(report: dict[str, Any]) -> str:
    city = report["city"]
    return (
        f"{report['facilities']} facilities, {report['reports']} reports, {city['name']}: {city['km']:g} km of streets, "
        f"{city['roads']} roads; {report['speed_kmh']:g} km/h; {report['seeds']} seeds, ± 95 %"
    )


def _comparison(first: dict[str, Any], last: dict[str, Any]) -> str:
    """Decline and shape beside the paper's, in words."""

    def each(row: dict[str, Any], reading: str) -> float:
        return float(row[f"{reading}_min"]["mean"]) / int(row["reports"])

    paper = [row["paper_min"] / row["paper_reports"] for row in (first, last)]
    low, high = last["one_way_change"]["seeds"]
    least, most = last["rounds_change"]["seeds"]
    return (
        f"With {last['incorrect']:.0%} filtered out the ways to single reports change by "
        f"{last['one_way_change']['mean']:+.1%} ({low:+.1%} to {high:+.1%} in single seeds),\nrounds through a facility's "
        f"reports by {last['rounds_change']['mean']:+.1%} ({least:+.1%} to {most:+.1%}), the paper's total by "
        f"{last['paper_change']:+.1%}.\nMinutes a report: one way {each(first, 'one_way'):.2f} → {each(last, 'one_way'):.2f}, "
        f"rounds {each(first, 'rounds'):.2f} → {each(last, 'rounds'):.2f}, paper {paper[0]:.2f} → {paper[1]:.2f}. "
        "They scale with the speed; changes do not."
    )


def interval_name(interval: dict[str, Any]) -> str:
    """In kilometres, such as ``1–2`` or ``8–``."""
    end = "" if interval["to_m"] is None else f"{interval['to_m'] / 1000:g}"
    return f"{interval['from_m'] / 1000:g}–{end}"


def _estimate(value: dict[str, Any]) -> str:
    half = estimates.half_width(value)
    return f"{value['mean']:.1f}" + ("" if half is None else f" ± {half:.1f}")


def _pair(row: dict[str, Any], reading: str) -> str:
    return f"{_estimate(row[f'{reading}_min']):>15} {row[f'{reading}_change']['mean']:+7.1%}"
