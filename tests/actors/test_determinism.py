"""A simulation is its scenario: the same bytes in another process with another hash seed, other bytes for another seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from actors.run import RunPlan, run_plan
from tests.actors.simulated import small
scenario = small(seed=int(sys.argv[1]), network__loss=0.03, network__jitter_ms=20)
print(run_plan(RunPlan(scenario, "simulate", seconds=20.0))["journal_sha256"])
"""


def journal_hash(seed, hash_seed):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def first():
    return journal_hash(11, "1")


def test_the_hash_seed_does_not_matter(first):
    assert len(first) == 64
    assert journal_hash(11, "2") == first


def test_the_run_seed_does(first):
    assert journal_hash(12, "1") != first


def test_runs_of_one_process_do_not_touch_each_other(first):
    """What an earlier run left in caches and generators changes nothing."""
    from actors.run import RunPlan, run_plan
    from tests.actors.simulated import small

    run_plan(RunPlan(small(seed=99), "simulate", seconds=5.0))
    again = small(seed=11, network__loss=0.03, network__jitter_ms=20)
    assert run_plan(RunPlan(again, "simulate", seconds=20.0))["journal_sha256"] == first
