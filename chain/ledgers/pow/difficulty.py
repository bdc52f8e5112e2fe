"""How hard the next block is: a linearly weighted moving average of recent block times (LWMA, Zawy 2018).

Every block retargets. Recent block times weigh more, so the interval is back soon after hash power came or went.
A block's time counts from where the count has come to, not from its parent's time, and what one block may not count is
left for the next: the sum is the time that passed, whatever order it is told in. Between neighbours instead, with a
bound each way, a miner who dates blocks ahead in steps and back at once gains time that never passed, and makes a chain
of any length at no difficulty for those who join to download; and who dates every block as early as he may takes that
time from the others: 30 % of the hash power then stretch the interval to 5.8 times (Zawy, *Timestamp attacks*, 2018).
Blocks that do not exist yet (the window reaches below genesis) count as found on time at the initial difficulty: a
young chain does not swing on two or three samples. All arithmetic is in integers.
"""

from collections.abc import Sequence

MAX_DIFFICULTY = 2**62
"""Headers carry difficulty in 64 bits; real hash power in Python is below 2**21 a second."""
_MAX_SOLVE_INTERVALS = 6
"""One block counts at most this many intervals: a false timestamp moves the average little."""
_MAX_STEP = 2
"""Difficulty changes by at most this factor per block."""


def next_difficulty(
    times_ms: Sequence[int], difficulties: Sequence[int], *, interval_ms: int, window: int, initial: int
) -> int:
    """Return the difficulty of the block that follows, 1 to MAX_DIFFICULTY.

    `difficulties` are those of the last (up to `window`) blocks after genesis, oldest first; `times_ms` theirs,
    preceded by the time of the block before them: one longer. Genesis was not mined and has no difficulty here.
    """
    count = len(difficulties)
    if not count:
        return initial
    bound = _MAX_SOLVE_INTERVALS * interval_ms
    missing = window - count
    weighted = interval_ms * missing * (missing + 1) // 2
    counted = times_ms[0]
    for weight, time_ms in enumerate(times_ms[1:], start=missing + 1):
        if time_ms > counted:
            solved = min(bound, time_ms - counted)
            weighted += weight * solved
            counted += solved
    total = sum(difficulties) + missing * initial
    # total / window · interval · (1 + … + window) / weighted, with the divisions left to the end.
    wanted = total * interval_ms * (window + 1) // (2 * max(1, weighted))
    last = difficulties[-1]
    low, high = max(1, last // _MAX_STEP), min(MAX_DIFFICULTY, last * _MAX_STEP)
    return max(low, min(high, wanted))
