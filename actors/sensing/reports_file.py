"""Real citizen reports from a CSV file: which rows can be used, and why the others cannot.

Columns by name, in any order, others ignored: a time (``time``, ``time_local``, ``timestamp``; ISO 8601 without zone
read as UTC, or seconds since the Unix epoch), ``category`` (several separated by ``;``), ``lat``/``latitude`` and
``lon``/``lng``/``longitude`` in degrees.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from actors.scenario import PlaceConfig, ScenarioError
from actors.sensing.mobility import Point

MAX_ROWS = 1_000_000
MAX_FIELD_CHARACTERS = 16_384
COLUMNS = {
    "time": ("time", "time_local", "timestamp"),
    "category": ("category", "categories", "type"),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "lng", "longitude"),
}
# Where no place is given it is the box of the middle 98 % of the rows' coordinates, a tenth wider on each side:
# citizens' files hold points on the wrong continent, and the plain bounding box would take them in.
DERIVED_TAIL = 0.01
DERIVED_MARGIN = 0.1
MIN_MARGIN_DEGREES = 0.01


@dataclass(frozen=True, slots=True)
class CitizenReport:
    """One usable row: `time_s` in seconds since the Unix epoch, `type` one of the scenario's."""

    line: int
    time_s: float
    type: str
    where: Point


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that cannot be used; `line` counts from 1, the header included."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A file's rows in the order of their times, those refused in the order of the file, and the place."""

    reports: tuple[CitizenReport, ...]
    refused: tuple[RefusedRow, ...]
    place: PlaceConfig


def read(path: Path, *, categories: Mapping[str, str], types: Iterable[str], place: PlaceConfig | None) -> ReportFile:
    """Read a file of reports for a place (None: derived from the file).

    A bad row stops nothing. Raises ScenarioError when the file cannot be read, lacks a column or has no usable row.
    """
    known = {name.casefold(): name for name in types}
    table = known | {name.casefold(): type_ for name, type_ in categories.items()}
    rows: list[CitizenReport] = []
    refused: list[RefusedRow] = []
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.reader(file, strict=False)
            try:
                header = next(reader, [])
            except csv.Error as error:
                msg = f"{path} has no header that can be read: {error}"
                raise ScenarioError(msg) from None
            columns = _columns(path, header)
            while True:
                try:
                    row = next(reader, None)
                except csv.Error as error:
                    refused.append(RefusedRow(reader.line_num, f"malformed: {error}"))
                    continue
                if row is None:
                    break
                if len(rows) + len(refused) >= MAX_ROWS:
                    msg = f"{path} has more than {MAX_ROWS} rows; split it"
                    raise ScenarioError(msg)
                if row:
                    try:
                        rows.append(_parse(reader.line_num, row, columns, table))
                    except ValueError as error:
                        refused.append(RefusedRow(reader.line_num, str(error)))
    except OSError as error:
        msg = f"cannot read reports {path}: {error.strerror}"
        raise ScenarioError(msg) from None
    if rows:
        place = place or _derive_place(path.stem, rows)
        refused += [RefusedRow(row.line, reason) for row in rows if (reason := _outside(row.where, place))]
        refused.sort(key=lambda row: row.line)
        rows = [row for row in rows if _outside(row.where, place) is None]
    if not rows or place is None:
        msg = f"{path}: none of its {len(refused)} rows can be used; the first: " + (
            refused[0].reason if refused else "there is none"
        )
        raise ScenarioError(msg)
    rows.sort(key=lambda row: (row.time_s, row.line))
    return ReportFile(tuple(rows), tuple(refused), place)


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    names = [name.strip().lstrip("\ufeff").casefold() for name in header]
    columns = {}
    for wanted, aliases in COLUMNS.items():
        found = [names.index(alias) for alias in aliases if alias in names]
        if not found:
            msg = f"{path} has no column {' or '.join(aliases)}; it has: {', '.join(names)[:200] or 'nothing'}"
            raise ScenarioError(msg)
        columns[wanted] = found[0]
    return columns


def _parse(line: int, row: list[str], columns: Mapping[str, int], table: Mapping[str, str]) -> CitizenReport:
    if len(row) <= max(columns.values()):
        msg = f"malformed: {len(row)} fields, expected at least {max(columns.values()) + 1}"
        raise ValueError(msg)
    if max(map(len, row)) > MAX_FIELD_CHARACTERS:
        msg = f"malformed: a field is longer than {MAX_FIELD_CHARACTERS} characters"
        raise ValueError(msg)
    lat = _degrees("lat", row[columns["lat"]], 90)
    lon = _degrees("lon", row[columns["lon"]], 180)
    names = [name.strip().casefold() for name in row[columns["category"]].split(";")]
    type_ = next((table[name] for name in names if name in table), "other")
    return CitizenReport(line, _time(row[columns["time"]]), type_, Point(lat, lon))


def _degrees(name: str, text: str, limit: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        msg = f"malformed: {name} {text[:40]!r} is not a number"
        raise ValueError(msg)
    if abs(value) > limit:
        msg = f"out of range: {name} {value} is beyond {limit} degrees"
        raise ValueError(msg)
    return value


def _time(text: str) -> float:
    text = text.strip()
    try:
        if text.replace(".", "", 1).isdigit():
            return datetime.fromtimestamp(float(text), UTC).timestamp()  # beyond the year 9999 is no time
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        msg = f"malformed: time {text[:40]!r} is neither ISO 8601 nor seconds since 1970"
        raise ValueError(msg) from None


def _outside(point: Point, place: PlaceConfig) -> str | None:
    if place.lat_min <= point.lat <= place.lat_max and place.lon_min <= point.lon <= place.lon_max:
        return None
    return (
        f"out of place: ({point.lat}, {point.lon}) is not in {place.name}, "
        f"{place.lat_min:g} to {place.lat_max:g}, {place.lon_min:g} to {place.lon_max:g}"
    )


def _derive_place(name: str, rows: list[CitizenReport]) -> PlaceConfig:
    def span(values: list[float], limit: float) -> tuple[float, float]:
        values.sort()
        tail = int(len(values) * DERIVED_TAIL)
        low, high = values[tail], values[-1 - tail]
        margin = max(MIN_MARGIN_DEGREES, (high - low) * DERIVED_MARGIN)
        return round(max(-limit, low - margin), 6), round(min(limit, high + margin), 6)

    lat_min, lat_max = span([row.where.lat for row in rows], 90)
    lon_min, lon_max = span([row.where.lon for row in rows], 180)
    return PlaceConfig(name=name, lat_min=lat_min, lat_max=lat_max, lon_min=lon_min, lon_max=lon_max)
