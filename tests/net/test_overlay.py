"""Overlays on a memory network: what one publishes, all that subscribed get once, whatever single peers do."""

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from net.gossip.config import GossipConfig
from net.gossip.events import Fault, Message, Verdict
from net.gossip.wire import Subscription, decode
from net.memory import LinkConditions
from net.memory_conditions import LANE_FRAMES
from net.overlay import Judge, Overlay
from net.transport import FrameReceived, LinkDown, LinkUp
from tests.net.swarm import LAN, TOPIC, accept, identity, listening, swarm


async def test_every_message_reaches_every_subscriber_once(autojump_clock: MockClock) -> None:
    async with swarm(30, degree=5) as made:
        overlays = list(made.peers.values())
        async with listening(overlays) as listeners:
            published = []
            for n in range(60):
                await made.rng.choice(overlays).publish(TOPIC, b"%d" % n)
                published.append(b"%d" % n)
                await trio.sleep(0.05)
            await trio.sleep(2)
        for overlay in overlays:
            assert sorted(listeners.data(overlay)) == sorted(published)
        delays = [delay for each in made.witness.delays.values() for delay in each]
        assert len(delays) == 60 * 29  # own messages are not counted
        # The mesh alone takes a few hops of 20 ms; whoever it missed would wait for the next heartbeat.
        assert max(delays) < 0.25
        assert not made.witness.penalties


async def test_gossip_repairs_loss(autojump_clock: MockClock) -> None:
    async with swarm(20, degree=6) as made:
        overlays = list(made.peers.values())
        async with listening(overlays) as listeners:
            for a in overlays:
                for b in overlays:
                    made.network.set_conditions(a.peer_id, b.peer_id, LinkConditions(0.02, 0.005, loss=0.4))
            for n in range(40):
                await made.rng.choice(overlays).publish(TOPIC, b"%d" % n)
                await trio.sleep(0.1)
            await trio.sleep(10)
        # 3 of 4 rounds of gossip may be lost with these odds: one message in a thousand misses somebody for good.
        assert sum(len(listeners.data(overlay)) for overlay in overlays) >= 0.99 * 40 * 20
        assert made.network.traffic().frames_lost > 100


async def test_verdicts_are_honoured(autojump_clock: MockClock) -> None:
    """ACCEPT spreads, IGNORE ends without blame, REJECT ends and costs whoever sent it; each is judged once per peer."""
    judged: Counter[tuple[Overlay, bytes]] = Counter()

    def judge_of(overlay: Overlay) -> Judge:
        def judge(message: Message) -> Verdict:
            judged[overlay, message.data] += 1
            return Verdict(message.data.decode())

        return judge

    async with swarm(12, degree=4) as made:
        publisher, *others = made.peers.values()
        async with listening([publisher, *others], judge=judge_of) as listeners:
            for verdict in Verdict:
                await publisher.publish(TOPIC, verdict.value.encode())
            await trio.sleep(5)
        assert all(listeners.data(overlay) == [b"accept"] for overlay in others)
        assert set(judged.values()) == {1}
        # Everybody judges what spreads; only the publisher's neighbours ever see the rest.
        seen_by = {verdict: sum(data == verdict.value.encode() for _, data in judged) for verdict in Verdict}
        assert seen_by[Verdict.ACCEPT] == len(others)
        assert 0 < seen_by[Verdict.REJECT] == seen_by[Verdict.IGNORE] <= len(publisher.peers()) < len(others)
        assert set(made.witness.penalties) == {(publisher.peer_id, Fault.REJECTED)}


async def test_judge_with_a_bug_is_reported_and_survived(autojump_clock: MockClock) -> None:
    def judge(message: Message) -> Verdict:
        return Verdict.ACCEPT if int(message.data) else Verdict.REJECT

    async with swarm(2, degree=1) as made:
        a, b = made.peers.values()
        async with listening([a, b], judge=lambda _: judge) as listeners:
            await a.publish(TOPIC, b"not a number")
            await a.publish(TOPIC, b"1")
            await trio.sleep(1)
        assert listeners.data(b) == [b"1"]
        ((where, error),) = made.witness.failures
        assert where == TOPIC
        assert isinstance(error, ValueError)
        assert not made.witness.penalties


