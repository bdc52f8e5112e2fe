"""A swarm behind the user interface's seam: implements `actors.control.Control` over the actors of a process."""

from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from actors.actor import Actor
from actors.audit import UnauditableError, audit_report
from actors.campaign_book import CampaignBook
from actors.campaign_views import phase_begun
from actors.control import (
    ActorSnapshot,
    ActorSummary,
    AuditView,
    BallotView,
    BlockSummary,
    BlockView,
    ChannelView,
    CommandRefusedError,
    LedgerUnavailableError,
    Located,
    Place,
    ReportView,
    ResponseTimes,
    RunSnapshot,
    Submitted,
    TransactionView,
    UnknownRecordError,
    Update,
)
from actors.facility import Facility
from actors.ledger import FoundBlock
from actors.light_node import LightNode
from actors.node import FullNode
from actors.ordered_views import certificate_view, channel_view, ordered_core
from actors.requester import Requester
from actors.reward_book import RewardBook
from actors.scenario import ROLES
from actors.sensing.mobility import Point
from actors.swarm import Swarm
from actors.swarm_access import Access, accounts_of, id_bytes
from actors.swarm_campaigns import SwarmCampaigns
from actors.update_stream import BoundedStream
from actors.views import (
    actor_id,
    audit_view,
    block_summary,
    block_view,
    report_view,
    response_times,
    sent_view,
    shown_status,
    transaction_view,
)
from actors.worker import Worker
from chain.codec import block_id
from chain.contract import event_fields
from chain.contracts.accounts import balance_of
from chain.contracts.spatial_board import public_responses
from chain.contracts.spatial_queries import MAX_PAGE
from chain.contracts.spatial_records import STATUSES, Content, Listed, Report
from chain.errors import Refused
from chain.genesis import kind_of
from chain.ledgers.ordered.channel import ChannelConfig
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.values import BlockId, TxId

MAX_STREAMS = 256
MAX_SENT = 256
DUPLICATE_CANDIDATES = 20
STAGES = {"ballot": "open", "voted": "committed", "revealed": "revealed", "missed": "missed"}
"""Of a ballot, by the journal's kind of record."""


