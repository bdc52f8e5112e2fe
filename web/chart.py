"""The map as the server draws it, for browsers without scripts or without the map library.

Equirectangular about the middle latitude of the run's place, which is exact enough for a city: a degree of
longitude is drawn cos(latitude) times as wide as one of latitude. North is up; y grows downwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, floor, isfinite, log10, radians

from actors.control import Place, ReportView

WIDTH = 800
"""Units of the drawing, not pixels: the browser scales it."""
MIN_HEIGHT, MAX_HEIGHT = 360, 900
LABEL = 60
"""Room for the label of a meridian, to the right of it."""
MARGIN = 0.04
"""Of the place, on each side."""
ROOM = 0.15
"""Beside what a box encloses, of its extent, on each side."""
LEAST_DEGREES = 0.0005
"""What a box encloses is taken to be this large: some 50 m."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Bounds in degrees, margins included, and the size of the drawing."""

    lat_min: float
    lat_max: float
    lon_min: float
    lon_max: float
    width: int
    height: int

    def x(self, lon: float) -> float:
        """0 (west) to `width` (east); outside for what is outside."""
        return round((lon - self.lon_min) / (self.lon_max - self.lon_min) * self.width, 1)

    def y(self, lat: float) -> float:
        """0 (north) to `height` (south)."""
        return round((self.lat_max - lat) / (self.lat_max - self.lat_min) * self.height, 1)

    def shows(self, lat: float | None, lon: float | None) -> bool:
        """Whether that place is known and on the drawing."""
        if lat is None or lon is None:
            return False
        return self.lat_min <= lat <= self.lat_max and self.lon_min <= lon <= self.lon_max

    def meridians(self) -> Sequence[tuple[float, str]]:
        """(x, label) of round longitudes."""
        lines = [(self.x(lon), label) for lon, label in _rounds(self.lon_min, self.lon_max)]
        return [(x, label if x < self.width - LABEL else "") for x, label in lines]

    def parallels(self) -> Sequence[tuple[float, str]]:
        """(y, label) of round latitudes."""
        return [(self.y(lat), label) for lat, label in _rounds(self.lat_min, self.lat_max)]


def chart(place: Place) -> Chart:
    """The drawing of a place. A place without extent (or nonsense from a scenario) gets a hundredth of a degree."""
    lat_min, lat_max = _spread(place.lat_min, place.lat_max, 90.0)
    lon_min, lon_max = _spread(place.lon_min, place.lon_max, 180.0)
    aspect = (lat_max - lat_min) / ((lon_max - lon_min) * max(cos(radians((lat_min + lat_max) / 2)), 0.01))
    height = min(max(round(WIDTH * aspect), MIN_HEIGHT), MAX_HEIGHT)
    return Chart(lat_min, lat_max, lon_min, lon_max, WIDTH, height)


def enclosing(points: Sequence[tuple[float, float]], otherwise: Place) -> Place:
    """The box around places (lat, lon), with room beside them; without any, another place."""
    if not points:
        return otherwise
    lats, lons = [lat for lat, _ in points], [lon for _, lon in points]
    high = max(max(lats) - min(lats), LEAST_DEGREES) * ROOM
    wide = max(max(lons) - min(lons), LEAST_DEGREES) * ROOM
    return Place(otherwise.name, min(lats) - high, max(lats) + high, min(lons) - wide, max(lons) + wide)


def marked(drawing: Chart, reports: Sequence[ReportView]) -> Sequence[ReportView]:
    """Reports that can be drawn, oldest first, so that the newest lie on top."""
    return [report for report in reversed(reports) if drawing.shows(report.lat, report.lon)]


def _spread(low: float, high: float, limit: float) -> tuple[float, float]:
    if not (isfinite(low) and isfinite(high)):
        return -limit, limit
    extent = high - low
    if extent <= 0:
        return low - 0.005, low + 0.005
    return low - extent * MARGIN, high + extent * MARGIN


def _rounds(low: float, high: float) -> Sequence[tuple[float, str]]:
    """Three to seven round numbers between two bounds."""
    rough = (high - low) / 4
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    decimals = max(0, -floor(log10(step) + 1e-9))
    first = floor(low / step) + 1
    values = [number * step for number in range(first, first + 12) if number * step < high]
    return [(value, f"{value:.{decimals}f}°") for value in values]
