"""One view, three renderings: a page, JSON or CSV.

The query parameter ``format`` alone decides (``?format=json``, ``?format=csv`` where a table is meant), so that
every rendering has an address that can be linked, bookmarked and fetched with curl. ``Accept`` is not looked at.
Errors follow the same parameter: ``{"error": reason, "detail": text}``.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec
from quart import Response, current_app, render_template, request, url_for

from actors.control import Control

MAX_LIMIT = 1000
"""Rows of one page of any list, whatever ``limit`` asks for."""


class BadInputError(ValueError):
    """The browser sent something that cannot be meant. `field` names the input, the text says what is expected."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def attached() -> Control:
    """The population that this app was created for."""
    return cast("Control", current_app.extensions["control"])


def wants(format_: str) -> bool:
    """Whether the request asks for that rendering."""
    return request.args.get("format", "html") == format_


def as_json(data: Any, status: int = 200) -> Response:
    """Dataclasses, sequences and mappings as JSON, in the field names of `actors.control`."""
    return Response(msgspec.json.encode(data), status, mimetype="application/json")


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]], filename: str) -> Response:
    """A table for a spreadsheet. Text that a spreadsheet would run as a formula gets a leading apostrophe (OWASP)."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_inert(cell) for cell in row] for row in rows)
    answer = Response(sink.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return answer


def _inert(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell


async def page(template: str, data: Mapping[str, Any], *, status: int = 200, **context: Any) -> Response:
    """`data` as JSON when asked for, otherwise the template over `data` and `context` (what only people need)."""
    if wants("json"):
        return as_json(data, status)
    control = attached()
    names = {actor.id: actor.name for actor in control.actors()}
    html = await render_template(template, **{"run": control.run(), "names": names, **data, **context})
    return Response(html, status, mimetype="text/html")


def see_other(url: str) -> Response:
    """What answers a form: the browser fetches `url`, and reloading it sends nothing again."""
    return Response(b"", 303, headers={"Location": url})


def address(endpoint: str, **arguments: str | int | None) -> str:
    """The path of a view; arguments that are None or empty are left out."""
    return url_for(endpoint, **{name: value for name, value in arguments.items() if value})  # type: ignore[arg-type]


def bounded(name: str, default: int, highest: int) -> int:
    """A whole number of the query, from 1 to `highest`.

    Raises:
        BadInputError: It is none.
    """
    text = request.args.get(name)
    if text is None or not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BadInputError(name, f"{name} must be a whole number from 1 to {highest}.")
    number = int(text)
    if not 1 <= number <= highest:
        raise BadInputError(name, f"{name} must be a whole number from 1 to {highest}.")
    return number


def short_text(name: str, longest: int = 128) -> str:
    """A text of the query, stripped; empty when it is absent.

    Raises:
        BadInputError: It is longer than `longest` characters.
    """
    text = request.args.get(name, "").strip()
    if len(text) > longest:
        raise BadInputError(name, f"{name} is longer than {longest} characters.")
    return text
