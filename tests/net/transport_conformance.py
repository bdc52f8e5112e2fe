"""What every `net.transport.Transport` must do, in the manner of `trio.testing.check_two_way_stream`.

A test module provides a `Site` and runs each of `CHECKS` on it::

    @pytest.mark.parametrize("check", CHECKS, ids=check_name)
    async def test_conformance(check): await check(my_site)

Waiting is bounded by `PATIENCE_S` on whichever clock the test runs.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import pytest
import trio

from net.peer import Address
from net.transport import (
    MAX_FRAME_BYTES,
    MAX_REQUEST_BYTES,
    FrameReceived,
    FrameTooLargeError,
    LinkDown,
    LinkUp,
    NotConnectedError,
    RequestFailedError,
    RequestReceived,
    Transport,
    TransportEvent,
)

PATIENCE_S = 20.0
PROTOCOL = "/crowdmesh-test/echo/1"
MAX_UNREAD_BYTES = 64 << 20
"""What a transport, its peer and the system between may hold for a reader that does not read."""

MakeTransport = Callable[[int], Transport]
"""Makes a transport, not yet running, of peer number n; again with the same identity once the earlier one stopped."""
Site = Callable[[], AbstractAsyncContextManager[MakeTransport]]
"""Sets up whatever connects the transports that are made inside."""
Check = Callable[[Site], Awaitable[None]]
E = TypeVar("E", bound=TransportEvent)


def check_name(check: Check) -> str:
    return check.__name__.removeprefix("check_")


@asynccontextmanager
async def running(*transports: Transport) -> AsyncGenerator[list[trio.CancelScope], None]:
    """Run the transports; each is stopped by cancelling its scope."""
    async with trio.open_nursery() as nursery:
        scopes = [await nursery.start(_run, transport) for transport in transports]
        yield scopes
        nursery.cancel_scope.cancel()


async def _run(transport: Transport, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(transport.run)
            task_status.started(scope)


async def expect(transport: Transport, kind: type[E]) -> E:
    """Read the next event, which must be of `kind`."""
    with trio.fail_after(PATIENCE_S):
        event = await transport.events.receive()
    assert isinstance(event, kind), f"expected {kind.__name__}, got {event!r:.200}"
    return event


async def connect(dialler: Transport, listener: Transport) -> None:
    """Dial, and read LinkUp at both ends."""
    with trio.fail_after(PATIENCE_S):
        await dialler.dial(listener.peer_id, listener.addresses)
    assert await expect(dialler, LinkUp) == LinkUp(listener.peer_id, outbound=True)
    assert await expect(listener, LinkUp) == LinkUp(dialler.peer_id, outbound=False)


async def eventually(fact: Callable[[], bool]) -> None:
    """Wait for what needs no event of its own."""
    with trio.fail_after(PATIENCE_S):
        while not fact():  # noqa: ASYNC110 - the seam has no event for it
            await trio.sleep(0.01)


async def answer_all(transport: Transport) -> None:
    """Answer every request with its body; skip the rest."""
    async for event in transport.events:
        if isinstance(event, RequestReceived):
            await event.reply(event.body)


async def check_identity(site: Site) -> None:
    """A transport has its peer's id and, once running, an address; a peer that comes back is the same peer."""
    async with site() as make:
        a, b = make(0), make(1)
        assert a.peer_id != b.peer_id
        async with running(a):
            assert a.addresses
            assert not a.peers()
        assert make(0).peer_id == a.peer_id


async def check_link_at_both_ends(site: Site) -> None:
    """Dialling brings a link up at both ends, and `peers` is sorted."""
    async with site() as make:
        hub, *others = (make(i) for i in range(4))
        async with running(hub, *others):
            for other in others:
                await connect(other, hub)
            assert list(hub.peers()) == sorted(other.peer_id for other in others)
            assert all(list(other.peers()) == [hub.peer_id] for other in others)


