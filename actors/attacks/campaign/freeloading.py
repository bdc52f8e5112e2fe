"""Freeloading: a worker that never goes is paid for what another sensed.

Attacked: the reward. A selected worker stays at home. In the collection it hands in, as its own, the commitment of another
whose path is as long; in the submission it waits until that one opens it, and opens it too, with the same digests and salt.
Budget: a third of the workers.
Success: it is paid for a cycle in which it was selected.
Defence: a commitment names its worker, so a copy cannot be opened; besides, whoever is paid must have handed the data over to
their requester, or answer a dispute with them. Off: the paper's contract, with neither. In `freeloading-disputed` the
commitment names nobody, and disputes alone defend: the freeloader opens its copy, and has no data to hand over.
What cannot be tested here: workers who give each other their data. Each sample is then paid twice; that is `made-up-data`.
Source: spec/campaign.md, "submit_hash"; Tao and Hafid, "ChainSensing", on freeloading; `chain.contracts.campaign_commitments`.
"""

from actors.attacks.campaign.cast import STANDARD, Rules, case, paid, worker
from actors.attacks.campaign.variants import submit_data_of_anybody, variant
from actors.attacks.case import Case
from actors.campaign_trial import UNREVIEWED, WORKERS, workers
from actors.campaigns.board import end_ms
from actors.campaigns.worker import CampaignWorker
from chain.codec import decode
from chain.contracts.campaign_data import Digests
from chain.contracts.campaign_records import COLLECTION, SUBMISSION, CampaignId, Progress, Salt, Standing

FREELOADERS = workers(4)
BLOCKS = 12
"""How far back an opening is looked for."""


class Freeloader(CampaignWorker):
    """Commits to what another committed to, and opens what that one opens."""

    async def _collect(self, standing: Standing) -> int | None:
        mine, models = await self._mine(standing), await self._models(standing)
        if mine is None or mine.chosen.commitment is not None:
            return end_ms(standing, COLLECTION)
        if models:
            await self._board.call("submit_hash", standing.campaign.id, models[0].chosen.commitment)
        return None

    async def _models(self, standing: Standing) -> list[Progress]:
        """Who has committed, of those whose path is as long as ours."""
        lengths = {bid.worker: len(bid.path) for bid in await self._board.bids(standing)}
        ours = self._identity.account
        return [
            row
            for row in await self._board.progress(standing)
            if row.chosen.commitment is not None and row.worker != ours and lengths[row.worker] == lengths.get(ours)
        ]

    async def _submit(self, standing: Standing) -> int | None:
        until_ms = end_ms(standing, SUBMISSION)
        mine = await self._mine(standing)
        if mine is None or mine.chosen.commitment is None or mine.chosen.opened:
            return until_ms
        models = [row.worker for row in await self._models(standing) if row.chosen.commitment == mine.chosen.commitment]
        head = (await self._node.ledger.heads()).head.height
        for height in range(head, max(0, head - BLOCKS), -1):
            block = await self._node.ledger.block(height)
            if block is None:
                break
            for transaction, receipt in zip(block.block.transactions, block.receipts, strict=True):
                if receipt.ok and transaction.method == "submit_data" and transaction.sender in models:
                    args = decode(tuple[CampaignId, Digests, Salt], transaction.args, limit=len(transaction.args))
                    await self._board.call("submit_data", *args)
                    return until_ms
        return None


_UNNAMED = variant(submit_data=submit_data_of_anybody)


def _case(name: str, on: Rules, defence: str) -> Case:
    return case(
        dict.fromkeys(FREELOADERS, worker(Freeloader)),
        lambda ending: paid(ending, FREELOADERS),
        on=on,
        off=Rules({"phases": UNREVIEWED}, _UNNAMED),
        name=name,
        goal="a worker that never went is paid",
        budget=f"{len(FREELOADERS)} of {WORKERS} workers",
        defence=defence,
        source="spec/campaign.md: submit_hash; ChainSensing: freeloading",
    )


FREELOADING = (
    _case("freeloading", STANDARD, "commitments name their worker, and data can be demanded; off: neither"),
    _case(
        "freeloading-disputed",
        Rules(contract=_UNNAMED),
        "data can be demanded, though commitments name nobody; off: neither",
    ),
)
