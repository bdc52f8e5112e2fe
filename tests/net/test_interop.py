"""Our overlay and py-libp2p's own GossipSub on one topic, over TCP or QUIC: each takes the other for one of its kind."""

import gc
import random
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import zip_longest

import pytest
import trio
from libp2p import new_host
from libp2p.abc import IHost, ISubscriptionAPI
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr  # type: ignore[import-untyped]
from nacl.signing import SigningKey

from net.gossip.config import GossipConfig
from net.gossip.events import Message, Verdict
from net.libp2p_host import LOOPBACK, Libp2pTransport
from net.overlay import Delivery, Overlay
from net.peer import Address, PeerId
from net.signing import verify
from tests.net.transport_conformance import eventually

TOPIC = "/interop/messages"
PATIENCE = 14.0
"""Seconds for a whole test; it takes about half of one."""
PROTOCOLS = {"1.1": TProtocol("/meshsub/1.1.0"), "1.0": TProtocol("/meshsub/1.0.0")}


class Stock:
    """A py-libp2p host with its own GossipSub and strict signing."""

    def __init__(
        self, protocol: TProtocol, number: int = 81, direct: Sequence[PeerInfo] = (), *, quic: bool = False
    ) -> None:
        self._listen = [Multiaddr("/ip4/127.0.0.1/udp/0/quic-v1" if quic else "/ip4/127.0.0.1/tcp/0")]
        self.host: IHost = new_host(
            key_pair=create_new_key_pair(bytes([number]) * 32), listen_addrs=self._listen, enable_quic=quic
        )
        self.router = GossipSub(
            protocols=[protocol],
            degree=6,
            degree_low=4,
            degree_high=12,
            heartbeat_interval=1,
            direct_peers=list(direct),
        )
        self.pubsub = Pubsub(self.host, self.router, strict_signing=True)
        self.peer_id = PeerId.parse(self.host.get_id().to_bytes())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ISubscriptionAPI]:
        """Run until the body ends; yields the subscription to `TOPIC`."""
        async with (
            self.host.run(listen_addrs=self._listen),
            background_trio_service(self.pubsub),
            background_trio_service(self.router),
        ):
            await self.pubsub.wait_until_ready()
            yield await self.pubsub.subscribe(TOPIC)

    @property
    def address(self) -> Address:
        return Address(str(self.host.get_transport_addrs()[0]))


def overlay_of(number: int, direct: Sequence[PeerId] = (), *, quic: bool = False) -> Overlay:
    key = SigningKey(bytes([number]) * 32)
    return Overlay(
        Libp2pTransport(bytes(key), listen=[Address("/ip4/127.0.0.1/udp/0/quic-v1")] if quic else [LOOPBACK]),
        sign=lambda message: key.sign(message).signature,
        verify=verify,
        config=GossipConfig(heartbeat_s=0.2),
        rng=random.Random(number),
        direct=direct,
    )


def accept(_: Message) -> Verdict:
    return Verdict.ACCEPT


