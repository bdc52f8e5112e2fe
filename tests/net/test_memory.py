"""The memory network keeps the transport's contract, and its conditions hold in virtual time."""

import os
import random
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from net.memory import INBOX_EVENTS, LINK_BACKLOG, LinkConditions, MemoryNetwork, MemoryTransport
from net.memory_conditions import LANE_FRAMES
from net.peer import PeerId
from net.transport import FrameReceived, LinkDown, LinkUp, NotConnectedError, RequestFailedError, RequestReceived
from tests.net.transport_conformance import CHECKS, Check, MakeTransport, check_name, connect, expect, running

PERFECT = LinkConditions()
SLOW = LinkConditions(latency_s=0.05, jitter_s=0.02)


def peer(n: int) -> PeerId:
    return PeerId.from_public_key(n.to_bytes(32, "big"))


@asynccontextmanager
async def network(conditions: LinkConditions, seed: int = 1, quantum_s: float = 0.0) -> AsyncGenerator[MemoryNetwork]:
    net = MemoryNetwork(rng=random.Random(seed), conditions=conditions, quantum_s=quantum_s)
    async with trio.open_nursery() as nursery:
        await nursery.start(net.run)
        yield net
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def site(conditions: LinkConditions) -> AsyncGenerator[MakeTransport]:
    async with network(conditions) as net:
        yield lambda n: net.attach(peer(n), group=f"host {n}")


@asynccontextmanager
async def pair(
    conditions: LinkConditions, seed: int = 1
) -> AsyncGenerator[tuple[MemoryNetwork, MemoryTransport, MemoryTransport]]:
    async with network(conditions, seed) as net:
        a, b = net.attach(peer(0)), net.attach(peer(1))
        async with running(a, b):
            await connect(a, b)
            yield net, a, b


async def test_network_tells_the_host_that_it_was_told(autojump_clock: MockClock) -> None:
    async with network(PERFECT) as net:
        a, b, c = net.attach(peer(0), group="host"), net.attach(peer(1)), net.attach(peer(2), group="host")
        async with running(a, b, c):
            for dialler, listener in ((a, b), (c, b)):
                await dialler.dial(listener.peer_id, listener.addresses)
                assert (await expect(dialler, LinkUp)).group is None
                assert (await expect(b, LinkUp)).group == "host"


@pytest.mark.parametrize("conditions", [PERFECT, SLOW], ids=["perfect", "slow"])
@pytest.mark.parametrize("check", CHECKS, ids=check_name)
async def test_conformance(check: Check, conditions: LinkConditions, autojump_clock: MockClock) -> None:
    await check(partial(site, conditions))


@pytest.mark.parametrize(
    "latency_s,jitter_s,loss", [(-1, 0, 0), (0.1, 0.2, 0), (0.1, -0.1, 0), (0, 0, 1.1), (float("inf"), 0, 0)]
)
def test_impossible_conditions__rejected(latency_s: float, jitter_s: float, loss: float) -> None:
    with pytest.raises(ValueError, match=r"jitter|probability"):
        LinkConditions(latency_s, jitter_s, loss)


async def test_latency_is_exact_without_jitter(autojump_clock: MockClock) -> None:
    async with network(LinkConditions(latency_s=0.25)) as net:
        a, b = net.attach(peer(0)), net.attach(peer(1))
        async with running(a, b):
            began = trio.current_time()
            await connect(a, b)
            assert trio.current_time() - began == pytest.approx(0.5)  # one round trip
            began = trio.current_time()
            await a.send(b.peer_id, b"frame")
            await expect(b, FrameReceived)
            assert trio.current_time() - began == pytest.approx(0.25)


async def test_jitter_stays_in_bounds_and_is_spread(autojump_clock: MockClock) -> None:
    async with pair(LinkConditions(latency_s=0.1, jitter_s=0.04)) as (_, a, b):
        taken = []
        for _ in range(500):
            began = trio.current_time()
            await a.send(b.peer_id, b"frame")
            await expect(b, FrameReceived)
            taken.append(trio.current_time() - began)
    assert 0.06 - 1e-9 <= min(taken) < 0.065
    assert 0.135 < max(taken) <= 0.14 + 1e-9
    assert sum(taken) / len(taken) == pytest.approx(0.1, abs=0.004)


