"""Several transports as one: the contract holds, and a peer linked twice cannot be told from one linked once."""

import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from net.composite import MEMORY, MERGED_EVENTS, TCP, CompositeTransport, Part
from net.libp2p_host import Libp2pTransport
from net.memory import INBOX_EVENTS, MemoryNetwork, MemoryTransport
from net.memory_conditions import LANE_FRAMES
from net.peer import Address
from net.transport import (
    FrameReceived,
    LinkDown,
    LinkUp,
    NotConnectedError,
    RequestFailedError,
    RequestReceived,
    Transport,
    TransportEvent,
)
from tests.net.swarm import identity
from tests.net.transport_conformance import (
    CHECKS,
    PATIENCE_S,
    PROTOCOL,
    Check,
    MakeTransport,
    check_backpressure,
    check_cancelled_run_leaves_nothing,
    check_dial_at_once_from_both_ends,
    check_dial_fails,
    check_frames_are_ordered,
    check_hang_up,
    check_link_at_both_ends,
    check_name,
    check_redial_after_restart,
    check_requests,
    connect,
    expect,
    running,
)

TOPIC = "/test/news"


@asynccontextmanager
async def networks(count: int) -> AsyncGenerator[list[MemoryNetwork], None]:
    """Memory networks apart from each other."""
    made = [MemoryNetwork(rng=random.Random(n)) for n in range(count)]
    async with trio.open_nursery() as nursery:
        for network in made:
            await nursery.start(network.run)
        yield made
        nursery.cancel_scope.cancel()


def libp2p(n: int, *listen: Address) -> Libp2pTransport:
    seed = n.to_bytes(32, "big")
    return Libp2pTransport(seed, listen=listen) if listen else Libp2pTransport(seed)


# The contract. ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def alone() -> AsyncGenerator[MakeTransport, None]:
    async with networks(1) as (network,):
        yield lambda n: CompositeTransport([Part(network.attach(identity(n)), MEMORY)])


@asynccontextmanager
async def crossed() -> AsyncGenerator[MakeTransport, None]:
    """Even peers are on networks 0 and 1, odd ones on 1 and 2, so that links need now the one, now the other part."""
    async with networks(3) as made:

        def make(n: int) -> Transport:
            pair = (made[n % 2], made[n % 2 + 1])
            return CompositeTransport([Part(network.attach(identity(n)), MEMORY) for network in pair])

        yield make


@asynccontextmanager
async def two_processes() -> AsyncGenerator[MakeTransport, None]:
    """Even and odd peers are linked through libp2p, others in memory, as if in two processes."""
    async with networks(2) as made:
        yield lambda n: CompositeTransport([Part(made[n % 2].attach(identity(n)), MEMORY), Part(libp2p(n), TCP)])


@pytest.mark.parametrize("check", CHECKS, ids=check_name)
async def test_conformance_of_one_part(check: Check, autojump_clock: MockClock) -> None:
    await check(alone)


@pytest.mark.parametrize("check", CHECKS, ids=check_name)
async def test_conformance_of_memory_and_memory(check: Check, autojump_clock: MockClock) -> None:
    await check(crossed)


@pytest.mark.parametrize(
    "check",
    [
        check_link_at_both_ends,
        check_dial_at_once_from_both_ends,
        check_dial_fails,
        check_frames_are_ordered,
        check_backpressure,
        check_requests,
        check_hang_up,
        check_cancelled_run_leaves_nothing,
        check_redial_after_restart,
    ],
    ids=check_name,
)
async def test_conformance_of_memory_and_libp2p(check: Check) -> None:
    await check(two_processes)


# Two links with one peer. -------------------------------------------------------------------------------------


@dataclass
class Peer:
    """A composite peer of two parts, which tests may use behind its back."""

    parts: tuple[MemoryTransport, MemoryTransport]
    whole: CompositeTransport


@asynccontextmanager
async def peers(count: int) -> AsyncGenerator[list[Peer], None]:
    async with networks(2) as (first, second):
        made = []
        for n in range(count):
            parts = (first.attach(identity(n)), second.attach(identity(n)))
            made.append(Peer(parts, CompositeTransport([Part(part, MEMORY) for part in parts])))
        async with running(*(peer.whole for peer in made)):
            yield made


