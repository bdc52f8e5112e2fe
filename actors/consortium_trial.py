"""An ordered ledger's consortium in virtual time: peers, orderers and clients; a heap of events, links with latency.

Every member is an `OrderedLedger` as nodes have it, an orderer with its `Orderer` beside; effects are carried out as
nodes do it, on a full mesh. Below them is no overlay, so thousands of transactions cost a second, and faults can be put
where they hurt: messages lost, doubled and late, members cut off or crashed between any two effects. An adversary is a
`Member` with one behaviour replaced.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from msgspec.structs import replace
from nacl.signing import SigningKey

from actors import founding, population
from actors.chain_trial import CREDITS, key_of
from actors.clock import SIMULATION_EPOCH_MS
from actors.scenario import Scenario
from chain.codec import decode_block
from chain.contract import Registry
from chain.errors import InvalidBlockError, MalformedError, Refused
from chain.gas import MAX_BLOCK_GAS, MAX_TRANSACTION_GAS
from chain.genesis import Balance, Network
from chain.keys import account_of
from chain.ledger import Ask, Broadcast, Committed, Diverged, Equivocated, Jumped, Penalise, Save
from chain.ledgers.ordered.channel import (
    BatchLimits,
    ChannelConfig,
    OrderedRules,
    Policies,
    default_policies,
    found_channel,
)
from chain.ledgers.ordered.endorse import Signer
from chain.ledgers.ordered.ledger import OrderedConfig, OrderedLedger
from chain.ledgers.ordered.msp import Signed, issue
from chain.ledgers.ordered.orderer import Leads, Orderer, OrderingEffect
from chain.ledgers.ordered.raft.events import Persist, Send
from chain.ledgers.ordered.raft.store import MemoryRaftStore
from chain.ledgers.ordered.update import sign_update
from chain.ledgers.ordered.values import Endorsed, Envelope, Proposal, decode_envelope
from chain.store import MemoryStore
from chain.values import Account, Block, Receipt

YEARS_MS = 10 * 365 * 86_400_000
BATCH = BatchLimits(max_count=500, preferred_bytes=131_072, absolute_bytes=524_288, timeout_ms=20, idle_ms=0)


@dataclass(frozen=True, slots=True)
class Links:
    """What every message between two members meets."""

    latency_ms: tuple[int, int] = (1, 2)
    """One way, uniform."""
    loss: float = 0.0
    duplication: float = 0.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Who takes part."""

    organisations: int = 3
    peers: int = 4
    orderers: int = 3
    consensus: str = "raft"
    batch: BatchLimits = BATCH
    policies: Policies | None = None
    tick_ms: int = 20
    election_ticks: int = 10
    heartbeat_ticks: int = 2
    proposal_ttl_ms: int = 60_000
    customers: int = 20


def organisations(count: int) -> Sequence[str]:
    """Names: ``org1`` and so on."""
    return [f"org{number}" for number in range(1, count + 1)]