class SwarmControl:
    """Implements `Control`. A `Witness` of the swarm's ledger nodes; `run` must be running for updates."""

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm
        self._world = swarm.world
        self._access = Access(swarm)
        self._depth = swarm.world.genesis.ledger.finality_depth
        self._streams: list[BoundedStream] = []
        self._sent: OrderedDict[TxId, Content] = OrderedDict()
        """What was submitted here, which the ledger may not have yet."""
        self._rewards = RewardBook(self._world.genesis.ledger.block_reward)
        self._flows = CampaignBook(self._world.network.registry)
        self.campaigning = SwarmCampaigns(self._access, self._flows)
        swarm.watch(self)
        self._world.journal.listen(self._listen)

    # What is. -------------------------------------------------------------------------------------------------

    def run(self) -> RunSnapshot:
        """See `Control.run`."""
        world, scenario = self._world, self._world.scenario
        place = world.city.place
        reference = self._access.reference()
        counts = Counter(member.role for member in self._swarm.members)
        return RunSnapshot(
            network=world.genesis.network,
            scenario=scenario.name,
            seed=scenario.seed,
            world=self._swarm.kind,
            now_ms=world.clock.now_ms(),
            started_ms=world.started_ms,
            place=Place(place.name, place.lat_min, place.lat_max, place.lon_min, place.lon_max),
            report_types=world.genesis.spatial.types,
            actors=len(self._swarm.members),
            roles=[(role, counts[role]) for role in ROLES if counts[role]],
            height=reference.core.head.height if reference else 0,
            final_height=reference.core.final.height if reference else 0,
            block_interval_ms=world.genesis.ledger.block_interval_ms,
            finality_depth=world.genesis.ledger.finality_depth,
            reports=[(shown_status(status), n) for status, n in self._swarm.statuses()],
            elsewhere=self._swarm.pages,
            campaigns=self.campaigning.count(),
            ledger=kind_of(world.genesis),
        )

    def channel(self) -> ChannelView | None:
        """See `Control.channel`."""
        if kind_of(self._world.genesis) != "ordered":
            return None
        return channel_view(self._world.network.ordered, self._ordered_cores())

    def actors(self) -> Sequence[ActorSummary]:
        """See `Control.actors`."""
        ordered = sorted(self._swarm.members, key=lambda m: (ROLES.index(m.role), m.name))
        return [self._summary(self._swarm.actors[m.name]) for m in ordered if m.name in self._swarm.actors]

    def actor(self, actor: str) -> ActorSnapshot:
        """See `Control.actor`."""
        found = self._access.find(actor)
        where = found.where()
        node = found.node
        accounts = accounts_of(found)
        gateway = None
        if isinstance(node, LightNode):
            gateway = self._world.name_of(node.mec.public_key) if node.mec is not None else ""
        return ActorSnapshot(
            summary=self._summary(found),
            position=None if where is None else (where.lat, where.lon),
            gateway=gateway,
            can_attend=isinstance(found, Worker | Requester),
            can_submit=True,
            can_vote=isinstance(found, Worker),
            rewards=self._rewards.of(accounts),
            pending_reward=sum(entry.amount for entry in self._rewards.pending_of(accounts)),
            responses=self._responses(found),
            certificate=certificate_view(self._world.certificates.get(found.identity.account), self._config()),
        )

    async def reports(
        self, actor: str, *, status: str | None = None, after: str | None = None, limit: int = 200
    ) -> Sequence[ReportView]:
        """See `Control.reports`."""
        found = self._access.find(actor)
        wanted = ledger_status(status) if status else ""
        mark = TxId(id_bytes(after)) if after else None
        rows: list[Listed] = []
        while len(rows) < limit:
            page = min(limit - len(rows), MAX_PAGE)
            more = await self._list(found, "latest", wanted, page, mark)
            rows += more
            if len(more) < page:
                break
            mark = TxId(more[-1].report.id)
        return [self._view(found, row) for row in rows]

    async def report(self, actor: str, report: str) -> ReportView:
        """See `Control.report`."""
        found = self._access.find(actor)
        id_ = TxId(id_bytes(report))
        try:
            row: Report = await self._access.ask(lambda: found.ledger.query("spatial", "report", id_))
        except UnknownRecordError:
            content = self._sent.get(id_)
            if content is None or content.requester not in accounts_of(found):
                raise
            outcome = await self._access.ask(lambda: found.ledger.outcome(id_))
            if outcome is None:
                raise
            return sent_view(id_, content, outcome)
        progress = None
        if row.status == "assigned":
            progress = await self._access.ask(lambda: found.ledger.query("spatial", "progress", id_))
        return self._view(found, Listed(row, progress))

    async def audit(self, actor: str, report: str) -> AuditView:
        """See `Control.audit`."""
        found = self._access.find(actor)
        genesis, id_ = self._world.genesis, TxId(id_bytes(report))
        registry = self._world.network.registry
        try:
            audit = await self._access.ask(lambda: audit_report(found.ledger, registry, genesis.spatial, id_))
        except UnauditableError as error:
            raise UnknownRecordError(str(error)) from None
        return audit_view(audit)

    async def nearby(self, actor: str, type_: str, lat: float, lon: float) -> Sequence[ReportView]:
        """See `Control.nearby`."""
        found = self._access.find(actor)
        now = self._world.clock.now_ms()
        rows = await self._list(found, "like", type_, *Point(lat, lon).e7, now, DUPLICATE_CANDIDATES)
        return [self._view(found, row) for row in rows]

    def ballots(self, actor: str) -> Sequence[BallotView]:
        """See `Control.ballots`."""
        found = self._access.find(actor)
        if not isinstance(found, Worker):
            return []
        views = [
            BallotView(
                report=report.hex(),
                type=task.ballot.type,
                lat=task.ballot.lat_e7 / 1e7,
                lon=task.ballot.lon_e7 / 1e7,
                time_ms=task.ballot.time_ms,
                deadline_ms=task.ballot.vote_until_ms,
                distance_m=task.distance_m,
                choice=task.choice,
                decided_by=task.decided_by,
                stage=task.stage,
            )
            for report, task in found.tasks.items()
        ]
        waiting = [view for view in views if view.stage == "open"]
        over = [view for view in views if view.stage != "open"]
        return [
            *sorted(waiting, key=lambda view: view.deadline_ms),
            *sorted(over, key=lambda view: view.deadline_ms, reverse=True)[:50],
        ]

    async def blocks(self, actor: str, *, before: int | None = None, limit: int = 25) -> Sequence[BlockSummary]:
        """See `Control.blocks`."""
        found = self._access.find(actor)
        heads = await self._access.ask(found.ledger.heads)
        rows = await self._access.ask(lambda: found.ledger.headers(before, limit))
        # The chain may have moved between the two answers; what is `finality_depth` deep in the second is final.
        final = max([heads.final.height, *(header.height - self._depth for header, _, _ in rows[:1])])
        return [block_summary(header, count, size, final) for header, count, size in rows]

    async def block(self, actor: str, ref: str) -> BlockView:
        """See `Control.block`."""
        found = self._access.find(actor)
        where: BlockId | int = int(ref) if ref.isdecimal() and len(ref) < 19 else BlockId(id_bytes(ref))
        block = await self._access.ask(lambda: found.ledger.block(where))
        if block is None:
            raise UnknownRecordError(ref)
        return block_view(self._world, block)

    async def locate(self, actor: str, transaction: str) -> Located:
        """See `Control.locate`."""
        found = self._access.find(actor)
        id_ = TxId(id_bytes(transaction))
        outcome = await self._access.ask(lambda: found.ledger.outcome(id_))
        if outcome is None:
            raise UnknownRecordError(transaction)
        header = outcome.header
        return Located(
            transaction=transaction,
            stage=outcome.stage,
            height=header.height if header else None,
            block=block_id(header).hex() if header else None,
        )

    async def mempool(self, actor: str, *, limit: int = 50) -> Sequence[TransactionView]:
        """See `Control.mempool`."""
        found = self._access.find(actor)
        waiting = await self._access.ask(lambda: found.ledger.waiting(limit))
        return [transaction_view(self._world, transaction, None) for transaction in waiting]

    # Commands. ------------------------------------------------------------------------------------------------

    async def submit_report(self, actor: str, type_: str, lat: float, lon: float) -> Submitted:
        """See `Control.submit_report`."""
        found = self._access.find(actor)
        lat_e7, lon_e7 = Point(lat, lon).e7
        now = self._world.clock.now_ms()
        ledger = found.reporting_ledger() if isinstance(found, Requester) else found.ledger
        outcome = await self._access.command(
            lambda: ledger.call("spatial", "submit", type_, lat_e7, lon_e7, now, stage="accepted")
        )
        self._sent[outcome.transaction] = Content(ledger.identity.account, type_, lat_e7, lon_e7, now)
        if len(self._sent) > MAX_SENT:
            self._sent.popitem(last=False)
        return Submitted(outcome.transaction.hex())

    async def vote(self, actor: str, report: str, *, confirm: bool) -> None:
        """See `Control.vote`."""
        found = self._access.find(actor)
        await trio.lowlevel.checkpoint()
        if not isinstance(found, Worker):
            reason = "not_a_worker"
            raise CommandRefusedError(reason, f"{found.name} is a {found.role}; workers vote")
        try:
            found.decide(TxId(id_bytes(report)), confirm=confirm)
        except Refused as refused:
            raise CommandRefusedError(refused.reason, refused.detail) from None

    async def attend(self, actor: str, *, attended: bool) -> None:
        """See `Control.attend`."""
        found = self._access.find(actor)
        await trio.lowlevel.checkpoint()
        if not isinstance(found, Worker | Requester):
            reason = "cannot_be_attended"
            raise CommandRefusedError(reason, f"a {found.role} decides nothing that a human could decide for it")
        found.attended = attended
        id_ = actor_id(found.identity.account)
        self._publish(Update("actor", self._world.clock.now_ms(), {"actor": id_, "attended": attended}), id_)

    # Updates. -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def updates(self, actor: str | None = None, *, buffer: int = 256) -> AsyncGenerator[BoundedStream, None]:
        """See `Control.updates`. Raises LedgerUnavailableError when too many browsers listen already."""
        if actor is not None:
            actor = actor_id(self._access.find(actor).identity.account)
        if len(self._streams) >= MAX_STREAMS:
            msg = f"{MAX_STREAMS} browsers listen already"
            raise LedgerUnavailableError(msg)
        stream = BoundedStream(actor, buffer)
        self._streams.append(stream)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.pump)
                yield stream
                nursery.cancel_scope.cancel()
        finally:
            self._streams.remove(stream)

    def begin(self, node: FullNode) -> None:
        """See `actors.node.Witness`."""

    def jumped(self, node: FullNode) -> None:
        """See `actors.node.Witness`."""
        self._rewards.jumped(node.core.final.height)
        self._flows.jumped(node.core.final.height)

    def committed(self, node: FullNode, found: FoundBlock) -> None:
        """See `actors.node.Witness`: one ledger node tells for all what joins, the first to know what is final."""
        if found.final:
            self._rewards.finalised(found)
            self._flows.finalised(found)
            return
        if node is not self._access.reference():
            return
        height, now = found.block.header.height, self._world.clock.now_ms()
        final_height = node.core.final.height
        view = block_summary(found.block.header, len(found.receipts), 0, final_height)
        data: dict[str, Any] = {"height": height, "id": view.id, "transactions": view.transactions}
        data |= {"producer": view.producer, "final_height": final_height}
        self._publish(Update("block", now, data))
        for receipt in found.receipts:
            for event in receipt.events:
                if event.contract == "spatial" and "report" in (fields := event_fields(event)):
                    data = {"report": fields["report"].hex(), "event": event.name, "height": height}
                    self._publish(Update("report", now, data))
                elif event.contract == "campaign":
                    data = {"campaign": event_fields(event)["campaign"].hex(), "event": event.name, "height": height}
                    self._publish(Update("campaign", now, data | {"phase": phase_begun(event.name)}))
        for account, entry in self._rewards.joined(found):
            data = {"actor": actor_id(account), "amount": entry.amount, "cause": entry.cause}
            self._publish(Update("reward", now, data), actor_id(account))

    def _listen(self, t: int, actor: str, kind: str, fields: Mapping[str, Any]) -> None:  # noqa: ARG002 - a Listener
        if kind in STAGES and actor in self._swarm.actors:
            id_ = actor_id(self._swarm.actors[actor].identity.account)
            self._publish(Update("ballot", self._world.clock.now_ms(), {"actor": id_, "stage": STAGES[kind]}), id_)
        elif kind == "up":
            self._publish(Update("actor", self._world.clock.now_ms(), {"name": actor, "state": "running"}))

    def _publish(self, update: Update, actor: str | None = None) -> None:
        """To all streams, or (`actor`) to those of the whole run and of that actor."""
        for stream in self._streams:
            if actor is None or stream.actor in (None, actor):
                stream.put(update)

    # Finding things. ------------------------------------------------------------------------------------------

    def _ordered_cores(self) -> Sequence[OrderedLedger]:
        cores = [ordered_core(node.core) for node in self._swarm.full_nodes]
        return [core for core in cores if core is not None]

    def _config(self) -> ChannelConfig | None:
        cores = self._ordered_cores()
        return cores[0].channel if cores else None

    def _summary(self, actor: Actor) -> ActorSummary:
        node = actor.node
        core = node.core if isinstance(node, FullNode) else (r.core if (r := self._access.reference()) else None)
        return ActorSummary(
            id=actor_id(actor.identity.account),
            name=actor.name,
            role=actor.role,
            state=self._swarm.states[actor.name],
            balance=sum(balance_of(core.final_state, account) for account in accounts_of(actor)) if core else 0,
            peers=len(node.overlay.peers()),
            height=core.final.height if core else 0,
            attended=isinstance(actor, Worker | Requester) and actor.attended,
            ledger_node=isinstance(node, FullNode),
        )

    def _responses(self, actor: Actor) -> ResponseTimes | None:
        node = self._access.reference()
        if not isinstance(actor, Facility) or node is None:
            return None
        return response_times(public_responses(node.core.final_state, actor.identity.account))

    async def _list(self, actor: Actor, method: str, *args: Any) -> Sequence[Listed]:
        rows: Sequence[Listed] = await self._access.ask(lambda: actor.ledger.query("spatial", method, *args))
        return rows

    def _view(self, actor: Actor, row: Listed) -> ReportView:
        core = node.core if (node := self._access.reference()) else None
        return report_view(row.report, row.progress, accounts_of(actor), core.final.time_ms if core else 0)


def ledger_status(status: str) -> str:
    """The contract's name of a status. Raises UnknownRecordError."""
    name = "taken" if status == "in_review" else status
    if name not in STATUSES:
        raise UnknownRecordError(status)
    return name
