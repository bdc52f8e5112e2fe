"""A population at work in one process: builds its actors, starts them, and starts again those that fail."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Literal

import trio

from actors.actor import Actor
from actors.campaigns.board import NO_MONEY
from actors.campaigns.requester import CampaignRequester
from actors.campaigns.worker import CampaignWorker
from actors.clock import Clock
from actors.endorser import Endorser
from actors.facility import Facility
from actors.light_node import LightNode
from actors.mec import MecNode
from actors.member_stores import MemberStores
from actors.membership import signer_of
from actors.miner import Miner
from actors.node import FullNode, Witness
from actors.oracle import Oracle
from actors.orderer import Orderer
from actors.organizer import Organizer
from actors.population import LEDGER_ROLES, Member, role_of, turns
from actors.requester import Requester
from actors.scenario import ScenarioError
from actors.sensing.city import Incident
from actors.tally import Tally
from actors.worker import Worker
from actors.world import World
from chain.contracts.spatial_board import count_reports
from chain.contracts.spatial_records import STATUSES
from chain.errors import StoreError
from chain.genesis import Network, kind_of
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.orderer import Orderer as OrdererCore
from chain.ledgers.ordered.policy import Policy, Principal
from chain.ledgers.pow.ledger import PowLedger
from chain.store import Store
from chain.values import Account
from net.peer import PeerId
from net.transport import Transport

FIRST_RESTART_S = 1.0
LAST_RESTART_S = 30.0
SPARES = 2
ACTIVITY = ("reported", "ballot", "voted", "revealed", "missed")
NEIGHBOURS = 2

State = Literal["starting", "running", "restarting", "stopped"]
MakeTransport = Callable[[Member], Transport]
DealIncidents = Callable[[int, int], Iterator[Incident]]


class CannotStartError(Exception):
    """An actor cannot even start where it was told to: the address is taken, or not ours."""


class Swarm:
    """All actors of one process. `run` lives until cancelled; what an actor raises is noted and the actor restarted.

    Only at its first start does it raise what no restart would mend: CannotStartError, StoreError, ScenarioError.

    `acquaint` runs when the ledger nodes are up, and has the swarm `meet` those of other processes that run a part of the
    same population: until then nobody mines or dials, so that all begin with one chain and links all over.
    `incidents(i, n)` is what the i-th of n requesters will report; `known` are ledger nodes of other processes, whose
    addresses are in `world.addresses`.
    """

    def __init__(
        self,
        world: World,
        kind: Literal["swarm", "simulate", "node"],
        members: Sequence[Member],
        make_transport: MakeTransport,
        stores: MemberStores,
        incidents: DealIncidents,
        known: Sequence[PeerId] = (),
        acquaint: "Callable[[Swarm], Awaitable[None]] | None" = None,
    ) -> None:
        self.world = world
        self.kind = kind
        self.members = tuple(members)
        self.actors: dict[str, Actor] = {}
        self.states: dict[str, State] = {member.name: "starting" for member in members}
        self.restarts: Counter[str] = Counter()
        self.tally = Tally(world)
        self._witnesses: list[Witness] = [self.tally]
        self.activity = dict.fromkeys(ACTIVITY, 0)
        """How often actors of this process did what people do."""
        self.refusals: Counter[str] = Counter()
        """Reasons for which requesters' reports were refused."""
        self.poor = ""
        """Which actor could not pay for its part in a campaign, lately; empty if all could."""
        self._known = tuple(known)
        self._acquaint = acquaint
        self._met = acquaint is None
        if self._met:
            world.begun.set()
        self.pages: Sequence[tuple[str, str]] = ()
        """(name, URL) of the web pages of other processes that run a part of this population."""
        self._statuses: tuple[int, Sequence[tuple[str, int]]] | None = None
        self._make_transport = make_transport
        self.stores = stores
        self._lives: dict[str, trio.CancelScope] = {}
        self._down: dict[str, trio.Event] = {}
        """Who was stopped, and what starts them again."""
        self._diskless: set[str] = set()
        self._torn: set[str] = set()
        self._tears: Counter[str] = Counter()
        self._clocks: dict[str, Clock] = {member.name: world.clock.another() for member in members}
        requesters = [member.name for member in members if member.role == "requester"]
        reporting = "spatial" in world.scenario.systems
        self._incidents = {
            name: incidents(place, len(requesters)) if reporting else iter(()) for place, name in enumerate(requesters)
        }
        world.journal.listen(self._listen)
        for member in members:
            world.names[member.identity.account] = member.name
        self._turns = turns(world.names.values())

    @property
    def full_nodes(self) -> Sequence[FullNode]:
        """The ledger nodes that have been started, in order of members."""
        return [a.node for m in self.members if (a := self.actors.get(m.name)) and isinstance(a.node, FullNode)]

    def statuses(self) -> Sequence[tuple[str, int]]:
        """How many reports are in each status, finally, as the first ledger node has it."""
        nodes = self.full_nodes
        if not nodes:
            return []
        core = nodes[0].core
        if self._statuses is None or self._statuses[0] != core.final.height:
            counts = [(status, count_reports(core.final_state, status)) for status in STATUSES]
            self._statuses = core.final.height, counts
        return self._statuses[1]

    def watch(self, witness: Witness) -> None:
        """Have every ledger node of the swarm tell `witness` of its blocks."""
        self._witnesses.append(witness)
        for node in self.full_nodes:
            node.witnesses.append(witness)

    @property
    def can_tear(self) -> bool:
        """Whether stores are on disks, whose last write can be torn."""
        return self.stores.can_tear

    def stop(self, name: str, *, lose_disk: bool = False, tear_disk: bool = False) -> None:
        """Crash an actor: it stays down until `start`. Then it finds its store empty, or its last write torn."""
        if lose_disk:
            self._diskless.add(name)
        if tear_disk:
            self._torn.add(name)
        if name not in self._down:
            self._down[name] = trio.Event()
            self.states[name] = "stopped"
            if name in self._lives:
                self._lives[name].cancel()

    def start(self, name: str) -> None:
        """Start an actor that was stopped."""
        down = self._down.pop(name, None)
        if down is not None:
            self.states[name] = "restarting"
            down.set()

    def set_clock(self, name: str, skew_ms: int) -> None:
        """Have an actor believe it to be that much later (or earlier) than the run's clock says."""
        self._clocks[name].skew_ms = skew_ms

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start ledger nodes one after the other, then everybody else at once; started() when all are up."""
        genesis = self.world.genesis
        self.world.journal.record(
            "swarm",
            "start",
            actors=len(self.members),
            network=genesis.network,
            finality_depth=genesis.ledger.finality_depth,
        )
        try:
            async with trio.open_nursery() as nursery:
                ledger = [member for member in self.members if member.role in LEDGER_ROLES]
                light = [member for member in self.members if member.role not in LEDGER_ROLES]
                for member in ledger:
                    await nursery.start(self._supervise, member)
                if self._acquaint is not None:
                    await self._acquaint(self)
                async with trio.open_nursery() as starting:
                    for member in light:
                        starting.start_soon(nursery.start, self._supervise, member)
                task_status.started()
        finally:
            for name in self.states:
                self.states[name] = "stopped"

    def meet(self, others: Sequence[PeerId]) -> None:
        """These run the other ledger nodes of our population; their addresses are in `world.addresses`. Begin."""
        self._known, self._met = (*self._known, *others), True
        ours = [node.identity.peer_id for node in self.full_nodes]
        for node in self.full_nodes:
            node.meet([*ours, *others])
        self.world.begun.set()

    def close(self) -> None:
        """Close the stores. The actors' nodes can still be looked at, as far as they need no store."""
        self.stores.close()

    async def _supervise(
        self, member: Member, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        started = False
        while True:
            while (down := self._down.get(member.name)) is not None:
                await down.wait()
            life = trio.CancelScope()
            try:
                self._bury(member)
                with life:
                    async with trio.open_nursery() as nursery:
                        self._lives[member.name] = life
                        actor = self._build(member)
                        self.actors[member.name] = actor
                        self.world.addresses.put(member.identity.peer_id, actor.node.overlay.addresses)
                        await nursery.start(actor.run)
                        self.world.addresses.put(member.identity.peer_id, actor.node.overlay.addresses)
                        self.states[member.name] = "running"
                        self.world.journal.record(member.name, "up", role=member.role)
                        if not started:
                            task_status.started()
                            started = True
            except Exception as error:  # noqa: BLE001 - an actor that fails must not take its neighbours along
                cause = _cause(error)
                if not started and isinstance(cause, StoreError | ScenarioError):
                    raise cause from None
                if not started and isinstance(cause, OSError):
                    msg = f"{member.name}: {cause.strerror or cause}"
                    raise CannotStartError(msg) from None
                self.world.fail(member.name, _summary(cause))
            if life.cancelled_caught:
                self.world.journal.record(member.name, "down", disk_lost=member.name in self._diskless)
                continue  # it may be to start again already
            self.states[member.name] = "restarting"
            pause = min(LAST_RESTART_S, FIRST_RESTART_S * 2 ** min(10, self.restarts[member.name]))
            self.restarts[member.name] += 1
            await trio.sleep(pause)

    def _bury(self, member: Member) -> None:
        """Lose or tear the disk of whose it was to be, now that nobody writes there any more."""
        name = member.name
        lost, torn = name in self._diskless, name in self._torn
        self._diskless.discard(name)
        self._torn.discard(name)
        if lost:
            self.stores.lose(member)
        elif torn:
            self._tears[name] += 1
            gone = self.stores.tear(member, self.world.rng(name, f"tear/{self._tears[name]}"))
            if gone is not None:
                self.world.journal.record(name, "torn", bytes=gone)

    def _build(self, member: Member) -> Actor:
        """A fresh actor of a member, with the store of the one before."""
        population, campaign = self.world.scenario.population, self.world.scenario.campaign
        world = replace(self.world, clock=self._clocks[member.name])
        transport = self._make_transport(member)
        if member.role in LEDGER_ROLES:
            full = self._full_node(world, member, transport)
            if member.role == "miner":
                return Miner(full, population.miner)
            if member.role == "orderer":
                return self._orderer(world, member, full)
            if member.role == "endorser":
                return Endorser(full)
            if member.role == "organizer":
                return Organizer(full, campaign, self._accounts("oracle"))
            if member.role == "oracle":
                return Oracle(full, campaign, self._turns[member.name][0])
            assert member.place is not None  # noqa: S101 - operators have a site
            if member.role == "mec":
                return MecNode(full, population.mec, member.place)
            return Facility(full, population.facility, member.place)
        assert member.place is not None  # noqa: S101 - people have a home
        light = self._light_node(world, member, transport)
        campaigns = "campaign" in world.scenario.systems
        if member.role == "worker":
            campaigner = CampaignWorker(light, campaign, self._turns[member.name][0]) if campaigns else None
            return Worker(light, population.worker, member.place, campaigner=campaigner)
        return Requester(
            light,
            member.place,
            self._incidents[member.name],
            use_pseudonyms=population.requester.pseudonyms,
            campaigner=CampaignRequester(light, campaign, *self._turns[member.name]) if campaigns else None,
        )

    def _accounts(self, role: str) -> tuple[Account, ...]:
        """Of all actors of a role, also of those in other processes."""
        return tuple(Account(key) for key, name in self.world.names.items() if role_of(name) == role)

    def _full_node(self, world: World, member: Member, transport: Transport) -> FullNode:
        store = self.stores.chain(member)
        core = _core(self.world.network, member, store)
        others = [m for m in self.members if m.role in LEDGER_ROLES and m is not member] if self._met else []
        known = [m.identity.peer_id for m in others if self.world.addresses.is_own(m.identity.peer_id)]
        known += self._known
        node = FullNode(world, member.name, member.identity, transport, core, store, known)
        node.witnesses += self._witnesses
        return node

    def _orderer(self, world: World, member: Member, node: FullNode) -> Orderer:
        assert isinstance(node.core, OrderedLedger)  # noqa: S101 - there are orderers on no other network
        votes = self.stores.votes(member)
        # Elections need other chances at each start, lest two who were stopped together stand together for ever.
        rng = world.rng(member.name, f"ordering/{self.restarts[member.name]}")
        core = OrdererCore(node.core, rng=rng, now_ms=world.clock.now_ms(), stored=votes.load())
        return Orderer(node, core, votes)

    def _light_node(self, world: World, member: Member, transport: Transport) -> LightNode:
        rng = self.world.rng(member.name, "peers")
        gateways = [m for m in self.members if m.role == "mec"] or [m for m in self.members if m.role in LEDGER_ROLES]
        others = [m for m in self.members if m.role not in LEDGER_ROLES and m.name in self.actors]
        drawn = [m.identity.peer_id for m in rng.sample(gateways, min(SPARES, len(gateways)))]
        spares = self._vouching(rng) or drawn
        return LightNode(
            world,
            member.name,
            member.identity,
            transport,
            spares=[*spares, *self._known],
            neighbours=[m.identity.peer_id for m in rng.sample(others, min(NEIGHBOURS, len(others)))],
        )

    def _vouching(self, rng: Random) -> list[PeerId]:
        """Ordered: drawn ledger nodes, MEC nodes first, whose word together is believed by the endorsement policy.

        Of this process as far as it has them. Nobody on proof of work, and where they are not known.
        """
        if kind_of(self.world.genesis) != "ordered":
            return []
        ours = sorted(
            (m for m in self.members if m.certificate is not None and m.certificate.role == "peer"),
            key=lambda m: (m.role != "mec", rng.random()),
        )
        candidates = [*(m.identity.peer_id for m in ours), *self._known]
        held = [(peer, self.world.certificates.get(peer.public_key)) for peer in candidates]
        peers = [(peer, Principal(c.organisation, c.role)) for peer, c in held if c is not None]
        policy = Policy.parse(self.world.network.ordered.channel.policies.endorsement)
        chosen = next(policy.choices([principal for _, principal in peers]), ())
        return [peers[place][0] for place in chosen]

    def _listen(self, t: int, actor: str, kind: str, fields: Mapping[str, Any]) -> None:  # noqa: ARG002 - a Listener
        if kind in self.activity:
            self.activity[kind] += 1
        elif kind == "report_refused":
            self.refusals[fields["reason"]] += 1
        elif kind == "campaign_idle" and fields["why"].startswith(NO_MONEY):
            self.poor = f"{actor}: {fields['why']}"


def _core(network: Network, member: Member, store: Store) -> PowLedger | OrderedLedger:
    """A member's replica of the network's ledger, where its store was. Raises StoreError."""
    loaded = store.load()
    if kind_of(network.genesis) == "ordered":
        return OrderedLedger(network, signer=signer_of(member), loaded=loaded, archive=store)
    producer = member.identity.account if member.role == "miner" else None
    return PowLedger(network, producer=producer, loaded=loaded, archive=store)


def _cause(error: BaseException) -> BaseException:
    """The first that went wrong."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _summary(error: BaseException) -> str:
    """One line that says what happened and where."""
    trace = error.__traceback__
    where = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f"{code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} ({where})"
