"""A population follows from its scenario: everybody's name, key and home, and the rules they agree on."""

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actors.population import LEDGER_ROLES, ROLES, build_city, build_members, found, names, scaled
from actors.scenario import PopulationConfig, ScenarioError, convert
from tests.actors.simulated import small

counts = st.fixed_dictionaries({role: st.integers(0, 300) for role in ROLES})


def with_counts(wanted):
    default = PopulationConfig()
    return msgspec.structs.replace(
        default, **{role: msgspec.structs.replace(getattr(default, role), count=n) for role, n in wanted.items()}
    )


@given(counts, st.integers(1, 2_000))
def test_scaled_populations_add_up_and_no_role_dies_out_or_appears(wanted, actors):
    present = sum(1 for n in wanted.values() if n)
    assume(0 < present <= actors)
    made = scaled(with_counts(wanted), actors)
    result = {role: getattr(made, role).count for role in ROLES}
    assert sum(result.values()) == actors
    assert all((result[role] > 0) == (wanted[role] > 0) for role in ROLES)
    total = sum(wanted.values())
    for role, n in result.items():
        if n > 1:
            # Within one of its share, but for what roles rounded up to one took from the largest.
            assert abs(n - wanted[role] * actors / total) < 1 + len(ROLES)


@given(counts)
def test_scaling_to_the_same_size_changes_nothing(wanted):
    total = sum(wanted.values())
    assume(total)
    assert scaled(with_counts(wanted), total) == with_counts(wanted)


@given(counts, st.integers(0, 4))
def test_scaled__reject_fewer_actors_than_roles(wanted, actors):
    assume(sum(1 for n in wanted.values() if n) > actors)
    with pytest.raises(ScenarioError, match=f"--actors {actors}: .*each needs one"):
        scaled(with_counts(wanted), actors)


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
