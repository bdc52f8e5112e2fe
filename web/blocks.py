"""The chain as one actor's ledger node sees it."""

import re

from quart import Blueprint, Response, request

from web.answer import BadInputError, address, attached, bounded, page

blueprint = Blueprint("blocks", __name__, url_prefix="/actors/<actor>/blocks")

REFERENCE = re.compile(r"\d{1,15}|[0-9a-f]{16,128}", re.ASCII)


@blueprint.get("")
async def blocks(actor: str) -> Response:
    """Highest first, below height ``before``; the first page also shows what waits for a block."""
    control = attached()
    snapshot = control.actor(actor)
    limit = bounded("limit", 25, 100)
    before = bounded("before", 1, 10**15) if request.args.get("before") else None
    found = await control.blocks(actor, before=before, limit=limit)
    next_url = None
    if len(found) == limit and found[-1].height > 0:
        next_url = address("blocks.blocks", actor=actor, before=found[-1].height, limit=limit if limit != 25 else None)
    waiting = await control.mempool(actor) if before is None else ()
    return await page(
        "blocks.html",
        {"actor": snapshot.summary, "blocks": found, "mempool": waiting, "next": next_url},
        before=before,
    )


@blueprint.get("/<ref>")
async def block(actor: str, ref: str) -> Response:
    """One block by height or id, with transactions, receipts and rewards."""
    control = attached()
    snapshot = control.actor(actor)
    if not REFERENCE.fullmatch(ref):
        raise BadInputError("ref", "A block is named by its height, or by its id in lower-case hexadecimal digits.")
    found = await control.block(actor, ref)
    return await page("block.html", {"actor": snapshot.summary, "block": found})
