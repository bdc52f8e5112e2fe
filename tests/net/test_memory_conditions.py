"""What a link is like: the distributions of its latency, its bandwidth, its duplicates and its disorder."""

import random
import statistics
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from net.memory import LinkConditions, MemoryNetwork, MemoryTransport
from net.memory_conditions import LANE_FRAMES, Impairment
from net.peer import PeerId
from net.transport import FrameReceived, LinkUp, RequestFailedError, RequestReceived
from tests.net.test_memory import network, pair, peer
from tests.net.transport_conformance import CHECKS, Check, MakeTransport, check_name, connect, expect, running

MILLION = 1_000_000.0
TAILS = LinkConditions(latency_s=0.05, jitter_s=0.02, spread="exponential")
WIDE = LinkConditions(latency_s=0.01, bytes_per_s=50 * MILLION)


@asynccontextmanager
async def site(
    conditions: LinkConditions, handling_s: float, passed: Impairment | None
) -> AsyncGenerator[MakeTransport]:
    async with network(conditions) as net:
        if passed is not None:
            # A fault that is over leaves nothing behind, and one between others is none of ours.
            net.impair(lambda source, target: passed)
            await trio.sleep(1)
            net.impair(lambda source, target: passed if peer(99) in (source, target) else Impairment())
        yield lambda n: net.attach(peer(n), handling_s=handling_s)


@pytest.mark.parametrize(
    "conditions, handling_s, passed",
    [
        pytest.param(TAILS, 0.0, None, id="tails"),
        pytest.param(WIDE, 0.0, None, id="bandwidth"),
        pytest.param(LinkConditions(0.02, queue_bytes=100_000), 0.0, None, id="short queue"),
        pytest.param(LinkConditions(), 0.001, None, id="busy receivers"),
        pytest.param(TAILS, 0.0, Impairment(cut=True), id="healed"),
        pytest.param(LinkConditions(), 0.0, Impairment(held=True), id="released"),
        pytest.param(WIDE, 0.0, Impairment(bytes_per_s=1), id="unclogged"),
    ],
)
@pytest.mark.parametrize("check", CHECKS, ids=check_name)
async def test_conformance(
    check: Check, conditions: LinkConditions, handling_s: float, passed: Impairment | None, autojump_clock: MockClock
) -> None:
    await check(partial(site, conditions, handling_s, passed))