async def test_slow_subscriber_loses_messages_alone(autojump_clock: MockClock) -> None:
    async with swarm(3, degree=2) as made:
        a, b, c = made.peers.values()
        async with listening([b, c]) as listeners, b.subscribe(TOPIC, accept, buffer=4) as slow:
            for n in range(10):
                await a.publish(TOPIC, b"%d" % n)
            await trio.sleep(1)
            assert [slow.receive_nowait().message.data for _ in range(4)] == [b"0", b"1", b"2", b"3"]
            with pytest.raises(trio.WouldBlock):
                slow.receive_nowait()
            await a.publish(TOPIC, b"later")
            await trio.sleep(1)
            assert slow.receive_nowait().message.data == b"later"
        assert b.drops.deliveries == 6
        expected = [*(b"%d" % n for n in range(10)), b"later"]
        assert sorted(listeners.data(b)) == sorted(listeners.data(c)) == sorted(expected)


async def test_subscriptions_of_a_topic(autojump_clock: MockClock) -> None:
    async with swarm(2, degree=1) as made:
        a, b = made.peers.values()
        async with b.subscribe(TOPIC, accept) as first:
            with pytest.raises(ValueError, match="another judge"):
                async with b.subscribe(TOPIC, lambda _: Verdict.REJECT):
                    pass
            async with b.subscribe(TOPIC, accept) as second:
                await trio.sleep(3)
                await a.publish(TOPIC, b"both")
                await trio.sleep(1)
                assert first.receive_nowait() == second.receive_nowait()
            with pytest.raises(trio.ClosedResourceError):
                second.receive_nowait()
            await b.publish(TOPIC, b"own")
            own = first.receive_nowait()
            assert (own.message.data, own.peer, own.received_s) == (b"own", None, trio.current_time())
        await trio.sleep(1)
        assert a.router.subscribers(TOPIC) == []
        async with b.subscribe(TOPIC, lambda _: Verdict.ACCEPT) as again:
            await trio.sleep(1)
            assert a.router.subscribers(TOPIC) == [b.peer_id]
            await a.publish(TOPIC, b"again")
            await trio.sleep(1)
            assert again.receive_nowait().peer == a.peer_id


async def test_end_of_run_ends_everything(autojump_clock: MockClock) -> None:
    async with swarm(0) as made:
        before = trio.lowlevel.current_statistics().tasks_living
        overlay, scope = await made.start(1)
        other, other_scope = await made.start(2)
        async with overlay.subscribe(TOPIC, accept) as deliveries, overlay.links() as links:
            await overlay.connect(other.peer_id, other.addresses)
            assert await links.receive() == LinkUp(other.peer_id, outbound=True)
            with pytest.raises(RuntimeError, match="once"):
                await overlay.run()
            scope.cancel()
            assert [delivery async for delivery in deliveries] == []
            assert [event async for event in links] == []
        with pytest.raises(trio.ClosedResourceError):
            await overlay.publish(TOPIC, b"too late")
        await trio.sleep(1)
        assert not other.peers()
        other_scope.cancel()
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before


async def test_link_events(autojump_clock: MockClock) -> None:
    async with swarm(2) as made:
        a, b = made.peers.values()
        async with a.links() as events:
            await a.connect(b.peer_id, b.addresses)
            assert await events.receive() == LinkUp(b.peer_id, outbound=True)
            await b.hang_up(a.peer_id)
            assert await events.receive() == LinkDown(b.peer_id)


async def test_malformed_frame_ends_the_link(autojump_clock: MockClock) -> None:
    async with swarm(1) as made, trio.open_nursery() as nursery:
        (overlay,) = made.peers.values()
        vandal = made.network.attach(identity(99))
        await nursery.start(vandal.run)
        await vandal.dial(overlay.peer_id, overlay.addresses)
        await vandal.send(overlay.peer_id, b"\xff" * 100)
        await trio.sleep(1)
        assert not vandal.peers()
        assert not overlay.peers()
        assert made.witness.penalties == {(vandal.peer_id, Fault.MALFORMED): 1}
        assert [peer for peer, _ in made.witness.disconnections] == [vandal.peer_id]
        nursery.cancel_scope.cancel()


async def test_peer_that_does_not_read_loses_its_link_alone(autojump_clock: MockClock) -> None:
    """Payload for it is dropped and counted; when there is no room for control frames either, we hang up."""
    async with swarm(2, degree=1) as made, trio.open_nursery() as nursery:
        a, b = made.peers.values()
        sleeper = made.network.attach(identity(99))
        await nursery.start(sleeper.run)
        await sleeper.dial(a.peer_id, a.addresses)
        async with listening([b]) as listeners:
            # It joins like anyone, with the frame that b would send, and then reads nothing.
            made.network.set_conditions(a.peer_id, sleeper.peer_id, LinkConditions(latency_s=50))
            await sleeper.send(a.peer_id, b"\n\x0e\x08\x01\x12\x0a" + TOPIC.encode())
            await trio.sleep(1)
            assert sleeper.peer_id in a.router.subscribers(TOPIC)
            for n in range(600):
                await a.publish(TOPIC, b"%d" % n)
                if n % 100 == 99:
                    await trio.sleep(0.05)
            assert a.drops.payload_frames > 300
            for n in range(300):
                async with a.subscribe(f"{TOPIC}/{n}", accept):
                    await trio.sleep(0.001)
            await trio.sleep(1)
            assert len(listeners.data(b)) == 600
        assert list(a.peers()) == [b.peer_id]
        assert a.drops.stalled_peers == 1
        assert made.witness.disconnections == [(sleeper.peer_id, "does not read")]
        nursery.cancel_scope.cancel()


