"""Voting twice: a hired voter that was drawn votes three times.

Attacked: one vote per worker per report. With three hired voters of 15, most groups of five have one of them; three votes
of its own are a majority.
Budget: 3 of 15 workers, who vote again under the same ticket.
Success: a made-up report is confirmed. The attack stands when more of them are than not.
Defence: a ballot is kept by report and worker, and a second one is refused. Off: a contract that counts each.
Source: spec, "voting twice"; "Vote".
"""

from dataclasses import replace

from actors.attacks.case import Case, Measured, Size
from actors.attacks.votes.hired_voters import hypergeometric
from actors.attacks.votes.variants import tally_all_votes, variant, vote_again
from actors.attacks.votes.voters import HiredVoter, Ring, attempt, hired, recorded_lies
from actors.protocol_trial import ACCOMPLICE, WORKERS, Plot, incidents, play, workers
from actors.worker import Task
from chain.values import TxId

VOTERS = 3
AGAIN = 2


class DoubleVoter(HiredVoter):
    """Sends each vote that its ring wants again."""

    async def _send(self, report: TxId, task: Task, method: str, until_ms: int, *args: object) -> bool:
        done = await super()._send(report, task, method, until_ms, *args)
        if method == "vote" and self.ring.wants(task.ballot):
            for _ in range(AGAIN):
                await attempt(self, method, report, *args)
        return done


def _vote_again(defended: bool, seed: int, size: Size) -> Measured:
    lies = incidents(seed, ACCOMPLICE, size.reports, real=False)
    plot = Plot({ACCOMPLICE: lies}, turned=dict.fromkeys(workers(VOTERS), hired(Ring.about(lies), DoubleVoter)))
    if not defended:
        plot = replace(plot, contract=variant(vote=vote_again, tally=tally_all_votes))
    return Measured(*recorded_lies(play(plot, seed)))


DOUBLE_VOTE = Case(
    name="double-vote",
    family="votes",
    goal="a made-up report is confirmed",
    budget=f"{VOTERS} of {WORKERS} workers, {1 + AGAIN} votes each when drawn",
    defence="one ballot per report and worker; off: each counts",
    source="malicious worker: voting twice",
    run=_vote_again,
    limit=0.5,
    predicted=(None, hypergeometric(VOTERS)),
)
