"""The setting that ChainSensing was evaluated in (spec/campaign.md), drawn at random, and what its algorithms do there.

The paper says that tasks are "in the middle" of the square, and that workers go from its left side to its right. Two
readings are drawn: `strip`, the middle half of the width and all of the height, and `square`, the middle half of both.
Starts and destinations are uniform on their sides. Nothing else is open, and nothing is fitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from actors.scenario import ScenarioError
from actors.sensing.planning import Plan, Planner, Problem, broken
from actors.sensing.selection import rounds, uncovered
from chain.contracts.campaign_winners import Stop, quality_ppm, winners

READINGS = ("strip", "square")
PAPER_TASKS = (5, 9)
"""Published: the least and the most tasks of a path, in one campaign."""
PAPER_SELECTED, PAPER_REWARDS = 6, 30
"""Published: workers selected of 15, and what they were paid together."""


@dataclass(frozen=True, slots=True)
class Setting:
    """As published, but for `reading`. Milliseconds, metres, metres a second."""

    tasks: int = 10
    workers: int = 15
    reading: str = "strip"
    side_m: float = 100.0
    speed_m_s: float = 1.0
    limit_m: float = 400.0
    times_ms: tuple[int, int] = (100_000, 150_000)
    interval_ms: int = 100_000
    samples: int = 3
    reward: int = 1


@dataclass(frozen=True, slots=True)
class Campaign:
    """Tasks and workers before anybody has planned anything. Places are in metres, from the lower left."""

    setting: Setting
    places: tuple[tuple[float, float], ...]
    times_ms: tuple[int, ...]
    ends: tuple[tuple[tuple[float, float], tuple[float, float]], ...]
    """Start and destination of each worker."""

    def problems(self) -> list[Problem]:
        """What each worker has to plan; it departs at second 0."""
        setting = self.setting
        return [
            Problem.planar(
                self.places,
                start,
                destination,
                times_s=[time / 1000 for time in self.times_ms],
                intervals_s=[setting.interval_ms / 1000] * len(self.places),
                speed_m_s=setting.speed_m_s,
                limit_m=setting.limit_m,
            )
            for start, destination in self.ends
        ]


def draw(setting: Setting, rng: Random) -> Campaign:
    """A campaign at random."""
    side = setting.side_m
    height = (0.0, side) if setting.reading == "strip" else (side / 4, 3 * side / 4)
    places = tuple((rng.uniform(side / 4, 3 * side / 4), rng.uniform(*height)) for _ in range(setting.tasks))
    times = tuple(rng.randint(*setting.times_ms) for _ in range(setting.tasks))
    ends = tuple(((0.0, rng.uniform(0, side)), (side, rng.uniform(0, side))) for _ in range(setting.workers))
    return Campaign(setting, places, times, ends)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the three algorithms make of a campaign."""

    plans: tuple[Plan, ...]
    rounds: tuple[tuple[int, int], ...]
    """Of the selection: the path taken, and how many samples it adds."""
    winners: tuple[tuple[int, ...], ...]
    """By task, best first."""
    rewards: Mapping[int, int]
    """By selected worker, in ascending order."""
    uncovered: Mapping[int, int]
    """Samples missing, by task."""


def play(campaign: Campaign, planner: Planner, rng: Random) -> Outcome:
    """Plan with that planner, and select and reward as the paper does. Raises ScenarioError for a plan that is not sound."""
    setting, problems = campaign.setting, campaign.problems()
    plans = tuple(planner(problem, rng) for problem in problems)
    for worker, (problem, plan) in enumerate(zip(problems, plans, strict=True)):
        if wrong := broken(problem, plan):
            raise ScenarioError(f"the plan of worker {worker} is not sound: {'; '.join(wrong)}")
    wanted = [setting.samples] * setting.tasks
    taken = rounds([plan.order for plan in plans], wanted)
    selected = sorted(path for path, _ in taken)
    won, earned = settle(campaign.times_ms, wanted, [bid(plan) for plan in plans], selected, setting.reward)
    return Outcome(
        plans,
        tuple(taken),
        won,
        earned,
        uncovered([plan.order for plan in plans], wanted, selected),
    )


def bid(plan: Plan) -> tuple[Stop, ...]:
    """A plan as it is told to others: tasks, and milliseconds."""
    return tuple((task, round(second * 1000)) for task, second in plan.stops)


def settle(
    times_ms: Sequence[int],
    samples: Sequence[int],
    paths: Sequence[Sequence[Stop]],
    selected: Sequence[int],
    reward: int,
) -> tuple[tuple[tuple[int, ...], ...], dict[int, int]]:
    """Winners by task, and what each selected worker gets for all that it wins, at so much a task."""
    won = winners(times_ms, samples, paths, selected)
    earned = dict.fromkeys(selected, 0)
    for task in won:
        for worker in task:
            earned[worker] += reward
    return won, earned


def qualities(campaign: Campaign, outcome: Outcome) -> list[list[float]]:
    """By task that of each of its winners, 0 to 1, best first."""
    paths = [dict(bid(plan)) for plan in outcome.plans]
    return [
        [quality_ppm(paths[worker][task], time, campaign.setting.interval_ms) / 1e6 for worker in won]
        for task, (won, time) in enumerate(zip(outcome.winners, campaign.times_ms, strict=True))
    ]
