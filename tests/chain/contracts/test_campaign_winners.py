"""Who wins which task, by hand and against a sort by quality in floats."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from chain.contracts.campaign_winners import quality_ppm, winners


def test_winners_by_hand():
    times = (100, 200, 300)
    paths = (
        ((0, 90), (1, 260)),  # 10 before, 60 after
        ((0, 110), (2, 300)),  # 10 after, as near as path 0; in time
        ((1, 190), (0, 101)),  # 10 before; 1 after
        ((0, 100),),  # the best for task 0, but not selected
        ((0, 109), (1, 209)),  # 9 after; 9 after
    )
    assert winners(times, (2, 1, 2), paths, (0, 1, 2, 4)) == ((2, 4), (4,), (1,))
    # Of equally near ones the lower index, whatever the order of the selection.
    assert winners(times, (3, 3, 0), paths, (4, 1, 0)) == ((4, 0, 1), (4, 0), ())
    assert winners(times, (9, 9, 9), paths, ()) == ((), (), ())
    assert winners((), (), ((),), (0,)) == ()


def test_who_is_selected_twice_wins_once():
    assert winners((100,), (3,), (((0, 100),), ((0, 101),)), (1, 0, 1)) == ((0, 1),)


def test_quality_by_hand():
    assert quality_ppm(100, 100, 7) == 1_000_000
    assert quality_ppm(101, 100, 7) == quality_ppm(99, 100, 7) == 857_142  # 6/7, rounded down
    assert quality_ppm(107, 100, 7) == quality_ppm(93, 100, 7) == 0
    assert quality_ppm(10**15, 100, 7) == quality_ppm(0, 100, 7) == 0


@st.composite
def bids(draw):
    """Times, intervals, samples, and paths whose arrivals are inside of the intervals: few values, so that many tie."""
    tasks = draw(st.integers(1, 6))
    times = draw(st.lists(st.integers(100, 110), min_size=tasks, max_size=tasks))
    intervals = draw(st.lists(st.integers(1, 5), min_size=tasks, max_size=tasks))
    samples = draw(st.lists(st.integers(0, 4), min_size=tasks, max_size=tasks))
    paths = []
    for _ in range(draw(st.integers(0, 8))):
        mine = draw(st.lists(st.integers(0, tasks - 1), unique=True))
        offsets = [draw(st.integers(-intervals[task], intervals[task])) for task in mine]
        paths.append(tuple((task, times[task] + offset) for task, offset in zip(mine, offsets, strict=True)))
    selected = draw(st.lists(st.sampled_from(range(len(paths))), unique=True)) if paths else []
    return times, intervals, samples, paths, selected


@given(bids())
def test_winners_are_the_best_by_quality(bid):
    times, intervals, samples, paths, selected = bid
    found = winners(times, samples, paths, selected)

    assert len(found) == len(times)
    for task, won in enumerate(found):
        having = {path: dict(paths[path])[task] for path in selected if task in dict(paths[path])}
        quality = {path: 1 - abs(arrival - times[task]) / intervals[task] for path, arrival in having.items()}
        assert list(won) == sorted(having, key=lambda path: (-quality[path], path))[: samples[task]]
        assert len(won) == min(samples[task], len(having))
        ppm = [quality_ppm(having[path], times[task], intervals[task]) for path in won]
        assert ppm == sorted(ppm, reverse=True)


@given(st.integers(0, 10**13), st.integers(0, 10**13), st.integers(1, 10**13))
def test_quality_is_the_floor_of_the_exact_one(arrival, time, interval):
    exact = max(Fraction(0), 1 - Fraction(abs(arrival - time), interval))
    assert quality_ppm(arrival, time, interval) == exact * 1_000_000 // 1
