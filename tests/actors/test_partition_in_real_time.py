"""A population falls into halves and comes together while time passes by itself: all checkers hold, seed after seed.

A run takes 2 s of CPU and most of a minute, so several run side by side, each in a process of its own.
"""

import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from actors.checkers import Bounds
from actors.run import RunPlan, run_plan
from tests.actors.test_partition_heals import halves, heals
from tests.checkers import of_kind, read_journal

SEEDS = range(1, 21)
SIDE_BY_SIDE = 3
CUT_S, APART_S, SECONDS = 12.0, 12.0, 65.0
SILENCE_S = 5.0
UNDER_WAY_MS = 1_000
BOUNDS = Bounds(settle_ms=25_000)
"""Who had links with the other half alone may need it all: a cut link is noticed after 5 s, and a dial into the cut fails
after 15 s; so such an actor finds its own half after the heal only, and what was said in between never reaches it."""
PATIENCE_S = 2 * SECONDS * len(SEEDS)

Told = tuple[dict[str, Any], Path]


def run(seed: int, path: Path) -> Told:
    """As in `halves`, faster: ends of a cut link notice it sooner, and a block comes each half second."""
    scenario = halves(
        seed,
        # Twelve seconds are 24 blocks, if a half has the luck to mine as the whole does; and a busy machine, on which links
        # and syncs take seconds, adds to that after the heal.
        ledger={"finality_depth": 60, "block_interval_ms": 500},
        network={"degree": 3, "latency_ms": 20, "jitter_ms": 10, "spread": "lognormal", "silence_s": SILENCE_S},
        faults=[{"at_s": CUT_S, "kind": "partition", "groups": [["50%"], ["rest"]], "for_s": APART_S}],
    )
    return run_plan(RunPlan(scenario, "swarm", seconds=SECONDS, journal=path)), path


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[int, Future[Told]]]:
    """The runs of the seeds that were asked for, the first of them under way."""
    chosen = [item.callspec.params["seed"] for item in request.session.items if item.path == request.path]
    folder = tmp_path_factory.mktemp("journals")
    # Spawned: a fork would take along whatever the tests before have left in this process.
    with ProcessPoolExecutor(SIDE_BY_SIDE, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield {seed: pool.submit(run, seed, folder / f"{seed}.jsonl") for seed in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_halves_heal_in_real_time(seed, runs):
    report, path = runs[seed].result(timeout=PATIENCE_S)
    journal = read_journal(path)
    heals(report, journal, BOUNDS, under_way_ms=UNDER_WAY_MS)
    began, ended = (r["t"] / 1000 for r in of_kind(journal, "fault"))
    assert CUT_S <= began < CUT_S + 1 and CUT_S + APART_S <= ended < CUT_S + APART_S + 1
