"""The libp2p transport over real TCP on loopback: what it owes its owner whatever the peer does."""

import errno
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import pytest
import trio
import trio.testing
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.secp256k1 import create_new_key_pair as create_secp256k1_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream
from libp2p.transport.exceptions import MuxerUpgradeFailure
from libp2p.transport.upgrader import TransportUpgrader
from nacl.signing import SigningKey

from net.libp2p_address import parse_address, parse_bootstrap, with_port
from net.libp2p_host import Libp2pTransport
from net.libp2p_stream import FrameSplitter, LinkBrokenError, answer, propose, uvarint
from net.libp2p_tcp import BufferedTcp, Substream
from net.peer import Address, PeerId
from net.transport import (
    MAX_FRAME_BYTES,
    FrameReceived,
    LinkDown,
    LinkUp,
    NotConnectedError,
    RequestFailedError,
    RequestReceived,
    TransportEvent,
)
from tests.net.transport_conformance import CHECKS, Check, MakeTransport, check_name

PATIENCE = 20.0
"""Seconds after which a test that waits has failed; all of them take a fraction of one."""
GOSSIP = "/meshsub/1.2.0"


@asynccontextmanager
async def site() -> AsyncGenerator[MakeTransport, None]:
    yield lambda number: Libp2pTransport(seed(number + 1))


@pytest.mark.parametrize("check", CHECKS, ids=check_name)
async def test_conformance(check: Check) -> None:
    await check(site)


async def test_link_tells_the_address_of_its_other_end() -> None:
    async with running(1, 2) as (one, two):
        await one.dial(two.peer_id, two.addresses)
        for end in (one, two):
            up = await next_event(end)
            assert isinstance(up, LinkUp)
            assert up.group == "127.0.0.1/32"


def seed(number: int) -> bytes:
    return bytes([number]) * 32


async def start(
    nursery: trio.Nursery, number: int, listen: tuple[Address, ...] = (Address("/ip4/127.0.0.1/tcp/0"),)
) -> tuple[Libp2pTransport, trio.CancelScope]:
    """Run a transport in a scope of its own, so that a test can stop it."""
    transport = Libp2pTransport(seed(number), listen=listen)
    scope = trio.CancelScope()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with scope:
            await transport.run(task_status=task_status)

    await nursery.start(run)
    return transport, scope


async def next_event(transport: Libp2pTransport) -> TransportEvent:
    with trio.fail_after(PATIENCE):
        return await transport.events.receive()


@asynccontextmanager
async def running(*numbers: int) -> AsyncIterator[list[Libp2pTransport]]:
    async with trio.open_nursery() as nursery:
        yield [(await start(nursery, number))[0] for number in numbers]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Libp2pTransport, Libp2pTransport]]:
    async with running(1, 2) as (one, two):
        with trio.fail_after(PATIENCE):
            await one.dial(two.peer_id, two.addresses)
        assert await next_event(one) == LinkUp(two.peer_id, outbound=True)
        assert await next_event(two) == LinkUp(one.peer_id, outbound=False)
        yield one, two


@dataclass
class RawPeer:
    """A peer that speaks TCP, Noise and Yamux and, above that, does as the test pleases."""

    peer_id: PeerId
    mux: Yamux
    socket: trio.SocketStream
    reading: trio.CancelScope

    async def open(self, protocol: str) -> Substream:
        stream = Substream(await self.mux.open_stream())
        assert await propose(stream, (protocol,)) == protocol
        return stream

    async def accept(self) -> tuple[str, Substream]:
        stream = Substream(cast("YamuxStream", await self.mux.accept_stream()))
        return await answer(stream, lambda _: True), stream