class Member:
    """A peer of the ledger, or an orderer with its own; its stores outlive a crash."""

    def __init__(self, trial: "Trial", name: str, organisation: str, role: str) -> None:
        self.trial, self.name, self.organisation, self.role = trial, name, organisation, role
        self.key = key_of(trial.seed, name)
        self.account = account_of(self.key)
        root = key_of(trial.seed, f"root/{organisation}")
        serial = len(trial.members) + 1
        certificate = issue(root, organisation, role, self.account, serial, 0, SIMULATION_EPOCH_MS + YEARS_MS)
        self.signer = Signer(certificate, self.key)
        self.store = MemoryStore()
        self.raft_store = MemoryRaftStore()
        self.up = False
        self.lives = 0
        self.dies_after: int | None = None
        """Effects that are still carried out before it crashes."""
        self.seen: list[OrderingEffect] = []
        """What tells of misbehaviour and leadership, in order."""

    def start(self) -> None:
        """Come up, with what the stores have."""
        trial = self.trial
        self.up = True
        self.lives += 1
        self.dies_after = None
        self.ledger = OrderedLedger(
            trial.network, signer=self.signer, config=trial.config, loaded=self.store.load(), archive=self.store
        )
        self.orderer: Orderer | None = None
        self._due_ms: int | None = None
        if self.role == "orderer":
            rng = Random(f"{trial.seed}/{self.name}/{self.lives}")
            self.orderer = Orderer(self.ledger, rng=rng, now_ms=trial.now_ms, stored=self.raft_store.load())
            self.carry(self.orderer.start(trial.now_ms))
        for other in trial.others(self):
            if other.up:
                self.carry(self.ledger.peer_up(other.account, trial.now_ms))
                other.carry(other.ledger.peer_up(self.account, trial.now_ms))

    def crash(self) -> None:
        """Stop in the midst of it, and forget what is not in the stores."""
        self.up = False
        for other in self.trial.others(self):
            if other.up:
                other.carry(other.ledger.peer_down(self.account, self.trial.now_ms))

    # --- effects ----------------------------------------------------------------------------------------------

    def carry(self, effects: Iterable[OrderingEffect]) -> None:
        """Carry effects out in order, as long as this member is up, and wake when its cores want to be."""
        moved = False
        for effect in effects:
            if not self.up:
                return
            if self.dies_after is not None:
                self.dies_after -= 1
                if self.dies_after < 0:
                    self.crash()
                    return
            moved |= self.carry_one(effect)
        if not self.up:
            return
        if moved and self.orderer is not None:
            self.carry(self.orderer.offer(self.trial.now_ms))
        self._wake()

    def carry_one(self, effect: OrderingEffect) -> bool:
        """Whether the chain moved."""
        trial = self.trial
        match effect:
            case Save():
                self.store.save(effect)
            case Persist():
                self.raft_store.persist(effect)
            case Broadcast(topic, data):
                self.publish(topic, data)
            case Ask(peer, request):
                trial.ask(self, peer, request)
            case Send(peer, message):
                trial.deliver(self, peer, lambda other: other.hear_orderer(self, message))
            case Committed(block, receipts):
                trial.on_commit(self, block, receipts)
                return True
            case Jumped():
                return True
            case Equivocated() | Diverged() | Penalise() | Leads():
                self.seen.append(effect)
            case _:
                pass
        return False

    def publish(self, topic: str, data: bytes) -> None:
        """Send to all."""
        for other in self.trial.others(self):
            self.trial.deliver(self, other.account, lambda to: to.hear(self, topic, data))

    def _wake(self) -> None:
        times = [self.ledger.next_deadline_ms()]
        if self.orderer is not None:
            times.append(self.orderer.next_deadline_ms())
        due_ms = min((time for time in times if time is not None), default=None)
        if due_ms is not None and (self._due_ms is None or due_ms < self._due_ms):
            self._due_ms = max(due_ms, self.trial.now_ms)
            self.trial.at(self._due_ms, self._tick, self.lives, self._due_ms)

    def _tick(self, life: int, due_ms: int) -> None:
        if not self.up or life != self.lives or due_ms != self._due_ms:
            return
        self._due_ms = None
        now_ms = self.trial.now_ms
        self.carry(self.ledger.tick(now_ms))
        if self.orderer is not None:
            self.carry(self.orderer.tick(now_ms))  # carries nothing out when it has crashed meanwhile

    # --- messages ---------------------------------------------------------------------------------------------

    def hear(self, sender: "Member", topic: str, data: bytes) -> None:
        """Take in what a member published; what the rules forbid changes nothing."""
        now_ms = self.trial.now_ms
        if topic == "tx":
            with suppress(Refused, MalformedError):
                self.ledger.receive_transaction(decode_envelope(data), now_ms)
                if self.orderer is not None:
                    self.carry(self.orderer.offer(now_ms))
            return
        try:
            self.carry(self.ledger.receive_block(sender.account, decode_block(data), now_ms))
        except (InvalidBlockError, MalformedError) as error:
            self.seen.append(Penalise(sender.account, str(error)))

    def hear_orderer(self, sender: "Member", message: bytes) -> None:
        """Take in what another orderer said."""
        if self.orderer is not None:
            self.carry(self.orderer.receive(sender.account, message, self.trial.now_ms))

    def endorse(self, proposal: Proposal) -> Endorsed:
        """Simulate and sign. Raises Refused."""
        return self.ledger.endorse(proposal, self.trial.now_ms)

    def ask_endorsement(self, proposal: Proposal) -> Endorsed | Refused | None:
        """Answer a gateway; None is no answer."""
        try:
            return self.endorse(proposal)
        except Refused as refused:
            return refused

    def submit(self, envelope: Envelope) -> None:
        """Take an envelope of an own client. Raises Refused."""
        self.carry(self.ledger.submit(envelope, self.trial.now_ms))
        if self.orderer is not None:
            self.carry(self.orderer.offer(self.trial.now_ms))


