"""From a scenario to a population: who there is, where they live, and the genesis that they agree on."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random

import msgspec

from actors.identity import Identity
from actors.scenario import PlaceConfig, PopulationConfig, Scenario, ScenarioError
from actors.sensing.city import City, generated_city, reported_city
from actors.sensing.mobility import Point
from actors.sensing.reports_file import ReportFile
from actors.sensing.sites import choose_sites
from chain.contracts.spatial_rules import Box, Founder, SpatialRules
from chain.genesis import Genesis
from chain.ledgers.pow.parameters import PowRules

ROLES = ("requester", "worker", "miner", "mec", "facility")
LEDGER_ROLES = ("mec", "miner", "facility")
"""Roles whose actors hold a ledger, in the order in which they start."""
MEDIAN_WINDOW = 11
REPORT_AHEAD_MS = 5_000
"""Block times lag behind the clocks of those who report: allow for it."""


@dataclass(frozen=True, slots=True)
class Member:
    """One actor to be: everything about it that does not change when it is restarted."""

    name: str
    role: str
    identity: Identity
    place: Point | None
    """Home or site; None for miners."""


def scaled(population: PopulationConfig, actors: int) -> PopulationConfig:
    """The same population with `actors` members in all, in like proportions, nobody's role dying out.

    Raises ScenarioError when that is fewer than there are roles.
    """
    counts = {role: getattr(population, role).count for role in ROLES}
    present = [role for role in ROLES if counts[role]]
    if actors < len(present):
        msg = f"--actors {actors}: the population has {len(present)} roles ({', '.join(present)}), each needs one"
        raise ScenarioError(msg)
    total = sum(counts.values())
    shares = {role: counts[role] * actors / total for role in present}
    whole = {role: max(1, int(shares[role])) for role in present}
    # Largest remainder; roles rounded up to one give back from the largest.
    by_remainder = sorted(present, key=lambda role: (int(shares[role]) - shares[role], ROLES.index(role)))
    for role in by_remainder:
        if sum(whole.values()) < actors and shares[role] >= 1:
            whole[role] += 1
    while sum(whole.values()) > actors:
        whole[max(present, key=lambda role: whole[role])] -= 1
    while sum(whole.values()) < actors:
        whole[max(present, key=lambda role: whole[role])] += 1
    return msgspec.structs.replace(
        population,
        **{role: msgspec.structs.replace(getattr(population, role), count=whole[role]) for role in present},
    )


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
    population = scenario.population
    homes = {
        name: city.home(Random(f"{scenario.seed}/{name}/home"))
        for role in ("requester", "worker")
        for name in names(role, getattr(population, role).count)
    }
    people = [homes[name] for name in sorted(homes)] or [city.home(Random(f"{scenario.seed}/sites"))]
    places: dict[str, Point | None] = dict(homes)
    for role in ("mec", "facility"):
        count = getattr(population, role).count
        if count:
            places |= dict(zip(names(role, count), choose_sites(people, count), strict=True))
    ordered = [*LEDGER_ROLES, *(role for role in ROLES if role not in LEDGER_ROLES)]
    return tuple(
        Member(name, role, Identity.derive(scenario.seed, name), places.get(name))
        for role in ordered
        for name in names(role, getattr(population, role).count)
    )


def names(role: str, count: int) -> Sequence[str]:
    """Names of a role's actors: ``worker-01`` to ``worker-40``."""
    width = max(2, len(str(count)))
    return [f"{role}-{number:0{width}}" for number in range(1, count + 1)]


def found(scenario: Scenario, city: City, members: Sequence[Member], time_ms: int) -> Genesis:
    """The genesis that the population agrees on: rules, operators, and a name that tells networks apart."""
    ledger, spatial, rewards = scenario.ledger, scenario.spatial, scenario.spatial.rewards
    miners = scenario.population.miner
    place = city.place
    seed_mark = sha256(f"{scenario.name}/{scenario.seed}/{time_ms}".encode()).hexdigest()[:8]
    return Genesis(
        network=f"{scenario.name}-{seed_mark}",
        time_ms=time_ms,
        ledger=PowRules(
            block_interval_ms=ledger.block_interval_ms,
            finality_depth=ledger.finality_depth,
            retarget_window=ledger.retarget_window,
            # Where the retarget rule would settle with the hash power that the scenario starts with.
            initial_difficulty=max(1, miners.count * miners.hash_rate * ledger.block_interval_ms // 1000),
            max_future_ms=ledger.max_future_ms,
            median_window=MEDIAN_WINDOW,
            quota=ledger.quota,
            quota_window=ledger.quota_window,
            block_reward=ledger.block_reward,
            max_block_transactions=ledger.max_block_transactions,
            max_block_bytes=ledger.max_block_bytes,
            max_transaction_gas=ledger.max_transaction_gas,
            max_block_gas=ledger.max_block_gas,
        ),
        spatial=SpatialRules(
            types=tuple(sorted(spatial.types)),
            box=Box(
                round(place.lat_min * 1e7),
                round(place.lat_max * 1e7),
                round(place.lon_min * 1e7),
                round(place.lon_max * 1e7),
            ),
            duplicate_radius_m=spatial.duplicate_radius_m,
            duplicate_window_ms=spatial.duplicate_window_ms,
            report_radius_m=spatial.report_radius_m,
            group_size=spatial.group_size,
            min_workers=spatial.min_workers,
            draw_delay=spatial.draw_delay,
            assign_window_ms=spatial.assign_window_ms,
            vote_window_ms=spatial.vote_window_ms,
            reveal_window_ms=spatial.reveal_window_ms,
            tally_window_ms=spatial.tally_window_ms,
            max_report_age_ms=spatial.max_report_age_ms,
            max_report_ahead_ms=max(REPORT_AHEAD_MS, 5 * ledger.block_interval_ms),
            reward=rewards.reading,
            gamma_r_ppm=round(rewards.gamma_requester * 1_000_000),
            gamma_w_ppm=round(rewards.gamma_worker * 1_000_000),
            base_requester=rewards.base_requester,
            base_worker=rewards.base_worker,
            distance_unit_m=rewards.distance_unit_m,
            history_cap=rewards.history_cap,
            open_enrolment=ledger.open_enrolment,
            operators=tuple(
                Founder(m.role, m.identity.account, *m.place.e7)
                for m in members
                if m.role in ("mec", "facility") and m.place is not None
            ),
        ),
        balances=(),
    )
