"""Small planning problems for tests, at random and by hand; a user's own algorithms are named from here."""

from random import Random

import numpy as np
from hypothesis import strategies as st

from actors.sensing.planning import Plan, Problem

NOT_A_FUNCTION = 7


def lazy_planner(problem: Problem, _rng: Random) -> Plan:
    """Goes straight to the destination."""
    return Plan((), float(problem.distances[problem.tasks, problem.tasks + 1]))


def problem(tasks, *, end=(100.0, 0.0), times=None, interval=1000.0, speed=1.0, limit=400.0):
    """From (0, 0) to `end`. Any task may be performed at any time, unless told otherwise."""
    times = times or [100.0] * len(tasks)
    intervals = [interval] * len(tasks)
    return Problem.planar(tasks, (0.0, 0.0), end, times_s=times, intervals_s=intervals, speed_m_s=speed, limit_m=limit)


@st.composite
def problems(draw, most_tasks=6):
    """On a coarse grid, so that ways, costs and windows tie; tight and loose limits, waits, and starts at the destination."""
    place = st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda at: (10.0 * at[0], 10.0 * at[1]))
    tasks = draw(st.lists(place, max_size=most_tasks))
    start, end = draw(place), draw(place)
    straight = float(np.hypot(start[0] - end[0], start[1] - end[1]))
    times = draw(st.lists(st.integers(0, 150), min_size=len(tasks), max_size=len(tasks)))
    intervals = draw(st.lists(st.sampled_from((0, 5, 20, 100)), min_size=len(tasks), max_size=len(tasks)))
    return Problem.planar(
        tasks,
        start,
        end,
        times_s=[float(time) for time in times],
        intervals_s=[float(interval) for interval in intervals],
        speed_m_s=draw(st.sampled_from((0.5, 1.0, 3.0))),
        limit_m=straight + draw(st.sampled_from((0.0, 10.0, 40.0, 90.0, 300.0))),
    )


def hasty_planner(problem: Problem, _rng: Random) -> Plan:
    """Is at the first task at once, wherever that is: not sound."""
    return Plan(((0, 0.0),), 0.0)
