"""From a height, a hash, a report, a campaign, a transaction or an actor's name or id to its page."""

import re

from quart import Blueprint, Response, url_for

from actors.control import ActorSummary, UnknownRecordError
from web.answer import attached, page, see_other, short_text, wants

blueprint = Blueprint("search", __name__)

HEIGHT = re.compile(r"\d{1,15}", re.ASCII)
HASH = re.compile(r"[0-9a-f]{16,128}", re.ASCII)
MOST = 50
"""Actors listed."""


@blueprint.get("/search")
async def search() -> Response:
    """``q`` is looked up in the ledger of ``actor`` (default: of the first ledger node) and in the list of actors."""
    control = attached()
    query, actor = short_text("q"), short_text("actor")
    if actor:
        control.actor(actor)
    else:
        actor = some_ledger_node()
    hits = await _records(actor, query.lower()) if query and actor else []
    actors = _actors(query, exactly=bool(hits)) if query else []
    hits += [("actor", url_for("actors.actor", actor=match.id), match.name) for match in actors[:MOST]]
    if len(hits) == 1 and not wants("json"):
        return see_other(hits[0][1])
    found = [{"kind": kind, "url": url, "text": text} for kind, url, text in hits]
    status = 404 if query and not found else 200
    return await page("search.html", {"query": query, "found": found}, status=status, searched=actor)


async def _records(actor: str, query: str) -> list[tuple[str, str, str]]:
    control = attached()
    hits = []
    if HEIGHT.fullmatch(query) or HASH.fullmatch(query):
        try:
            block = (await control.block(actor, query)).summary
            hits.append(("block", url_for("blocks.block", actor=actor, ref=block.id), f"Block {block.height}"))
        except UnknownRecordError:
            pass
    if HASH.fullmatch(query):
        try:
            report = await control.report(actor, query)
            hits.append(("report", url_for("reports.report", actor=actor, report=report.id), f"Report {report.id}"))
        except UnknownRecordError:
            pass
    if HASH.fullmatch(query) and not hits:  # a report is named by its transaction, and links to its block
        hits = [*await _campaign(actor, query), *await _transaction(actor, query)]
    return hits


async def _campaign(actor: str, query: str) -> list[tuple[str, str, str]]:
    control = attached()
    if not control.run().campaigns:
        return []
    try:
        id_ = (await control.campaigning.campaign(actor, query)).summary.id
    except UnknownRecordError:
        return []
    return [("campaign", url_for("campaigns.campaign", actor=actor, campaign=id_), f"Campaign {id_}")]


async def _transaction(actor: str, query: str) -> list[tuple[str, str, str]]:
    try:
        at = await attached().locate(actor, query)
    except UnknownRecordError:
        return []
    anchor = f"tx-{at.transaction}"
    if at.block is None:
        url = url_for("blocks.blocks", actor=actor, _anchor=anchor)
    else:
        url = url_for("blocks.block", actor=actor, ref=at.block, _anchor=anchor)
    return [("transaction", url, f"Transaction {at.transaction}")]


def _actors(query: str, *, exactly: bool) -> list[ActorSummary]:
    """By id or exact name; otherwise, unless `exactly`, by a part of the name."""
    actors = attached().actors()
    exact = [actor for actor in actors if query in {actor.id, actor.name}]
    if exact or exactly:
        return exact
    return [actor for actor in actors if query.lower() in actor.name.lower()]


def some_ledger_node() -> str:
    """The first ledger node, for who looks with nobody's eyes; another actor where there is none."""
    actors = attached().actors()
    return next((actor.id for actor in actors if actor.ledger_node), actors[0].id if actors else "")
