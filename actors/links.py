"""An actor's place in the overlay: opening it, and the links it keeps.

Ledger nodes keep `degree` links among themselves and learn of further ones by saying hello, now and then again.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import trio

from actors.address_book import MEMORY_PREFIX
from actors.identity import Identity
from actors.messages import HELLO, MAX_ADDRESSES, MAX_PEERS_TOLD, Hello, Known, Welcome, read
from actors.world import World
from chain.codec import encode
from chain.errors import MalformedError
from net.gossip.events import MessageId
from net.gossip.score_book import ScoreBook
from net.keeper import ConnectionKeeper
from net.overlay import Delivery, Judge, Overlay
from net.peer import Address, PeerId
from net.requests import RequestRefused
from net.signing import verify_once
from net.transport import LinkUp, Transport, TransportError

HELLO_TIMEOUT_S = 10.0
MAX_LINKS = 256
GREET_AGAIN_S = 30.0
"""How often a ledger node asks one of its peers for further ones: who came meanwhile becomes known everywhere."""


class _Observer:
    """Writes what an overlay does into the journal and the meter. Implements `net.overlay.GossipObserver`."""

    def __init__(self, world: World, name: str, peer: PeerId) -> None:
        self._world, self._name, self._peer = world, name, peer

    def published(self, message_id: MessageId, topic: str, now: float) -> None:  # noqa: ARG002 - the journal has a clock
        self._world.meter.published(self._peer, message_id, topic)
        self._world.journal.record(self._name, "published", topic=topic, id=message_id[-16:].hex())

    def delivered(self, message_id: MessageId, topic: str, now: float) -> None:  # noqa: ARG002
        self._world.meter.delivered(self._peer, message_id)
        self._world.journal.record(self._name, "delivered", topic=topic, id=message_id[-16:].hex())

    def penalised(self, peer: PeerId, reason: str, now: float) -> None:  # noqa: ARG002
        self._world.journal.record(self._name, "penalised", peer=str(peer)[-8:], reason=reason)

    def disconnected(self, peer: PeerId, reason: str, now: float) -> None:  # noqa: ARG002
        self._world.journal.record(self._name, "disconnected", peer=str(peer)[-8:], reason=reason)

    def failed(self, where: str, error: Exception, now: float) -> None:  # noqa: ARG002
        self._world.fail(self._name, f"{where}: {type(error).__name__}: {error}")


def open_overlay(
    world: World, name: str, identity: Identity, transport: Transport, direct: Collection[PeerId] = ()
) -> Overlay:
    """An overlay that the world's journal and meter know of; `direct` are its explicit peers. Its caller runs it."""
    overlay = Overlay(
        transport,
        sign=identity.sign,
        verify=verify_once,
        config=world.gossip,
        rng=world.rng(name, "gossip"),
        clock=world.clock.now_s,
        observer=_Observer(world, name, identity.peer_id),
        score=ScoreBook() if world.scenario.network.scoring else None,
        direct=direct,
    )
    world.meter.watch(overlay.router.counters)
    return overlay


@asynccontextmanager
async def subscribed(
    world: World, overlay: Overlay, topic: str, judge: Judge, *, buffer: int = 256
) -> AsyncGenerator[trio.MemoryReceiveChannel[Delivery], None]:
    """Like `Overlay.subscribe`, and the meter knows who is owed the topic's messages."""
    async with overlay.subscribe(topic, judge, buffer=buffer) as deliveries:
        world.meter.subscribed(overlay.peer_id, topic)
        world.journal.record(world.name_of(overlay.peer_id.public_key), "subscribed", topic=topic)
        try:
            yield deliveries
        finally:
            world.journal.record(world.name_of(overlay.peer_id.public_key), "unsubscribed", topic=topic)
            world.meter.unsubscribed(overlay.peer_id, topic)


@dataclass(frozen=True, slots=True)
class LedgerPeers:
    """What a ledger node is told of its peers' ledgers."""

    up: Callable[[PeerId], None]
    down: Callable[[PeerId], None]