async def link(a: Peer, b: Peer, part: int) -> None:
    """Bring up a link through one part, as a dial of the other end or of another task may."""
    await a.parts[part].dial(b.parts[part].peer_id, b.parts[part].addresses)


async def drain(transport: Transport) -> list[TransportEvent]:
    """Read until nothing more comes."""
    events = []
    while True:
        with trio.move_on_after(0.1) as quiet:
            events.append(await transport.events.receive())
        if quiet.cancelled_caught:
            return events


def frames(events: list[TransportEvent]) -> list[bytes]:
    return [event.frame for event in events if isinstance(event, FrameReceived)]


async def test_two_links_show_as_one(autojump_clock: MockClock) -> None:
    async with peers(2) as (a, b):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link, a, b, 0)
            nursery.start_soon(link, b, a, 1)
        assert a.whole.peers() == [b.whole.peer_id]
        await a.whole.send(b.whole.peer_id, b"to b")
        assert b.whole.send_nowait(a.whole.peer_id, b"to a")
        for peer, other in ((a, b), (b, a)):
            up, frame = await drain(peer.whole)
            assert isinstance(up, LinkUp) and up.peer == other.whole.peer_id
            assert isinstance(frame, FrameReceived)
        await a.whole.hang_up(b.whole.peer_id)
        assert await drain(a.whole) == [LinkDown(b.whole.peer_id)]
        assert await drain(b.whole) == [LinkDown(a.whole.peer_id)]
        assert not a.whole.peers() and not any(part.peers() for part in (*a.parts, *b.parts))


@pytest.mark.parametrize("lost", [0, 1])
async def test_the_surviving_link_carries_on(lost: int, autojump_clock: MockClock) -> None:
    """Where the lost one carried nothing, nobody notices."""
    async with peers(2) as (a, b):
        a_id, b_id = a.whole.peer_id, b.whole.peer_id
        await link(a, b, 1 - lost)
        await a.whole.send(b_id, b"1")
        await b.whole.send(a_id, b"2")
        await link(a, b, lost)
        await b.parts[lost].hang_up(a_id)
        await a.whole.send(b_id, b"3")
        assert await drain(b.whole) == [
            LinkUp(a_id, outbound=False),
            FrameReceived(a_id, b"1"),
            FrameReceived(a_id, b"3"),
        ]
        assert await drain(a.whole) == [LinkUp(b_id, outbound=True), FrameReceived(b_id, b"2")]

        # A dial finds the link there is; the last one's end is the end.
        await a.whole.dial(b_id, b.whole.addresses)
        assert b_id not in a.parts[lost].peers()
        await b.parts[1 - lost].hang_up(a_id)
        assert await drain(a.whole) == [LinkDown(b_id)]
        assert await drain(b.whole) == [LinkDown(a_id)]
        with pytest.raises(NotConnectedError):
            await a.whole.send(b_id, b"nobody there")
        assert not a.whole.send_nowait(b_id, b"nobody there")


async def test_the_carrier_stays_while_it_is_up(autojump_clock: MockClock) -> None:
    """A second link, even of a preferred part, takes nothing over: it could overtake."""
    async with peers(2) as (a, b):
        await link(a, b, 1)
        # More than the composite takes, so that some wait in the second part while b does not read.
        before = MERGED_EVENTS + 100
        for n in range(before):
            await a.whole.send(b.whole.peer_id, b"%d" % n)
        await link(a, b, 0)
        sent = before
        while a.whole.send_nowait(b.whole.peer_id, b"%d" % sent):
            sent += 1
            await trio.lowlevel.checkpoint()
        assert sent >= before + LANE_FRAMES
        assert frames(await drain(b.whole)) == [b"%d" % n for n in range(sent)]


async def test_a_carrier_that_is_gone_is_forgotten(autojump_clock: MockClock) -> None:
    """After a peer has been away, the preferred part carries, whichever did before."""
    async with networks(2) as made:
        a, b = (
            Peer(parts, CompositeTransport([Part(part, MEMORY) for part in parts]))
            for parts in ((made[0].attach(identity(n)), made[1].attach(identity(n))) for n in (1, 2))
        )
        async with running(a.whole, b.whole):
            await link(a, b, 1)
            await a.whole.send(b.whole.peer_id, b"1")
            await a.whole.hang_up(b.whole.peer_id)
            assert len(await drain(a.whole)) == len([LinkUp, LinkDown])
            await link(a, b, 1)
            await link(a, b, 0)
            await a.whole.send(b.whole.peer_id, b"2")
            assert [network.traffic(a.whole.peer_id).frames_sent for network in made] == [1, 1]


