"""Run a population in real or in virtual time, from a plan to a report."""

import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec
import trio

from actors.clock import SIMULATION_EPOCH_MS, Clock, Stopwatch, wall_clock_ms
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
from chain.codec import decode, encode
from chain.errors import MalformedError, StoreError
from chain.genesis import Genesis, Network
from chain.store import MemoryStore, Store
from net.composite import MEMORY, TCP, CompositeTransport, Part
from net.gossip.config import GossipConfig
from net.memory import LinkConditions, MemoryNetwork
from net.peer import Address, PeerId
from net.transport import Transport

DEFAULT_SIMULATION_S = 600.0
LOOPBACK = Address("/ip4/127.0.0.1/tcp/0")
QUANTUM_S = 0.001
"""Arrivals in virtual time are rounded up to this, so that frames that arrive together wake their reader once."""
GENESIS_FILE = "genesis.msgpack"
MAX_GENESIS_BYTES = 1 << 20

Serve = Callable[..., Awaitable[None]]
"""``serve(swarm, *, task_status)``: lives beside a run until cancelled; started() when it serves."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What to run. `seconds` None: until interrupted, or ten virtual minutes."""

    scenario: Scenario
    kind: Literal["swarm", "simulate", "node"]
    seconds: float | None = None
    reports: ReportFile | None = None
    data: Path | None = None
    """Where ledger nodes keep their stores; None: in memory."""
    journal: Path | None = None
    doors: Sequence[Address] = (LOOPBACK,)
    """Where the MEC nodes of a memory swarm listen, so that other processes can join; libp2p actors listen there."""
    join: "Joining | None" = None
    on_start: Callable[[Swarm], None] = field(default=lambda _: None)
    on_progress: Callable[[Swarm], None] = field(default=lambda _: None)
    on_error: Callable[[str], None] = field(default=lambda _: None)
    progress_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Joining:
    """A network that exists already: its genesis, who of ours joins, and whom to dial first."""

    genesis: Genesis
    members: tuple[Member, ...]
    bootstrap: tuple[tuple[PeerId, tuple[Address, ...]], ...]


def load_reports(path: Path, scenario: Scenario) -> tuple[ReportFile, Scenario]:
    """Read a file of reports for a scenario; the scenario that comes back has the file's place if it had none.

    Raises ScenarioError.
    """
    reports = read(path, categories=scenario.reports.categories, types=scenario.spatial.types, place=scenario.place)
    return reports, msgspec.structs.replace(scenario, place=reports.place)


def run_plan(plan: RunPlan, serve: Serve | None = None) -> dict[str, Any]:
    """Run a plan to its end, or until SIGINT or SIGTERM, and return its report. Makes its own event loop.

    `serve` runs beside it: a web server in real time, a script in virtual time. Raises ScenarioError and StoreError,
    perhaps in an ExceptionGroup.
    """
    if plan.kind == "simulate":
        return run_virtual(_run, plan, serve, seed=plan.scenario.seed)
    return trio.run(_run, plan, serve)


async def _run(plan: RunPlan, serve: Serve | None) -> dict[str, Any]:
    virtual = plan.kind == "simulate"
    watch = Stopwatch()
    clock = Clock(SIMULATION_EPOCH_MS if virtual else wall_clock_ms())
    started_ms = clock.now_ms()
    scenario = plan.scenario
    city = build_city(scenario, plan.reports)
    members = plan.join.members if plan.join else build_members(scenario, city)
    genesis = plan.join.genesis if plan.join else _genesis(plan, city, members, started_ms)
    seconds = plan.seconds or scenario.duration_s or (DEFAULT_SIMULATION_S if virtual else float("inf"))
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
        bootstrap = plan.join.bootstrap if plan.join else ()
        world.addresses.update(bootstrap)
        transports = _Transports(world, plan)
        swarm = Swarm(
            world,
            plan.kind,
            members,
            transports.make,
            _Stores(world, plan.data).open,
            _dealer(plan, city),
            known=[peer for peer, _ in bootstrap],
        )
        try:
            with trio.move_on_after(seconds):
                async with trio.open_nursery() as nursery:
                    if not virtual:
                        await nursery.start(_stop_on_signal, nursery.cancel_scope)
                    if serve is not None:
                        await nursery.start(serve, swarm)
                    if transports.memory is not None:
                        await nursery.start(transports.memory.run)
                    await nursery.start(swarm.run)
                    plan.on_start(swarm)
                    while True:
                        await trio.sleep(plan.progress_s)
                        plan.on_progress(swarm)
            return report(
                swarm,
                rows_refused=len(plan.reports.refused) if plan.reports else 0,
                wall_s=watch.wall_s,
                cpu_s=watch.cpu_s,
            )
        finally:
            swarm.close()


async def _stop_on_signal(
    scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """End the run in order on the first interrupt; after that, another one ends the process on the spot."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()
            return


def _genesis(plan: RunPlan, city: City, members: Sequence[Member], now_ms: int) -> Genesis:
    """A new network, or the one that the data directory is of. Raises ScenarioError when that had other rules."""
    if plan.data is None:
        return found(plan.scenario, city, members, now_ms)
    path = plan.data / GENESIS_FILE
    try:
        saved = decode(Genesis, path.read_bytes(), limit=MAX_GENESIS_BYTES)
    except FileNotFoundError:
        saved = None
    except (OSError, MalformedError) as error:
        msg = f"{path}: {error}"
        raise StoreError(msg) from None
    genesis = found(plan.scenario, city, members, saved.time_ms if saved else now_ms)
    if saved is None:
        plan.data.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(genesis))
    elif saved != genesis:
        msg = f"{plan.data} holds network {saved.network}, founded with another scenario; choose another --data"
        raise ScenarioError(msg)
    return genesis


def _dealer(plan: RunPlan, city: City) -> Callable[[int, int], Iterator[Incident]]:
    scenario, rows = plan.scenario, plan.reports

    def deal(place: int, of: int) -> Iterator[Incident]:
        if rows is not None:
            return islice(replay(rows.reports, scenario.reports), place, None, of)
        rng = Random(f"{scenario.seed}/incidents/{place}")
        types = tuple(sorted(scenario.spatial.types))
        return generate(city, scenario.reports.per_minute / of, types, scenario.population.requester.false_share, rng)

    return deal


class _Transports:
    """Makes each actor's transport, as the scenario's network says."""

    def __init__(self, world: World, plan: RunPlan) -> None:
        config, virtual = world.scenario.network, plan.kind == "simulate"
        if virtual and config.kind == "libp2p":
            msg = "network.kind: libp2p needs real time; simulate runs over memory"
            raise ScenarioError(msg)
        self._doors = () if virtual else tuple(plan.doors)
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

    def _libp2p(self, member: Member) -> Transport:
        # Importing libp2p costs 1.2 s, which only runs that use it should pay.
        from net.libp2p_host import Libp2pTransport  # noqa: PLC0415

        return Libp2pTransport(member.identity.secret, listen=self._doors)


class _Stores:
    """Opens each ledger node's store: a file in the data directory, or memory."""

    def __init__(self, world: World, data: Path | None) -> None:
        self._world, self._data = world, data

    def open(self, member: Member) -> Store:
        """Raises StoreError."""
        if self._data is None:
            return MemoryStore()
        from chain.sqlite_store import SqliteStore  # noqa: PLC0415 - not for runs in memory

        self._data.mkdir(parents=True, exist_ok=True)
        return SqliteStore(
            self._data / f"{member.name}.sqlite",
            self._world.network.id,
            durability=self._world.scenario.ledger.durability,
        )
