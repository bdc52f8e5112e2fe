"""Run a population in real or in virtual time, from a plan to a report."""

import gc
import signal
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec
import trio

from actors.clock import SIMULATION_EPOCH_MS, Clock, Stopwatch, wall_clock_ms
from actors.data_directory import MAX_PEERS, DataDirectory, Memory
from actors.fault_config import LINK_FAULTS
from actors.faults import Faults
from actors.founding import found
from actors.gossip_meter import GossipMeter
from actors.journal import Journal
from actors.looks import look_on
from actors.member_stores import MemberStores
from actors.membership import certified
from actors.messages import MAX_ADDRESSES, Known
from actors.outcome import report
from actors.population import Member, build_city, build_members, local_city
from actors.process_share import Share, deal, split_incidents
from actors.scenario import Scenario, ScenarioError
from actors.sensing.city import City, Incident, generate, replay
from actors.sensing.reports_file import ReportFile, read
from actors.swarm import Swarm
from actors.transports import Transports
from actors.virtual_time import run_virtual
from actors.world import World
from chain.genesis import Genesis, Network
from net.gossip.config import GossipConfig
from net.libp2p_address import parse_address
from net.peer import Address, PeerId

DEFAULT_SIMULATION_S = 600.0
LOOPBACK = Address("/ip4/127.0.0.1/tcp/0")
REMEMBER_S = 5.0
NOTED_BEFORE_MS = 2_000

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
    first_place: int = 0
    """How many actors of other processes take the ports before ours, where doors name ports."""
    join: "Joining | None" = None
    share: Share | None = None
    """Set where several processes run one population, and this is one of them."""
    sum_up: Callable[..., Any] = report
    """Makes what `run_plan` returns; see `actors.outcome.report`."""
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


def doors(texts: Sequence[str]) -> Sequence[Address]:
    """Check addresses to listen on; none stands for a free port of this machine. Raises ScenarioError."""
    if not texts:
        return (LOOPBACK,)
    try:
        named = [parse_address(text).peer for text in texts]
    except ValueError as error:
        msg = f"--listen: {error}"
        raise ScenarioError(msg) from None
    if any(named):
        msg = "--listen: give the address without /p2p/…, e.g. /ip4/0.0.0.0/tcp/4001"
        raise ScenarioError(msg)
    return [Address(text) for text in texts]


def load_reports(path: Path, scenario: Scenario) -> tuple[ReportFile, Scenario]:
    """Read a file of reports for a scenario; the scenario that comes back has the file's place if it had none.

    Raises ScenarioError.
    """
    reports = read(path, categories=scenario.reports.categories, types=scenario.spatial.types, place=scenario.place)
    return reports, msgspec.structs.replace(scenario, place=reports.place)


def run_plan(plan: RunPlan, serve: Serve | None = None) -> Any:
    """Run a plan to its end, or until SIGINT or SIGTERM, and return its report. Makes its own event loop.

    `serve` runs beside it: a web server in real time, a script in virtual time. Raises ScenarioError and StoreError,
    perhaps in an ExceptionGroup.
    """
    with _collector_at_ease():
        if plan.kind == "simulate":
            return run_virtual(run, plan, serve, seed=plan.scenario.seed)
        return trio.run(run, plan, serve)


