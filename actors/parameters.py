"""What people write on the command line, and what it means. Light to import, for --help must answer at once.

Each function below raises ValueError with a message for whoever typed it.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Parsed(click.ParamType[Any]):
    """A command-line option whose text one of the functions here reads."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or fail with what is allowed."""
        try:
            return self._parse(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


def duration(text: str) -> float:
    """``90s``, ``500ms``, ``2m``, ``1h``, or a number of seconds; in seconds, above zero."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text.strip(), re.ASCII)
    seconds = float(match[1]) * UNITS_S[match[2] or "s"] if match else 0.0
    if not 0 < seconds < float("inf"):
        msg = f"{text!r} is not a duration such as 500ms, 90s, 2m or 1h"
        raise ValueError(msg)
    return seconds


def endpoint(text: str) -> tuple[str, int]:
    """``HOST:PORT``; port 0 takes a free one. An IPv6 address is in brackets."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\s\[\]]*)):(\d{1,5})", text.strip(), re.ASCII)
    if match is None or int(match[3]) > 65_535:
        msg = f"{text!r} is not HOST:PORT, e.g. 127.0.0.1:8000"
        raise ValueError(msg)
    return match[1] or match[2] or "127.0.0.1", int(match[3])


def place(text: str) -> tuple[float, float]:
    """``LAT,LON`` in degrees."""
    try:
        lat, lon = (float(part) for part in text.split(","))
    except ValueError:
        msg = f"{text!r} is not LAT,LON in degrees, e.g. 44.49,11.34"
        raise ValueError(msg) from None
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        msg = f"{text!r} is not on the globe"
        raise ValueError(msg)
    return lat, lon


def new_file(text: str) -> Path:
    """A file that can be written: found out now, not after an hour's run. What it holds stays until then."""
    path = Path(text)
    if path.is_dir():
        msg = f"{text} is a directory"
        raise ValueError(msg)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return path  # a link, a device or a pipe: opening it may have effects
    part = path.with_name(path.name + ".part")
    try:
        if path.exists():
            path.open("ab").close()
        part.open("wb").close()
        part.unlink()
    except OSError as error:
        msg = f"cannot write {text}: {error.strerror}"
        raise ValueError(msg) from None
    return path