@pytest.mark.parametrize(
    "change, why",
    [
        ({"spread": "normal", "latency_s": 0.1, "jitter_s": 0.2}, "0 ≤ jitter ≤ latency"),
        ({"spread": "lognormal", "jitter_s": 0.2}, "0 ≤ jitter ≤ latency"),
        ({"duplication": 1.5}, "duplication of 1.5"),
        ({"reordering": -0.1}, "reordering of -0.1"),
        ({"bytes_per_s": 0}, "nothing would ever arrive"),
        ({"queue_bytes": 0}, "queue of 0 bytes"),
    ],
)
def test_impossible_conditions__rejected(change: dict[str, float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        LinkConditions(**change)  # type: ignore[arg-type]  # a wrong value is the point


async def delays(conditions: LinkConditions, count: int = 4_000) -> list[float]:
    """How long frames take that are sent one at a time."""
    taken = []
    async with pair(conditions) as (_, a, b):
        for _ in range(count):
            began = trio.current_time()
            await a.send(b.peer_id, b"frame")
            await expect(b, FrameReceived)
            taken.append(trio.current_time() - began)
    return taken


async def test_normal_latency(autojump_clock: MockClock) -> None:
    taken = await delays(LinkConditions(0.1, 0.02, spread="normal"))
    assert statistics.mean(taken) == pytest.approx(0.1, abs=0.001)
    assert statistics.stdev(taken) == pytest.approx(0.02, rel=0.05)
    within = sum(abs(t - 0.1) <= 0.02 for t in taken) / len(taken)
    assert within == pytest.approx(0.683, abs=0.02)


async def test_normal_latency_is_cut_off_at_zero(autojump_clock: MockClock) -> None:
    taken = await delays(LinkConditions(0.1, 0.1, spread="normal"), 1_000)
    assert min(taken) >= 0
    assert sum(t < 1e-9 for t in taken) / len(taken) == pytest.approx(0.159, abs=0.03)


async def test_lognormal_latency(autojump_clock: MockClock) -> None:
    taken = await delays(LinkConditions(0.1, 0.05, spread="lognormal"))
    assert statistics.mean(taken) == pytest.approx(0.1, rel=0.03)
    assert statistics.stdev(taken) == pytest.approx(0.05, rel=0.1)
    assert statistics.median(taken) == pytest.approx(0.1 / (1 + 0.25) ** 0.5, rel=0.03)


async def test_exponential_tail(autojump_clock: MockClock) -> None:
    taken = await delays(LinkConditions(0.02, 0.1, spread="exponential"))
    assert min(taken) >= 0.02 - 1e-9
    assert statistics.mean(taken) == pytest.approx(0.12, rel=0.05)
    beyond = sum(t > 0.02 + 0.2 for t in taken) / len(taken)
    assert beyond == pytest.approx(0.135, abs=0.02)  # e^-2


async def test_bandwidth_sends_one_after_the_other(autojump_clock: MockClock) -> None:
    async with pair(LinkConditions(latency_s=0.5, bytes_per_s=1_000)) as (_, a, b):
        began = trio.current_time()
        for n in range(1, 5):
            assert a.send_nowait(b.peer_id, bytes(100 * n))
        for sent in (100, 300, 600, 1_000):
            await expect(b, FrameReceived)
            assert trio.current_time() - began == pytest.approx(sent / 1_000 + 0.5)
        # The other direction is its own.
        began = trio.current_time()
        await a.send(b.peer_id, bytes(2_000))
        await b.send(a.peer_id, b"x" * 10)
        await expect(a, FrameReceived)
        assert trio.current_time() - began == pytest.approx(0.51)


async def test_bandwidth_is_exact_over_many_quanta(autojump_clock: MockClock) -> None:
    """Frames that are through in between wait for the end of their quantum, and the next one loses nothing by it."""
    async with network(LinkConditions(latency_s=0.01, bytes_per_s=123_457), quantum_s=0.001) as net:
        a, b = net.attach(peer(0)), net.attach(peer(1))
        async with running(a, b):
            await connect(a, b)
            began = trio.current_time()
            for n in range(2_000):
                await a.send(b.peer_id, bytes(7 + n % 13))
                while b.events.statistics().current_buffer_used:
                    await expect(b, FrameReceived)
            while net.traffic(b.peer_id).frames_received < 2_000:
                await expect(b, FrameReceived)
            sent = net.traffic(a.peer_id).bytes_sent
            assert trio.current_time() - began == pytest.approx(0.01 + sent / 123_457, abs=0.0021)


async def test_requests_and_answers_take_bandwidth(autojump_clock: MockClock) -> None:
    async with pair(LinkConditions(bytes_per_s=1_000)) as (_, a, b), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def answer() -> None:
            await (await expect(b, RequestReceived)).reply(bytes(3_000))

        began = trio.current_time()
        assert len(await a.request(b.peer_id, "/p/1", bytes(1_000), timeout=60)) == 3_000
        assert trio.current_time() - began == pytest.approx(4)


async def test_queue_is_bounded_in_bytes(autojump_clock: MockClock) -> None:
    async with pair(LinkConditions(bytes_per_s=1_000, queue_bytes=5_000)) as (net, a, b):
        taken = [a.send_nowait(b.peer_id, bytes(1_000)) for _ in range(8)]
        assert taken == [True] * 5 + [False] * 3
        assert net.traffic(a.peer_id).frames_dropped == 3
        began = trio.current_time()
        await a.send(b.peer_id, b"waits for room")
        assert trio.current_time() - began == pytest.approx(1)


async def test_duplicates_arrive_twice(autojump_clock: MockClock) -> None:
    async with pair(LinkConditions(0.1, 0.05, duplication=0.25)) as (net, a, b):
        got: Counter[bytes] = Counter()
        order = []
        for n in range(2_000):
            await a.send(b.peer_id, b"%d" % n)
            await trio.sleep(0.01)
            while b.events.statistics().current_buffer_used:
                frame = (await expect(b, FrameReceived)).frame
                if not got[frame]:
                    order.append(int(frame))
                got[frame] += 1
        assert order == sorted(order)  # the first of each two keeps the order
        twice = sum(count == 2 for count in got.values())
        assert max(got.values()) == 2
        assert twice / 2_000 == pytest.approx(0.25, abs=0.03)
        assert net.traffic(a.peer_id).frames_duplicated == pytest.approx(twice, abs=10)


async def test_some_frames_overtake(autojump_clock: MockClock) -> None:
    async with pair(LinkConditions(latency_s=1, reordering=0.1)) as (_, a, b):
        for n in range(200):
            assert a.send_nowait(b.peer_id, b"%d" % n)
            await trio.sleep(0.001)
        order = [int((await expect(b, FrameReceived)).frame) for _ in range(200)]
        assert sorted(order) == list(range(200))
        early = sum(any(later < n for later in order[place + 1 :]) for place, n in enumerate(order))
        assert 8 <= early <= 35
        assert trio.current_time() == pytest.approx(2 + 0.199 + 1, abs=0.01)  # dialled, sent, and the last on its way


async def test_order_never_breaks_at_a_links_end(autojump_clock: MockClock) -> None:
    """Frames that overtake do not reach a link that is not up yet, nor the next one."""
    async with network(LinkConditions(latency_s=0.5, reordering=1.0, duplication=1.0)) as net:
        a = net.attach(peer(0))
        async with running(a):
            for life in range(5):
                b = net.attach(peer(1))
                async with running(b):
                    await b.dial(a.peer_id, a.addresses)
                    for _ in range(20):
                        assert b.send_nowait(a.peer_id, b"%d" % life)
                    await trio.sleep(0.3)
                with trio.fail_after(10):
                    while not isinstance(event := await a.events.receive(), LinkUp):
                        assert not isinstance(event, FrameReceived) or event.frame == b"%d" % (life - 1)
        await trio.sleep(5)


async def test_latency_by_pair(autojump_clock: MockClock) -> None:
    distances = {peer(0): 0, peer(1): 3, peer(2): 10}

    def nature(source: PeerId, target: PeerId) -> LinkConditions:
        return LinkConditions(latency_s=0.01 + abs(distances[source] - distances[target]) / 10)

    net = MemoryNetwork(rng=random.Random(1), conditions=nature)
    async with trio.open_nursery() as nursery:
        await nursery.start(net.run)
        hub, near, far = (net.attach(peer(n)) for n in range(3))
        async with running(hub, near, far):
            for other, one_way in ((near, 0.31), (far, 1.01)):
                await connect(hub, other)
                began = trio.current_time()
                await other.send(hub.peer_id, b"frame")
                await expect(hub, FrameReceived)
                assert trio.current_time() - began == pytest.approx(one_way)
        nursery.cancel_scope.cancel()


async def test_a_busy_receiver_handles_one_after_the_other(autojump_clock: MockClock) -> None:
    async with network(LinkConditions(latency_s=1)) as net:
        busy = net.attach(peer(0), handling_s=0.25)
        senders = [net.attach(peer(n)) for n in (1, 2)]
        async with running(busy, *senders):
            for sender in senders:
                await connect(sender, busy)
            began = trio.current_time()
            for sender in senders:
                for _ in range(3):
                    assert sender.send_nowait(busy.peer_id, b"frame")
            times = []
            for _ in range(6):
                await expect(busy, FrameReceived)
                times.append(trio.current_time() - began)
            assert times == pytest.approx([1.25, 1.5, 1.75, 2.0, 2.25, 2.5])
            # What comes later does not wait for what was handled long ago.
            await trio.sleep(10)
            began = trio.current_time()
            await senders[0].send(busy.peer_id, b"frame")
            await expect(busy, FrameReceived)
            assert trio.current_time() - began == pytest.approx(1.25)


async def fill(source: MemoryTransport, target: MemoryTransport, frame: bytes) -> int:
    sent = 0
    while source.send_nowait(target.peer_id, frame):
        sent += 1
    return sent


@pytest.mark.parametrize("busy", [False, True], ids=["does not read", "is busy"])
async def test_a_stalled_peer_holds_bounded_memory_and_delays_nobody(busy: bool, autojump_clock: MockClock) -> None:
    """One peer takes nothing. What is held for it is bounded, however long others go on; they are served as ever."""
    async with network(LinkConditions(latency_s=0.025)) as net:
        hub, stalled, live = (
            net.attach(peer(0)),
            net.attach(peer(1), handling_s=1e6 if busy else 0),
            net.attach(peer(2)),
        )
        async with running(hub, stalled, live):
            await connect(hub, live)
            await hub.dial(stalled.peer_id, stalled.addresses)
            await expect(hub, LinkUp)
            frame = bytes(2_048)
            taken, slowest = 0, 0.0
            for _ in range(3_000):
                taken += hub.send_nowait(stalled.peer_id, frame)
                began = trio.current_time()
                assert hub.send_nowait(live.peer_id, frame)
                await expect(live, FrameReceived)
                slowest = max(slowest, trio.current_time() - began)
            assert slowest == pytest.approx(0.025)
            # Its inbox, and one lane.
            assert LANE_FRAMES <= taken <= 2 * LANE_FRAMES
            assert net.traffic(hub.peer_id).frames_dropped == 3_000 - taken
            with pytest.raises(RequestFailedError) as failure:
                await hub.request(stalled.peer_id, "/p/1", b"", timeout=1)
            assert failure.value.definite
