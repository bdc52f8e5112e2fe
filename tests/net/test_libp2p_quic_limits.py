"""QUIC on loopback under load, loss and malice: bounds hold, nobody else suffers, and nothing is left behind."""

import random
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from libp2p.crypto.ed25519 import create_new_key_pair
from nacl.signing import SigningKey

from net import libp2p_link
from net.libp2p_address import parse_address
from net.libp2p_host import Libp2pTransport
from net.libp2p_link import MAX_SERVED
from net.libp2p_quic import SEND_BYTES, QuicConnection
from net.libp2p_stream import LinkBrokenError, Stream, answer, propose, uvarint
from net.libp2p_tls import STREAM_WINDOW, TlsIdentity
from net.libp2p_udp import dial_quic
from net.overlay import Delivery, Overlay
from net.peer import Address, PeerId
from net.transport import MAX_FRAME_BYTES, FrameReceived, LinkDown, LinkUp, NotConnectedError
from tests.net.test_interop import TOPIC, accept, overlay_of
from tests.net.test_libp2p_host import GOSSIP, PATIENCE, next_event, request_in_vain, seed
from tests.net.test_libp2p_limits import open_files
from tests.net.test_libp2p_quic import QUIC, linked, running
from tests.net.transport_conformance import answer_all, eventually

RAW = PeerId.from_public_key(bytes(SigningKey(seed(99)).verify_key))


@asynccontextmanager
async def raw_peer(to: Libp2pTransport) -> AsyncIterator[QuicConnection]:
    """A peer that speaks QUIC and, above that, does as the test pleases. It has answered the host's gossip stream."""
    where = parse_address(to.addresses[0])
    async with trio.open_nursery() as nursery:
        identity = TlsIdentity(create_new_key_pair(seed(99)))
        with trio.fail_after(PATIENCE):
            raw = await dial_quic(where.host, where.port, to.peer_id, identity, nursery, Counter())
            await answer(await raw.accept_stream(), lambda protocol: protocol == GOSSIP)
            assert await next_event(to) == LinkUp(RAW, outbound=False)
            yield raw
        raw.close_now()


async def opened(raw: QuicConnection, protocol: str) -> Stream:
    stream = await raw.open_stream()
    assert await propose(stream, (protocol,)) == protocol
    return stream


async def test_many_dial_at_once() -> None:
    async with running(*range(1, 22)) as (hub, *others):
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as dials:
                for other in others:
                    dials.start_soon(other.dial, hub.peer_id, hub.addresses)
        ups = [await next_event(hub) for _ in others]
        assert sorted(up.peer for up in ups if isinstance(up, LinkUp)) == hub.peers()
        assert hub.peers() == sorted(other.peer_id for other in others)
        for other in others:
            assert isinstance(await next_event(other), LinkUp)
            await hub.send(other.peer_id, other.peer_id)
            assert await next_event(other) == FrameReceived(hub.peer_id, other.peer_id)


async def test_overlays_gossip_signed_messages() -> None:
    """Eight of ours in a ring with one chord each; everybody publishes, and everybody gets everything once."""
    overlays = [overlay_of(number, quic=True) for number in range(1, 9)]
    got: dict[PeerId, list[bytes]] = {each.peer_id: [] for each in overlays}

    async def hear(each: Overlay, deliveries: trio.MemoryReceiveChannel[Delivery]) -> None:
        async for delivery in deliveries:
            got[each.peer_id].append(delivery.message.data)

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            for each in overlays:
                await nursery.start(each.run)
                nursery.start_soon(hear, each, await stack.enter_async_context(each.subscribe(TOPIC, accept)))
            for place, each in enumerate(overlays):
                for step in (1, 3):
                    other = overlays[(place + step) % len(overlays)]
                    assert all("/quic-v1" in address for address in other.addresses)
                    await each.connect(other.peer_id, other.addresses)
            await eventually(lambda: all(len(each.router.mesh(TOPIC)) >= 2 for each in overlays))
            sent = [b"%d of %b" % (number, each.peer_id) for number in range(5) for each in overlays]
            for number, data in enumerate(sent):
                await overlays[number % len(overlays)].publish(TOPIC, data)
            await eventually(lambda: all(sorted(each) == sorted(sent) for each in got.values()))
            nursery.cancel_scope.cancel()


