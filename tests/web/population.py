"""A fixed population for page tests: a real, small `Control` in memory, with no peers, ledger or clock behind it.

What a page shows of real actors is tested against a real swarm elsewhere; here every value is known beforehand.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import trio

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
    RewardEntry,
    RunSnapshot,
    Submitted,
    TransactionView,
    UnknownActorError,
    UnknownRecordError,
    Update,
)
from tests.web.fixed_campaigns import FixedCampaigns

START_MS = 1_790_000_000_000
PLACE = Place("Berlin Mitte", 52.500, 52.540, 13.360, 13.440)
STATUSES = ("pending", "assigned", "confirmed", "rejected", "expired", "in_review", "closed")
TYPES = ("pothole", "flooding", "broken light")


def ident(text: str) -> str:
    """64 hex digits that stand for a hash."""
    return hashlib.sha256(text.encode()).hexdigest()


def summary(name: str, role: str) -> ActorSummary:
    return ActorSummary(
        id=f"12D3KooW{name.replace('-', '').replace('0', 'o')}",
        name=name,
        role=role,
        state="running",
        balance=12_500_000,
        peers=6,
        height=38,
        attended=False,
        ledger_node=role == "miner",
    )


def report(number: int, status: str, **changes: Any) -> ReportView:
    submitted = START_MS + number * 1000
    view = ReportView(
        id=ident(f"report {number}"),
        status=status,
        type=TYPES[number % len(TYPES)],
        lat=52.502 + (number * 7 % 36) / 1000,
        lon=13.362 + (number * 13 % 76) / 1000,
        time_ms=submitted - 500,
        submitted_ms=submitted,
        requester=None,
        workers=(),
        votes_cast=number % 4 if status == "assigned" else None,
        votes_revealed=0 if status == "assigned" else None,
        votes_confirm=3 if status in {"confirmed", "in_review", "closed"} else None,
        vote_until_ms=submitted + 6000 if status == "assigned" else None,
        outcome=None,
        history=(("pending", submitted), (status, submitted + 400)),
        mine=number % 5 == 0,
        final=number % 3 != 0,
    )
    return replace(view, **changes)


@dataclass
class Stream:
    """What `updates` hands out: a bounded channel; a full one loses its oldest."""

    channel: trio.MemoryReceiveChannel[Update]
    sender: trio.MemorySendChannel[Update]
    dropped: int = 0

    def push(self, update: Update) -> None:
        try:
            self.sender.send_nowait(update)
        except trio.WouldBlock:
            self.channel.receive_nowait()
            self.dropped += 1
            self.sender.send_nowait(update)


class FixedPopulation:
    """`Control` over lists. Tests may replace any of them."""

    OPERATORS: Sequence[tuple[str, int]] = (("miner", 2),)

    def __init__(self, workers: int = 6) -> None:
        self.roles = [("requester", 2), ("worker", workers), *self.OPERATORS]
        self.summaries = [
            summary(f"{role}-{number:02d}", role) for role, count in self.roles for number in range(1, count + 1)
        ]
        self.found = [report(number, STATUSES[number % len(STATUSES)]) for number in range(40)]
        self.found.reverse()
        self.chain = [self.make_block(height) for height in range(41)]
        self.asked = [
            BallotView(
                report=self.found[0].id,
                type="flooding",
                lat=52.51,
                lon=13.40,
                time_ms=START_MS,
                deadline_ms=START_MS + 90_000,
                distance_m=140.0,
                choice=None,
                decided_by=None,
                stage="open",
            )
        ]
        self.votes: list[tuple[str, str, bool]] = []
        self.refuse_next: CommandRefusedError | None = None
        self.ledger_answers = True
        self.streams: list[Stream] = []
        self.campaigning = FixedCampaigns(START_MS + 80_000, self.by_name, self._ask, ident)

    def by_name(self, name: str) -> str:
        """The id of an actor."""
        return next(actor.id for actor in self.summaries if actor.name == name)

    def make_block(self, height: int) -> BlockSummary:
        return BlockSummary(
            id=ident(f"block {height}"),
            height=height,
            time_ms=START_MS + height * 2000,
            producer=self.by_name(f"miner-{height % 2 + 1:02d}"),
            transactions=height % 4,
            bytes=400 + height,
            difficulty=1 << 16,
            final=height <= 35,
        )

    def mine(self) -> BlockSummary:
        """Append a block and tell the browsers."""
        block = self.make_block(len(self.chain))
        self.chain.append(block)
        self.push(Update("block", block.time_ms, {"height": block.height, "id": block.id}))
        return block

    def push(self, update: Update) -> None:
        """An update for all browsers."""
        for stream in self.streams:
            stream.push(update)

    def run(self) -> RunSnapshot:
        return RunSnapshot(
            network="test",
            scenario="spatial",
            seed=7,
            world="swarm",
            now_ms=START_MS + 80_000,
            started_ms=START_MS,
            place=PLACE,
            report_types=TYPES,
            actors=len(self.summaries),
            roles=self.roles,
            height=len(self.chain) - 1,
            final_height=35,
            block_interval_ms=2000,
            finality_depth=6,
            campaigns=self.campaigning.count(),
            reports=[(status, sum(view.status == status for view in self.found)) for status in STATUSES],
        )

    def channel(self) -> ChannelView | None:
        return None

    def actors(self) -> Sequence[ActorSummary]:
        return self.summaries

    def _summary(self, actor: str) -> ActorSummary:
        for entry in self.summaries:
            if entry.id == actor:
                return entry
        raise UnknownActorError(actor)

    def actor(self, actor: str) -> ActorSnapshot:
        entry = self._summary(actor)
        mobile = entry.role in {"requester", "worker"}
        return ActorSnapshot(
            summary=entry,
            position=(52.52, 13.40) if mobile else None,
            gateway="miner-01" if mobile else None,
            can_attend=mobile,
            can_submit=mobile,
            can_vote=entry.role == "worker",
            rewards=[
                RewardEntry(36, START_MS, 250_000, "worker", self.found[0].id if self.found else None, final=False),
                RewardEntry(30, START_MS, 1_000_000, "worker", None, final=True),
            ],
            pending_reward=250_000,
            responses=ResponseTimes(3, 4_000, 2, 90_000) if entry.role == "facility" else None,
        )

    async def _ask(self, actor: str) -> None:
        self._summary(actor)
        await trio.lowlevel.checkpoint()
        if not self.ledger_answers:
            raise LedgerUnavailableError(actor)

    async def reports(
        self, actor: str, *, status: str | None = None, after: str | None = None, limit: int = 200
    ) -> Sequence[ReportView]:
        await self._ask(actor)
        assert 1 <= limit <= 1000
        views = [view for view in self.found if status in {None, view.status}]
        start = next((index + 1 for index, view in enumerate(views) if view.id == after), 0)
        return views[start : start + limit]

    async def report(self, actor: str, report: str) -> ReportView:
        await self._ask(actor)
        for view in self.found:
            if view.id == report:
                return view
        raise UnknownRecordError(report)

    async def audit(self, actor: str, report: str) -> AuditView:
        view = await self.report(actor, report)
        drawn = list(view.workers)
        return AuditView(
            report=report,
            verdict="honest" if drawn else "dishonest",
            findings=["Block 1 seeds the draw.", "Draw 1 gives the group."],
            assigner=self.by_name("mec-01"),
            seed_height=1,
            seed=self.chain[1].id,
            candidates=7,
            attempt=0,
            group=drawn,
        )

    async def nearby(self, actor: str, type_: str, lat: float, lon: float) -> Sequence[ReportView]:
        await self._ask(actor)
        return [
            view
            for view in self.found
            if view.type == type_
            and view.lat is not None
            and view.lon is not None
            and abs(view.lat - lat) < 0.001
            and abs(view.lon - lon) < 0.001
        ]

    def ballots(self, actor: str) -> Sequence[BallotView]:
        return self.asked if self._summary(actor).role == "worker" else ()

    async def blocks(self, actor: str, *, before: int | None = None, limit: int = 25) -> Sequence[BlockSummary]:
        await self._ask(actor)
        assert 1 <= limit <= 100
        return [block for block in reversed(self.chain) if before is None or block.height < before][:limit]

    async def block(self, actor: str, ref: str) -> BlockView:
        await self._ask(actor)
        for block in self.chain:
            if ref in {block.id, str(block.height)}:
                return BlockView(
                    summary=block,
                    parent=ident(f"block {block.height - 1}"),
                    nonce=4711,
                    state_root=ident(f"state {block.height}"),
                    transactions=[self.transaction(number, ok=number != 1) for number in range(block.transactions)],
                    rewards=[(block.producer, "miner", 2_000_000)],
                )
        raise UnknownRecordError(ref)

    def transaction(self, number: int, *, ok: bool | None) -> TransactionView:
        return TransactionView(
            id=ident(f"tx {number}"),
            sender=self.by_name("worker-01"),
            nonce=number,
            contract="spatial",
            method="vote",
            arguments=(("report", ident("report")[:12]), ("commitment", ident("c")[:12])),
            ok=ok,
            reason="" if ok or ok is None else "deadline_passed",
            detail="" if ok or ok is None else "since 1790000000000",
            events=(("Voted", (("report", ident("report")[:12]),)),) if ok else (),
        )

    async def locate(self, actor: str, transaction: str) -> Located:
        await self._ask(actor)
        if any(view.id == transaction for view in self.found):
            return Located(transaction, "final", 1, self.chain[1].id)
        for block in self.chain:
            for number in range(block.transactions):
                if ident(f"tx {number}") == transaction:
                    return Located(transaction, "final" if block.final else "included", block.height, block.id)
        raise UnknownRecordError(transaction)

    async def mempool(self, actor: str, *, limit: int = 50) -> Sequence[TransactionView]:
        await self._ask(actor)
        return [self.transaction(number, ok=None) for number in range(min(3, limit))]

    async def submit_report(self, actor: str, type_: str, lat: float, lon: float) -> Submitted:
        if await self.nearby(actor, type_, lat, lon):
            raise CommandRefusedError("duplicate_report", "an equal report is 40 m away")
        self._refuse()
        view = report(len(self.found), "pending", type=type_, lat=lat, lon=lon, mine=True, final=False)
        self.found.insert(0, view)
        self.push(Update("report", view.submitted_ms, {"id": view.id, "status": view.status}))
        return Submitted(view.id)

    async def vote(self, actor: str, report: str, *, confirm: bool) -> None:
        await self._ask(actor)
        self._refuse()
        if all(ballot.report != report for ballot in self.asked):
            raise CommandRefusedError("not_assigned", "this worker is not asked about that report")
        self.votes.append((actor, report, confirm))
        self.asked = [
            replace(ballot, choice=confirm, decided_by="human", stage="committed")
            if ballot.report == report
            else ballot
            for ballot in self.asked
        ]

    async def attend(self, actor: str, *, attended: bool) -> None:
        await self._ask(actor)
        self._refuse()
        self.summaries = [replace(entry, attended=attended) if entry.id == actor else entry for entry in self.summaries]

    def _refuse(self) -> None:
        if self.refuse_next is not None:
            error, self.refuse_next = self.refuse_next, None
            raise error

    @asynccontextmanager
    async def updates(self, actor: str | None = None, *, buffer: int = 256) -> AsyncIterator[Stream]:
        if actor is not None:
            self._summary(actor)
        sender, channel = trio.open_memory_channel[Update](buffer)
        stream = Stream(channel, sender)
        self.streams.append(stream)
        try:
            yield stream
        finally:
            self.streams.remove(stream)
            sender.close()
            channel.close()
