"""The world outside the ledger: where people live, what happens, and what somebody who looks can see.

Nothing here is known to the ledger or the network; it is the ground truth that votes are measured against.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from actors.scenario import PlaceConfig, ReportsConfig
from actors.sensing.mobility import Point, around
from actors.sensing.reports_file import CitizenReport


@dataclass(frozen=True, slots=True)
class Incident:
    """Something to report at `time_ms` after the run began; `real` is False when it is made up."""

    time_ms: int
    type: str
    where: Point
    real: bool


class City:
    """A place with people and incidents, all following from a seed.

    `incidents` is the stream of what will be reported; `is_real` is what a look would show. Reports that people
    make through the interface are taken for real: somebody was there.
    """

    def __init__(self, place: PlaceConfig, homes: Sequence[Point], centres: Sequence[Point]) -> None:
        self.place = place
        self.centres = tuple(centres)
        self._homes = tuple(homes)
        self._made_up: set[tuple[str, int, int]] = set()

    def home(self, rng: Random) -> Point:
        """Where somebody lives."""
        return self.inside(around(rng.choice(self._homes), 250.0, rng))

    def inside(self, point: Point) -> Point:
        """The nearest point of the place."""
        p = self.place
        return Point(min(p.lat_max, max(p.lat_min, point.lat)), min(p.lon_max, max(p.lon_min, point.lon)))

    def note(self, incident: Incident) -> None:
        """Remember that an incident is made up, for `is_real`."""
        if not incident.real:
            self._made_up.add((incident.type, *incident.where.e7))

    def is_real(self, type_: str, lat_e7: int, lon_e7: int) -> bool:
        """What somebody who goes there finds."""
        return (type_, lat_e7, lon_e7) not in self._made_up


def generated_city(place: PlaceConfig, reports: ReportsConfig, rng: Random) -> City:
    """A city whose people live around random hot spots in the middle 80 % of the place."""
    centres = [
        Point(
            place.lat_min + (place.lat_max - place.lat_min) * rng.uniform(0.1, 0.9),
            place.lon_min + (place.lon_max - place.lon_min) * rng.uniform(0.1, 0.9),
        )
        for _ in range(reports.hot_spots)
    ]
    homes = [around(rng.choice(centres), reports.hot_spot_radius_m, rng) for _ in range(512)]
    return City(place, homes, centres)


def reported_city(place: PlaceConfig, rows: Sequence[CitizenReport], rng: Random) -> City:
    """A city whose people live where the reports of a file are."""
    homes = [row.where for row in rows]
    return City(place, homes, rng.sample(homes, min(32, len(homes))))


def generate(
    city: City, per_minute: float, types: Sequence[str], false_share: float, rng: Random
) -> Iterator[Incident]:
    """Endless incidents: a Poisson process in time, near where people live, a share of them made up."""
    t = 0.0
    while True:
        t += rng.expovariate(per_minute / 60)
        where = city.inside(around(city.home(rng), 300.0, rng))
        yield Incident(round(t * 1000), rng.choice(types), where, rng.random() >= false_share)


def replay(rows: Sequence[CitizenReport], reports: ReportsConfig) -> Iterator[Incident]:
    """The rows of a file in their order, `speed` times faster than they happened, bursts stretched to the limit."""
    gap_ms = 60_000 / reports.max_per_minute
    earliest = 0.0
    for row in rows:
        earliest = max(earliest, (row.time_s - rows[0].time_s) * 1000 / reports.speed)
        yield Incident(round(earliest), row.type, row.where, real=True)
        earliest += gap_ms
