"""Time for a core: ticks it when it wants to be, and not in between."""

from typing import Protocol

import trio

from actors.clock import Clock


class Ticked(Protocol):
    """A core, as far as its clock is concerned."""

    def next_deadline_ms(self) -> int | None:
        """When to tick next; None when nothing is due."""


class Ticker:
    """Sleeps until a core's deadline. Whoever feeds the core says `look`, for its deadline may have come nearer."""

    def __init__(self, core: Ticked, clock: Clock) -> None:
        self._core, self._clock = core, clock
        self._rearm = trio.Event()
        self._wake_at_ms: int | None = None

    def look(self) -> None:
        """Wake earlier if the core wants that."""
        deadline_ms = self._core.next_deadline_ms()
        if deadline_ms is not None and (self._wake_at_ms is None or deadline_ms < self._wake_at_ms):
            self._rearm.set()

    async def next_due(self) -> int:
        """Wait until the core is to be ticked; returns the time in ms."""
        while True:
            self._rearm = trio.Event()
            self._wake_at_ms = self._core.next_deadline_ms()
            with trio.CancelScope() as scope:
                if self._wake_at_ms is not None:
                    scope.deadline = trio.current_time() + max(0, self._wake_at_ms - self._clock.now_ms()) / 1000
                await self._rearm.wait()
            if scope.cancelled_caught:
                return self._clock.now_ms()
