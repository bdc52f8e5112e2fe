"""An edge node: attests presence, draws voters, tells the neighbourhood, and serves light actors."""

from collections.abc import Mapping
from contextlib import aclosing
from hashlib import sha256
from typing import ClassVar

import trio

from actors.enrolment import MAX_OPERATORS, enrol
from actors.facility import nearest
from actors.identity import Identity
from actors.ledger import OutcomeUnknownError
from actors.local_ledger import LocalLedger
from actors.messages import BALLOT, PRESENCE, Ballot, Notice, attest, cell_topic, open_claim
from actors.neighbourhood import Neighbourhood
from actors.node import FullNode
from actors.presence import Presence
from actors.scenario import MecConfig
from actors.sensing.mobility import Point
from chain.codec import block_id, encode
from chain.contract import state_key
from chain.contracts.spatial_board import assigned_at_ms, report_key, served_key
from chain.contracts.spatial_draw import SealedGroup, draw_group, seal_group
from chain.contracts.spatial_records import ASSIGNED, PENDING, Content, Progress, Report
from chain.errors import MalformedError, Refused
from chain.values import Account, BlockId, TxId
from net.peer import PeerId
from net.requests import RequestRefused
from net.transport import TransportError

MAX_CASES = 512
"""Reports attended to at a time; further ones wait their turn, and expire if that takes too long."""
RETRY_S = 0.5
BALLOT_TIMEOUT_S = 3.0
BALLOT_ATTEMPTS = 3
MAX_CLAIM_SKEW_MS = 30_000
"""A presence claim older or newer than this says nothing about now."""


