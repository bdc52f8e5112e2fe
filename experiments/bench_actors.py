"""What a full actor costs at rest: start-up, memory and CPU of a city of 500 in one process, in real and virtual time.

The population is that of ``launch.py swarm --actors N --no-web``, scaled as there: every ledger node has its replica,
every worker moves and claims its presence, blocks are mined; only reports do not occur. Memory is what the process
grew by from before the first actor was made, with all libraries loaded, until a moment after all were up. CPU at rest
is a share of one core, and in virtual time the CPU seconds for a second of the run.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import msgspec
import trio

from actors.population import scaled
from actors.run import RunPlan, run_plan
from actors.scenario import load
from actors.swarm import Swarm
from experiments.measuring import cpu_s, machine, resident_bytes

QUIET = ("reports.per_minute=0.001",)
SETTLE_S = 5.0
"""After all are up, before memory is read and rest begins."""
STARTUP_S = 20.0
"""Added to the time of a run for getting up and settling; what is left of it is spent at rest."""
PROBE_S = 0.25
KINDS: Final = ("swarm", "simulate")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One run of the population."""

    time: Literal["real", "virtual"]
    actors: int
    startup_s: float
    """Wall seconds until all actors were running."""
    bytes_per_actor: int
    """Of the second run in a process a lower bound: it uses again what the first gave back."""
    idle_s: float
    """Seconds of the run's time for which rest was measured."""
    idle_cpu: float
    """CPU seconds a second of the run's time."""


def run(
    *, actors: int = 500, idle_s: float = 60.0, seed: int = 1, progress: Progress = lambda _: None
) -> dict[str, Any]:
    """Run the population in real and in virtual time. Best called in a process that has done nothing else."""
    import net.libp2p_host  # noqa: F401 - the swarm's doors load it; it is no actor's memory

    rows = []
    for kind in KINDS:
        progress(f"{kind}: {actors} actors, at rest for about {idle_s:.0f} s")
        rows.append(_rest(kind, actors, idle_s, seed))
    figures = {
        "startup_s": rows[0].startup_s,
        "bytes_per_actor": rows[0].bytes_per_actor,
        "idle_cpu": rows[0].idle_cpu,
        "virtual_startup_s": rows[1].startup_s,
        "virtual_idle_cpu": rows[1].idle_cpu,
    }
    return {
        "bench": "actors",
        "seed": seed,
        "machine": machine(),
        "figures": figures,
        "rows": [asdict(row) for row in rows],
    }


def table(report: dict[str, Any]) -> str:
    """Render a report of `run` for people."""
    return "\n".join(f"{name:28}{value:>14,}" for name, value in report["figures"].items())


class _Probe:
    """Watches one run from its progress calls."""

    def __init__(self) -> None:
        self._before, self._began = resident_bytes(), time.perf_counter()
        self._rest_from = self._cpu_s = 0.0
        self.startup_s = self.idle_s = self.idle_cpu_s = 0.0
        self.grown = 0

    def look(self, swarm: Swarm) -> None:
        now = trio.current_time()
        if not self.startup_s:
            if all(swarm.states.get(member.name) == "running" for member in swarm.members):
                self.startup_s = time.perf_counter() - self._began
                self._rest_from = now + SETTLE_S
        elif not self.grown and now >= self._rest_from:
            self.grown = resident_bytes() - self._before
            self._rest_from, self._cpu_s = now, cpu_s()
        elif self.grown:
            self.idle_s, self.idle_cpu_s = now - self._rest_from, cpu_s() - self._cpu_s


def _rest(kind: Literal["swarm", "simulate"], actors: int, idle_s: float, seed: int) -> Row:
    config = load(None, QUIET)
    config = scaled(msgspec.structs.replace(config, seed=seed), actors)
    probe = _Probe()
    run_plan(
        RunPlan(scenario=config, kind=kind, seconds=STARTUP_S + idle_s, on_progress=probe.look, progress_s=PROBE_S)
    )
    if not probe.idle_s:
        raise RuntimeError(f"{actors} actors were not all up within {STARTUP_S + idle_s:.0f} s")
    return Row(
        time="real" if kind == "swarm" else "virtual",
        actors=actors,
        startup_s=round(probe.startup_s, 2),
        bytes_per_actor=probe.grown // actors,
        idle_s=round(probe.idle_s, 1),
        idle_cpu=round(probe.idle_cpu_s / probe.idle_s, 4),
    )
