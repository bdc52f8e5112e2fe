"""Problems, the checker, and the greedy planner: by hand and against a plain transcription of Algorithm 1."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.sensing.mobility import Point
from actors.sensing.planning import SLACK, Plan, Problem, broken, follow, greedy, planner
from actors.sensing.planning_exact import exact
from actors.sensing.planning_search import improved
from tests.actors.sensing.plans import lazy_planner, problem, problems


def plain_greedy(problem):
    """Algorithm 1, line by line, in numpy."""
    d, m = problem.distances, problem.tasks
    here, now, used, order = m, 0.0, 0.0, []
    while True:
        ranks = []
        for task in set(range(m)) - set(order):
            extra = d[here, task] + d[task, m + 1] - d[here, m + 1]
            performed = max(now + d[here, task] / problem.speed_m_s, problem.times_s[task] - problem.intervals_s[task])
            in_time = performed <= problem.times_s[task] + problem.intervals_s[task] + SLACK
            if in_time and used + d[here, task] + d[task, m + 1] <= problem.limit_m + SLACK:
                ranks.append((extra * abs(performed - problem.times_s[task]), extra, task, performed))
        if not ranks:
            return order
        *_, task, performed = min(ranks)
        used, now, here = used + d[here, task], performed, task
        order.append(task)


def chance():
    return Random(1)


def test_greedy_by_hand():
    """On the way from 0 to 100 at 1 m/s: ways of no extra length cost nothing, so ties decide."""
    # All extra distances are 0: the lowest index first, and then there is no way back to 20.
    assert greedy(problem([(30, 0), (60, 0), (20, 0)], limit=100), chance()) == Plan(((0, 30), (1, 60)), 100)
    # With 20 m to spare, 20 is visited in between: back and forth.
    assert greedy(problem([(30, 0), (60, 0), (20, 0)], limit=120), chance()).order == (0, 1)
    assert greedy(problem([(30, 0), (60, 0), (20, 0)], limit=180), chance()) == Plan(((0, 30), (1, 60), (2, 100)), 180)


def test_greedy_waits_for_a_window():
    """The first opens at 50: the worker is there at 30, waits, and is at the second 40 s later."""
    found = greedy(problem([(30, 0), (70, 0)], times=[60, 90], interval=10), chance())
    assert found == Plan(((0, 50), (1, 90)), 100)
    # A wait counts: at the first it is 10 s before its time, after a detour; at the second there is none.
    assert greedy(problem([(30, 10), (70, 0)], times=[120, 90], interval=10), chance()).order == (1, 0)


def test_greedy_ties__extra_distance_before_index():
    """Both are performed at their very time, so that both products are 0; the detours are 60 and 20 metres."""
    tasks = [(0, 30), (-10, 0)]
    near = problem(tasks, end=(0, 0), times=[30, 10], interval=50, limit=60)
    assert greedy(near, chance()).order == (1,)
    # Of equal products and equal detours the lower index.
    same = problem([(-10, 0), (0, 10), (10, 0)], end=(0, 0), times=[30, 30, 30], interval=50, limit=20)
    assert greedy(same, chance()) == Plan(((0, 10),), 20)


def test_greedy_prefers_the_least_product():
    """A detour of 20 m performed 10 s early costs 200; one of 40 m, 4 s early, 160."""
    found = greedy(problem([(-10, 0), (0, 20)], end=(0, 0), times=[20, 24], interval=50, limit=40), chance())
    assert found.order == (1,)


@given(problems(most_tasks=9))
def test_greedy_is_algorithm_1(one):
    assert list(greedy(one, chance()).order) == plain_greedy(one)


@given(problems(), st.sampled_from((greedy, improved, exact)))
def test_every_plan_is_sound(one, plan):
    assert broken(one, plan(one, chance())) == []


def test_what_is_broken_is_told():
    one = problem([(30, 0), (60, 0)], times=[60, 100], interval=50, limit=110)
    good = follow(one, [0, 1])
    assert good == Plan(((0, 30), (1, 60)), 100)
    assert broken(one, good) == []
    assert broken(one, Plan(((0, 80), (1, 110)), 100)) == []  # waits, though nothing asks it to

    assert broken(one, Plan(((2, 80), (-1, 90)), 100)) == ["there is no task -1", "there is no task 2"]
    assert broken(one, Plan(((0, 5), (1, 60)), 100)) == [
        "task 0 is performed at 5 s, outside its window",
        "task 0 is performed at 5 s, before the worker can be there",
    ]
    assert broken(one, Plan(((0, 40), (1, 69)), 100)) == ["task 1 is performed at 69 s, before the worker can be there"]
    assert broken(one, replace(good, distance_m=99)) == ["the way is 100 m long, not 99 m"]
    assert "a task is visited twice" in broken(one, Plan(((0, 30), (0, 31)), 100))
    long = follow(one, [1, 0])
    assert broken(one, long) == ["the way of 160 m is longer than the limit of 110 m"]
    # From the start to the first task takes its time too.
    assert broken(problem([(30, 0)], limit=100), Plan(((0, 29),), 100)) == [
        "task 0 is performed at 29 s, before the worker can be there"
    ]


def test_geographic_problems_are_in_metres():
    start = Point(35.0, -80.0)
    task, end = start.moved(0, 500), start.moved(0, 1000)
    one = Problem.geographic([task], start, end, times_s=[400], intervals_s=[100], speed_m_s=1.25, limit_m=1100)
    found = greedy(one, chance())
    assert found.distance_m == pytest.approx(1000, rel=1e-3)
    assert found.stops == ((0, pytest.approx(400, rel=1e-3)),)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"times_s": (1.0,)}, "1 times, 2 intervals"),
        ({"distances": np.zeros((3, 4))}, r"\(3, 4\)"),
        ({"distances": np.full((4, 4), np.inf)}, "finite"),
        ({"distances": np.full((4, 4), -1.0)}, "not negative"),
        ({"speed_m_s": 0.0}, "speed must be positive, not 0 m/s"),
        ({"intervals_s": (1.0, -1.0)}, "intervals must not be negative"),
        ({"limit_m": 99.0}, "99 m is less than the 100 m"),
    ],
)
def test_problems_that_make_no_sense__are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(problem([(1, 1), (2, 2)]), **change)


def test_planners_by_name():
    assert [planner(name) for name in ("greedy", "improved", "exact")] == [greedy, improved, exact]
    assert planner("tests.actors.sensing.plans:lazy_planner") is lazy_planner
    assert planner("tests.actors.sensing.plans:lazy_planner")(problem([(1, 1)]), chance()) == Plan((), 100)
