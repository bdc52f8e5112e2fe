"""Links that are cut, held or clogged: what gets through, who notices when, and what comes after."""

import random
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from net.keeper import ConnectionKeeper
from net.memory import SILENCE_S, Impairment, LinkConditions, MemoryNetwork, MemoryTransport
from net.memory_conditions import LANE_FRAMES, SOUND
from net.memory_wire import KEEP_ALIVE_S
from net.peer import PeerId
from net.transport import FrameReceived, LinkDown, LinkUp, NotConnectedError, RequestFailedError, RequestReceived
from tests.net.swarm import TOPIC, identity, listening, swarm
from tests.net.test_memory import network, pair, peer
from tests.net.transport_conformance import connect, expect, running

LATENCY_S = 0.1
SLOW = LinkConditions(latency_s=LATENCY_S)
CUT = Impairment(cut=True)
HELD = Impairment(held=True)
CLOGGED = Impairment(bytes_per_s=10)


def ail(net: MemoryNetwork, trouble: Impairment, *directions: tuple[MemoryTransport, MemoryTransport]) -> None:
    """Impair these directions, and no others."""
    struck = {(source.peer_id, target.peer_id) for source, target in directions}
    net.impair(lambda source, target: trouble if (source, target) in struck else SOUND)


def heal(net: MemoryNetwork) -> None:
    net.impair(lambda source, target: SOUND)


def drain(transport: MemoryTransport) -> Iterator[object]:
    while transport.events.statistics().current_buffer_used:
        yield transport.events.receive_nowait()


async def test_what_is_sent_into_a_cut_vanishes(autojump_clock: MockClock) -> None:
    async with pair(SLOW) as (net, a, b):
        await a.send(b.peer_id, b"under way")
        ail(net, CUT, (a, b), (b, a))
        await a.send(b.peer_id, b"lost")
        await b.send(a.peer_id, b"lost too")
        with pytest.raises(RequestFailedError) as failure:
            await a.request(b.peer_id, "/p/1", b"", timeout=2)
        assert not failure.value.definite
        heal(net)
        await a.send(b.peer_id, b"after")
        assert (await expect(b, FrameReceived)).frame == b"under way"
        assert (await expect(b, FrameReceived)).frame == b"after"
        assert not list(drain(a))
        assert net.traffic().frames_lost == 2


@pytest.mark.parametrize("one_way", [False, True], ids=["both ways", "one way"])
async def test_a_dead_link_is_noticed_at_both_ends(one_way: bool, autojump_clock: MockClock) -> None:
    async with pair(SLOW) as (net, a, b):
        ail(net, CUT, (a, b), *([] if one_way else [(b, a)]))
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            times = {}

            async def notice(me: MemoryTransport, other: MemoryTransport) -> None:
                assert await expect(me, LinkDown) == LinkDown(other.peer_id)
                times[me] = trio.current_time() - began

            nursery.start_soon(notice, a, b)
            nursery.start_soon(notice, b, a)
        assert all(SILENCE_S - KEEP_ALIVE_S <= time <= SILENCE_S for time in times.values())
        assert not a.peers() and not b.peers()
        with pytest.raises(NotConnectedError):
            await a.send(b.peer_id, b"frame")
        await trio.sleep(60)
        assert not list(drain(a)) and not list(drain(b))


async def test_a_short_cut_takes_no_link_down(autojump_clock: MockClock) -> None:
    async with pair(SLOW) as (net, a, b):
        for _ in range(5):
            ail(net, CUT, (a, b), (b, a))
            await trio.sleep(SILENCE_S - KEEP_ALIVE_S - 0.1)
            heal(net)
            await trio.sleep(0.1)
        await a.send(b.peer_id, b"frame")
        assert (await expect(b, FrameReceived)).frame == b"frame"
        assert list(a.peers()) == [b.peer_id]


async def test_requests_of_a_dead_link_fail_when_it_is_noticed(autojump_clock: MockClock) -> None:
    async with pair(SLOW) as (net, a, b):
        ail(net, CUT, (b, a))
        began = trio.current_time()
        with pytest.raises(RequestFailedError, match="not been heard") as failure:
            await a.request(b.peer_id, "/p/1", b"", timeout=600)
        assert not failure.value.definite
        assert trio.current_time() - began <= SILENCE_S


async def test_dials_fail_until_the_cut_is_mended(autojump_clock: MockClock) -> None:
    async with network(SLOW) as net:
        a, b = net.attach(peer(0)), net.attach(peer(1))
        async with running(a, b):
            for directions in ([(a, b)], [(b, a)], [(a, b), (b, a)]):
                ail(net, CUT, *directions)
                began = trio.current_time()
                with pytest.raises(NotConnectedError, match="did not answer"):
                    await a.dial(b.peer_id, b.addresses)
                assert trio.current_time() - began == pytest.approx(15)
            heal(net)
            await connect(a, b)


