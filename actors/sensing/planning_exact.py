"""The best plan there is, for few tasks: dynamic programming over sets of tasks, with all trade-offs of time and distance.

A label is a way to some task: which tasks it has, when it is there, and how far it went. Of two labels with the same tasks
at the same place the one that is later and longer is dropped; both stay where one is earlier and the other shorter, which
waiting makes possible. After Righini & Salani (*Decremental state space relaxation strategies*, 2009): tasks that can no
longer be reached count as done with when labels are compared, and labels that cannot beat the best plan so far are dropped.
"""

from random import Random

from actors.sensing.planning import SLACK, Plan, Problem, follow, greedy

MOST_TASKS = 16
"""Two seconds in the paper's setting; two tasks more take three times as long."""

Label = tuple[float, float, tuple[int, ...]]
"""Second, metres walked, and the tasks in their order."""


def exact(problem: Problem, rng: Random) -> Plan:
    """The most tasks, by the shortest way. Raises ValueError for more than MOST_TASKS tasks."""
    tasks = problem.tasks
    if tasks > MOST_TASKS:
        raise ValueError(f"exact planning is for at most {MOST_TASKS} tasks, not {tasks}")
    distances: list[list[float]] = problem.distances.tolist()
    opens = [problem.opens_s(task) for task in range(tasks)]
    closes = [problem.closes_s(task) + SLACK for task in range(tasks)]
    speed, limit, destination = problem.speed_m_s, problem.limit_m + SLACK, tasks + 1
    best = greedy(problem, rng)
    # Of labels with as many tasks: by the tasks that are done with, and by place.
    level: dict[tuple[int, int], list[Label]] = {(0, tasks): [(0.0, 0.0, ())]}
    for count in range(1, tasks + 1):
        following: dict[tuple[int, int], list[Label]] = {}
        for (closed, here), labels in level.items():
            row = distances[here]
            for now, walked, order in labels:
                reached = [
                    task
                    for task in range(tasks)
                    if not closed >> task & 1
                    and now + row[task] / speed <= closes[task]
                    and walked + row[task] + distances[task][destination] <= limit
                ]
                for task in reached:
                    second, metres = max(now + row[task] / speed, opens[task]), walked + row[task]
                    onward = distances[task]
                    if (count, -metres - onward[destination]) > (len(best.stops), -best.distance_m):
                        best = follow(problem, (*order, task))
                    open_tasks = 0
                    for other in reached:
                        if (
                            other != task
                            and second + onward[other] / speed <= closes[other]
                            and metres + onward[other] + distances[other][destination] <= limit
                        ):
                            open_tasks |= 1 << other
                    hope = (count + open_tasks.bit_count(), -metres - onward[destination])
                    if open_tasks and hope > (len(best.stops), -best.distance_m):
                        key = ((1 << tasks) - 1 - open_tasks, task)
                        _keep(following.setdefault(key, []), (second, metres, (*order, task)))
        level = following
    return best


def _keep(labels: list[Label], new: Label) -> None:
    """Add a label, unless another is as early and as short; those that it makes useless go."""
    second, metres, _ = new
    for one in labels:
        if one[0] <= second and one[1] <= metres:
            return
    labels[:] = [one for one in labels if one[0] < second or one[1] < metres]
    labels.append(new)
