"""The run: its facts, and the actors that live in this process."""

from collections.abc import Sequence

from quart import Blueprint, Response

from actors.control import ActorSummary
from web.answer import MAX_LIMIT, address, attached, bounded, page, short_text

blueprint = Blueprint("runs", __name__)


@blueprint.get("/")
async def run() -> Response:
    """Filter by ``role`` and ``name`` (a part of a name or the start of an id); ``after`` an id pages."""
    control = attached()
    role, name = short_text("role"), short_text("name")
    limit = bounded("limit", 100, MAX_LIMIT)
    matching = [actor for actor in control.actors() if _matches(actor, role, name)]
    shown, following = _after(matching, short_text("after"), limit)
    next_url = None
    if following:
        next_url = address("runs.run", role=role, name=name, limit=limit if limit != 100 else None, after=shown[-1].id)
    return await page(
        "run.html",
        {"run": control.run(), "actors": shown, "matching": len(matching), "next": next_url},
        role=role,
        name=name,
    )


def _matches(actor: ActorSummary, role: str, name: str) -> bool:
    if role and actor.role != role:
        return False
    return name.lower() in actor.name.lower() or actor.id.startswith(name)


def _after(actors: Sequence[ActorSummary], last: str, limit: int) -> tuple[Sequence[ActorSummary], bool]:
    """One page of a list that keeps its order; from the start when `last` is gone. Also, whether more follow."""
    start = next((index + 1 for index, actor in enumerate(actors) if actor.id == last), 0)
    return actors[start : start + limit], len(actors) > start + limit
