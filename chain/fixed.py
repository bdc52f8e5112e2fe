"""Fixed-point sine, arcsine and square root that are the same on every machine: Python integers, no floats.

A number x stands for x / 2**80. Series are cut where the next term is below 1e-20.
"""

from math import isqrt
from typing import Final

BITS: Final = 80
ONE: Final = 1 << BITS
PI_120: Final = 0x3243F6A8885A308D313198A2E037073  # pi * 2**120
PI: Final = PI_120 >> (120 - BITS)
HALF_PI: Final = PI >> 1

# sin x = x (1 - x²/2·3 (1 - x²/4·5 (1 - …))): nested, so that rounding errors shrink instead of growing with x².
_SIN: Final = tuple(n * (n + 1) for n in range(26, 0, -2))


def sqrt(x: int) -> int:
    """Square root, rounded down; x >= 0."""
    return isqrt(x << BITS)


def sin(x: int) -> int:
    """Sine of x radians, for -pi/2 <= x <= pi/2 (not reduced; further out it is wrong)."""
    square = (x * x) >> BITS
    total = ONE
    for divisor in _SIN:
        total = ONE - ((square * total) >> BITS) // divisor
    return (x * total) >> BITS


def cos(x: int) -> int:
    """Cosine of x radians, for -pi <= x <= pi."""
    half = sin(x >> 1)
    return ONE - ((half * half) >> (BITS - 1))


def _newton_asin(s: int) -> int:
    """Arcsine by Newton's method on `sin`, for 0 <= s <= 0.75; slow, for the table."""
    angle = s
    for _ in range(8):
        angle += ((s - sin(angle)) << BITS) // cos(angle)
    return angle


# asin s = asin t + asin(s·√(1-t²) - t·√(1-s²)) with t the nearest tabulated sine, which leaves a short series.
_STEP_BITS: Final = 7
_TABLE: Final = tuple(
    (t, sqrt(ONE - ((t * t) >> BITS)), _newton_asin(t))
    for t in ((k << (BITS - _STEP_BITS)) for k in range((3 << _STEP_BITS >> 2) + 1))
)
_ASIN: Final = (ONE * 105 // 3456, ONE * 15 // 336, ONE * 3 // 40, ONE // 6)  # x⁹, x⁷, x⁵, x³


def asin_sqrt(square: int) -> int:
    """asin(√square) in radians, for 0 <= square <= 1; exact near both ends, where asin(√x) is steep."""
    if square > ONE >> 1:
        return HALF_PI - asin_sqrt(ONE - square)
    sine, cosine = sqrt(square), sqrt(ONE - square)
    t, t_cosine, angle = _TABLE[(sine + (ONE >> (_STEP_BITS + 1))) >> (BITS - _STEP_BITS)]
    rest = (sine * t_cosine - t * cosine) >> BITS
    rest_square = (rest * rest) >> BITS
    total = 0
    for coefficient in _ASIN:
        total = ((total + coefficient) * rest_square) >> BITS
    return angle + rest + ((rest * total) >> BITS)
