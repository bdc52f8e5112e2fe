"""Which tasks a worker visits on its way, and when (Algorithm 1 of ChainSensing, spec/campaign.md).

The worker departs at second 0, walks at one speed, and ends at its destination after at most so many metres. A task is
performed, in no time, inside its window of time ± interval; who arrives before it opens waits there. The most tasks are
wanted, then the shortest way: an orienteering problem with time windows, NP-hard. Time and distance are two resources, for
waiting takes time alone.

Off chain, so floats are allowed. A planner is a function of the problem and a random.Random, its only source of chance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import dist, inf
from random import Random
from typing import Any

import numpy as np

from actors.sensing.mobility import Point
from actors.sensing.solvers import resolve

Array = np.ndarray[Any, np.dtype[np.float64]]
SLACK = 1e-9
"""Metres or seconds that planners let a rounding error exceed a limit; they agree, so that the exact one has the best."""
TOLERANCE = 1e-6
"""Metres or seconds that `broken` forgives."""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A worker's way and the tasks beside it. Raises ValueError when it makes no sense.

    Distances obey the triangle inequality, but for rounding; they need not be symmetric.
    """

    distances: Array
    """Metres from row to column: m tasks, then start, then destination."""
    times_s: tuple[float, ...]
    """When tasks are best performed, in seconds after departure."""
    intervals_s: tuple[float, ...]
    """How long before and after that they may be."""
    speed_m_s: float
    limit_m: float
    """Of the whole way; at least as long as that from start to destination."""

    def __post_init__(self) -> None:
        tasks = len(self.times_s)
        if len(self.intervals_s) != tasks or self.distances.shape != (tasks + 2, tasks + 2):
            raise ValueError(
                f"{tasks} times, {len(self.intervals_s)} intervals and distances {self.distances.shape}: "
                "m, m and (m + 2, m + 2) are needed"
            )
        if not (np.isfinite(self.distances).all() and self.distances.min() >= 0):
            raise ValueError("distances must be finite and not negative")
        if not 0 < self.speed_m_s < inf:
            raise ValueError(f"speed must be positive, not {self.speed_m_s:g} m/s")
        if min(self.intervals_s, default=0) < 0:
            raise ValueError("intervals must not be negative")
        straight = float(self.distances[tasks, tasks + 1])
        if self.limit_m < straight:
            raise ValueError(f"a limit of {self.limit_m:g} m is less than the {straight:g} m from start to destination")

    @classmethod
    def planar(
        cls,
        tasks: Sequence[tuple[float, float]],
        start: tuple[float, float],
        destination: tuple[float, float],
        *,
        times_s: Sequence[float],
        intervals_s: Sequence[float],
        speed_m_s: float,
        limit_m: float,
    ) -> "Problem":
        """From points in a plane, in metres, as the crow flies."""
        distances = _pairwise([*tasks, start, destination], dist)
        return cls(distances, tuple(times_s), tuple(intervals_s), speed_m_s, limit_m)

    @classmethod
    def geographic(
        cls,
        tasks: Sequence[Point],
        start: Point,
        destination: Point,
        *,
        times_s: Sequence[float],
        intervals_s: Sequence[float],
        speed_m_s: float,
        limit_m: float,
    ) -> "Problem":
        """From points on the globe, along great circles."""
        distances = _pairwise([*tasks, start, destination], Point.distance_m)
        return cls(distances, tuple(times_s), tuple(intervals_s), speed_m_s, limit_m)

    @property
    def tasks(self) -> int:
        """How many there are: m."""
        return len(self.times_s)

    def opens_s(self, task: int) -> float:
        """When the window of a task opens."""
        return self.times_s[task] - self.intervals_s[task]

    def closes_s(self, task: int) -> float:
        """The last second at which a task may be performed."""
        return self.times_s[task] + self.intervals_s[task]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker is going to do."""

    stops: tuple[tuple[int, float], ...]
    """Task and the second at which it is performed, in the order of the way."""
    distance_m: float
    """Of the whole way, to the destination."""

    @property
    def order(self) -> tuple[int, ...]:
        """The tasks, in the order of the way."""
        return tuple(task for task, _ in self.stops)


Planner = Callable[[Problem, Random], Plan]

PLANNERS = {
    "greedy": "actors.sensing.planning:greedy",
    "improved": "actors.sensing.planning_search:improved",
    "exact": "actors.sensing.planning_exact:exact",
}


def planner(name: str) -> Planner:
    """By name or dotted path. Raises ValueError when there is none."""
    return resolve("planner", name, PLANNERS)


def greedy(problem: Problem, _rng: Random) -> Plan:
    """The paper's: of the tasks still feasible, next is that with the least extra distance × distance from its time.

    Its distance from its time is counted from when it is performed, which is after the wait where there is one. Extra distance is that of going there first and then to the destination, against going to it at once. Of equals the
    one with less extra distance, then the one with the lower index. O(m²).
    """
    distances: list[list[float]] = problem.distances.tolist()
    opens = [problem.opens_s(task) for task in range(problem.tasks)]
    closes = [problem.closes_s(task) + SLACK for task in range(problem.tasks)]
    times, speed, limit = problem.times_s, problem.speed_m_s, problem.limit_m + SLACK
    here, destination = problem.tasks, problem.tasks + 1
    now = walked = 0.0
    left = set(range(problem.tasks))
    order: list[int] = []
    while True:
        best: tuple[float, float, int] | None = None
        row = distances[here]
        for task in left:
            performed = max(now + row[task] / speed, opens[task])
            onward = distances[task][destination]
            if performed > closes[task] or walked + row[task] + onward > limit:
                continue
            extra = row[task] + onward - row[destination]
            rank = (extra * abs(performed - times[task]), extra, task)
            if best is None or rank < best:
                best = rank
        if best is None:
            return follow(problem, order)
        task = best[2]
        walked += row[task]
        now = max(now + row[task] / speed, opens[task])
        left.remove(task)
        order.append(task)
        here = task


def follow(problem: Problem, order: Sequence[int]) -> Plan:
    """Perform tasks in that order, each as early as can be. Does not ask whether windows and limit allow it."""
    here, now, walked = problem.tasks, 0.0, 0.0
    stops = []
    for task in order:
        step = float(problem.distances[here, task])
        now = max(now + step / problem.speed_m_s, problem.opens_s(task))
        walked += step
        stops.append((task, now))
        here = task
    return Plan(tuple(stops), walked + float(problem.distances[here, problem.tasks + 1]))


def broken(problem: Problem, plan: Plan) -> list[str]:
    """What of the problem's definition a plan does not obey, in words; empty when it is sound."""
    wrong = []
    if unknown := sorted({task for task in plan.order if not 0 <= task < problem.tasks}):
        return [f"there is no task {task}" for task in unknown]
    if len(set(plan.order)) < len(plan.order):
        wrong.append("a task is visited twice")
    places = [problem.tasks, *plan.order, problem.tasks + 1]
    steps = [float(problem.distances[a, b]) for a, b in pairwise(places)]
    before = 0.0
    for (task, second), step in zip(plan.stops, steps, strict=False):
        if abs(second - problem.times_s[task]) > problem.intervals_s[task] + TOLERANCE:
            wrong.append(f"task {task} is performed at {second:g} s, outside its window")
        if second - before < step / problem.speed_m_s - TOLERANCE:
            wrong.append(f"task {task} is performed at {second:g} s, before the worker can be there")
        before = second
    if abs(sum(steps) - plan.distance_m) > TOLERANCE:
        wrong.append(f"the way is {sum(steps):g} m long, not {plan.distance_m:g} m")
    if sum(steps) > problem.limit_m + TOLERANCE:
        wrong.append(f"the way of {sum(steps):g} m is longer than the limit of {problem.limit_m:g} m")
    return wrong


def _pairwise(points: Sequence[Any], distance: Callable[[Any, Any], float]) -> Array:
    return np.array([[distance(a, b) for b in points] for a in points])
