"""The scenarios that come with the project do what they say."""

import tomllib
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from actors.founding import found
from actors.membership import certified
from actors.population import build_city, build_members
from actors.run import RunPlan, run_plan
from actors.scenario import ABSENT, PlaceConfig, Scenario, load
from chain.genesis import Network, kind_of

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def keys(tree, prefix=""):
    """Dotted paths of all values, but of tables that are free to name theirs."""
    for key, value in tree.items():
        if isinstance(value, dict) and key != "categories":
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_spatial_names_every_key_and_is_the_default():
    path = SCENARIOS / "spatial.toml"
    default = msgspec.structs.replace(Scenario(), name="spatial", place=PlaceConfig())
    assert load(path) == default
    assert {*keys(tomllib.loads(path.read_text()))} == {*keys(msgspec.to_builtins(default))} - {"duration_s"}


@pytest.mark.parametrize("kind", ["pow", "ordered"])
@pytest.mark.parametrize("name", sorted(path.name for path in SCENARIOS.glob("*.toml")))
def test_every_scenario_can_be_founded_on_either_ledger(name, kind):
    scenario = load(SCENARIOS / name, [f"ledger.kind={kind!r}"])
    city = build_city(scenario, None)
    members = build_members(scenario, city)
    network = Network.found(found(scenario, city, members, 1_700_000_000_000))
    assert kind_of(network.genesis) == kind
    assert len(members) == scenario.actors
    assert {member.role for member in members}.isdisjoint(ABSENT[kind])


def test_ordered_is_a_federation_of_towns():
    scenario = load(SCENARIOS / "ordered.toml")
    assert (scenario.actors, scenario.ledger.kind) == (60, "ordered")
    members = certified(scenario, build_members(scenario, build_city(scenario, None)), 1_700_000_000_000)
    towns = Counter(member.certificate.organisation for member in members if member.role == "mec")
    assert towns == {"org1": 2, "org2": 2, "org3": 2, "org4": 2}


@pytest.mark.slow
def test_city_confirms_what_is_true_in_virtual_hours():
    """A quarter of an hour: what was reported in its first two thirds is decided."""
    run = run_plan(RunPlan(load(SCENARIOS / "city.toml"), "simulate", seconds=900.0))
    assert run["actors"] == 60
    assert run["errors"] == []
    assert run["replicas_agree"] and run["supply_conserved"]
    reports = run["reports"]
    assert reports["expired"] <= 2  # groups of fresh workers do not run out
    decided = reports["confirmed"] + reports["rejected"]
    assert decided >= reports["submitted"] // 2
    assert 0.6 <= reports["confirmed"] / decided <= 0.95  # four in five are true