class LedgerLinks:
    """Keeps a ledger node linked with other ledger nodes, and tells it which of its peers are some.

    `known` are ledger nodes that may be dialled from the start; those that are `direct` stay linked. There are `degree`
    links at least, or as many as the scenario says. `run` ends with the overlay.
    """

    def __init__(
        self,
        world: World,
        name: str,
        overlay: Overlay,
        known: Sequence[PeerId],
        direct: Collection[PeerId] = (),
        degree: int = 0,
    ) -> None:
        self._world, self._name, self._overlay = world, name, overlay
        self._rng = world.rng(name, "links")
        self._known = known
        self._keeper = ConnectionKeeper(
            overlay,
            min_degree=max(degree, world.scenario.network.degree),
            max_degree=MAX_LINKS,
            rng=world.rng(name, "dial"),
            direct=[peer for peer in direct if peer != overlay.peer_id],
        )
        self._ledger_peers: set[PeerId] = set()

    @property
    def ledger_peers(self) -> Collection[PeerId]:
        """Linked peers that hold a ledger."""
        return self._ledger_peers

    def meet(self, peers: Sequence[PeerId]) -> None:
        """Learn of ledger nodes that may be dialled."""
        for peer in peers:
            self._keeper.add(peer, self._world.addresses.of(peer))

    async def run(self, told: LedgerPeers, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep links until cancelled; started() when hellos are answered."""
        self.meet(self._known)
        async with (
            trio.open_nursery() as nursery,
            self._overlay.serve(HELLO, self._welcome),
            self._overlay.links() as events,
        ):
            await nursery.start(self._keeper.run)
            nursery.start_soon(self._greet_again, told)
            task_status.started()
            async for event in events:
                if isinstance(event, LinkUp):
                    nursery.start_soon(self._greet, event.peer, told)
                elif event.peer in self._ledger_peers:
                    self._ledger_peers.discard(event.peer)
                    told.down(event.peer)
            nursery.cancel_scope.cancel()

    async def _greet_again(self, told: LedgerPeers) -> None:
        while True:
            await trio.sleep(GREET_AGAIN_S * self._rng.uniform(0.8, 1.2))
            if self._ledger_peers:
                await self._greet(self._rng.choice(sorted(self._ledger_peers)), told)

    async def _greet(self, peer: PeerId, told: LedgerPeers) -> None:
        # The transport knows on what it listens now; what the book has of us may be of before a restart.
        ours = [a for a in self._overlay.addresses if not a.startswith(MEMORY_PREFIX)]
        hello = Hello(ledger=True, addresses=tuple(ours[:MAX_ADDRESSES]))
        try:
            answer = await self._overlay.request(peer, HELLO, encode(hello), timeout=HELLO_TIMEOUT_S)
            welcome = read(Welcome, answer)
        except (TransportError, MalformedError):
            return  # a light actor, which holds no ledger, or somebody who is gone already
        if peer not in self._overlay.peers():
            return
        if peer not in self._ledger_peers:
            self._world.journal.record(self._name, "ledger_peer", peer=str(peer)[-8:])
            self._ledger_peers.add(peer)
            told.up(peer)
        for known in welcome.peers:
            with suppress(ValueError):  # not the id of an Ed25519 key: of no use to us
                other = PeerId.parse(known.peer)
                self._world.addresses.heard(other, [Address(address) for address in known.addresses])
                self._keeper.add(other, self._world.addresses.of(other))

    async def _welcome(self, peer: PeerId, body: bytes) -> bytes:
        try:
            hello = read(Hello, body)
        except MalformedError as error:
            raise RequestRefused(str(error)) from None
        book = self._world.addresses
        if hello.ledger and not book.is_own(peer):
            book.told(peer, [Address(address) for address in hello.addresses])
            self._keeper.add(peer, book.of(peer))
        neighbour = book.is_own(peer)
        tellable = [
            Known(bytes(p), told)
            for p in self._keeper.known
            if p != peer and (told := book.tellable(p, neighbour=neighbour))
        ]
        return encode(Welcome(tuple(self._rng.sample(tellable, min(MAX_PEERS_TOLD, len(tellable))))))