async def check_dial_is_idempotent(site: Site) -> None:
    """A second dial, later or at the same time, from either end, makes no second link."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(a.dial, b.peer_id, b.addresses)
                nursery.start_soon(a.dial, b.peer_id, b.addresses)
            await expect(a, LinkUp)
            await expect(b, LinkUp)
            await a.dial(b.peer_id, b.addresses)
            await b.dial(a.peer_id, a.addresses)
            # The next event is the frame, hence nothing else happened.
            await a.send(b.peer_id, b"to b")
            await b.send(a.peer_id, b"to a")
            assert await expect(b, FrameReceived) == FrameReceived(a.peer_id, b"to b")
            assert await expect(a, FrameReceived) == FrameReceived(b.peer_id, b"to a")


async def check_dial_at_once_from_both_ends(site: Site) -> None:
    """Two peers that dial each other end with one link that works."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b):
            with trio.fail_after(PATIENCE_S):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(a.dial, b.peer_id, b.addresses)
                    nursery.start_soon(b.dial, a.peer_id, a.addresses)
            await eventually(lambda: list(a.peers()) == [b.peer_id] and list(b.peers()) == [a.peer_id])
            await a.send(b.peer_id, b"to b")
            await b.send(a.peer_id, b"to a")
            for transport in (a, b):
                links = 0
                with trio.fail_after(PATIENCE_S):
                    while not isinstance(event := await transport.events.receive(), FrameReceived):
                        links += 1 if isinstance(event, LinkUp) else -1
                assert links == 1


async def check_dial_fails(site: Site) -> None:
    """No address, a dead one, or one where somebody else listens: NotConnectedError, and no link."""
    async with site() as make:
        a, b, c = make(0), make(1), make(2)
        async with running(a, b):
            async with running(c):
                gone = list(c.addresses)
            cases: list[list[Address]] = [[], gone, list(b.addresses)]
            for addresses in cases:
                with trio.fail_after(PATIENCE_S), pytest.raises(NotConnectedError):
                    await a.dial(c.peer_id, addresses)
            assert not a.peers()
            # One good address among bad ones is enough.
            with trio.fail_after(PATIENCE_S):
                await a.dial(b.peer_id, [*gone, *b.addresses])
            assert list(a.peers()) == [b.peer_id]


async def check_frames_are_ordered(site: Site) -> None:
    """Frames of any size arrive whole and in order, in both directions at once."""
    sizes = [1, 100, 5_000, 3, 70_000, 20]

    def frames(mark: bytes) -> list[bytes]:
        return [mark + n.to_bytes(4, "big") + bytes(sizes[n % len(sizes)]) for n in range(300)]

    async def send_all(source: Transport, target: Transport, mark: bytes) -> None:
        for frame in frames(mark):
            await source.send(target.peer_id, frame)

    async def receive_all(target: Transport, source: Transport, mark: bytes) -> None:
        for frame in frames(mark):
            assert await expect(target, FrameReceived) == FrameReceived(source.peer_id, frame)

    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b):
            await connect(a, b)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_all, a, b, b"a")
                nursery.start_soon(send_all, b, a, b"b")
                nursery.start_soon(receive_all, a, b, b"b")
                nursery.start_soon(receive_all, b, a, b"a")


async def check_frame_bound(site: Site) -> None:
    """A frame of exactly the bound passes; one byte more is our fault, and the link stays."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b):
            await connect(a, b)
            largest = bytes(MAX_FRAME_BYTES)
            for _ in range(2):
                await a.send(b.peer_id, largest)
                assert (await expect(b, FrameReceived)).frame == largest
                with pytest.raises(FrameTooLargeError):
                    await a.send(b.peer_id, largest + b"!")
                with pytest.raises(FrameTooLargeError):
                    a.send_nowait(b.peer_id, largest + b"!")


async def check_no_link(site: Site) -> None:
    """Without a link nothing can be sent or asked; hanging up is harmless."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b):
            with pytest.raises(NotConnectedError):
                await a.send(b.peer_id, b"frame")
            assert a.send_nowait(b.peer_id, b"frame") is False
            with pytest.raises(NotConnectedError):
                await a.request(b.peer_id, PROTOCOL, b"", timeout=1)
            await a.hang_up(b.peer_id)


