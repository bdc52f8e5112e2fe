"""The few links that a light actor keeps."""

from collections.abc import Awaitable, Callable

import trio

from net.overlay import Overlay
from net.transport import LinkDown

REDIAL_S = 2.0
"""Pause before dialling again, so that nobody is pestered who hangs up on us."""


class LightLinks:
    """Has `dial` bring up the links that are wanted and missing, while `run` runs; it returns whether all are there.

    Sleeps for as long as all of them are there: fifty actors that look every two seconds would be what a quiet
    simulation spends its time on.
    """

    def __init__(self, overlay: Overlay, dial: Callable[[], Awaitable[bool]]) -> None:
        self._overlay, self._dial = overlay, dial
        self._stir = trio.Event()

    def wanted_changed(self) -> None:
        """Other links are wanted than before: dial soon."""
        self._stir.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep links until cancelled, or the overlay has ended; started() after a first round of dialling."""
        async with trio.open_nursery() as nursery, self._overlay.links() as events:
            nursery.start_soon(self._keep, task_status)
            async for event in events:
                if isinstance(event, LinkDown):
                    self._stir.set()
            nursery.cancel_scope.cancel()

    async def _keep(self, task_status: trio.TaskStatus[None]) -> None:
        complete = await self._dial()
        task_status.started()
        while True:
            if complete:
                await self._stir.wait()
            await trio.sleep(REDIAL_S)
            self._stir = trio.Event()
            complete = await self._dial()
