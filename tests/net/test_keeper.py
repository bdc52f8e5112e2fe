"""The keeper holds the number of links, through crashes, restarts and churn."""

import random
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from net.keeper import ConnectionKeeper
from net.overlay import Overlay
from net.transport import LinkUp
from tests.net.swarm import TOPIC, Swarm, accept, identity, listening, swarm


def keeper(made: Swarm, n: int, *, min_degree: int, max_degree: int) -> ConnectionKeeper:
    made_keeper = ConnectionKeeper(
        made.peers[n], min_degree=min_degree, max_degree=max_degree, rng=random.Random(f"keeper/{n}")
    )
    for other, overlay in sorted(made.peers.items()):
        if other != n:
            made_keeper.add(overlay.peer_id, overlay.addresses)
    return made_keeper


def test_contradictory_degrees__rejected() -> None:
    overlay: Overlay = None  # type: ignore[assignment]  # not looked at
    with pytest.raises(ValueError, match="min_degree"):
        ConnectionKeeper(overlay, min_degree=5, max_degree=4, rng=random.Random(1))


async def test_degrees_are_kept(autojump_clock: MockClock) -> None:
    async with swarm(20) as made, trio.open_nursery() as nursery:
        for n in made.peers:
            await nursery.start(keeper(made, n, min_degree=3, max_degree=8).run)
        await trio.sleep(30)
        assert all(3 <= len(overlay.peers()) <= 8 for overlay in made.peers.values())
        nursery.cancel_scope.cancel()


async def test_surplus_is_hung_up_on_newest_inbound_first(autojump_clock: MockClock) -> None:
    async with swarm(6) as made, trio.open_nursery() as nursery:
        hub = made.peers[1]
        await nursery.start(keeper(made, 1, min_degree=0, max_degree=3).run)
        await hub.connect(identity(2), made.peers[2].addresses)
        for n in (3, 4, 5, 6):
            await made.peers[n].connect(hub.peer_id, hub.addresses)
            await trio.sleep(1)
        assert set(hub.peers()) == {identity(2), identity(3), identity(4)}
        nursery.cancel_scope.cancel()


async def test_peer_that_comes_back_is_linked_again(autojump_clock: MockClock) -> None:
    async with swarm(1) as made, trio.open_nursery() as nursery:
        other, scope = await made.start(2)
        await nursery.start(keeper(made, 1, min_degree=1, max_degree=4).run)
        await trio.sleep(30)
        assert list(made.peers[1].peers()) == [other.peer_id]
        for away in (5, 300):
            scope.cancel()
            await trio.sleep(away)
            assert not made.peers[1].peers()
            _, scope = await made.start(2)
            await trio.sleep(120)
            assert list(made.peers[1].peers()) == [identity(2)]
        # A link that held is forgiven what came before it.
        scope.cancel()
        await trio.sleep(1)
        await made.start(2)
        await trio.sleep(3)
        assert list(made.peers[1].peers()) == [identity(2)]
        nursery.cancel_scope.cancel()


async def test_backoff_grows(autojump_clock: MockClock) -> None:
    """Somebody who takes every link and drops it at once is dialled ever less often."""
    async with swarm(1) as made, trio.open_nursery() as nursery:
        vandal = made.network.attach(identity(99))
        await nursery.start(vandal.run)
        times = []

        @nursery.start_soon
        async def drop_every_link() -> None:
            async for event in vandal.events:
                if isinstance(event, LinkUp):
                    times.append(trio.current_time())
                    await vandal.hang_up(event.peer)

        kept = keeper(made, 1, min_degree=1, max_degree=4)
        kept.add(vandal.peer_id, vandal.addresses)
        await nursery.start(kept.run)
        await trio.sleep(3600)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps[0] < 2
        assert all(0.5 * 2**n <= gap < 2**n + 1 for n, gap in enumerate(gaps[:7]))
        assert 60 <= min(gaps[8:]) <= max(gaps[8:]) <= 121
        nursery.cancel_scope.cancel()


async def test_gossip_goes_on_under_churn(autojump_clock: MockClock) -> None:
    """Thirty peers; every second another one crashes and comes back later. Those that stay miss nothing."""
    async with swarm(0) as made, trio.open_nursery() as nursery:
        scopes: dict[int, trio.CancelScope] = {}

        async def live(n: int, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            overlay, scopes[n] = await made.start(n)
            mine = keeper(made, n, min_degree=5, max_degree=10)
            async with overlay.subscribe(TOPIC, accept), trio.open_nursery() as living:
                await living.start(mine.run)
                task_status.started()

        for n in range(1, 31):
            await nursery.start(live, n)
        stable = [made.peers[n] for n in range(1, 11)]
        async with listening(stable) as listeners:
            for second in range(40):
                victim = 11 + second % 20
                scopes[victim].cancel()
                await stable[second % 10].publish(TOPIC, b"%d" % second)
                await trio.sleep(1)
                if second >= 3:
                    await nursery.start(live, 11 + (second - 3) % 20)
            await trio.sleep(10)
            # Whoever has come back is heard and hears.
            returned = made.peers[11]
            await returned.publish(TOPIC, b"back")
            await trio.sleep(5)
        expected = sorted([*(b"%d" % n for n in range(40)), b"back"])
        for overlay in stable:
            assert sorted(listeners.data(overlay)) == expected
        assert returned.router.counters.frames > 0
        nursery.cancel_scope.cancel()


async def test_direct_peer_is_never_surplus_and_redialled_though_nobody_is_missing(autojump_clock: MockClock) -> None:
    async with swarm(5) as made, trio.open_nursery() as nursery:
        hub = made.peers[1]
        friend, scope = await made.start(6)
        keeper = ConnectionKeeper(
            hub, min_degree=0, max_degree=3, rng=random.Random(1), direct=[friend.peer_id, identity(7)]
        )
        await nursery.start(keeper.run)
        for n in (2, 3, 4, 6, 5):
            await made.peers[n].connect(hub.peer_id, hub.addresses)
            await trio.sleep(1)
        assert set(hub.peers()) == {identity(2), identity(3), friend.peer_id}
        keeper.add(friend.peer_id, friend.addresses)
        scope.cancel()
        await trio.sleep(60)
        assert friend.peer_id not in hub.peers()
        await made.start(6)
        await trio.sleep(150)
        assert friend.peer_id in hub.peers()
        # One whose address is told later.
        late, _ = await made.start(7)
        keeper.add(late.peer_id, late.addresses)
        await trio.sleep(5)
        assert set(hub.peers()) == {identity(2), friend.peer_id, late.peer_id}
        nursery.cancel_scope.cancel()
