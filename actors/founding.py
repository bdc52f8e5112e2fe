"""What a population agrees on before the first block: the rules of its ledger and of the work, and who operates."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from actors.membership import ordered_rules
from actors.population import Member
from actors.scenario import Scenario
from actors.sensing.city import City
from chain.contracts.spatial_rules import Box, Founder, SpatialRules
from chain.genesis import Balance, Genesis, LedgerRules
from chain.ledgers.pow.parameters import PowRules

MEDIAN_WINDOW = 11
PAYING_ROLES = ("requester", "worker", "organizer", "oracle")
"""Roles that lock money in campaigns."""
REPORT_AHEAD_MS = 5_000
"""Block times lag behind the clocks of those who report: allow for it."""


def found(scenario: Scenario, city: City, members: Sequence[Member], time_ms: int) -> Genesis:
    """The genesis that the population agrees on: rules, operators, and a name that tells networks apart.

    Raises ScenarioError when the members of an ordered ledger could not satisfy its policies.
    """
    spatial, rewards = scenario.spatial, scenario.spatial.rewards
    rules: LedgerRules
    rules = ordered_rules(scenario, members) if scenario.ledger.kind == "ordered" else _pow_rules(scenario)
    place = city.place
    seed_mark = sha256(f"{scenario.name}/{scenario.seed}/{time_ms}".encode()).hexdigest()[:8]
    return Genesis(
        network=f"{scenario.name}-{seed_mark}",
        time_ms=time_ms,
        ledger=rules,
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
            max_report_ahead_ms=max(REPORT_AHEAD_MS, 5 * rules.block_interval_ms),
            reward=rewards.reading,
            gamma_r_ppm=round(rewards.gamma_requester * 1_000_000),
            gamma_w_ppm=round(rewards.gamma_worker * 1_000_000),
            base_requester=rewards.base_requester,
            base_worker=rewards.base_worker,
            distance_unit_m=rewards.distance_unit_m,
            history_cap=rewards.history_cap,
            open_enrolment=scenario.ledger.open_enrolment,
            operators=tuple(
                Founder(m.role, m.identity.account, *m.place.e7)
                for m in members
                if m.role in ("mec", "facility") and m.place is not None
            ),
        ),
        balances=tuple(sorted(_funds(scenario, members), key=lambda balance: balance.account)),
    )


def _funds(scenario: Scenario, members: Sequence[Member]) -> Iterator[Balance]:
    """What is there to be locked in campaigns: nobody could publish or bid without."""
    if "campaign" in scenario.systems and scenario.campaign.funds:
        for member in members:
            if member.role in PAYING_ROLES:
                yield Balance(member.identity.account, scenario.campaign.funds)


def _pow_rules(scenario: Scenario) -> PowRules:
    ledger, miners = scenario.ledger, scenario.population.miner
    return PowRules(
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
    )
