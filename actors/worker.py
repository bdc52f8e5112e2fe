"""Who goes and looks: walks about, tells its MEC node where it is, and votes on what it is drawn for."""

from collections import OrderedDict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import ClassVar

import trio

from actors.campaigns.worker import CampaignWorker
from actors.identity import Identity
from actors.ledger import GatewayError, OutcomeUnknownError
from actors.light_node import LightNode
from actors.links import subscribed
from actors.messages import (
    BALLOT,
    PRESENCE,
    Attestation,
    Ballot,
    Notice,
    cell_topic,
    is_attested,
    read,
    seal_claim,
)
from actors.pseudonyms import Pseudonyms
from actors.remote_ledger import RemoteLedger
from actors.scenario import WorkerConfig
from actors.sensing.mobility import Point, RandomWaypoint
from actors.verdicts import judge_notice
from chain.contracts.spatial_draw import commit_ballot
from chain.contracts.spatial_records import SALT_BYTES
from chain.errors import MalformedError, Refused
from chain.values import Account, TxId
from net.gossip.events import Message, Verdict
from net.overlay import Delivery
from net.peer import PeerId
from net.requests import RequestRefused
from net.transport import NotConnectedError, TransportError

MAX_BALLOTS = 256
"""Ballots remembered, those long over first to go; with so many open ones, further ones are refused."""
MAX_NOTICES = 256
PRESENCE_TIMEOUT_S = 5.0
DIRECTORY_INTERVAL_S = 20.0
"""Shorter than the shortest useful assign window: reports near a new MEC node wait until workers know of it."""
RETRY_S = 0.5
# Block times lag behind clocks, and a reveal must not come before the last vote: wait a little longer.
REVEAL_MARGIN_MS = 300


@dataclass(slots=True)
class Task:
    """One ballot and how far its worker is with it."""

    ballot: Ballot
    distance_m: float
    ledger: RemoteLedger
    """In the name of the key that was drawn."""
    mec: PeerId
    """Who drew it."""
    choice: bool | None = None
    decided_by: str | None = None
    """``"human"`` or ``"actor"``."""
    stage: str = "open"
    """``"open"``, ``"committed"``, ``"revealed"``, ``"missed"``."""
    changed: trio.Event = field(default_factory=trio.Event)
    """Set when a human decides, takes over or gives back."""


def observe(real: bool, accuracy: float, rng: Random) -> bool:
    """Return what a worker of that accuracy (0 to 1) takes a report for, when it looks."""
    return real if rng.random() < accuracy else not real


