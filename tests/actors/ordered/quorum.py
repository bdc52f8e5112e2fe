"""A consortium whose members are processes: who they are and where they listen, the same for all who read it.

Four peers in three organisations, of which most must endorse, and three orderers, which agree by Raft.
"""

import json
import random
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import trio
from msgspec.structs import replace

from actors import population
from actors.clock import Clock, wall_clock_ms
from actors.founding import found
from actors.gossip_meter import GossipMeter
from actors.identity import Identity
from actors.journal import Journal
from actors.scenario import Scenario
from actors.world import World
from chain.gas import MAX_BLOCK_GAS, MAX_TRANSACTION_GAS
from chain.genesis import Balance, Network
from chain.ledgers.ordered.channel import BatchLimits, OrderedRules, default_policies, found_channel
from chain.ledgers.ordered.endorse import Signer
from chain.ledgers.ordered.msp import issue
from net.gossip.config import GossipConfig
from net.peer import Address

SEED = 9
ORGANISATIONS = ("org1", "org2", "org3")
PEERS = {"peer-1": "org1", "peer-2": "org2", "peer-3": "org3", "peer-4": "org1"}
ORDERERS = {"orderer-1": "org1", "orderer-2": "org2", "orderer-3": "org3"}
MEMBERS = PEERS | ORDERERS
PAYERS = tuple(f"payer-{number}" for number in range(1, 7))
CREDITS = 1_000_000_000
BATCH = BatchLimits(max_count=500, preferred_bytes=131_072, absolute_bytes=524_288, timeout_ms=20, idle_ms=0)
DAY_MS = 86_400_000
PORTS = range(20_000, 30_000)
"""The system gives none of these away to who dials out: a member that is down keeps its own."""


@dataclass(frozen=True)
class Consortium:
    """What all members of one have in common."""

    founded_ms: int
    ports: dict[str, int]

    @classmethod
    def found(cls, folder: Path) -> Self:
        """Choose ports, and write all of it down for the members."""
        consortium = cls(wall_clock_ms(), dict(zip(MEMBERS, _free_ports(len(MEMBERS)), strict=True)))
        (folder / "consortium.json").write_text(json.dumps([consortium.founded_ms, consortium.ports]))
        return consortium

    @classmethod
    def read(cls, folder: Path) -> Self:
        founded_ms, ports = json.loads((folder / "consortium.json").read_text())
        return cls(founded_ms, ports)

    def address(self, name: str) -> Address:
        return Address(f"/ip4/127.0.0.1/tcp/{self.ports[name]}")

    @property
    def network(self) -> Network:
        roots = {name: identity(f"root-{name}").account for name in ORGANISATIONS}
        rules = OrderedRules(
            consensus="raft",
            channel=found_channel(
                roots, [identity(name).account for name in ORDERERS], batch=BATCH, policies=default_policies(roots)
            ),
            max_skew_ms=5_000,
            proposal_ttl_ms=60_000,
            max_transaction_gas=MAX_TRANSACTION_GAS,
            max_block_gas=MAX_BLOCK_GAS,
            tick_ms=50,
            election_ticks=10,
            heartbeat_ticks=2,
        )
        scenario = Scenario(name="quorum", seed=SEED)
        genesis = found(scenario, population.build_city(scenario, None), (), self.founded_ms)
        balances = sorted((Balance(identity(name).account, CREDITS) for name in PAYERS), key=lambda b: b.account)
        return Network.found(replace(genesis, ledger=rules, balances=tuple(balances)))

    def signer(self, name: str) -> Signer:
        """The key of a member with its certificate."""
        me, organisation = identity(name), MEMBERS[name]
        root = identity(f"root-{organisation}").key
        role, serial = name.partition("-")[0], 1 + list(MEMBERS).index(name)
        first_ms, last_ms = self.founded_ms - DAY_MS, self.founded_ms + DAY_MS
        return Signer(issue(root, organisation, role, me.account, serial, first_ms, last_ms), me.key)

    def world(self, name: str) -> World:
        """Of one process; to be made inside ``trio.run``."""
        network, now_ms = self.network, wall_clock_ms()
        scenario, clock = Scenario(name="quorum", seed=SEED), Clock(now_ms)
        world = World(
            scenario=scenario,
            genesis=network.genesis,
            network=network,
            clock=clock,
            journal=Journal(clock.now_ms, now_ms),
            meter=GossipMeter(trio.current_time),
            city=population.build_city(scenario, None),
            gossip=GossipConfig(
                max_message_bytes=max(GossipConfig().max_message_bytes, network.genesis.ledger.max_block_bytes)
            ),
            may_use_threads=True,
            started_ms=now_ms,
        )
        for each in (*MEMBERS, *PAYERS):
            world.names[identity(each).account] = each
        for other in MEMBERS:
            if other != name:
                world.addresses.told(identity(other).peer_id, [self.address(other)])
        world.begun.set()
        return world


def identity(name: str) -> Identity:
    return Identity.derive(SEED, name)


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(PORTS, 10 * count):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports")
