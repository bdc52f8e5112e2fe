"""How much the two readings of the reward formulas mint, and for whom (spec/spatial.md, "Rewards").

The contract's own code pays for one long history of confirmed reports, twice: as `paper` and as `bounded`. Requesters,
confirming workers and places are drawn evenly, so that inflation comes from the formulas alone. Blocks' rewards are left
out: they are a constant a block under both.

Expectations are worked out from the formulas, without the contract: of an account that took part in each of n - 1 earlier
reports with probability q, N (N - 1) is (n - 1) q (1 - q) + (n - 1)² q² + (n - 1) q on average, and its distances have
the mean of two places drawn alike. The bounded reading's is a limit, which it comes near when most accounts have reached
the cap.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from statistics import fmean
from typing import Any

from actors.clock import Stopwatch
from actors.founding import found
from actors.population import build_city
from actors.scenario import convert
from actors.sensing.mobility import Point
from chain.contract import Context
from chain.contracts.accounts import balance_of
from chain.contracts.spatial_records import Content
from chain.contracts.spatial_rewards import pay_rewards
from chain.contracts.spatial_rules import Box, SpatialRules
from chain.state import Version, WorldState
from chain.values import Account, TxId
from experiments import estimates

READINGS = ("paper", "bounded")
CREDIT = 1_000_000
PAIRS = 20_000
"""Pairs of places that the mean distance is estimated from: good to half a per cent."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The history that is paid for: `reports` confirmed ones, cut into `windows` as equal as may be."""

    reports: int = 2_000
    windows: int = 20
    requesters: int = 20
    workers: int = 40
    confirmers: tuple[int, int] = (3, 5)
    """Fewest and most workers who confirm a report: a majority of five, to all."""
    seed: int = 1
    seeds: int = 3


QUICK = Plan(reports=500, windows=10)


@dataclass(frozen=True, slots=True)
class Window:
    """The end of one stretch of the history, in micro-credits."""

    minted: int
    """For its reports."""
    supply: int
    """Since the beginning."""
    gini: float
    """Of the balances of all requesters and workers."""


@dataclass
class Runs:
    """The seeds so far; `interrupted` when somebody did not want to wait for the rest."""

    plan: Plan
    histories: list[Mapping[str, Sequence[Window]]] = field(default_factory=list)
    """By seed, then by reading."""
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Confirmed:
    """One confirmed report of a history."""

    content: Content
    workers: tuple[Account, ...]


@cache
def rules(reading: str) -> SpatialRules:
    """The default scenario's, under one reading."""
    scenario = convert({"spatial": {"rewards": {"reading": reading}}})
    return found(scenario, build_city(scenario, None), (), 0).spatial


def history(plan: Plan, box: Box, rng: Random) -> Sequence[Confirmed]:
    """Reports by chance: who, where, and who confirmed."""
    requesters, workers = (
        [Account(name.encode() + number.to_bytes(32 - len(name), "big")) for number in range(count)]
        for name, count in (("requester", plan.requesters), ("worker", plan.workers))
    )
    return [
        Confirmed(
            Content(rng.choice(requesters), "other", *_place(box, rng), 0),
            tuple(rng.sample(workers, rng.randint(*plan.confirmers))),
        )
        for _ in range(plan.reports)
    ]


def _place(box: Box, rng: Random) -> tuple[int, int]:
    return rng.randint(box.lat_min_e7, box.lat_max_e7), rng.randint(box.lon_min_e7, box.lon_max_e7)


def pay(rules: SpatialRules, reports: Sequence[Confirmed], windows: int) -> Sequence[Window]:
    """Have the contract pay for a history, and look at the end of each of `windows` stretches of it."""
    state, minted, supply = WorldState.empty(), 0, 0
    done: list[Window] = []
    accounts = {who for each in reports for who in (each.content.requester, *each.workers)}
    for number, each in enumerate(reports, 1):
        id_ = TxId(number.to_bytes(32, "big"))
        context = Context(
            state, "spatial", sender=each.content.requester, tx=id_, time_ms=0, block_id_at=lambda _: None
        )
        to_requester, to_workers = pay_rewards(context, rules, id_, each.content, each.workers)
        state = state.apply(context.writes, Version(number, 0))
        minted += to_requester + sum(to_workers)
        if number == stretch(len(reports), windows, len(done))[1]:
            supply += minted
            done.append(Window(minted, supply, gini([balance_of(state, who) for who in sorted(accounts)])))
            minted = 0
    return done


def stretch(reports: int, windows: int, place: int) -> tuple[int, int]:
    """Numbers of the first and the last report of a window, 1 for the first; `windows` are no more than `reports`."""
    return place * reports // windows + 1, (place + 1) * reports // windows


def gini(amounts: Sequence[int]) -> float:
    """How unevenly something is spread: 0 when all have the same (or there is nothing), near 1 when one has it all."""
    ordered, total = sorted(amounts), sum(amounts)
    if not total:
        return 0.0
    count = len(ordered)
    return sum((2 * rank - count - 1) * amount for rank, amount in enumerate(ordered, 1)) / (count * total)


