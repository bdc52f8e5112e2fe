"""Small populations in virtual time: a run to its end, or a script that plays a part in one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import trio

from actors.run import RunPlan, run_plan
from actors.scenario import Scenario, convert
from actors.swarm import Swarm
from tests.checkers import Record, read_journal

SECONDS = 60.0
SCRIPT_SECONDS = 600.0


def small(**changes: Any) -> Scenario:
    """Fourteen actors in one neighbourhood, quick to vote and never wrong; `changes` by dotted key with ``__``."""
    tree: dict[str, Any] = {
        "name": "small",
        "seed": 3,
        "population": {
            "requester": {"count": 2},
            "worker": {"count": 8, "accuracy": 1.0, "roam_m": 500, "look_ms": [100, 500]},
            "miner": {"count": 2},
            "mec": {"count": 1},
            "facility": {"count": 1, "review_ms": [500, 1000]},
        },
        "ledger": {"finality_depth": 2},
        "spatial": {"group_size": 3, "vote_window_ms": 5000, "reveal_window_ms": 6000, "report_radius_m": 50_000},
        "reports": {"per_minute": 20, "hot_spots": 1},
    }
    for path, value in changes.items():
        table = tree
        *tables, leaf = path.split("__")
        for name in tables:
            table = table.setdefault(name, {})
        table[leaf] = value
    return convert(tree)


@dataclass(frozen=True)
class Run:
    """What came of a run, and the swarm as it was at its end."""

    report: dict[str, Any]
    journal: list[Record]
    raw: bytes
    """The journal's bytes."""
    swarm: Swarm


def simulate(
    scenario: Scenario, folder: Path, *, seconds: float = SECONDS, watch: Callable[[Swarm], None] = lambda _: None
) -> Run:
    """Run a scenario; `watch` is given the swarm when everybody is up."""
    swarms: list[Swarm] = []

    def begun(swarm: Swarm) -> None:
        swarms.append(swarm)
        watch(swarm)

    path = folder / "journal.jsonl"
    report = run_plan(RunPlan(scenario, "simulate", seconds=seconds, journal=path, on_start=begun))
    return Run(report, read_journal(path), path.read_bytes(), swarms[0])


class _Played(Exception):
    """The script has come to its end, and so does the run."""


def play(scenario: Scenario, script: Callable[[Swarm], Awaitable[None]], *, journal: Path | None = None) -> None:
    """Run a scenario until `script`, which begins when everybody is up, has ended; what it raises escapes."""
    up = trio.Event()

    async def serve(swarm: Swarm, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await up.wait()
        await script(swarm)
        raise _Played

    plan = RunPlan(scenario, "simulate", seconds=SCRIPT_SECONDS, journal=journal, on_start=lambda _: up.set())
    ended = False
    try:
        run_plan(plan, serve)
    except* _Played:
        ended = True
    assert ended, f"the script was not over after {SCRIPT_SECONDS:g} virtual seconds"


async def until(condition: Callable[[], Any], *, patience_s: float = 60.0, step_s: float = 0.05) -> Any:
    """Wait, in virtual time, until a condition holds, and return what it gave."""
    with trio.fail_after(patience_s):
        while not (value := condition()):  # noqa: ASYNC110 - any condition, few of which set an event
            await trio.sleep(step_s)
    return value


def named(scenario: Scenario, **changes: Any) -> Scenario:
    """The same scenario with other top-level values."""
    return msgspec.structs.replace(scenario, **changes)
