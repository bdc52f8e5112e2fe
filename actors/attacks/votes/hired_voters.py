"""False report with hired voters, and the colluding ring: workers who confirm whatever one of them made up.

Attacked: what is recorded as true. A requester makes reports up; `k` of the 15 workers around have agreed to confirm them.
They vote whenever they are asked, and when they are not asked they try to vote all the same.
Budget: 3 hired voters, a majority of a group of five; or a ring of 6 or of 9, less and more than half of all.
Success: a made-up report is confirmed. The attack stands when more of them are than not.
Defence: voters are drawn at random by what nobody can foresee, and only who was drawn holds a ticket. Off: a contract that
takes the votes of whoever comes.
What theory says: the group is a draw without replacement, so a report is confirmed with the hypergeometric probability that
at least 3 of the 5 drawn are of the ring. The ring of nine wins by it: voting cannot help where most voters lie.
Source: spec, "false report with hired voters" and "colluding ring"; Algorithm 1.
"""

from dataclasses import replace
from functools import partial
from math import comb

import trio

from actors.attacks.case import Case, Measured, Size
from actors.attacks.votes.variants import variant, vote_without_ticket
from actors.attacks.votes.voters import HiredVoter, Ring, attempt, hired, insist, recorded_lies
from actors.ledger import GatewayError
from actors.protocol_trial import ACCOMPLICE, GROUP, WORKERS, Plot, incidents, play, workers
from chain.contracts.spatial_draw import commit_ballot
from chain.contracts.spatial_records import ASSIGNED, SALT_BYTES, Report, Ticket
from chain.errors import Refused
from chain.merkle import MerklePath

LOOK_S = 1.0
LISTED = 100
NO_TICKET = Ticket(bytes(SALT_BYTES), MerklePath(0, 1, ()))


class Gatecrasher(HiredVoter):
    """Votes on what the ring wants, asked or not."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._crash, nursery)
            await super().run(task_status=task_status)

    async def _crash(self, nursery: trio.Nursery) -> None:
        begun: set[bytes] = set()
        while True:
            await trio.sleep(LOOK_S)
            try:
                found: list[Report] = list(await self.ledger.query("spatial", "reports", ASSIGNED, LISTED, None))
            except (GatewayError, Refused):
                continue
            for report in found:
                content = report.content
                place = None if content is None else (content.type, content.lat_e7, content.lon_e7)
                if place in self.ring.targets and report.id not in self.tasks and report.id not in begun:
                    begun.add(report.id)
                    nursery.start_soon(self._force, report)

    async def _force(self, report: Report) -> None:
        salt = self._salt(report.id)
        commitment = commit_ballot(report.id, self.identity.account, True, salt)
        if await attempt(self, "vote", report.id, commitment, NO_TICKET):
            return
        progress = await self.ledger.query("spatial", "progress", report.id)
        await self.world.clock.sleep_until_ms(progress.vote_until_ms + 300)
        await insist(self, "reveal", progress.reveal_until_ms, report.id, True, salt)


def _collude(k: int, defended: bool, seed: int, size: Size) -> Measured:
    lies = incidents(seed, ACCOMPLICE, size.reports, real=False)
    ring = Ring.about(lies)
    plot = Plot(
        reports={ACCOMPLICE: lies},
        turned=dict.fromkeys(workers(k), hired(ring, Gatecrasher)),
    )
    if not defended:
        plot = replace(plot, contract=variant(vote=vote_without_ticket))
    return Measured(*recorded_lies(play(plot, seed)))


def hypergeometric(k: int, n: int = WORKERS, group: int = GROUP) -> float:
    """The probability that more than half of a group drawn from `n` workers are of the `k` in the ring."""
    wins = sum(comb(k, hits) * comb(n - k, group - hits) for hits in range(group // 2 + 1, group + 1))
    return wins / comb(n, group)


def _case(name: str, k: int, stands: str = "") -> Case:
    return Case(
        name=name,
        family="votes",
        goal="a made-up report is confirmed",
        budget=f"{k} of {WORKERS} workers, who vote uncalled as well",
        defence=f"a random draw of {GROUP}, and tickets; off: whoever comes votes",
        source="malicious requester: hired voters; malicious worker: colluding ring",
        run=partial(_collude, k),
        limit=0.5,
        predicted=(None, hypergeometric(k)),
        stands=stands,
    )


HIRED_VOTERS = (
    _case("hired-voters", 3),
    _case("ring-6", 6),
    _case("ring-9", 9, stands="most workers lie, and voting goes by the majority"),
)
