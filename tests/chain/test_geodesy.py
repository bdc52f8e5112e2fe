"""The integer routines against extended floats and a geodesy library."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chain import fixed
from chain.fixed import HALF_PI, ONE, asin_sqrt, cos, sin, sqrt
from chain.geodesy import EARTH_RADIUS_MM, HAVERSINE_OPERATIONS, haversine_mm
from tests.strategies import points

REAL = np.longdouble
PI = REAL("3.14159265358979323846264338327950288")
POLE, SOUTH = (900_000_000, 0), (-900_000_000, 1_234_567)
NEAR = st.integers(-50_000_000, 50_000_000)


def by_floats_mm(a, b):
    """Haversine in 64-bit mantissas, with atan2 where asin is steep."""
    lat_a, lon_a, lat_b, lon_b = (REAL(x) / REAL(10**7) * PI / REAL(180) for x in (*a, *b))
    h = np.sin((lat_a - lat_b) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_a - lon_b) / 2) ** 2
    h = min(h, REAL(1))
    return float(2 * REAL(EARTH_RADIUS_MM) * np.arctan2(np.sqrt(h), np.sqrt(1 - h)))


@given(a=points, b=points)
@example(a=POLE, b=SOUTH)
@example(a=POLE, b=(900_000_000, 1_800_000_000))
@example(a=(0, 1_800_000_000), b=(0, -1_800_000_000))
@example(a=(0, 1_799_999_999), b=(0, -1_799_999_999))
@example(a=(0, 0), b=(0, 1_800_000_000))
@example(a=(123_456_789, -900_000_000), b=(-123_456_789, 900_000_000))
def test_distances_anywhere(a, b):
    expected = by_floats_mm(a, b)
    assert abs(haversine_mm(a, b) - expected) <= 10  # 1 cm: fifty times better than consensus promises


@given(a=points, d_lat=NEAR, d_lon=NEAR)
def test_distances_nearby(a, d_lat, d_lon):
    lon = a[1] + d_lon
    b = (max(-900_000_000, min(900_000_000, a[0] + d_lat)), (lon + 1_800_000_000) % 3_600_000_000 - 1_800_000_000)
    assert abs(haversine_mm(a, b) - by_floats_mm(a, b)) <= 2


@given(a=points, b=points)
def test_distance_is_a_metric_in_its_signs(a, b):
    assert haversine_mm(a, b) == haversine_mm(b, a)
    assert haversine_mm(a, a) == 0
    assert 0 <= haversine_mm(a, b) <= 20_015_114_443


def test_known_distances():
    assert haversine_mm((0, 0), (0, 1_800_000_000)) == 20_015_114_442  # half of 2·pi·R
    assert haversine_mm((0, 0), (10_000_000, 0)) == 111_195_080  # one degree
    assert haversine_mm((600_000_000, 0), (600_000_000, 10_000_000)) == 55_597_011
    assert haversine_mm((352_271_000, -808_431_000), (352_271_000, -808_431_001)) == pytest.approx(9, abs=1)


class Counted(int):
    """A number that counts what is done with it, and with what comes of it."""

    done = 0


def counted(name):
    operation = getattr(int, name)

    def count(self, *others):
        result = operation(self, *others)
        if result is NotImplemented:
            return result
        Counted.done += 1
        return Counted(result) if type(result) is int else result

    return count


for _name in ("add", "sub", "mul", "floordiv", "rshift", "lshift", "lt", "gt", "le", "ge"):
    setattr(Counted, f"__{_name}__", counted(f"__{_name}__"))
for _name in ("radd", "rsub", "rmul", "rfloordiv", "rrshift", "rlshift", "abs"):
    setattr(Counted, f"__{_name}__", counted(f"__{_name}__"))


@given(a=points, b=points)
@example(a=(0, 1_800_000_000), b=(0, -1_800_000_000))
def test_what_a_distance_is_said_to_come_to(a, b):
    """All operations but those inside the two square roots."""
    Counted.done, roots = 0, []

    def root(x):
        roots.append(x)
        return Counted(sqrt(int(x)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed, "sqrt", root)
        haversine_mm.__wrapped__(tuple(map(Counted, a)), tuple(map(Counted, b)))
    assert len(roots) == 2
    assert 220 <= Counted.done <= HAVERSINE_OPERATIONS - 2 * 45


@given(a=points, b=points)
def test_against_geographiclib(a, b):
    geodesic = pytest.importorskip("geographiclib.geodesic")
    sphere = geodesic.Geodesic(EARTH_RADIUS_MM / 1000, 0)
    expected = sphere.Inverse(a[0] / 1e7, a[1] / 1e7, b[0] / 1e7, b[1] / 1e7)["s12"] * 1000
    assert abs(haversine_mm(a, b) - expected) <= 10


@given(x=st.integers(-HALF_PI, HALF_PI))
def test_sine_and_cosine(x):
    angle = REAL(x >> 20) / REAL(2**60)
    assert abs(REAL(sin(x) >> 20) / REAL(2**60) - np.sin(angle)) < 1e-17
    assert abs(REAL(cos(x) >> 20) / REAL(2**60) - np.cos(angle)) < 1e-17


@given(square=st.integers(0, ONE))
@example(square=0)
@example(square=1)
@example(square=ONE)
@example(square=ONE >> 1)
@example(square=(ONE >> 1) + 1)
def test_arcsine_undoes_sine(square):
    sine = sin(asin_sqrt(square))
    assert abs(((sine * sine) >> 80) - square) < ONE >> 55


@given(x=st.integers(0, 4 * ONE))
def test_square_root_is_rounded_down(x):
    root = sqrt(x)
    assert root * root <= x * ONE < (root + 1) * (root + 1)
