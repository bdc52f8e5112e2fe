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


async def test_sybils_of_one_host_are_scored_down_and_no_others(autojump_clock: MockClock) -> None:
    """Twelve peers of one address, four of another, and sixteen of a private one: only the twelve are too many."""
    groups = dict.fromkeys(range(2, 14), "203.0.113.7/32") | dict.fromkeys(range(14, 18), "203.0.113.8/32")
    groups |= dict.fromkeys(range(18, 34), "127.0.0.1/32")
    async with swarm(0) as made:
        one, _ = await made.start(1, score=ScoreBook())
        for n, group in groups.items():
            other, _ = await made.start(n, group=group)
            await other.connect(one.peer_id, one.addresses)
        async with listening(list(made.peers.values())):
            await trio.sleep(5)
            sybils = {identity(n) for n in range(2, 14)}
            scores = one.scores()
            assert len(scores) == 32
            assert {peer for peer, score in scores.items() if score < 0} == sybils
            assert max(scores[peer] for peer in sybils) < GossipConfig().graylist_threshold
            members = set(one.router.mesh(TOPIC))
            assert len(members) >= GossipConfig().d_lo
            assert not members & sybils
            for n in range(2, 9):  # as many stay as are let alone
                await made.peers[n].hang_up(one.peer_id)
            await trio.sleep(2)
            assert all(score >= 0 for score in one.scores().values())


async def test_complaint_of_the_application_is_heeded_at_the_next_heartbeat(autojump_clock: MockClock) -> None:
    async with swarm(0) as made:
        overlays = [(await made.start(n, score=ScoreBook()))[0] for n in range(1, 9)]
        await made.connect_at_random(7)
        liar = identity(3)
        async with listening(overlays):
            trusting = [overlay for overlay in overlays if liar in overlay.router.mesh(TOPIC)]
            assert len(trusting) >= 2
            trusting[0].complain(liar)
            await trio.sleep(1.5)
            assert [liar in overlay.router.mesh(TOPIC) for overlay in trusting] == [False, *[True] * len(trusting[1:])]
            await trio.sleep(4000)
            assert trusting[0].scores()[liar] >= 0


async def test_direct_peers_pass_on_everything_and_stay_linked(autojump_clock: MockClock) -> None:
    """1 and 2 have agreed and nobody else knows 2: it lives on what 1 passes on, also after either was restarted."""
    async with swarm(0) as made, trio.open_nursery() as nursery:
        ends = {}

        async def begin(n: int, other: int) -> None:
            overlay, scope = await made.start(n, score=ScoreBook(), direct=[identity(other)])
            keeper = ConnectionKeeper(
                overlay, min_degree=0, max_degree=3, rng=random.Random(n), direct=[identity(other)]
            )
            if other in made.peers:
                keeper.add(identity(other), made.peers[other].addresses)
            nursery.start_soon(keeper.run)
            ends[n] = scope

        await begin(2, 1)
        await begin(1, 2)
        crowd = [(await made.start(n, score=ScoreBook()))[0] for n in range(3, 12)]
        for overlay in crowd:
            await overlay.connect(identity(1), made.peers[1].addresses)
        for restarted, other in ((None, None), (1, 2), (2, 1)):
            if restarted is not None and other is not None:
                ends[restarted].cancel()
                await trio.sleep(5)
                await begin(restarted, other)
                await trio.sleep(30)
                if restarted == 1:
                    for overlay in crowd:
                        await overlay.connect(identity(1), made.peers[1].addresses)
            async with listening([made.peers[1], made.peers[2], *crowd]) as listeners:
                assert identity(2) in made.peers[1].peers()
                assert made.peers[2].router.mesh(TOPIC) == []
                await crowd[0].publish(TOPIC, b"news")
                await trio.sleep(2)
                assert listeners.data(made.peers[2]) == [b"news"]
                # Nobody is hung up on but for being too many, and then it is not the one who was agreed upon.
                assert len(made.peers[1].peers()) <= 3
        nursery.cancel_scope.cancel()


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
