"""Over-bidding: a worker is selected for a path that it cannot walk, and wins by arrival times that it cannot keep.

Attacked: selection and rewards, which go by what bids say. `impossible-path` offers every task, each at its very best time,
wherever they are; what it hands over then is made up. `optimistic-path` plans as though it were as fast as a bid may be, a
fifth faster than it is, and knew no limit to its way.
Budget: a third of the workers.
Success: one is paid in a cycle for a path that it cannot walk from task to task at the speed it has.
Defence: a path that needs a higher speed than the terms allow is refused. Off: terms that allow any.
What remains: who is slower than the terms allow can pretend not to be. Where it really goes nobody sees: see `made-up-data`.
Source: spec/campaign.md, "bid_path"; `chain.contracts.campaign_market`.
"""

import dataclasses
from itertools import pairwise

from actors.attacks.campaign.cast import Rules, case, gained, worker
from actors.attacks.case import Case, Measured
from actors.campaign_trial import MAX_SPEED_M_S, SPEED_M_S, WORKERS, Ending, workers
from actors.campaigns.board import end_ms, start_ms
from actors.campaigns.worker import CampaignWorker
from actors.sensing.mobility import Point
from actors.sensing.planning import Plan, Problem
from chain.contracts.campaign_records import COLLECTION, MAX_PATH, Bid, Standing, Stop, Task

BIDDERS = workers(4)
NO_LIMIT_M = 1e6
NEAR_M = 0.05
"""As in the contract."""


class Wizard(CampaignWorker):
    """Bids to be everywhere at the best time."""

    def plan(self, standing: Standing, tasks: list[Task]) -> tuple[Plan, tuple[Stop, ...]]:
        """See `CampaignWorker.plan`."""
        plan, _ = super().plan(standing, tasks)
        first_ms, last_ms = start_ms(standing, COLLECTION), end_ms(standing, COLLECTION)
        stops = [Stop(task.number, min(max(task.time_ms, first_ms), last_ms)) for task in tasks]
        return plan, tuple(sorted(stops, key=lambda stop: stop.arrival_ms)[:MAX_PATH])


class Optimist(CampaignWorker):
    """Plans as though it were as fast as the terms allow, and never tired."""

    def problem(self, standing: Standing, tasks: list[Task]) -> Problem:
        """See `CampaignWorker.problem`."""
        problem = super().problem(standing, tasks)
        return dataclasses.replace(problem, speed_m_s=MAX_SPEED_M_S, limit_m=NO_LIMIT_M)


def _paid_for_nothing(ending: Ending) -> Measured:
    bidders = {ending.account(name) for name in BIDDERS}
    tasks = {(cycle, task.number): task for cycle, _, task in ending.records(b"task/", Task)}
    rewards = ending.paid(*BIDDERS)
    bids = {(cycle, bid.worker): bid for cycle, _, bid in ending.records(b"bid/", Bid)}
    wins = sum(
        rewards.get(key, 0) > 0 and not walkable([(stop, tasks[key[0], stop.task]) for stop in bid.path], SPEED_M_S)
        for key, bid in bids.items()
        if key[1] in bidders
    )
    tries = len(BIDDERS) * ending.cycles
    figures = {
        "rewards of each, a cycle": sum(rewards.values()) / tries,
        "gained by each, credits a cycle": gained(ending, BIDDERS, tries),
    }
    return Measured(wins, tries, figures)


def walkable(path: list[tuple[Stop, Task]], speed_m_s: float) -> bool:
    """Whether one can be at each stop in time who was at the one before in time."""
    for (before, there), (stop, task) in pairwise(path):
        way_m = Point.from_e7(there.lat_e7, there.lon_e7).distance_m(Point.from_e7(task.lat_e7, task.lon_e7))
        if way_m > NEAR_M + speed_m_s * (stop.arrival_ms - before.arrival_ms) / 1000:
            return False
    return True


def _case(name: str, kind: type[CampaignWorker], stands: str = "") -> Case:
    return case(
        dict.fromkeys(BIDDERS, worker(kind)),
        _paid_for_nothing,
        off=Rules({"max_speed_m_s": 0.0}),
        name=name,
        goal="a worker is paid for a path that it cannot walk",
        budget=f"{len(BIDDERS)} of {WORKERS} workers, who walk {SPEED_M_S:g} m/s",
        defence=f"no path that needs more than {MAX_SPEED_M_S:g} m/s; off: any",
        source="spec/campaign.md: bid_path",
        stands=stands,
    )


OVERBIDDING = (
    _case("impossible-path", Wizard),
    _case("optimistic-path", Optimist, stands="how fast somebody can walk is its own word, up to what terms allow"),
)
