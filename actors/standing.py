"""Where a run is: what a line of progress tells, in one process or summed up over several."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from actors.swarm import Swarm


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A few numbers, of now."""

    elapsed_ms: int
    running: int
    """Actors that are up."""
    actors: int
    replicas: int
    height: int
    final_height: int
    statuses: tuple[tuple[str, int], ...]
    """(status, final reports in it), as one ledger node has it."""
    campaigns: str
    """Where the latest campaign is, finally, as one ledger node has it; empty without campaigns."""
    activity: dict[str, int]
    errors: int
    poor: str
    """Which actor could not pay for its part in a campaign, lately; empty if all could."""


def standing(swarm: Swarm) -> Standing:
    """Where the actors of this process are."""
    world, nodes = swarm.world, swarm.full_nodes
    return Standing(
        elapsed_ms=world.clock.now_ms() - world.started_ms,
        running=sum(state == "running" for state in swarm.states.values()),
        actors=len(swarm.members),
        replicas=len(nodes),
        height=nodes[0].core.head.height if nodes else 0,
        final_height=nodes[0].core.final.height if nodes else 0,
        statuses=tuple(swarm.statuses()),
        campaigns=swarm.tally.campaigns.line(),
        activity=dict(swarm.activity),
        errors=len(world.errors),
        poor=swarm.poor,
    )


def together(parts: Sequence[Standing]) -> Standing:
    """Sum up at least one process; the chain is told as the one that is furthest has it."""
    ahead = max(parts, key=lambda part: part.final_height)
    activity: Counter[str] = Counter()
    for part in parts:
        activity.update(part.activity)
    return Standing(
        elapsed_ms=max(part.elapsed_ms for part in parts),
        running=sum(part.running for part in parts),
        actors=sum(part.actors for part in parts),
        replicas=sum(part.replicas for part in parts),
        height=ahead.height,
        final_height=ahead.final_height,
        statuses=ahead.statuses,
        campaigns=ahead.campaigns,
        activity=dict(activity),
        errors=sum(part.errors for part in parts),
        poor=next((part.poor for part in parts if part.poor), ""),
    )
