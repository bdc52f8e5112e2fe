"""What people type into forms, read strictly: a value, or None for everything that cannot be meant.

Patterns bound the length, so ``nan``, ``1e999`` or 40 kB of digits are none.
"""

import re
from datetime import UTC, datetime
from math import isfinite

from web.wording import MICRO

DEGREES = re.compile(r"[+-]?\d{1,3}(\.\d{1,12})?", re.ASCII)
WHOLE = re.compile(r"\d{1,9}", re.ASCII)
CREDITS = re.compile(r"(\d{1,9})(?:\.(\d{1,6}))?", re.ASCII)
SECONDS = re.compile(r"(\d{1,7})(?:\.(\d{1,3}))?", re.ASCII)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,3})?)?", re.ASCII)


def degrees(text: str, limit: float) -> float | None:
    """A plain decimal within ±`limit`."""
    if not DEGREES.fullmatch(text):
        return None
    value = float(text)
    return value if isfinite(value) and abs(value) <= limit else None


def whole(text: str, lowest: int, highest: int) -> int | None:
    """A whole number within bounds."""
    if not WHOLE.fullmatch(text):
        return None
    value = int(text)
    return value if lowest <= value <= highest else None


def micro_credits(text: str) -> int | None:
    """Credits with up to six decimals, in micro-credits."""
    match = CREDITS.fullmatch(text)
    return None if match is None else int(match[1]) * MICRO + int((match[2] or "").ljust(6, "0"))


def milliseconds(text: str) -> int | None:
    """Seconds with up to three decimals, in milliseconds."""
    match = SECONDS.fullmatch(text)
    return None if match is None else int(match[1]) * 1_000 + int((match[2] or "").ljust(3, "0"))


def moment_ms(text: str) -> int | None:
    """What ``<input type="datetime-local">`` sends, taken for UTC."""
    if not MOMENT.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None
    value = round(found.timestamp() * 1_000)
    return value if value >= 0 else None
