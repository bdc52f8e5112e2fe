"""Which workers' paths are taken, so that each task gets its samples from few of them (Algorithm 2 of ChainSensing).

A set multicover, NP-hard. A path gives one sample of each of its tasks. A task that too few paths have gets what there is:
`uncovered` tells what is missing. A selector takes the tasks of each path and the samples wanted of each task, and returns
indices of paths in ascending order.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence

from actors.sensing.solvers import resolve

Selector = Callable[[Sequence[Sequence[int]], Sequence[int]], Sequence[int]]

SELECTORS = {
    "greedy": "actors.sensing.selection:greedy",
    "improved": "actors.sensing.selection_search:improved",
    "exact": "actors.sensing.selection_exact:exact",
}


def selector(name: str) -> Selector:
    """By name or dotted path. Raises ValueError when there is none."""
    return resolve("selector", name, SELECTORS)


def greedy(paths: Sequence[Sequence[int]], wanted: Sequence[int]) -> list[int]:
    """The paper's: round by round the path with the most samples still wanted; of equals that of the highest index.

    At most H(n) times as many as needed, n the tasks of the longest path (Dobson 1982).
    """
    return sorted(path for path, _ in rounds(paths, wanted))


def rounds(paths: Sequence[Sequence[int]], wanted: Sequence[int]) -> list[tuple[int, int]]:
    """What `greedy` takes, round by round: the path, and how many samples it adds."""
    left = list(wanted)
    still = [int(number > 0) for number in left]

    def gain(path: int) -> int:
        return sum(map(still.__getitem__, paths[path]))

    # Gains only shrink, so those in the heap are bounds: few need to be computed anew (Minoux 1978).
    heap = [(-gain(path), -path) for path in range(len(paths))]
    heapq.heapify(heap)
    taken = []
    while heap and heap[0][0]:
        bound, path = -heap[0][0], -heap[0][1]
        samples = gain(path)
        if samples < bound:
            heapq.heapreplace(heap, (-samples, -path))
            continue
        heapq.heappop(heap)
        for task in paths[path]:
            left[task] -= 1
            still[task] = int(left[task] > 0)
        taken.append((path, samples))
    return taken


def uncovered(paths: Sequence[Sequence[int]], wanted: Sequence[int], selected: Sequence[int]) -> dict[int, int]:
    """How many samples are missing, by task; tasks that get all of theirs are left out."""
    given = Counter(task for path in selected for task in paths[path])
    return {task: number - given[task] for task, number in enumerate(wanted) if number > given[task]}
