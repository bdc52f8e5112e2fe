"""Data that never reach who pays for them: the worker opens its commitment on the ledger, and hands nothing over.

Attacked: the requester, who pays for digests. `withheld-data` opens in time and never sends the data. `late-data` opens when
nobody can dispute any more, and sends nothing either.
Budget: a third of the workers.
Success: one is paid for a cycle in which it was selected.
Defence: until half of the review is over a requester can say that nothing came, and a worker that does not answer with the data
is not paid, and loses its deposit; data that are opened when the review has begun are refused. Off: terms without a review;
a contract that takes data until the phase ends.
What remains: a requester that is away cannot dispute, and one that disputes what it has makes the worker answer on the ledger,
where everybody sees how much there is, and at the worker's expense.
Source: spec/campaign.md, "submit_data"; `chain.contracts.campaign_data`.
"""

from actors.attacks.campaign.cast import Rules, case, paid, worker
from actors.attacks.campaign.variants import submit_data_any_time, variant
from actors.attacks.case import Case
from actors.campaign_trial import UNREVIEWED, WORKERS, workers
from actors.campaigns.board import end_ms, start_ms
from actors.campaigns.worker import CampaignWorker
from chain.contracts.campaign_board import dispute_until_ms
from chain.contracts.campaign_records import SUBMISSION, Standing

KEEPERS = workers(4)
LATER_MS = 500
"""After the last dispute: a block's time is a little behind."""


class Keeper(CampaignWorker):
    """Opens what it committed to, and keeps the data."""

    async def _submit(self, standing: Standing) -> int | None:
        mine = await self._mine(standing)
        if mine is None or mine.chosen.commitment is None or mine.chosen.opened:
            return end_ms(standing, SUBMISSION)
        opens_ms = self.opens_ms(standing)
        if self._world.clock.now_ms() < opens_ms:
            return opens_ms
        bid, tasks = await self._own_bid(standing)
        gathered = self._gather(standing, bid, tasks)
        await self._board.call("submit_data", standing.campaign.id, gathered.digests, gathered.salt)
        return None

    def opens_ms(self, standing: Standing) -> int:
        """When to open."""
        return start_ms(standing, SUBMISSION)


class Latecomer(Keeper):
    """The same when it is too late to dispute."""

    def opens_ms(self, standing: Standing) -> int:
        """See `Keeper.opens_ms`."""
        return dispute_until_ms(standing.campaign, standing.terms) + LATER_MS


def _case(name: str, kind: type[Keeper], off: Rules, defence: str) -> Case:
    return case(
        dict.fromkeys(KEEPERS, worker(kind)),
        lambda ending: paid(ending, KEEPERS),
        off=off,
        name=name,
        goal="a worker is paid for data that it never handed over",
        budget=f"{len(KEEPERS)} of {WORKERS} workers",
        defence=defence,
        source="spec/campaign.md: submit_data",
    )


WITHHOLDING = (
    _case(
        "withheld-data",
        Keeper,
        Rules({"phases": UNREVIEWED}),
        "requesters dispute, workers answer with the data; off: no review",
    ),
    _case(
        "late-data",
        Latecomer,
        Rules(contract=variant(submit_data=submit_data_any_time)),
        "data are due before the review; off: until the phase ends",
    ),
)
