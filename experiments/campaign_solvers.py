"""How far the paper's greedy algorithms are from better ones and from the best: planning of paths, and their selection.

Planning is in the paper's setting, tasks in the strip, and with more tasks than that; the exact planner takes part where
they are few enough. Selection is of random paths of 5 to 9 of 10 tasks, and of paths that workers planned greedily. Times
are this process's CPU, and alone are not the same for the same seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log
from random import Random
from statistics import fmean
from typing import Any

from actors.clock import Stopwatch
from actors.sensing.planning import PLANNERS, planner
from actors.sensing.planning_exact import MOST_TASKS
from actors.sensing.selection import SELECTORS, selector
from experiments import estimates
from experiments.campaign_setting import PAPER_TASKS, Setting, draw

KINDS = ("random", "planned")
"""Of paths that are selected from."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: `seeds` campaigns of each size, and a number of instances of selection."""

    sizes: tuple[int, ...] = (10, 20, 50)
    instances: int = 200
    seed: int = 1
    seeds: int = 20


@dataclass(frozen=True, slots=True)
class Planned:
    """One planner in one campaign: means over its workers."""

    tasks: float
    metres: float
    cpu_ms: float


@dataclass
class Runs:
    """What is measured so far. `interrupted` when somebody did not want to wait for the rest."""

    plan: Plan
    planned: dict[int, list[dict[str, Planned]]] = field(default_factory=dict)
    """By tasks, by seed, by planner."""
    selected: dict[str, list[tuple[int, dict[str, int]]]] = field(default_factory=dict)
    """By kind of paths and by instance: tasks of the longest path, and paths selected, by selector."""
    interrupted: bool = False


def run(plan: Plan, tell: Callable[[str], object] | None = None) -> Runs:
    """Measure; Ctrl-C ends early with what is done."""
    runs = Runs(plan)
    try:
        for kind in KINDS:
            found = runs.selected.setdefault(kind, [])
            for seed in range(plan.seed, plan.seed + plan.instances):
                found.append(select(kind, Random(f"{seed}/campaign-solvers/{kind}")))
            if tell:
                tell(f"selection from {kind} paths: {len(found)} instances")
        for tasks in plan.sizes:
            of_size = runs.planned.setdefault(tasks, [])
            for done, seed in enumerate(range(plan.seed, plan.seed + plan.seeds), 1):
                of_size.append(plan_paths(tasks, Random(f"{seed}/campaign-solvers/{tasks}")))
                if tell:
                    tell(f"{tasks} tasks: seed {done} of {plan.seeds}")
    except KeyboardInterrupt:
        runs.interrupted = True
    return runs


def plan_paths(tasks: int, rng: Random) -> dict[str, Planned]:
    """Every worker of one campaign, by all the planners that can."""
    problems = draw(Setting(tasks=tasks), rng).problems()
    found = {}
    for name in PLANNERS:
        if name == "exact" and tasks > MOST_TASKS:
            continue
        plans_of, watch = planner(name), Stopwatch()
        plans = [plans_of(problem, rng) for problem in problems]
        cpu_ms = watch.cpu_s * 1000 / len(problems)
        found[name] = Planned(
            fmean(len(plan.stops) for plan in plans), fmean(plan.distance_m for plan in plans), cpu_ms
        )
    return found


def select(kind: str, rng: Random) -> tuple[int, dict[str, int]]:
    """One instance of the paper's size: tasks of its longest path, and how many paths each selector takes."""
    setting = Setting()
    if kind == "random":
        paths = [rng.sample(range(setting.tasks), rng.randint(*PAPER_TASKS)) for _ in range(setting.workers)]
    else:
        plans_of = planner("greedy")
        paths = [list(plans_of(problem, rng).order) for problem in draw(setting, rng).problems()]
    wanted = [setting.samples] * setting.tasks
    return max(map(len, paths)), {name: len(selector(name)(paths, wanted)) for name in SELECTORS}


