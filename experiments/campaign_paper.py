"""ChainSensing's evaluation, redrawn: one campaign as its Tables IV to VII show it, and what is typical over many.

Each seed draws a campaign in both readings of "in the middle" (experiments.campaign_setting); the paper shows a single one,
which is not published as data. Figures of a seed are means over its workers, for those share their tasks.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import fmean
from typing import Any

from actors.clock import Stopwatch
from actors.scenario import ScenarioError
from actors.sensing.planning import planner
from experiments import estimates
from experiments.campaign_setting import (
    PAPER_REWARDS,
    PAPER_SELECTED,
    PAPER_TASKS,
    READINGS,
    Campaign,
    Outcome,
    Setting,
    draw,
    play,
    qualities,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. `planner`: a name or a dotted path."""

    planner: str = "greedy"
    seed: int = 1
    seeds: int = 200


@dataclass
class Runs:
    """The seeds so far. `interrupted` when somebody did not want to wait for the rest."""

    plan: Plan
    played: list[dict[str, tuple[Campaign, Outcome]]] = field(default_factory=list)
    """By seed; in each by reading."""
    interrupted: bool = False


def run(plan: Plan, tell: Callable[[str], object] | None = None) -> Runs:
    """Play all seeds; Ctrl-C ends early with those that are done. Raises ScenarioError for a planner that there is not."""
    runs, watch = Runs(plan), Stopwatch()
    try:
        plans = planner(plan.planner)
    except ValueError as error:
        raise ScenarioError(f"--planner: {error}") from None
    try:
        for done, seed in enumerate(range(plan.seed, plan.seed + plan.seeds), 1):
            played = {}
            for reading in READINGS:
                rng = Random(f"{seed}/campaign-paper/{reading}")
                campaign = draw(Setting(reading=reading), rng)
                played[reading] = campaign, play(campaign, plans, rng)
            runs.played.append(played)
            if tell and done % 10 == 0:
                tell(f"seed {done} of {plan.seeds}, {watch.wall_s / done * (plan.seeds - done):.0f} s left")
    except KeyboardInterrupt:
        runs.interrupted = True
    return runs


def report(runs: Runs) -> dict[str, Any]:
    """All figures, as JSON: a row for each reading, and the first seed's campaign in the first reading."""
    plan = runs.plan
    rows = [_row(reading, [each[reading][1] for each in runs.played]) for reading in READINGS] if runs.played else []
    return {
        "experiment": "campaign-paper",
        "planner": plan.planner,
        "first_seed": plan.seed,
        "seeds": len(runs.played),
        "interrupted": runs.interrupted,
        "paper": {"tasks_per_path": list(PAPER_TASKS), "selected": PAPER_SELECTED, "rewards": PAPER_REWARDS},
        "rows": rows,
        "campaign": _campaign(*runs.played[0][READINGS[0]]) if runs.played else None,
    }


def _row(reading: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "reading": reading,
        "tasks_per_path": _spread([[len(plan.stops) for plan in outcome.plans] for outcome in outcomes]),
        "path_m": _summary([[plan.distance_m for plan in outcome.plans] for outcome in outcomes]),
        "selected": _spread([[len(outcome.rounds)] for outcome in outcomes]),
        "rewards": _spread([[sum(outcome.rewards.values())] for outcome in outcomes]),
        "uncovered": _spread([[sum(outcome.uncovered.values())] for outcome in outcomes]),
    }


