"""The index of places misses nothing: every point within the duplicate radius is in a cell around."""

from hypothesis import assume, example, given
from hypothesis import strategies as st

from chain.contracts.spatial_cells import cell_of, cells_around
from chain.contracts.spatial_rules import Box
from chain.geodesy import haversine_mm
from tests.strategies import points, spatial_rules

GLOBE = Box(-900_000_000, 900_000_000, -1_800_000_000, 1_800_000_000)
NORTH = Box(600_000_000, 850_000_000, -1_800_000_000, 1_800_000_000)
TROPICS = Box(-230_000_000, 230_000_000, -1_800_000_000, 1_800_000_000)
radii = st.sampled_from([1, 50, 500, 20_000, 100_000])


@given(
    box=st.sampled_from([GLOBE, NORTH, TROPICS]),
    radius_m=radii,
    a=points,
    turn=st.integers(-10_000, 10_000),
    rise=st.integers(-10_000, 10_000),
    wide=st.booleans(),
)
@example(box=NORTH, radius_m=50, a=(700_000_000, 1_800_000_000), turn=10, rise=0, wide=False)
@example(box=GLOBE, radius_m=50, a=(899_999_990, 0), turn=0, rise=10_000, wide=True)
def test_neighbours_are_found(box, radius_m, a, turn, rise, wide):
    """`b` is near `a`: its offset in parts of the radius, eastwards by up to twenty times as many degrees."""
    lat = max(box.lat_min_e7, min(box.lat_max_e7, a[0]))
    step = radius_m * 90
    lat_b = max(box.lat_min_e7, min(box.lat_max_e7, lat + rise * step // 10_000))
    lon_b = a[1] + turn * step * (20 if wide else 1) // 10_000
    b = (lat_b, (lon_b + 1_800_000_000) % 3_600_000_000 - 1_800_000_000)
    rules = spatial_rules(box=box, duplicate_radius_m=radius_m)
    assume(haversine_mm((lat, a[1]), b) < radius_m * 1_000)
    around = cells_around(rules, lat, a[1])
    assert cell_of(rules, *b) in around
    assert len(around) == len(set(around)) <= 9
