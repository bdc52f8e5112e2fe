"""Distances on the sphere in integers. Coordinates in E7, distances in millimetres."""

from functools import lru_cache
from typing import Final

from chain.fixed import BITS, ONE, PI_120, asin_sqrt, sin

EARTH_RADIUS_MM: Final = 6_371_008_800
"""Mean Earth radius R1 = (2a + b) / 3 of WGS 84."""
FULL_CIRCLE_E7: Final = 3_600_000_000
Point = tuple[int, int]
"""Latitude and longitude in E7: -90° to 90°, -180° to 180°."""

HAVERSINE_OPERATIONS: Final = 230 + 2 * 45
"""What `haversine_mm` comes to at most, counted (tests/chain/test_geodesy.py), with two square roots of 45 each: where there
are none, Newton's method finds one in 7 steps of three, after 7 of three for a first guess, and 3 to begin and end."""

_HALF_RADIANS_PER_E7: Final = PI_120 // FULL_CIRCLE_E7  # half of pi / 180e7, times 2**120
_SHIFT: Final = 120 - BITS


def _sin_half(angle_e7: int) -> int:
    return sin((angle_e7 * _HALF_RADIANS_PER_E7) >> _SHIFT)


@lru_cache(maxsize=8_192)
def haversine_mm(a: Point, b: Point) -> int:
    """Great-circle distance by the haversine formula, rounded to a millimetre; error below 5 mm (spec/spatial.md)."""
    (lat_a, lon_a), (lat_b, lon_b) = a, b
    across = abs(lon_a - lon_b)
    if across > FULL_CIRCLE_E7 // 2:  # over the antimeridian
        across = FULL_CIRCLE_E7 - across
    sin_lat = _sin_half(abs(lat_a - lat_b))
    square_lat = sin_lat * sin_lat >> BITS
    sin_sum = _sin_half(abs(lat_a + lat_b))
    sin_lon = _sin_half(across)
    # cos a · cos b = 1 - sin²((a-b)/2) - sin²((a+b)/2): one sine instead of two cosines.
    cosines = ONE - square_lat - (sin_sum * sin_sum >> BITS)
    haversine = square_lat + (cosines * (sin_lon * sin_lon >> BITS) >> BITS)
    angle = asin_sqrt(min(max(haversine, 0), ONE))
    return (2 * EARTH_RADIUS_MM * angle + (ONE >> 1)) >> BITS
