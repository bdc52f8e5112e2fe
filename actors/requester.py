"""Who reports what happens: people with phones, some of whom make things up."""

from collections.abc import Iterator
from typing import ClassVar

import trio

from actors.campaigns.requester import CampaignRequester
from actors.identity import Identity
from actors.ledger import GatewayError, OutcomeUnknownError
from actors.light_node import LightNode
from actors.pseudonyms import Pseudonyms
from actors.remote_ledger import RemoteLedger
from actors.sensing.city import Incident
from actors.sensing.mobility import Point
from chain.errors import Refused
from chain.values import TxId

MAX_UNDER_WAY = 64
"""Reports of one requester that wait for finality at a time."""
RETRY_S = 1.0
RETRIES = 5


class Requester:
    """Submits the incidents it is given, each when its time has come. Its own place is never told to anybody.

    Closes the node's overlay; only bugs escape `run`.
    """

    role: ClassVar[str] = "requester"

    def __init__(
        self,
        node: LightNode,
        home: Point,
        incidents: Iterator[Incident],
        *,
        use_pseudonyms: bool = False,
        campaigner: CampaignRequester | None = None,
    ) -> None:
        self.world, self.name = node.world, node.name
        self.identity: Identity = node.identity
        self.node = node
        self.ledger = node.ledger
        self.campaigner = campaigner
        """Its part in campaigns, if there are any."""
        self._attended = False
        self._home = home
        self._incidents = incidents
        self._room = trio.CapacityLimiter(MAX_UNDER_WAY)
        self.pseudonyms = Pseudonyms(node.identity, self.world.clock.now_ms()) if use_pseudonyms else None

    @property
    def attended(self) -> bool:
        """True while a human decides what to report, and what to have sensed: then nothing is submitted on its own."""
        return self._attended

    @attended.setter
    def attended(self, attended: bool) -> None:
        self._attended = attended
        if self.campaigner is not None:
            self.campaigner.attended = attended

    def where(self) -> Point | None:
        """At home."""
        return self._home

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.node.run)
            task_status.started()
            await self.node.learn_mec_nodes()
            self.node.move_to(self._home)
            if self.campaigner is not None:
                await nursery.start(self.campaigner.run)
            for incident in self._incidents:
                await self.world.clock.sleep_until_ms(self.world.started_ms + incident.time_ms)
                if self.attended:
                    continue
                self.world.city.note(incident)
                await self._room.acquire_on_behalf_of(incident)
                nursery.start_soon(self._report, incident)
            await trio.sleep_forever()

    def reporting_ledger(self) -> RemoteLedger:
        """Access in the name that the next report is made in: a fresh one, if pseudonyms are used."""
        if self.pseudonyms is None or self.node.mec is None:
            return self.ledger
        fresh = self.pseudonyms.fresh()
        self.pseudonyms.use(fresh.account)
        return self.node.ledger_as(fresh, self.node.mec)

    async def submit(self, type_: str, where: Point) -> TxId:
        """Submit one report, seen now. Raises Refused, GatewayError or OutcomeUnknownError."""
        lat_e7, lon_e7 = where.e7
        outcome = await self.reporting_ledger().call(
            "spatial", "submit", type_, lat_e7, lon_e7, self.world.clock.now_ms(), stage="accepted"
        )
        return outcome.transaction

    async def _report(self, incident: Incident) -> None:
        try:
            await self._try_to_report(incident)
        finally:
            self._room.release_on_behalf_of(incident)

    async def _try_to_report(self, incident: Incident) -> None:
        lat_e7, lon_e7 = incident.where.e7
        ledger = self.reporting_ledger()
        for _ in range(RETRIES):
            try:
                outcome = await ledger.call(
                    "spatial", "submit", incident.type, lat_e7, lon_e7, self.world.clock.now_ms()
                )
            except Refused as refused:
                self.world.journal.record(self.name, "report_refused", reason=refused.reason, type=incident.type)
                return
            except GatewayError:
                await trio.sleep(RETRY_S)
                continue
            except OutcomeUnknownError as error:
                self.world.journal.record(self.name, "report_unknown", id=error.transaction.hex()[:16])
                return
            self.world.journal.record(
                self.name, "reported", id=outcome.transaction.hex()[:16], type=incident.type, real=incident.real
            )
            return
        self.world.journal.record(self.name, "report_unsent", type=incident.type)
