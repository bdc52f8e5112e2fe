"""Schedules of faults that nobody thought of: whatever is drawn, the network keeps its promises once it may settle."""

from random import Random

import pytest

from actors.checkers import Bounds, check
from tests.actors.simulated import simulate, small
from tests.checkers import of_kind, what_went_wrong

FIRST_S, LAST_S, LONGEST_S, SECONDS = 12, 40, 12.0, 150.0
BOUNDS = Bounds(settle_ms=65_000, join_ms=20_000)
"""Who restarts has forgotten its backoffs, and gets new ones of 60 s where it grafts all the same: so long may it take until
meshes are whole. Deliveries do not wait for that: the gossip beside the meshes brings what they lack."""
SLOW_SEEDS = range(3, 31)


def schedule(rng):
    """Three to six faults of any kind, all over after a minute or so."""
    whom = ["miner", "mec", "worker", "requester", "facility", "30%", "50%", "worker:50%", "miner-01", "mec-02", "*"]
    faults = []
    for _ in range(rng.randint(3, 6)):
        kind = rng.choice(["partition", "clog", "hold", "crash", "restart", "skew", "churn"])
        fault = {"at_s": rng.randint(FIRST_S, LAST_S), "kind": kind}
        actors = rng.sample(whom, rng.randint(1, 2))
        if kind != "restart":
            fault["for_s"] = rng.uniform(1.0, LONGEST_S)
        if kind == "partition" or (kind in ("clog", "hold") and rng.random() < 0.5):
            fault |= {"groups": [[rng.choice(["50%", "30%", "miner-01", "worker", "mec-01"])], ["rest"]]}
        else:
            fault["actors"] = actors
        if kind in ("partition", "clog", "hold"):
            fault["one_way"] = rng.random() < 0.3
        fault |= {
            "crash": {"lose_disk": rng.random() < 0.3},
            "skew": {"skew_ms": rng.randint(-2_000, 2_000)},
            "churn": {"leaves_per_minute": rng.uniform(1, 4), "away_s": rng.uniform(1, 5)},
        }.get(kind, {})
        faults.append(fault)
    return sorted(faults, key=lambda fault: fault["at_s"])


def survives(seed, folder):
    faults = schedule(Random(f"faults/{seed}"))
    run = simulate(
        small(
            seed=seed,
            population__miner__count=4,
            population__mec__count=3,
            population__facility__count=2,
            ledger__finality_depth=60,
            faults=faults,
        ),
        folder,
        seconds=SECONDS,
    )
    assert what_went_wrong(run.report) == [], faults
    assert check(run.journal, BOUNDS) == [], faults
    assert {r["number"] for r in of_kind(run.journal, "fault")} == {*range(len(faults))}
    assert set(run.swarm.states.values()) == {"stopped"} and run.swarm.restarts == {}
    quiet = max(r["t"] for r in of_kind(run.journal, "fault", "up")) + BOUNDS.settle_ms
    assert [r for r in of_kind(run.journal, "delivered") if r["t"] > quiet]
    assert run.report["chain"]["final_height"] > 20


@pytest.mark.parametrize("seed", range(1, 3))
def test_any_schedule_is_survived(seed, tmp_path):
    survives(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_any_schedule_is_survived_with_more_seeds(seed, tmp_path):
    survives(seed, tmp_path)
