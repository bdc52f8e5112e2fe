"""A scenario is taken as it is written or refused by the key that is wrong."""

import tomllib
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.scenario import Scenario, ScenarioError, convert, load

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def tables(struct, prefix=()):
    """Paths of all tables of the schema."""
    yield prefix
    for field in msgspec.structs.fields(struct):
        inner = struct if field.name == "place" else field.default
        if isinstance(inner, msgspec.Struct):
            yield from tables(type(inner), (*prefix, field.name))
    if struct is Scenario:
        yield ("place",)


def nested(path, value):
    for key in reversed(path):
        value = {key: value}
    return value


TABLES = sorted({path for path in tables(Scenario) if path.count("place") <= 1 and "place" not in path[:-1]})


def test_every_table_is_known_here():
    assert {".".join(path) for path in TABLES} >= {
        "", "place", "population", "population.worker", "ledger", "ledger.ordered",
        "ledger.ordered.batch", "population.orderer", "spatial", "spatial.rewards", "reports", "network",
    }  # fmt: skip


@pytest.mark.parametrize("path", TABLES, ids=lambda path: ".".join(path) or "top level")
def test_unknown_key__reject_by_name(path):
    with pytest.raises(ScenarioError, match="`colour`") as refused:
        convert(nested((*path, "colour"), "red"))
    assert f"at {'.'.join(path) or 'the top level'}" in str(refused.value)


WRONG = {
    "seed": (-1, "-1"),
    "duration_s": (0, "duration_s"),
    "name": (7, "7"),
    "population.worker.count": ("many", "'many'"),
    "population.worker.accuracy": (1.5, "1.5"),
    "population.worker.look_ms": ([5], "[5]"),
    "population.miner.hash_rate": (0, "0"),
    "ledger.kind": ("pos", "'pos'"),
    "ledger.retarget_window": (1, "1"),
    "ledger.max_block_bytes": (1, "1"),
    "ledger.max_transaction_gas": (566_415, "566415"),
    "ledger.max_block_gas": (566_415, "566415"),
    "ledger.keep_blocks": (1_023, "1023"),
    "ledger.durability": ("none", "'none'"),
    "ledger.ordered.consensus": ("bft", "'bft'"),
    "ledger.ordered.organisations": (0, "0"),
    "ledger.ordered.batch.timeout_ms": (0, "0"),
    "ledger.ordered.batch.absolute_bytes": (1, "1"),
    "ledger.ordered.election_ticks": (1, "1"),
    "ledger.ordered.heartbeat_ticks": (10, "10"),
    "population.orderer.count": (17, "17"),
    "spatial.group_size": (2, "2"),
    "spatial.rewards.reading": ("generous", "'generous'"),
    "reports.per_minute": (0, "0"),
    "network.loss": (1.01, "1.01"),
    "network.kind": ("carrier pigeon", "'carrier pigeon'"),
    "place.lat_min": (-91, "-91"),
    "place.lon_max": (181, "181"),
}


@pytest.mark.parametrize("key", WRONG)
def test_wrong_value__reject_by_key_and_value(key, tmp_path):
    value, shown = WRONG[key]
    with pytest.raises(ScenarioError) as refused:
        convert(nested(key.split("."), value))
    assert key in str(refused.value)
    assert shown in str(refused.value)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "key", ["network.latency_ms", "reports.per_minute", "reports.speed", "population.worker.speed_m_s", "duration_s"]
)
def test_set__reject_numbers_that_are_none(key, value):
    with pytest.raises(ScenarioError, match=key):
        load(None, [f"{key}={value}"])


