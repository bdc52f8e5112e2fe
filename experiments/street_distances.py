"""Shortest ways along streets between spots on them (Dijkstra, by scipy.sparse.csgraph)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from actors.sensing.roads import RoadNetwork, Spot

SHORTEST_M = 0.001
"""Stands for no way at all between two spots at one place, for a sparse matrix cannot tell a zero from nothing."""


def street_distances(network: RoadNetwork, spots: Sequence[Spot]) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Metres from each spot (row) to each spot (column); infinity where no street leads.

    Each spot becomes a crossing that splits its road, so distances are exact but for SHORTEST_M at each spot.
    """
    first = len(network.crossings)
    on_road: dict[int, list[tuple[float, int]]] = {}
    for number, spot in enumerate(spots):
        on_road.setdefault(spot.road, []).append((spot.offset_m, first + number))
    shortest: dict[tuple[int, int], float] = {}
    for index, road in enumerate(network.roads):
        at, here = 0.0, road.a
        for offset, there in [*sorted(on_road.get(index, ())), (road.length_m, road.b)]:
            # Of parallel roads the shortest counts; the sparse matrix would add them up.
            pair = (min(here, there), max(here, there))
            length = max(offset - at, SHORTEST_M)
            shortest[pair] = min(length, shortest.get(pair, length))
            at, here = offset, there
    size = first + len(spots)
    ends = np.array(list(shortest), dtype=np.int64).reshape(-1, 2)
    graph = csr_array((np.array(list(shortest.values())), (ends[:, 0], ends[:, 1])), shape=(size, size))
    found: np.ndarray[Any, np.dtype[np.float64]] = dijkstra(graph, directed=False, indices=range(first, size))
    return found[:, first:]
