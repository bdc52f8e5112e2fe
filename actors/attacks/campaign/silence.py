"""Silence: a worker bids, is selected, and lets everybody down.

Attacked: the samples that requesters count on, which another worker would have got for them.
`no-show`: it never goes, and commits to nothing. `withheld-reveal`: it commits, and never opens.
Budget: a third of the workers, who bid as the honest do.
Success: one ends not worse off than it began, so that spoiling a campaign is free.
Defence: a deposit, which goes to the requesters of the path. Off: terms without a deposit.
What remains: the samples are missing; nobody is selected in the place of who does not come. How high a deposit must be depends
on what the harm is worth to the attacker, which cannot be tested here.
Source: spec/campaign.md, "a mismatch or no data: no reward and the deposit is lost".
"""

from actors.attacks.campaign.cast import Rules, case, gained, worker
from actors.attacks.case import Case, Measured
from actors.campaign_trial import SAMPLES, TASKS, WORKERS, Ending, workers
from actors.campaigns.board import end_ms
from actors.campaigns.worker import CampaignWorker
from chain.contracts.campaign_records import COLLECTION, SUBMISSION, Standing

SILENT = workers(4)


class NoShow(CampaignWorker):
    """Stays at home."""

    async def _collect(self, standing: Standing) -> int | None:
        return end_ms(standing, COLLECTION)


class Withholder(CampaignWorker):
    """Goes, senses, commits, and keeps what it has."""

    async def _submit(self, standing: Standing) -> int | None:
        return end_ms(standing, SUBMISSION)


def _unharmed(ending: Ending) -> Measured:
    silent = {ending.account(name) for name in SILENT}
    selected = [key for key in ending.chosen() if key[1] in silent]
    lost = {(each["cycle"], each["worker"]) for each in ending.events("forfeited")}
    figures = {
        "gained by each, credits a cycle": gained(ending, SILENT, len(selected)),
        "samples missing a cycle": TASKS * SAMPLES - ending.samples,
    }
    return Measured(sum(key not in lost for key in selected), len(selected), figures)


def _case(name: str, kind: type[CampaignWorker]) -> Case:
    return case(
        dict.fromkeys(SILENT, worker(kind)),
        _unharmed,
        off=Rules({"deposit": 0}),
        name=name,
        goal="a worker that lets its requesters down ends not worse off",
        budget=f"{len(SILENT)} of {WORKERS} workers",
        defence="a deposit, half a sample's reward; off: none",
        source="spec/campaign.md: bid_path, submit_data",
    )


SILENCE = (_case("no-show", NoShow), _case("withheld-reveal", Withholder))
