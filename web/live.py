"""What happens now, over one websocket a page.

Messages are JSON objects ``{"kind", "time_ms", "data"}`` as in `actors.control.Update`, and two kinds of our own:
``hello`` first, and ``lost`` with ``{"dropped": n}`` when this browser was too slow and `n` updates (since it
connected) never reached it: it then fetches its page again. Browsers have nothing to say; what they send is read
and forgotten, for a disconnect is only noticed by who receives.
"""

import msgspec
import trio
from quart import Blueprint, websocket

from web.answer import attached
from web.metrics import browsers

MAX_BROWSERS = 512
"""Websockets at once; the next is told to try again later (RFC 6455 code 1013)."""

BUFFER = 256
"""Updates kept for a slow browser."""

TRY_AGAIN_LATER = 1013

blueprint = Blueprint("live", __name__)


@blueprint.websocket("/live")
async def run() -> None:
    await _stream(None)


@blueprint.websocket("/actors/<actor>/live")
async def of_actor(actor: str) -> None:
    attached().actor(actor)  # an unknown one is refused before the handshake
    await _stream(actor)


async def _stream(actor: str | None) -> None:
    await websocket.accept()
    attendance = browsers()
    if attendance.attached >= MAX_BROWSERS:
        await websocket.close(TRY_AGAIN_LATER, "too many browsers")
        return
    with attendance:
        async with attached().updates(actor, buffer=BUFFER) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(_forget_what_it_says)
            await _send("hello", attached().run().now_ms, {})
            told = 0
            async for update in stream.channel:
                if stream.dropped > told:
                    attendance.lost(stream.dropped - told)
                    told = stream.dropped
                    await _send("lost", update.time_ms, {"dropped": told})
                await _send(update.kind, update.time_ms, update.data)
            nursery.cancel_scope.cancel()


async def _send(kind: str, time_ms: int, data: object) -> None:
    await websocket.send(msgspec.json.encode({"kind": kind, "time_ms": time_ms, "data": data}).decode())


async def _forget_what_it_says() -> None:
    while True:
        await websocket.receive()