@contextmanager
def _collector_at_ease() -> Generator[None, None, None]:
    """Have Python look for cyclic garbage less often: hundreds of actors at rest spent a tenth of their CPU on it."""
    before = gc.get_threshold()
    gc.set_threshold(20_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def run(plan: RunPlan, serve: Serve | None) -> Any:
    """The same in an event loop that is there."""
    virtual = plan.kind == "simulate"
    watch = Stopwatch()
    clock = Clock(SIMULATION_EPOCH_MS if virtual else wall_clock_ms())
    scenario, share = plan.scenario, plan.share
    started_ms = share.started_ms if share else clock.now_ms()
    city = local_city(scenario, plan.join.members) if plan.join else build_city(scenario, plan.reports)
    everybody = plan.join.members if plan.join else certified(scenario, build_members(scenario, city), started_ms)
    members = deal(everybody, share.processes)[share.index] if share else everybody
    incidents, elsewhere = split_incidents(_dealer(plan, city), everybody, members)
    seconds = plan.seconds or scenario.duration_s or (DEFAULT_SIMULATION_S if virtual else float("inf"))
    with ExitStack() as stack:
        data = stack.enter_context(DataDirectory(_own_directory(plan.data, share))) if plan.data else None
        if share is not None:
            genesis = share.genesis
        else:
            genesis = plan.join.genesis if plan.join else found_or_resume(plan, data, city, members, started_ms)
        journal = stack.enter_context(Journal(clock.now_ms, started_ms, plan.journal))
        world = World(
            scenario=scenario,
            genesis=genesis,
            network=Network.found(genesis),
            clock=clock,
            journal=journal,
            meter=GossipMeter(trio.current_time),
            city=city,
            gossip=GossipConfig(
                heartbeat_s=scenario.network.heartbeat_ms / 1000,
                # Whatever the network's rules allow a miner or an orderer to make must be sayable.
                max_message_bytes=max(GossipConfig().max_message_bytes, genesis.ledger.max_block_bytes),
            ),
            may_use_threads=not virtual,
            started_ms=started_ms,
            joined=plan.join is not None,
            on_error=plan.on_error,
        )
        world.names.update((member.identity.account, member.name) for member in everybody)
        world.certificates.update((m.identity.account, m.certificate) for m in everybody if m.certificate is not None)
        memory = data.recall() if data else Memory()
        bootstrap = plan.join.bootstrap if plan.join else ()
        for peer, addresses in bootstrap:
            world.addresses.told(peer, addresses)
        for known in memory.peers:
            with suppress(ValueError):  # the file was tampered with; it is only a convenience
                world.addresses.heard(PeerId.parse(known.peer), [Address(address) for address in known.addresses])
        # Who joins over TCP would pass by a fault of the links in memory; between our own processes a gate heeds it.
        struck = any(isinstance(fault, LINK_FAULTS) for fault in scenario.faults)
        closed = virtual or (struck and share is None and scenario.network.kind == "memory")
        transports = Transports(
            world,
            () if closed else tuple(plan.doors),
            memory.ports,
            first_place=plan.first_place,
            between=share is not None,
        )
        stores = MemberStores(world, plan.data)
        swarm = Swarm(
            world,
            plan.kind,
            members,
            transports.make,
            stores,
            incidents,
            known=[peer for peer in world.addresses.others() if peer.public_key not in world.names],
            acquaint=share.acquaint if share else None,
        )
        faults = Faults(
            swarm, everybody, transports.memory, transports.gate, tells_all=share is None or share.index == 0
        )

        def sum_up() -> Any:
            rows_refused = len(plan.reports.refused) if plan.reports else 0
            return plan.sum_up(swarm, rows_refused=rows_refused, wall_s=watch.wall_s, cpu_s=watch.cpu_s)

        try:
            with trio.move_on_after(seconds):
                async with trio.open_nursery() as nursery:
                    await nursery.start(stop_on_signal, nursery.cancel_scope)
                    if share is not None:
                        nursery.start_soon(_stop_when_told, share, sum_up, nursery.cancel_scope)
                        nursery.start_soon(_note_elsewhere, world, elsewhere)
                    if serve is not None:
                        await nursery.start(serve, swarm)
                    if transports.memory is not None:
                        await nursery.start(transports.memory.run)
                    await nursery.start(swarm.run)
                    if scenario.faults:
                        nursery.start_soon(faults.run)
                    nursery.start_soon(look_on, swarm)
                    plan.on_start(swarm)
                    if data is not None:
                        nursery.start_soon(_remember, data, swarm, transports)
                    while True:
                        await trio.sleep(plan.progress_s)
                        journal.flush()
                        plan.on_progress(swarm)
            return sum_up()
        finally:
            swarm.close()


async def stop_on_signal(
    scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """End the run in order on the first interrupt; after that, another one ends the process on the spot."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()
            return


async def _stop_when_told(share: Share, sum_up: Callable[[], Any], scope: trio.CancelScope) -> None:
    await share.until(sum_up)
    scope.cancel()


async def _note_elsewhere(world: World, incidents: Sequence[Iterator[Incident]]) -> None:
    """Have whoever looks in this process find what requesters of other processes are about to report."""
    for incident in merge(*incidents, key=lambda incident: incident.time_ms):
        await world.clock.sleep_until_ms(world.started_ms + incident.time_ms - NOTED_BEFORE_MS)
        world.city.note(incident)


def _own_directory(data: Path, share: Share | None) -> Path:
    """Where a process keeps what only it knows; stores are in `data` itself, whoever runs their actors next time."""
    return data / f"process-{share.index + 1}" if share else data


async def _remember(data: DataDirectory, swarm: Swarm, transports: Transports) -> None:
    """Keep whom we know and where we listen, now and then: a process that is killed has no time for it."""
    kept = Memory()
    while True:
        await trio.sleep(REMEMBER_S)
        book = swarm.world.addresses
        peers = tuple(Known(bytes(p), book.of(p)[:MAX_ADDRESSES]) for p in book.others()[:MAX_PEERS])
        memory = Memory(peers, transports.ports())
        if memory != kept:
            data.remember(memory)
            kept = memory


def found_or_resume(
    plan: RunPlan, data: DataDirectory | None, city: City, members: Sequence[Member], now_ms: int
) -> Genesis:
    """A new network, or the one that the data directory is of. Raises ScenarioError when that had other rules."""
    if data is None:
        return found(plan.scenario, city, members, now_ms)
    saved = data.genesis()
    genesis = found(plan.scenario, city, members, saved.time_ms if saved else now_ms)
    if saved is None:
        data.keep_genesis(genesis)
    elif saved != genesis:
        msg = (
            f"{plan.data} holds network {saved.network}, which was founded with another scenario or by others: "
            "choose another --data"
        )
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
