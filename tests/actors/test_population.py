"""A population follows from its scenario: everybody's name, key and home, and the rules they agree on."""

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actors.founding import found
from actors.population import LEDGER_ROLES, build_city, build_members, names, scaled
from actors.scenario import CAMPAIGNERS, ROLES, PopulationConfig, ScenarioError, convert
from chain.genesis import Network
from tests.actors.simulated import small

KINDS = ("pow", "ordered", "solo")
counts = st.fixed_dictionaries({role: st.integers(0, 16 if role == "orderer" else 300) for role in ROLES})


def with_counts(wanted, kind="pow"):
    """A scenario with these numbers, as far as they take part: the others are as they are."""
    population = msgspec.structs.replace(
        PopulationConfig(),
        **{role: msgspec.structs.replace(getattr(PopulationConfig(), role), count=n) for role, n in wanted.items()},
    )
    consensus = "solo" if kind == "solo" else "raft"
    ledger = {"kind": "pow" if kind == "pow" else "ordered", "ordered": {"consensus": consensus}}
    return msgspec.structs.replace(convert({"ledger": ledger}), population=population)


def taking_part(scenario):
    return {role: scenario.count(role) for role in ROLES}


def test_the_default_population_is_of_one_size_on_every_ledger():
    for kind in KINDS[:2]:
        assert convert({"ledger": {"kind": kind}}).actors == 60
    roles = {kind: {r for r, n in taking_part(with_counts({}, kind)).items() if n} for kind in KINDS}
    everywhere = {*ROLES} - {*CAMPAIGNERS}
    assert roles["pow"] == everywhere - {"orderer", "endorser"}
    assert roles["ordered"] == roles["solo"] == everywhere - {"miner"}
    assert with_counts({}, "solo").count("orderer") == 1


@given(st.sampled_from(KINDS), counts, st.integers(1, 2_000))
def test_scaled_populations_add_up_and_no_role_dies_out_or_appears(kind, wanted, actors):
    scenario = with_counts(wanted, kind)
    before = taking_part(scenario)
    present = sum(1 for n in before.values() if n)
    assume(0 < present <= actors)
    assume(present > 1 or not before["orderer"])
    result = taking_part(scaled(scenario, actors))
    assert sum(result.values()) == actors
    assert all((result[role] > 0) == (before[role] > 0) for role in ROLES)
    assert result["orderer"] <= before["orderer"]
    total = sum(before.values())
    kept = before["orderer"] if actors > total else 0
    for role, n in result.items():
        if n > 1 and not (role == "orderer" and kept):
            # Within one of its share, but for what roles rounded up to one took from the largest.
            assert abs(n - before[role] * (actors - kept) / (total - kept)) < 1 + len(ROLES)


@given(st.sampled_from(KINDS), counts)
def test_scaling_to_the_same_size_changes_nothing(kind, wanted):
    scenario = with_counts(wanted, kind)
    assume(scenario.actors)
    assert taking_part(scaled(scenario, scenario.actors)) == taking_part(scenario)


@given(st.sampled_from(KINDS), counts, st.integers(0, 5))
def test_scaled__reject_fewer_actors_than_roles(kind, wanted, actors):
    scenario = with_counts(wanted, kind)
    assume(sum(1 for n in taking_part(scenario).values() if n) > actors)
    with pytest.raises(ScenarioError, match=f"--actors {actors}: .*each needs one"):
        scaled(scenario, actors)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("actors", [6, 20, 60, 500, 1_000])
def test_a_scaled_population_can_be_founded(kind, actors):
    scenario = scaled(with_counts({}, kind), actors)
    members, city = members_of(scenario)
    assert len(members) == scenario.actors == actors
    Network.found(found(scenario, city, members, 1_000))


def members_of(scenario):
    city = build_city(scenario, None)
    return build_members(scenario, city), city


def test_members_follow_from_the_seed():
    one, other = members_of(small(seed=5))[0], members_of(small(seed=5))[0]
    assert one == other
    third, _ = members_of(small(seed=6))
    assert not {m.identity for m in one} & {m.identity for m in third}
    assert {m.place for m in one if m.place} != {m.place for m in third if m.place}


def test_who_there_is():
    members, city = members_of(small())
    assert [m.role for m in members] == ["mec", "miner", "miner", "facility"] + ["requester"] * 2 + ["worker"] * 8
    assert len({m.name for m in members}) == len({m.identity.account for m in members}) == len(members)
    for member in members:
        assert (member.place is None) == (member.role == "miner")
        if member.place is not None:
            assert city.inside(member.place) == member.place


def test_more_workers_leave_the_others_where_they_were():
    few, _ = members_of(small())
    many, _ = members_of(small(population__worker__count=30))
    at = {m.name: (m.identity, m.place) for m in many}
    for member in few:
        if member.role not in LEDGER_ROLES:
            assert at[member.name] == (member.identity, member.place)


def test_names_sort_as_they_count():
    assert names("worker", 3) == ["worker-01", "worker-02", "worker-03"]
    assert sorted(names("worker", 120)) == list(names("worker", 120))
    assert names("worker", 0) == []


def test_genesis_says_what_the_scenario_says():
    scenario = small(spatial__rewards={"gamma_requester": 0.3}, ledger__block_interval_ms=2_000)
    members, city = members_of(scenario)
    genesis = found(scenario, city, members, 1_000)
    assert genesis == found(scenario, city, members, 1_000)
    assert genesis.network != found(scenario, city, members, 1_001).network
    assert genesis.spatial.gamma_r_ppm == 300_000
    assert genesis.spatial.group_size == 3
    assert genesis.ledger.initial_difficulty == 2 * 60 * 2
    assert {(o.role, o.account) for o in genesis.spatial.operators} == {
        (m.role, m.identity.account) for m in members if m.role in ("mec", "facility")
    }


def test_a_population_without_miners_or_people_can_be_founded():
    scenario = convert({"population": {role: {"count": 0} for role in ("requester", "worker", "miner")}})
    members, city = members_of(scenario)
    assert found(scenario, city, members, 0).ledger.initial_difficulty == 1


def test_a_larger_population_has_no_more_campaigns():
    scenario = convert(
        {
            "systems": ["campaign"],
            "population": {"organizer": {"count": 1}, "oracle": {"count": 3}, "worker": {"count": 15}},
        }
    )
    result = taking_part(scaled(scenario, 10 * scenario.actors))
    assert result["organizer"] == 1
    assert (result["oracle"], result["worker"]) == (31, 154)  # in proportion to all but the organizer
