"""Fixed campaigns for page tests: a real, small `CampaignControl` in memory, where every value is known beforehand."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from actors.campaign_control import (
    BidView,
    CampaignSummary,
    CampaignView,
    FlowView,
    OracleView,
    PhaseView,
    PlanView,
    PurseView,
    ResultView,
    StopView,
    TaskView,
    TermsView,
)
from actors.control import CommandRefusedError, UnknownRecordError

TIMED = ("registration", "publishing", "bidding", "selection", "collection", "submission")
MINUTE = 60_000
TERMS = TermsView(
    deposit=500_000,
    stake=5_000_000,
    penalty=2_000_000,
    bond=3_000_000,
    bounty=500_000,
    grace_ms=6_000,
    review_ms=14_000,
    oracle_ms=12_000,
    draw_delay=1,
    drawn=1,
    agreeing=1,
    check="on_return",
    challenge_ms=4_000,
    max_speed_m_s=12.0,
    oracles=(),
    max_tasks=128,
    max_bids=256,
    max_samples=16,
)


class FixedCampaigns:
    """`CampaignControl` over lists. The first campaign can be set into any phase; its phases take a minute each."""

    def __init__(
        self,
        now_ms: int,
        name: Callable[[str], str],
        ask: Callable[[str], Awaitable[None]],
        ident: Callable[[str], str],
    ) -> None:
        self._now_ms, self._name, self._ask = now_ms, name, ask
        self.ids = [ident(f"campaign {number}") for number in range(3)]
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.bidden: list[tuple[str, Sequence[int]]] = []
        self.refuse_next: CommandRefusedError | None = None
        self.view = self._first()
        self.set_phase("publishing")

    def set_phase(self, phase: str, **changes: Any) -> None:
        """It is half over. `changes` are of the summary."""
        begin = (
            self._now_ms - MINUTE // 2 - TIMED.index(phase) * MINUTE if phase in TIMED else self._now_ms - MINUTE * 6
        )
        place = TIMED.index(phase) if phase in TIMED else len(TIMED)
        phases = [
            PhaseView(
                each,
                begin + number * MINUTE,
                begin + (number + 1) * MINUTE - 1,
                "now" if number == place else "over" if number < place else "to_come",
            )
            for number, each in enumerate(TIMED)
        ]
        ends_ms = phases[place].ends_ms if phase in TIMED else None
        summary = replace(self.view.summary, **{"phase": phase, "ends_ms": ends_ms, **changes})
        self.view = replace(self.view, summary=summary, phases=phases, data_until_ms=phases[-1].ends_ms - 14_000)

    def select(self) -> None:
        """An oracle returned a result: the first of the two paths is taken."""
        first, second = self.view.bids
        winners = (first.worker,)
        self.view = replace(
            self.view,
            tasks=[replace(task, selected=1, winners=winners) for task in self.view.tasks],
            bids=[
                replace(first, stage="selected", wins=(3, 7), earned=3_500_000),
                replace(second, stage="not_selected"),
            ],
            oracles=[replace(self.view.oracles[0], drawn=True, returned=True)],
            result=ResultView(
                paths=1,
                oracles=(self.view.oracles[0].account,),
                accepted_ms=self._now_ms - 9_000,
                challenge_until_ms=self._now_ms - 5_000,
                uncovered=(7,),
            ),
        )

    def _stops(self, *tasks: int) -> Sequence[StopView]:
        places = {task.number: (task.lat, task.lon) for task in self.view.tasks}
        return [
            StopView(task, *places[task], self._now_ms + 100_000 + 5_000 * place, 0.25 * (place + 1))
            for place, task in enumerate(tasks)
        ]

    def _first(self) -> CampaignView:
        summary = CampaignSummary(
            id=self.ids[0],
            organizer=self._name("requester-02"),
            opened_ms=self._now_ms - 90_000,
            cycle=0,
            phase="publishing",
            ends_ms=0,
            void=False,
            settled=False,
            tasks=2,
            bids=2,
        )
        tasks = [
            TaskView(
                number=number,
                requester=self._name("requester-01"),
                lat=52.51 + number / 1_000,
                lon=13.39 + number / 1_000,
                reward=reward,
                samples=samples,
                time_ms=self._now_ms + 120_000,
                interval_ms=20_000,
                offered=2,
                selected=0,
                winners=(),
                paid=None,
                mine=number == 3,
            )
            for number, reward, samples in ((3, 1_500_000, 1), (7, 2_000_000, 2))
        ]
        self.view = CampaignView(summary, TERMS, (), 0, tasks, (), (), None, (), (), can_bid=True, balance=94_000_000)
        bids = [
            BidView(
                worker=self._name(worker),
                path=self._stops(*path),
                distance_m=1_234.0,
                stage="bid",
                wins=(),
                earned=0,
                disputed=(),
                deposit=500_000,
                mine=False,
            )
            for worker, path in (("worker-02", (3, 7)), ("worker-03", (7, 3)))
        ]
        oracle = self._name("worker-06")
        flow = FlowView(12, self._now_ms, 0, "task", "locked", 3, self._name("requester-01"), None, 1_500_000)
        return replace(
            self.view,
            bids=bids,
            oracles=[OracleView(oracle, 5_000_000, drawn=False, returned=False, passed_over=False)],
            purses=[
                PurseView("task", 5_500_000, 7_500_000, (("rewarded", 1_500_000), ("unspent", 500_000))),
                PurseView("bid", 1_000_000, 1_000_000, ()),
                PurseView("oracle", 5_000_000, 5_000_000, ()),
                PurseView("bond", 0, 0, ()),
            ],
            flows=[
                replace(flow, kind="rewarded", target=self._name("worker-02"), height=30),
                *(replace(flow, height=29 - number) for number in range(20)),
                replace(flow, purse="bid", kind="returned", task=None, target=flow.source, height=2),
                replace(flow, purse="bond", task=None, source=None, height=1),
            ],
        )

    def count(self) -> int:
        return len(self.ids)

    async def campaigns(self, actor: str, *, after: str | None = None, limit: int = 20) -> Sequence[CampaignSummary]:
        await self._ask(actor)
        assert 1 <= limit <= 50
        if after is not None and after not in self.ids:
            raise UnknownRecordError(after)
        later = self.ids[self.ids.index(after) + 1 if after else 0 :]
        return [replace(self.view.summary, id=each) for each in later[:limit]]

    async def campaign(self, actor: str, campaign: str) -> CampaignView:
        await self._ask(actor)
        if campaign not in self.ids:
            raise UnknownRecordError(campaign)
        bids = [replace(bid, mine=bid.worker == actor) for bid in self.view.bids]
        can_bid = "worker" in actor
        return replace(self.view, summary=replace(self.view.summary, id=campaign), bids=bids, can_bid=can_bid)

    async def publish_task(self, actor: str, campaign: str, **task: Any) -> int:
        await self.campaign(actor, campaign)
        self._refuse()
        self.published.append((actor, task))
        return 126 + len(self.published)

    async def plan(self, actor: str, campaign: str, tasks: Sequence[int] = ()) -> PlanView:
        view = await self.campaign(actor, campaign)
        self._refuse()
        if not view.can_bid:
            raise CommandRefusedError("not_a_worker", "it has no device that plans a path")
        known = [task.number for task in view.tasks]
        if unknown := sorted(set(tasks) - set(known)):
            raise CommandRefusedError("unknown_task", str(unknown[0]))
        return PlanView(
            path=self._stops(*(tasks or known)),
            start=(52.505, 13.37),
            destination=(52.53, 13.43),
            departs_ms=self._now_ms + 90_000,
            distance_m=2_500.0,
            left_out=(),
        )

    async def bid(self, actor: str, campaign: str, tasks: Sequence[int] = ()) -> PlanView:
        plan = await self.plan(actor, campaign, tasks)
        self.bidden.append((actor, tasks))
        return plan

    def _refuse(self) -> None:
        if self.refuse_next is not None:
            error, self.refuse_next = self.refuse_next, None
            raise error
