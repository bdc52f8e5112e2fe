"""The campaigns of a swarm behind the user interface's seam: implements `actors.campaign_control.CampaignControl`."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from actors.actor import Actor
from actors.campaign_book import CampaignBook
from actors.campaign_control import CampaignSummary, CampaignView, PlanView
from actors.campaign_views import (
    Cycle,
    bids_of,
    oracles_of,
    phases_of,
    purses_of,
    result_of,
    stops_of,
    summary_of,
    tasks_of,
    terms_of,
)
from actors.campaigns.worker import CampaignWorker
from actors.control import CommandRefusedError
from actors.ledger import Ledger
from actors.sensing.mobility import Point
from actors.swarm_access import Access, accounts_of, id_bytes
from actors.worker import Worker
from chain.codec import block_id
from chain.contracts.campaign_board import data_until_ms
from chain.contracts.campaign_commitments import draw_oracles
from chain.contracts.campaign_queries import Drawn, Purse, count_campaigns
from chain.contracts.campaign_records import COLLECTION, MAX_TASKS, TIMED, Bid, CampaignId, Oracle, Standing, Stop, Task
from chain.errors import Refused
from chain.values import Account, TxId

PATIENCE_S = 60.0
"""How long a command waits for its block."""
ATTEMPTS = 8
"""At a number or a seat that others take at the same time."""


class SwarmCampaigns:
    """Implements `CampaignControl`; `book` has what final blocks told of money."""

    def __init__(self, access: Access, book: CampaignBook) -> None:
        self._access, self._book = access, book
        self._count = (-1, 0)
        """Height and number of campaigns there."""

    # What is. -------------------------------------------------------------------------------------------------

    def count(self) -> int:
        """See `CampaignControl.count`."""
        node = self._access.reference()
        if node is not None and node.core.final.height != self._count[0]:
            self._count = node.core.final.height, count_campaigns(node.core.final_state)
        return self._count[1]

    async def campaigns(self, actor: str, *, after: str | None = None, limit: int = 20) -> Sequence[CampaignSummary]:
        """See `CampaignControl.campaigns`."""
        ledger = self._access.find(actor).ledger
        mark = TxId(id_bytes(after)) if after else None
        page: Sequence[Standing] = await self._query(ledger, "campaigns", limit, mark)
        questions = [
            _question(ledger, method, standing.campaign.id, standing.campaign.cycle)
            for standing in page
            for method in ("tasks", "bids")
        ]
        counts = [len(rows) for rows in await self._access.ask_all(questions)]
        return [
            summary_of(standing, tasks, bids)
            for standing, tasks, bids in zip(page, counts[::2], counts[1::2], strict=True)
        ]

    async def campaign(self, actor: str, campaign: str) -> CampaignView:
        """See `CampaignControl.campaign`."""
        found = self._access.find(actor)
        ledger, viewer = found.ledger, accounts_of(found)
        standing = await self._standing(ledger, campaign)
        id_, number = standing.campaign.id, standing.campaign.cycle
        tasks, bids, progress, purses, oracles, draw, returned, for_good, balance = await self._access.ask_all(
            [
                *(_question(ledger, method, id_, number) for method in ("tasks", "bids", "progress")),
                *(_question(ledger, method, id_) for method in ("purses", "oracles", "draw", "returned")),
                lambda: self._final_purses(ledger, id_),
                lambda: ledger.query("accounts", "balance", found.identity.account),
            ]
        )
        cycle = Cycle(standing, tasks, bids, progress, purses)
        drawn = await self._drawn(ledger, standing, oracles, draw)
        known = TxId(id_)
        return CampaignView(
            summary=summary_of(standing, len(tasks), len(bids)),
            terms=terms_of(standing.terms),
            phases=phases_of(standing),
            data_until_ms=data_until_ms(standing.campaign, standing.terms),
            tasks=tasks_of(cycle, viewer),
            bids=bids_of(cycle, viewer),
            oracles=oracles_of(cycle, oracles, drawn, draw.draw.passed_over if draw else (), returned),
            result=result_of(cycle),
            purses=purses_of(for_good, self._book.totals(known)),
            flows=self._book.flows(known),
            can_bid=_device(found) is not None,
            balance=balance,
        )

    # Commands. ------------------------------------------------------------------------------------------------

    async def publish_task(
        self,
        actor: str,
        campaign: str,
        *,
        lat: float,
        lon: float,
        reward: int,
        samples: int,
        time_ms: int,
        interval_ms: int,
    ) -> int:
        """See `CampaignControl.publish_task`."""
        ledger = self._access.find(actor).ledger
        standing = await self._standing(ledger, campaign)
        taken: set[int] = set()
        for _ in range(ATTEMPTS):
            taken |= {task.number for task in await self._tasks(ledger, standing)}
            # Requesters that play by themselves count from below.
            number = next((number for number in reversed(range(MAX_TASKS)) if number not in taken), None)
            if number is None:
                break
            task = (number, *Point(lat, lon).e7, reward, time_ms, interval_ms, samples)
            if await self._took(ledger, "publish_task", "number_taken", standing.campaign.id, *task):
                return number
            taken.add(number)
        reason = "campaign_full"
        raise CommandRefusedError(reason, f"all of {MAX_TASKS} numbers are taken, or were as fast as they were tried")

    async def plan(self, actor: str, campaign: str, tasks: Sequence[int] = ()) -> PlanView:
        """See `CampaignControl.plan`."""
        found = self._access.find(actor)
        standing = await self._standing(found.ledger, campaign)
        device = _device_of(found)
        all_tasks = await self._tasks(found.ledger, standing)
        return _planned(device, standing, _wanted(all_tasks, tasks), all_tasks)[0]

    async def bid(self, actor: str, campaign: str, tasks: Sequence[int] = ()) -> PlanView:
        """See `CampaignControl.bid`."""
        found = self._access.find(actor)
        standing = await self._standing(found.ledger, campaign)
        device = _device_of(found)
        all_tasks = await self._tasks(found.ledger, standing)
        plan, path = _planned(device, standing, _wanted(all_tasks, tasks), all_tasks)
        if tasks and plan.left_out:
            raise _cannot_walk(plan)
        for _ in range(ATTEMPTS):
            bids: Sequence[Bid] = await self._query(found.ledger, "bids", standing.campaign.id, standing.campaign.cycle)
            seat = device.seat(bids)
            if seat is None:
                break
            if await self._took(found.ledger, "bid_path", "seat_taken", standing.campaign.id, seat, path):
                return plan
        reason = "campaign_full"
        raise CommandRefusedError(reason, "all seats are taken, or were as fast as they were tried")

    # Asking. --------------------------------------------------------------------------------------------------

    async def _query(self, ledger: Ledger, method: str, *args: Any) -> Any:
        return await self._access.ask(_question(ledger, method, *args))

    async def _standing(self, ledger: Ledger, campaign: str) -> Standing:
        standing: Standing = await self._query(ledger, "campaign", TxId(id_bytes(campaign)))
        return standing

    async def _tasks(self, ledger: Ledger, standing: Standing) -> Sequence[Task]:
        rows: Sequence[Task] = await self._query(ledger, "tasks", standing.campaign.id, standing.campaign.cycle)
        return rows

    async def _final_purses(self, ledger: Ledger, campaign: CampaignId) -> Sequence[Purse]:
        """What is held for good, as the book has what moved for good."""
        try:
            rows: Sequence[Purse] = await ledger.query("campaign", "purses", campaign, at="final")
        except Refused:  # it is not final that there is such a campaign
            return ()
        return rows

    async def _took(self, ledger: Ledger, method: str, beaten: str, campaign: CampaignId, *args: Any) -> bool:
        """Call; False where it was refused for the reason `beaten`. Raises CommandRefusedError for any other."""
        try:
            await self._access.command(
                lambda: ledger.call("campaign", method, campaign, *args, stage="included", patience_s=PATIENCE_S)
            )
        except CommandRefusedError as refused:
            if refused.reason != beaten:
                raise
            return False
        return True

    async def _drawn(
        self, ledger: Ledger, standing: Standing, oracles: Sequence[Oracle], draw: Drawn | None
    ) -> Collection[Account]:
        """Who is drawn at present; nobody while the block that seeds the draw is not final."""
        if draw is None:
            return ()
        height = draw.recorded_height + standing.terms.draw_delay
        heads, rows = await self._access.ask_all([ledger.heads, lambda: ledger.headers(height + 1, 1)])
        if heads.final.height < height or not rows or rows[0][0].height != height:
            return ()
        registered = [Account(oracle.account) for oracle in oracles]
        found = standing.campaign
        passed_over = [Account(account) for account in draw.draw.passed_over]
        terms = standing.terms
        drawn = draw_oracles(block_id(rows[0][0]), found.id, found.cycle, registered, passed_over, terms.drawn)
        return drawn if len(drawn) >= terms.agreeing else ()


def _question(ledger: Ledger, method: str, *args: Any) -> Callable[[], Awaitable[Any]]:
    return lambda: ledger.query("campaign", method, *args)


def _device(actor: Actor) -> CampaignWorker | None:
    """What plans and walks paths for an actor, if it has that."""
    return actor.campaigner if isinstance(actor, Worker) else None


def _device_of(actor: Actor) -> CampaignWorker:
    device = _device(actor)
    if device is None:
        reason = "not_a_worker"
        raise CommandRefusedError(reason, f"{actor.name} is a {actor.role}, and has no device that plans a path")
    return device


def _wanted(tasks: Sequence[Task], numbers: Sequence[int]) -> Sequence[Task]:
    """The tasks of these numbers, or all. Raises CommandRefusedError (``unknown_task``)."""
    unknown = set(numbers) - {task.number for task in tasks}
    if unknown:
        reason = "unknown_task"
        raise CommandRefusedError(reason, ", ".join(map(str, sorted(unknown))))
    return [task for task in tasks if not numbers or task.number in numbers]


def _planned(
    device: CampaignWorker, standing: Standing, wanted: Sequence[Task], all_tasks: Sequence[Task]
) -> tuple[PlanView, Sequence[Stop]]:
    """What the device would bid for these tasks. Raises CommandRefusedError (``cannot_walk``): nothing."""
    try:
        plan, path = device.plan(standing, list(wanted))
    except ValueError as error:
        reason = "cannot_walk"
        raise CommandRefusedError(reason, str(error)) from None
    start, destination = device.ways(standing.campaign.cycle)
    view = PlanView(
        path=stops_of(path, all_tasks),
        start=(start.lat, start.lon),
        destination=(destination.lat, destination.lon),
        departs_ms=standing.ends_ms[TIMED.index(COLLECTION) - 1] + 1,
        distance_m=plan.distance_m,
        left_out=sorted({task.number for task in wanted} - {stop.task for stop in path}),
    )
    if not path:
        raise _cannot_walk(view)
    return view, path


def _cannot_walk(plan: PlanView) -> CommandRefusedError:
    out, within = (", ".join(map(str, numbers)) for numbers in (plan.left_out, sorted(s.task for s in plan.path)))
    left = f"no way leads to {out} in time" if out else "there is no task"
    return CommandRefusedError("cannot_walk", f"{left}; within reach together: {within or 'none'}")
