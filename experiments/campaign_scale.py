"""What an oracle needs for campaigns larger than the paper's: selection and rewards, in CPU seconds and memory.

Paths are random: of 5 to 9 tasks, as published, or of a tenth of all tasks, which no worker would walk, but a gateway might
be sent. Each task wants three samples, as published. Memory is the peak of the whole process so far, which has the paths
too; sizes are measured from the smallest on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from actors.clock import Stopwatch
from actors.sensing.selection import greedy
from experiments import estimates
from experiments.campaign_setting import PAPER_TASKS, Setting, settle
from experiments.measuring import peak_bytes

TARGET = {"cpu_s": 2.0, "peak_mb": 500.0}
"""Of the largest size."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: tasks and paths of each size, `seeds` times."""

    sizes: tuple[tuple[int, int], ...] = ((10, 15), (30, 150), (100, 500), (300, 1_500), (1_000, 5_000))
    seed: int = 1
    seeds: int = 5


QUICK = Plan(seeds=1)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one instance."""

    stops: int
    selected: int
    paid: int
    selection_s: float
    rewards_s: float
    peak_bytes: int


@dataclass
class Runs:
    """The sizes so far. `interrupted` when somebody did not want to wait for the rest."""

    plan: Plan
    costs: dict[tuple[str, int, int], list[Cost]] = field(default_factory=dict)
    """By kind of paths, tasks and paths; by seed."""
    interrupted: bool = False


def run(plan: Plan, tell: Callable[[str], object] | None = None) -> Runs:
    """Measure all sizes; Ctrl-C ends early with what is done."""
    runs = Runs(plan)
    try:
        for tasks, paths in plan.sizes:
            for kind in ("published", "tenth"):
                found = runs.costs.setdefault((kind, tasks, paths), [])
                for seed in range(plan.seed, plan.seed + plan.seeds):
                    found.append(measure(kind, tasks, paths, Random(f"{seed}/campaign-scale/{tasks}/{kind}")))
                if tell:
                    tell(f"{tasks} tasks, {paths} paths ({kind})")
    except KeyboardInterrupt:
        runs.interrupted = True
    return runs


def measure(kind: str, tasks: int, paths: int, rng: Random) -> Cost:
    """Draw an instance, select, and reward."""
    setting = Setting(tasks=tasks, workers=paths)
    times = [rng.randint(*setting.times_ms) for _ in range(tasks)]
    bids = []
    for _ in range(paths):
        length = rng.randint(*PAPER_TASKS) if kind == "published" else max(1, tasks // 10)
        visited = rng.sample(range(tasks), length)
        bids.append([(task, times[task] + rng.randint(-setting.interval_ms, setting.interval_ms)) for task in visited])
    wanted = [setting.samples] * tasks
    watch = Stopwatch()
    selected = greedy([[task for task, _ in path] for path in bids], wanted)
    selection_s = watch.cpu_s
    _, earned = settle(times, wanted, bids, selected, setting.reward)
    rewards_s = watch.cpu_s - selection_s
    return Cost(sum(map(len, bids)), len(selected), sum(earned.values()), selection_s, rewards_s, peak_bytes())


def report(runs: Runs) -> dict[str, Any]:
    """All figures, as JSON: means over the seeds with their intervals, the greatest peak."""
    rows = [
        {
            "paths_of": kind,
            "tasks": tasks,
            "paths": paths,
            "stops": round(sum(cost.stops for cost in costs) / len(costs)),
            "selected": estimates.mean([cost.selected for cost in costs]),
            "paid": estimates.mean([cost.paid for cost in costs]),
            "selection_s": estimates.mean([cost.selection_s for cost in costs]),
            "rewards_s": estimates.mean([cost.rewards_s for cost in costs]),
            "cpu_s": estimates.mean([cost.selection_s + cost.rewards_s for cost in costs]),
            "peak_mb": max(cost.peak_bytes for cost in costs) / 1e6,
        }
        for (kind, tasks, paths), costs in runs.costs.items()
        if costs
    ]
    return {
        "experiment": "campaign-scale",
        "first_seed": runs.plan.seed,
        "seeds": runs.plan.seeds,
        "interrupted": runs.interrupted,
        "target": TARGET,
        "rows": rows,
    }


def table(report: dict[str, Any]) -> str:
    """For a terminal."""
    if not report["rows"]:
        return "nothing was done"
    target = report["target"]
    lines = [
        f"selection and rewards, {report['seeds']} seeds, ± 95 %; wanted: {target['cpu_s']:g} s, {target['peak_mb']:g} MB",
        "paths of     tasks   paths    stops  selected   selection, ms     rewards, ms    together, s   peak, MB",
    ]
    for row in report["rows"]:
        name = "5–9 tasks" if row["paths_of"] == "published" else "a tenth"
        lines.append(
            f"{name:10} {row['tasks']:7} {row['paths']:7} {row['stops']:8} {row['selected']['mean']:9.1f} "
            f"{_ms(row['selection_s']):>15} {_ms(row['rewards_s']):>15} {row['cpu_s']['mean']:14.4f} {row['peak_mb']:10.0f}"
        )
    return "\n".join(lines)


def _ms(value: dict[str, Any]) -> str:
    half = estimates.half_width(value)
    return f"{value['mean'] * 1000:.2f}" + ("" if half is None else f" ± {half * 1000:.2f}")