def report(runs: Runs) -> dict[str, Any]:
    """All figures, as JSON: rows of planning by tasks and planner, then of selection by kind of paths and selector."""
    plan = runs.plan
    rows = [
        _planning(tasks, name, of_size) for tasks, of_size in runs.planned.items() if of_size for name in of_size[0]
    ]
    rows += [_selection(kind, name, found) for kind, found in runs.selected.items() if found for name in SELECTORS]
    return {
        "experiment": "campaign-solvers",
        "first_seed": plan.seed,
        "seeds": plan.seeds,
        "instances": plan.instances,
        "interrupted": runs.interrupted,
        "rows": rows,
    }


def _planning(tasks: int, name: str, of_size: Sequence[dict[str, Planned]]) -> dict[str, Any]:
    return {
        "part": "planning",
        "tasks": tasks,
        "solver": name,
        "campaigns": len(of_size),
        "covered": estimates.mean([each[name].tasks for each in of_size]),
        "path_m": estimates.mean([each[name].metres for each in of_size]),
        "ratio_to_greedy": estimates.mean([each[name].tasks / each["greedy"].tasks for each in of_size]),
        "cpu_ms": estimates.mean([each[name].cpu_ms for each in of_size]),
    }


def _selection(kind: str, name: str, found: Sequence[tuple[int, dict[str, int]]]) -> dict[str, Any]:
    """`bound`: the least over the instances of H(n), which the greedy may not exceed; `bound_ln` of ln n + 1."""
    ratios = [sizes[name] / sizes["exact"] for _, sizes in found]
    return {
        "part": "selection",
        "paths": kind,
        "solver": name,
        "instances": len(found),
        "selected": estimates.mean([sizes[name] for _, sizes in found]),
        "excess": estimates.mean([ratio - 1 for ratio in ratios]),
        "worst_excess": max(ratios) - 1,
        "optimal": estimates.share(sum(ratio == 1 for ratio in ratios), len(ratios)),
        "bound": min(sum(1 / each for each in range(1, longest + 1)) for longest, _ in found),
        "bound_ln": min(log(longest) + 1 for longest, _ in found),
    }


def table(report: dict[str, Any]) -> str:
    """For a terminal."""
    planning, selection = ([row for row in report["rows"] if row["part"] == part] for part in ("planning", "selection"))
    lines = []
    if planning:
        lines += [
            "planning, a worker of the paper's setting, ± 95 % over campaigns of 15 workers",
            "tasks  solver      campaigns   tasks visited      length, m        against greedy     CPU, ms",
        ]
    lines += [
        f"{row['tasks']:5}  {row['solver']:10} {row['campaigns']:10} {_estimate(row['covered'], 2):>15} "
        f"{_estimate(row['path_m'], 1):>14} {_estimate(row['ratio_to_greedy'], 3):>21} {_estimate(row['cpu_ms'], 2):>15}"
        for row in planning
    ]
    if planning and selection:
        lines.append("")
    if selection:
        lines += [
            "selection of 15 paths, 10 tasks, 3 samples each; excess over the fewest possible",
            "paths    solver    instances       selected       mean excess   worst   bound H(n) – 1   ln n   optimal",
        ]
    lines += [
        f"{row['paths']:8} {row['solver']:9} {row['instances']:9} {_estimate(row['selected'], 2):>14} "
        f"{_percent(row['excess']):>17} {row['worst_excess']:7.0%} {row['bound'] - 1:16.0%} {row['bound_ln'] - 1:6.0%} "
        f"{row['optimal']['mean']:9.0%}"
        for row in selection
    ]
    return "\n".join(lines) or "nothing was done"


def _estimate(value: dict[str, Any], digits: int) -> str:
    half = estimates.half_width(value)
    return f"{value['mean']:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def _percent(value: dict[str, Any]) -> str:
    half = estimates.half_width(value)
    return f"{value['mean']:.2%}" + ("" if half is None else f" ± {half:.2%}")
