"""Who is paid for which task (Algorithm 3 of ChainSensing, spec/campaign.md): the selected path nearest to the task's time.

The contract pays by it, oracles and whoever checks them compute it too: integers alone, the same everywhere.
"""

from collections.abc import Sequence

MILLION = 1_000_000

Stop = tuple[int, int]
"""A task's index, and when the worker arrives there, in milliseconds."""


def quality_ppm(arrival_ms: int, time_ms: int, interval_ms: int) -> int:
    """1 − |arrival − time| / interval in millionths, rounded down; 0 outside of it. `interval_ms` is positive."""
    return max(0, interval_ms - abs(arrival_ms - time_ms)) * MILLION // interval_ms


def winners(
    times_ms: Sequence[int], samples: Sequence[int], paths: Sequence[Sequence[Stop]], selected: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """By task the indices of the selected paths that win it, best first, at most `samples` of that task.

    Best is nearest to the task's time, which is the order of decreasing quality, for the interval is the task's; of equally
    near ones the lower index. A path has a task at most once, and tasks are indices of `times_ms`: who takes bids sees to it.
    """
    candidates: list[list[tuple[int, int]]] = [[] for _ in times_ms]
    for path in sorted(set(selected)):
        for task, arrival_ms in paths[path]:
            candidates[task].append((abs(arrival_ms - times_ms[task]), path))
    return tuple(
        tuple(path for _, path in sorted(each)[:wanted]) for each, wanted in zip(candidates, samples, strict=True)
    )