async def test_requests_take_the_surviving_link(autojump_clock: MockClock) -> None:
    async with peers(2) as (a, b):
        a_id, b_id = a.whole.peer_id, b.whole.peer_id
        await link(a, b, 0)
        await link(a, b, 1)

        async def reply() -> None:
            await expect(b.whole, LinkUp)
            request = await expect(b.whole, RequestReceived)
            await request.reply(request.body)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reply)
            await b.parts[0].hang_up(a_id)
            assert await a.whole.request(b_id, PROTOCOL, b"2", timeout=5) == b"2"


async def test_an_old_link_does_not_live_on_in_the_next(autojump_clock: MockClock) -> None:
    """A reader so far behind that the next link, through another part, is up before it has read the first one's end."""
    async with peers(2) as (a, b):
        a_id, b_id = a.whole.peer_id, b.whole.peer_id
        await link(a, b, 0)
        unread = MERGED_EVENTS + 50
        for n in range(unread):
            assert a.whole.send_nowait(b_id, b"old %d" % n)
            await trio.lowlevel.checkpoint()
        failed = None

        async def ask() -> None:
            nonlocal failed
            with pytest.raises(RequestFailedError) as failure:
                await a.parts[0].request(b_id, PROTOCOL, b"old", timeout=5)
            failed = failure.value

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            await a.whole.hang_up(b_id)
        assert failed is not None
        await link(b, a, 1)
        await a.whole.send(b_id, b"new")
        await link(a, b, 0)  # and a third, which joins the second
        await a.whole.send(b_id, b"newer")

        up, *rest = await drain(b.whole)
        assert up == LinkUp(a_id, outbound=False)
        end = rest.index(LinkDown(a_id))
        old = frames(rest[:end])
        assert 0 < len(old) == end < unread
        assert old == [b"old %d" % n for n in range(end)]
        # Whether the second or the third link is announced depends on which part is let in first.
        assert isinstance(rest[end + 1], LinkUp)
        assert rest[end + 2 :] == [FrameReceived(a_id, b"new"), FrameReceived(a_id, b"newer")]
        for part in (0, 1):
            await a.parts[part].hang_up(b_id)
        assert await drain(b.whole) == [LinkDown(a_id)]


async def test_links_that_come_and_go_at_random_show_as_one_story(autojump_clock: MockClock) -> None:
    """Whatever links and reader do: LinkUp and LinkDown alternate, frames come only in between and never twice."""
    for seed in range(20):
        rng = random.Random(seed)
        async with peers(2) as (a, b):
            a_id, b_id = a.whole.peer_id, b.whole.peer_id
            seen: list[TransportEvent] = []
            sent = 0
            for _ in range(300):
                match rng.randrange(8):
                    case 0:
                        await link(a, b, rng.randrange(2))
                    case 1:
                        await a.parts[rng.randrange(2)].hang_up(b_id)
                    case 2:
                        seen += await read_at_most(rng.randrange(100), b.whole)
                    case _:
                        for _ in range(rng.randrange(30)):
                            sent += a.whole.send_nowait(b_id, b"%d" % sent)
            seen += await drain(b.whole)
            linked = a_id in b.whole.peers()
            up = False
            for event in seen:
                if isinstance(event, FrameReceived):
                    assert up, f"seed {seed}"
                else:
                    assert isinstance(event, LinkDown) is up, f"seed {seed}"
                    up = not up
            assert up is linked, f"seed {seed}"
            assert 0 < len(set(frames(seen))) == len(frames(seen)) <= sent, f"seed {seed}"


async def read_at_most(count: int, transport: Transport) -> list[TransportEvent]:
    events: list[TransportEvent] = []
    while len(events) < count:
        try:
            events.append(transport.events.receive_nowait())
        except trio.WouldBlock:
            break
        await trio.lowlevel.checkpoint()
    return events


# Backpressure. ------------------------------------------------------------------------------------------------


