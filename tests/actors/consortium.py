"""A small consortium of real nodes in virtual time: a peer in each of three organisations, one orderer, and clients.

`Consortium` runs while its context is entered, on a memory network; whoever misbehaves is a node whose core, store or
service was replaced by the test.
"""

import dataclasses
import random
from contextlib import asynccontextmanager

import trio
from msgspec.structs import replace

from actors.clock import SIMULATION_EPOCH_MS, Clock
from actors.gossip_meter import GossipMeter
from actors.identity import Identity
from actors.journal import Journal
from actors.links import open_overlay
from actors.local_ledger import LocalLedger
from actors.node import FullNode
from actors.orderer import Orderer
from actors.population import build_city
from actors.remote_ledger import RemoteLedger
from actors.scenario import convert
from actors.world import World
from chain.gas import MAX_BLOCK_GAS, MAX_TRANSACTION_GAS
from chain.genesis import Balance, Genesis, Network
from chain.ledgers.ordered.channel import BatchLimits, OrderedRules, default_policies, found_channel
from chain.ledgers.ordered.endorse import Signer
from chain.ledgers.ordered.ledger import OrderedConfig, OrderedLedger
from chain.ledgers.ordered.msp import issue
from chain.ledgers.ordered.orderer import Orderer as OrdererCore
from chain.ledgers.ordered.raft.store import MemoryRaftStore
from chain.store import MemoryStore
from net.gossip.config import GossipConfig
from net.memory import LinkConditions, MemoryNetwork
from tests.strategies import spatial_rules

ORGANISATIONS = ("org1", "org2", "org3")
FOREVER_MS = 2 * SIMULATION_EPOCH_MS
RICH = 1_000_000_000
BATCH = BatchLimits(max_count=100, preferred_bytes=131_072, absolute_bytes=524_288, timeout_ms=20, idle_ms=0)
CLIENTS = 40


def identity(name):
    return Identity.derive(7, name)


def certificate(name, organisation, role, *, until_ms=FOREVER_MS, serial=None):
    serial = serial or int.from_bytes(name.encode()[-4:], "big")
    root = identity(f"root-{organisation}").key
    return issue(root, organisation, role, identity(name).account, serial, 0, until_ms)


def signer(name, organisation, role, **dates):
    return Signer(certificate(name, organisation, role, **dates), identity(name).key)


def policies(**changes):
    accounts = {name: identity(f"root-{name}").account for name in ORGANISATIONS}
    return replace(default_policies(accounts), **changes)


def network(batch=BATCH, proposal_ttl_ms=60_000, **changes):
    channel = found_channel(
        {name: identity(f"root-{name}").account for name in ORGANISATIONS},
        (identity("orderer").account,),
        batch,
        policies(**changes),
    )
    rules = OrderedRules("solo", channel, 2_000, proposal_ttl_ms, MAX_TRANSACTION_GAS, MAX_BLOCK_GAS, 100, 10, 1)
    holders = [identity(f"client-{number}").account for number in range(CLIENTS)] + [
        identity(f"peer-{name}").account for name in ORGANISATIONS
    ]
    return Network.found(
        Genesis(
            network="consortium",
            time_ms=SIMULATION_EPOCH_MS - 1_000,
            ledger=rules,
            spatial=spatial_rules(),
            balances=tuple(sorted((Balance(a, RICH) for a in holders), key=lambda b: b.account)),
        )
    )