async def check_backpressure(site: Site) -> None:
    """A peer that does not read stops its sender after bounded many bytes; once it reads, all of it arrives in order."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b):
            await connect(a, b)
            padding = bytes(32_768)
            sent = 0
            while True:
                with trio.move_on_after(1.0) as stuck:
                    await a.send(b.peer_id, sent.to_bytes(4, "big") + padding)
                if stuck.cancelled_caught:
                    break
                sent += 1
                assert sent * len(padding) < MAX_UNREAD_BYTES
            assert a.send_nowait(b.peer_id, b"no room") is False
            for n in range(sent):
                assert (await expect(b, FrameReceived)).frame[:4] == n.to_bytes(4, "big")
            await a.send(b.peer_id, b"again")
            with trio.fail_after(PATIENCE_S):
                # A cancelled send may or may not have queued its frame.
                while (await expect(b, FrameReceived)).frame != b"again":
                    pass


async def check_requests(site: Site) -> None:
    """Requests are answered each with its own answer, concurrently and in any order, in both directions."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b):
            await connect(a, b)
            answers: dict[int, bytes] = {}

            async def ask(n: int) -> None:
                answers[n] = await a.request(b.peer_id, PROTOCOL, b"%d" % n, timeout=PATIENCE_S)

            async with trio.open_nursery() as nursery:
                for n in range(20):
                    nursery.start_soon(ask, n)
                asked = [await expect(b, RequestReceived) for _ in range(20)]
                assert {request.peer for request in asked} == {a.peer_id}
                assert {request.protocol for request in asked} == {PROTOCOL}
                for request in reversed(asked):
                    await request.reply(b"re " + request.body)
            assert answers == {n: b"re %d" % n for n in range(20)}
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer_all, a)
                assert await b.request(a.peer_id, PROTOCOL, b"", timeout=PATIENCE_S) == b""
                nursery.cancel_scope.cancel()


async def check_request_bound(site: Site) -> None:
    """Bodies of exactly the bound pass in both directions; one byte more is the fault of whoever sends it."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b):
            await connect(a, b)
            largest = bytes(MAX_REQUEST_BYTES)
            with pytest.raises(FrameTooLargeError):
                await a.request(b.peer_id, PROTOCOL, largest + b"!", timeout=PATIENCE_S)

            async def answer_too_much_then_the_most() -> None:
                request = await expect(b, RequestReceived)
                assert request.body == largest
                with pytest.raises(FrameTooLargeError):
                    await request.reply(largest + b"!")
                await request.reply(largest)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer_too_much_then_the_most)
                assert await a.request(b.peer_id, PROTOCOL, largest, timeout=PATIENCE_S) == largest


async def check_refusal_is_definite(site: Site) -> None:
    """A refused request, e.g. of an unknown protocol, fails definitely and with the reason."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b):
            await connect(a, b)

            async def refuse() -> None:
                request = await expect(b, RequestReceived)
                assert request.protocol == "/crowdmesh-test/unknown/1"
                await request.refuse("not served here")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(refuse)
                with pytest.raises(RequestFailedError, match="not served here") as failure:
                    await a.request(b.peer_id, "/crowdmesh-test/unknown/1", b"", timeout=PATIENCE_S)
            assert failure.value.definite


async def check_request_timeout(site: Site) -> None:
    """Without an answer a request fails after its timeout, indefinitely; a late answer harms nobody."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b):
            await connect(a, b)
            began = trio.current_time()
            with pytest.raises(RequestFailedError) as failure:
                await a.request(b.peer_id, PROTOCOL, b"slow", timeout=0.5)
            assert 0.499 <= trio.current_time() - began < 0.5 + PATIENCE_S
            assert not failure.value.definite
            late = await expect(b, RequestReceived)
            await late.reply(b"late")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer_all, b)
                assert await a.request(b.peer_id, PROTOCOL, b"next", timeout=PATIENCE_S) == b"next"
                nursery.cancel_scope.cancel()


async def check_hang_up(site: Site) -> None:
    """Hanging up takes the link down at both ends; it can be dialled anew, from the other end too."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b):
            for dialler, listener in ((a, b), (b, a)):
                await connect(dialler, listener)
                await a.hang_up(b.peer_id)
                assert await expect(a, LinkDown) == LinkDown(b.peer_id)
                assert await expect(b, LinkDown) == LinkDown(a.peer_id)
                assert not a.peers()
                assert not b.peers()
                with pytest.raises(NotConnectedError):
                    await a.send(b.peer_id, b"frame")