@asynccontextmanager
async def raw_peer(to: Libp2pTransport, keys: KeyPair | None = None) -> AsyncIterator[RawPeer]:
    keys = keys or create_new_key_pair(seed(99))
    noise = NoiseTransport(keys, noise_privkey=create_noise_key_pair().private_key)
    upgrader = TransportUpgrader({NOISE: noise}, {TProtocol(YAMUX): Yamux})
    host, port, *_ = parse_address(to.addresses[0])
    with trio.fail_after(PATIENCE):
        socket = await trio.open_tcp_stream(host, port)
        async with socket:
            raw = RawConnection(BufferedTcp(socket), initiator=True)
            secured = await upgrader.upgrade_security(raw, is_initiator=True, peer_id=ID(to.peer_id))
            mux = await upgrader.upgrade_connection(secured, ID(to.peer_id))
            assert isinstance(mux, Yamux)
            reading = trio.CancelScope()

            async def multiplex() -> None:
                with reading:
                    await mux.start()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(multiplex)
                await mux.event_started.wait()
                yield RawPeer(PeerId(ID.from_pubkey(keys.public_key).to_bytes()), mux, socket, reading)
                nursery.cancel_scope.cancel()


async def test_peer_id_is_that_of_the_seeds_public_key() -> None:
    public_key = bytes(SigningKey(seed(7)).verify_key)
    assert Libp2pTransport(seed(7)).peer_id == PeerId.from_public_key(public_key)
    assert bytes(ID.from_pubkey(create_new_key_pair(seed(7)).public_key).to_bytes()) == PeerId.from_public_key(
        public_key
    )


async def test_wildcard_address_stands_for_those_of_the_interfaces() -> None:
    async with trio.open_nursery() as nursery:
        everywhere, _ = await start(nursery, 1, (Address("/ip4/0.0.0.0/tcp/0"),))
        local, _ = await start(nursery, 2)
        hosts = [parse_address(address)[0] for address in everywhere.addresses]
        assert hosts
        assert "0.0.0.0" not in hosts
        with trio.fail_after(PATIENCE):
            await local.dial(everywhere.peer_id, everywhere.addresses)
        nursery.cancel_scope.cancel()


async def test_runs_once() -> None:
    transport = Libp2pTransport(seed(1))
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run)
        with pytest.raises(RuntimeError, match="make another"):
            await transport.run()
        assert (await _tries_to_listen(transport.addresses[0])).errno == errno.EADDRINUSE
        nursery.cancel_scope.cancel()


async def _tries_to_listen(address: Address) -> OSError:
    with pytest.raises(OSError, match=r".") as failure:
        await Libp2pTransport(seed(2), listen=[address]).run()
    return failure.value


