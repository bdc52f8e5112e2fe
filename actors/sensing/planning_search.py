"""A good plan for many tasks: iterated local search (Vansteenwegen et al., *Iterated local search for the team orienteering
problem with time windows*, 2009).

Tasks are inserted where they lengthen the way least, 2-opt and moves of a stop make room for more, and a stretch of stops is
taken out to begin anew from there. An insertion is judged without walking the rest of the way, by the latest second at which
each stop may be reached. How costly a task seems varies by chance, else the same tasks would come back.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from random import Random

from actors.sensing.planning import SLACK, Plan, Problem, follow, greedy

ITERATIONS = 20
"""Stretches that are taken out: so many that 50 tasks take a worker some 20 ms."""
LONGEST = 8
"""Stops of a stretch."""
GAIN_M = 1e-7
"""Smaller gains are rounding errors, and could go round for ever."""


def improved(problem: Problem, rng: Random) -> Plan:
    """At least as many tasks as the greedy, and no longer a way for as many."""
    search = _Search(problem)
    first = greedy(problem, rng)
    order = search.climbed(list(first.order), [1.0] * problem.tasks)
    for _ in range(ITERATIONS):
        other = search.shaken(order, rng)
        if search.rank(other) >= search.rank(order):
            order = other
    found = follow(problem, order)
    return max(first, found, key=lambda plan: (len(plan.stops), -plan.distance_m))


class _Search:
    """The problem as lists, which are faster than arrays of this size, and ways as lists of tasks."""

    def __init__(self, problem: Problem) -> None:
        self.tasks = problem.tasks
        self.metres: list[list[float]] = problem.distances.tolist()
        self.seconds: list[list[float]] = (problem.distances / problem.speed_m_s).tolist()
        # The start and the destination are always open.
        self.opens = [*(problem.opens_s(task) for task in range(problem.tasks)), 0.0, 0.0]
        self.closes = [*(problem.closes_s(task) + SLACK for task in range(problem.tasks)), inf, inf]
        self.speed_m_s = problem.speed_m_s
        self.limit_m = problem.limit_m + SLACK

    def length(self, places: Sequence[int]) -> float:
        """Metres from place to place; infinity when a task would be too late."""
        now = total = 0.0
        for a, b in pairwise(places):
            now = max(now + self.seconds[a][b], self.opens[b])
            if now > self.closes[b]:
                return inf
            total += self.metres[a][b]
        return total

    def places(self, order: Sequence[int]) -> list[int]:
        """With start and destination."""
        return [self.tasks, *order, self.tasks + 1]

    def rank(self, order: Sequence[int]) -> tuple[int, float]:
        """Greater is better."""
        return len(order), -self.length(self.places(order))

    def climbed(self, order: list[int], weights: Sequence[float], held: frozenset[int] = frozenset()) -> list[int]:
        """Shorten the way and insert tasks in turn, until neither does anything; `held` tasks only once no other fits."""
        while True:
            self.shorten(order)
            before = len(order)
            self.insert(order, weights, held)
            if len(order) == before:
                if not held:
                    return order
                held = frozenset()

    def shaken(self, order: Sequence[int], rng: Random) -> list[int]:
        """Another way, without a stretch of that one and with what fits instead."""
        length = rng.randint(1, min(LONGEST, 1 + len(order) // 3))
        start = rng.randint(0, max(0, len(order) - length))
        held = frozenset(order[start : start + length])
        weights = [rng.uniform(0.5, 1.5) for _ in range(self.tasks)]
        return self.climbed([*order[:start], *order[start + length :]], weights, held)

    def insert(self, order: list[int], weights: Sequence[float], held: frozenset[int]) -> None:
        """Insert tasks as long as any fits, next the one whose way and wait are least, times its weight."""
        metres, seconds, opens, closes, speed = self.metres, self.seconds, self.opens, self.closes, self.speed_m_s
        absent = held.union(order)
        left = [task for task in range(self.tasks) if task not in absent]
        while left:
            places = self.places(order)
            reached, latest = self._times(places)
            spare = self.limit_m - self.length(places)
            best, best_task, best_at = inf, -1, 0
            fitting = []
            for task in left:
                weight, way_s, opening, closing = weights[task], seconds[task], opens[task], closes[task]
                way = metres[task]
                fits = False
                for at in range(len(places) - 1):
                    a, b = places[at], places[at + 1]
                    second = reached[at] + seconds[a][task]
                    if second > closing:
                        break  # the more so after later stops
                    wait = opening - second
                    if wait > 0.0:
                        second = opening
                    else:
                        wait = 0.0
                    if second + way_s[b] > latest[at + 1]:
                        continue
                    extra = metres[a][task] + way[b] - metres[a][b]
                    if extra > spare:
                        continue
                    fits = True
                    cost = (extra + wait * speed) * weight
                    if cost < best:
                        best, best_task, best_at = cost, task, at
                if fits:
                    fitting.append(task)
            if best_task < 0:
                return
            order.insert(best_at, best_task)
            fitting.remove(best_task)
            left = fitting

    def _times(self, places: Sequence[int]) -> tuple[list[float], list[float]]:
        """By place: when it is performed, and the latest that it may be reached for the rest to be in time."""
        now, reached = 0.0, [0.0]
        for a, b in pairwise(places):
            now = max(now + self.seconds[a][b], self.opens[b])
            reached.append(now)
        last = self.closes[places[-1]]
        latest = [last]
        for at in range(len(places) - 2, -1, -1):
            last = min(self.closes[places[at]], last - self.seconds[places[at]][places[at + 1]])
            latest.append(last)
        return reached, latest[::-1]

    def shorten(self, order: list[int]) -> None:
        """Apply 2-opt and Or-opt in turn, until neither makes the way shorter."""
        while self._reverse(order) | self._move(order):
            pass

    def _reverse(self, order: list[int]) -> bool:
        """Turn stretches around wherever that makes the way shorter (2-opt), in one pass."""
        metres, stops = self.metres, self.places(order)
        at_first = length = self.length(stops)
        for i in range(1, len(stops) - 2):
            before, first = stops[i - 1], stops[i]
            row, row_first, step = metres[before], metres[first], metres[before][first] - GAIN_M
            for j in range(i + 1, len(stops) - 1):
                last, after = stops[j], stops[j + 1]
                if row[last] + row_first[after] < step + metres[last][after]:
                    turned = [*stops[:i], *stops[i : j + 1][::-1], *stops[j + 1 :]]
                    if (new := self.length(turned)) < length - GAIN_M:
                        stops, length = turned, new
                        first = stops[i]
                        row_first, step = metres[first], metres[before][first] - GAIN_M
        order[:] = stops[1:-1]
        return length < at_first

    def _move(self, order: list[int]) -> bool:
        """Put single stops elsewhere wherever that makes the way shorter (Or-opt), in one pass."""
        metres, stops = self.metres, self.places(order)
        at_first = length = self.length(stops)
        for stop in order:
            i = stops.index(stop)
            before, after = stops[i - 1], stops[i + 1]
            saved = metres[before][stop] + metres[stop][after] - metres[before][after] - GAIN_M
            if saved <= 0:
                continue
            way = metres[stop]
            rest = [*stops[:i], *stops[i + 1 :]]
            for at, (left, right) in enumerate(pairwise(rest), 1):
                if metres[left][stop] + way[right] - metres[left][right] < saved:
                    moved = [*rest[:at], stop, *rest[at:]]
                    if (new := self.length(moved)) < length - GAIN_M:
                        stops, length = moved, new
                        break
        order[:] = stops[1:-1]
        return length < at_first
