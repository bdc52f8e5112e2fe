"""A user's own planners and selectors, sound ones and others; tests name them by dotted path."""

from collections.abc import Sequence
from math import nan
from random import Random
from typing import Any

from actors.sensing import planning, selection
from actors.sensing.planning import Plan, Problem

HERE = __name__


def nearest(problem: Problem, rng: Random) -> Plan:
    """Goes to the first task that can be reached in time, and to no other."""
    plans = (planning.follow(problem, [task]) for task in range(problem.tasks))
    sound = (plan for plan in plans if not planning.broken(problem, plan))
    return next(sound, planning.greedy(problem, rng))


def failing(_problem: Problem, _rng: Random) -> Plan:
    """Has a bug."""
    raise ZeroDivisionError("no way")


def silent(_problem: Problem, _rng: Random) -> Any:
    """Returns no plan."""
    return None


def lost(problem: Problem, _rng: Random) -> Plan:
    """Goes to a task that does not exist."""
    return Plan(((problem.tasks + 3, 1.0),), 1.0)


def timeless(problem: Problem, rng: Random) -> Plan:
    """Arrives at no time."""
    plan = planning.greedy(problem, rng)
    return Plan(tuple((task, nan) for task, _ in plan.stops), plan.distance_m)


def hasty(problem: Problem, rng: Random) -> Plan:
    """Is everywhere at once, when it suits best."""
    plan = planning.greedy(problem, rng)
    return Plan(tuple((task, problem.times_s[task]) for task, _ in plan.stops), plan.distance_m)


PLANNERS = (failing, silent, lost, timeless, hasty)
"""Those that are not sound."""

Paths = Sequence[Sequence[int]]


def all_paths(paths: Paths, _wanted: Sequence[int]) -> Sequence[int]:
    """Valid, but more than are needed."""
    return range(len(paths))


def broken_down(_paths: Paths, _wanted: Sequence[int]) -> Sequence[int]:
    """Has a bug."""
    raise MemoryError


def nothing(_paths: Paths, _wanted: Sequence[int]) -> Any:
    """Returns no paths at all."""
    return None


def too_few(_paths: Paths, _wanted: Sequence[int]) -> Sequence[int]:
    """Covers nothing."""
    return []


def beyond(paths: Paths, wanted: Sequence[int]) -> Sequence[int]:
    """Selects one path that does not exist."""
    return [*selection.greedy(paths, wanted), len(paths)]


def below(paths: Paths, wanted: Sequence[int]) -> Sequence[int]:
    """Counts from the end."""
    return [-1, *selection.greedy(paths, wanted)]


def halves(paths: Paths, wanted: Sequence[int]) -> Any:
    """Counts in fractions."""
    return [place + 0.5 for place in selection.greedy(paths, wanted)]


def twice(paths: Paths, wanted: Sequence[int]) -> Sequence[int]:
    """Names each path twice."""
    return sorted([*selection.greedy(paths, wanted)] * 2)


SELECTORS = (broken_down, nothing, too_few, beyond, below, halves, twice)
"""Those that are not sound."""
