"""The channel of an ordered ledger: its organisations, policies and orderers."""

from quart import Blueprint, Response
from werkzeug.exceptions import NotFound

from web.answer import attached, page

blueprint = Blueprint("channel", __name__)


@blueprint.get("/channel")
async def channel() -> Response:
    """The configuration in force; proof of work has none."""
    found = attached().channel()
    if found is None:
        raise NotFound("This network runs on proof of work, which has no channel.")
    return await page("channel.html", {"channel": found})
