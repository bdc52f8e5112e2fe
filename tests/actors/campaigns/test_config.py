"""What a scenario says of campaigns: what does not fit together, or is not there, is refused by its key."""

import pytest
from msgspec.structs import replace

from actors.campaign_config import CampaignConfig
from actors.identity import Identity
from actors.join import joined_scenario
from actors.population import Member
from actors.run import Joining
from actors.scenario import Scenario, ScenarioError, convert
from chain.codec import decode, encode
from chain.contracts.campaign_board import wrong_term
from chain.contracts.campaign_records import Terms
from tests.actors.campaigns.square import square
from tests.strategies import genesis

MISFITS = {
    r"population\.organizer\.count: 0": {"population": {"organizer": {"count": 0}}},
    r"population\.oracle\.count: 1, campaign\.oracles\.agreeing 2": {
        "population": {"oracle": {"count": 1}},
        "campaign": {"oracles": {"drawn": 3, "agreeing": 2}},
    },
    r"population\.requester\.count: 0, somebody must publish": {"population": {"requester": {"count": 0}}},
    r"campaign\.oracles\.agreeing: 3 exceeds drawn 2": {"campaign": {"oracles": {"drawn": 2, "agreeing": 3}}},
    r"campaign\.oracles\.penalty: 9 exceeds stake 8": {"campaign": {"oracles": {"penalty": 9, "stake": 8}}},
    r"campaign\.bounty: 4000000 exceeds bond": {"campaign": {"bounty": 4_000_000}},
    r"campaign\.phases\.review: 40.0 leaves nothing": {"campaign": {"phases": {"review": 40.0}}},
    r"campaign\.phases\.grace: a phase": {"campaign": {"phases": {"grace": 8.0}}},
    r"campaign\.phases\.grace: .* void": {"campaign": {"phases": {"submission": 24.0}}},
    r"campaign\.oracles\.challenge_s: ": {"campaign": {"oracles": {"challenge_s": 18.0}}},
    r"campaign\.tasks\.best_s: the earliest, 20.0, exceeds": {"campaign": {"tasks": {"best_s": [20.0, 15.0]}}},
    r"campaign\.tasks\.best_s: 40.0 is after the end": {"campaign": {"tasks": {"best_s": [10.0, 40.0]}}},
    r"campaign\.walk\.planner: 'best' is no planner": {"campaign": {"walk": {"planner": "best"}}},
    r"campaign\.walk\.planner: planner 'my_lab:plan'": {"campaign": {"walk": {"planner": "my_lab:plan"}}},
    r"campaign\.oracles\.selector: 'best' is no selector": {"campaign": {"oracles": {"selector": "best"}}},
    r"campaign\.oracles\.selector: .* is a int": {
        "campaign": {"oracles": {"selector": "tests.actors.sensing.plans:NOT_A_FUNCTION"}}
    },
    r"systems: one is listed twice": {"systems": ["campaign", "campaign"]},
}
OUT_OF_RANGE = {
    "campaign.cycles": -1,
    "campaign.funds": 10**15 + 1,
    "campaign.deposit": -1,
    "campaign.phases.registration": 0.0,
    "campaign.phases.bidding": 0.0001,
    "campaign.phases.collection": 1e9,
    "campaign.phases.review": -1.0,
    "campaign.tasks.count": 129,
    "campaign.tasks.margin": 0.5,
    "campaign.tasks.reward": 0,
    "campaign.tasks.samples": 17,
    "campaign.tasks.best_s": [-1.0, 4.0],
    "campaign.tasks.interval_s": 0.0,
    "campaign.walk.speed_m_s": 0.0,
    "campaign.walk.limit_m": float("inf"),
    "campaign.max_speed_m_s": -1.0,
    "campaign.oracles.drawn": 16,
    "campaign.oracles.draw_delay": 0,
    "campaign.oracles.check": "never",
    "population.oracle.count": 65,
    "systems": ["weather"],
}
UNKNOWN = (
    "campaign.cycle",
    "campaign.phases.delivery",
    "campaign.tasks.sample",
    "campaign.walk.plan",
    "campaign.oracles.m",
)
CAMPAIGNS = {"systems": ["campaign"], "population": {"organizer": {"count": 1}, "oracle": {"count": 3}}}


def with_value(key, value):
    tree = {"systems": ["campaign"]}
    table = tree
    *tables, leaf = key.split(".")
    for name in tables:
        table = table.setdefault(name, {})
    table[leaf] = value
    return tree


def over(tree, changes):
    """`changes` in place of what `tree` has."""
    return {
        **tree,
        **{key: over(tree.get(key, {}), value) if isinstance(value, dict) else value for key, value in changes.items()},
    }


@pytest.mark.parametrize("message", MISFITS)
def test_keys_that_do_not_fit_together__reject(message):
    with pytest.raises(ScenarioError, match=message):
        convert(over(CAMPAIGNS, MISFITS[message]))


@pytest.mark.parametrize("key", OUT_OF_RANGE)
def test_values_out_of_range__reject(key):
    with pytest.raises(ScenarioError, match=key.replace(".", r"\.")):
        convert(with_value(key, OUT_OF_RANGE[key]))


@pytest.mark.parametrize("key", UNKNOWN)
def test_unknown_keys__reject(key):
    with pytest.raises(ScenarioError, match=key.rpartition(".")[2]):
        convert(with_value(key, 1))


def test_without_campaigns_nothing_of_them_is_asked_for():
    scenario = convert({"population": {"organizer": {"count": 0}}})
    assert scenario.count("oracle") == scenario.count("organizer") == 0


@pytest.mark.parametrize("allow_list", [False, True])
def test_what_a_scenario_says_is_what_an_organizer_deploys(allow_list):
    config = CampaignConfig(allow_list=allow_list)
    oracles = (b"\2" * 32, b"\1" * 32)
    terms = config.terms(oracles)
    assert decode(Terms, encode(terms), limit=10_000) == terms
    assert wrong_term(terms) == ""
    assert terms.durations_ms == (12_000, 16_000, 22_000, 30_000, 40_000, 40_000)
    assert terms.oracles == (oracles[::-1] if allow_list else ())


# Who joins. ---------------------------------------------------------------------------------------------------


def joining(*roles: str) -> Joining:
    members = tuple(Member(f"{role}-x{n}", role, Identity.derive(1, role), None) for n, role in enumerate(roles))
    return Joining(genesis(), members, ())


@pytest.mark.parametrize("systems", [("spatial",), ("campaign",), ("campaign", "spatial")])
def test_who_joins_takes_part_in_campaigns_and_in_what_else_it_wants(systems):
    joined = joined_scenario(replace(Scenario(), systems=systems), joining("worker", "oracle", "organizer"))
    assert joined.systems == tuple(dict.fromkeys((*systems, "campaign")))
    assert [joined.count(role) for role in ("worker", "oracle", "organizer", "miner")] == [1, 1, 1, 0]


def test_an_organizer_that_would_allow_nobody__reject():
    listed = replace(square(), campaign=CampaignConfig(allow_list=True))
    assert joined_scenario(listed, joining("organizer", "oracle")).campaign.allow_list
    with pytest.raises(ScenarioError, match="--role oracle as well"):
        joined_scenario(listed, joining("organizer", "worker"))
