"""Geohash cells are those of the literature, and a point is in its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.sensing.geohash import ALPHABET, geohash

# (lat, lon, cell): Niemeyer's example on geohash.org and Wikipedia's worked one, then corners of the scheme.
VECTORS = [
    (57.64911, 10.40744, "u4pruydqqvj"),
    (42.605, -5.603, "ezs42"),
    (42.6, -5.6, "ezs42"),
    (-25.382708, -49.265506, "6gkzwgjzn820"),
    (48.669, -4.329, "gbsuv"),
    (0.0, 0.0, "s00000000000"),
    (-90.0, -180.0, "000000000000"),
    (90.0, 180.0, "zzzzzzzzzzzz"),
]
latitudes, longitudes = st.floats(-90, 90), st.floats(-180, 180)


@pytest.mark.parametrize("lat, lon, cell", VECTORS)
def test_vectors(lat, lon, cell):
    assert geohash(lat, lon, len(cell)) == cell


def bounds(cell):
    """South, north, west, east of a cell: the plain inverse."""
    lat, lon = [-90.0, 90.0], [-180.0, 180.0]
    for place, bit in enumerate(bit for c in cell for bit in f"{ALPHABET.index(c):05b}"):
        span = lat if place % 2 else lon
        span[bit == "0"] = (span[0] + span[1]) / 2
    return *lat, *lon


@given(latitudes, longitudes, st.integers(1, 12))
def test_a_point_is_in_its_cell(lat, lon, precision):
    south, north, west, east = bounds(geohash(lat, lon, precision))
    assert south <= lat <= north and west <= lon <= east
    assert (lat < north or north == 90) and (lon < east or east == 180)


@given(latitudes, longitudes, st.integers(1, 11))
def test_cells_nest(lat, lon, precision):
    assert geohash(lat, lon, precision + 1).startswith(geohash(lat, lon, precision))


@pytest.mark.parametrize(
    "lat, lon", [(90.1, 0), (-90.1, 0), (0, 180.1), (0, -180.1), (float("nan"), 0), (0, float("inf"))]
)
def test_geohash__reject_outside_the_globe(lat, lon):
    with pytest.raises(ValueError, match="not on the globe"):
        geohash(lat, lon)
