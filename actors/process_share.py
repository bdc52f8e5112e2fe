"""A part of a population that several processes of one machine run: who is in which, and what each waits for.

Links are memory within a process and TCP between processes, so phones go where their nearest MEC node is, as far as
each process still gets its share of them.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from actors.population import LEDGER_ROLES, Member
from actors.scenario import ROLES, ScenarioError
from actors.sensing.city import Incident
from actors.swarm import DealIncidents, Swarm
from chain.genesis import Genesis

MAX_PROCESSES = 64


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several processes is given: which part it is, of which network."""

    genesis: Genesis
    started_ms: int
    """When the whole run began, in milliseconds since the Unix epoch."""
    index: int
    processes: int
    acquaint: Callable[[Swarm], Awaitable[None]]
    """Called when our ledger nodes are up; returns when those of the other processes have been made known."""
    until: Callable[[Callable[[], Any]], Awaitable[None]]
    """Returns when the run is to end; is given what makes the report, to be called before."""


def deal(members: Sequence[Member], processes: int) -> tuple[tuple[Member, ...], ...]:
    """Split a population, each role as evenly as can be, every process with a ledger node; the order is kept.

    Raises ScenarioError when there are fewer ledger nodes than processes.
    """
    ledger = [member for member in members if member.role in LEDGER_ROLES]
    if len(ledger) < processes:
        msg = f"--processes {processes}: the population has {len(ledger)} ledger nodes, and each process needs one"
        raise ScenarioError(msg)
    if processes > MAX_PROCESSES:
        msg = f"--processes {processes}: at most {MAX_PROCESSES}"
        raise ScenarioError(msg)
    places = {member.name: number % processes for number, member in enumerate(ledger)}
    hubs = [member for member in ledger if member.role == "mec"]
    first = len(ledger)
    for role in ROLES:
        light = [member for member in members if member.role == role and role not in LEDGER_ROLES]
        room = Counter((first + number) % processes for number in range(len(light)))
        first += len(light)
        for member in light:
            near = [places[hub.name] for hub in _by_distance(member, hubs)]
            place = next(p for p in [*near, *range(processes)] if room[p] > 0)
            room[place] -= 1
            places[member.name] = place
    return tuple(tuple(m for m in members if places[m.name] == process) for process in range(processes))


def _by_distance(member: Member, hubs: Sequence[Member]) -> Sequence[Member]:
    where = member.place
    if where is None:
        return hubs
    return sorted(hubs, key=lambda hub: (hub.place.distance_m(where) if hub.place else 0.0, hub.name))


def split_incidents(
    deal_all: DealIncidents, everybody: Sequence[Member], ours: Sequence[Member]
) -> tuple[DealIncidents, Sequence[Iterator[Incident]]]:
    """What our requesters will report, the same as if all were in one process; and what the others' will.

    A process must know these too: whoever looks finds what there is, whoever reported it.
    """
    names = [member.name for member in everybody if member.role == "requester"]
    mine = [names.index(member.name) for member in ours if member.role == "requester"]

    def deal_ours(place: int, of: int) -> Iterator[Incident]:  # noqa: ARG001 - a DealIncidents
        return deal_all(mine[place], len(names))

    return deal_ours, [deal_all(place, len(names)) for place in range(len(names)) if place not in mine]
