"""How people move: random waypoints around a home (Johnson & Maltz 1996), in degrees and metres.

Off chain, so floats are allowed; a local flat projection is good to 0.1 % over the tens of kilometres people roam.
"""

import math
from dataclasses import dataclass
from random import Random

METRES_PER_DEGREE = 111_194.93
"""Of latitude, on a sphere of mean Earth radius 6,371,008.8 m."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the globe, WGS 84 degrees."""

    lat: float
    lon: float

    @classmethod
    def from_e7(cls, lat_e7: int, lon_e7: int) -> "Point":
        """From integers in 1e-7 degree, as they stand on the ledger."""
        return cls(lat_e7 / 1e7, lon_e7 / 1e7)

    @property
    def e7(self) -> tuple[int, int]:
        """(lat, lon) in 1e-7 degree."""
        return round(self.lat * 1e7), round(self.lon * 1e7)

    def distance_m(self, other: "Point") -> float:
        """Great-circle distance in metres (haversine)."""
        a, b = math.radians(self.lat), math.radians(other.lat)
        h = (
            math.sin((b - a) / 2) ** 2
            + math.cos(a) * math.cos(b) * math.sin(math.radians(other.lon - self.lon) / 2) ** 2
        )
        return 2 * 6_371_008.8 * math.asin(math.sqrt(min(1.0, h)))

    def moved(self, north_m: float, east_m: float) -> "Point":
        """The point that lies `north_m` and `east_m` metres away; latitude is clamped, longitude wraps."""
        lat = min(89.9, max(-89.9, self.lat + north_m / METRES_PER_DEGREE))
        lon = self.lon + east_m / (METRES_PER_DEGREE * math.cos(math.radians(lat)))
        return Point(lat, (lon + 180) % 360 - 180)


def around(centre: Point, radius_m: float, rng: Random) -> Point:
    """A point uniform in the disc of `radius_m` metres around `centre`."""
    r, angle = radius_m * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
    return centre.moved(r * math.cos(angle), r * math.sin(angle))


class RandomWaypoint:
    """Walks to a random point within `roam_m` metres of home at `speed_m_s`, then to the next, without pause.

    `position(t)` may be asked for any non-decreasing `t` in seconds; the walk does not depend on how often.
    """

    def __init__(self, home: Point, *, roam_m: float, speed_m_s: float, rng: Random) -> None:
        self._home, self._roam_m, self._speed, self._rng = home, roam_m, speed_m_s, rng
        self._leg_start = around(home, roam_m, rng)
        self._leg_end = self._leg_start
        self._leg_t0 = self._leg_t1 = 0.0

    def position(self, t: float) -> Point:
        """Where the walker is at `t` seconds."""
        if self._speed <= 0 or self._roam_m <= 0:
            return self._leg_start
        while t >= self._leg_t1:
            self._leg_start, self._leg_t0 = self._leg_end, self._leg_t1
            self._leg_end = around(self._home, self._roam_m, self._rng)
            # At least a second a leg, so that a tiny roaming radius cannot make this loop long.
            self._leg_t1 = self._leg_t0 + max(1.0, self._leg_start.distance_m(self._leg_end) / self._speed)
        share = (t - self._leg_t0) / (self._leg_t1 - self._leg_t0)
        a, b = self._leg_start, self._leg_end
        return Point(a.lat + (b.lat - a.lat) * share, a.lon + (b.lon - a.lon) * share)