async def test_jitter_does_not_reorder(autojump_clock: MockClock) -> None:
    async with pair(LinkConditions(latency_s=0.1, jitter_s=0.1)) as (_, a, b):
        for n in range(200):
            assert a.send_nowait(b.peer_id, b"%d" % n)
            await trio.sleep(0.001)
        assert [(await expect(b, FrameReceived)).frame for _ in range(200)] == [b"%d" % n for n in range(200)]


async def test_conditions_hold_per_direction(autojump_clock: MockClock) -> None:
    async with pair(PERFECT) as (net, a, b):
        net.set_conditions(a.peer_id, b.peer_id, LinkConditions(latency_s=3))
        assert net.conditions(b.peer_id, a.peer_id) == PERFECT
        began = trio.current_time()
        await a.send(b.peer_id, b"slow")
        await b.send(a.peer_id, b"fast")
        await expect(a, FrameReceived)
        assert trio.current_time() == began
        # A link that became fast again still does not overtake what is under way.
        net.set_conditions(a.peer_id, b.peer_id, PERFECT)
        await a.send(b.peer_id, b"second")
        assert (await expect(b, FrameReceived)).frame == b"slow"
        assert trio.current_time() - began == pytest.approx(3)
        assert (await expect(b, FrameReceived)).frame == b"second"


async def test_arrivals_are_rounded_up_to_the_quantum(autojump_clock: MockClock) -> None:
    async with network(LinkConditions(latency_s=0.1, jitter_s=0.05), quantum_s=0.125) as net:
        a, b = net.attach(peer(0)), net.attach(peer(1))
        async with running(a, b):
            await connect(a, b)
            began = trio.current_time()
            await a.send(b.peer_id, b"frame")
            await expect(b, FrameReceived)
            assert trio.current_time() % 0.125 == 0
            assert 0.05 <= trio.current_time() - began <= 0.15 + 0.125


async def test_loss_rate_and_counts(autojump_clock: MockClock) -> None:
    async with pair(PERFECT) as (net, a, b):
        net.set_conditions(a.peer_id, b.peer_id, LinkConditions(loss=0.3))
        sent = 5_000
        received = 0
        for n in range(sent):
            await a.send(b.peer_id, b"%04d" % n)
            try:
                b.events.receive_nowait()
            except trio.WouldBlock:
                continue
            received += 1
        assert received == pytest.approx(0.7 * sent, rel=0.05)
        mine = net.traffic(a.peer_id)
        assert (mine.frames_sent, mine.bytes_sent, mine.frames_lost) == (sent, 4 * sent, sent - received)
        assert net.traffic(b.peer_id).frames_received == received
        assert net.traffic().bytes_received == 4 * received


async def test_lost_request_times_out(autojump_clock: MockClock) -> None:
    async with pair(PERFECT) as (net, a, b):
        for direction in ((a, b), (b, a)):  # the request, then its answer
            net.set_conditions(direction[0].peer_id, direction[1].peer_id, LinkConditions(loss=1))
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def answer() -> None:
                    async for event in b.events:
                        assert isinstance(event, RequestReceived)
                        await event.reply(b"answer")

                began = trio.current_time()
                with pytest.raises(RequestFailedError) as failure:
                    await a.request(b.peer_id, "/p/1", b"", timeout=7)
                nursery.cancel_scope.cancel()
            assert trio.current_time() - began == pytest.approx(7)
            assert not failure.value.definite
            net.set_conditions(direction[0].peer_id, direction[1].peer_id, PERFECT)


async def test_request_that_never_left_fails_definitely(autojump_clock: MockClock) -> None:
    async with pair(PERFECT) as (net, a, b):
        net.set_conditions(a.peer_id, b.peer_id, LinkConditions(latency_s=100))
        while a.send_nowait(b.peer_id, b"frame"):
            pass
        with pytest.raises(RequestFailedError) as failure:
            await a.request(b.peer_id, "/p/1", b"", timeout=1)
        assert failure.value.definite