def test_bootstrap_address_splits_into_peer_and_address() -> None:
    peer = PeerId.from_public_key(bytes(32))
    assert parse_bootstrap(f"/ip4/10.0.0.7/tcp/4001/p2p/{peer}") == (peer, "/ip4/10.0.0.7/tcp/4001")
    assert parse_bootstrap(f"/dns4/mec.example/tcp/1/p2p/{peer}") == (peer, "/dns4/mec.example/tcp/1")
    quic = "/ip6/::1/udp/4001/quic-v1"
    assert parse_bootstrap(f"{quic}/p2p/{peer}") == (peer, quic)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:4001",
        "/ip4/127.0.0.1/tcp/4001",
        "/ip4/127.0.0.1/udp/4001/quic-v1",
        "/ip4/127.0.0.1/udp/4001/quic/p2p/12D3KooWGjSE7eCu5f1Pa8pGxscmoEcdQ5BRMGqbyMvL2dhrPCS5",
        "/ip4/127.0.0.1/udp/4001/p2p/12D3KooWGjSE7eCu5f1Pa8pGxscmoEcdQ5BRMGqbyMvL2dhrPCS5",
        "/ip4/127.0.0.1/tcp/4001/quic-v1/p2p/12D3KooWGjSE7eCu5f1Pa8pGxscmoEcdQ5BRMGqbyMvL2dhrPCS5",
        "/ip4/127.0.0.1/udp/65536/quic-v1/p2p/12D3KooWGjSE7eCu5f1Pa8pGxscmoEcdQ5BRMGqbyMvL2dhrPCS5",
        "/ip4/127.0.0.1/udp/4001/quic-v1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "/ip4/127.0.0.1/udp/4001/quic-v1/webtransport/p2p/12D3KooWGjSE7eCu5f1Pa8pGxscmoEcdQ5BRMGqbyMvL2dhrPCS5",
        "/ip4/127.0.0.1/udp/\u0664001/quic-v1/p2p/12D3KooWGjSE7eCu5f1Pa8pGxscmoEcdQ5BRMGqbyMvL2dhrPCS5",
        "/ip4/127.0.0.1/tcp/65536/p2p/12D3KooWGjSE7eCu5f1Pa8pGxscmoEcdQ5BRMGqbyMvL2dhrPCS5",
        "/ip4/127.0.0.1/tcp/4001/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWGjSE7eCu5f1Pa8pGxscmoEcdQ5BRMGqbyMvL2dhrPCS5/",
    ],
)
def test_bootstrap_address__reject_others(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_bootstrap(text)


@pytest.mark.parametrize(
    "address, moved",
    [
        ("/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/5"),
        ("/dns4/tcp/tcp/4001", "/dns4/tcp/tcp/5"),
        ("/ip6/::1/udp/4001/quic-v1", "/ip6/::1/udp/5/quic-v1"),
    ],
)
def test_port_of_an_address_can_be_another(address: str, moved: str) -> None:
    assert with_port(Address(address), 5) == moved


def test_frames_come_out_whole_however_the_stream_is_cut() -> None:
    rng = random.Random(5)
    frames = [rng.randbytes(size) for size in (0, 1, 127, 128, 129, 20_000, 3)]
    stream = b"".join(uvarint(len(frame)) + frame for frame in frames)
    for step in (1, 2, 3, 127, 128, 130, 50_000):
        splitter = FrameSplitter(20_000)
        got = [frame for at in range(0, len(stream), step) for frame in splitter.feed(stream[at : at + step])]
        assert got == frames


@pytest.mark.parametrize("prefix", [uvarint(20_001), b"\xff\xff\xff\xff\xff\xff", b"\x80\x80\x80\x80\x80\x00"])
def test_frames__reject_lengths_out_of_bounds(prefix: bytes) -> None:
    with pytest.raises(LinkBrokenError):
        FrameSplitter(20_000).feed(prefix)


async def test_peers_that_dial_each_other_at_once_get_one_link() -> None:
    async with running(*range(1, 9)) as hosts:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as dials:
                for host in hosts:
                    for other in hosts:
                        if other is not host:
                            dials.start_soon(host.dial, other.peer_id, other.addresses)
        for host in hosts:
            others = sorted(other.peer_id for other in hosts if other is not host)
            ups = [await next_event(host) for _ in others]
            assert host.peers() == others
            assert sorted(up.peer for up in ups if isinstance(up, LinkUp)) == others
        for host in hosts:
            for other in hosts:
                if other is not host:
                    await host.send(other.peer_id, host.peer_id)
            with pytest.raises(trio.WouldBlock):  # no LinkDown, no second LinkUp, before the first frame
                host.events.receive_nowait()
            break
        for other in hosts[1:]:
            assert await next_event(other) == FrameReceived(hosts[0].peer_id, hosts[0].peer_id)


async def test_dial_says_why_no_address_would_do() -> None:
    async with running(1, 2) as (one, two):
        stranger = PeerId.from_public_key(bytes(32))
        with trio.fail_after(PATIENCE), pytest.raises(NotConnectedError, match="no address known"):
            await one.dial(stranger, [])
        with (
            trio.fail_after(PATIENCE),
            pytest.raises(NotConnectedError, match="PeerIDMismatch"),
        ):
            await one.dial(stranger, two.addresses)
        with trio.fail_after(PATIENCE), pytest.raises(NotConnectedError, match="names another peer"):
            await one.dial(stranger, [Address(f"{two.addresses[0]}/p2p/{two.peer_id}")])
        with trio.fail_after(PATIENCE), pytest.raises(NotConnectedError, match="not an address of TCP or QUIC"):
            await one.dial(two.peer_id, [Address("/memory/1")])
        with trio.fail_after(PATIENCE):
            await one.dial(two.peer_id, [Address("/memory/1"), Address(f"{two.addresses[0]}/p2p/{two.peer_id}")])
        assert one.peers() == [two.peer_id]


@pytest.mark.parametrize("redialled_by", ["the one that stayed", "the one that restarted"])
async def test_restarted_peer_can_be_dialled_again(redialled_by: str) -> None:
    async with trio.open_nursery() as nursery:
        stayed, _ = await start(nursery, 1)
        first, life = await start(nursery, 2)
        await stayed.dial(first.peer_id, first.addresses)
        assert await next_event(stayed) == LinkUp(first.peer_id, outbound=True)
        life.cancel()
        again, _ = await start(nursery, 2, (first.addresses[0],))  # the same port
        with trio.fail_after(PATIENCE):
            if redialled_by == "the one that stayed":
                assert await next_event(stayed) == LinkDown(first.peer_id)
                await stayed.dial(again.peer_id, again.addresses)
            else:
                await again.dial(stayed.peer_id, stayed.addresses)
                assert await next_event(stayed) == LinkDown(first.peer_id)
        up = await next_event(stayed)
        assert up == LinkUp(again.peer_id, outbound=redialled_by == "the one that stayed")
        await stayed.send(again.peer_id, b"welcome back")
        assert isinstance(await next_event(again), LinkUp)
        assert await next_event(again) == FrameReceived(stayed.peer_id, b"welcome back")
        nursery.cancel_scope.cancel()


async def test_cancelled_requests_do_not_break_the_link() -> None:
    async with linked() as (one, two):
        rng = random.Random(3)
        for _ in range(40):
            with trio.move_on_after(rng.random() * 0.01):
                await one.request(two.peer_id, "/test/slow/1", bytes(300_000), timeout=PATIENCE)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:

                async def serve() -> None:
                    async for event in two.events:
                        assert isinstance(event, RequestReceived)
                        await (
                            event.reply(event.body[::-1]) if event.protocol == "/test/echo/1" else event.refuse("no")
                        )

                nursery.start_soon(serve)
                assert await one.request(two.peer_id, "/test/echo/1", b"abc", timeout=PATIENCE) == b"cba"
                with pytest.raises(RequestFailedError, match="no") as refused:
                    await one.request(two.peer_id, "/test/other/1", b"", timeout=PATIENCE)
                assert refused.value.definite
                nursery.cancel_scope.cancel()
        assert one.peers() == [two.peer_id]


async def test_a_request_while_the_link_ends_fails_as_any_other() -> None:
    """Whoever asks again at once, as many do for another gateway, meets a link of which all has ended but its own task."""
    with trio.fail_after(PATIENCE):
        async with running(1, 2) as (one, two):

            async def ask() -> None:
                while True:
                    try:
                        await one.request(two.peer_id, "/x/1", b"", timeout=0.001)
                    except NotConnectedError:
                        return
                    except RequestFailedError:
                        continue

            for _ in range(10):
                await one.dial(two.peer_id, two.addresses)
                async with trio.open_nursery() as nursery:
                    for _ in range(24):
                        nursery.start_soon(ask)
                    await two.hang_up(one.peer_id)


async def test_oversized_frame_closes_the_link() -> None:
    async with running(1) as (host,), raw_peer(host) as raw:
        protocol, _ = await raw.accept()
        assert protocol == GOSSIP
        assert await next_event(host) == LinkUp(raw.peer_id, outbound=False)
        link = host._links[raw.peer_id]  # the reason is told in the log alone
        stream = await raw.open(GOSSIP)
        await stream.send_all(uvarint(5) + b"whole" + uvarint(MAX_FRAME_BYTES + 1) + b"never read")
        assert await next_event(host) == LinkDown(raw.peer_id)
        assert link.reason == f"frame of {MAX_FRAME_BYTES + 1} bytes exceeds {MAX_FRAME_BYTES}"
        with pytest.raises(NotConnectedError):
            await host.send(raw.peer_id, b"too late")


async def test_garbage_harms_nobody_else() -> None:
    rng = random.Random(11)
    async with running(1, 2) as (host, friend):
        address, port, *_ = parse_address(host.addresses[0])
        for size in (0, 1, 100, 70_000):  # instead of a handshake
            socket = await trio.open_tcp_stream(address, port)
            with trio.fail_after(PATIENCE):
                try:
                    await socket.send_all(rng.randbytes(size))
                    await socket.send_eof()
                    while await socket.receive_some():
                        pass
                except trio.BrokenResourceError:
                    pass
            await socket.aclose()
        async with raw_peer(host) as raw:
            await raw.accept()
            assert await next_event(host) == LinkUp(raw.peer_id, outbound=False)
            for _ in range(20):  # instead of a negotiation
                await Substream(await raw.mux.open_stream()).send_all(rng.randbytes(300))
            asked = await raw.open("/test/question/1")  # a body that is too long, then one that breaks off
            await asked.send_all(b"\xff" * 20)
            asked = await raw.open("/test/question/1")
            await asked.send_all(uvarint(100) + b"short")
            await asked.finish()
            stream = await raw.open(GOSSIP)
            await stream.send_all(uvarint(3) + b"yes")
            assert await next_event(host) == FrameReceived(raw.peer_id, b"yes")
            await raw.socket.send_all(b"\x00\x64" + rng.randbytes(100))  # instead of Noise
            assert await next_event(host) == LinkDown(raw.peer_id)
        with trio.fail_after(PATIENCE):
            await friend.dial(host.peer_id, host.addresses)
        assert await next_event(host) == LinkUp(friend.peer_id, outbound=False)


async def test_peer_with_another_kind_of_key_is_refused() -> None:
    async with running(1) as (host,):
        with pytest.raises(MuxerUpgradeFailure):
            async with raw_peer(host, create_secp256k1_key_pair()):
                pass
        assert host.counts["handshakes failed"] == 1
        assert host.peers() == []


async def test_peer_that_ignores_its_window_is_cut_off() -> None:
    async with running(1) as (host,), raw_peer(host) as raw:
        await raw.accept()
        assert await next_event(host) == LinkUp(raw.peer_id, outbound=False)
        stream = await raw.mux.open_stream()
        gossip = Substream(stream)
        assert await propose(gossip, (GOSSIP,)) == GOSSIP
        stream.send_window = 1 << 40
        with trio.fail_after(PATIENCE), pytest.raises(LinkBrokenError):
            await gossip.send_all((uvarint(1000) + bytes(1000)) * 1_000_000)  # nobody reads the host's events


@pytest.mark.parametrize("stalls_at", ["Yamux", "TCP"])
async def test_closes_quickly_with_a_stalled_peer(stalls_at: str) -> None:
    async with trio.open_nursery() as nursery:
        host, life = await start(nursery, 1)
        async with raw_peer(host) as raw:
            await raw.accept()
            assert await next_event(host) == LinkUp(raw.peer_id, outbound=False)
            if stalls_at == "TCP":
                raw.reading.cancel()  # its multiplexer reads no more; the socket stays open
                host._links[raw.peer_id]._connection._mux.streams[2].send_window = 1 << 40
            with trio.move_on_after(0.5):
                while True:
                    await host.send(raw.peer_id, bytes(100_000))
            nursery.start_soon(request_in_vain, host, raw.peer_id)
            await trio.testing.wait_all_tasks_blocked(0.01)
            started = trio.current_time()
            life.cancel()
            with trio.fail_after(1.0):
                async for _ in host.events:
                    pass
            assert trio.current_time() - started < 1.0


async def request_in_vain(host: Libp2pTransport, peer: PeerId) -> None:
    with pytest.raises(RequestFailedError):
        await host.request(peer, "/test/never/1", b"", timeout=PATIENCE)
