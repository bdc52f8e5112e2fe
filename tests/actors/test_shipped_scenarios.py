"""The scenarios that come with the project do what they say."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from actors.run import RunPlan, run_plan
from actors.scenario import PlaceConfig, Scenario, load

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