def _summary(values: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Of values by seed: the mean with its interval over seeds, and the ends."""
    flat = [value for each in values for value in each]
    return estimates.mean([fmean(each) for each in values]) | {"least": min(flat), "most": max(flat)}


def _spread(values: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Of whole numbers by seed: the same, and the share of each number."""
    counts = Counter(value for each in values for value in each)
    shares = {str(number): counts[number] / counts.total() for number in sorted(counts)}
    return _summary(values) | {"shares": shares}


def _campaign(campaign: Campaign, outcome: Outcome) -> dict[str, Any]:
    """What the paper's tables show: IV tasks, V paths, VI rounds of the selection, VII winners and rewards."""
    return {
        "tasks": [
            {"x_m": x, "y_m": y, "time_s": time / 1000, "winners": list(won), "qualities": quality}
            for (x, y), time, won, quality in zip(
                campaign.places, campaign.times_ms, outcome.winners, qualities(campaign, outcome), strict=True
            )
        ],
        "paths": [
            {
                "start_m": list(start),
                "destination_m": list(destination),
                "tasks": list(plan.order),
                "arrivals_s": [second for _, second in plan.stops],
                "path_m": plan.distance_m,
                "reward": outcome.rewards.get(worker),
            }
            for worker, ((start, destination), plan) in enumerate(zip(campaign.ends, outcome.plans, strict=True))
        ],
        "rounds": [{"worker": worker, "samples": samples} for worker, samples in outcome.rounds],
        "uncovered": {str(task): missing for task, missing in outcome.uncovered.items()},
    }


def table(report: dict[str, Any]) -> str:
    """For a terminal: the campaign of one seed, then all seeds beside what is published."""
    if not report["rows"]:
        return "no seed was done"
    return "\n".join([*_one(report["campaign"], report["first_seed"]), "", *_all(report)])


def _one(campaign: Mapping[str, Any], seed: int) -> list[str]:
    lines = [f"seed {seed}, tasks in the strip", "", "task     place, m    time, s   winners, best first (quality)"]
    for task, each in enumerate(campaign["tasks"]):
        won = ", ".join(f"{w} ({q:.2f})" for w, q in zip(each["winners"], each["qualities"], strict=True))
        lines.append(f"{task:4} {each['x_m']:6.1f} {each['y_m']:6.1f} {each['time_s']:9.1f}   {won}")
    lines += ["", "worker  path, m  reward  tasks (second of arrival)"]
    for worker, each in enumerate(campaign["paths"]):
        stops = " ".join(f"{t} ({s:.0f})" for t, s in zip(each["tasks"], each["arrivals_s"], strict=True))
        reward = "–" if each["reward"] is None else each["reward"]
        lines.append(f"{worker:6} {each['path_m']:8.1f} {reward:>7}  {stops}")
    taken = ", ".join(f"{each['worker']} (+{each['samples']})" for each in campaign["rounds"])
    missing = ", ".join(f"{count} of task {task}" for task, count in campaign["uncovered"].items())
    return [*lines, "", f"selected, round by round: {taken}", f"samples missing: {missing or 'none'}"]


def _all(report: dict[str, Any]) -> list[str]:
    least, most = report["paper"]["tasks_per_path"]
    published = {
        "tasks_per_path": f"{least} to {most}",
        "path_m": "at most 400",
        "selected": f"{report['paper']['selected']}",
        "rewards": f"{report['paper']['rewards']}",
        "uncovered": "0",
    }
    names = {
        "tasks_per_path": "tasks of a path",
        "path_m": "length of a path, m",
        "selected": "workers selected",
        "rewards": "rewards paid",
        "uncovered": "samples missing",
    }
    lines = [
        f"{report['seeds']} seeds, planner {report['planner']}: mean ± 95 %, least to most",
        f"{'':21}{'published':>12}" + "".join(f"{row['reading']:>30}" for row in report["rows"]),
    ]
    for key, name in names.items():
        cells = "".join(f"{_cell(row[key]):>30}" for row in report["rows"])
        lines.append(f"{name:21}{published[key]:>12}{cells}")
    lines += ["", "share of paths by their tasks, and of campaigns by workers selected"]
    for key in ("tasks_per_path", "selected"):
        for row in report["rows"]:
            shares = "  ".join(f"{number}: {share:.1%}" for number, share in row[key]["shares"].items())
            lines.append(f"{names[key]:18}{row['reading']:8}{shares}")
    return lines


def _cell(value: dict[str, Any]) -> str:
    half = estimates.half_width(value)
    mean = f"{value['mean']:.2f}" + ("" if half is None else f" ± {half:.2f}")
    return f"{mean}, {value['least']:.0f} to {value['most']:.0f}"
