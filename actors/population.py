"""From a scenario to a population: who there is, and where they live."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import msgspec

from actors.identity import Identity
from actors.scenario import ROLES, PlaceConfig, Scenario, ScenarioError
from actors.sensing.city import City, generated_city, reported_city
from actors.sensing.mobility import Point
from actors.sensing.reports_file import ReportFile
from actors.sensing.sites import choose_sites
from chain.ledgers.ordered.msp import Certificate

LEDGER_ROLES = ("mec", "miner", "orderer", "endorser", "facility", "organizer", "oracle")
"""Roles whose actors hold a ledger, in the order in which they start."""
NEVER_MORE = ("orderer", "organizer")
"""Roles that stay as many as they are in larger populations."""


@dataclass(frozen=True, slots=True)
class Member:
    """One actor to be: everything about it that does not change when it is restarted."""

    name: str
    role: str
    identity: Identity
    place: Point | None
    """Home or site; None for those who are nowhere in particular."""
    certificate: Certificate | None = None
    """Its organisation's word on its role, on an ordered ledger; see `actors.membership`."""


def scaled(scenario: Scenario, actors: int) -> Scenario:
    """The same scenario with `actors` who take part in all, in like proportions, nobody's role dying out.

    Orderers and organizers become fewer, never more: another one makes Raft slower, or is another campaign. Raises
    ScenarioError when there are more roles than actors.
    """
    counts = {role: scenario.count(role) for role in ROLES}
    present = [role for role in ROLES if counts[role]]
    if actors < len(present):
        msg = f"--actors {actors}: the population has {len(present)} roles ({', '.join(present)}), each needs one"
        raise ScenarioError(msg)
    if actors > sum(counts.values()) and {*present} - {*NEVER_MORE}:
        whole = {role: counts.pop(role) for role in NEVER_MORE}
        whole |= _in_proportion(counts, actors - sum(whole.values()))
    else:
        whole = _in_proportion(counts, actors)
    population = scenario.population
    changed = {role: msgspec.structs.replace(getattr(population, role), count=whole[role]) for role in present}
    return msgspec.structs.replace(scenario, population=msgspec.structs.replace(population, **changed))


def _in_proportion(counts: Mapping[str, int], actors: int) -> dict[str, int]:
    """How many of each role, `actors` in all: by largest remainder, but one at least where there was one."""
    present = [role for role in counts if counts[role]]
    total = sum(counts.values())
    shares = {role: counts[role] * actors / total for role in present}
    whole = {role: max(1, int(shares[role])) for role in present}
    # Roles rounded up to one give back from the largest.
    by_remainder = sorted(present, key=lambda role: (int(shares[role]) - shares[role], ROLES.index(role)))
    for role in by_remainder:
        if sum(whole.values()) < actors and shares[role] >= 1:
            whole[role] += 1
    while sum(whole.values()) > actors:
        whole[max(present, key=lambda role: whole[role])] -= 1
    while sum(whole.values()) < actors:
        whole[max(present, key=lambda role: whole[role])] += 1
    return whole


def build_city(scenario: Scenario, reports: ReportFile | None) -> City:
    """The world around the actors, from the scenario's seed and the file of reports, if there is one."""
    rng = Random(f"{scenario.seed}/city")
    if reports is not None:
        return reported_city(reports.place, reports.reports, rng)
    return generated_city(scenario.place or PlaceConfig(), scenario.reports, rng)


def local_city(scenario: Scenario, members: Sequence[Member]) -> City:
    """What is around those who join a network: things happen where they are. The rest of the city is others'."""
    place = scenario.place or PlaceConfig()
    middle = Point((place.lat_min + place.lat_max) / 2, (place.lon_min + place.lon_max) / 2)
    sites = [member.place for member in members if member.place is not None] or [middle]
    return City(place, sites, sites)


def build_members(scenario: Scenario, city: City) -> tuple[Member, ...]:
    """Everybody, ledger nodes first, each with the identity and the home that follow from the seed."""
    homes = {
        name: city.home(Random(f"{scenario.seed}/{name}/home"))
        for role in ("requester", "worker")
        for name in names(role, scenario.count(role))
    }
    people = [homes[name] for name in sorted(homes)] or [city.home(Random(f"{scenario.seed}/sites"))]
    places: dict[str, Point | None] = dict(homes)
    for role in ("mec", "facility"):
        count = scenario.count(role)
        if count:
            places |= dict(zip(names(role, count), choose_sites(people, count), strict=True))
    ordered = [*LEDGER_ROLES, *(role for role in ROLES if role not in LEDGER_ROLES)]
    return tuple(
        Member(name, role, Identity.derive(scenario.seed, name), places.get(name))
        for role in ordered
        for name in names(role, scenario.count(role))
    )


def names(role: str, count: int) -> Sequence[str]:
    """Names of a role's actors: ``worker-01`` to ``worker-40``."""
    width = max(2, len(str(count)))
    return [f"{role}-{number:0{width}}" for number in range(1, count + 1)]


def role_of(name: str) -> str:
    """The role that is in an actor's name."""
    return name.rpartition("-")[0]


def turns(names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Everybody's place among those of its role, from 0 on, and how many these are: whichever process they are in."""
    alike: dict[str, list[str]] = {}
    for name in sorted(names):
        alike.setdefault(role_of(name), []).append(name)
    return {name: (place, len(others)) for others in alike.values() for place, name in enumerate(others)}
