"""Streets: a graph of crossings and the roads between them, read from files or generated, and places along it.

Undirected, for a data set that does not say which streets are one-way would only be guessed at. Distances over it are
for those who have a solver at hand (`experiments.street_distances`).
"""

import csv
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random

from actors.scenario import ScenarioError
from actors.sensing.mobility import Point

MAX_ROADS = 1_000_000
GRID_SIDE = 32
"""Crossings along each side of the generated city."""
GRID_BLOCK_M = 600.0
GRID_JITTER = 0.2
"""How far a crossing is from where a perfect grid has it: up to this share of a block, each way."""
GRID_MISSING = 0.1
"""Share of the grid's streets that were never built."""
GRID_ORIGIN = Point(44.40, 11.20)


@dataclass(frozen=True, slots=True)
class Road:
    """A stretch between two crossings, which are indices into the network's."""

    a: int
    b: int
    length_m: float


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on a road, `offset_m` metres from its end `a`."""

    road: int
    offset_m: float


@dataclass(frozen=True, slots=True)
class RoadNetwork:
    """Crossings and roads; `roads_refused`: those of the source that lead from a crossing to itself, or have no length."""

    name: str
    crossings: tuple[Point, ...]
    roads: tuple[Road, ...]
    roads_refused: int = 0

    @property
    def length_m(self) -> float:
        """Of all roads."""
        return math.fsum(road.length_m for road in self.roads)

    def largest_component(self) -> "RoadNetwork":
        """The part with the most crossings (the first of equals), numbered anew in the same order."""
        parents = list(range(len(self.crossings)))

        def root(crossing: int) -> int:
            while parents[crossing] != crossing:
                parents[crossing] = parents[parents[crossing]]
                crossing = parents[crossing]
            return crossing

        for road in self.roads:
            parents[root(road.a)] = root(road.b)
        parts: dict[int, list[int]] = {}
        for crossing in range(len(self.crossings)):
            parts.setdefault(root(crossing), []).append(crossing)
        largest = max(parts.values(), key=len, default=[])  # max takes the first of equals
        numbers = {crossing: number for number, crossing in enumerate(largest)}
        return RoadNetwork(
            self.name,
            tuple(self.crossings[crossing] for crossing in largest),
            tuple(Road(numbers[r.a], numbers[r.b], r.length_m) for r in self.roads if r.a in numbers),
            self.roads_refused,
        )

    def spots(self, count: int, rng: Random) -> Sequence[Spot]:
        """`count` places, uniform over the length of all roads. Raises ValueError when there is no road."""
        if not self.roads:
            msg = f"{self.name} has no road to be at"
            raise ValueError(msg)
        ends = list(accumulate(road.length_m for road in self.roads))
        found = []
        for _ in range(count):
            at = rng.random() * ends[-1]
            road = min(bisect_right(ends, at), len(ends) - 1)
            found.append(Spot(road, at - (ends[road - 1] if road else 0.0)))
        return found


def read_roads(folder: Path) -> RoadNetwork:
    """Read a folder with ``nodes.csv`` (``node``, ``lat``, ``lon``) and ``edges.csv`` (``from``, ``to``, ``length_m``).

    Other columns are ignored; degrees and metres. Raises ScenarioError for a file that cannot be read or a bad row.
    """
    numbers: dict[str, int] = {}
    crossings: list[Point] = []
    nodes, edges = folder / "nodes.csv", folder / "edges.csv"
    for line, (name, lat, lon) in _rows(nodes, ("node", "lat", "lon")):
        point = Point(_number(nodes, line, "lat", lat, -90, 90), _number(nodes, line, "lon", lon, -180, 180))
        if name in numbers:
            msg = f"{nodes}, line {line}: node {name[:40]!r} is there twice"
            raise ScenarioError(msg)
        numbers[name] = len(crossings)
        crossings.append(point)
    roads, refused = [], 0
    for line, (start, end, length) in _rows(edges, ("from", "to", "length_m")):
        for name in (start, end):
            if name not in numbers:
                msg = f"{edges}, line {line}: node {name[:40]!r} is not in nodes.csv"
                raise ScenarioError(msg)
        length_m = _number(edges, line, "length_m", length, 0, 1e7)
        if start == end or length_m == 0:
            refused += 1
            continue
        roads.append(Road(numbers[start], numbers[end], length_m))
    if not roads:
        msg = f"{edges} has no road"
        raise ScenarioError(msg)
    return RoadNetwork(folder.resolve().name, tuple(crossings), tuple(roads), refused)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Line numbers, and the values of the columns in their order."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                msg = f"{path} has no column {missing[0]}"
                raise ScenarioError(msg)
            for number, row in enumerate(reader):
                values = [row[column] for column in columns]
                if number == MAX_ROADS or None in values:
                    msg = f"{path}, line {reader.line_num}: " + (
                        "columns are missing" if None in values else f"more than {MAX_ROADS} rows"
                    )
                    raise ScenarioError(msg)
                yield reader.line_num, values
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"cannot read {path}: {error}"
        raise ScenarioError(msg) from None


def _number(path: Path, line: int, name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        msg = f"{path}, line {line}: {name} is {text[:40]!r}, allowed are {low:g} to {high:g}"
        raise ScenarioError(msg)
    return value


def grid_city(
    rng: Random,
    *,
    side: int = GRID_SIDE,
    block_m: float = GRID_BLOCK_M,
    jitter: float = GRID_JITTER,
    missing: float = GRID_MISSING,
) -> RoadNetwork:
    """A city of `side` × `side` crossings, `block_m` metres apart but for `jitter`, without a share of its streets.

    May fall apart into components where many are `missing`; straight streets, so lengths are great-circle distances.
    """
    crossings = tuple(
        GRID_ORIGIN.moved(
            (row + rng.uniform(-jitter, jitter)) * block_m, (column + rng.uniform(-jitter, jitter)) * block_m
        )
        for row in range(side)
        for column in range(side)
    )
    ways = [
        (here, there)
        for row in range(side)
        for column in range(side)
        for here in (row * side + column,)
        for there in ([here + 1] if column + 1 < side else []) + ([here + side] if row + 1 < side else [])
    ]
    kept = [way for way in ways if rng.random() >= missing]
    roads = tuple(Road(a, b, crossings[a].distance_m(crossings[b])) for a, b in kept)
    return RoadNetwork("generated grid", crossings, roads)
