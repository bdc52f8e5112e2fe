"""A population falls into halves and comes together: all checkers hold, and a seed's run is the same to the byte."""

import re

import pytest

from actors.checkers import Bounds, check, undelivered
from actors.scenario import convert
from tests.actors.simulated import Run, simulate
from tests.checkers import of_kind, what_went_wrong

APART_S = 25.0
BOUNDS = Bounds(settle_ms=40_000)
SLOW_SEEDS = range(5, 21)


def halves(seed, **changes):
    """Eighteen actors, apart for 25 s: for half of the hash power a dozen blocks, of which none gets final."""
    return convert(
        {
            "name": "halves",
            "seed": seed,
            "population": {
                "requester": {"count": 2},
                "worker": {"count": 6, "accuracy": 1.0, "roam_m": 300, "look_ms": [100, 500]},
                "miner": {"count": 4, "hash_rate": 30},
                "mec": {"count": 4},
                "facility": {"count": 2, "review_ms": [500, 1000]},
            },
            # Deeper than even a lucky half gets, which has the difficulty of the whole at first and its own later.
            "ledger": {"finality_depth": 40},
            "spatial": {"group_size": 3, "report_radius_m": 50_000, "vote_window_ms": 5_000},
            "reports": {"per_minute": 10, "hot_spots": 1},
            "network": {"degree": 3, "latency_ms": 20, "jitter_ms": 10, "spread": "lognormal"},
            "faults": [{"at_s": 30, "kind": "partition", "groups": [["50%"], ["rest"]], "for_s": APART_S}],
            **changes,
        }
    )


def run_twice(seed, folder) -> Run:
    runs = []
    for name in ("first", "second"):
        (folder / name).mkdir()
        runs.append(simulate(halves(seed), folder / name, seconds=120.0))
    assert runs[0].report["journal_sha256"] == runs[1].report["journal_sha256"]
    assert runs[0].raw == runs[1].raw
    return runs[0]


def heals(report, journal, bounds, *, under_way_ms=100) -> None:
    """All checkers hold, and there was something for them to hold of. What was sent before the cut arrives that late."""
    assert what_went_wrong(report) == []
    assert check(journal, bounds) == []
    begin, end = of_kind(journal, "fault")
    groups = [set(group) for group in begin["groups"]]
    assert [len(group) for group in groups] == [9, 9]
    # It was a partition: nothing crossed, both halves went on, and one gave in.
    source = {r["id"]: r["a"] for r in of_kind(journal, "published")}
    apart = [r for r in of_kind(journal, "delivered") if begin["t"] + under_way_ms < r["t"] < end["t"]]
    assert apart and not [r for r in apart if (r["a"] in groups[0]) != (source[r["id"]] in groups[0])]
    assert [r for r in of_kind(journal, "reorg") if r["t"] >= end["t"] and r["depth"] >= 2]
    # And what was published later crossed.
    later = [r for r in of_kind(journal, "delivered") if r["t"] > end["t"] + bounds.settle_ms]
    assert [r for r in later if (r["a"] in groups[0]) != (source[r["id"]] in groups[0])]
    assert len({r["a"] for r in of_kind(journal, "look") if r["t"] >= end["t"] + bounds.settle_ms}) == 18
    # What was mined before the heal is final, one way or the other, and so is more: how much is the miners' luck.
    assert report["chain"]["final_height"] > max(r["height"] for r in of_kind(journal, "block") if r["t"] < end["t"])


@pytest.mark.parametrize("seed", range(1, 5))
def test_halves_heal_and_replay(seed, tmp_path):
    run = run_twice(seed, tmp_path)
    heals(run.report, run.journal, BOUNDS)
    assert [r["t"] for r in of_kind(run.journal, "fault")] == [30_000, 30_000 + APART_S * 1_000]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_halves_heal_and_replay_with_more_seeds(seed, tmp_path):
    run = run_twice(seed, tmp_path)
    heals(run.report, run.journal, BOUNDS)


def test_without_the_excuse_the_partition_shows(tmp_path):
    """The checkers are not blind: a journal that does not tell of the fault is full of messages that never came."""
    run = simulate(halves(1), tmp_path, seconds=100.0)
    assert undelivered(run.journal, BOUNDS) == []
    silent = [record for record in run.journal if record["k"] != "fault"]
    assert len(undelivered(silent, BOUNDS)) > 20


def test_longer_than_finality_makes_two_networks(tmp_path):
    run = simulate(halves(1, ledger={"finality_depth": 2}), tmp_path, seconds=100.0)
    assert not run.report["replicas_agree"]
    wrong = check(run.journal, BOUNDS)
    (told,) = [line for line in wrong if "outlasted" in line]
    assert "the partition of 25 s outlasted finality of 2 blocks" in told
    assert [line for line in wrong if " finalised " in line and line is not told]
    # The run says it as well, at once, and each replica no more than once.
    first, *others = run.report["errors"]
    height, after_s = re.search(r"at height (\d+), ([\d.]+) s after it began", first).groups()
    assert f"at height {height}:" in told and float(after_s) < APART_S
    assert len({line.partition(":")[0] for line in others}) == len(others) <= 10
    assert all("is not that of the other replicas" in line for line in others)
