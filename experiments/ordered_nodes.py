"""A consortium of whole ledger nodes in one process and in real time: overlay, gateway, endorsing, ordering, stores.

Each endorser is the peer of an organisation of its own, and all of them must endorse each call. They and the orderers are
`FullNode`s, all linked with each other; a phone, which holds no ledger, is linked with the first of them.
"""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import trio
from msgspec.structs import replace

from actors import population
from actors.clock import SIMULATION_EPOCH_MS, Clock
from actors.founding import found
from actors.gossip_meter import GossipMeter
from actors.identity import Identity
from actors.journal import Journal
from actors.light_node import LightNode
from actors.local_ledger import LocalLedger
from actors.node import FullNode
from actors.orderer import Orderer
from actors.scenario import Scenario
from actors.world import World
from chain.gas import MAX_BLOCK_GAS, MAX_TRANSACTION_GAS
from chain.genesis import Balance, Network
from chain.ledgers.ordered.channel import BatchLimits, OrderedRules, default_policies, found_channel
from chain.ledgers.ordered.endorse import Signer
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.msp import issue
from chain.ledgers.ordered.orderer import Orderer as OrdererCore
from chain.ledgers.ordered.raft.store import MemoryRaftStore
from chain.store import MemoryStore
from net.gossip.config import GossipConfig
from net.memory import LinkConditions, MemoryNetwork
from net.peer import Address
from net.transport import Transport

Links = Literal["memory", "lan", "tcp"]
"""Between nodes: in memory without latency; with that of a local network, LAN_MS; libp2p over TCP on loopback."""
Consensus = Literal["solo", "raft"]

LAN_MS: Final = 1.0
"""One way."""
RAFT_ORDERERS: Final = 3
BATCH: Final = BatchLimits(max_count=500, preferred_bytes=131_072, absolute_bytes=524_288, timeout_ms=20, idle_ms=0)
CREDITS: Final = 1_000_000_000
YEARS_MS: Final = 10 * 365 * 86_400_000
UP_S: Final = 120.0
"""How long they may take to be up, linked and led."""
LOOPBACK: Final = Address("/ip4/127.0.0.1/tcp/0")
CLIENT: Final = "client"
PHONE: Final = "phone"


@dataclass(slots=True)
class Consortium:
    """Nodes that are up. `client` is a user of the first endorser's; `phone` asks that one over the network."""

    world: World
    peers: list[FullNode] = field(default_factory=list)
    orderers: list[Orderer] = field(default_factory=list)
    client: LocalLedger = field(init=False)
    phone: LightNode = field(init=False)

    @property
    def nodes(self) -> list[FullNode]:
        """All that hold the ledger."""
        return [*self.peers, *(orderer.node for orderer in self.orderers)]

    def is_complete(self) -> bool:
        """Whether all know of all others, somebody leads, and everybody has the same head."""
        nodes = self.nodes
        return (
            all(len(node.members()) == len(nodes) for node in nodes)
            and any(orderer.core.leads for orderer in self.orderers)
            and len({node.core.head_id for node in nodes}) == 1
        )


def name_of(number: int) -> str:
    """Of an organisation, from 1 on; two digits, so that their order is that of their numbers."""
    return f"org{number:02}"


