"""Replicas of a proof-of-work ledger in virtual time: a heap of events, links with latency, miners that really hash.

Every peer is a `PowLedger` as nodes have it, on a full mesh, and carries its effects out as `actors.node` does. Below
them is no overlay: attacks on gossip are `actors.overlay_trial`'s, and thousands of blocks here cost a second. An attacker
is a `Peer` with one behaviour replaced; it sees what it is sent, and is better connected than most.

A block interval is 10 s, and all peers together try `HASHES_PER_STEP` nonces a second, so 1,000 for a block.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from random import Random
from typing import Any, TypeVar

from msgspec.structs import replace
from nacl.signing import SigningKey

from actors import founding, population
from actors.clock import SIMULATION_EPOCH_MS
from actors.scenario import Scenario
from chain.codec import decode_block, decode_transaction
from chain.contract import encode_args
from chain.errors import InvalidBlockError, Refused
from chain.genesis import Balance, Network
from chain.keys import account_of, sign_transaction
from chain.ledger import Ask, Broadcast, Dropped, HeaderStatus, LedgerEffect
from chain.ledgers.pow.config import PowConfig
from chain.ledgers.pow.ledger import PowLedger
from chain.values import Account, Block, Transaction

INTERVAL_MS = 10_000
STEP_MS = 1_000
HASHES_PER_STEP = 100
HONEST_MS = (50, 500)
"""Latency between honest peers, one way, uniform."""
ATTACKER_MS = (5, 20)
"""To and from an attacker: it pays for good links."""
CREDITS = 1_000_000_000
"""Micro-credits that each customer has at genesis."""
NEVER = 2**40
"""A finality depth at which nothing is final."""
_RULES = {
    "block_interval_ms": INTERVAL_MS,
    "finality_depth": NEVER,
    "retarget_window": 30,
    "initial_difficulty": HASHES_PER_STEP * INTERVAL_MS // STEP_MS,
    "max_future_ms": INTERVAL_MS,
    "quota": 0,
    "quota_window": 10,
}


def key_of(seed: int, name: str) -> SigningKey:
    """The key of somebody in the trial with that seed."""
    return SigningKey(sha256(f"crowdmesh:trial:1:{seed}:{name}".encode()).digest())


def found(seed: int, customers: Iterable[str] = (), **rules: int) -> Network:
    """A network of `customers` with CREDITS each. Final is nothing, unless `rules` give a `finality_depth`."""
    holders = sorted((Balance(account_of(key_of(seed, name)), CREDITS) for name in customers), key=lambda b: b.account)
    scenario = Scenario(name="trial", seed=seed)
    genesis = founding.found(scenario, population.build_city(scenario, None), (), SIMULATION_EPOCH_MS)
    return Network.found(replace(genesis, ledger=replace(genesis.ledger, **_RULES | rules), balances=tuple(holders)))


def pay(network: Network, key: SigningKey, nonce: int, to: Account, amount: int = 1) -> Transaction:
    """A signed transfer of micro-credits."""
    return sign_transaction(key, network.id, nonce, "accounts", "transfer", encode_args(to, amount))


class Peer:
    """An honest replica that tries `rate` nonces a step; 0 mines nothing."""

    attacker = False

    def __init__(
        self,
        field: "Field",
        name: str,
        rate: int,
        *,
        config: PowConfig | None = None,
        network: Network | None = None,
    ) -> None:
        self.field, self.name, self.rate = field, name, rate
        self.id = name.encode()
        self.account = account_of(key_of(field.seed, name))
        self.ledger = PowLedger(network or field.network, producer=self.account, config=config)
        self._due_ms: int | None = None

    def begin(self) -> None:
        """Mine from now on."""
        self.field.after(self.field.rng.randrange(1, STEP_MS), self._step)

    def _step(self) -> None:
        if self.rate:
            self.work(self.rate)
        self.field.after(STEP_MS, self._step)

    def work(self, attempts: int) -> None:
        """Try nonces for the next block."""
        self.carry(self.ledger.mine(attempts, self.field.now_ms))

    def submit(self, transaction: Transaction) -> None:
        """Take a transaction of an own client. Raises Refused."""
        self.carry(self.ledger.submit(transaction, self.field.now_ms))

    def carry(self, effects: Iterable[LedgerEffect]) -> None:
        """Carry effects out, and wake when the core wants to be."""
        for effect in effects:
            match effect:
                case Broadcast():
                    self.publish(effect)
                case Ask(peer, request):
                    self.field.ask(self, peer, request)
                case Dropped(transaction, reason):
                    self.dropped(transaction, reason)
                case _:
                    pass
        due_ms = self.ledger.next_deadline_ms()
        if due_ms is not None and (self._due_ms is None or due_ms < self._due_ms):
            self._due_ms = max(due_ms, self.field.now_ms)
            self.field.at(self._due_ms, self._tick, self._due_ms)

    def _tick(self, due_ms: int) -> None:
        if due_ms == self._due_ms:
            self._due_ms = None
            self.carry(self.ledger.tick(self.field.now_ms))

    def publish(self, effect: Broadcast) -> None:
        """Send to all."""
        self.field.send(self, effect.topic, effect.data, self.field.others(self))

    def dropped(self, transaction: Transaction, reason: str) -> None:
        """Take note that a transaction left the mempool; an honest replica just goes on."""

    def hear(self, sender: "Peer", topic: str, data: bytes) -> None:
        """Take in what a peer sent; what the rules forbid changes nothing."""
        with suppress(Refused, InvalidBlockError):
            if topic == "tx":
                self.hear_transaction(decode_transaction(data))
            else:
                self.hear_block(sender, decode_block(data))

    def hear_transaction(self, transaction: Transaction) -> None:
        """Pool it. Raises Refused."""
        self.carry(self.ledger.receive_transaction(transaction, self.field.now_ms))

    def hear_block(self, sender: "Peer", block: Block) -> None:
        """Import it. Raises InvalidBlockError."""
        if self.ledger.check_header(block.header, self.field.now_ms) is not HeaderStatus.KNOWN:
            self.carry(self.ledger.receive_block(sender.id, block, self.field.now_ms))

    def producers(self, first: int = 1, last: int | None = None) -> list[Account]:
        """Who mined the best chain's blocks from height `first` to `last` (the head)."""
        top = self.ledger.head.height if last is None else last
        headers = (self.ledger.header(height) for height in range(first, top + 1))
        return [header.producer for header in headers if header is not None]


