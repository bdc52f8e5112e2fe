"""From the campaign contract's records to what people are shown. Pure functions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from actors.campaign_control import (
    BidView,
    CampaignSummary,
    OracleView,
    PhaseView,
    PurseView,
    ResultView,
    StopView,
    TaskView,
    TermsView,
)
from actors.sensing.mobility import Point
from actors.views import actor_id
from chain.contracts.campaign_queries import Purse
from chain.contracts.campaign_records import (
    CLOSED,
    DONE,
    MAX_BIDS,
    MAX_SAMPLES,
    MAX_TASKS,
    REGISTRATION,
    TIMED,
    Bid,
    Oracle,
    Progress,
    Standing,
    Stop,
    Task,
    Terms,
)
from chain.contracts.campaign_winners import MILLION, quality_ppm
from chain.values import Account

PURSES = ("task", "bid", "oracle", "bond")
KINDS = ("rewarded", "unspent", "returned", "forfeited", "penalised", "bounty")


@dataclass(frozen=True, slots=True)
class Cycle:
    """What the ledger has of one cycle of a campaign."""

    standing: Standing
    tasks: Sequence[Task]
    bids: Sequence[Bid]
    """By worker."""
    progress: Sequence[Progress]
    purses: Sequence[Purse]

    def held(self, kind: str, name: bytes) -> int:
        """Micro-credits in one purse."""
        return sum(purse.amount for purse in self.purses if (purse.kind, purse.name) == (kind, name))

    def chosen(self) -> Sequence[Bid]:
        """Bids whose paths are selected."""
        accepted = self.standing.accepted
        return [] if accepted is None else [self.bids[p] for p in accepted.selection.paths if p < len(self.bids)]


def summary_of(standing: Standing, tasks: int, bids: int) -> CampaignSummary:
    """One line about a campaign."""
    found = standing.campaign
    return CampaignSummary(
        id=found.id.hex(),
        organizer=actor_id(found.organizer),
        opened_ms=found.opened_ms,
        cycle=found.cycle,
        phase=found.phase,
        ends_ms=standing.ends_ms[TIMED.index(found.phase)] if found.phase in TIMED else None,
        void=found.void,
        settled=standing.settled,
        tasks=tasks,
        bids=bids,
    )


def phases_of(standing: Standing) -> Sequence[PhaseView]:
    """The phases of this cycle; registration comes once, before the first."""
    found = standing.campaign
    begins = (found.opened_ms, *(end + 1 for end in standing.ends_ms))
    now = TIMED.index(found.phase) if found.phase in TIMED else len(TIMED)
    views = [
        PhaseView(
            name, begins[place], standing.ends_ms[place], ("over", "now", "to_come")[(place >= now) + (place > now)]
        )
        for place, name in enumerate(TIMED)
    ]
    return views if found.cycle == 0 else [view for view in views if view.name != REGISTRATION]


def terms_of(terms: Terms) -> TermsView:
    """What the organizer deployed."""
    return TermsView(
        deposit=terms.deposit,
        stake=terms.stake,
        penalty=terms.penalty,
        bond=terms.bond,
        bounty=terms.bounty,
        grace_ms=terms.grace_ms,
        review_ms=terms.review_ms,
        oracle_ms=terms.oracle_ms,
        draw_delay=terms.draw_delay,
        drawn=terms.drawn,
        agreeing=terms.agreeing,
        check=terms.check,
        challenge_ms=terms.challenge_ms,
        max_speed_m_s=terms.max_speed_mm_s / 1000,
        oracles=[actor_id(account) for account in terms.oracles],
        max_tasks=MAX_TASKS,
        max_bids=MAX_BIDS,
        max_samples=MAX_SAMPLES,
    )


def stops_of(path: Sequence[Stop], tasks: Sequence[Task]) -> Sequence[StopView]:
    """A path on the map. Stops at tasks that are not there are left out: two answers may be of different moments."""
    by_number = {task.number: task for task in tasks}
    views = []
    for stop in path:
        task = by_number.get(stop.task)
        if task is None:
            continue
        quality = quality_ppm(stop.arrival_ms, task.time_ms, task.interval_ms) / MILLION
        views.append(StopView(stop.task, task.lat_e7 / 1e7, task.lon_e7 / 1e7, stop.arrival_ms, quality))
    return views


def tasks_of(cycle: Cycle, viewer: Collection[Account]) -> Sequence[TaskView]:
    """The tasks, by number."""
    done = cycle.standing.campaign.phase in (DONE, CLOSED)
    offered, selected = _counts(cycle.bids), _counts(cycle.chosen())
    winners = _winners(cycle)
    kept = {row.worker: _kept(row) for row in cycle.progress}
    views = []
    for task in cycle.tasks:
        over = done and not cycle.held("task", task.number.to_bytes(2, "big"))
        won = {worker for worker in winners.get(task.number, ()) if task.number in kept.get(worker, ())}
        paid = 0 if cycle.standing.campaign.void else task.reward * min(len(won), task.samples)
        views.append(
            TaskView(
                number=task.number,
                requester=actor_id(task.requester),
                lat=task.lat_e7 / 1e7,
                lon=task.lon_e7 / 1e7,
                reward=task.reward,
                samples=task.samples,
                time_ms=task.time_ms,
                interval_ms=task.interval_ms,
                offered=offered.get(task.number, 0),
                selected=selected.get(task.number, 0),
                winners=[actor_id(worker) for worker in winners.get(task.number, ())],
                paid=paid if over else None,
                mine=task.requester in viewer,
            )
        )
    return views


def bids_of(cycle: Cycle, viewer: Collection[Account]) -> Sequence[BidView]:
    """The bids: selected ones first, then by worker."""
    rewards = {task.number: task.reward for task in cycle.tasks}
    rows = {row.worker: row for row in cycle.progress}
    views = []
    for bid in cycle.bids:
        row = rows.get(bid.worker)
        places = stops_of(bid.path, cycle.tasks)
        points = [Point(stop.lat, stop.lon) for stop in places]
        earned = (
            0
            if row is None or cycle.standing.campaign.void
            else sum(rewards.get(number, 0) for number in _earning(row, cycle))
        )
        views.append(
            BidView(
                worker=actor_id(bid.worker),
                path=places,
                distance_m=sum(one.distance_m(other) for one, other in pairwise(points)),
                stage=_stage(cycle, row),
                wins=() if row is None else row.chosen.wins,
                earned=earned,
                disputed=() if row is None else row.disputed,
                deposit=cycle.held("bid", bid.worker),
                mine=bid.worker in viewer,
            )
        )
    return sorted(views, key=lambda view: view.stage in ("bid", "not_selected"))


def oracles_of(
    cycle: Cycle,
    oracles: Sequence[Oracle],
    drawn: Collection[Account],
    passed_over: Collection[Account],
    returned: Collection[Account],
) -> Sequence[OracleView]:
    """The registered oracles, by account."""
    return [
        OracleView(
            account=actor_id(oracle.account),
            stake=cycle.held("oracle", oracle.account),
            drawn=oracle.account in drawn,
            returned=oracle.account in returned,
            passed_over=oracle.account in passed_over,
        )
        for oracle in oracles
    ]


def result_of(cycle: Cycle) -> ResultView | None:
    """The selection that stands."""
    accepted = cycle.standing.accepted
    if accepted is None:
        return None
    selected = _counts(cycle.chosen())
    return ResultView(
        paths=len(accepted.selection.paths),
        oracles=[actor_id(account) for account in accepted.oracles],
        accepted_ms=accepted.accepted_ms,
        challenge_until_ms=accepted.accepted_ms + cycle.standing.terms.challenge_ms,
        uncovered=[task.number for task in cycle.tasks if selected.get(task.number, 0) < task.samples],
    )


def purses_of(purses: Sequence[Purse], totals: Mapping[tuple[str, str], int]) -> Sequence[PurseView]:
    """What is held, and what came of the rest; `totals` as the book of flows has them."""
    return [
        PurseView(
            purse=kind,
            held=sum(purse.amount for purse in purses if purse.kind == kind),
            locked=totals.get((kind, "locked"), 0),
            paid=[(what, totals[kind, what]) for what in KINDS if totals.get((kind, what))],
        )
        for kind in PURSES
    ]


def phase_begun(event: str) -> str | None:
    """Which phase an event of the contract begins."""
    if event in ("ended", "closed"):
        return DONE if event == "ended" else CLOSED
    return event.removesuffix("_started") if event.endswith("_started") else None


def _counts(bids: Sequence[Bid]) -> Mapping[int, int]:
    """Task to how many of these paths have it."""
    counts: dict[int, int] = {}
    for bid in bids:
        for stop in bid.path:
            counts[stop.task] = counts.get(stop.task, 0) + 1
    return counts


def _winners(cycle: Cycle) -> Mapping[int, Sequence[Account]]:
    accepted = cycle.standing.accepted
    if accepted is None:
        return {}
    return {
        task.number: [cycle.bids[place].worker for place in named if place < len(cycle.bids)]
        for task, named in zip(cycle.tasks, accepted.selection.winners, strict=False)
    }


def _kept(row: Progress) -> Collection[int]:
    """Tasks that a selected worker is paid for, if the cycle ended now."""
    return set(row.chosen.wins) - set(row.disputed) if row.chosen.opened else ()


def _earning(row: Progress, cycle: Cycle) -> Collection[int]:
    """The same, as long as it may still hand data in: what it hopes for."""
    if cycle.standing.campaign.phase in (DONE, CLOSED):
        return _kept(row)
    return set(row.chosen.wins) - set(row.disputed)


def _stage(cycle: Cycle, row: Progress | None) -> str:
    found = cycle.standing.campaign
    if found.void:
        return "void"
    if row is None:
        return "bid" if cycle.standing.accepted is None else "not_selected"
    if found.phase in (DONE, CLOSED) and (row.disputed or not row.chosen.opened):
        return "lost"
    if cycle.standing.settled:
        return "paid"
    if row.chosen.opened:
        return "submitted"
    return "selected" if row.chosen.commitment is None else "committed"