async def test_new_link_begins_afresh(autojump_clock: MockClock) -> None:
    """Control frames that waited for room on a link are not sent on the next one, which begins with the topics of then."""
    async with swarm(1) as made, trio.open_nursery() as nursery, AsyncExitStack() as stack:
        (a,) = made.peers.values()
        sleeper = made.network.attach(identity(99))
        await nursery.start(sleeper.run)
        made.network.set_conditions(a.peer_id, sleeper.peer_id, LinkConditions(latency_s=50))
        await sleeper.dial(a.peer_id, a.addresses)
        for n in range(LANE_FRAMES // 2 + 10):  # two frames each: joined, left
            async with a.subscribe(f"{TOPIC}/{n}", accept):
                await trio.sleep(0.001)
        await stack.enter_async_context(a.subscribe(TOPIC, accept))
        assert not made.witness.disconnections
        await sleeper.hang_up(a.peer_id)
        await trio.sleep(200)
        made.network.set_conditions(a.peer_id, sleeper.peer_id, LAN)
        while True:
            try:
                sleeper.events.receive_nowait()
            except trio.WouldBlock:
                break
        await sleeper.dial(a.peer_id, a.addresses)
        await trio.sleep(5)
        assert isinstance(sleeper.events.receive_nowait(), LinkUp)
        hello = sleeper.events.receive_nowait()
        assert isinstance(hello, FrameReceived)
        assert decode(hello.frame).subscriptions == (Subscription(TOPIC, subscribe=True),)
        with pytest.raises(trio.WouldBlock):
            sleeper.events.receive_nowait()
        nursery.cancel_scope.cancel()


async def test_clock_of_the_owner_is_used(autojump_clock: MockClock) -> None:
    epoch = 1_700_000_000.0
    async with swarm(8, degree=3, clock=lambda: epoch + trio.current_time()) as made:
        overlays = list(made.peers.values())
        async with listening(overlays) as listeners:
            await overlays[0].publish(TOPIC, b"when")
            await trio.sleep(5)
        for overlay in overlays:
            (delivery,) = listeners.got[overlay.peer_id]
            assert epoch + 3 <= delivery.received_s < epoch + trio.current_time() - 4
            assert overlay.router.counters.heartbeats > 1


async def test_small_limit_of_peers_hangs_up(autojump_clock: MockClock) -> None:
    async with swarm(4) as made:
        hub, _ = await made.start(9, GossipConfig(max_peers=3))
        for n in range(1, 5):
            await made.peers[n].connect(hub.peer_id, hub.addresses)
        await trio.sleep(1)
        assert len(hub.peers()) == 3
        assert made.witness.disconnections == [(identity(4), "too many peers")]


def journal_of_a_run() -> str:
    """Twenty overlays gossip over lossy links; who got what from whom when, in order."""
    lines: list[str] = []

    async def main() -> None:
        async with swarm(20, degree=4, conditions=LinkConditions(0.02, 0.01, loss=0.05), seed=8) as made:
            overlays = list(made.peers.values())
            async with listening(overlays) as listeners:
                for n in range(50):
                    await made.rng.choice(overlays).publish(TOPIC, b"%d" % n)
                    await trio.sleep(0.03)
                await trio.sleep(5)
            for peer in listeners.got:
                lines.extend(
                    f"{peer} {got.received_s:.9f} {got.peer} {got.message.data!r}" for got in listeners.got[peer]
                )
            lines.append(str(made.network.traffic()))

    # What actors/virtual_time.py does: trio shuffles each batch of tasks, by its own generator.
    scheduler: Any = trio._core._run
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r = random.Random(5)
    trio.run(main, clock=MockClock(autojump_threshold=0))
    return "\n".join(lines)


def digest_of_a_run() -> str:
    journal = journal_of_a_run()
    return f"{len(journal.splitlines())} {hashlib.sha256(journal.encode()).hexdigest()}"


def test_run_does_not_depend_on_hash_seed() -> None:
    root = Path(__file__).parents[2]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", "from tests.net.test_overlay import digest_of_a_run as run; print(run())"],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert int(outputs[0].split()[0]) > 900