AnyPeer = TypeVar("AnyPeer", bound=Peer)


class Field:
    """The peers, the links between them, and the time."""

    def __init__(self, network: Network, seed: int) -> None:
        self.network, self.seed = network, seed
        self.rng = Random(f"{seed}/field")
        self.now_ms = network.genesis.time_ms
        self.peers: dict[bytes, Peer] = {}
        self._heap: list[tuple[int, int, Callable[..., Any], tuple[Any, ...]]] = []
        self._count = 0

    def add(self, peer: AnyPeer) -> AnyPeer:
        """Let a peer in: it mines and hears from now on, and the honest sync with each other.

        An attacker hears and speaks, but answers nobody who asks how far it is, unless it is linked for that.
        """
        others = [other for other in self.peers.values() if not other.attacker]
        self.peers[peer.id] = peer
        peer.begin()
        for other in others if not peer.attacker else ():
            self.link(peer, other)
        return peer

    def link(self, one: Peer, other: Peer) -> None:
        """Let two peers sync with each other."""
        one.carry(one.ledger.peer_up(other.id, self.now_ms))
        other.carry(other.ledger.peer_up(one.id, self.now_ms))

    def add_honest(self, hashes: int, count: int = 4, config: PowConfig | None = None) -> list[Peer]:
        """Let `count` honest miners in that have `hashes` a step in all."""
        rates = [hashes // count + (place < hashes % count) for place in range(count)]
        return [self.add(Peer(self, f"honest-{place}", rate, config=config)) for place, rate in enumerate(rates)]

    def others(self, peer: Peer) -> Sequence[Peer]:
        """Everybody else."""
        return [other for other in self.peers.values() if other is not peer]

    def at(self, time_ms: int, function: Callable[..., Any], *args: Any) -> None:
        """Call a function at a time."""
        self._count += 1
        heapq.heappush(self._heap, (time_ms, self._count, function, args))

    def after(self, delay_ms: int, function: Callable[..., Any], *args: Any) -> None:
        """Call a function in a while."""
        self.at(self.now_ms + delay_ms, function, *args)

    def run(self, duration_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass until a condition holds, and tell whether it did within `duration_ms`."""
        end = self.now_ms + duration_ms
        while not (over := until()) and self._heap and self._heap[0][0] <= end:
            self.now_ms, _, function, args = heapq.heappop(self._heap)
            function(*args)
        if not over:
            self.now_ms = end
        return over

    def send(self, sender: Peer, topic: str, data: bytes, to: Iterable[Peer]) -> None:
        """Have data arrive at each after a latency."""
        for other in to:
            self.after(self._latency(sender, other), other.hear, sender, topic, data)

    def ask(self, asker: Peer, peer: bytes, request: bytes) -> None:
        """Bring a sync request to a peer and its answer back."""
        other = self.peers[peer]

        def answer() -> None:
            self.after(self._latency(other, asker), take, other.ledger.answer(asker.id, request))

        def take(response: bytes) -> None:
            asker.carry(asker.ledger.answered(peer, request, response, self.now_ms))

        self.after(self._latency(asker, other), answer)

    def _latency(self, one: Peer, other: Peer) -> int:
        return self.rng.randint(*(ATTACKER_MS if one.attacker or other.attacker else HONEST_MS))
