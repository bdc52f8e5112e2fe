"""Who answers to the public: takes confirmed reports and closes them with an outcome."""

from contextlib import aclosing
from typing import ClassVar

import trio

from actors.enrolment import MAX_OPERATORS, enrol
from actors.identity import Identity
from actors.ledger import OutcomeUnknownError
from actors.local_ledger import LocalLedger
from actors.node import FullNode
from actors.scenario import FacilityConfig
from actors.sensing.mobility import Point
from chain.contracts.spatial_records import CONFIRMED, TAKEN, Operator
from chain.errors import Refused
from chain.values import TxId

MAX_REPORTS = 500
MAX_REVIEWS = 64
"""Reports under review at a time; further ones wait for the next look at what is confirmed."""
OUTCOME = "repaired"


def nearest(operators: list[Operator], where: Point) -> Operator:
    """The operator that a place belongs to; equal distances go by account."""
    return min(operators, key=lambda o: (Point.from_e7(o.lat_e7, o.lon_e7).distance_m(where), o.account))


class Facility:
    """Reviews the confirmed reports that are nearer to it than to any other facility.

    Closes the node's overlay; bugs of the core escape `run`.
    """

    role: ClassVar[str] = "facility"

    def __init__(self, node: FullNode, config: FacilityConfig, site: Point) -> None:
        self.world, self.name = node.world, node.name
        self.identity: Identity = node.identity
        self.node = node
        self.ledger = LocalLedger(node, node.identity)
        self._config = config
        self._site = site
        self._rng = self.world.rng(self.name, "review")
        self._room = trio.CapacityLimiter(MAX_REVIEWS)

    def where(self) -> Point | None:
        """Its site."""
        return self._site

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.node.run)
            task_status.started()
            nursery.start_soon(enrol, self.node, self.ledger, self.role, self._site)
            since = max(1, self.node.core.final.height + 1)
            await self._resume(nursery)
            async with aclosing(self.node.final_events("spatial", "confirmed", since)) as events:
                async for _, confirmed in events:
                    await self._open_review(nursery, TxId(confirmed["report"]))

    async def _resume(self, nursery: trio.Nursery) -> None:
        """Go on with what was confirmed or taken before we came (back)."""
        for status in (CONFIRMED, TAKEN):
            for report in await self.ledger.query("spatial", "reports", status, MAX_REPORTS, None, at="final"):
                await self._open_review(nursery, report.id)

    async def _open_review(self, nursery: trio.Nursery, report: TxId) -> None:
        await self._room.acquire_on_behalf_of(report)
        nursery.start_soon(self._review, report)

    async def _review(self, report: TxId) -> None:
        try:
            view = await self.ledger.query("spatial", "report", report)
            facilities = list(await self.ledger.query("spatial", "operators", "facility", MAX_OPERATORS, None))
            if view.content is None or not facilities or view.status not in (CONFIRMED, TAKEN):
                return  # of the past, when we catch up
            where = Point.from_e7(view.content.lat_e7, view.content.lon_e7)
            if nearest(facilities, where).account != self.identity.account:
                return
            if view.status == CONFIRMED:
                await self.ledger.call("spatial", "take", report, stage="included")
            elif view.facility != self.identity.account:
                return
            low, high = self._config.review_ms
            await trio.sleep(self._rng.uniform(low, high) / 1000)
            await self.ledger.call("spatial", "close", report, OUTCOME, stage="included")
        except (Refused, OutcomeUnknownError) as error:
            self.world.journal.record(self.name, "review_failed", report=report.hex()[:16], reason=str(error))
        finally:
            self._room.release_on_behalf_of(report)
