"""The retarget rule, by itself."""

from random import Random

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


def test_one_false_time_moves_little():
    """A block dated an hour ahead counts as six intervals."""
    solves = [1_000] * 20
    solves[10] = 3_600_000
    assert next_difficulty(times(solves), [1_000] * 20, **RULE) > 750


def test_tracks_hash_power_through_changes():
    """Mean interval within 15 % of the rule in the steady state, for hash power from 1/4 to 4 times."""
    rng = Random(3)
    for power in (125, 500, 2_000):
        at, difficulties = [0], []
        for _ in range(1_200):
            difficulty = next_difficulty(at[-21:], difficulties[-20:], **RULE)
            at.append(at[-1] + max(1, int(rng.expovariate(power / difficulty) * 1_000)))
            difficulties.append(difficulty)
        assert 850 < (at[-1] - at[200]) / 1_000 < 1_150
