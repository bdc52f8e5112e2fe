"""A small population in virtual time with some of its actors turned: what `simulate` runs, but for them.

Fifteen workers, three miners, one MEC node and a few requesters within a walk of each other, with blocks of two seconds.
An adversary is made from the honest actor whose place it takes: the same node, the same key, one behaviour replaced. Rules
can be replaced as well, for all alike: by other parameters of genesis, or by a contract without one of its checks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from types import ModuleType
from typing import Any

import trio
from msgspec.structs import replace

from actors.actor import Actor
from actors.clock import SIMULATION_EPOCH_MS, Clock
from actors.founding import found
from actors.gossip_meter import GossipMeter
from actors.identity import Identity
from actors.journal import Journal
from actors.ledger import FoundBlock
from actors.member_stores import MemberStores
from actors.node import FullNode
from actors.population import LEDGER_ROLES, Member, build_city, build_members
from actors.scenario import Scenario, convert
from actors.sensing.city import City, Incident
from actors.sensing.mobility import around
from actors.swarm import Swarm
from actors.transports import Transports
from actors.virtual_time import run_virtual
from actors.world import World
from chain.contract import Registry, event_fields
from chain.contracts import accounts, spatial
from chain.contracts.spatial_records import EXPIRED, PENDING
from chain.genesis import Network
from chain.ledgers.pow.ledger import PowLedger
from chain.store import Store
from chain.values import Account, Receipt, Transaction, TxId
from net.gossip.config import GossipConfig
from net.peer import PeerId
from net.transport import Transport

WORKERS = 15
GROUP = 5
RADIUS_M = 3_000
DUPLICATE_RADIUS_M = 100
VOTE_WINDOW_MS = 10_000
HONEST = "requester-01"
ACCOMPLICE = "requester-02"
"""Whoever needs a requester of its own."""
FIRST_REPORT_MS = 5_000
DECIDED_AFTER_MS = 60_000
"""A report is decided, and that final, this long after it was submitted; nearly always."""

Turn = Callable[[Actor, Member], Actor]
"""Makes the adversary that takes the place of an honest actor, which never runs."""
MakeNode = Callable[[World, str, Identity, Transport, PowLedger, Store, Sequence[PeerId]], FullNode]


@dataclass(frozen=True, slots=True)
class Plot:
    """What is different from an honest run."""

    reports: Mapping[str, Sequence[Incident]]
    """What each requester submits, by its name."""
    turned: Mapping[str, Turn] = field(default_factory=dict)
    """Who is made an adversary, by the name of whose place it takes."""
    nodes: Mapping[str, MakeNode] = field(default_factory=dict)
    """Ledger nodes of adversaries that differ themselves."""
    rules: Mapping[str, Any] = field(default_factory=dict)
    """Rules of the spatial contract that are changed."""
    pow_rules: Mapping[str, int] = field(default_factory=dict)
    """Rules of the ledger that are."""
    contract: ModuleType = spatial
    """What runs as the spatial contract."""
    skew_ms: Mapping[str, int] = field(default_factory=dict)
    """How much later than it is some take it to be."""
    pseudonyms: bool = False
    """Whether workers use a fresh key for each task."""
    after_ms: int = DECIDED_AFTER_MS
    """The run ends so long after the last report."""


@dataclass(frozen=True, slots=True)
class Called:
    """A transaction of a final block."""

    transaction: Transaction
    receipt: Receipt
    time_ms: int
    """The block's."""


@dataclass(slots=True)
class Ending:
    """What the first honest ledger node has as final, and the world as it was."""

    world: World
    actors: Mapping[str, Actor] = field(default_factory=dict)
    called: list[Called] = field(default_factory=list)

    def begin(self, node: FullNode) -> None:
        """See `actors.node.Witness`."""

    def jumped(self, node: FullNode) -> None:
        """See `actors.node.Witness`."""

    def committed(self, node: FullNode, found: FoundBlock) -> None:
        """See `actors.node.Witness`."""
        del node
        if found.final:
            time_ms = found.block.header.time_ms
            pairs = zip(found.block.transactions, found.receipts, strict=True)
            self.called += [Called(transaction, receipt, time_ms) for transaction, receipt in pairs]

    def calls(self, method: str, *, ok: bool = True) -> list[Called]:
        """Calls of the spatial contract's method that went through, or that were refused."""
        return [
            each
            for each in self.called
            if each.transaction.contract == "spatial" and each.transaction.method == method and each.receipt.ok == ok
        ]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The fields of the spatial contract's events of a name."""
        return [
            event_fields(event)
            for each in self.called
            for event in each.receipt.events
            if (event.contract, event.name) == ("spatial", name)
        ]

    def submitted(self, *requesters: str) -> dict[TxId, tuple[str, int, int]]:
        """The recorded reports of some requesters, or of all: id to type and place."""
        accounts_of = {self.account(name) for name in requesters}
        place_of = {each["report"]: (each["type"], each["lat_e7"], each["lon_e7"]) for each in self.events("submitted")}
        return {
            each.receipt.transaction: place_of[each.receipt.transaction]
            for each in self.calls("submit")
            if not requesters or each.transaction.sender in accounts_of
        }

    def statuses(self) -> dict[TxId, str]:
        """How each recorded report ended: confirmed, rejected, expired or pending."""
        ends: dict[TxId, str] = dict.fromkeys(self.submitted(), PENDING)
        for status in ("confirmed", "rejected", EXPIRED):
            ends.update((each["report"], status) for each in self.events(status))
        return ends

    def account(self, name: str) -> Account:
        """The account of an actor."""
        return next(Account(key) for key, known in self.world.names.items() if known == name)