@asynccontextmanager
async def consortium(
    endorsers: int, *, links: Links = "memory", consensus: Consensus = "raft", seed: int = 1
) -> AsyncGenerator[Consortium]:
    """Start everybody; yields when all are linked and the orderers have a leader. Raises trio.TooSlowError after UP_S."""
    identities = {name: Identity.derive(seed, name) for name in _names(endorsers, consensus)}
    world = _world(_found(endorsers, consensus, identities, seed), seed)
    for name, identity in identities.items():
        world.names[identity.account] = name
    latency_s = LAN_MS / 1_000 if links == "lan" else 0.0
    memory = MemoryNetwork(rng=random.Random(f"{seed}/network"), conditions=LinkConditions(latency_s=latency_s))
    it = Consortium(world)

    def attach(name: str) -> Transport:
        if links != "tcp":
            return memory.attach(identities[name].peer_id)
        from net.libp2p_host import Libp2pTransport

        return Libp2pTransport(identities[name].secret, listen=[LOOPBACK] if name != PHONE else [])

    def node(name: str, organisation: str, role: str) -> FullNode:
        me = identities[name]
        root = Identity.derive(seed, f"root-{organisation}").key
        serial = 1 + list(identities).index(name)
        certificate = issue(root, organisation, role, me.account, serial, 0, SIMULATION_EPOCH_MS + YEARS_MS)
        core = OrderedLedger(world.network, signer=Signer(certificate, me.key))
        known = [other.identity.peer_id for other in it.nodes]
        return FullNode(world, name, me, attach(name), core, MemoryStore(), known)

    async with trio.open_nursery() as nursery:
        await nursery.start(memory.run)
        for number, name in enumerate(each for each in identities if each.startswith("orderer")):
            one = node(name, name_of(1 + number % endorsers), "orderer")
            rng = random.Random(f"{seed}/{name}")
            core = OrdererCore(ordered(one), rng=rng, now_ms=world.clock.now_ms())
            it.orderers.append(Orderer(one, core, MemoryRaftStore()))
            await nursery.start(it.orderers[-1].run)
            world.addresses.put(one.identity.peer_id, one.overlay.addresses)
        for number in range(1, endorsers + 1):
            it.peers.append(node(f"peer-{name_of(number)}", name_of(number), "peer"))
            await nursery.start(it.peers[-1].run)
            world.addresses.put(it.peers[-1].identity.peer_id, it.peers[-1].overlay.addresses)
        world.begun.set()
        gateway = it.peers[0]
        it.client = LocalLedger(gateway, identities[CLIENT])
        it.phone = LightNode(world, PHONE, identities[PHONE], attach(PHONE), spares=[gateway.identity.peer_id])
        await nursery.start(it.phone.run)
        with trio.fail_after(UP_S):
            while not it.is_complete():  # noqa: ASYNC110 - no event for it
                await trio.sleep(0.05)
        yield it
        nursery.cancel_scope.cancel()


def _names(endorsers: int, consensus: Consensus) -> list[str]:
    orderers = 1 if consensus == "solo" else RAFT_ORDERERS
    return [
        *(f"orderer-{number}" for number in range(1, orderers + 1)),
        *(f"peer-{name_of(number)}" for number in range(1, endorsers + 1)),
        CLIENT,
        PHONE,
    ]


def ordered(node: FullNode) -> OrderedLedger:
    """The node's core."""
    if not isinstance(node.core, OrderedLedger):
        raise TypeError(f"{node.name} holds another kind of ledger")
    return node.core


def _found(endorsers: int, consensus: Consensus, identities: dict[str, Identity], seed: int) -> Network:
    organisations = [name_of(number) for number in range(1, endorsers + 1)]
    roots = {name: Identity.derive(seed, f"root-{name}").account for name in organisations}
    everybody = ", ".join(f"'{name}.peer'" for name in organisations)
    channel = found_channel(
        roots,
        [identity.account for name, identity in identities.items() if name.startswith("orderer")],
        batch=BATCH,
        policies=replace(default_policies(roots), endorsement=f"AND({everybody})" if endorsers > 1 else everybody),
    )
    rules = OrderedRules(
        consensus=consensus,
        channel=channel,
        max_skew_ms=5_000,
        proposal_ttl_ms=60_000,
        max_transaction_gas=MAX_TRANSACTION_GAS,
        max_block_gas=MAX_BLOCK_GAS,
        tick_ms=50,
        election_ticks=10,
        heartbeat_ticks=2,
    )
    scenario = Scenario(name="bench", seed=seed)
    genesis = found(scenario, population.build_city(scenario, None), (), SIMULATION_EPOCH_MS)
    accounts = sorted(identities[name].account for name in (CLIENT, PHONE))
    balances = tuple(Balance(account, CREDITS) for account in accounts)
    return Network.found(replace(genesis, ledger=rules, balances=balances))


def _world(network: Network, seed: int) -> World:
    scenario = Scenario(name="bench", seed=seed)
    clock = Clock(SIMULATION_EPOCH_MS)
    rules = network.genesis.ledger
    return World(
        scenario=scenario,
        genesis=network.genesis,
        network=network,
        clock=clock,
        journal=Journal(clock.now_ms, SIMULATION_EPOCH_MS),
        meter=GossipMeter(trio.current_time),
        city=population.build_city(scenario, None),
        gossip=GossipConfig(max_message_bytes=max(GossipConfig().max_message_bytes, rules.max_block_bytes)),
        may_use_threads=True,
        started_ms=SIMULATION_EPOCH_MS,
    )
