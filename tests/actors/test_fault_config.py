"""Faults in a scenario: taken as written or refused by the key, and who they strike."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.fault_config import Clog, Crash, Partition, choose, choose_groups, kind_of, problems
from actors.run import RunPlan, run_plan
from actors.scenario import ScenarioError, convert
from tests.actors.simulated import small

ROLES = {
    "miner": [f"miner-{n:02}" for n in range(1, 5)],
    "mec": ["mec-01", "mec-02"],
    "worker": [f"worker-{n:02}" for n in range(1, 11)],
}
EVERYBODY = [name for names in ROLES.values() for name in names]
KINDS = {
    "partition": {"groups": [["miner"], ["rest"]]},
    "clog": {"actors": ["*"], "bytes_per_s": 10},
    "hold": {"groups": [["mec"], ["rest"]], "for_s": 2.5},
    "release": {},
    "heal": {},
    "crash": {"actors": ["30%"], "lose_disk": True, "for_s": 10},
    "restart": {"actors": ["miner-01"]},
    "skew": {"actors": ["miner"], "skew_ms": -500},
    "churn": {"actors": ["worker:50%"], "leaves_per_minute": 2.0, "away_s": 3.0},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_understood(kind):
    scenario = convert({"faults": [{"at_s": 1.5, "kind": kind, **KINDS[kind]}]})
    assert [kind_of(fault) for fault in scenario.faults] == [kind]
    assert scenario.faults[0].at_s == 1.5


@pytest.mark.parametrize(
    "fault, told",
    [
        ({"kind": "flood", "at_s": 1}, ["faults[1]", "'flood'", "kind"]),
        ({"kind": "heal"}, ["faults[1]", "at_s"]),
        ({"at_s": 1}, ["faults[1]", "kind"]),
        ({"kind": "heal", "at_s": -1}, ["faults[1].at_s", "-1"]),
        ({"kind": "heal", "at_s": 1, "actors": ["*"]}, ["faults[1]", "`actors`"]),
        ({"kind": "partition", "at_s": 1, "groups": [["*"]]}, ["faults[1].groups"]),
        ({"kind": "partition", "at_s": 1, "groups": [["*"], []]}, ["faults[1].groups"]),
        ({"kind": "crash", "at_s": 1, "actors": []}, ["faults[1].actors"]),
        ({"kind": "crash", "at_s": 1, "actors": ["*"], "for_s": 0}, ["faults[1].for_s", "0"]),
        ({"kind": "skew", "at_s": 1, "actors": ["*"], "skew_ms": "much"}, ["faults[1].skew_ms", "'much'"]),
        ({"kind": "churn", "at_s": 1, "actors": ["*"], "leaves_per_minute": 0}, ["faults[1].leaves_per_minute", "0"]),
        ({"kind": "clog", "at_s": 1, "actors": ["*"], "bytes_per_s": 0}, ["faults[1].bytes_per_s", "0"]),
        (7, ["faults[1]"]),
    ],
)
def test_wrong_fault__reject_by_number_and_key(fault, told):
    with pytest.raises(ScenarioError) as refused:
        convert({"faults": [{"kind": "heal", "at_s": 1}, fault]})
    assert all(part in str(refused.value) for part in told), refused.value


def test_clogs_and_holds_need_memory_links():
    tree = {"network": {"kind": "libp2p"}, "faults": [{"at_s": 1, "kind": "partition", "groups": [["*"], ["rest"]]}, {"at_s": 1, "kind": "hold", "actors": ["*"]}]}  # fmt: skip
    with pytest.raises(ScenarioError, match=r"faults\[1\].kind: a hold needs network.kind memory"):
        convert(tree)
    tree["faults"].pop()
    convert(tree)


@pytest.mark.parametrize(
    "network, told",
    [
        ({"latency_ms": 5, "jitter_ms": 6}, "jitter"),
        ({"spread": "bimodal"}, "'bimodal'"),
        ({"queue_bytes": 0}, "network.queue_bytes"),
        ({"duplication": 1.1}, "network.duplication"),
        ({"silence_s": 0}, "network.silence_s"),
        ({"bytes_per_s": -1}, "network.bytes_per_s"),
    ],
)
def test_impossible_network__reject(network, told):
    with pytest.raises(ScenarioError, match=told):
        convert({"network": network})


@pytest.mark.parametrize(
    "fault, told",
    [
        ({"kind": "crash", "actors": ["miner-09"]}, "actors: 'miner-09' is no actor"),
        ({"kind": "crash", "actors": ["mec", "judge:10%"]}, "actors: 'judge:10%': there is no role judge"),
        ({"kind": "crash", "actors": ["101%"]}, "actors: '101%' is more than all"),
        ({"kind": "crash", "actors": ["rest"]}, "actors: rest has a meaning only in groups"),
        ({"kind": "partition", "groups": [["miner"], ["nobody"]]}, "groups: 'nobody' is no actor"),
        (
            {"kind": "partition", "groups": [["miner"], ["mec"], ["rest"]], "one_way": True},
            "one_way: needs exactly two",
        ),
        ({"kind": "hold", "groups": [["miner"], ["mec"], ["rest"]], "one_way": True}, "one_way: needs exactly two"),
        ({"kind": "hold"}, "actors: give either actors or groups"),
        ({"kind": "clog", "actors": ["*"], "groups": [["*"], ["rest"]]}, "actors: give either actors or groups"),
    ],
)
def test_nobody_there__reject_before_the_run(fault, told):
    scenario = small(faults=[{"kind": "heal", "at_s": 1}, {"at_s": 1, **fault}])
    with pytest.raises(ScenarioError) as refused:
        run_plan(RunPlan(scenario, "simulate", seconds=5.0))
    assert f"faults[1].{told}" in str(refused.value)


@pytest.mark.parametrize(
    "selectors, count",
    [
        (["*"], 16), (["miner"], 4), (["miner-03"], 1), (["miner-03", "miner"], 4), (["miner:50%"], 2), (["50%"], 8),
        (["0%"], 0), (["100%"], 16), (["mec", "worker:30%"], 5), (["25%"], 4),
    ],
)  # fmt: skip
def test_selectors(selectors, count):
    for seed in range(5):
        chosen = choose(selectors, ROLES, Random(seed))
        assert len(chosen) == count
        assert chosen == [name for name in EVERYBODY if name in chosen]


def test_a_share_is_drawn_by_the_seed_and_from_every_role():
    draws = {tuple(choose(["50%"], ROLES, Random(seed))) for seed in range(20)}
    assert len(draws) > 10
    for drawn in draws:
        assert [sum(name in drawn for name in names) for names in ROLES.values()] == [2, 1, 5]
    assert choose(["50%"], ROLES, Random(3)) == choose(["50%"], ROLES, Random(3))


def test_thirds_leave_nobody_out():
    groups = choose_groups([["33.4%"], ["50%"], ["rest"]], ROLES, Random(1))
    assert sorted(name for group in groups for name in group) == sorted(EVERYBODY)
    assert all(4 <= len(group) <= 6 for group in groups)


@given(
    st.lists(
        st.lists(st.sampled_from(["*", "rest", "miner", "mec-01", "50%", "worker:20%", "7%"]), max_size=3), max_size=4
    ),
    st.integers(0, 100),
)
def test_groups_do_not_overlap(groups, seed):
    chosen = choose_groups(groups, ROLES, Random(seed))
    names = [name for group in chosen for name in group]
    assert len(names) == len(set(names))
    assert len(chosen) == len(groups)


def test_a_good_fault_has_no_problems():
    assert not [*problems(Partition(at_s=0, groups=(("miner:30%",), ("rest",)), one_way=True), ROLES)]
    assert not [*problems(Clog(at_s=0, actors=("*",), one_way=True), ROLES)]
    assert not [*problems(Crash(at_s=0, actors=("30%", "mec-01", "*", "worker")), ROLES)]
