"""Twelve miners through a storm: halves apart, crashes, lost disks, churn and wrong clocks. One final chain comes of it.

All money is accounted for, no report is paid twice, every confirmed one has its votes, and a seed's run is the same to
the byte. What the storm is like, the seed draws.
"""

from random import Random

import pytest

from actors.checkers import Bounds, conflicting_finality, stragglers
from actors.ledger_checkers import check_chain, executed_alone, final_chain
from actors.scenario import convert
from chain.codec import encode
from tests.actors.simulated import simulate
from tests.checkers import of_kind, votes_out_of_order, what_went_wrong

SEEDS = range(1, 3)
SLOW_SEEDS = range(3, 31)
SECONDS = 120.0
BOUNDS = Bounds(settle_ms=40_000)


def storm(seed):
    """From 15 s to 60 s; half a minute after it, all is level again. Nothing gets final in a half of its own."""
    chance = Random(f"storm/{seed}")
    share = chance.choice([25, 40, 50])
    faults = [
        {"at_s": 20 + chance.uniform(0, 5), "kind": "partition", "groups": [[f"{share}%"], ["rest"]],
         "for_s": chance.uniform(10, 20)},
        {"at_s": 15, "kind": "churn", "actors": ["miner:50%"], "leaves_per_minute": 2.0, "away_s": 5.0, "for_s": 40,
         "lose_disk": chance.random() < 0.5},
        {"at_s": 18 + chance.uniform(0, 20), "kind": "crash", "actors": [f"miner-{chance.randint(1, 12):02}", "mec-01"],
         "for_s": chance.uniform(2, 12), "lose_disk": chance.random() < 0.5},
        {"at_s": 16, "kind": "skew", "actors": ["miner:25%"], "skew_ms": chance.choice([-7_000, -3_000, 3_000, 7_000]),
         "for_s": 40},
    ]  # fmt: skip
    return convert(
        {
            "name": "storm",
            "seed": seed,
            "population": {
                "requester": {"count": 2},
                "worker": {"count": 6, "accuracy": 1.0, "roam_m": 300, "look_ms": [100, 500]},
                "miner": {"count": 12, "hash_rate": 10},
                "mec": {"count": 2},
                "facility": {"count": 1, "review_ms": [500, 1000]},
            },
            "ledger": {"finality_depth": 30},
            "spatial": {
                "group_size": 3,
                "report_radius_m": 50_000,
                "vote_window_ms": 5_000,
                "reveal_window_ms": 15_000,
                "tally_window_ms": 60_000,
                "assign_window_ms": 120_000,
            },
            "reports": {"per_minute": 20, "hot_spots": 1},
            "network": {"degree": 4, "latency_ms": 20, "jitter_ms": 10, "spread": "lognormal"},
            "faults": faults,
        }
    )


def weather(seed, folder):
    run = simulate(storm(seed), folder, seconds=SECONDS)
    assert what_went_wrong(run.report) == []
    assert conflicting_finality(run.journal) == []
    assert stragglers(run.journal, BOUNDS) == []
    assert votes_out_of_order(run.journal) == []
    # It was a storm, and something came of the time.
    assert len(of_kind(run.journal, "down")) >= 3 and of_kind(run.journal, "reorg")
    assert {record["fault"] for record in of_kind(run.journal, "fault")} >= {"partition", "crash", "skew"}
    nodes = [node for node in run.swarm.full_nodes if node.core.block(1) is not None]
    best = max(nodes, key=lambda node: node.core.final.height)
    chain = final_chain(best.core)
    assert check_chain(best.core.network, chain, best.core.final_state) == []
    assert executed_alone(best.core.network, chain, best.core.final_state) == []
    return run, chain, best.core


@pytest.fixture(scope="module")
def weathered(tmp_path_factory):
    """The first seed's run, for all that look at it."""
    return weather(SEEDS[0], tmp_path_factory.mktemp("storm"))


def test_one_chain_comes_of_a_storm(weathered):
    run, chain, _ = weathered
    assert run.report["reports"]["confirmed"] >= 1
    assert len(chain) >= 20


def test_replay(weathered, tmp_path):
    run, chain, _ = weathered
    again, same_chain, _ = weather(SEEDS[0], tmp_path)
    assert again.report["journal_sha256"] == run.report["journal_sha256"]
    assert again.raw == run.raw
    assert [encode(block) for block, _ in same_chain] == [encode(block) for block, _ in chain]


@pytest.mark.parametrize("seed", SEEDS[1:])
def test_another_storm(seed, tmp_path):
    weather(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_more_storms(seed, tmp_path):
    weather(seed, tmp_path)
