"""Memory within a process and libp2p between processes, on real sockets."""

import random

import trio

from net.composite import MEMORY, TCP, CompositeTransport, Part
from net.gossip.config import GossipConfig
from net.overlay import Overlay
from net.signing import verify_once
from net.transport import FrameReceived, LinkDown, LinkUp, Transport
from tests.net.swarm import accept, identity, key
from tests.net.test_composite import libp2p, networks
from tests.net.transport_conformance import PATIENCE_S, eventually, expect, running

TOPIC = "/test/news"


async def test_two_ends_that_dial_differently_have_one_link() -> None:
    """Memory the one way and libp2p the other, at once, on real sockets."""
    async with networks(1) as (network,):
        a, b = (CompositeTransport([Part(network.attach(identity(n)), MEMORY), Part(libp2p(n), TCP)]) for n in (1, 2))
        async with running(a, b):
            memory, tcp = (
                [address for address in addresses if address.startswith(prefixes)]
                for addresses, prefixes in ((a.addresses, MEMORY), (b.addresses, TCP))
            )
            with trio.fail_after(PATIENCE_S):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(a.dial, b.peer_id, tcp)
                    nursery.start_soon(b.dial, a.peer_id, memory)
            await a.send(b.peer_id, b"to b")
            await b.send(a.peer_id, b"to a")
            for transport, other in ((a, b), (b, a)):
                assert (await expect(transport, LinkUp)).peer == other.peer_id
                assert (await expect(transport, FrameReceived)).peer == other.peer_id
            await b.hang_up(a.peer_id)
            for transport in (a, b):
                await expect(transport, LinkDown)
            await eventually(lambda: not a.peers() and not b.peers())


def overlay(n: int, transport: Transport) -> Overlay:
    return Overlay(
        transport,
        sign=lambda message: key(n).sign(message).signature,
        verify=verify_once,
        config=GossipConfig(heartbeat_s=0.1),
        rng=random.Random(n),
    )


async def test_gossip_passes_from_memory_to_libp2p_and_back() -> None:
    async with networks(1) as (network,), trio.open_nursery() as nursery:
        in_memory = overlay(1, network.attach(identity(1)))
        bridge = overlay(2, CompositeTransport([Part(network.attach(identity(2)), MEMORY), Part(libp2p(2), TCP)]))
        elsewhere = overlay(3, libp2p(3))
        for each in (in_memory, bridge, elsewhere):
            await nursery.start(each.run)
        async with (
            in_memory.subscribe(TOPIC, accept) as here,
            bridge.subscribe(TOPIC, accept) as between,
            elsewhere.subscribe(TOPIC, accept) as there,
        ):
            with trio.fail_after(PATIENCE_S):
                await in_memory.connect(bridge.peer_id, bridge.addresses)
                await elsewhere.connect(bridge.peer_id, bridge.addresses[1:])
                # Until then what they publish goes nowhere.
                await eventually(lambda: len(bridge.router.mesh(TOPIC)) == 2)
                await eventually(lambda: in_memory.router.subscribers(TOPIC) == [bridge.peer_id])
                await eventually(lambda: elsewhere.router.subscribers(TOPIC) == [bridge.peer_id])
                await in_memory.publish(TOPIC, b"from memory")
                await elsewhere.publish(TOPIC, b"from afar")
                for channel in (here, between, there):
                    got = {(await channel.receive()).message.data for _ in range(2)}
                    assert got == {b"from memory", b"from afar"}
            assert elsewhere.peers() == [bridge.peer_id]
            assert in_memory.peers() == [bridge.peer_id]
        nursery.cancel_scope.cancel()
