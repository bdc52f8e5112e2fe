"""How hard the next block is: a linearly weighted moving average of recent block times (LWMA, Zawy 2018).

Every block retargets. Recent block times weigh more, so the interval is back soon after hash power came or went.
Blocks that do not exist yet (the window reaches below genesis) count as found on time at the initial difficulty: a
young chain does not swing on two or three samples. All arithmetic is in integers.
"""

from collections.abc import Sequence

MAX_DIFFICULTY = 2**62
"""Headers carry difficulty in 64 bits; real hash power in Python is below 2**21 a second."""
_MAX_SOLVE_INTERVALS = 6
"""One block time counts at most this many intervals either way: a false timestamp moves the average little."""
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
    for position in range(count):
        solved = times_ms[position + 1] - times_ms[position]
        weighted += (missing + position + 1) * max(-bound, min(bound, solved))
    total = sum(difficulties) + missing * initial
    # total / window · interval · (1 + … + window) / weighted, with the divisions left to the end.
    wanted = total * interval_ms * (window + 1) // (2 * max(1, weighted))
    last = difficulties[-1]
    low, high = max(1, last // _MAX_STEP), min(MAX_DIFFICULTY, last * _MAX_STEP)
    return max(low, min(high, wanted))
