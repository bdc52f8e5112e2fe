"""One actor's view of the campaigns on its ledger, its calls there, and when it looks again."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import trio

from actors.ledger import GatewayError, Ledger, OutcomeUnknownError
from actors.world import World
from chain.contracts.campaign_queries import MAX_PAGE
from chain.contracts.campaign_records import TIMED, Bid, CampaignId, Progress, Standing, Task
from chain.errors import Refused

POLL_S = 1.0
"""Between two looks at what may have changed by now."""
PATIENCE_S = 30.0
"""How long a call is waited for; after that what became of it is looked up."""
UNKNOWN = "outcome_unknown"

Attend = Callable[[Standing], Awaitable[int | None]]
"""Does what is due in one campaign; returns when to look again, None for soon."""


class Board:
    """Asks and calls in an actor's name. What cannot be asked or done now is left for the next look."""

    def __init__(self, world: World, name: str, ledger: Ledger) -> None:
        self._world, self._name, self._ledger = world, name, ledger
        # Hundreds of actors would look in the same instant, and call again and again in the same one.
        self._jitter = world.rng(name, "campaign/looks")

    async def watch(self, attend: Attend) -> None:
        """Attend to all campaigns, again and again; until cancelled."""
        while True:
            now_ms = self._world.clock.now_ms()
            # Others may deploy one at any time, which nobody is told of: rest no longer than a registration may take.
            soon_ms, again_ms = now_ms + round(POLL_S * 1000), now_ms + self._longest_rest_ms()
            try:
                for standing in await self.campaigns():
                    again_ms = min(again_ms, await attend(standing) or soon_ms)
            except (GatewayError, Refused):
                again_ms = soon_ms
            wait_s = max(0, again_ms - self._world.clock.now_ms()) / 1000
            await trio.sleep(wait_s + POLL_S * self._jitter.uniform(0.1, 0.5))

    def _longest_rest_ms(self) -> int:
        return round(1000 * max(POLL_S, self._world.scenario.campaign.phases.registration / 4))

    async def campaigns(self) -> Sequence[Standing]:
        """All there are, in the order in which they were deployed. Raises GatewayError."""
        found: list[Standing] = []
        after: CampaignId | None = None
        while True:
            page: Sequence[Standing] = await self._ledger.query("campaign", "campaigns", MAX_PAGE, after)
            found += page
            if len(page) < MAX_PAGE:
                return found
            after = page[-1].campaign.id

    async def tasks(self, standing: Standing) -> Sequence[Task]:
        """Of this cycle, by number. Raises GatewayError."""
        found = standing.campaign
        tasks: Sequence[Task] = await self._ledger.query("campaign", "tasks", found.id, found.cycle)
        return tasks

    async def bids(self, standing: Standing) -> Sequence[Bid]:
        """Of this cycle, by worker. Raises GatewayError."""
        found = standing.campaign
        bids: Sequence[Bid] = await self._ledger.query("campaign", "bids", found.id, found.cycle)
        return bids

    async def progress(self, standing: Standing) -> Sequence[Progress]:
        """Selected workers of this cycle. Raises GatewayError."""
        found = standing.campaign
        rows: Sequence[Progress] = await self._ledger.query("campaign", "progress", found.id, found.cycle)
        return rows

    async def query(self, method: str, *args: Any) -> Any:
        """Any other question. Raises GatewayError or Refused."""
        return await self._ledger.query("campaign", method, *args)

    @staticmethod
    def free(first: int, taken: Collection[int], there_are: int) -> int | None:
        """The first place from `first` on, and then from 0, that nobody has; None when there is none."""
        places = ((first + step) % there_are for step in range(there_are))
        return next((place for place in places if place not in taken), None)

    async def call(self, method: str, *args: Any, quiet: Sequence[str] = ()) -> str:
        """Call; returns why it was refused, empty when it is in a block, or UNKNOWN. `quiet` reasons are expected."""
        journal = self._world.journal
        try:
            await self._ledger.call("campaign", method, *args, stage="included", patience_s=PATIENCE_S)
        except Refused as refused:
            if refused.reason not in quiet:
                journal.record(
                    self._name, "campaign_refused", method=method, reason=refused.reason, detail=refused.detail[:100]
                )
            return refused.reason
        except (GatewayError, OutcomeUnknownError):
            return UNKNOWN
        journal.record(self._name, "campaign", did=method)
        return ""


def end_ms(standing: Standing, phase: str) -> int:
    """Last millisecond of a timed phase in this cycle."""
    return standing.ends_ms[TIMED.index(phase)]


def start_ms(standing: Standing, phase: str) -> int:
    """First millisecond of a timed phase after registration in this cycle."""
    return standing.ends_ms[TIMED.index(phase) - 1] + 1