@pytest.fixture
def stock_closes_late() -> Iterator[None]:
    """Stock hosts leave sockets, of links among themselves and of QUIC, to the garbage collector, which complains."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.usefixtures("stock_closes_late")
@pytest.mark.parametrize("dialler", ["ours", "stock"])
@pytest.mark.parametrize("version, over", [("1.0", "TCP"), ("1.1", "TCP"), ("1.1", "QUIC")])
async def test_signed_messages_pass_in_both_directions(dialler: str, version: str, over: str) -> None:
    ours, stock = overlay_of(1, quic=over == "QUIC"), Stock(PROTOCOLS[version], quic=over == "QUIC")
    with trio.fail_after(PATIENCE):
        async with stock.running() as theirs, trio.open_nursery() as nursery:
            await nursery.start(ours.run)
            async with ours.subscribe(TOPIC, accept) as deliveries:
                if dialler == "ours":
                    await ours.connect(stock.peer_id, [stock.address])
                else:
                    # Without the peer in the address, stock dials nobody over QUIC.
                    dialled = [Multiaddr(f"{address}/p2p/{ours.peer_id}") for address in ours.addresses]
                    await stock.host.connect(PeerInfo(ID(ours.peer_id), dialled))
                await eventually(
                    lambda: ours.router.mesh(TOPIC) == [stock.peer_id] and ID(ours.peer_id) in stock.router.mesh[TOPIC]
                )

                await stock.pubsub.publish(TOPIC, b"from stock")
                delivery = await deliveries.receive()
                assert delivery.message.data == b"from stock"
                assert delivery.message.source == stock.peer_id
                assert delivery.peer == stock.peer_id

                await ours.publish(TOPIC, b"from us")
                assert (await deliveries.receive()).peer is None
                while (message := await theirs.get()).from_id != bytes(ours.peer_id):
                    assert message.data == b"from stock"  # it hears itself first
                assert message.data == b"from us"

                await ours.hang_up(stock.peer_id)
                await eventually(lambda: ID(ours.peer_id) not in stock.router.mesh[TOPIC])
            nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("stock_closes_late")
async def test_explicit_peers_hear_of_everything_without_a_mesh() -> None:
    stock_id = PeerId.parse(ID.from_pubkey(create_new_key_pair(bytes([81]) * 32).public_key).to_bytes())
    ours = overlay_of(1, direct=[stock_id])
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(ours.run)
            stock = Stock(
                PROTOCOLS["1.1"], direct=[PeerInfo(ID(ours.peer_id), [Multiaddr(str(a)) for a in ours.addresses])]
            )
            assert stock.peer_id == stock_id
            async with stock.running() as theirs, ours.subscribe(TOPIC, accept) as deliveries:
                # It dials whom it has agreed with by itself.
                await eventually(lambda: ours.router.subscribers(TOPIC) == [stock.peer_id])
                await eventually(lambda: ID(ours.peer_id) in stock.pubsub.peer_topics.get(TOPIC, ()))
                await trio.sleep(1.2)  # heartbeats of both, in which a GRAFT would be sent
                assert ours.router.mesh(TOPIC) == []
                assert ID(ours.peer_id) not in stock.router.mesh[TOPIC]

                await stock.pubsub.publish(TOPIC, b"from stock")
                assert (await deliveries.receive()).message.data == b"from stock"
                await ours.publish(TOPIC, b"from us")
                while (message := await theirs.get()).from_id != bytes(ours.peer_id):
                    assert message.data == b"from stock"  # it hears itself first
                assert message.data == b"from us"
            nursery.cancel_scope.cancel()


async def test_messages_cross_a_stock_peer() -> None:
    one, other, stock = overlay_of(1), overlay_of(2), Stock(PROTOCOLS["1.1"])
    with trio.fail_after(PATIENCE):
        async with stock.running(), trio.open_nursery() as nursery:
            await nursery.start(one.run)
            await nursery.start(other.run)
            async with one.subscribe(TOPIC, accept) as ones, other.subscribe(TOPIC, accept) as others:
                await one.connect(stock.peer_id, [stock.address])
                await other.connect(stock.peer_id, [stock.address])
                await eventually(lambda: stock.router.mesh[TOPIC] == {ID(one.peer_id), ID(other.peer_id)})
                for sender, receiver in ((one, others), (other, ones)):
                    published = await sender.publish(TOPIC, b"through")
                    while (delivery := await receiver.receive()).message.id != published:
                        assert delivery.peer is None
                    assert delivery.message.source == sender.peer_id
                    assert delivery.peer == stock.peer_id
            nursery.cancel_scope.cancel()


class Mesh:
    """Hosts of ours and of stock on one topic, each linked with those `steps` places on in the order given."""

    def __init__(self, ours: list[Overlay], stock: list[Stock]) -> None:
        self.ours, self.stock = ours, stock
        self.got: dict[PeerId, list[bytes]] = {peer.peer_id: [] for peer in [*ours, *stock]}

    @asynccontextmanager
    async def running(self, order: list[Overlay | Stock], steps: tuple[int, ...]) -> AsyncIterator[trio.Nursery]:
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            for each in self.ours:
                await nursery.start(each.run)
                nursery.start_soon(self._hear, each, await stack.enter_async_context(each.subscribe(TOPIC, accept)))
            for one in self.stock:
                nursery.start_soon(self._hear_stock, one, await stack.enter_async_context(one.running()))
            for place, each in enumerate(order):
                for step in steps:
                    await connect(each, order[(place + step) % len(order)])
            await eventually(self.is_settled)
            yield nursery
            nursery.cancel_scope.cancel()

    def is_settled(self) -> bool:
        """Everybody has neighbours in its mesh, and each pair of one of ours and one of stock sees it alike."""
        if not all(each.router.mesh(TOPIC) for each in self.ours):
            return False
        if not all(one.router.mesh.get(TOPIC) for one in self.stock):
            return False
        return all(
            (ID(each.peer_id) in one.router.mesh[TOPIC]) is (one.peer_id in each.router.mesh(TOPIC))
            for each in self.ours
            for one in self.stock
        )

    async def _hear(self, each: Overlay, deliveries: trio.MemoryReceiveChannel[Delivery]) -> None:
        async for delivery in deliveries:
            self.got[each.peer_id].append(delivery.message.data)

    async def _hear_stock(self, one: Stock, subscription: ISubscriptionAPI) -> None:
        while True:
            self.got[one.peer_id].append((await subscription.get()).data)

    async def publish_all(self, rounds: int) -> list[bytes]:
        """Everybody publishes, not faster than the stock router takes them (ten a second from one forwarder)."""
        sent = []
        for number in range(rounds):
            for each in self.ours:
                sent.append(f"ours {each.peer_id} {number}".encode())
                await each.publish(TOPIC, sent[-1])
            for one in self.stock:
                sent.append(f"stock {one.peer_id} {number}".encode())
                await one.pubsub.publish(TOPIC, sent[-1])
            await trio.sleep(1.1)
        return sent


async def connect(a: Overlay | Stock, b: Overlay | Stock) -> None:
    addresses = b.addresses if isinstance(b, Overlay) else [b.address]
    if isinstance(a, Overlay):
        await a.connect(b.peer_id, addresses)
    else:
        await a.host.connect(PeerInfo(ID(b.peer_id), [Multiaddr(str(address)) for address in addresses]))


@pytest.mark.usefixtures("stock_closes_late")
@pytest.mark.parametrize("ours, stock", [(5, 5), (4, 1), (1, 4)])
async def test_all_signed_messages_reach_all_in_a_mixed_mesh(ours: int, stock: int) -> None:
    mesh = Mesh(
        [overlay_of(number) for number in range(1, ours + 1)],
        [Stock(PROTOCOLS["1.1"], 100 + number) for number in range(stock)],
    )
    order: list[Overlay | Stock] = [
        each for pair in zip_longest(mesh.ours, mesh.stock) for each in pair if each is not None
    ]
    with trio.fail_after(2 * PATIENCE):
        async with mesh.running(order, (1, 2) if len(order) < 8 else (1, 2, 5)):
            sent = sorted(await mesh.publish_all(2))
            # Each of them once, those of others as well as its own.
            await eventually(lambda: all(sorted(got) == sent for got in mesh.got.values()))


@pytest.mark.parametrize("leaver", ["ours", "stock"])
async def test_who_leaves_a_topic_is_pruned(leaver: str) -> None:
    ours, stock = overlay_of(1), Stock(PROTOCOLS["1.1"])

    def meshed() -> bool:
        return ours.router.mesh(TOPIC) == [stock.peer_id] and ID(ours.peer_id) in stock.router.mesh[TOPIC]

    with trio.fail_after(2 * PATIENCE):
        async with stock.running(), trio.open_nursery() as nursery:
            await nursery.start(ours.run)
            await ours.connect(stock.peer_id, [stock.address])
            async with ours.subscribe(TOPIC, accept):
                await eventually(meshed)
                if leaver == "stock":
                    await stock.pubsub.unsubscribe(TOPIC)
                    await eventually(lambda: not ours.router.mesh(TOPIC))
            if leaver == "ours":
                await eventually(lambda: ID(ours.peer_id) not in stock.router.mesh[TOPIC])
            nursery.cancel_scope.cancel()
