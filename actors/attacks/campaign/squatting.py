"""Squatting: somebody takes all numbers that tasks can have, and requesters find none.

Attacked: the lists of a campaign, which are bounded. Sixteen keys publish tasks for a micro-credit each, in a corner where
nobody comes by, from the moment in which publishing begins until no number is free.
Budget: a ledger node, sixteen keys, and a micro-credit for each number, which comes back.
Success: a task that an honest requester wants is not published.
Defence: none. Calls are free, and what is locked comes back. A list that everybody may write in must be bounded, lest it
fill the ledger and stop calls that read it. What slows the squatter is what a block holds, and on an ordered ledger that
calls which lock money of one balance conflict.
What cannot be tested here: the other lists. Seats of bids (256) cost a key and a deposit each, for a cycle; seats of
oracles (64) a key and a stake each. A least reward, or a fee that does not come back, would make it dear.
Source: spec/campaign.md, "publish_task"; `chain.contracts.campaign_market`.
"""

from functools import partial

import trio

from actors.attacks.campaign.cast import STANDARD, case, oracle
from actors.attacks.campaign.sybils import Alias, fund
from actors.attacks.case import Measured
from actors.campaign_config import CampaignConfig
from actors.campaign_trial import TASKS, Ending
from actors.campaigns.board import end_ms, start_ms
from actors.node import FullNode
from actors.oracle import Oracle
from chain.contracts.campaign_records import COLLECTION, MAX_TASKS, PUBLISHING, Standing, Task

SQUATTER = "oracle-01"
KEYS = 16
LOOK_S = 0.1
"""How often it looks whether publishing has begun: ten times as often as others."""


class Squatter(Oracle):
    """An honest oracle whose other keys publish nothing of use, as often as they can."""

    def __init__(self, node: FullNode, config: CampaignConfig, place: int) -> None:
        super().__init__(node, config, place)
        self.aliases = [Alias(node, number) for number in range(KEYS)]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(super().run)
            task_status.started()
            for place, alias in enumerate(self.aliases):
                nursery.start_soon(self._squat, alias, range(place, MAX_TASKS, KEYS))

    async def _squat(self, alias: Alias, numbers: range) -> None:
        await fund(self, alias, MAX_TASKS)
        while True:
            await trio.sleep(LOOK_S)
            for standing in await alias.board.campaigns():
                if standing.campaign.phase == PUBLISHING and self.world.clock.now_ms() <= end_ms(standing, PUBLISHING):
                    await self._take(alias, standing, numbers)

    async def _take(self, alias: Alias, standing: Standing, numbers: range) -> None:
        """Take those of the numbers that are free."""
        place, best_ms = self.world.city.place, start_ms(standing, COLLECTION)
        corner = round(place.lat_max * 1e7), round(place.lon_max * 1e7)
        taken = {task.number for task in await alias.board.tasks(standing)}
        publish = partial(alias.board.call, "publish_task", quiet=("number_taken", "phase_over", "wrong_phase"))
        async with trio.open_nursery() as nursery:
            for number in numbers:
                if number not in taken:
                    nursery.start_soon(publish, standing.campaign.id, number, *corner, 1, best_ms, 1, 1)


def _crowded_out(ending: Ending) -> Measured:
    squatter = ending.actors[SQUATTER]
    if not isinstance(squatter, Squatter):
        raise TypeError(SQUATTER)
    keys = {alias.identity.account for alias in squatter.aliases}
    tasks = [task for _, _, task in ending.records(b"task/", Task)]
    squatted = [task for task in tasks if task.requester in keys]
    wanted = ending.cycles * TASKS
    figures = {
        "numbers taken a cycle": len(squatted) / ending.cycles,
        "gained in all, micro-credits": float(ending.gain(SQUATTER) + sum(ending.worth(key) for key in keys)),
        "locked a cycle, micro-credits": sum(task.reward * task.samples for task in squatted) / ending.cycles,
    }
    return Measured(wanted - (len(tasks) - len(squatted)), wanted, figures)


SQUATTING = case(
    {SQUATTER: oracle(Squatter)},
    _crowded_out,
    off=STANDARD,
    name="task-squatting",
    goal="a task of an honest requester finds no number",
    budget=f"a ledger node and {KEYS} keys",
    defence="none",
    source="spec/campaign.md: publish_task",
    stands="numbers are bounded, calls are free, and what is locked comes back",
)
