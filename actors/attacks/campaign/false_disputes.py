"""False disputes: a requester has its data, and says that none came.

Attacked: the worker's reward and its deposit, which go to the requester when a dispute is not answered. It disputes every
sample of its tasks, in the last moment: answers have half of the review.
Budget: one requester of three, with all of its tasks.
Success: a winner of such a task is not paid for it though it opened its commitment and sent the data.
Defence: the worker answers with the sealed data themselves, which everybody sees to be those that it committed to, and only
the requester can read. Off: a contract that believes requesters.
What remains: it costs the requester nothing, and the worker a call for each sample; the data are on the ledger, sealed.
Source: `chain.contracts.campaign_data`; spec/campaign.md, "submit_data".
"""

from collections.abc import Collection

from actors.attacks.campaign.cast import CREDIT, Rules, case, requester
from actors.attacks.campaign.variants import answer_in_vain, variant
from actors.attacks.case import Measured
from actors.campaign_trial import REQUESTERS, Ending
from actors.campaigns.requester import CampaignRequester, Key
from chain.contracts.campaign_board import dispute_until_ms
from chain.contracts.campaign_records import Number, Progress, Standing, Task

DISPUTER = "requester-01"
CARE_MS = 4_000
"""Before the last moment: its calls have to get into a block."""


class Disputer(CampaignRequester):
    """Misses everything, rather late."""

    async def _review(self, standing: Standing) -> int | None:
        now_ms, last_ms = self._world.clock.now_ms(), dispute_until_ms(standing.campaign, standing.terms)
        if now_ms < last_ms - CARE_MS:
            return last_ms - CARE_MS
        return await super()._review(standing)

    def _missing(self, standing: Standing, row: Progress, tasks: Collection[Number]) -> list[Key]:
        found = standing.campaign
        won = [number for number in row.chosen.wins if number in tasks and row.chosen.opened]
        return [(found.id, found.cycle, row.worker, number) for number in won]


def _unpaid(ending: Ending) -> Measured:
    own = ending.account(DISPUTER)
    tasks = {(cycle, task.number) for cycle, _, task in ending.records(b"task/", Task) if task.requester == own}
    rewarded = {(each["cycle"], each["worker"], each["task"]) for each in ending.events("rewarded")}
    owed = {
        (cycle, worker, number)
        for (cycle, worker), chosen in ending.chosen().items()
        for number in chosen.wins
        if chosen.opened and (cycle, number) in tasks
    }
    figures = {
        "gained by it, credits a cycle": ending.gain(DISPUTER) / CREDIT / ending.cycles,
        "disputed": len(ending.events("disputed")) / max(1, len(owed)),
        "deposits lost a cycle": len(ending.events("forfeited")) / ending.cycles,
    }
    return Measured(len(owed - rewarded), len(owed), figures)


FALSE_DISPUTES = case(
    {DISPUTER: requester(Disputer)},
    _unpaid,
    off=Rules(contract=variant(answer=answer_in_vain)),
    name="false-disputes",
    goal="a worker that delivered is not paid for a sample",
    budget=f"one of {REQUESTERS} requesters",
    defence="workers answer with the sealed data; off: requesters are believed",
    source="chain.contracts.campaign_data: dispute, answer",
)
