"""Organizers that let the clock run, run ahead of it, or do not pay.

Attacked: everybody's money, which is locked until a cycle is paid out, and the work that was done for it.
`stalling-organizer` moves no phase once oracles are registered. `hurrying-organizer` ends the collection as it begins, so that
nobody can commit, and the deposits go to requesters who are its friends. `unpaying-organizer` does all but pay out.
Budget: the organizer, and its bond.
Success: a cycle is not paid out with its samples taken; a selected worker loses its deposit; a cycle is not paid out.
Defence: when a phase is over for its time of grace anybody may move on, and is paid from the bond; no phase ends before its
time; anybody may have rewards distributed. Oracles do both. Off: contracts in which nobody but the organizer moves on; in which it
moves on when it likes; in which nobody else has rewards distributed.
What remains: the time of grace, phase by phase, by which oracles' and workers' time shrinks; and the next cycle, which
none but the organizer begins: oracles can withdraw their stakes then.
Source: spec/campaign.md, "Only the organizer changes phase"; "Deadlines let anyone advance a stalled phase".
"""

from collections.abc import Callable
from typing import Any

from actors.attacks.campaign.cast import Rules, case, gained, organizer
from actors.attacks.campaign.variants import advance_any_time, advance_by_organizer, distribute_by_organizer, variant
from actors.attacks.case import Case, Measured
from actors.campaign_trial import ORGANIZER, PHASES, SAMPLES, TASKS, Ending
from actors.campaigns.board import LONG_MS
from actors.organizer import Organizer
from chain.contracts.campaign_records import COLLECTION, DONE, Standing

LONG_PHASES = PHASES | {"publishing": 16.0, "bidding": 16.0, "collection": 24.0, "submission": 32.0}
"""A phase begins when the grace of the one before is over, and none may begin half over."""


class Staller(Organizer):
    """Deploys, and is gone."""

    async def _attend(self, standing: Standing) -> int | None:
        del standing
        return self.world.clock.now_ms() + LONG_MS


class Hurrier(Organizer):
    """Ends the collection when it has begun."""

    async def _attend(self, standing: Standing) -> int | None:
        found = standing.campaign
        if found.phase == COLLECTION and found.organizer == self.identity.account:
            await self._board.call("advance", found.id, quiet=("phase_not_over",))
            return None
        return await super()._attend(standing)


class Miser(Organizer):
    """Leaves rewards where they are."""

    async def _attend(self, standing: Standing) -> int | None:
        if standing.campaign.phase == DONE and not standing.settled:
            return None
        return await super()._attend(standing)


def _figures(ending: Ending) -> dict[str, float]:
    return {
        "gained by it, credits": gained(ending, [ORGANIZER], 1),
        "samples missing a cycle": TASKS * SAMPLES - ending.samples,
        "s to the end": (ending.called[-1].time_ms - ending.called[0].time_ms) / 1000,
    }


def _unsettled(ending: Ending) -> Measured:
    return Measured(ending.cycles - len(ending.events("settled")), ending.cycles, _figures(ending))


def _fruitless(ending: Ending) -> Measured:
    settled = {each["cycle"] for each in ending.events("settled")}
    void = {each["cycle"] for each in ending.events("ended") if each["void"]}
    return Measured(ending.cycles - len(settled - void), ending.cycles, _figures(ending))


def _forfeited(ending: Ending) -> Measured:
    return Measured(len(ending.events("forfeited")), len(ending.chosen()), _figures(ending))


def _case(
    name: str, kind: type[Organizer], measure: Callable[[Ending], Measured], off: Rules, **described: Any
) -> Case:
    return case(
        {ORGANIZER: organizer(kind)},
        measure,
        off=off,
        name=name,
        budget="the organizer",
        source="spec/campaign.md: phases",
        **described,
    )


ORGANIZERS = (
    _case(
        "stalling-organizer",
        Staller,
        _fruitless,
        Rules({"phases": LONG_PHASES}, variant(advance=advance_by_organizer)),
        on=Rules({"phases": LONG_PHASES}),
        cycles=1,
        until="settled",
        goal="a cycle comes to nothing",
        defence="anybody moves on, for a bounty; off: nobody else may",
    ),
    _case(
        "hurrying-organizer",
        Hurrier,
        _forfeited,
        Rules(contract=variant(advance=advance_any_time)),
        goal="a selected worker loses its deposit",
        defence="phases end by the clock; off: when the organizer says so",
    ),
    _case(
        "unpaying-organizer",
        Miser,
        _unsettled,
        Rules(contract=variant(distribute_rewards=distribute_by_organizer)),
        cycles=1,
        until="settled",
        goal="a cycle is not paid out",
        defence="anybody may have rewards distributed; off: none but the organizer",
    ),
)
