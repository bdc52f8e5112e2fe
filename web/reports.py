"""Reports as one actor's ledger node sees them."""

from quart import Blueprint, Response

from actors.control import ReportView, UnknownRecordError
from web.answer import MAX_LIMIT, BadInputError, address, as_csv, attached, bounded, page, short_text, wants
from web.chart import chart, marked
from web.wording import STATES

blueprint = Blueprint("reports", __name__, url_prefix="/actors/<actor>/reports")

MAX_ROWS = 20_000
"""Of one CSV file; `after` continues it."""

COLUMNS = (
    "id",
    "status",
    "type",
    "lat",
    "lon",
    "time_ms",
    "submitted_ms",
    "requester",
    "workers",
    "votes_cast",
    "votes_revealed",
    "votes_confirm",
    "outcome",
    "final",
)


@blueprint.get("")
async def reports(actor: str) -> Response:
    """Newest first; filter by ``status``; ``after`` an id pages; also as CSV."""
    control = attached()
    snapshot = control.actor(actor)
    status, after = short_text("status"), short_text("after")
    if status and status not in STATES:
        raise BadInputError("status", f"status is one of {', '.join(STATES)}.")
    if wants("csv"):
        return await _csv(actor, status or None, after or None)
    limit = bounded("limit", 50, MAX_LIMIT - 1)
    # One more than shown tells whether there is a next page.
    found = await control.reports(actor, status=status or None, after=after or None, limit=limit + 1)
    shown = found[:limit]
    next_url = None
    if len(found) > limit:
        next_url = address(
            "reports.reports",
            actor=actor,
            after=shown[-1].id,
            status=status,
            limit=limit if limit != 50 else None,
        )
    return await page(
        "reports.html",
        {"actor": snapshot.summary, "reports": shown, "next": next_url},
        status_filter=status,
        after=after,
    )


@blueprint.get("/<report>")
async def report(actor: str, report: str) -> Response:
    """One report with the history of its status."""
    control = attached()
    found = await control.report(actor, report)
    try:
        submitted = await control.locate(actor, found.id)
    except UnknownRecordError:  # in a block of which this actor has the header alone
        submitted = None
    drawing = chart(control.run().place)
    return await page(
        "report.html",
        {"actor": control.actor(actor).summary, "report": found, "submitted": submitted},
        chart=drawing,
        marks=marked(drawing, [found]),
        ballot=next((ballot for ballot in control.ballots(actor) if ballot.report == found.id), None),
    )


@blueprint.get("/<report>/audit")
async def audit(actor: str, report: str) -> Response:
    """The draw of its voters, replayed from public data."""
    control = attached()
    found = await control.audit(actor, report)
    return await page("audit.html", {"actor": control.actor(actor).summary, "audit": found})


async def _csv(actor: str, status: str | None, after: str | None) -> Response:
    rows: list[ReportView] = []
    while len(rows) < MAX_ROWS:
        found = await attached().reports(actor, status=status, after=after, limit=MAX_LIMIT)
        rows += found
        if len(found) < MAX_LIMIT:
            break
        after = found[-1].id
    cells = [[_cell(getattr(row, column)) for column in COLUMNS] for row in rows]
    return as_csv(COLUMNS, cells, "reports.csv")


def _cell(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return "" if value is None else value