def run(plan: Plan, tell: Callable[[str], object] | None = None) -> Runs:
    """Pay for a history in each seed; Ctrl-C ends early with those that are done."""
    runs, watch = Runs(plan), Stopwatch()
    try:
        for done, seed in enumerate(range(plan.seed, plan.seed + plan.seeds), 1):
            reports = history(plan, rules("paper").box, Random(f"{seed}/spatial-rewards"))
            runs.histories.append({reading: pay(rules(reading), reports, plan.windows) for reading in READINGS})
            if tell:
                tell(f"seed {done} of {plan.seeds}, {watch.wall_s / done * (plan.seeds - done):.0f} s left")
    except KeyboardInterrupt:
        runs.interrupted = True
    return runs


def mean_distance_m(box: Box, rng: Random) -> float:
    """Between two places drawn evenly in a box, by the formula that the contract's integers stand for."""
    return fmean(Point.from_e7(*_place(box, rng)).distance_m(Point.from_e7(*_place(box, rng))) for _ in range(PAIRS))


def expected(reading: str, plan: Plan, number: float, distance_m: float) -> float:
    """Micro-credits minted on average for the report of that number, 1 for the first; see the module's top."""
    its = rules(reading)
    confirmers = sum(plan.confirmers) / 2
    units = distance_m / its.distance_unit_m
    if reading == "bounded":
        factor = its.gamma_r_ppm + its.gamma_w_ppm  # all the confirmers together get what one would
        return its.base_requester + confirmers * its.base_worker + factor * its.history_cap * units
    before = number - 1

    def products(share: float) -> float:
        return before * share * (1 - share) + (before * share) ** 2 + before * share

    return units * (
        its.gamma_r_ppm * products(1 / plan.requesters) + its.gamma_w_ppm * products(confirmers / plan.workers)
    )


def report(runs: Runs) -> dict[str, Any]:
    """All figures, as JSON, in credits: means over the seeds with their intervals."""
    plan = runs.plan
    distance_m = mean_distance_m(rules("paper").box, Random(f"{plan.seed}/spatial-rewards/distance"))
    rows = []
    for place in range(plan.windows if runs.histories else 0):
        first, last = stretch(plan.reports, plan.windows, place)
        row: dict[str, Any] = {"first_report": first, "last_report": last}
        for reading in READINGS:
            windows = [each[reading][place] for each in runs.histories]
            row[reading] = {
                "per_report": estimates.mean([window.minted / (last - first + 1) / CREDIT for window in windows]),
                "expected": expected(reading, plan, (first + last) / 2, distance_m) / CREDIT,
                "supply": estimates.mean([window.supply / CREDIT for window in windows]),
                "gini": estimates.mean([window.gini for window in windows]),
            }
        rows.append(row)
    return {
        "experiment": "spatial-rewards",
        "reports": plan.reports,
        "requesters": plan.requesters,
        "workers": plan.workers,
        "confirmers": list(plan.confirmers),
        "mean_distance_m": round(distance_m, 1),
        "first_seed": plan.seed,
        "seeds": len(runs.histories),
        "interrupted": runs.interrupted,
        "growth": {reading: _growth(rows, reading) for reading in READINGS},
        "rows": rows,
    }


def _growth(rows: Sequence[dict[str, Any]], reading: str) -> float | None:
    """The power of the number of reports that minting grows with, over the second half; None where there is no half."""
    if len(rows) < 2:
        return None
    early, late = rows[len(rows) // 2 - 1], rows[-1]
    middles = [(row["first_report"] + row["last_report"]) / 2 for row in (early, late)]
    amounts = [row[reading]["per_report"]["mean"] for row in (early, late)]
    return math.log(amounts[1] / amounts[0]) / math.log(middles[1] / middles[0])


def table(report: dict[str, Any]) -> str:
    """For a terminal."""
    if not report["rows"]:
        return "no seed was done"
    lines = [
        _setting(report),
        "",
        "credits     paper                                               bounded",
        "reports     minted a report   expected        supply   Gini     minted a report   limit       supply   Gini",
    ]
    for row in report["rows"]:
        cells = "     ".join(
            f"{_estimate(row[reading]['per_report']):>15} {row[reading]['expected']:{width}.1f} "
            f"{row[reading]['supply']['mean']:{supply}.0f} {row[reading]['gini']['mean']:6.3f}"
            for reading, width, supply in (("paper", 10, 13), ("bounded", 7, 12))
        )
        lines.append(f"{row['last_report']:7}     {cells}")
    growth = report["growth"]
    if growth["paper"] is not None:
        powers = f"{growth['paper']:.2f} (paper), {growth['bounded']:.2f} (bounded)"
        lines += ["", f"Over the second half minting grows with the number of reports to the power of {powers}."]
    return "\n".join(lines)


def _setting(report: dict[str, Any]) -> str:
    low, high = report["confirmers"]
    return (
        f"{report['reports']} confirmed reports by {report['requesters']} requesters, each confirmed by {low} to {high} of "
        f"{report['workers']} workers;\n{report['mean_distance_m'] / 1000:.1f} km apart on average; {report['seeds']} seeds, "
        "± 95 %; without blocks' rewards"
    )


def _estimate(value: dict[str, Any]) -> str:
    half = estimates.half_width(value)
    return f"{value['mean']:.1f}" + ("" if half is None else f" ± {half:.1f}")
