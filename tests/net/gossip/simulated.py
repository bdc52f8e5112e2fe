"""A tiny deterministic network of routers: a heap of frames under way, a clock that jumps, judges that answer at once."""

import heapq
from collections.abc import Callable, Collection, Iterable
from math import inf
from random import Random

from nacl.signing import SigningKey

from net.gossip.config import GossipConfig
from net.gossip.events import (
    Deliver,
    Disconnect,
    Effect,
    Message,
    MessageId,
    Penalise,
    Send,
    Suggest,
    Validate,
    Verdict,
)
from net.gossip.router import GossipRouter
from net.gossip.score_book import Score
from net.peer import PeerId
from net.signing import Verify, verify_once

Judge = Callable[[PeerId, Message], Verdict]


def key(number: int) -> SigningKey:
    """A key pair by number, the same in every run."""
    return SigningKey(number.to_bytes(32, "big"))


def identity(number: int) -> PeerId:
    return PeerId.from_public_key(bytes(key(number).verify_key))


def router(
    number: int,
    config: GossipConfig | None = None,
    *,
    seed: int = 0,
    now: float = 0.0,
    verify: Verify = verify_once,
    score: Score | None = None,
    direct: Collection[PeerId] = (),
) -> GossipRouter:
    signer = key(number)
    return GossipRouter(
        identity(number),
        sign=lambda message: signer.sign(message).signature,
        verify=verify,
        config=config or GossipConfig(),
        rng=Random(f"{seed}/{number}"),
        now=now,
        score=score,
        direct=direct,
    )


def accept_all(_peer: PeerId, _message: Message) -> Verdict:
    return Verdict.ACCEPT


class Network:
    """Routers, links with latency, and a record of what they did. `lost` decides which frames vanish."""

    def __init__(
        self,
        count: int,
        *,
        seed: int = 0,
        config: GossipConfig | None = None,
        judge: Judge = accept_all,
        latency: tuple[float, float] = (0.02, 0.08),
        verify: Verify = verify_once,
        always_tick: bool = False,
        score: Callable[[PeerId], Score | None] = lambda _: None,
        version: tuple[int, int] = (1, 2),
        group: Callable[[PeerId], str | None] = lambda _: None,
        direct: Callable[[int], Collection[PeerId]] = lambda _: (),
    ) -> None:
        self.now = 0.0
        self.rng = Random(f"network/{seed}")
        self.routers = {
            identity(n): router(n, config, seed=seed, verify=verify, score=score(identity(n)), direct=direct(n))
            for n in range(count)
        }
        self.ids = [identity(n) for n in range(count)]
        self.links: set[tuple[PeerId, PeerId]] = set()
        self.judge = judge
        self.lost: Callable[[PeerId, PeerId, bytes], bool] = lambda _a, _b, _frame: False
        self.deliveries: list[tuple[float, PeerId, MessageId]] = []
        self.penalties: list[tuple[float, PeerId, PeerId, str]] = []
        self.suggestions: list[tuple[PeerId, Suggest]] = []
        self.disconnects: list[tuple[PeerId, PeerId, str]] = []
        self.frames: list[tuple[float, PeerId, PeerId, bytes]] = []
        self.ticks = 0
        self._latency = latency
        self._version = version
        self._group = group
        self._always_tick = always_tick
        self._heap: list[tuple[float, int, PeerId, PeerId, bytes]] = []
        self._order = 0
        # In order per link, as transports promise.
        self._last_arrival: dict[tuple[PeerId, PeerId], float] = {}
        self._next_tick = dict.fromkeys(self.ids, inf)
        for peer in self.ids:
            self._schedule(peer)

    def connect(self, dialler: PeerId, listener: PeerId) -> None:
        if (dialler, listener) in self.links:
            return
        self.links |= {(dialler, listener), (listener, dialler)}
        for one, other in ((dialler, listener), (listener, dialler)):
            effects = self.routers[one].link_up(
                other, self.now, outbound=one == dialler, version=self._version, group=self._group(other)
            )
            self.carry_out(one, effects)

    def connect_at_random(self, degree: int) -> None:
        """Every peer dials `degree` others, a connected graph: a ring and random chords."""
        for index, peer in enumerate(self.ids):
            self.connect(peer, self.ids[(index + 1) % len(self.ids)])
            for other in self.rng.sample([one for one in self.ids if one != peer], degree - 1):
                self.connect(peer, other)

    def disconnect(self, one: PeerId, other: PeerId) -> None:
        self.links -= {(one, other), (other, one)}
        self.carry_out(one, self.routers[one].link_down(other, self.now))
        self.carry_out(other, self.routers[other].link_down(one, self.now))

    def subscribe(self, topic: str, peers: Iterable[PeerId] | None = None) -> None:
        for peer in self.ids if peers is None else peers:
            self.carry_out(peer, self.routers[peer].subscribe(topic, self.now))

    def publish(self, peer: PeerId, topic: str, data: bytes) -> MessageId:
        message_id, effects = self.routers[peer].publish(topic, data, self.now)
        self.carry_out(peer, effects)
        return message_id

    def run(self, seconds: float) -> None:
        """Let time pass. Frames that are due at the time of a tick come first."""
        until = self.now + seconds
        while True:
            arrival = self._heap[0][0] if self._heap else inf
            ticker = min(self.ids, key=self._next_tick.__getitem__)
            moment = min(arrival, self._next_tick[ticker])
            if moment > until:
                break
            self.now = moment
            if arrival <= self._next_tick[ticker]:
                _, _, sender, receiver, frame = heapq.heappop(self._heap)
                if (sender, receiver) in self.links:
                    self.carry_out(receiver, self.routers[receiver].receive(sender, frame, self.now))
            else:
                self.ticks += 1
                self.carry_out(ticker, self.routers[ticker].tick(self.now))
        self.now = until

    def receivers(self, message_id: MessageId) -> list[PeerId]:
        return [peer for _, peer, delivered in self.deliveries if delivered == message_id]

    def carry_out(self, peer: PeerId, effects: list[Effect]) -> None:
        todo = list(effects)
        while todo:
            effect = todo.pop(0)
            match effect:
                case Send(to, frame, _):
                    self.frames.append((self.now, peer, to, frame))
                    if (peer, to) in self.links and not self.lost(peer, to, frame):
                        self._send(peer, to, frame)
                case Validate(_, message):
                    verdict = self.judge(peer, message)
                    todo += self.routers[peer].verdict(message.id, verdict, self.now)
                case Deliver(message, _):
                    self.deliveries.append((self.now, peer, message.id))
                case Penalise(culprit, reason):
                    self.penalties.append((self.now, peer, culprit, reason))
                case Suggest():
                    self.suggestions.append((peer, effect))
                case Disconnect(other, reason):
                    self.disconnects.append((peer, other, reason))
                    self.disconnect(peer, other)
        self._schedule(peer)

    def _send(self, sender: PeerId, receiver: PeerId, frame: bytes) -> None:
        at = self.now + self.rng.uniform(*self._latency)
        at = max(at, self._last_arrival.get((sender, receiver), 0.0))
        self._last_arrival[sender, receiver] = at
        self._order += 1
        heapq.heappush(self._heap, (at, self._order, sender, receiver, frame))

    def _schedule(self, peer: PeerId) -> None:
        one = self.routers[peer]
        self._next_tick[peer] = one.next_heartbeat(self.now) if self._always_tick else one.next_deadline()