TOGETHER = {
    "place: the box": {"place": {"lat_min": 5, "lat_max": 5, "lon_min": 1, "lon_max": 2}},
    "spatial.types: must contain other": {"spatial": {"types": ["fire"]}},
    "a type is listed twice": {"spatial": {"types": ["other", "fire", "fire"]}},
    "spatial.min_workers: 6 exceeds group_size 5": {"spatial": {"min_workers": 6}},
    "reports.categories: Feu maps to feu": {"reports": {"categories": {"Feu": "feu"}}},
    "population.worker.look_ms: the shortest, 9, exceeds": {"population": {"worker": {"look_ms": [9, 8]}}},
    "population.facility.review_ms: the shortest, 2, exceeds": {"population": {"facility": {"review_ms": [2, 1]}}},
    "ledger.max_block_gas: 900000 is less than max_transaction_gas 1000000": {
        "ledger": {"max_transaction_gas": 1_000_000, "max_block_gas": 900_000}
    },
    "heartbeat_ticks: 5 is not less": {"ledger": {"ordered": {"heartbeat_ticks": 5, "election_ticks": 5}}},
    "batch.preferred_bytes: 70000 exceeds": {
        "ledger": {"ordered": {"batch": {"preferred_bytes": 70_000, "absolute_bytes": 65_536}}}
    },
    "ledger.ordered.endorsement: .*expected": {"ledger": {"ordered": {"endorsement": "AND('org1.peer',"}}},
    "ledger.ordered.blocks: org4 is none of org1, org2, org3": {"ledger": {"ordered": {"blocks": "'org4.orderer'"}}},
    "population.orderer.count: 0": {"ledger": {"kind": "ordered"}, "population": {"orderer": {"count": 0}}},
    "population.worker.pseudonyms: a fresh key": {
        "ledger": {"kind": "ordered", "ordered": {"writers": ""}},
        "population": {"worker": {"pseudonyms": True}},
    },
    "campaign.phases.grace: a phase that is moved on so late": {
        "systems": ["campaign"],
        "campaign": {"phases": {"grace": 8.0}},
    },
    "campaign.oracles.challenge_s: a phase that is moved on so late": {
        "systems": ["campaign"],
        "campaign": {"oracles": {"challenge_s": 17.0}},
    },
}


@pytest.mark.parametrize("message", TOGETHER)
def test_keys_that_do_not_fit_together__reject(message):
    with pytest.raises(ScenarioError, match=message):
        convert(TOGETHER[message])


def test_all_misfits_are_told_at_once():
    with pytest.raises(ScenarioError, match=r"min_workers.*look_ms"):
        convert({"spatial": {"min_workers": 6}, "population": {"worker": {"look_ms": [9, 8]}}})


def test_set_overrides_the_file_and_the_last_wins(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text("seed = 4\n[population.worker]\ncount = 7\naccuracy = 0.5\n")
    scenario = load(
        path, ["population.worker.count=8", "population.worker.count = 9", "name=night", 'place.name="a=b"']
    )
    assert scenario.seed == 4
    assert scenario.population.worker.count == 9
    assert scenario.population.worker.accuracy == 0.5
    assert scenario.name == "night"
    assert scenario.place.name == "a=b"


@pytest.mark.parametrize(
    "override, message",
    [
        ("seed", "write key=value"),
        ("seed.deep=1", "seed is a value, not a table"),
        ("population.worker.hat=1", "`hat`"),
        ("population=3", "population"),
        ("=3", "top level"),
        ("population..count=3", "population"),
    ],
)
def test_set__reject(override, message, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text("seed = 4\n")
    with pytest.raises(ScenarioError, match=message):
        load(path, [override])


def test_load__reject_missing_file(tmp_path):
    with pytest.raises(ScenarioError, match=r"cannot read scenario .*nowhere\.toml: No such file"):
        load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("raw", [b"seed = ", b"\xff\xfe", b"[a]\n[a]\n", b"\x00"])
def test_load__reject_what_is_not_toml(raw, tmp_path):
    path = tmp_path / "s.toml"
    path.write_bytes(raw)
    with pytest.raises(ScenarioError, match=r"s\.toml is not TOML"):
        load(path)


keys = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
known = st.sampled_from([field.name for field in msgspec.structs.fields(Scenario)])


@given(st.dictionaries(known | keys, trees, max_size=5))
def test_any_tree_is_a_scenario_or_refused(tree):
    with suppress(ScenarioError):
        assert isinstance(convert(tree), Scenario)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_scenarios_that_we_ship_are_good(path):
    scenario = load(path)
    assert scenario.name == tomllib.loads(path.read_text())["name"]


def test_actors_counts_everybody():
    assert convert({}).actors == 10 + 40 + 6 + 3 + 1
