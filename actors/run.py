"""Run a population in real or in virtual time, from a scenario to a report."""


import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Literal

import trio

from actors.clock import SIMULATION_EPOCH_MS, Clock, wall_clock_ms
from actors.gossip_meter import GossipMeter
from actors.journal import Journal
from actors.outcome import report
from actors.population import Member, build_city, build_members, found
from actors.scenario import Scenario, ScenarioError
from actors.sensing.city import City, Incident, generate, replay
from actors.sensing.reports_file import ReportFile, read
from actors.swarm import Swarm
from actors.virtual_time import run_virtual
from actors.world import World
from chain.genesis import Network
from chain.store import MemoryStore, Store
from net.composite import MEMORY, TCP, CompositeTransport, Part
from net.gossip.config import GossipConfig
from net.memory import LinkConditions, MemoryNetwork
from net.peer import Address
from net.transport import Transport

DEFAULT_SIMULATION_S = 600.0
LOOPBACK = Address("/ip4/127.0.0.1/tcp/0")
QUANTUM_S = 0.001
"""Arrivals in virtual time are rounded up to this, so that frames that arrive together wake their reader once."""

Progress = Callable[[Swarm], None]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What to run. `seconds` None: until cancelled, or ten virtual minutes."""

    scenario: Scenario
    kind: Literal["swarm", "simulate"]
    seconds: float | None = None
    reports: ReportFile | None = None
    data: Path | None = None
    """Where ledger nodes keep their stores; None: in memory."""
    journal: Path | None = None
    doors: bool = True
    """Whether MEC nodes of a memory swarm listen on TCP too, so that other processes can join."""
    on_start: Callable[[Swarm], None] = field(default=lambda _: None)
    on_progress: Progress = field(default=lambda _: None)
    on_error: Callable[[str], None] = field(default=lambda _: None)
    progress_s: float = 1.0


def load_reports(path: Path, scenario: Scenario) -> tuple[ReportFile, Scenario]:
    """Read a file of reports for a scenario; the scenario that comes back has the file's place if it had none.

    Raises ScenarioError.
    """
    import msgspec  # noqa: PLC0415

    reports = read(
        path, categories=scenario.reports.categories, types=scenario.spatial.types, place=scenario.place
    )
    return reports, msgspec.structs.replace(scenario, place=reports.place)


def run_plan(plan: RunPlan, serve: "Serve | None" = None) -> dict[str, Any]:
    """Run a plan to its end and return its report. Blocks; makes its own event loop.

    `serve` runs beside a swarm in real time (a web page, say) and is cancelled with it. Raises ScenarioError.
    """
    if plan.kind == "simulate":
        return run_virtual(_run, plan, None, seed=plan.scenario.seed)
    return trio.run(_run, plan, serve, strict_exception_groups=True)


Serve = Callable[[Swarm], Any]
"""An async function that lives until cancelled."""


async def _run(plan: RunPlan, serve: Serve | None) -> dict[str, Any]:
    virtual = plan.kind == "simulate"
    wall, cpu = time.perf_counter(), time.process_time()
    clock = Clock(SIMULATION_EPOCH_MS if virtual else wall_clock_ms())
    started_ms = clock.now_ms()
    scenario = plan.scenario
    city = build_city(scenario, plan.reports)
    members = build_members(scenario, city)
    genesis = found(scenario, city, members, started_ms)
    seconds = plan.seconds or scenario.duration_s or (DEFAULT_SIMULATION_S if virtual else None)
    with Journal(clock.now_ms, started_ms, plan.journal) as journal:
        world = World(
            scenario=scenario,
            genesis=genesis,
            network=Network.found(genesis),
            clock=clock,
            journal=journal,
            meter=GossipMeter(trio.current_time),
            city=city,
            gossip=GossipConfig(heartbeat_s=scenario.network.heartbeat_ms / 1000),
            may_use_threads=not virtual,
            started_ms=started_ms,
            on_error=plan.on_error,
        )
        transports = _Transports(world, virtual=virtual, doors=plan.doors)
        stores = _Stores(world, plan.data)
        swarm = Swarm(world, members, transports.make, stores.open, _dealer(plan, city))
        try:
            with trio.move_on_after(seconds if seconds is not None else float("inf")):
                async with trio.open_nursery() as nursery:
                    if not virtual:
                        nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
                    if transports.memory is not None:
                        await nursery.start(transports.memory.run)
                    await nursery.start(swarm.run)
                    plan.on_start(swarm)
                    if serve is not None:
                        nursery.start_soon(serve, swarm)
                    while True:
                        await trio.sleep(plan.progress_s)
                        plan.on_progress(swarm)
            return report(
                world,
                plan.kind,
                len(members),
                swarm.full_nodes,
                swarm.tally,
                duplicates_refused=swarm.refusals["duplicate_report"],
                rows_refused=len(plan.reports.refused) if plan.reports else 0,
                virtual_s=(clock.now_ms() - started_ms) / 1000,
                wall_s=time.perf_counter() - wall,
                cpu_s=time.process_time() - cpu,
            )
        finally:
            swarm.close()


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    """End the run in order on the first interrupt; the next one ends the process on the spot."""
    import signal  # noqa: PLC0415

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return


def _dealer(plan: RunPlan, city: City) -> Callable[[int, int], Iterator[Incident]]:
    scenario, rows = plan.scenario, plan.reports

    def deal(place: int, of: int) -> Iterator[Incident]:
        if rows is not None:
            return islice(replay(rows.reports, scenario.reports), place, None, of)
        rng = Random(f"{scenario.seed}/incidents/{place}")  # noqa: S311 - reproducible on purpose
        types = tuple(sorted(scenario.spatial.types))
        requester = scenario.population.requester
        return generate(city, scenario.reports.per_minute / of, types, requester.false_share, rng)

    return deal


class _Transports:
    """Makes each actor's transport, as the scenario's network says."""

    def __init__(self, world: World, *, virtual: bool, doors: bool) -> None:
        config = world.scenario.network
        if virtual and config.kind == "libp2p":
            msg = "network.kind: libp2p needs real time; simulate runs over memory"
            raise ScenarioError(msg)
        self._doors = doors and not virtual
        self.memory: MemoryNetwork | None = None
        if config.kind == "memory":
            conditions = LinkConditions(
                latency_s=config.latency_ms / 1000, jitter_s=config.jitter_ms / 1000, loss=config.loss
            )
            self.memory = MemoryNetwork(
                rng=world.rng("network", "links"), conditions=conditions, quantum_s=QUANTUM_S if virtual else 0.0
            )

    def make(self, member: Member) -> Transport:
        """A fresh transport."""
        if self.memory is None:
            return self._libp2p(member)
        attached = self.memory.attach(member.identity.peer_id)
        if self._doors and member.role == "mec":
            return CompositeTransport([Part(attached, MEMORY), Part(self._libp2p(member), TCP)])
        return attached

    @staticmethod
    def _libp2p(member: Member) -> Transport:
        # Importing libp2p costs 1.2 s, which only runs that use it should pay.
        from net.libp2p_host import Libp2pTransport  # noqa: PLC0415

        return Libp2pTransport(member.identity.secret, listen=[LOOPBACK])


class _Stores:
    """Opens each ledger node's store: a file in the data directory, or memory."""

    def __init__(self, world: World, data: Path | None) -> None:
        self._world, self._data = world, data

    def open(self, member: Member) -> Store:
        """Raises StoreError."""
        if self._data is None:
            return MemoryStore()
        from chain.sqlite_store import SqliteStore  # noqa: PLC0415

        self._data.mkdir(parents=True, exist_ok=True)
        return SqliteStore(
            self._data / f"{member.name}.sqlite",
            self._world.network.id,
            durability=self._world.scenario.ledger.durability,
        )