class Worker:
    """Votes truthfully as often as its accuracy says; a human may take its votes over (`attended`).

    Closes the node's overlay; only bugs escape `run`.
    """

    role: ClassVar[str] = "worker"

    def __init__(
        self, node: LightNode, config: WorkerConfig, home: Point, *, campaigner: CampaignWorker | None = None
    ) -> None:
        self.world, self.name = node.world, node.name
        self.identity: Identity = node.identity
        self.node = node
        self.ledger = node.ledger
        self.campaigner = campaigner
        """Its part in campaigns, if there are any."""
        self._attended = False
        self.tasks: OrderedDict[TxId, Task] = OrderedDict()
        self.notices: OrderedDict[bytes, Notice] = OrderedDict()
        """The latest news of each report around, newest last."""
        self._config = config
        self._walk = RandomWaypoint(
            home, roam_m=config.roam_m, speed_m_s=config.speed_m_s, rng=self.world.rng(self.name, "walk")
        )
        self._look_rng = self.world.rng(self.name, "look")
        self._cell = ""
        self._nursery: trio.Nursery | None = None
        self.pseudonyms = Pseudonyms(node.identity, self.world.clock.now_ms()) if config.pseudonyms else None

    @property
    def attended(self) -> bool:
        """True while a human decides: then open ballots wait for it, to the end of their time; also those it finds; bids too."""
        return self._attended

    @attended.setter
    def attended(self, attended: bool) -> None:
        self._attended = attended
        if self.campaigner is not None:
            self.campaigner.attended = attended
        for task in self.tasks.values():
            task.changed.set()

    def where(self) -> Point:
        """Where it is now: on the path that it was selected for, or wherever it strolls."""
        if self.campaigner is not None and (here := self.campaigner.where()) is not None:
            return here
        # Where we are does not depend on what our clock shows.
        return self.world.city.inside(self._walk.position(self.world.clock.now_s() - self.world.started_ms / 1000))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self.node.run)
            async with self.node.overlay.serve(BALLOT, self._take_ballot):
                task_status.started()
                await self.node.learn_mec_nodes()
                nursery.start_soon(self._refresh_directory)
                if self.campaigner is not None:
                    nursery.start_soon(self.campaigner.run)
                if "spatial" not in self.world.scenario.systems:
                    self.node.move_to(self.where())
                    await trio.sleep_forever()
                nursery.start_soon(self._follow_cells)
                await self._be_present()

    async def _refresh_directory(self) -> None:
        while True:
            await trio.sleep(DIRECTORY_INTERVAL_S)
            await self.node.learn_mec_nodes()

    # Being there. ---------------------------------------------------------------------------------------------

    async def _be_present(self) -> None:
        """Tell the covering MEC node where we are, and nobody else."""
        rng = self.world.rng(self.name, "presence")
        while True:
            where = self.where()
            self.node.move_to(where)
            waited = self._config.presence_interval_ms / 1000 * rng.uniform(0.9, 1.1)
            if not await self._claim_presence(where):
                waited = RETRY_S
            await trio.sleep(waited)

    async def _claim_presence(self, where: Point) -> bool:
        mec = self.node.mec
        if mec is None:
            return False
        try:
            await self.node.reach(mec)
            voter = self.pseudonyms.fresh() if self.pseudonyms is not None else None
            claim = seal_claim(self.identity, mec, where, self.world.clock.now_ms(), voter=voter)
            answer = await self.node.overlay.request(mec, PRESENCE, claim, timeout=PRESENCE_TIMEOUT_S)
            attestation = read(Attestation, answer)
        except (TransportError, MalformedError) as error:
            self.world.journal.record(self.name, "presence_failed", reason=str(error)[:100])
            return False
        return attestation.worker == self.identity.account and is_attested(attestation)

    async def _follow_cells(self) -> None:
        """Hear the news of the cell we are in; leave its topic when we leave it."""
        while True:
            topic = cell_topic(self.world.topics, self.where())
            async with AsyncExitStack() as stack:
                deliveries = await stack.enter_async_context(
                    subscribed(self.world, self.node.overlay, topic, self._judge_notice)
                )
                while cell_topic(self.world.topics, self.where()) == topic:
                    with trio.move_on_after(self._config.presence_interval_ms / 1000):
                        try:
                            self._hear(await deliveries.receive())
                        except trio.EndOfChannel:
                            return  # the overlay has ended, and says why

    def _judge_notice(self, message: Message) -> Verdict:
        return judge_notice(
            message,
            message.topic,
            self.node.mec_nodes.keys(),
            lambda lat_e7, lon_e7: cell_topic(self.world.topics, Point.from_e7(lat_e7, lon_e7)),
        )[0]

    def _hear(self, delivery: Delivery) -> None:
        notice = read(Notice, delivery.message.data)
        self.notices[notice.report] = notice
        self.notices.move_to_end(notice.report)
        if len(self.notices) > MAX_NOTICES:
            self.notices.popitem(last=False)

    # Voting. --------------------------------------------------------------------------------------------------

    async def _take_ballot(self, peer: PeerId, body: bytes) -> bytes:
        """Accept a ballot from an enrolled MEC node; the same one again changes nothing."""
        try:
            ballot = read(Ballot, body)
        except MalformedError as error:
            raise RequestRefused(str(error)) from None
        if peer.public_key not in self.node.mec_nodes:
            msg = "not an enrolled MEC node"
            raise RequestRefused(msg)
        report = TxId(ballot.report)
        if report in self.tasks:
            return b""
        while len(self.tasks) >= MAX_BALLOTS:
            over = next((r for r, task in self.tasks.items() if task.stage in ("revealed", "missed")), None)
            if over is None:
                msg = f"{MAX_BALLOTS} ballots are open"
                raise RequestRefused(msg)
            del self.tasks[over]
        assert self._nursery is not None  # noqa: S101 - requests are served inside run()
        distance_m = self.where().distance_m(Point.from_e7(ballot.lat_e7, ballot.lon_e7))
        task = Task(ballot, distance_m, self._ledger_of(Account(ballot.voter), peer), peer)
        self.tasks[report] = task
        self.world.journal.record(self.name, "ballot", report=report.hex()[:16])
        self._nursery.start_soon(self._vote, report, task)
        await trio.lowlevel.checkpoint()
        return b""

    def _ledger_of(self, voter: Account, mec: PeerId) -> RemoteLedger:
        if voter == self.identity.account:
            return self.ledger
        identity = self.pseudonyms.use(voter) if self.pseudonyms is not None else None
        if identity is None:
            msg = "a ballot for a key that is not ours"
            raise RequestRefused(msg)
        return self.node.ledger_as(identity, mec)

    def decide(self, report: TxId, *, confirm: bool) -> None:
        """Let a human decide a ballot. Raises Refused (``no_ballot``, ``vote_cast``, ``vote_window_closed``)."""
        task = self.tasks.get(report)
        if task is None:
            reason = "no_ballot"
            raise Refused(reason, "this actor was not asked to vote on that report")
        if task.stage == "missed":
            reason = "vote_window_closed"
            raise Refused(reason, "the time to vote is over")
        if task.stage != "open":
            reason = "vote_cast"
            raise Refused(reason, "the vote is on its way already and cannot be changed")
        task.choice, task.decided_by = confirm, "human"
        task.changed.set()

    async def _vote(self, report: TxId, task: Task) -> None:
        ballot, clock = task.ballot, self.world.clock
        low, high = self._config.look_ms
        look_s = self._look_rng.uniform(low, high) / 1000
        seen = observe(
            self.world.city.is_real(ballot.type, ballot.lat_e7, ballot.lon_e7), self._config.accuracy, self._look_rng
        )
        await self._await_choice(task, clock.now_ms() + int(look_s * 1000))
        if task.choice is None and not self.attended:
            task.choice, task.decided_by = seen, "actor"
        if task.choice is None:
            self._finish(report, task, "missed", "nobody decided")
            return
        salt = self._salt(report)
        task.stage = "committed"
        commitment = commit_ballot(report, task.ledger.identity.account, task.choice, salt)
        if not await self._send(report, task, "vote", ballot.vote_until_ms, commitment, ballot.ticket):
            self._finish(report, task, "missed", "vote")
            return
        self.world.journal.record(self.name, "voted", report=report.hex()[:16])
        await clock.sleep_until_ms(ballot.vote_until_ms + REVEAL_MARGIN_MS)
        if not await self._send(report, task, "reveal", ballot.reveal_until_ms, task.choice, salt):
            self._finish(report, task, "missed", "reveal")
            return
        self._finish(report, task, "revealed", "")

    async def _await_choice(self, task: Task, seen_ms: int) -> None:
        """Until a human decides, the actor has seen for itself, or the time to vote is over (perhaps already)."""
        while task.choice is None:
            until_ms = task.ballot.vote_until_ms if self.attended else min(seen_ms, task.ballot.vote_until_ms)
            with trio.move_on_after(max(0, until_ms - self.world.clock.now_ms()) / 1000) as waiting:
                await task.changed.wait()
            if waiting.cancelled_caught:
                return
            task.changed = trio.Event()

    def _salt(self, report: TxId) -> bytes:
        """A secret of ours for this report: the same after a restart, so that a vote can still be revealed."""
        return sha256(b"crowdmesh:worker:salt:1:" + self.identity.secret + report).digest()[:SALT_BYTES]

    async def _send(self, report: TxId, task: Task, method: str, until_ms: int, *args: object) -> bool:
        """Call until it is included or its window is over."""
        while self.world.clock.now_ms() <= until_ms:
            left_s = max(1.0, (until_ms - self.world.clock.now_ms()) / 1000)
            try:
                if task.ledger is not self.ledger:
                    await self.node.reach(task.mec)  # we may have walked away from it
                await task.ledger.call("spatial", method, report, *args, stage="included", patience_s=left_s)
            except Refused as refused:
                if refused.reason in ("vote_twice", "reveal_twice"):
                    return True  # an earlier attempt of ours made it after all
                if refused.reason not in ("reveal_too_early", "vote_not_open", "unknown_report"):
                    self.world.journal.record(
                        self.name, "vote_refused", report=report.hex()[:16], method=method, reason=refused.reason
                    )
                    return False
            except (GatewayError, OutcomeUnknownError, NotConnectedError):
                pass
            else:
                return True
            await trio.sleep(RETRY_S)
        return False

    def _finish(self, report: TxId, task: Task, stage: str, why: str) -> None:
        task.stage = stage
        fields = {"confirm": task.choice, "by": task.decided_by} if stage == "revealed" else {"why": why}
        self.world.journal.record(self.name, stage, report=report.hex()[:16], **fields)