async def test_a_reader_that_falls_behind_stalls_every_part(autojump_clock: MockClock) -> None:
    async with peers(3) as (a, b, hub):
        await link(a, hub, 0)
        await link(b, hub, 1)
        hub_id = hub.whole.peer_id
        sent = {a.whole.peer_id: 0, b.whole.peer_id: 0}

        async def send_until_stuck(peer: Peer) -> None:
            while True:
                with trio.move_on_after(1) as stuck:
                    await peer.whole.send(hub_id, b"%d" % sent[peer.whole.peer_id])
                if stuck.cancelled_caught:
                    return
                sent[peer.whole.peer_id] += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_until_stuck, a)
            nursery.start_soon(send_until_stuck, b)
        assert sum(sent.values()) <= MERGED_EVENTS + 2 * (1 + INBOX_EVENTS + LANE_FRAMES)
        assert all(count >= LANE_FRAMES for count in sent.values())
        assert not a.whole.send_nowait(hub_id, b"no room")

        got = [event for event in await drain(hub.whole) if isinstance(event, FrameReceived)]
        for peer, count in sent.items():
            assert [event.frame for event in got if event.peer == peer] == [b"%d" % n for n in range(count)]
        # While both waited for room they were let in in turn: neither part starves the other.
        late = [event.peer for event in got[MERGED_EVENTS : MERGED_EVENTS + INBOX_EVENTS]]
        assert min(late.count(peer) for peer in sent) >= len(late) // 3


# Running and failing. -----------------------------------------------------------------------------------------


def test_parts_that_do_not_belong_together__rejected() -> None:
    network = MemoryNetwork(rng=random.Random(1))
    with pytest.raises(ValueError, match="one peer id"):
        CompositeTransport([Part(network.attach(identity(n)), MEMORY) for n in (1, 2)])
    with pytest.raises(ValueError, match="needs parts"):
        CompositeTransport([])


async def test_a_part_that_cannot_start_closes_the_others() -> None:
    async with networks(1) as (network,), AsyncExitStack() as stack:
        other = network.attach(identity(2))
        taken = libp2p(3)
        await stack.enter_async_context(running(other, taken))
        memory = network.attach(identity(1))
        whole = CompositeTransport([Part(memory, MEMORY), Part(libp2p(1, *taken.addresses), TCP)])
        with trio.fail_after(PATIENCE_S), pytest.raises(ExceptionGroup) as failure:
            await whole.run()
        assert failure.group_contains(OSError)
        assert [event async for event in whole.events] == []
        with pytest.raises(NotConnectedError):
            await other.dial(memory.peer_id, memory.addresses)
        with pytest.raises(RuntimeError, match="has run"):
            await whole.run()


class CutCable(MemoryTransport):
    """Fails when told to."""

    @classmethod
    def of(cls, part: MemoryTransport) -> "CutCable":
        return cls(part._wire, part._peer_id, part._address)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.cut = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(super().run)
            task_status.started()
            await self.cut.wait()
            raise OSError("the cable was cut")


async def test_an_error_of_a_part_escapes_and_closes_the_others(autojump_clock: MockClock) -> None:
    async with networks(2) as (first, second):
        steady, failing = first.attach(identity(1)), CutCable.of(second.attach(identity(1)))
        whole = CompositeTransport([Part(steady, MEMORY), Part(failing, MEMORY)])
        other = first.attach(identity(2))
        async with running(other):

            async def run_until_it_fails() -> None:
                async with trio.open_nursery() as nursery:
                    await nursery.start(whole.run)
                    await connect(whole, other)
                    failing.cut.set()

            with pytest.raises(ExceptionGroup) as failure:
                await run_until_it_fails()
            assert failure.group_contains(OSError, match="the cable was cut")
            assert await expect(other, LinkDown) == LinkDown(whole.peer_id)
            assert [event async for event in whole.events] == []
            assert not whole.peers()


async def test_an_address_that_no_part_dials_is_named(autojump_clock: MockClock) -> None:
    async with peers(1) as (a,):
        with pytest.raises(NotConnectedError, match="no part of this transport dials '/unix/x'"):
            await a.whole.dial(identity(9), [Address("/unix/x")])
        with pytest.raises(NotConnectedError, match="/memory/77"):
            await a.whole.dial(identity(9), [Address("/unix/x"), Address("/memory/77")])
