"""Sensing campaigns as one actor's ledger node sees them, and what a human can do there in the actor's name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quart import Blueprint, Response, flash, request, url_for
from werkzeug.datastructures import MultiDict

from actors.campaign_control import CampaignView, PlanView
from actors.control import CommandRefusedError
from web import wording
from web.answer import BadInputError, address, attached, bounded, page, see_other, short_text
from web.campaign_chart import drawn
from web.fields import degrees, micro_credits, milliseconds, moment_ms, whole
from web.search import some_ledger_node

blueprint = Blueprint("campaigns", __name__)

LISTED = 20
FLOWS = 12
"""Shown of the latest, unless more are asked for."""
MOST_FLOWS = 512
BIDDERS = 6
"""Workers to whom pages of other actors link."""
MOST_TASKS = 128
"""Chosen for a path; no campaign has more."""


@dataclass(slots=True)
class Draft:
    """A task that is being written: what was typed, and what is wrong with it."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    refusal: CommandRefusedError | None = None


@dataclass(slots=True)
class Offer:
    """A path that is being made up: the tasks that were chosen, what the device plans, or why it refuses."""

    tasks: Sequence[int] = ()
    plan: PlanView | None = None
    refusal: CommandRefusedError | None = None


@blueprint.get("/campaigns")
async def anywhere() -> Response:
    """To the list, as some ledger node sees it."""
    return see_other(url_for("campaigns.campaigns", actor=some_ledger_node()))


@blueprint.get("/actors/<actor>/campaigns")
async def campaigns(actor: str) -> Response:
    """In the order in which they were deployed; ``after`` an id pages."""
    control = attached()
    snapshot = control.actor(actor)
    after, limit = short_text("after"), bounded("limit", LISTED, 49)
    # One more than shown tells whether there is a next page.
    found = await control.campaigning.campaigns(actor, after=after or None, limit=limit + 1)
    next_url = None
    if len(found) > limit:
        kept = limit if limit != LISTED else None
        next_url = address("campaigns.campaigns", actor=actor, after=found[limit - 1].id, limit=kept)
    return await page(
        "campaigns.html",
        {"actor": snapshot.summary, "campaigns": found[:limit], "next": next_url},
        after=after,
    )


@blueprint.get("/actors/<actor>/campaigns/<campaign>")
async def campaign(actor: str, campaign: str) -> Response:
    """One campaign, with so many of the latest ``flows`` of money."""
    return await _page(actor, campaign)


@blueprint.post("/actors/<actor>/campaigns/<campaign>/tasks")
async def publish(actor: str, campaign: str) -> Response:
    """Publish a task in the actor's name: a place, a best time, what a sample is worth and how many are wanted."""
    control = attached()
    view = await control.campaigning.campaign(actor, campaign)
    form = await request.form
    draft = _draft(form, view)
    if draft.errors:
        return await _page(actor, campaign, draft=draft, status=422)
    typed = draft.values
    try:
        number = await control.campaigning.publish_task(
            actor,
            campaign,
            lat=float(typed["lat"]),
            lon=float(typed["lon"]),
            reward=micro_credits(typed["reward"]) or 0,
            samples=int(typed["samples"]),
            time_ms=moment_ms(typed["time"]) or 0,
            interval_ms=milliseconds(typed["interval"]) or 0,
        )
    except CommandRefusedError as refusal:
        draft.refusal = refusal
        return await _page(actor, campaign, draft=draft, status=409)
    await flash(f"Task {number} is published.")
    return see_other(url_for("campaigns.campaign", actor=actor, campaign=campaign))


@blueprint.post("/actors/<actor>/campaigns/<campaign>/plan")
async def plan(actor: str, campaign: str) -> Response:
    """Show the path that the actor would bid for the tasks chosen, or for any; nothing is sent."""
    offer = Offer(_tasks(await request.form))
    try:
        offer.plan = await attached().campaigning.plan(actor, campaign, offer.tasks)
    except CommandRefusedError as refusal:
        offer.refusal = refusal
        return await _page(actor, campaign, offer=offer, status=409)
    return await _page(actor, campaign, offer=offer)


