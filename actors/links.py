"""An actor's place in the overlay: opening it, and the links it keeps.

Ledger nodes keep `degree` links among themselves and learn of further ones by saying hello. Light actors keep a link
to the gateway they want most, one spare ledger node, and a few others like themselves.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import trio

from actors.identity import Identity
from actors.messages import HELLO, MAX_ADDRESSES, MAX_PEERS_TOLD, Hello, Known, Welcome, read
from actors.world import World
from chain.codec import encode
from chain.errors import MalformedError
from net.gossip.events import MessageId
from net.keeper import ConnectionKeeper
from net.overlay import Delivery, Judge, Overlay
from net.peer import Address, PeerId
from net.requests import RequestRefused
from net.signing import verify_once
from net.transport import LinkUp, NotConnectedError, Transport, TransportError

HELLO_TIMEOUT_S = 10.0
MAX_LINKS = 256
MAX_STRANGERS = 256
REDIAL_S = 2.0


class _Observer:
    """Writes what an overlay does into the journal and the meter. Implements `net.overlay.GossipObserver`."""

    def __init__(self, world: World, name: str, peer: PeerId) -> None:
        self._world, self._name, self._peer = world, name, peer

    def published(self, message_id: MessageId, topic: str, now: float) -> None:  # noqa: ARG002 - the journal has a clock
        self._world.meter.published(self._peer, message_id, topic)
        self._world.journal.record(self._name, "published", topic=topic, id=message_id[-16:].hex())

    def delivered(self, message_id: MessageId, topic: str, now: float) -> None:  # noqa: ARG002
        self._world.meter.delivered(message_id)
        self._world.journal.record(self._name, "delivered", topic=topic, id=message_id[-16:].hex())

    def penalised(self, peer: PeerId, reason: str, now: float) -> None:  # noqa: ARG002
        self._world.journal.record(self._name, "penalised", peer=str(peer)[-8:], reason=reason)

    def disconnected(self, peer: PeerId, reason: str, now: float) -> None:  # noqa: ARG002
        self._world.journal.record(self._name, "disconnected", peer=str(peer)[-8:], reason=reason)

    def failed(self, where: str, error: Exception, now: float) -> None:  # noqa: ARG002
        self._world.fail(self._name, f"{where}: {type(error).__name__}: {error}")


def open_overlay(world: World, name: str, identity: Identity, transport: Transport) -> Overlay:
    """An overlay that the world's journal and meter know of. Its caller runs it."""
    overlay = Overlay(
        transport,
        sign=identity.sign,
        verify=verify_once,
        config=world.gossip,
        rng=world.rng(name, "gossip"),
        clock=world.clock.now_s,
        observer=_Observer(world, name, identity.peer_id),
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
        try:
            yield deliveries
        finally:
            world.meter.unsubscribed(overlay.peer_id, topic)


@dataclass(frozen=True, slots=True)
class LedgerPeers:
    """What a ledger node is told of its peers' ledgers."""

    up: Callable[[PeerId], None]
    down: Callable[[PeerId], None]


class LedgerLinks:
    """Keeps a ledger node linked with other ledger nodes, and tells it which of its peers are some.

    `known` are ledger nodes that may be dialled from the start. `run` ends with the overlay.
    """

    def __init__(self, world: World, name: str, overlay: Overlay, known: Sequence[PeerId]) -> None:
        self._world, self._overlay = world, overlay
        self._rng = world.rng(name, "links")
        self._known = known
        degree = world.scenario.network.degree
        self._keeper = ConnectionKeeper(overlay, min_degree=degree, max_degree=MAX_LINKS, rng=world.rng(name, "dial"))
        self._ledger_peers: set[PeerId] = set()
        self._strangers: OrderedDict[PeerId, tuple[Address, ...]] = OrderedDict()

    async def run(self, told: LedgerPeers, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep links until cancelled; started() when hellos are answered."""
        for peer in self._known:
            self._keeper.add(peer, self._world.addresses.get(peer, ()))
        async with (
            trio.open_nursery() as nursery,
            self._overlay.serve(HELLO, self._welcome),
            self._overlay.links() as events,
        ):
            await nursery.start(self._keeper.run)
            task_status.started()
            async for event in events:
                if isinstance(event, LinkUp):
                    nursery.start_soon(self._greet, event.peer, told)
                elif event.peer in self._ledger_peers:
                    self._ledger_peers.discard(event.peer)
                    told.down(event.peer)
            nursery.cancel_scope.cancel()

    async def _greet(self, peer: PeerId, told: LedgerPeers) -> None:
        hello = Hello(ledger=True, addresses=self._tellable(self._overlay.addresses, neighbour=False))
        try:
            answer = await self._overlay.request(peer, HELLO, encode(hello), timeout=HELLO_TIMEOUT_S)
            welcome = read(Welcome, answer)
        except (TransportError, MalformedError):
            return  # a light actor, which holds no ledger, or somebody who is gone already
        if peer not in self._overlay.peers():
            return
        self._ledger_peers.add(peer)
        told.up(peer)
        for known in welcome.peers:
            with suppress(ValueError):  # not the id of an Ed25519 key: of no use to us
                self._keeper.add(PeerId.parse(known.peer), [Address(address) for address in known.addresses])

    async def _welcome(self, peer: PeerId, body: bytes) -> bytes:
        try:
            hello = read(Hello, body)
        except MalformedError as error:
            raise RequestRefused(str(error)) from None
        if hello.ledger and peer not in self._world.addresses:
            self._strangers[peer] = tuple(Address(address) for address in hello.addresses)
            if len(self._strangers) > MAX_STRANGERS:
                self._strangers.popitem(last=False)
            self._keeper.add(peer, self._strangers[peer])
        book = {p: a for p, a in (self._world.addresses | self._strangers).items() if p != peer}
        tellable = [
            Known(bytes(p), told)
            for p in self._keeper.known
            if (told := self._tellable(book.get(p, ()), neighbour=peer in self._world.addresses))
        ]
        return encode(Welcome(tuple(self._rng.sample(tellable, min(MAX_PEERS_TOLD, len(tellable))))))

    @staticmethod
    def _tellable(addresses: Sequence[Address], *, neighbour: bool) -> tuple[str, ...]:
        """Memory addresses mean nothing outside this process."""
        return tuple(a for a in addresses if neighbour or not a.startswith("/memory/"))[:MAX_ADDRESSES]


async def keep_linked(
    world: World, overlay: Overlay, wanted: Callable[[], Sequence[PeerId]], changed: trio.Event
) -> None:
    """Keep links to the peers that `wanted` names, until cancelled; looks again every few seconds.

    `changed` is set once the first round of dialling is over, whatever came of it.
    """
    while True:
        for peer in wanted():
            if peer not in overlay.peers():
                try:
                    await overlay.connect(peer, world.addresses.get(peer, ()))
                except NotConnectedError:
                    continue
        changed.set()
        await trio.sleep(REDIAL_S)
