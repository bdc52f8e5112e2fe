"""What becomes of a second link with a peer: of no use, it is closed; when the other is lost, it is not to be trusted."""

import trio
from trio.testing import MockClock

from net.composite import TIDY_S
from net.transport import FrameReceived, LinkDown, LinkUp
from tests.net.test_composite import drain, link, peers


async def test_both_ends_start_afresh_when_a_link_is_lost_that_carried_something(autojump_clock: MockClock) -> None:
    async with peers(2) as (a, b):
        a_id, b_id = a.whole.peer_id, b.whole.peer_id
        await link(a, b, 0)
        await link(a, b, 1)
        await a.whole.send(b_id, b"before")
        assert await drain(a.whole) == [LinkUp(b_id, outbound=True)]
        assert await drain(b.whole) == [LinkUp(a_id, outbound=False), FrameReceived(a_id, b"before")]

        await b.parts[0].hang_up(a_id)

        assert await drain(a.whole) == [LinkDown(b_id)]
        assert await drain(b.whole) == [LinkDown(a_id)]
        assert not any(part.peers() for part in (*a.parts, *b.parts))
        await b.whole.dial(a_id, a.whole.addresses)
        await a.whole.send(b_id, b"after")
        assert await drain(a.whole) == [LinkUp(b_id, outbound=False)]
        assert await drain(b.whole) == [LinkUp(a_id, outbound=True), FrameReceived(a_id, b"after")]


async def test_a_link_that_carried_only_what_was_received_counts_too(autojump_clock: MockClock) -> None:
    async with peers(2) as (a, b):
        a_id, b_id = a.whole.peer_id, b.whole.peer_id
        await link(a, b, 1)
        await b.whole.send(a_id, b"to a")
        await link(a, b, 0)
        assert len(await drain(a.whole)) == len([LinkUp, FrameReceived])
        await a.whole.send(b_id, b"to b")
        await a.parts[1].hang_up(b_id)
        assert await drain(a.whole) == [LinkDown(b_id)]
        assert (await drain(b.whole))[-1] == LinkDown(a_id)


async def test_a_second_link_that_carried_nothing_is_closed_after_a_while(autojump_clock: MockClock) -> None:
    async with peers(2) as (a, b):
        a_id, b_id = a.whole.peer_id, b.whole.peer_id
        await link(a, b, 0)
        await link(a, b, 1)
        await a.whole.send(b_id, b"1")
        await b.whole.send(a_id, b"2")
        await trio.sleep(TIDY_S + 1)
        assert a.parts[1].peers() == [b_id]
        await trio.sleep(TIDY_S)
        assert not a.parts[1].peers() and not b.parts[1].peers()
        assert await drain(a.whole) == [LinkUp(b_id, outbound=True), FrameReceived(b_id, b"2")]
        assert await drain(b.whole) == [LinkUp(a_id, outbound=False), FrameReceived(a_id, b"1")]


async def test_of_two_idle_links_one_stays(autojump_clock: MockClock) -> None:
    async with peers(2) as (a, b):
        await link(a, b, 0)
        await link(a, b, 1)
        await trio.sleep(3 * TIDY_S)
        assert a.whole.peers() == [b.whole.peer_id]
        assert [len(part.peers()) for part in a.parts] == [1, 0]
        assert await drain(a.whole) == [LinkUp(b.whole.peer_id, outbound=True)]