async def test_dialling_tries_again_when_openings_get_lost(autojump_clock: MockClock) -> None:
    async with network(LinkConditions(latency_s=0.1, loss=0.5), seed=3) as net:
        hub = net.attach(peer(0))
        others = [net.attach(peer(n)) for n in range(1, 41)]
        async with running(hub, *others):
            began, linked = trio.current_time(), 0
            for other in others:
                try:
                    await other.dial(hub.peer_id, hub.addresses)
                except NotConnectedError:
                    continue
                linked += 1
            # Each of four attempts succeeds with probability 1/4.
            assert 0.45 < linked / len(others) < 0.9
            assert len(hub.peers()) == linked
            assert trio.current_time() - began > 40 * 0.2
            net.set_conditions(peer(50), hub.peer_id, LinkConditions(loss=1))
            cut_off = net.attach(peer(50))
            async with running(cut_off):
                with pytest.raises(NotConnectedError, match="did not answer"):
                    await cut_off.dial(hub.peer_id, hub.addresses)


async def test_full_lane_drops_and_counts(autojump_clock: MockClock) -> None:
    async with pair(LinkConditions(latency_s=1)) as (net, a, b):
        taken = [a.send_nowait(b.peer_id, b"frame") for _ in range(LANE_FRAMES + 10)]
        assert taken == [True] * LANE_FRAMES + [False] * 10
        assert net.traffic(a.peer_id).frames_dropped == 10


async def test_crash_loses_what_is_under_way_and_frees_its_senders(autojump_clock: MockClock) -> None:
    async with network(LinkConditions(latency_s=1)) as net:
        a, b = net.attach(peer(0)), net.attach(peer(1))
        async with running(a, b) as (_, b_scope):
            await connect(a, b)
            b_scope.cancel()
            began = trio.current_time()
            while a.send_nowait(b.peer_id, b"frame"):
                pass
            with pytest.raises(NotConnectedError):
                await a.send(b.peer_id, b"there is no room for")
            assert trio.current_time() - began <= 1  # when LinkDown arrives
            assert await expect(a, LinkDown) == LinkDown(b.peer_id)
            mine = net.traffic(a.peer_id)
            await trio.sleep(2)
            assert net.traffic(a.peer_id).frames_lost == mine.frames_sent


async def test_order_is_kept_while_the_reader_catches_up(autojump_clock: MockClock) -> None:
    async with pair(PERFECT) as (_, a, b):
        for n in range(INBOX_EVENTS + 10):
            assert a.send_nowait(b.peer_id, b"%d" % n)
        await trio.testing.wait_all_tasks_blocked()
        # Reads and sends before the transport's own task can move what overflowed.
        read = [b.events.receive_nowait() for _ in range(5)]
        assert a.send_nowait(b.peer_id, b"%d" % (INBOX_EVENTS + 10))
        read += [await expect(b, FrameReceived) for _ in range(INBOX_EVENTS + 6)]
        assert read == [FrameReceived(a.peer_id, b"%d" % n) for n in range(INBOX_EVENTS + 11)]


async def test_hanging_up_frees_who_waits_for_room(autojump_clock: MockClock) -> None:
    async with pair(PERFECT) as (_, a, b), trio.open_nursery() as nursery:
        while a.send_nowait(b.peer_id, b"frame"):
            pass

        @nursery.start_soon
        async def send() -> None:
            with pytest.raises(NotConnectedError):
                await a.send(b.peer_id, b"no room")

        @nursery.start_soon
        async def ask() -> None:
            with pytest.raises(RequestFailedError) as failure:
                await a.request(b.peer_id, "/p/1", b"", timeout=60)
            assert failure.value.definite

        await trio.sleep(1)
        began = trio.current_time()
        await a.hang_up(b.peer_id)
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == began