async def test_more_links_than_allowed__reject() -> None:
    async with running(1, max_links=2) as (host,), running(2, 3, 4, 5) as others:
        with trio.fail_after(PATIENCE):
            await host.dial(others[0].peer_id, others[0].addresses)
            await others[1].dial(host.peer_id, host.addresses)
            with pytest.raises(NotConnectedError, match="no more connections"):
                await others[2].dial(host.peer_id, host.addresses)
            with pytest.raises(NotConnectedError, match="2 links already"):
                await host.dial(others[3].peer_id, others[3].addresses)
        assert host.peers() == sorted(other.peer_id for other in others[:2])
        assert host.counts["connections refused"] == 1


async def test_more_handshakes_than_allowed__reject(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who never finishes a handshake holds one of few places until the time is up, and from where it claims to be."""
    monkeypatch.setattr("net.libp2p_host.DIAL_TIMEOUT", 0.5)
    async with running(1, max_handshakes=4) as (host,), running(2) as (other,), trio.open_nursery() as nursery:
        where = parse_address(host.addresses[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind(("127.0.0.1", 0))
            for number in range(10):  # begins of connections, by whom no answer is read
                deaf.sendto(await first_datagram(nursery, host, number), (where.host, where.port))
            await eventually(lambda: host._handshakes == 3)  # from then on one must prove where one is
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert host._handshakes == 3
        with trio.fail_after(PATIENCE):
            await other.dial(host.peer_id, host.addresses)  # which an honest peer does
        await eventually(lambda: host._handshakes == 0)
        assert host.counts["handshakes failed"] == 3
        nursery.cancel_scope.cancel()


async def first_datagram(nursery: trio.Nursery, host: Libp2pTransport, number: int) -> bytes:
    sent: list[bytes] = []
    QuicConnection(
        TlsIdentity(create_new_key_pair(seed(100 + number))),
        lambda datagram, _: sent.append(datagram),
        Counter(),
        remote=("127.0.0.1", 1),
        expected=host.peer_id,
    )
    return sent[0]


async def test_garbage_harms_nobody_else() -> None:
    rng = random.Random(11)
    async with linked() as (host, friend), trio.open_nursery() as nursery:
        where = parse_address(host.addresses[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            for _ in range(20):
                first = bytearray(await first_datagram(nursery, host, rng.randrange(50)))
                for size in (0, 1, 20, 1199, 1200, 1350, 9000):
                    stranger.sendto(rng.randbytes(size), (where.host, where.port))
                    stranger.sendto(bytes(first[: size or 7]), (where.host, where.port))  # cut off
                    first[rng.randrange(len(first))] ^= 1 << rng.randrange(8)
                    stranger.sendto(first, (where.host, where.port))
                await trio.testing.wait_all_tasks_blocked(0.001)
        await friend.send(host.peer_id, b"still here")
        assert await next_event(host) == FrameReceived(friend.peer_id, b"still here")
        assert host.peers() == [friend.peer_id]
        nursery.cancel_scope.cancel()


async def test_oversized_frame_closes_the_link() -> None:
    async with running(1) as (host,), raw_peer(host) as raw:
        link = host._links[RAW]
        stream = await opened(raw, GOSSIP)
        await stream.send_all(uvarint(5) + b"whole" + uvarint(MAX_FRAME_BYTES + 1) + b"never read")
        assert await next_event(host) == LinkDown(RAW)
        assert link.reason == f"frame of {MAX_FRAME_BYTES + 1} bytes exceeds {MAX_FRAME_BYTES}"


async def test_reader_that_falls_behind_stalls_its_sender_alone() -> None:
    async with running(1) as (host,), raw_peer(host) as raw:
        stream = await opened(raw, "/test/never-read-to-the-end/1")
        await stream.send_all(uvarint(4 << 20))
        gossip = await opened(raw, GOSSIP)
        sent = 0
        with trio.move_on_after(0.5):
            while True:  # nobody reads the host's events, which hold 1,024 frames
                await gossip.send_all((uvarint(1000) + bytes(1000)) * 10)
                sent += 10_020
        assert STREAM_WINDOW < sent < 1_026_000 + 2 * STREAM_WINDOW + SEND_BYTES + 10_020
        received = sum(len(chunk) for each in _streams(host) for chunk in each._chunks)
        assert received <= 2 * STREAM_WINDOW
        for _ in range(1000):
            assert isinstance(await next_event(host), FrameReceived)
        await gossip.send_all(uvarint(1) + b"!")  # there is room again


def _streams(host: Libp2pTransport) -> Any:
    connection: Any = host._links[RAW]._connection
    return connection._streams.values()


async def test_peer_that_ignores_its_window_is_cut_off() -> None:
    async with running(1) as (host,), raw_peer(host) as raw:
        link = host._links[RAW]
        gossip = await opened(raw, GOSSIP)
        machine: Any = raw._machine
        machine._streams[gossip._number].max_stream_data_remote = 1 << 40  # type: ignore[attr-defined]
        machine._remote_max_data = 1 << 40
        with pytest.raises(LinkBrokenError):
            await gossip.send_all((uvarint(1000) + bytes(1000)) * 1_000_000)  # nobody reads the host's events
        with trio.fail_after(PATIENCE):
            await link.closed.wait()
        assert "Over stream data limit" in link.reason


async def test_stream_of_one_direction_closes_the_link() -> None:
    async with running(1) as (host,), raw_peer(host) as raw:
        link = host._links[RAW]
        raw.send(raw._machine.get_next_available_stream_id(is_unidirectional=True), b"hello")
        assert await next_event(host) == LinkDown(RAW)
        assert "one direction" in link.reason


async def test_more_streams_than_are_served__reject() -> None:
    async with running(1) as (host,), raw_peer(host) as raw:
        gossip = await opened(raw, GOSSIP)
        streams = [await raw.open_stream() for _ in range(MAX_SERVED + 20)]
        for stream in streams:
            await stream.send_all(b"\x13")  # never negotiates to the end
        await eventually(lambda: host.counts["streams refused"] == 21)
        for stream in streams[-20:]:
            with pytest.raises(LinkBrokenError, match="reset by peer"):
                await stream.receive_some()
        for stream in streams:
            await stream.reset()
        await gossip.send_all(uvarint(1) + b"!")
        assert await next_event(host) == FrameReceived(RAW, b"!")
        await eventually(lambda: len(_streams(host)) == 2)  # gossip, each way
        again = await opened(raw, "/test/question/1")  # there is room again
        await again.reset()


async def test_peer_that_falls_silent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libp2p_link, "PING_AFTER", 0.1)
    monkeypatch.setattr(libp2p_link, "SILENCE_TIMEOUT", 0.3)
    async with running(1) as (host,), raw_peer(host) as raw:
        await trio.sleep(0.6)
        assert host.peers() == [RAW]  # idle, but it answers pings
        raw.receive = lambda _: None  # type: ignore[method-assign]
        with trio.fail_after(2.0):
            assert await host.events.receive() == LinkDown(RAW)


async def test_nobody_there_is_noticed_at_once() -> None:
    async with running(1) as (host,):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        began = trio.current_time()
        with pytest.raises(NotConnectedError, match="nobody answers"):
            await host.dial(RAW, [Address(f"/ip4/127.0.0.1/udp/{port}/quic-v1")])
        assert trio.current_time() - began < 2.0


@pytest.mark.parametrize("share", [0.05, 0.2])
async def test_lost_datagrams_are_sent_again(share: float) -> None:
    rng = random.Random(5)

    async def relay(to: tuple[str, int], *, task_status: trio.TaskStatus[int]) -> None:
        """Pass datagrams on, but for those that chance takes."""
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as middle:
            await middle.bind(("127.0.0.1", 0))
            dialler = None
            task_status.started(middle.getsockname()[1])
            while True:
                datagram, sender = await middle.recvfrom(65_536)
                if sender != to:
                    dialler = sender
                if rng.random() >= share and dialler is not None:
                    await middle.sendto(datagram, dialler if sender == to else to)

    async with running(1, 2) as (one, two), trio.open_nursery() as nursery:
        where = parse_address(two.addresses[0])
        port = await nursery.start(relay, (where.host, where.port))
        with trio.fail_after(PATIENCE):
            await one.dial(two.peer_id, [Address(f"/ip4/127.0.0.1/udp/{port}/quic-v1")])
            assert isinstance(await next_event(two), LinkUp)
            frames = [number.to_bytes(2, "big") * (1 + 40 * number) for number in range(60)]
            for frame in frames:
                await one.send(two.peer_id, frame)
            assert [await next_event(two) for _ in frames] == [FrameReceived(one.peer_id, frame) for frame in frames]
        nursery.cancel_scope.cancel()


async def test_closes_quickly_with_a_stalled_peer() -> None:
    async with trio.open_nursery() as nursery:
        host = Libp2pTransport(seed(1), listen=[QUIC])
        life = trio.CancelScope()

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            with life:
                await host.run(task_status=task_status)

        await nursery.start(run)
        async with raw_peer(host) as raw:
            raw.receive = lambda _: None  # type: ignore[method-assign]
            with trio.move_on_after(0.3):
                while True:
                    await host.send(RAW, bytes(100_000))
            nursery.start_soon(request_in_vain, host, RAW)
            await trio.testing.wait_all_tasks_blocked(0.01)
            life.cancel()
            with trio.fail_after(1.0):
                async for _ in host.events:
                    pass


async def test_speaks_tcp_and_quic_at_once() -> None:
    both = [Address("/ip4/127.0.0.1/tcp/0"), Address("/ip6/::1/udp/0/quic-v1"), QUIC]
    async with trio.open_nursery() as nursery:
        host = Libp2pTransport(seed(1), listen=both)
        await nursery.start(host.run)
        kinds = [address.rstrip("0123456789") if "tcp" in address else address[-8:] for address in host.addresses]
        assert kinds == ["/ip4/127.0.0.1/tcp/", "/quic-v1", "/quic-v1"]
        for number, address in enumerate(host.addresses):
            other = Libp2pTransport(seed(10 + number), listen=())
            await nursery.start(other.run)
            with trio.fail_after(PATIENCE):
                await other.dial(host.peer_id, [Address(f"{address}/p2p/{host.peer_id}")])
                nursery.start_soon(answer_all, host)
                assert await other.request(host.peer_id, "/test/echo/1", b"?", timeout=PATIENCE) == b"?"
        nursery.cancel_scope.cancel()


async def test_listens_where_it_did_before() -> None:
    async with running(1) as (host,):
        port = parse_address(host.addresses[0]).port
        async with running(2, ports=(port,)) as (other,):  # taken: another will do
            assert parse_address(other.addresses[0]).port != port
    async with running(1, ports=(port,)) as (again,):
        assert parse_address(again.addresses[0]).port == port


async def test_port_in_use__reject() -> None:
    async with running(1) as (host,):
        with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1 port \d+"):
            await Libp2pTransport(seed(2), listen=[host.addresses[0]]).run()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux lists them")
async def test_leaves_no_socket_task_or_thread_behind() -> None:
    nobody = PeerId.from_public_key(bytes(SigningKey(seed(9)).verify_key))

    async def once() -> None:
        async with linked() as (one, two), trio.open_nursery() as nursery:
            nursery.start_soon(request_in_vain, one, two.peer_id)
            for number in range(50):
                await one.send(two.peer_id, bytes(1000 + number))
            with pytest.raises(NotConnectedError):
                await one.dial(nobody, two.addresses)
            await one.hang_up(two.peer_id)
            await eventually(lambda: not two.peers())
            await trio.testing.wait_all_tasks_blocked()
            assert not two._links

    await once()  # what Python and the libraries open once and keep
    files, tasks, threads = open_files(), trio.lowlevel.current_statistics().tasks_living, threading.active_count()
    for _ in range(3):
        await once()
    await trio.testing.wait_all_tasks_blocked()
    assert open_files() == files
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    assert threading.active_count() <= threads
