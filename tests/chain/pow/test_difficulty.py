"""The retarget rule, by itself."""

from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.ledgers.pow.difficulty import MAX_DIFFICULTY, next_difficulty

RULE = {"interval_ms": 1_000, "window": 20, "initial": 500}


def times(solves):
    at = [0]
    for solve in solves:
        at.append(at[-1] + solve)
    return at


def test_first_block_has_the_initial_difficulty():
    assert next_difficulty([7], [], **RULE) == 500


def test_on_time_stays():
    assert next_difficulty(times([1_000] * 20), [700] * 20, **RULE) == 700
    assert next_difficulty(times([1_000] * 3), [500] * 3, **RULE) == 500


def test_fast_is_harder_and_slow_is_easier():
    assert next_difficulty(times([500] * 20), [700] * 20, **RULE) == 1_400
    assert next_difficulty(times([2_000] * 20), [700] * 20, **RULE) == 350


@given(
    st.lists(st.tuples(st.integers(-(10**7), 10**7), st.integers(1, MAX_DIFFICULTY)), min_size=1, max_size=20),
    st.integers(1, MAX_DIFFICULTY),
)
def test_step_is_bounded_whatever_the_times(blocks, initial):
    """Never below 1, above MAX_DIFFICULTY, or more than a factor 2 from the last."""
    difficulties = [difficulty for _, difficulty in blocks]
    found = next_difficulty(
        times([solve for solve, _ in blocks]), difficulties, interval_ms=1_000, window=20, initial=initial
    )
    last = difficulties[-1]
    assert max(1, last // 2) <= found <= min(MAX_DIFFICULTY, last * 2)


@pytest.mark.parametrize("place", range(1, 21))
def test_one_false_time_moves_little(place):
    """A block dated an hour ahead counts as six intervals, and those after it as what then is left."""
    told = times([1_000] * 20)
    told[place] += 3_600_000
    assert 670 < next_difficulty(told, [1_000] * 20, **RULE) < 1_080


def test_times_out_of_order_are_the_time_that_passed():
    """Clocks differ: neighbours that swapped their times leave the average almost as it was."""
    told = times([1_000] * 20)
    for place in range(2, 20, 2):
        told[place], told[place + 1] = told[place + 1], told[place]
    assert 950 < next_difficulty(told, [1_000] * 20, **RULE) < 1_050


class Mining:
    """One chain under the rule, with exponential times at a hash power per second that may change."""

    def __init__(self, seed, power=500):
        self.rng = Random(seed)
        self.power = power
        self.now = 0
        self.times = [0]
        self.difficulties = []

    def mine(self, blocks, liars=0.0, ahead_ms=0):
        """So many blocks, of which liars date theirs by `ahead_ms`, as far as median and future bound let them."""
        for _ in range(blocks):
            difficulty = next_difficulty(self.times[-21:], self.difficulties[-20:], **RULE)
            self.now += max(1, int(self.rng.expovariate(self.power / difficulty) * 1_000))
            recent = self.times[-11:]
            earliest = sorted(recent)[len(recent) // 2] + 1
            dated = self.now + (ahead_ms if self.rng.random() < liars else 0)
            self.times.append(max(earliest, min(dated, self.now + 10_000)))
            self.difficulties.append(difficulty)


def test_steady_interval():
    """Within 15 % of the rule, for hash power from 1/4 to 4 times that of the initial difficulty."""
    for power in (125, 500, 2_000):
        chain = Mining(3, power)
        chain.mine(200)
        start = chain.now
        chain.mine(1_000)
        assert 850 < (chain.now - start) / 1_000 < 1_150


@pytest.mark.parametrize("factor", [10, 0.1])
def test_tenfold_hash_power__interval_is_back_within_forty_blocks(factor):
    """Difficulty is within two thirds of what the new power is due after 16 blocks in the median of 40 seeds, and 30 in
    the worst; the 250 blocks after those take their time."""
    took, intervals = [], []
    for seed in range(40):
        chain = Mining(seed)
        chain.mine(100)
        chain.power = 500 * factor
        chain.mine(290)
        fair = [difficulty / (500 * factor) for difficulty in chain.difficulties[100:]]
        took.append(next(n for n, share in enumerate(fair) if 0.6 < share < 1.67))
        intervals.append((chain.times[-1] - chain.times[140]) / 250)
    assert median(took) <= 18 and max(took) <= 30
    assert 980 < sum(intervals) / 40 < 1_060
    assert all(880 < interval < 1_120 for interval in intervals)


@pytest.mark.parametrize("ahead_ms", [10_000, -(10**9)], ids=["ahead", "back"])
@pytest.mark.parametrize("liars", [0.1, 0.3, 0.45])
def test_time_jacking__moves_the_interval_little(liars, ahead_ms):
    """Miners who date every block as far ahead, or as far back, as the rules let them."""
    for seed in range(3):
        chain = Mining(seed)
        chain.mine(1_500, liars, ahead_ms)
        assert 900 < chain.now / 1_500 < 1_120


def test_time_warp__no_chain_without_time_or_work():
    """Five blocks ahead in steps and six just after the median, over and over, gain no time: difficulty doubles on."""
    times, difficulties = [0], []
    for number in range(200):
        difficulties.append(next_difficulty(times[-21:], difficulties[-20:], **RULE))
        recent = times[-11:]
        ahead = 6_000 * max(0, number % 11 - 5)
        times.append(sorted(recent)[len(recent) // 2] + 1 + ahead)
    assert max(times) < 31_000  # thirty blocks' time
    assert difficulties[-1] > 2**50
