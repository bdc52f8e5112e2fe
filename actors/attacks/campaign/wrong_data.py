"""Wrong data: what is handed over is not what was committed to, or was never sensed.

Attacked: the worth of what requesters pay for. `wrong-data` commits to something at once, stays at home, and opens and hands over
what it makes up when it has seen what others opened. `made-up-data` makes it up before it commits, as an honest worker would
sense it.
Budget: a third of the workers.
Success: one is paid for a cycle in which it was selected.
Defence: what is opened, and what answers a dispute, is compared with the commitment of the collection phase, when nobody
knew what others had sensed. Off: a contract that does not compare.
What remains: the commitment proves when data were made, and not how. Nobody sees that their worker was never there: a
phone's attestation, or other samples of the same task, would have to say so (`actors.sensing` has none for campaigns).
Source: spec/campaign.md, "submit_hash", "submit_data".
"""

from actors.attacks.campaign.cast import STANDARD, Rules, case, paid, worker
from actors.attacks.campaign.variants import answer_with_any_data, submit_any_data, variant
from actors.attacks.case import Case
from actors.campaign_trial import WORKERS, workers
from actors.campaigns.board import end_ms
from actors.campaigns.worker import CampaignWorker
from chain.contracts.campaign_records import COLLECTION, Bid, Standing, Task
from chain.values import TxId

INVENTORS = workers(4)


class Improviser(CampaignWorker):
    """Commits to nothing in particular, and decides later what it wants to have sensed."""

    async def _collect(self, standing: Standing) -> int | None:
        mine = await self._mine(standing)
        if mine is None or mine.chosen.commitment is not None:
            return end_ms(standing, COLLECTION)
        await self._board.call("submit_hash", standing.campaign.id, TxId(self._identity.account))
        return None


class Inventor(CampaignWorker):
    """Stays at home, and hands in what it would have sensed."""

    def _walk(self, standing: Standing, bid: Bid, tasks: dict[int, Task]) -> None:
        """Go nowhere."""


def _case(name: str, kind: type[CampaignWorker], off: Rules, defence: str, stands: str = "") -> Case:
    return case(
        dict.fromkeys(INVENTORS, worker(kind)),
        lambda ending: paid(ending, INVENTORS),
        off=off,
        name=name,
        goal="a worker is paid for what it made up",
        budget=f"{len(INVENTORS)} of {WORKERS} workers",
        defence=defence,
        source="spec/campaign.md: submit_hash, submit_data",
        stands=stands,
    )


WRONG_DATA = (
    _case(
        "wrong-data",
        Improviser,
        Rules(contract=variant(submit_data=submit_any_data, answer=answer_with_any_data)),
        "what is opened is compared with the commitment; off: it is not",
    ),
    _case(
        "made-up-data",
        Inventor,
        STANDARD,
        "none",
        stands="nobody else was there: a commitment proves when data were made, and not how",
    ),
)