class MecNode:
    """Attends to the reports that are nearer to it than to any other MEC node.

    Closes the node's overlay; bugs of the core escape `run`.
    """

    role: ClassVar[str] = "mec"

    def __init__(self, node: FullNode, config: MecConfig, site: Point) -> None:
        self.world, self.name = node.world, node.name
        self.identity: Identity = node.identity
        self.node = node
        self.ledger = LocalLedger(node, node.identity)
        self._config = config
        self._site = site
        self._rules = self.world.genesis.spatial
        self._presence = Presence(config.presence_ttl_ms)
        self._neighbourhood = Neighbourhood(node, self.ledger, site)
        self._secret = sha256(b"crowdmesh:mec:secret:1:" + node.identity.secret).digest()
        self._claimed = trio.Event()
        """Set, and made anew, when somebody has said where it is."""
        self._room = trio.CapacityLimiter(MAX_CASES)

    def where(self) -> Point | None:
        """Its site."""
        return self._site

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.node.run)
            async with self.node.overlay.serve(PRESENCE, self._take_claim):
                await nursery.start(self._neighbourhood.run)
                task_status.started()
                nursery.start_soon(enrol, self.node, self.ledger, self.role, self._site)
                since = max(1, self.node.core.final.height + 1)
                await self._resume(nursery)
                async with aclosing(self.node.final_events("spatial", "submitted", since)) as events:
                    async for height, submitted in events:
                        await self._open_case(nursery, TxId(submitted["report"]), height)

    async def _resume(self, nursery: trio.Nursery) -> None:
        """Attend to what was on the ledger before we came (back)."""
        for status in (PENDING, ASSIGNED):
            for report in await self.ledger.query("spatial", "reports", status, MAX_OPERATORS, None, at="final"):
                await self._open_case(nursery, report.id, self.node.core.final.height)

    # Presence. ------------------------------------------------------------------------------------------------

    async def _take_claim(self, peer: PeerId, body: bytes) -> bytes:
        """Open a worker's sealed claim and attest that it is present."""
        await trio.lowlevel.checkpoint()
        now = self.world.clock.now_ms()
        try:
            claim = open_claim(self.identity, body)
        except MalformedError as error:
            raise RequestRefused(str(error)) from None
        if claim.worker != peer.public_key:
            msg = "a presence claim of somebody else"
            raise RequestRefused(msg)
        if abs(claim.time_ms - now) > MAX_CLAIM_SKEW_MS:
            msg = f"the claim is of {claim.time_ms}, now is {now}"
            raise RequestRefused(msg)
        where = Point.from_e7(claim.lat_e7, claim.lon_e7)
        try:
            until = self._presence.seen(claim.worker, where, claim.time_ms, now, voter=claim.voter)
        except ValueError as error:
            raise RequestRefused(str(error)) from None
        self._neighbourhood.present(where, until)
        self._claimed.set()
        self._claimed = trio.Event()
        return encode(attest(self.identity, claim.worker, until))

    # Cases. ---------------------------------------------------------------------------------------------------

    async def _open_case(self, nursery: trio.Nursery, report: TxId, height: int) -> None:
        await self._room.acquire_on_behalf_of(report)
        nursery.start_soon(self._case, report, height)

    async def _case(self, report: TxId, height: int) -> None:
        try:
            view: Report = await self.ledger.query("spatial", "report", report)
            operators = list(await self.ledger.query("spatial", "operators", self.role, MAX_OPERATORS, None))
            content = view.content
            if content is None or not operators or view.status not in (PENDING, ASSIGNED):
                return  # of the past, when we catch up
            where = Point.from_e7(content.lat_e7, content.lon_e7)
            if nearest(operators, where).account != self.identity.account:
                return
            await self._tell(report, content, "pending", height)
            status = await self._attend(report, view, content)
            await self._tell(report, content, status, self.node.core.final.height)
        except (Refused, OutcomeUnknownError) as error:
            self.world.journal.record(self.name, "case_failed", report=report.hex()[:16], reason=str(error))
        finally:
            self._room.release_on_behalf_of(report)

    async def _attend(self, report: TxId, view: Report, content: Content) -> str:
        """From a pending report to a decided one; returns its last status."""
        if view.status == PENDING:
            sealed = await self._assign(report, view, content)
            if sealed is not None and await self._tally(report, sealed):
                decided: Report = await self.ledger.query("spatial", "report", report)
                return decided.status
        return await self._expire(report)

    async def _assign(self, report: TxId, view: Report, content: Content) -> SealedGroup | None:
        """Draw and hide a group and send out the ballots; None when there were never enough workers in time."""
        until_ms = view.recorded_ms + self._rules.assign_window_ms
        while (seed := self._seed(report)) is None:
            await self.node.next_block()
        tried: list[Account] = []
        while self.world.clock.now_ms() < until_ms:
            candidates = self._candidates(content)
            sealed = None
            # The draw is decided by the candidates: the same ones again would give the same answer.
            if len(candidates) >= self._rules.min_workers and candidates != tried:
                sealed, tried = self._draw(report, seed, candidates), candidates
            if sealed is None:
                with trio.move_on_after((until_ms - self.world.clock.now_ms()) / 1000):
                    await self._claimed.wait()
                continue
            # Whoever moves on while the ledger takes the draw in may be forgotten here.
            bearers = {voter: self._presence.bearer(voter) for voter in sealed.tickets}
            for voter in bearers:
                self._presence.spend(voter)
            try:
                outcome = await self.ledger.call(
                    "spatial", "assign", report, sealed.candidates_commitment, sealed.group_root, stage="included"
                )
            except Refused as refused:
                if refused.reason != "draw_not_ready":
                    raise
                tried = []
                await self.node.next_block()
                continue
            assert outcome.receipt is not None  # noqa: S101 - an included transaction has a receipt
            await self._send_ballots(report, content, sealed, bearers, assigned_at_ms(outcome.receipt))
            return sealed
        return None

    def _candidates(self, content: Content) -> list[Account]:
        """Who is present near the report, but who reported it."""
        where = Point.from_e7(content.lat_e7, content.lon_e7)
        now = self.world.clock.now_ms()
        return self._presence.near(where, self._rules.report_radius_m, now, without=content.requester)

    def _seed(self, report: TxId) -> BlockId | None:
        """The block that seeds a report's draw; None while it is not final."""
        core = self.node.core
        version = core.state.version(state_key("spatial", report_key(report)))
        if version is None or version.height + self._rules.draw_delay > core.final.height:
            return None
        header = core.header(version.height + self._rules.draw_delay)
        return None if header is None else block_id(header)

    def _draw(self, report: TxId, seed: BlockId, candidates: list[Account]) -> SealedGroup | None:
        """The group that chance gives; None when every combination drawn has served before."""
        core = self.node.core
        drawn = draw_group(
            seed,
            report,
            candidates,
            self._rules.group_size,
            lambda combination: core.state.version(state_key("spatial", served_key(combination))) is not None,
        )
        return None if drawn is None else seal_group(report, candidates, drawn[1], self._secret)

    async def _send_ballots(
        self,
        report: TxId,
        content: Content,
        sealed: SealedGroup,
        bearers: Mapping[Account, Account],
        assigned_ms: int,
    ) -> None:
        vote_until = assigned_ms + self._rules.vote_window_ms
        reveal_until = vote_until + self._rules.reveal_window_ms
        async with trio.open_nursery() as nursery:
            for voter, ticket in sealed.tickets.items():
                ballot = Ballot(
                    report,
                    content.type,
                    content.lat_e7,
                    content.lon_e7,
                    content.time_ms,
                    vote_until,
                    reveal_until,
                    voter,
                    ticket,
                )
                nursery.start_soon(self._send_ballot, bearers[voter], encode(ballot))

    async def _send_ballot(self, worker: Account, body: bytes) -> None:
        for _ in range(BALLOT_ATTEMPTS):
            try:
                await self.node.overlay.request(PeerId.from_public_key(worker), BALLOT, body, timeout=BALLOT_TIMEOUT_S)
            except TransportError as error:
                self.world.journal.record(self.name, "ballot_failed", reason=str(error)[:100])
                await trio.sleep(RETRY_S)
            else:
                return

    async def _tally(self, report: TxId, sealed: SealedGroup) -> bool:
        """Open the group when all have revealed or can no more; False when it could not be opened in time."""
        progress: Progress = await self.ledger.query("spatial", "progress", report)
        await self.world.clock.sleep_until_ms(progress.vote_until_ms)
        while True:
            progress = await self.ledger.query("spatial", "progress", report)
            # The ledger's clock is its blocks' times.
            if progress.reveals == len(sealed.tickets) or self.node.core.head.time_ms > progress.reveal_until_ms:
                try:
                    await self.ledger.call("spatial", "tally", report, sealed.opening)
                except Refused as refused:
                    if refused.reason in ("tally_window_closed", "group_not_drawn"):
                        self.world.journal.record(
                            self.name, "tally_refused", report=report.hex()[:16], reason=refused.reason
                        )
                        return False
                    if refused.reason != "tally_too_early":
                        raise
                else:
                    return True
            await self.node.next_block()

    async def _expire(self, report: TxId) -> str:
        """Have a report dropped that could not be decided in time."""
        while True:
            try:
                await self.ledger.call("spatial", "expire", report)
            except Refused as refused:
                if refused.reason == "already_decided":
                    return refused.detail
                if refused.reason != "not_expired":
                    raise
            else:
                return "expired"
            await self.node.next_block()

    async def _tell(self, report: TxId, content: Content, status: str, height: int) -> None:
        """Publish news to the cell."""
        topic = cell_topic(self.world.topics, Point.from_e7(content.lat_e7, content.lon_e7))
        notice = Notice(report, status, content.type, content.lat_e7, content.lon_e7, height)
        await self.node.overlay.publish(topic, encode(notice))
