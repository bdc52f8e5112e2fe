"""A file of citizens' reports: each row is used, or refused with its line and why; only a useless file is an error."""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.scenario import PlaceConfig, ScenarioError, load
from actors.sensing import reports_file
from actors.sensing.reports_file import COLUMNS, MAX_FIELD_CHARACTERS, read

ROOT = Path(__file__).parents[3]
HAITI = ROOT.parent / "shared" / "data" / "haiti_ushahidi_2010" / "haiti_reports_no_text.csv"
TYPES = ("fire", "other", "water")
BOX = PlaceConfig(name="box", lat_min=40, lat_max=50, lon_min=5, lon_max=15)
GOOD = "2010-01-12T16:53:00,fire,44.5,11.3"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reports.csv"


def parse(path, text, *, place=BOX, categories=None):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, categories=categories or {}, types=TYPES, place=place)


def rows(path, *lines, header="time,category,lat,lon", **how):
    return parse(path, "\n".join([header, *lines]) + "\n", **how)


@pytest.mark.parametrize(
    "column, alias", [(column, alias) for column, aliases in COLUMNS.items() for alias in aliases], ids=str
)
def test_columns_have_aliases_any_case_any_order(path, column, alias):
    names = {"lon": "lon", "time": "time", "lat": "lat", "category": "category"} | {column: f" {alias.upper()} "}
    values = {"time": "1263315180", "category": "fire", "lat": "44.5", "lon": "11.3"}
    header = ",".join(["serial", *names.values(), "approved"])
    (report,) = rows(path, ",".join(["9", *(values[name] for name in names), "YES"]), header=header).reports
    assert (report.line, report.type, report.time_s, report.where.e7) == (2, "fire", 1263315180, (445000000, 113000000))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
def test_marks_and_line_ends_do_not_matter(path, mark, end):
    text = mark + end.join(["time,category,lat,lon", GOOD, GOOD]).encode()
    assert [report.line for report in parse(path, text).reports] == [2, 3]


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("2010-01-12T16:53:00", 1263315180),
        ("2010-01-12 16:53", 1263315180),
        ("2010-01-12T16:53:00Z", 1263315180),
        ("2010-01-12T17:53:00+01:00", 1263315180),
        ("1263315180", 1263315180),
        ("1263315180.5", 1263315180.5),
        (" 2010-01-12T16:53:00 ", 1263315180),
    ],
)
def test_times(path, text, seconds):
    assert rows(path, f"{text},fire,44.5,11.3").reports[0].time_s == seconds


@pytest.mark.parametrize(
    "category, type_",
    [
        ("fire", "fire"),
        (" FIRE ", "fire"),
        ("Feu; 2. water", "other"),
        ("Nothing;Water;fire", "water"),
        ("", "other"),
        ("Soif", "water"),
    ],
)
def test_the_first_category_that_is_known_gives_the_type(path, category, type_):
    found = rows(path, f"1263315180,{category},44.5,11.3", categories={"soif": "water"})
    assert found.reports[0].type == type_


