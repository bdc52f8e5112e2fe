"""An index of places: cells no smaller than the duplicate radius, so that a neighbourhood is nine short scans."""

from functools import lru_cache

from chain.contracts.spatial_rules import LAT_LIMIT_E7, LON_LIMIT_E7, SpatialRules
from chain.fixed import HALF_PI, ONE, PI, cos
from chain.geodesy import EARTH_RADIUS_MM, FULL_CIRCLE_E7


@lru_cache(maxsize=64)
def _grid(rules: SpatialRules) -> tuple[int, int]:
    """(height of a cell in E7, number of cells around the globe)."""
    radius_mm = max(rules.duplicate_radius_m, 1) * 1000
    radians = radius_mm * ONE // EARTH_RADIUS_MM + 1
    height = radians * LAT_LIMIT_E7 // HALF_PI + 2
    # A circle spans most longitude at the box's highest latitude; there it is at most radius / cos(latitude + radius).
    latitude = max(abs(rules.box.lat_min_e7), abs(rules.box.lat_max_e7)) * HALF_PI // LAT_LIMIT_E7 + radians
    cosine = cos(latitude) if latitude < HALF_PI else 0
    if cosine <= radians:  # a pole is near
        return height, 1
    width = (radians * ONE // cosine) * (FULL_CIRCLE_E7 // 2) // PI + 2
    return height, max(1, FULL_CIRCLE_E7 // width)


def cell_of(rules: SpatialRules, lat_e7: int, lon_e7: int) -> tuple[int, int]:
    """(row from the south pole, column from the antimeridian) of a point."""
    height, columns = _grid(rules)
    return (lat_e7 + LAT_LIMIT_E7) // height, (lon_e7 + LON_LIMIT_E7) * columns // FULL_CIRCLE_E7 % columns


def cells_around(rules: SpatialRules, lat_e7: int, lon_e7: int) -> list[tuple[int, int]]:
    """The cells, sorted, that hold all points of the box within the duplicate radius."""
    _, columns = _grid(rules)
    row, column = cell_of(rules, lat_e7, lon_e7)
    rows = [r for r in (row - 1, row, row + 1) if r >= 0]
    return [(r, c) for r in rows for c in sorted({(column + d) % columns for d in (-1, 0, 1)})]


def cell_key(report_type: str, cell: tuple[int, int], time_ms: int) -> bytes:
    """Where reports of a type, cell and time are kept; report ids follow. Ordered by time within a cell."""
    return cell_prefix(report_type, cell) + time_ms.to_bytes(8, "big")


def cell_prefix(report_type: str, cell: tuple[int, int]) -> bytes:
    row, column = cell
    return b"cell/" + report_type.encode() + b"/" + row.to_bytes(5, "big") + column.to_bytes(5, "big")
