"""Geohash cells: the names of the topics that concern a place (Niemeyer 2008)."""

ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
CELL_PRECISION = 5
"""Characters of a cell's name: 4.9 km by 4.9 km at the equator."""


def geohash(lat: float, lon: float, precision: int = CELL_PRECISION) -> str:
    """The cell of `precision` characters (1 to 12) that holds a point in degrees.

    Raises ValueError for a point outside the globe.
    """
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        msg = f"({lat}, {lon}) is not on the globe"
        raise ValueError(msg)
    lat_range, lon_range = [-90.0, 90.0], [-180.0, 180.0]
    name = []
    bits = 0
    for i in range(precision * 5):
        span, value = (lon_range, lon) if i % 2 == 0 else (lat_range, lat)
        middle = (span[0] + span[1]) / 2
        upper = value >= middle
        span[0 if upper else 1] = middle
        bits = bits << 1 | upper
        if i % 5 == 4:
            name.append(ALPHABET[bits])
            bits = 0
    return "".join(name)
