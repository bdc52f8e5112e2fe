"""Whether a result of an oracle can be right: cheap to check, though finding it was not (spec/campaign.md, "Oracles")."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from chain.contracts.campaign_records import Bid, Selection, Task
from chain.contracts.campaign_winners import winners

STOP_OPERATIONS = 2 + 2 + 3 * 8
"""Of each stop of a path: it is counted, its distance from the best time taken, and sorted among MAX_BIDS others."""
TASK_OPERATIONS = 4
"""Of each task: what it wants is compared with what it gets."""


def check_operations(tasks: Sequence[Task], bids: Sequence[Bid]) -> int:
    """At most so many operations on numbers it takes to check a result."""
    return TASK_OPERATIONS * len(tasks) + STOP_OPERATIONS * sum(len(bid.path) for bid in bids)


def invalid(tasks: Sequence[Task], bids: Sequence[Bid], selection: Selection) -> str:
    """What is wrong with a result, or nothing. `tasks` are by number, `bids` by worker.

    Paths are of those that were bid, each once; every task is covered as often as it wants, or by all paths that have it;
    and those who win it are the best of the selected, best first. That fewer paths would do is not seen here: whoever
    finds such a selection can challenge with it.
    """
    chosen = selection.paths
    if any(before >= after for before, after in pairwise(chosen)):
        return "paths are not in ascending order"
    if chosen and chosen[-1] >= len(bids):
        return f"there is no path {chosen[-1]}"
    if len(selection.winners) != len(tasks):
        return f"winners of {len(selection.winners)} tasks, there are {len(tasks)}"
    offered = Counter(stop.task for bid in bids for stop in bid.path)
    covered = Counter(stop.task for place in chosen for stop in bids[place].path)
    for task in tasks:
        needed = min(task.samples, offered[task.number])
        if covered[task.number] < needed:
            return f"task {task.number} is covered {covered[task.number]} times, possible were {needed}"
    for task, named, right in zip(tasks, selection.winners, right_winners(tasks, bids, chosen), strict=True):
        if named != right:
            return f"winners of task {task.number} are not the best of the selected"
    return ""


def right_winners(tasks: Sequence[Task], bids: Sequence[Bid], chosen: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Who wins each task when these paths are selected (Algorithm 3)."""
    place_of = {task.number: place for place, task in enumerate(tasks)}
    return winners(
        [task.time_ms for task in tasks],
        [task.samples for task in tasks],
        [tuple((place_of[stop.task], stop.arrival_ms) for stop in bid.path) for bid in bids],
        chosen,
    )