@pytest.mark.parametrize("passed_s", [0.01, 0.11, 0.21, 0.31])
@pytest.mark.parametrize("lasts_s", [1.0, SILENCE_S - KEEP_ALIVE_S / 2, 60.0])
@pytest.mark.parametrize("way", ["there", "back", "both"])
async def test_a_cut_amid_dialling_leaves_both_ends_agreed(
    passed_s: float, lasts_s: float, way: str, autojump_clock: MockClock
) -> None:
    """Whenever it comes and goes, the ends agree in the end, and dialling works."""
    async with network(SLOW, seed=round(lasts_s)) as net:
        a, b = net.attach(peer(0)), net.attach(peer(1))
        async with running(a, b), trio.open_nursery() as nursery:
            outcome: list[str] = []

            @nursery.start_soon
            async def dial() -> None:
                try:
                    await a.dial(b.peer_id, b.addresses)
                except NotConnectedError:
                    outcome.append("failed")
                else:
                    outcome.append("linked")

            await trio.sleep(passed_s)
            ail(net, CUT, *({"there": [(a, b)], "back": [(b, a)], "both": [(a, b), (b, a)]}[way]))
            await trio.sleep(lasts_s)
            heal(net)
            await trio.sleep(30)
            assert outcome in (["failed"], ["linked"])
            assert bool(a.peers()) == bool(b.peers())
            await b.dial(a.peer_id, a.addresses)
            await trio.sleep(1)
            assert list(a.peers()) == [b.peer_id] and list(b.peers()) == [a.peer_id]
            await a.send(b.peer_id, b"frame")
            await trio.sleep(1)
            for me, other in ((a, b), (b, a)):
                links = 0
                for event in drain(me):
                    links += isinstance(event, LinkUp) - isinstance(event, LinkDown)
                    assert links in (0, 1), f"{other.peer_id!r} came up twice"
                assert links == 1


async def test_hanging_up_in_a_cut_is_heard_after_it(autojump_clock: MockClock) -> None:
    async with pair(SLOW) as (net, a, b):
        ail(net, CUT, (a, b), (b, a))
        await a.hang_up(b.peer_id)
        await expect(a, LinkDown)
        await trio.sleep(2)
        assert list(b.peers()) == [a.peer_id]
        heal(net)
        await expect(b, LinkDown)
        await connect(a, b)


async def test_a_crash_and_return_in_a_cut(autojump_clock: MockClock) -> None:
    """The other end learns of the crash from the keep-alive, or when the cut is over: one LinkDown either way."""
    for lasts_s in (3.0, 40.0):
        async with network(SLOW) as net:
            a = net.attach(peer(0))
            async with running(a):
                b = net.attach(peer(1))
                async with running(b):
                    await connect(a, b)
                    ail(net, CUT, (a, b), (b, a))
                    await trio.sleep(1)
                b = net.attach(peer(1))
                async with running(b):
                    await trio.sleep(lasts_s)
                    heal(net)
                    await expect(a, LinkDown)
                    await trio.sleep(20)
                    if not b.peers():
                        await b.dial(a.peer_id, a.addresses)
                    assert await expect(a, LinkUp) == LinkUp(b.peer_id, outbound=False)
                    await b.send(a.peer_id, b"back")
                    assert (await expect(a, FrameReceived)).frame == b"back"


async def test_held_frames_come_in_order_after_the_release(autojump_clock: MockClock) -> None:
    async with pair(SLOW) as (net, a, b):
        ail(net, HELD, (a, b))
        for n in range(50):
            await a.send(b.peer_id, b"%d" % n)
        await b.send(a.peer_id, b"the other way is free")
        await expect(a, FrameReceived)
        await trio.sleep(300)  # the keep-alive does not tell held from slow
        assert list(b.peers()) == [a.peer_id]
        assert not list(drain(b))
        heal(net)
        began = trio.current_time()
        assert [(await expect(b, FrameReceived)).frame for _ in range(50)] == [b"%d" % n for n in range(50)]
        assert trio.current_time() - began == pytest.approx(LATENCY_S)