BAD = {
    "out of range: lat 91.0 is beyond 90": "1,fire,91,11",
    "out of range: lon -181.0 is beyond 180": "1,fire,44,-181",
    "malformed: lat 'north' is not a number": "1,fire,north,11",
    "malformed: lat '' is not a number": "1,fire,,11",
    "malformed: lon 'nan' is not a number": "1,fire,44,nan",
    "malformed: lat '-inf' is not a number": "1,fire,-inf,11",
    "malformed: lat '1e999' is not a number": "1,fire,1e999,11",
    "out of place: \\(22.278381, 114.174287\\) is not in box, 40 to 50, 5 to 15": "1,fire,22.278381,114.174287",
    "malformed: 3 fields, expected at least 4": "1,fire,44",
    "malformed: 1 fields": "x",
    "malformed: time 'yesterday' is neither ISO 8601 nor seconds": "yesterday,fire,44,11",
    "malformed: time '' is neither": ",fire,44,11",
    "malformed: time '2010-13-45' is neither": "2010-13-45,fire,44,11",
    "malformed: time '\\.' is neither": ".,fire,44,11",
    "malformed: time '²' is neither": "²,fire,44,11",
    "malformed: time '9{40}' is neither": "9" * 400 + ",fire,44,11",
    "malformed: a field is longer": f"1,{'x' * (MAX_FIELD_CHARACTERS + 1)},44,11",
    "malformed: field larger than field limit": f"1,{'x' * (csv.field_size_limit() + 1)},44,11",
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_row_is_listed_by_line_and_stops_nothing(path, reason):
    found = rows(path, GOOD, BAD[reason], GOOD)
    assert [report.line for report in found.reports] == [2, 4]
    (refused,) = found.refused
    assert refused.line == 3
    assert re.match(reason, refused.reason)
    assert len(refused.reason) < 200


def test_all_kinds_of_bad_rows_in_one_file_in_order(path):
    found = rows(path, GOOD, *BAD.values(), GOOD)
    assert [row.line for row in found.refused] == list(range(3, 3 + len(BAD)))
    assert [report.line for report in found.reports] == [2, 3 + len(BAD)]


@pytest.mark.parametrize("text", ["1,fi\0re,44,11", "1,fire,4\x004,11", "\0"], ids=repr)
def test_a_nul_byte_stops_nothing(path, text):
    found = rows(path, GOOD, text, GOOD)
    assert {report.line for report in found.reports} >= {2, 4}
    assert len(found.reports) + len(found.refused) == 3


def test_quoted_newlines_count_as_lines(path):
    found = rows(path, '1,"fire;\nwater;\n",44,11', "x", '2,"a ""quoted"" one",44,11')
    assert [(report.line, report.type) for report in found.reports] == [(4, "fire"), (6, "other")]
    assert [row.line for row in found.refused] == [5]


def test_an_unclosed_quote_swallows_the_rest_and_is_told(path):
    found = rows(path, GOOD, '1,"fire,44,11', GOOD, GOOD)
    assert [report.line for report in found.reports] == [2]
    assert [row.line for row in found.refused] == [5]


def test_blank_lines_are_nothing(path):
    found = rows(path, "", GOOD, "", "")
    assert [report.line for report in found.reports] == [3]
    assert not found.refused


def test_bytes_that_are_not_utf8_are_replaced(path):
    found = parse(path, b"time,category,lat,lon\n1,f\xffire,44,11\n")
    assert found.reports[0].type == "other"


def test_rows_come_in_the_order_of_their_times(path):
    found = rows(path, "3,fire,44,11", "1,fire,44,11", "2,fire,44,11", "1,water,44,11")
    assert [report.line for report in found.reports] == [3, 5, 4, 2]


@pytest.mark.parametrize("column", COLUMNS)
def test_read__reject_missing_column(path, column):
    header = ",".join(name for name in COLUMNS if name != column)
    with pytest.raises(ScenarioError, match=f"has no column {' or '.join(COLUMNS[column])}; it has: "):
        rows(path, GOOD, header=header)


@pytest.mark.parametrize("raw", [b"", b"\n", b"\xef\xbb\xbf", b"\x00\x01\x02", bytes(range(256)) * 50])
def test_read__reject_file_without_columns(path, raw):
    with pytest.raises(ScenarioError, match="has no column time"):
        parse(path, raw)


def test_read__reject_header_beyond_csv(path):
    with pytest.raises(ScenarioError, match=r"reports\.csv"):
        parse(path, "time," + "x" * (csv.field_size_limit() + 1) + "\n" + GOOD)


def test_read__reject_no_rows(path):
    with pytest.raises(ScenarioError, match="none of its 0 rows"):
        rows(path)


def test_read__reject_no_usable_rows(path):
    with pytest.raises(ScenarioError, match="none of its 2 rows can be used; the first: malformed: 1 fields"):
        rows(path, "x", "y")


def test_read__reject_all_rows_elsewhere(path):
    with pytest.raises(ScenarioError, match="none of its 2 rows can be used; the first: out of place"):
        rows(path, "1,fire,0,0", "1,fire,0,1")


def test_read__reject_missing_file(tmp_path):
    with pytest.raises(ScenarioError, match=r"cannot read reports .*nowhere: No such file"):
        read(tmp_path / "nowhere", categories={}, types=TYPES, place=None)


def test_read__reject_directory(tmp_path):
    with pytest.raises(ScenarioError, match=r"cannot read reports .*: Is a directory"):
        read(tmp_path, categories={}, types=TYPES, place=None)


def test_read__reject_too_many_rows(path, monkeypatch):
    monkeypatch.setattr(reports_file, "MAX_ROWS", 3)
    assert len(rows(path, GOOD, GOOD, GOOD).reports) == 3
    with pytest.raises(ScenarioError, match="more than 3 rows; split it"):
        rows(path, GOOD, "x", GOOD, GOOD)


def test_a_derived_place_leaves_stray_rows_out(path):
    lines = [f"{n},fire,{44 + n % 10 / 100},{11 + n % 7 / 100}" for n in range(300)] + ["1,fire,-20,100"]
    found = rows(path, *lines, place=None)
    assert found.place.name == "reports"
    assert found.place.lat_min < 44 and 44.09 < found.place.lat_max < 44.2
    assert [row.line for row in found.refused] == [302]


def test_a_derived_place_of_one_point_is_a_box(path):
    place = rows(path, GOOD, place=None).place
    assert place.lat_min < 44.5 < place.lat_max and place.lon_min < 11.3 < place.lon_max


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(path, raw):
    try:
        found = parse(path, b"time,category,lat,lon\n1,fire,44,11\n" + raw)
    except ScenarioError as error:
        pytest.fail(f"the first row is good: {error}")
    assert found.reports
    lines = [row.line for row in found.refused]
    assert lines == sorted(lines)


@pytest.mark.skipif(not HAITI.exists(), reason="the Haiti file is not part of the project")
def test_haiti():
    scenario = load(ROOT / "scenarios" / "haiti.toml")
    found = read(HAITI, categories=scenario.reports.categories, types=scenario.spatial.types, place=scenario.place)
    assert len(found.reports) + len(found.refused) == 3_593
    assert len(found.refused) == 13
    assert all(row.reason.startswith("out of place") for row in found.refused)
    lines = HAITI.read_text().splitlines()
    for row in found.refused:
        lat, lon = (float(value) for value in next(csv.reader([lines[row.line - 1]]))[4:6])
        assert not (18 <= lat <= 20.2 and -74.6 <= lon <= -71.6)
    assert {report.type for report in found.reports} <= set(scenario.spatial.types)