@blueprint.post("/actors/<actor>/campaigns/<campaign>/bids")
async def bid(actor: str, campaign: str) -> Response:
    """Bid a path in the actor's name that has all of the tasks chosen; without any the device chooses."""
    offer = Offer(_tasks(await request.form))
    try:
        made = await attached().campaigning.bid(actor, campaign, offer.tasks)
    except CommandRefusedError as refusal:
        offer.refusal = refusal
        return await _page(actor, campaign, offer=offer, status=409)
    count = len(made.path)
    await flash(f"A path of {count} task{'' if count == 1 else 's'} is bid, {wording.metres(made.distance_m)} long.")
    return see_other(url_for("campaigns.campaign", actor=actor, campaign=campaign))


async def _page(
    actor: str, campaign: str, *, draft: Draft | None = None, offer: Offer | None = None, status: int = 200
) -> Response:
    control = attached()
    snapshot, run = control.actor(actor), control.run()
    view = await control.campaigning.campaign(actor, campaign)
    offer = offer or Offer()
    return await page(
        "campaign.html",
        {"run": run, "actor": snapshot.summary, "campaign": view, "plan": offer.plan},
        status=status,
        draft=draft or Draft(_suggested(view)),
        offer=offer,
        doing=_doing(view, run.now_ms),
        drawing=drawn(view, offer.plan, run.place),
        here=snapshot.position,
        can_attend=snapshot.can_attend,
        own=next((bid for bid in view.bids if bid.mine), None),
        phases={phase.name: phase for phase in view.phases},
        bidders=[each for each in control.actors() if each.role == "worker"][:BIDDERS],
        shown_flows=bounded("flows", FLOWS, MOST_FLOWS),
    )


def _doing(view: CampaignView, now_ms: int) -> str:
    """What can be done by form at present: ``publish``, ``bid`` or nothing."""
    ends_ms = view.summary.ends_ms
    if ends_ms is None or now_ms > ends_ms:
        return ""
    return {"publishing": "publish", "bidding": "bid"}.get(view.summary.phase, "")


def _collection(view: CampaignView) -> tuple[int, int]:
    """First and last millisecond of the collection."""
    return next((phase.starts_ms, phase.ends_ms) for phase in view.phases if phase.name == "collection")


def _suggested(view: CampaignView) -> Mapping[str, str]:
    """What a new task begins with: in the middle of the collection, for half of it."""
    first, last = _collection(view)
    return {
        "lat": "",
        "lon": "",
        "reward": "1",
        "samples": "3",
        "time": wording.local((first + last) // 2),
        "interval": str(max(1, (last - first) // 4_000)),
    }


def _draft(form: MultiDict[str, str], view: CampaignView) -> Draft:
    typed = {name: form.get(name, "").strip() for name in ("lat", "lon", "reward", "samples", "time", "interval")}
    draft = Draft(typed)
    for name, limit in (("lat", 90), ("lon", 180)):
        if degrees(typed[name], limit) is None:
            draft.errors[name] = f"Degrees from −{limit} to {limit} with a decimal point, such as 52.51630."
    if not micro_credits(typed["reward"]):
        draft.errors["reward"] = "Credits, more than 0, with a decimal point and up to six decimals."
    most = view.terms.max_samples
    if whole(typed["samples"], 1, most) is None:
        draft.errors["samples"] = f"A whole number from 1 to {most}."
    first, last = _collection(view)
    at_ms = moment_ms(typed["time"])
    if at_ms is None or not first <= at_ms <= last:
        draft.errors["time"] = f"A time from {wording.clock(first)} to {wording.clock(last)} UTC."
    if not milliseconds(typed["interval"]):
        draft.errors["interval"] = "Seconds, more than 0."
    return draft


def _tasks(form: MultiDict[str, str]) -> Sequence[int]:
    """The numbers that were chosen, each once, in their order."""
    chosen = form.getlist("task")
    numbers = [whole(text, 0, MOST_TASKS - 1) for text in chosen[: MOST_TASKS + 1]]
    found = sorted({number for number in numbers if number is not None})
    if None in numbers or len(numbers) > MOST_TASKS:
        raise BadInputError("task", f"Tasks are chosen by their numbers, from 0 to {MOST_TASKS - 1}.")
    return found