async def test_a_held_answer_comes_after_the_release(autojump_clock: MockClock) -> None:
    async with pair(SLOW) as (net, a, b), trio.open_nursery() as nursery:
        ail(net, HELD, (b, a))
        began = trio.current_time()

        @nursery.start_soon
        async def ask() -> None:
            assert await a.request(b.peer_id, "/p/1", b"", timeout=100) == b"answer"
            assert trio.current_time() - began == pytest.approx(50 + LATENCY_S)

        await (await expect(b, RequestReceived)).reply(b"answer")
        await trio.sleep_until(began + 50)
        heal(net)


async def test_what_is_held_is_bounded(autojump_clock: MockClock) -> None:
    async with pair(SLOW) as (net, a, b):
        ail(net, HELD, (a, b))
        taken = [a.send_nowait(b.peer_id, b"frame") for _ in range(LANE_FRAMES + 10)]
        assert taken == [True] * LANE_FRAMES + [False] * 10
        heal(net)
        await a.send(b.peer_id, b"room again")


async def test_a_clog_slows_down_and_passes(autojump_clock: MockClock) -> None:
    async with pair(SLOW) as (net, a, b):
        ail(net, CLOGGED, (a, b))
        began = trio.current_time()
        for _ in range(5):
            await a.send(b.peer_id, bytes(100))
        await expect(b, FrameReceived)
        assert trio.current_time() - began == pytest.approx(10 + LATENCY_S)
        # In the middle of the third, of which 75 bytes are left, the clog gets worse, and then goes away.
        await trio.sleep_until(began + 22.5)
        ail(net, Impairment(bytes_per_s=5), (a, b))
        await expect(b, FrameReceived) if b.events.statistics().current_buffer_used else None
        await expect(b, FrameReceived)
        assert trio.current_time() - began == pytest.approx(22.5 + 15 + LATENCY_S)
        heal(net)
        now = trio.current_time()
        await expect(b, FrameReceived)
        await expect(b, FrameReceived)
        assert trio.current_time() - now == pytest.approx(LATENCY_S)
        # The link is an ordinary one again.
        now = trio.current_time()
        await a.send(b.peer_id, bytes(100_000))
        await expect(b, FrameReceived)
        assert trio.current_time() - now == pytest.approx(LATENCY_S)


async def test_links_of_others_are_not_touched(autojump_clock: MockClock) -> None:
    async with network(SLOW) as net:
        a, b, c = (net.attach(peer(n)) for n in range(3))
        async with running(a, b, c):
            await connect(a, b)
            await connect(b, c)
            ail(net, CUT, (a, b), (b, a))
            await trio.sleep(SILENCE_S)
            assert list(b.peers()) == [c.peer_id]
            await b.send(c.peer_id, b"frame")
            assert (await expect(c, FrameReceived)).frame == b"frame"


@pytest.mark.parametrize("silence_s", [0, -1.0])
def test_giving_up_at_once__rejected(silence_s: float) -> None:
    with pytest.raises(ValueError, match="no link"):
        MemoryNetwork(rng=random.Random(1), silence_s=silence_s)


def test_impossible_impairment__rejected() -> None:
    with pytest.raises(ValueError, match="hold the link"):
        Impairment(bytes_per_s=0)


async def test_keepers_join_two_halves_again(autojump_clock: MockClock) -> None:
    """Each half is large enough to be content with itself; whom one had dialled in the other is dialled again."""
    async with swarm(20) as made, trio.open_nursery() as nursery:
        for n, overlay in made.peers.items():
            keeper = ConnectionKeeper(overlay, min_degree=4, max_degree=12, rng=random.Random(f"keeper/{n}"))
            for other in made.peers.values():
                keeper.add(other.peer_id, other.addresses)
            await nursery.start(keeper.run)
        half = {identity(n) for n in range(1, 11)}

        def across() -> int:
            return sum((other in half) != (o.peer_id in half) for o in made.peers.values() for other in o.peers())

        def apart(source: PeerId, target: PeerId) -> Impairment:
            return CUT if (source in half) != (target in half) else SOUND

        async with listening(list(made.peers.values())) as listeners:
            await trio.sleep(20)
            before = across()
            assert before > 10
            made.network.impair(apart)
            await trio.sleep(120)
            assert across() == 0
            assert sum(len(overlay.peers()) >= 4 for overlay in made.peers.values()) >= 15
            await made.peers[1].publish(TOPIC, b"apart")
            await trio.sleep(20)
            heal(made.network)
            await trio.sleep(120)
            assert across() >= before / 2
            await made.peers[1].publish(TOPIC, b"together")
            await trio.sleep(5)
        for overlay in made.peers.values():
            expected = [b"apart", b"together"] if overlay.peer_id in half else [b"together"]
            assert listeners.data(overlay) == expected
        nursery.cancel_scope.cancel()