async def check_stop_fails_requests(site: Site) -> None:
    """A request to a peer that stops fails at once, not after its timeout, and indefinitely."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a, b) as (_, b_scope):
            await connect(a, b)

            async def stop_when_asked() -> None:
                await expect(b, RequestReceived)
                b_scope.cancel()

            with trio.fail_after(PATIENCE_S):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(stop_when_asked)
                    with pytest.raises(RequestFailedError) as failure:
                        await a.request(b.peer_id, PROTOCOL, b"", timeout=10 * PATIENCE_S)
            assert not failure.value.definite


async def check_cancelled_run_leaves_nothing(site: Site) -> None:
    """After its run is cancelled a transport has no link, task or listener; its events end, its peers see LinkDown."""
    async with site() as make:
        a, b = make(0), make(1)
        async with running(a):
            before = trio.lowlevel.current_statistics().tasks_living
            async with running(b):
                await connect(a, b)
            assert await expect(a, LinkDown) == LinkDown(b.peer_id)
            await eventually(lambda: trio.lowlevel.current_statistics().tasks_living <= before)
            assert not a.peers()
            assert not b.peers()
            with trio.fail_after(PATIENCE_S):
                async for event in b.events:
                    assert isinstance(event, LinkDown), event
            with trio.fail_after(PATIENCE_S), pytest.raises(NotConnectedError):
                await a.dial(b.peer_id, b.addresses)
            with pytest.raises(NotConnectedError):
                await b.dial(a.peer_id, a.addresses)


async def check_redial_after_restart(site: Site) -> None:
    """A peer that stopped and came back with its identity is dialled anew and is the same peer."""
    async with site() as make:
        a = make(0)
        async with running(a):
            for generation in range(3):
                b = make(1)
                async with running(b):
                    await (connect(a, b) if generation % 2 else connect(b, a))
                    await a.send(b.peer_id, b"%d" % generation)
                    assert (await expect(b, FrameReceived)).frame == b"%d" % generation
                    await b.send(a.peer_id, b"back")
                    assert await expect(a, FrameReceived) == FrameReceived(b.peer_id, b"back")
                assert await expect(a, LinkDown) == LinkDown(b.peer_id)


async def check_group_is_the_peers(site: Site) -> None:
    """Where a peer is does not depend on who dialled whom, nor on which of its links it is."""
    async with site() as make:
        hub, groups = make(0), set()
        async with running(hub):
            for dials in (True, False, True):
                other = make(1)
                async with running(other):
                    dialler, listener = (hub, other) if dials else (other, hub)
                    await dialler.dial(listener.peer_id, listener.addresses)
                    groups.add((await expect(hub, LinkUp)).group)
                    assert (await expect(other, LinkUp)).peer == hub.peer_id
                await expect(hub, LinkDown)
        assert len(groups) == 1
        assert all(group is None or 0 < len(group) <= 64 for group in groups)


CHECKS: tuple[Check, ...] = (
    check_identity,
    check_link_at_both_ends,
    check_dial_is_idempotent,
    check_dial_at_once_from_both_ends,
    check_dial_fails,
    check_frames_are_ordered,
    check_frame_bound,
    check_no_link,
    check_backpressure,
    check_requests,
    check_request_bound,
    check_refusal_is_definite,
    check_request_timeout,
    check_hang_up,
    check_stop_fails_requests,
    check_cancelled_run_leaves_nothing,
    check_redial_after_restart,
    check_group_is_the_peers,
)