class Trial:
    """The consortium, its links, its clients and the time. Starts with everybody up."""

    def __init__(
        self,
        seed: int,
        shape: Shape | None = None,
        *,
        links: Links | None = None,
        registry: Registry | None = None,
        config: OrderedConfig | None = None,
        make: Callable[["Trial", str, str, str], Member] = Member,
    ) -> None:
        """`make` makes each member from its name, organisation and role."""
        self.seed = seed
        self._make = make
        self.shape = shape = shape or Shape()
        self.links = links or Links()
        self.config = config
        self.rng = Random(f"{seed}/consortium")
        self.now_ms = SIMULATION_EPOCH_MS
        self._events: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self.cuts: Callable[[str, str], bool] = lambda _, __: False
        """Whether the link between two members is cut."""
        self.members: dict[Account, Member] = {}
        self.on_commit: Callable[[Member, Block, Sequence[Receipt]], None] = lambda _, __, ___: None
        """Told of every block that a member commits."""
        names = organisations(shape.organisations)
        self.customers = [f"customer{number}" for number in range(shape.customers)]
        self.keys: dict[str, SigningKey] = {name: key_of(seed, name) for name in self.customers}
        orderers = [f"orderer{number}" for number in range(1, shape.orderers + 1)]
        self.network = self._found(names, orderers, registry)
        for number in range(shape.peers):
            self._join(make(self, f"peer{number + 1}", names[number % len(names)], "peer"))
        for number, name in enumerate(orderers):
            self._join(make(self, name, names[number % len(names)], "orderer"))
        for member in list(self.members.values()):
            member.start()

    def _found(self, names: Sequence[str], orderers: Sequence[str], registry: Registry | None) -> Network:
        shape = self.shape
        roots = {name: account_of(key_of(self.seed, f"root/{name}")) for name in names}
        channel = found_channel(
            roots,
            [account_of(key_of(self.seed, name)) for name in orderers],
            batch=shape.batch,
            policies=shape.policies or default_policies(roots),
        )
        rules = OrderedRules(
            consensus=shape.consensus,
            channel=channel,
            max_skew_ms=5_000,
            proposal_ttl_ms=shape.proposal_ttl_ms,
            max_transaction_gas=MAX_TRANSACTION_GAS,
            max_block_gas=MAX_BLOCK_GAS,
            tick_ms=shape.tick_ms,
            election_ticks=shape.election_ticks,
            heartbeat_ticks=shape.heartbeat_ticks,
        )
        scenario = Scenario(name="trial", seed=self.seed)
        genesis = founding.found(scenario, population.build_city(scenario, None), (), self.now_ms)
        balances = sorted((Balance(account_of(key), CREDITS) for key in self.keys.values()), key=lambda b: b.account)
        return Network.found(replace(genesis, ledger=rules, balances=tuple(balances)), registry)

    def _join(self, member: Member) -> None:
        self.members[member.account] = member

    def admit(self, name: str, organisation: str, role: str) -> Member:
        """Have somebody new come up, with a certificate; an orderer orders when the channel's configuration names it."""
        member = self._make(self, name, organisation, role)
        self._join(member)
        member.start()
        return member

    def consent(self, config: ChannelConfig) -> tuple[Signed, ...]:
        """The signatures of all organisations' admins under what is to be the next configuration."""
        signatures = []
        for number, name in enumerate(organisations(self.shape.organisations)):
            key, root = key_of(self.seed, f"admin/{name}"), key_of(self.seed, f"root/{name}")
            until_ms = SIMULATION_EPOCH_MS + YEARS_MS
            certificate = issue(root, name, "admin", account_of(key), 1_000 + number, 0, until_ms)
            signatures.append(sign_update(key, certificate, self.network.id, config))
        return tuple(signatures)

    # --- who there is -----------------------------------------------------------------------------------------

    @property
    def peers(self) -> Sequence[Member]:
        return [member for member in self.members.values() if member.role == "peer"]

    @property
    def orderers(self) -> Sequence[Member]:
        return [member for member in self.members.values() if member.role == "orderer"]

    @property
    def leader(self) -> Member | None:
        """The orderer that leads and takes on work."""
        return next((one for one in self.orderers if one.up and one.orderer is not None and one.orderer.leads), None)

    def others(self, member: Member) -> Sequence[Member]:
        return [other for other in self.members.values() if other is not member]

    # --- time and links ---------------------------------------------------------------------------------------

    def at(self, time_ms: int, do: Callable[..., None], *args: Any) -> None:
        """Do something then; what falls together comes in the order in which it was asked for."""
        self._count += 1
        heapq.heappush(self._events, (time_ms, self._count, do, args))

    def run_for(self, duration_ms: int) -> None:
        """Let time pass."""
        end_ms = self.now_ms + duration_ms
        self.run_until(lambda: False, end_ms)
        self.now_ms = end_ms

    def run_until(self, done: Callable[[], bool], end_ms: int) -> bool:
        """Let time pass until `done`, at most until `end_ms`. Returns whether it is."""
        while not done():
            if not self._events or self._events[0][0] > end_ms:
                return False
            self.now_ms, _, do, args = heapq.heappop(self._events)
            do(*args)
        return True

    def deliver(self, sender: Member, account: bytes, hear: Callable[[Member], None]) -> None:
        """Have a message reach a member, or not."""
        links, rng = self.links, self.rng
        member = self.members.get(Account(account))
        if member is None or self.cuts(sender.name, member.name):
            return
        copies = (links.loss == 0 or rng.random() >= links.loss) + (rng.random() < links.duplication)
        for _ in range(copies):
            self.at(self.now_ms + rng.randint(*links.latency_ms), self._arrive, member, member.lives, hear)

    def _arrive(self, member: Member, life: int, hear: Callable[[Member], None]) -> None:
        if member.up and member.lives == life:
            hear(member)

    def ask(self, sender: Member, account: bytes, request: bytes) -> None:
        """Carry a question and its answer; the asker hears of a failure after a second."""
        life = sender.lives
        answered: list[bool] = []

        def back(response: bytes | None) -> None:
            if not answered and sender.up and sender.lives == life:
                answered.append(True)
                sender.carry(sender.ledger.answered(account, request, response, self.now_ms))

        def hear(member: Member) -> None:
            response = member.ledger.answer(sender.account, request)
            self.deliver(member, sender.account, lambda _: back(response))

        self.deliver(sender, account, hear)
        self.at(self.now_ms + 1_000, back, None)