async def test_what_a_crash_left_unread_takes_no_room_afterwards(autojump_clock: MockClock) -> None:
    async with network(PERFECT) as net:
        a = net.attach(peer(0))
        async with running(a):
            for _ in range(2):
                b = net.attach(peer(1))
                async with running(b):
                    await connect(a, b)
                    sent = 0
                    while a.send_nowait(b.peer_id, b"frame"):
                        sent += 1
                    assert sent == INBOX_EVENTS + LANE_FRAMES
                await expect(a, LinkDown)


async def test_many_dials_to_a_peer_that_does_not_read__refused(autojump_clock: MockClock) -> None:
    """Link events have no lane that bounds them; a bounded number may wait."""
    async with network(PERFECT) as net:
        a, b = net.attach(peer(0)), net.attach(peer(1))
        async with running(a, b):
            for _ in range((INBOX_EVENTS + LINK_BACKLOG) // 2):
                await a.dial(b.peer_id, b.addresses)
                await a.hang_up(b.peer_id)
                await expect(a, LinkUp)
                await expect(a, LinkDown)
            with pytest.raises(NotConnectedError, match="refused"):
                await a.dial(b.peer_id, b.addresses)
            # Once it has read some, it takes links again.
            await expect(b, LinkUp)
            await expect(b, LinkDown)
            await trio.testing.wait_all_tasks_blocked()
            await a.dial(b.peer_id, b.addresses)


async def test_restart_within_one_latency(autojump_clock: MockClock) -> None:
    """The end of the old link arrives before the beginning of the new one, though they are dialled milliseconds apart."""
    async with network(LinkConditions(latency_s=0.5, jitter_s=0.4)) as net:
        a = net.attach(peer(0))
        async with running(a):
            for _ in range(10):
                b = net.attach(peer(1))
                async with running(b):
                    await connect(b, a)
                    await b.send(a.peer_id, b"last words")
                    await trio.sleep(0.001)
                assert (await expect(a, FrameReceived)).frame == b"last words"
                await expect(a, LinkDown)


def scenario() -> str:
    """Thirty peers chat over bad links; everything that anyone sees, with its time, in order."""
    journal: list[str] = []

    async def live(net: MemoryNetwork, transport: MemoryTransport, everyone: list[MemoryTransport]) -> None:
        rng = random.Random(transport.peer_id)
        for _ in range(5):
            other = rng.choice(everyone)
            try:
                await transport.dial(other.peer_id, other.addresses)
            except NotConnectedError as error:
                journal.append(f"{trio.current_time():.9f} {transport.peer_id} {error}")
        for n in range(20):
            for peer_id in transport.peers():
                transport.send_nowait(peer_id, b"%d" % n)
            await trio.sleep(rng.random())
        journal.append(str(net.traffic(transport.peer_id)))

    async def watch(transport: MemoryTransport) -> None:
        async for event in transport.events:
            journal.append(f"{trio.current_time():.9f} {transport.peer_id} {event}")  # noqa: PERF401 - when, not what

    async def main() -> None:
        async with network(LinkConditions(latency_s=0.1, jitter_s=0.05, loss=0.1), seed=11) as net:
            everyone = [net.attach(peer(n)) for n in range(30)]
            async with running(*everyone), trio.open_nursery() as watching:
                for transport in everyone:
                    watching.start_soon(watch, transport)
                async with trio.open_nursery() as nursery:
                    for transport in everyone:
                        nursery.start_soon(live, net, transport, everyone)
                await trio.sleep(5)
                watching.cancel_scope.cancel()

    # What actors/virtual_time.py does: trio shuffles each batch of tasks, by its own generator.
    scheduler: Any = trio._core._run
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(5)
    trio.run(main, clock=MockClock(autojump_threshold=0))
    return "\n".join(journal)


def test_run_does_not_depend_on_hash_seed() -> None:
    code = "import hashlib; from tests.net.test_memory import scenario; s = scenario();\
            print(s.count('FrameReceived'), hashlib.sha256(s.encode()).hexdigest())"
    root = Path(__file__).parents[2]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert int(outputs[0].split()[0]) > 1000
