"""The libp2p transport's limits: links, handshakes, silence, dialling in vain; and that it leaves nothing behind."""

import threading
from pathlib import Path

import pytest
import trio
import trio.testing
from libp2p.crypto.serialization import deserialize_public_key
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.peer.id import ID
from multiaddr import Multiaddr  # type: ignore[import-untyped]
from nacl.signing import SigningKey

from net import libp2p_link
from net.libp2p_address import parse_address
from net.libp2p_backoff import DialBackoff
from net.libp2p_host import Libp2pTransport
from net.libp2p_link import GOSSIP_PROTOCOLS, IDENTIFY_PROTOCOL, PING_PROTOCOL
from net.libp2p_quic import SocketAddress
from net.libp2p_udp import _UdpSocket
from net.peer import Address, PeerId
from net.transport import FrameReceived, LinkDown, LinkUp, NotConnectedError
from tests.net.test_libp2p_host import (
    PATIENCE,
    linked,
    next_event,
    raw_peer,
    request_in_vain,
    running,
    seed,
    start,
)
from tests.net.transport_conformance import eventually


async def test_peer_that_falls_silent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a FIN, as when its machine lost power."""
    monkeypatch.setattr(libp2p_link, "PING_AFTER", 0.1)
    monkeypatch.setattr(libp2p_link, "SILENCE_TIMEOUT", 0.3)
    async with running(1) as (host,), raw_peer(host) as raw:
        await raw.accept()
        assert await next_event(host) == LinkUp(raw.peer_id, outbound=False)
        await trio.sleep(0.6)
        assert host.peers() == [raw.peer_id]  # idle, but it answers pings
        raw.reading.cancel()
        with trio.fail_after(2.0):
            assert await host.events.receive() == LinkDown(raw.peer_id)


async def test_more_links_than_allowed__reject() -> None:
    async with trio.open_nursery() as nursery:
        host = Libp2pTransport(seed(1), max_links=2)
        await nursery.start(host.run)
        others = [(await start(nursery, number))[0] for number in (2, 3, 4, 5)]
        with trio.fail_after(PATIENCE):
            await host.dial(others[0].peer_id, others[0].addresses)
            await others[1].dial(host.peer_id, host.addresses)
            with pytest.raises(NotConnectedError):
                await others[2].dial(host.peer_id, host.addresses)
            with pytest.raises(NotConnectedError, match="2 links already"):
                await host.dial(others[3].peer_id, others[3].addresses)
        assert host.peers() == sorted(other.peer_id for other in others[:2])
        assert host.counts["connections refused"] == 1
        nursery.cancel_scope.cancel()


async def test_more_handshakes_than_allowed__reject() -> None:
    async with trio.open_nursery() as nursery:
        host = Libp2pTransport(seed(1), max_handshakes=3)
        await nursery.start(host.run)
        address, port, *_ = parse_address(host.addresses[0])
        idle = [await trio.open_tcp_stream(address, port) for _ in range(4)]  # say nothing
        with trio.fail_after(PATIENCE):
            await eventually(lambda: host.counts["connections refused"] == 1)
        for stream in idle:
            await stream.aclose()
        with trio.fail_after(PATIENCE):
            await eventually(lambda: host.counts["handshakes failed"] == 3)
            other, _ = await start(nursery, 2)
            await other.dial(host.peer_id, host.addresses)  # there is room again
        nursery.cancel_scope.cancel()


async def test_address_that_failed_just_now_is_not_dialled() -> None:
    async with running(1) as (host,):
        nobody = PeerId.from_public_key(bytes(SigningKey(seed(9)).verify_key))
        closed = Address("/ip4/127.0.0.1/tcp/1")
        with pytest.raises(NotConnectedError, match=r"/tcp/1: (?!failed just now)"):
            await host.dial(nobody, [closed])
        with pytest.raises(NotConnectedError, match="failed just now, not dialled for another 0"):
            await host.dial(nobody, [closed])


def test_backoff_doubles_to_its_bound_and_ends_with_a_link() -> None:
    backoff, peer = DialBackoff(), PeerId.from_public_key(bytes(SigningKey(seed(9)).verify_key))
    address, other = Address("/ip4/127.0.0.1/tcp/1"), Address("/ip4/127.0.0.1/tcp/2")
    waits = []
    for _ in range(8):
        backoff.failed(peer, address, 100.0)
        waits.append(backoff.wait_s(peer, address, 100.0))
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert backoff.wait_s(peer, address, 131.0) == backoff.wait_s(peer, other, 100.0) == 0.0
    backoff.linked(peer)
    assert backoff.wait_s(peer, address, 100.0) == 0.0


LOOPBACKS = {"TCP": Address("/ip4/127.0.0.1/tcp/0"), "QUIC": Address("/ip4/127.0.0.1/udp/0/quic-v1")}


@pytest.mark.parametrize("over", LOOPBACKS)
async def test_what_is_queued_goes_out_in_one_write_and_is_read_in_few(
    over: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    receive_tcp, receive_udp = trio.SocketStream.receive_some, _UdpSocket.receive

    async def read_tcp(self: trio.SocketStream, max_bytes: int | None = None) -> bytes:
        nonlocal reads
        chunk = await receive_tcp(self, max_bytes)
        reads += 1
        return bytes(chunk)

    async def read_udp(self: _UdpSocket) -> list[tuple[bytes, SocketAddress]]:
        nonlocal reads
        got = await receive_udp(self)
        reads += 1
        return got

    async with trio.open_nursery() as nursery:
        one, _ = await start(nursery, 1, (LOOPBACKS[over],))
        two, _ = await start(nursery, 2, (LOOPBACKS[over],))
        await one.dial(two.peer_id, two.addresses)
        assert isinstance(await next_event(two), LinkUp)
        await trio.testing.wait_all_tasks_blocked(0.02)
        writes = one.counts["writes"]
        monkeypatch.setattr(trio.SocketStream, "receive_some", read_tcp)
        monkeypatch.setattr(_UdpSocket, "receive", read_udp)
        frames = [number.to_bytes(2, "big") * 100 for number in range(250)]
        assert all(one.send_nowait(two.peer_id, frame) for frame in frames)
        assert [await next_event(two) for _ in frames] == [FrameReceived(one.peer_id, frame) for frame in frames]
        assert one.counts["writes"] - writes == 1  # 50,500 bytes
        # QUIC reads acknowledgements too, and its first flights are small.
        assert reads <= (3 if over == "TCP" else 60)
        nursery.cancel_scope.cancel()


async def test_identify_is_answered_and_never_asked() -> None:
    """The answer is made once, in `run`; asking every peer would cost stock's start-up, and tells us nothing we use."""
    async with running(1) as (host,), raw_peer(host) as raw:
        await raw.accept()
        assert await next_event(host) == LinkUp(raw.peer_id, outbound=False)
        answers = []
        for _ in range(2):
            stream = await raw.open(IDENTIFY_PROTOCOL)
            answers.append(Identify.FromString(await stream.receive_prefixed(4096)))
            assert await stream.receive_some() == b""
        assert answers[0] == answers[1]
        assert [str(Multiaddr(each)) for each in answers[0].listen_addrs] == list(host.addresses)
        assert set(answers[0].protocols) == {*GOSSIP_PROTOCOLS, IDENTIFY_PROTOCOL, PING_PROTOCOL}
        assert ID.from_pubkey(deserialize_public_key(answers[0].public_key)).to_bytes() == host.peer_id
        with trio.move_on_after(0.1) as asked:
            await raw.accept()
        assert asked.cancelled_caught


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux lists them")
async def test_leaves_no_socket_task_or_thread_behind() -> None:
    async def once() -> None:
        async with linked() as (one, two), trio.open_nursery() as nursery:
            nursery.start_soon(request_in_vain, one, two.peer_id)
            for number in range(50):
                await one.send(two.peer_id, bytes(1000 + number))
            with pytest.raises(NotConnectedError):
                await one.dial(PeerId.from_public_key(bytes(SigningKey(seed(9)).verify_key)), two.addresses)
            await one.hang_up(two.peer_id)

    await once()  # what Python and the libraries open once and keep
    files, tasks, threads = open_files(), trio.lowlevel.current_statistics().tasks_living, threading.active_count()
    for _ in range(3):
        await once()
    await trio.testing.wait_all_tasks_blocked()
    assert open_files() == files
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    assert threading.active_count() <= threads