@dataclasses.dataclass
class Consortium:
    world: World
    memory: MemoryNetwork
    nursery: trio.Nursery
    nodes: dict[str, FullNode] = dataclasses.field(default_factory=dict)
    records: list[tuple[str, str, dict]] = dataclasses.field(default_factory=list)

    mishaps: list[str] = dataclasses.field(default_factory=list)
    """What the test expects to go wrong in the eyes of the run."""

    def said(self, kind, actor=None):
        return [fields for who, what, fields in self.records if what == kind and actor in (None, who)]

    def peer(self, number):
        return self.nodes[f"peer-org{number}"]

    @property
    def orderer(self):
        return self.nodes["orderer"]

    def local(self, number):
        node = self.peer(number)
        return LocalLedger(node, node.identity)

    async def node(self, name, core, *, make=FullNode):
        """Start a ledger node that knows those which are up."""
        me = identity(name)
        if core.signer is not None:
            self.world.certificates[me.account] = core.signer.certificate
        transport = self.memory.attach(me.peer_id)
        known = [node.identity.peer_id for node in self.nodes.values()]
        node = make(self.world, name, me, transport, core, MemoryStore(), known)
        self.nodes[name] = node
        self.world.addresses.put(me.peer_id, transport.addresses)
        for other in self.nodes.values():
            other.meet([me.peer_id])
        return node

    async def light(self, name, gateways=(1, 2, 3), *, shown=None):
        """A phone's ledger, by way of these peers."""
        me = identity(name)
        if shown is not None:
            self.world.certificates[me.account] = shown
        overlay = open_overlay(self.world, name, me, self.memory.attach(me.peer_id))
        await self.nursery.start(overlay.run)
        peers = [self.peer(number).identity.peer_id for number in gateways]
        for peer in peers:
            await overlay.connect(peer, self.world.addresses.of(peer))
        return RemoteLedger(me, overlay, lambda: [peer for peer in peers if peer in overlay.peers()], self.world)


def make_world(net):
    scenario = convert({"name": "consortium", "seed": 7})
    clock = Clock(SIMULATION_EPOCH_MS)
    return World(
        scenario=scenario,
        genesis=net.genesis,
        network=net,
        clock=clock,
        journal=Journal(clock.now_ms, SIMULATION_EPOCH_MS),
        meter=GossipMeter(trio.current_time),
        city=build_city(scenario, None),
        gossip=GossipConfig(),
        may_use_threads=False,
        started_ms=SIMULATION_EPOCH_MS,
    )


def honest(net, name, organisation):
    return OrderedLedger(net, signer=signer(name, organisation, "peer"), config=OrderedConfig(status_interval_ms=500))


@asynccontextmanager
async def consortium(net=None, *, peers=None, nodes=None, ordering=True, latency_s=0.002, settle_s=0.5):
    """`peers` and `nodes` (by number of the organisation) make another core or another node than an honest one."""
    net = net or network()
    peers, nodes = peers or {}, nodes or {}
    world = make_world(net)
    memory = MemoryNetwork(rng=random.Random(1), conditions=LinkConditions(latency_s=latency_s))
    async with trio.open_nursery() as nursery:
        await nursery.start(memory.run)
        it = Consortium(world, memory, nursery)
        names = {f"peer-{organisation}": organisation for organisation in ORGANISATIONS}
        for name in ["orderer", *names, *(f"client-{number}" for number in range(CLIENTS))]:
            world.names[identity(name).account] = name
        world.journal.listen(lambda t, actor, kind, fields: it.records.append((actor, kind, fields)))
        core = OrderedLedger(net, signer=signer("orderer", "org1", "orderer"))
        node = await it.node("orderer", core)
        if ordering:
            cutting = OrdererCore(core, rng=random.Random(2), now_ms=world.clock.now_ms())
            await nursery.start(Orderer(node, cutting, MemoryRaftStore()).run)
            world.begun.set()
        else:
            await nursery.start(node.run)
        for number, (name, organisation) in enumerate(names.items(), 1):
            made = peers.get(number, honest)(net, name, organisation)
            node = await it.node(name, made, make=nodes.get(number, FullNode))
            await nursery.start(node.run)
        await trio.sleep(settle_s)
        yield it
        nursery.cancel_scope.cancel()
    assert world.errors == it.mishaps


def mute(it, asker, asked):
    """What one peer asks of another arrives a minute late."""
    source, target = it.peer(asker).identity.peer_id, it.peer(asked).identity.peer_id
    it.memory.set_conditions(source, target, dataclasses.replace(it.memory.conditions(source, target), latency_s=60.0))