class Infiltrated(Swarm):
    """A swarm in which some members are built otherwise."""

    plot: Plot

    def _build(self, member: Member) -> Actor:
        actor = super()._build(member)
        turn = self.plot.turned.get(member.name)
        return actor if turn is None else turn(actor, member)

    def _full_node(self, world: World, member: Member, transport: Transport) -> FullNode:
        node = super()._full_node(world, member, transport)
        make = self.plot.nodes.get(member.name)
        if make is None:
            return node
        known = [m.identity.peer_id for m in self.members if m.role in LEDGER_ROLES and m is not member]
        other = make(world, member.name, member.identity, transport, node.pow, self.stores.chain(member), known)
        other.witnesses += node.witnesses
        return other


def scenario_of(seed: int, *, pseudonyms: bool = False) -> Scenario:
    """The population and its rules."""
    return convert(
        {
            "name": "trial",
            "seed": seed,
            "population": {
                "requester": {"count": 2},
                "worker": {
                    "count": WORKERS,
                    "accuracy": 1.0,
                    "roam_m": 300,
                    "look_ms": [200, 1500],
                    "presence_interval_ms": 20_000,
                    "pseudonyms": pseudonyms,
                },
                "miner": {"count": 3, "hash_rate": 20, "step_ms": 500},
                "mec": {"count": 1, "presence_ttl_ms": 60_000},
                "facility": {"count": 0},
            },
            "ledger": {"finality_depth": 2, "block_interval_ms": 2_000, "max_future_ms": 2_000},
            "spatial": {
                "group_size": GROUP,
                "report_radius_m": RADIUS_M,
                "vote_window_ms": VOTE_WINDOW_MS,
                "reveal_window_ms": 10_000,
                "duplicate_radius_m": DUPLICATE_RADIUS_M,
            },
            "reports": {"hot_spots": 1, "hot_spot_radius_m": 500.0},
            "network": {"heartbeat_ms": 5_000, "quantum_ms": 10.0, "degree": 3},
        }
    )


def workers(count: int, first: int = 1) -> list[str]:
    """Names of so many workers."""
    return [f"worker-{number:02}" for number in range(first, first + count)]


def incidents(seed: int, whose: str, count: int, *, real: bool, every_ms: int = 6_000) -> list[Incident]:
    """What a requester reports: `count` incidents where people live, all real or all made up, no two of them alike."""
    scenario = scenario_of(seed)
    city = build_city(scenario, None)
    rng = Random(f"{seed}/{whose}/trial")
    types = scenario.spatial.types
    made: list[Incident] = []
    while len(made) < count:
        where = city.inside(around(city.home(rng), 200.0, rng))
        type_ = types[len(made) % len(types)]
        if all(each.type != type_ or each.where.distance_m(where) > 3 * DUPLICATE_RADIUS_M for each in made):
            made.append(Incident(FIRST_REPORT_MS + every_ms * len(made), type_, where, real))
    return made


def play(plot: Plot, seed: int) -> Ending:
    """Run a plot to its end. The same arguments give the same ending."""
    return run_virtual(_play, plot, seed, seed=seed)


async def _play(plot: Plot, seed: int) -> Ending:
    clock = Clock(SIMULATION_EPOCH_MS)
    scenario = scenario_of(seed, pseudonyms=plot.pseudonyms)
    city: City = build_city(scenario, None)
    members = build_members(scenario, city)
    genesis = found(scenario, city, members, SIMULATION_EPOCH_MS)
    genesis = replace(
        genesis,
        # Other rules, another network: what one process remembers of blocks and transactions is of one network each.
        network=f"trial-{seed}-{sha256(plot.contract.__name__.encode()).hexdigest()[:16]}",
        spatial=replace(genesis.spatial, **plot.rules),
        ledger=replace(genesis.ledger, **plot.pow_rules),
    )
    world = World(
        scenario=scenario,
        genesis=genesis,
        network=Network.found(genesis, Registry({"accounts": accounts, "spatial": plot.contract})),
        clock=clock,
        journal=Journal(clock.now_ms, SIMULATION_EPOCH_MS),
        meter=GossipMeter(trio.current_time),
        city=city,
        gossip=GossipConfig(heartbeat_s=scenario.network.heartbeat_ms / 1000),
        may_use_threads=False,
        started_ms=SIMULATION_EPOCH_MS,
    )
    transports = Transports(world, (), {})
    names = [member.name for member in members if member.role == "requester"]

    def deal(place: int, of: int) -> Iterator[Incident]:
        del of
        return iter(plot.reports.get(names[place], ()))

    swarm = Infiltrated(world, "simulate", members, transports.make, MemberStores(world, None), deal)
    swarm.plot = plot
    ending = Ending(world)
    last_ms = max((incident.time_ms for each in plot.reports.values() for incident in each), default=0)
    with trio.move_on_after((last_ms + plot.after_ms) / 1000):
        async with trio.open_nursery() as nursery:
            if transports.memory is not None:
                await nursery.start(transports.memory.run)
            for name, skew_ms in plot.skew_ms.items():
                swarm.set_clock(name, skew_ms)
            await nursery.start(swarm.run)
            honest = next(
                node for node in swarm.full_nodes if node.name not in {*plot.turned, *plot.nodes, *plot.skew_ms}
            )
            honest.witnesses.append(ending)
            ending.actors = swarm.actors
            await trio.sleep_forever()
    if world.errors:
        raise RuntimeError("; ".join(world.errors))  # an adversary may do what it likes, but nobody's core may crash
    return ending
