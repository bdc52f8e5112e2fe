"""Whether a result can be right, and who wins: pure functions, against a second writing of the rules."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.contracts.campaign_check import invalid, right_winners
from chain.contracts.campaign_records import MAX_BIDS, MAX_SAMPLES, MAX_TASKS, Bid, Selection, Stop, Task
from chain.contracts.campaign_winners import MILLION, quality_ppm, winners
from chain.values import MAX_INT
from tests.strategies import account

BEST_MS = 1_000
WIDE = 400


def task(number, samples=2):
    return Task(number, account(1), 0, 0, 10, BEST_MS, WIDE, samples)


def bid(worker, *stops):
    return Bid(account(worker), worker, tuple(Stop(number, BEST_MS + late) for number, late in stops))


TASKS = (task(2), task(5, samples=1), task(9))
BIDS = (bid(1, (2, 10), (5, 20)), bid(2, (2, -10), (9, 0)), bid(3, (2, 5)), bid(4, (5, -20), (2, 300)))
"""Task 2 is on all four paths, task 5 on the first and last, and task 9 on one, though two samples are wanted."""
VALID = Selection((0, 1), ((0, 1), (0,), (1,)))


def test_a_valid_result():
    assert invalid(TASKS, BIDS, VALID) == ""
    assert invalid(TASKS, BIDS, Selection((0, 1, 2, 3), ((2, 0), (0,), (1,)))) == ""
    assert invalid((), (), Selection((), ())) == ""
    assert invalid(TASKS, (), Selection((), ((), (), ()))) == ""


@pytest.mark.parametrize(
    "paths,named,wrong",
    [
        ((1, 0), VALID.winners, "not in ascending order"),
        ((0, 0, 1), VALID.winners, "not in ascending order"),
        ((0, 1, 4), VALID.winners, "no path 4"),
        ((0, 1, MAX_INT), VALID.winners, f"no path {MAX_INT}"),
        ((0, 1), VALID.winners[:2], "winners of 2 tasks"),
        ((0, 1), (*VALID.winners, ()), "winners of 4 tasks"),
        ((), ((), (), ()), "task 2 is covered 0 times, possible were 2"),
        ((0,), ((0,), (0,), ()), "task 2 is covered 1 times"),
        ((1, 2), ((2, 1), (), (1,)), "task 5 is covered 0 times, possible were 1"),
        ((0, 2), ((2, 0), (0,), ()), "task 9 is covered 0 times, possible were 1"),
        ((0, 1), ((1, 0), (0,), (1,)), "winners of task 2"),  # equally near: the lower index comes first
        ((0, 1), ((0,), (0,), (1,)), "winners of task 2"),
        ((0, 1), ((0, 1, 1), (0,), (1,)), "winners of task 2"),
        ((0, 1), ((0, 1), (0, 1), (1,)), "winners of task 5"),  # not on its path
        ((0, 1), ((0, 1), (3,), (1,)), "winners of task 5"),  # not selected
        ((0, 1), ((0, 1), (MAX_INT,), (1,)), "winners of task 5"),
        ((0, 1, 2), ((0, 1), (0,), (1,)), "winners of task 2"),  # the third is nearer
        ((0, 1, 3), ((0, 1), (3,), (1,)), "winners of task 5"),
    ],
)
def test_what_is_wrong_is_said(paths, named, wrong):
    assert wrong in invalid(TASKS, BIDS, Selection(paths, named))


SELECTIONS = st.builds(
    Selection,
    st.lists(st.one_of(st.integers(0, 6), st.integers(0, MAX_INT)), max_size=8).map(tuple),
    st.lists(st.lists(st.one_of(st.integers(0, 6), st.integers(0, MAX_INT)), max_size=4).map(tuple), max_size=5).map(
        tuple
    ),
)


@st.composite
def markets(draw):
    numbers = sorted(draw(st.sets(st.integers(0, MAX_TASKS - 1), max_size=4)))
    tasks = tuple(task(number, draw(st.integers(1, 3))) for number in numbers)
    late = st.integers(-WIDE, WIDE) | st.sampled_from([-1, 0, 1])
    bids = tuple(
        bid(worker, *((number, draw(late)) for number in draw(st.lists(st.sampled_from(numbers), unique=True))))
        for worker in range(draw(st.integers(0, 6) if numbers else st.just(0)))
    )
    return tasks, bids


def by_quality(tasks, bids, paths):
    """Algorithm 3 as the specification has it: sorted by decreasing q, ties to the lower index; the first k win."""
    named = []
    for each in tasks:
        found = [
            (-(1 - Fraction(abs(stop.arrival_ms - each.time_ms), each.interval_ms)), place)
            for place in sorted(paths)
            for stop in bids[place].path
            if stop.task == each.number
        ]
        named.append(tuple(place for _, place in sorted(found)[: each.samples]))
    return tuple(named)


def covers(tasks, bids, paths):
    def times(each, places):
        return sum(stop.task == each.number for place in places for stop in bids[place].path)

    return all(times(each, paths) >= min(each.samples, times(each, range(len(bids)))) for each in tasks)


@given(markets(), SELECTIONS)
def test_any_result_is_judged(market, selection):
    """Whatever an oracle sends: never an error, and a result is valid only if it is the one that follows from its paths."""
    tasks, bids = market
    paths = selection.paths
    good = list(paths) == sorted(set(paths)) and all(place < len(bids) for place in paths)
    right = good and covers(tasks, bids, paths) and selection.winners == by_quality(tasks, bids, paths)
    assert (invalid(tasks, bids, selection) == "") == right


@given(markets(), st.data())
def test_any_choice_of_paths_has_its_winners(market, data):
    tasks, bids = market
    paths = tuple(sorted(data.draw(st.sets(st.integers(0, len(bids) - 1)) if bids else st.just(set()))))
    named = right_winners(tasks, bids, paths)
    assert named == by_quality(tasks, bids, paths)
    assert (invalid(tasks, bids, Selection(paths, named)) == "") == covers(tasks, bids, paths)


def test_ties_go_to_the_lower_index():
    times, paths = [BEST_MS], [[(0, BEST_MS + late)] for late in (7, -7, 7, 0)]
    assert winners(times, [3], paths, (0, 1, 2)) == ((0, 1, 2),)
    assert winners(times, [2], paths, (2, 1, 0)) == ((0, 1),)
    assert winners(times, [2], paths, (0, 1, 2, 3)) == ((3, 0),)
    assert winners(times, [0], paths, (0, 1)) == ((),)


@pytest.mark.parametrize(
    "late_ms,ppm", [(0, MILLION), (100, 750_000), (-100, 750_000), (399, 2_500), (400, 0), (401, 0), (-900, 0)]
)
def test_quality(late_ms, ppm):
    assert quality_ppm(BEST_MS + late_ms, BEST_MS, WIDE) == ppm


def test_the_largest_market_is_judged():
    tasks = tuple(task(number, MAX_SAMPLES) for number in range(MAX_TASKS))
    bids = tuple(bid(1, *((number, worker) for number in range(MAX_TASKS))) for worker in range(MAX_BIDS))
    everybody = tuple(range(MAX_BIDS))
    found = right_winners(tasks, bids, everybody)
    assert found == (tuple(range(MAX_SAMPLES)),) * MAX_TASKS
    assert invalid(tasks, bids, Selection(everybody, found)) == ""
