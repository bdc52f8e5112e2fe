"""Rejecting to resubmit: a worker rejects what it was to look at, and reports it itself.

Attacked: the requester's reward. Each thief that is drawn for somebody's report votes against it, whatever is there, and
submits the same as its own: at once, and again until it is taken or a while has passed.
Budget: 3 of 15 workers; or 9, who confirm each other's copies as well.
Success: a thief's copy is confirmed.
Defence: one vote of five does not sink a report, and while that lives, or once it is confirmed, a copy is a duplicate.
Off: `duplicate_radius_m = 0`.
What remains: a ring with most of the votes sinks the report; what is rejected leaves nothing behind, and then the copy is
no duplicate of anything. Remembering rejected places would stop that, and let liars block true reports by false ones.
Source: spec, "rejecting to resubmit as one's own".
"""

from functools import partial

import trio

from actors.actor import Actor
from actors.attacks.case import Case, Measured, Size
from actors.attacks.votes.voters import Partial, place_of
from actors.ledger import GatewayError, OutcomeUnknownError
from actors.messages import Ballot, read
from actors.population import Member
from actors.protocol_trial import DUPLICATE_RADIUS_M, HONEST, WORKERS, Plot, incidents, play, workers
from actors.sensing.mobility import Point
from actors.trial import Turn
from actors.worker import Worker
from chain.contracts.spatial_records import CONFIRMED
from chain.errors import Refused
from net.peer import PeerId

RETRY_S = 4.0
TRIES = 15
AFTER_MS = 120_000
"""A copy that is made late is decided late."""


class Thief(Partial):
    """Rejects what others report, confirms what thieves do, and reports what it was asked about."""

    def __init__(self, honest: Worker, home: Point, claimed: set[tuple[str, int, int]], copies: set[bytes]) -> None:
        super().__init__(honest.node, honest.world.scenario.population.worker, home)
        self._claimed, self._copies = claimed, copies
        self._own: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            self._own = nursery
            await super().run(task_status=task_status)

    def opinion(self, ballot: Ballot) -> bool | None:
        """See `Partial.opinion`."""
        return bytes(ballot.report) in self._copies

    async def _take_ballot(self, peer: PeerId, body: bytes) -> bytes:
        answer = await super()._take_ballot(peer, body)
        ballot = read(Ballot, body)
        place = (ballot.type, ballot.lat_e7, ballot.lon_e7)
        if place not in self._claimed and self._own is not None:
            self._claimed.add(place)  # one of them is enough
            self._own.start_soon(self._claim, ballot)
        return answer

    async def _claim(self, ballot: Ballot) -> None:
        for _ in range(TRIES):
            now_ms = self.world.clock.now_ms()
            try:
                outcome = await self.ledger.call(
                    "spatial", "submit", ballot.type, ballot.lat_e7, ballot.lon_e7, now_ms, stage="included"
                )
            except (Refused, GatewayError, OutcomeUnknownError):
                await trio.sleep(RETRY_S)
                continue
            self._copies.add(outcome.transaction)
            return


def _reject(count: int, defended: bool, seed: int, size: Size) -> Measured:
    seen = incidents(seed, HONEST, size.reports, real=True)
    claimed: set[tuple[str, int, int]] = set()
    copies: set[bytes] = set()

    def turn(actor: Actor, member: Member) -> Actor:
        return Thief(*place_of(actor, member), claimed, copies)

    turned: dict[str, Turn] = dict.fromkeys(workers(count), turn)
    plot = Plot(
        {HONEST: seen},
        turned=turned,
        rules={"duplicate_radius_m": DUPLICATE_RADIUS_M if defended else 0},
        after_ms=AFTER_MS,
    )
    ending = play(plot, seed)
    statuses = ending.statuses()
    theirs = ending.submitted(*workers(count))
    first = ending.submitted(HONEST)
    return Measured(
        sum(statuses[report] == CONFIRMED for report in theirs),
        len(seen),
        {"originals confirmed": sum(statuses[report] == CONFIRMED for report in first) / len(seen)},
    )


def _case(name: str, count: int, stands: str = "") -> Case:
    return Case(
        name=name,
        family="votes",
        goal="a thief's copy of a report is confirmed",
        budget=f"{count} of {WORKERS} workers",
        defence="a majority sinks a report, not one vote, and a copy is a duplicate; off: radius 0",
        source="malicious worker: rejecting to resubmit",
        run=partial(_reject, count),
        limit=0.2,
        stands=stands,
    )


REJECTING = (
    _case("reject-to-resubmit", 3),
    _case(
        "reject-ring-9", 9, stands="most voters sink the report, and a rejected one leaves nothing to be a duplicate of"
    ),
)
