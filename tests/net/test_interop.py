"""Our overlay and py-libp2p's own GossipSub on one topic, over TCP: each takes the other for one of its kind."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
from net.libp2p_host import Libp2pTransport
from net.overlay import Overlay
from net.peer import Address, PeerId
from net.signing import verify
from tests.net.transport_conformance import eventually

TOPIC = "/interop/messages"
PATIENCE = 14.0
"""Seconds for a whole test; it takes about half of one."""
PROTOCOLS = {"1.1": TProtocol("/meshsub/1.1.0"), "1.0": TProtocol("/meshsub/1.0.0")}


class Stock:
    """A py-libp2p host with its own GossipSub and strict signing."""

    def __init__(self, protocol: TProtocol) -> None:
        self.host: IHost = new_host(
            key_pair=create_new_key_pair(b"\x51" * 32), listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]
        )
        self.router = GossipSub(
            protocols=[protocol],
            degree=6,
            degree_low=4,
            degree_high=12,
            heartbeat_interval=1,
        )
        self.pubsub = Pubsub(self.host, self.router, strict_signing=True)
        self.peer_id = PeerId.parse(self.host.get_id().to_bytes())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ISubscriptionAPI]:
        """Run until the body ends; yields the subscription to `TOPIC`."""
        async with (
            self.host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]),
            background_trio_service(self.pubsub),
            background_trio_service(self.router),
        ):
            await self.pubsub.wait_until_ready()
            yield await self.pubsub.subscribe(TOPIC)

    @property
    def address(self) -> Address:
        return Address(str(self.host.get_transport_addrs()[0]))


def overlay_of(number: int) -> Overlay:
    key = SigningKey(bytes([number]) * 32)
    return Overlay(
        Libp2pTransport(bytes(key)),
        sign=lambda message: key.sign(message).signature,
        verify=verify,
        config=GossipConfig(heartbeat_s=0.2),
        rng=random.Random(number),
    )


def accept(_: Message) -> Verdict:
    return Verdict.ACCEPT


@pytest.mark.parametrize("version", PROTOCOLS)
@pytest.mark.parametrize("dialler", ["ours", "stock"])
async def test_signed_messages_pass_in_both_directions(dialler: str, version: str) -> None:
    ours, stock = overlay_of(1), Stock(PROTOCOLS[version])
    with trio.fail_after(PATIENCE):
        async with stock.running() as theirs, trio.open_nursery() as nursery:
            await nursery.start(ours.run)
            async with ours.subscribe(TOPIC, accept) as deliveries:
                if dialler == "ours":
                    await ours.connect(stock.peer_id, [stock.address])
                else:
                    await stock.host.connect(PeerInfo(ID(ours.peer_id), [Multiaddr(str(a)) for a in ours.addresses]))
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
