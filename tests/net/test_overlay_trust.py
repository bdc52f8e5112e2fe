"""What overlays make of the router's opinion of peers: scores, and peers that a trusted one names."""

import random

import trio
from trio.testing import MockClock

from net.gossip.config import GossipConfig
from net.gossip.events import Message, Verdict
from net.gossip.score_book import ScoreBook
from net.keeper import ConnectionKeeper
from net.peer import PeerId
from tests.net.swarm import TOPIC, accept, identity, listening, swarm


async def test_peer_that_sends_what_is_wrong_loses_its_score_and_its_place(autojump_clock: MockClock) -> None:
    liar = identity(3)

    def judge(message: Message) -> Verdict:
        return Verdict.REJECT if message.source == liar else Verdict.ACCEPT

    async with swarm(0) as made:
        overlays = [(await made.start(n, score=ScoreBook()))[0] for n in range(1, 9)]
        await made.connect_at_random(7)
        async with listening(overlays, judge=lambda _: judge):
            for n in range(3):
                await made.peers[3].publish(TOPIC, b"%d" % n)
                await made.peers[1].publish(TOPIC, b"%d" % n)
                await trio.sleep(2)
            for overlay in overlays:
                if overlay.peer_id != liar:
                    scores = overlay.scores()
                    assert list(scores) == sorted(overlay.peers())
                    assert scores.pop(liar) < GossipConfig().graylist_threshold
                    assert all(score >= 0 for score in scores.values())
                    assert liar not in overlay.router.mesh(TOPIC)


async def test_application_changes_its_opinion(autojump_clock: MockClock) -> None:
    opinions: dict[PeerId, float] = {}
    async with swarm(0) as made:
        one, _ = await made.start(1, score=ScoreBook(application=lambda peer: opinions.get(peer, 0.0)))
        other, _ = await made.start(2)
        await one.connect(other.peer_id, other.addresses)
        async with listening([one, other]):
            assert one.router.mesh(TOPIC) == [other.peer_id]
            await trio.sleep(60)
            opinions[other.peer_id] = -1.0
            one.rescore()
            await trio.sleep(1.5)
            assert -1.0 <= one.scores()[other.peer_id] < 0
            assert one.router.mesh(TOPIC) == []


async def test_keeper_dials_whom_a_trusted_peer_names(autojump_clock: MockClock) -> None:
    """All know the first peer alone; it prunes those it has no room for, and names others to them."""
    bootstrap = identity(1)
    async with swarm(0) as made, trio.open_nursery() as nursery:
        hub, _ = await made.start(1, GossipConfig(offer_px=True))
        for n in range(2, 26):
            overlay, _ = await made.start(
                n, score=ScoreBook(application=lambda peer: 1000.0 if peer == bootstrap else 0.0)
            )
            keeper = ConnectionKeeper(overlay, min_degree=5, max_degree=20, rng=random.Random(n))
            keeper.add(bootstrap, hub.addresses)
            await nursery.start(keeper.run)
        overlays = list(made.peers.values())
        async with listening(overlays) as listeners:
            await trio.sleep(60)
            degrees = [len(overlay.peers()) for overlay in overlays[1:]]
            # Members of the first peer's mesh are never told; they are dialled by the others.
            assert sum(degree >= 3 for degree in degrees) >= 20
            hub_links = len(hub.peers())
            await made.peers[9].publish(TOPIC, b"to all")
            await trio.sleep(5)
            assert all(listeners.data(overlay) == [b"to all"] for overlay in overlays)
        assert hub_links == 24
        nursery.cancel_scope.cancel()


async def test_peers_named_by_strangers_are_not_dialled(autojump_clock: MockClock) -> None:
    async with swarm(0) as made, trio.open_nursery() as nursery:
        hub, _ = await made.start(1, GossipConfig(offer_px=True))
        for n in range(2, 20):
            overlay, _ = await made.start(n, score=ScoreBook())
            keeper = ConnectionKeeper(overlay, min_degree=5, max_degree=20, rng=random.Random(n))
            keeper.add(hub.peer_id, hub.addresses)
            await nursery.start(keeper.run)
        async with listening(list(made.peers.values())):
            await trio.sleep(30)
            assert all(overlay.peers() == [hub.peer_id] for n, overlay in made.peers.items() if n != 1)
        nursery.cancel_scope.cancel()


async def test_long_messages_are_announced_between_overlays(autojump_clock: MockClock) -> None:
    async with swarm(12, degree=5) as made:
        overlays = list(made.peers.values())
        async with listening(overlays, judge=lambda _: accept) as listeners:
            await overlays[0].publish(TOPIC, bytes(5000))
            await trio.sleep(2)
            assert all(len(listeners.data(overlay)) == 1 for overlay in overlays)
        assert sum(overlay.router.counters.declined for overlay in overlays) > 10
