"""One actor: what it sees, owns and is asked, and what a human can do in its name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from quart import Blueprint, Response, flash, request, url_for
from werkzeug.datastructures import MultiDict

from actors.control import CommandRefusedError, LedgerUnavailableError, ReportView
from web import wording
from web.answer import BadInputError, as_json, attached, page, see_other, short_text
from web.chart import chart, marked
from web.fields import degrees

blueprint = Blueprint("actors", __name__, url_prefix="/actors/<actor>")

ON_MAP = 200
LISTED = 12
PAST_BALLOTS = 5
BLOCKS = 16

CAMPAIGN = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(slots=True)
class Draft:
    """A report that is being written: what was typed, and what is wrong with it."""

    type: str = ""
    lat: str = ""
    lon: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    refusal: CommandRefusedError | None = None
    nearby: Sequence[ReportView] | None = None


@blueprint.get("")
async def actor(actor: str) -> Response:
    """The actor's page. ``type``, ``lat`` and ``lon`` fill in the form."""
    return await _page(actor, Draft(short_text("type"), short_text("lat"), short_text("lon")))


@blueprint.get("/nearby")
async def nearby(actor: str) -> Response:
    """As JSON: the reports that would make one of that ``type`` at ``lat``, ``lon`` a duplicate."""
    type_, lat, lon = _parse(request.args)
    return as_json({"nearby": await attached().nearby(actor, type_, lat, lon)})


@blueprint.post("/reports/check")
async def check(actor: str) -> Response:
    """Look for duplicates before sending; nothing is submitted."""
    form = await request.form
    draft = _draft(form)
    if draft.errors:
        return await _page(actor, draft, status=422)
    type_, lat, lon = _parse(form)
    draft.nearby = await attached().nearby(actor, type_, lat, lon)
    return await _page(actor, draft)


@blueprint.post("/reports")
async def submit(actor: str) -> Response:
    """Submit a report in the actor's name."""
    form = await request.form
    draft = _draft(form)
    if draft.errors:
        return await _page(actor, draft, status=422)
    type_, lat, lon = _parse(form)
    try:
        submitted = await attached().submit_report(actor, type_, lat, lon)
    except CommandRefusedError as refusal:
        draft.refusal = refusal
        return await _page(actor, draft, status=409)
    await flash(f"Report {wording.short(submitted.report)} is on its way to the ledger.")
    return see_other(url_for("reports.report", actor=actor, report=submitted.report))


@blueprint.post("/ballots/<report>")
async def vote(actor: str, report: str) -> Response:
    """Vote in the actor's name: ``choice`` is ``confirm`` or ``reject``."""
    choice = (await request.form).get("choice", "")
    if choice not in {"confirm", "reject"}:
        raise BadInputError("choice", "A vote is either confirm or reject.")
    try:
        await attached().vote(actor, report, confirm=choice == "confirm")
    except CommandRefusedError as refusal:
        return await _page(actor, Draft(), status=409, vote_refusal=(report, refusal))
    await flash(f"Vote to {choice} report {wording.short(report)} is cast.")
    return see_other(url_for("actors.actor", actor=actor, _anchor="ballots"))


@blueprint.post("/attend")
async def attend(actor: str) -> Response:
    """Take over (``attended`` is ``true``) or give back (``false``); back to the page of a ``campaign`` if one is named."""
    form = await request.form
    wish, campaign = form.get("attended", ""), form.get("campaign", "")
    if wish not in {"true", "false"}:
        raise BadInputError("attended", "attended is either true or false.")
    try:
        await attached().attend(actor, attended=wish == "true")
    except CommandRefusedError as refusal:
        return await _page(actor, Draft(), status=409, attend_refusal=refusal)
    await flash("You decide for this actor now." if wish == "true" else "This actor decides for itself again.")
    if CAMPAIGN.fullmatch(campaign):
        return see_other(url_for("campaigns.campaign", actor=actor, campaign=campaign))
    return see_other(url_for("actors.actor", actor=actor))


async def _page(actor: str, draft: Draft, *, status: int = 200, **context: object) -> Response:
    control = attached()
    snapshot, run = control.actor(actor), control.run()
    drawing = chart(run.place)
    try:
        reports = await control.reports(actor, limit=ON_MAP)
        blocks = await control.blocks(actor, limit=BLOCKS)
        waiting = await control.mempool(actor)
        answers = True
    except LedgerUnavailableError:
        # What the actor knows by itself is still worth showing.
        reports, blocks, waiting, answers = [], [], [], False
    return await page(
        "actor.html",
        {
            "run": run,
            "actor": snapshot,
            "ballots": control.ballots(actor),
            "reports": reports,
            "blocks": blocks,
            "mempool": waiting,
            "ledger_answers": answers,
        },
        status=status,
        draft=draft,
        chart=drawing,
        marks=marked(drawing, reports),
        listed=LISTED,
        past_ballots=PAST_BALLOTS,
        **context,
    )


def _draft(form: MultiDict[str, str]) -> Draft:
    type_, lat, lon = (form.get(name, "").strip() for name in ("type", "lat", "lon"))
    draft = Draft(type_, lat, lon)
    if draft.type not in attached().run().report_types:
        draft.errors["type"] = "Choose one of the types of this run."
    for name, text, limit in (("lat", draft.lat, 90), ("lon", draft.lon, 180)):
        if degrees(text, limit) is None:
            draft.errors[name] = f"Degrees from −{limit} to {limit} with a decimal point, such as 52.51630."
    return draft


def _parse(source: MultiDict[str, str]) -> tuple[str, float, float]:
    draft = _draft(source)
    for name, text in draft.errors.items():
        raise BadInputError(name, text)
    return draft.type, float(draft.lat), float(draft.lon)
