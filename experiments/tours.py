"""One round through several places: a good one, found by nearest neighbour, 2-opt and moves of one stop (Or-opt).

Croes, *A Method for Solving Traveling-Salesman Problems*, 1958; Or, 1976. A heuristic: with up to
seven stops at random its rounds are within 1 % of the shortest on average (tests/experiments/test_tours.py).
"""

from collections.abc import Sequence

Distances = Sequence[Sequence[float]]
"""Symmetric; place 0 is where the round begins and ends."""
GAIN = 1e-9
"""Smaller gains are rounding errors, and could go round for ever."""


def length(distances: Distances, order: Sequence[int]) -> float:
    """Of the round from place 0 through the others in `order` and back."""
    return sum(distances[a][b] for a, b in zip([0, *order], [*order, 0], strict=True))


def short_round(distances: Distances) -> float:
    """Length of a short round through all places; 0 where there is only place 0."""
    order = _nearest_neighbours(distances)
    while _reverse(distances, order) or _move(distances, order):
        pass
    return length(distances, order)


def _nearest_neighbours(distances: Distances) -> list[int]:
    left = list(range(1, len(distances)))
    order: list[int] = []
    while left:
        row = distances[order[-1] if order else 0]
        nearest = min(left, key=lambda place: (row[place], place))
        left.remove(nearest)
        order.append(nearest)
    return order


def _reverse(distances: Distances, order: list[int]) -> bool:
    """Turn the first stretch around that makes the round shorter."""
    stops = [0, *order, 0]
    for i in range(1, len(stops) - 2):
        before, first = stops[i - 1], stops[i]
        for j in range(i + 1, len(stops) - 1):
            last, after = stops[j], stops[j + 1]
            gain = distances[before][first] + distances[last][after] - distances[before][last] - distances[first][after]
            if gain > GAIN:
                order[i - 1 : j] = order[i - 1 : j][::-1]
                return True
    return False


def _move(distances: Distances, order: list[int]) -> bool:
    """Put the first stop elsewhere for which that makes the round shorter."""
    for i, stop in enumerate(order):
        rest = [0, *order[:i], *order[i + 1 :], 0]
        before, after = rest[i], rest[i + 1]
        saved = distances[before][stop] + distances[stop][after] - distances[before][after]
        for j in range(len(rest) - 1):
            left, right = rest[j], rest[j + 1]
            if saved - (distances[left][stop] + distances[stop][right] - distances[left][right]) > GAIN:
                order[:] = [*rest[1 : j + 1], stop, *rest[j + 1 : -1]]
                return True
    return False
