"""Overlays on a memory network, and an observer that remembers: what the overlay's tests stand on."""

import random
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager

import trio
from nacl.signing import SigningKey

from net.gossip.config import GossipConfig
from net.gossip.events import Message, MessageId, Verdict
from net.gossip.score_book import Score
from net.memory import LinkConditions, MemoryNetwork
from net.overlay import Delivery, Judge, Overlay
from net.peer import PeerId
from net.signing import verify_once

TOPIC = "/test/news"
LAN = LinkConditions(latency_s=0.02, jitter_s=0.005)


def key(n: int) -> SigningKey:
    return SigningKey(n.to_bytes(32, "big"))


def identity(n: int) -> PeerId:
    return PeerId.from_public_key(bytes(key(n).verify_key))


def accept(_message: Message) -> Verdict:
    return Verdict.ACCEPT


class Witness:
    """A `net.overlay.GossipObserver` that notes everything."""

    def __init__(self) -> None:
        self.published_at: dict[MessageId, float] = {}
        self.delays: defaultdict[MessageId, list[float]] = defaultdict(list)
        self.penalties: Counter[tuple[PeerId, str]] = Counter()
        self.disconnections: list[tuple[PeerId, str]] = []
        self.failures: list[tuple[str, Exception]] = []

    def published(self, message_id: MessageId, topic: str, now: float) -> None:
        self.published_at[message_id] = now

    def delivered(self, message_id: MessageId, topic: str, now: float) -> None:
        self.delays[message_id].append(now - self.published_at[message_id])

    def penalised(self, peer: PeerId, reason: str, now: float) -> None:
        self.penalties[peer, reason] += 1

    def disconnected(self, peer: PeerId, reason: str, now: float) -> None:
        self.disconnections.append((peer, reason))

    def failed(self, where: str, error: Exception, now: float) -> None:
        self.failures.append((where, error))


class Swarm:
    """Peers by number on one memory network. `start` runs a peer's overlay until its scope is cancelled."""

    def __init__(
        self, network: MemoryNetwork, nursery: trio.Nursery, *, seed: int, clock: Callable[[], float] | None = None
    ) -> None:
        self.network = network
        self.witness = Witness()
        self.rng = random.Random(f"{seed}/swarm")
        self.peers: dict[int, Overlay] = {}
        self._nursery = nursery
        self._seed = seed
        self._clock = clock

    async def start(
        self,
        n: int,
        config: GossipConfig | None = None,
        *,
        score: Score | None = None,
        group: str | None = None,
        direct: Collection[PeerId] = (),
    ) -> tuple[Overlay, trio.CancelScope]:
        overlay = Overlay(
            self.network.attach(identity(n), group=group),
            sign=lambda message: key(n).sign(message).signature,
            verify=verify_once,
            config=config or GossipConfig(),
            rng=random.Random(f"{self._seed}/{n}"),
            clock=self._clock,
            observer=self.witness,
            score=score,
            direct=direct,
        )
        scope: trio.CancelScope = await self._nursery.start(_run, overlay)
        self.peers[n] = overlay
        return overlay, scope

    async def connect_at_random(self, degree: int) -> None:
        """Have each peer dial `degree` others."""
        overlays = list(self.peers.values())
        for overlay in overlays:
            others = [other for other in overlays if other is not overlay]
            for other in self.rng.sample(others, min(degree, len(others))):
                await overlay.connect(other.peer_id, other.addresses)


async def _run(overlay: Overlay, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(overlay.run)
            task_status.started(scope)


@asynccontextmanager
async def swarm(
    count: int,
    *,
    degree: int = 0,
    conditions: LinkConditions = LAN,
    seed: int = 1,
    clock: Callable[[], float] | None = None,
) -> AsyncGenerator[Swarm, None]:
    """Run `count` overlays, each of which dials `degree` others."""
    network = MemoryNetwork(rng=random.Random(seed), conditions=conditions)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        made = Swarm(network, nursery, seed=seed, clock=clock)
        for n in range(1, count + 1):
            await made.start(n)
        await made.connect_at_random(degree)
        yield made
        nursery.cancel_scope.cancel()


class Listeners:
    """What each overlay's subscriber got."""

    def __init__(self) -> None:
        self.got: defaultdict[PeerId, list[Delivery]] = defaultdict(list)

    def data(self, overlay: Overlay) -> list[bytes]:
        return [delivery.message.data for delivery in self.got[overlay.peer_id]]

    async def listen(self, overlay: Overlay, channel: trio.MemoryReceiveChannel[Delivery]) -> None:
        async for delivery in channel:
            self.got[overlay.peer_id].append(delivery)


@asynccontextmanager
async def listening(
    overlays: list[Overlay], *, judge: Callable[[Overlay], Judge] = lambda _: accept, topic: str = TOPIC
) -> AsyncGenerator[Listeners, None]:
    """Subscribe all of them, and wait until their meshes have formed."""
    listeners = Listeners()
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        for overlay in overlays:
            channel = await stack.enter_async_context(overlay.subscribe(topic, judge(overlay)))
            nursery.start_soon(listeners.listen, overlay, channel)
        await trio.sleep(3)
        yield listeners
        nursery.cancel_scope.cancel()
