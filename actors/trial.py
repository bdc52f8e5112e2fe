"""A population in virtual time with some of its actors turned: what `simulate` runs, but for them.

An adversary is made from the honest actor whose place it takes: the same node, the same key, one behaviour replaced. Rules
can be replaced as well, for all alike: by another genesis, or by a contract without one of its checks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from inspect import isfunction
from types import ModuleType
from typing import Any, TypeVar

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
from actors.membership import certified
from actors.node import FullNode
from actors.population import LEDGER_ROLES, Member, build_city, build_members
from actors.scenario import Scenario
from actors.sensing.city import Incident
from actors.swarm import Swarm
from actors.transports import Transports
from actors.world import World
from chain.contract import Registry, event_fields
from chain.contracts import accounts, campaign, channel, spatial
from chain.genesis import Genesis, Network, kind_of
from chain.ledgers.pow.ledger import PowLedger
from chain.store import Store
from chain.values import Account, Receipt, Transaction
from net.gossip.config import GossipConfig
from net.peer import PeerId
from net.transport import Transport

Turn = Callable[[Actor, Member], Actor]
"""Makes the adversary that takes the place of an honest actor, which never runs."""
MakeNode = Callable[[World, str, Identity, Transport, PowLedger, Store, Sequence[PeerId]], FullNode]
Reports = Mapping[str, Sequence[Incident]]
"""What each requester reports, by its name."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Who plays by which rules."""

    scenario: Scenario
    name: str
    """Of the contract that the trial is about."""
    contract: ModuleType
    """What runs under that name: itself, or a variant."""
    turned: Mapping[str, Turn] = field(default_factory=dict)
    """Who is made an adversary, by the name of whose place it takes."""
    nodes: Mapping[str, MakeNode] = field(default_factory=dict)
    """Ledger nodes of adversaries that differ themselves; with proof of work."""
    skew_ms: Mapping[str, int] = field(default_factory=dict)
    """How much later than it is some take it to be."""
    rules: Callable[[Genesis], Genesis] = lambda genesis: genesis
    """What is changed in genesis."""
    reports: Reports = field(default_factory=dict)


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
    contract: str
    """The name of the one that the trial is about."""
    actors: Mapping[str, Actor] = field(default_factory=dict)
    called: list[Called] = field(default_factory=list)
    over: trio.Event = field(default_factory=trio.Event)
    """Set when there is nothing more to see."""

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
        """Calls of the contract's method that went through, or that were refused."""
        return [
            each
            for each in self.called
            if (each.transaction.contract, each.transaction.method) == (self.contract, method) and each.receipt.ok == ok
        ]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The fields of the contract's events of a name."""
        return [
            event_fields(event)
            for each in self.called
            for event in each.receipt.events
            if (event.contract, event.name) == (self.contract, name)
        ]

    def account(self, name: str) -> Account:
        """The account of an actor."""
        return next(Account(key) for key, known in self.world.names.items() if known == name)


E = TypeVar("E", bound=Ending)


class Infiltrated(Swarm):
    """A swarm in which some members are built otherwise."""

    stage: Stage
    ending: Ending

    def _build(self, member: Member) -> Actor:
        actor = super()._build(member)
        turn = self.stage.turned.get(member.name)
        return actor if turn is None else turn(actor, member)

    def _full_node(self, world: World, member: Member, transport: Transport) -> FullNode:
        node = super()._full_node(world, member, transport)
        if member.name == self._witness():
            node.witnesses.append(self.ending)
        make = self.stage.nodes.get(member.name)
        if make is None:
            return node
        known = [m.identity.peer_id for m in self.members if m.role in LEDGER_ROLES and m is not member]
        other = make(world, member.name, member.identity, transport, node.pow, self.stores.chain(member), known)
        other.witnesses += node.witnesses
        return other

    def _witness(self) -> str:
        """The first honest ledger node: the ending is what it has as final."""
        dishonest = {*self.stage.turned, *self.stage.nodes, *self.stage.skew_ms}
        return next(m.name for m in self.members if m.role in LEDGER_ROLES and m.name not in dishonest)


def variant_of(contract: ModuleType, **replaced: Callable[..., Any]) -> ModuleType:
    """A contract with some functions replaced, or added, by name; the module is named after them."""
    module = ModuleType(
        "-".join([contract.__name__.rpartition(".")[2], *sorted(function.__name__ for function in replaced.values())])
    )
    vars(module).update({name: value for name, value in vars(contract).items() if isfunction(value)})
    vars(module).update(replaced)
    return module


async def play_out(stage: Stage, seconds: float, make: Callable[[World, str], E]) -> E:
    """Run a stage for some virtual seconds, or until the ending says that it is over.

    Raises RuntimeError when an actor crashed: an adversary may do what it likes, but nobody's core may.
    """
    clock, scenario = Clock(SIMULATION_EPOCH_MS), stage.scenario
    city = build_city(scenario, None)
    members = certified(scenario, build_members(scenario, city), SIMULATION_EPOCH_MS)
    genesis = stage.rules(found(scenario, city, members, SIMULATION_EPOCH_MS))
    # Other rules, another network: what one process remembers of blocks and transactions is of one network each.
    mark = sha256(stage.contract.__name__.encode()).hexdigest()[:16]
    genesis = replace(genesis, network=f"trial-{scenario.seed}-{mark}")
    world = World(
        scenario=scenario,
        genesis=genesis,
        network=Network.found(genesis, _registry(genesis, stage)),
        clock=clock,
        journal=Journal(clock.now_ms, SIMULATION_EPOCH_MS),
        meter=GossipMeter(trio.current_time),
        city=city,
        gossip=GossipConfig(
            heartbeat_s=scenario.network.heartbeat_ms / 1000,
            max_message_bytes=max(GossipConfig().max_message_bytes, genesis.ledger.max_block_bytes),
        ),
        may_use_threads=False,
        started_ms=SIMULATION_EPOCH_MS,
    )
    ending = make(world, stage.name)
    world.certificates.update((m.identity.account, m.certificate) for m in members if m.certificate is not None)
    transports = Transports(world, (), {})
    names = [member.name for member in members if member.role == "requester"]

    def deal(place: int, of: int) -> Iterator[Incident]:
        del of
        return iter(stage.reports.get(names[place], ()))

    swarm = Infiltrated(world, "simulate", members, transports.make, MemberStores(world, None), deal)
    swarm.stage, swarm.ending = stage, ending
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            if transports.memory is not None:
                await nursery.start(transports.memory.run)
            for name, skew_ms in stage.skew_ms.items():
                swarm.set_clock(name, skew_ms)
            await nursery.start(swarm.run)
            ending.actors = swarm.actors
            await ending.over.wait()
            nursery.cancel_scope.cancel()
    if world.errors:
        raise RuntimeError("; ".join(world.errors))
    return ending


def _registry(genesis: Genesis, stage: Stage) -> Registry:
    own = {"channel": channel} if kind_of(genesis) == "ordered" else {}
    return Registry(
        {"accounts": accounts, "campaign": campaign, "spatial": spatial} | own | {stage.name: stage.contract}
    )
