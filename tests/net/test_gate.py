"""Gated transports: the contract holds, a cut is one at both ends, and what is real beneath does not show."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from net.gate import Gate, GatedTransport
from net.libp2p_host import Libp2pTransport
from net.memory import SILENCE_S, LinkConditions, MemoryNetwork
from net.memory_wire import KEEP_ALIVE_S
from net.transport import (
    MAX_FRAME_BYTES,
    FrameReceived,
    FrameTooLargeError,
    LinkDown,
    LinkUp,
    NotConnectedError,
    RequestFailedError,
    RequestReceived,
)
from tests.net.swarm import identity
from tests.net.transport_conformance import CHECKS, Check, MakeTransport, check_name, connect, expect, running

LATENCY_S = 0.1
Pair = tuple[Gate, GatedTransport, GatedTransport]


def gate(silence_s: float = SILENCE_S) -> Gate:
    return Gate(silence_s=silence_s, rng=random.Random(1))


@asynccontextmanager
async def gated(latency_s: float = LATENCY_S) -> AsyncGenerator[tuple[Gate, MakeTransport], None]:
    """A memory network, which knows nothing of the gate before it."""
    conditions = LinkConditions(latency_s=latency_s)
    net, between = MemoryNetwork(rng=random.Random(0), conditions=conditions), gate()
    async with trio.open_nursery() as nursery:
        await nursery.start(net.run)
        yield between, lambda n: GatedTransport(net.attach(identity(n)), between)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def pair() -> AsyncGenerator[Pair, None]:
    async with gated() as (between, make):
        a, b = make(1), make(2)
        async with running(a, b):
            await connect(a, b)
            yield between, a, b


def cut(between: Gate, *directions: tuple[GatedTransport, GatedTransport]) -> None:
    struck = {(source.peer_id, target.peer_id) for source, target in directions}
    between.cut(lambda source, target: (source, target) in struck)


@asynccontextmanager
async def site() -> AsyncGenerator[MakeTransport, None]:
    async with gated(0.0) as (_, make):
        yield make


@pytest.mark.parametrize("check", CHECKS, ids=check_name)
async def test_conformance(check: Check, autojump_clock: MockClock) -> None:
    await check(site)


async def test_what_is_sent_into_a_cut_vanishes(autojump_clock: MockClock) -> None:
    async with pair() as (between, a, b):
        cut(between, (a, b), (b, a))
        await a.send(b.peer_id, b"lost")
        assert b.send_nowait(a.peer_id, b"lost too")
        began = trio.current_time()
        with pytest.raises(RequestFailedError) as failure:
            await a.request(b.peer_id, "/p/1", b"", timeout=2)
        assert not failure.value.definite and trio.current_time() == began + 2
        cut(between)
        await a.send(b.peer_id, b"after")
        await b.send(a.peer_id, b"after too")
        assert (await expect(b, FrameReceived)).frame == b"after"
        assert (await expect(a, FrameReceived)).frame == b"after too"


async def test_what_is_under_way_when_the_cut_comes_vanishes(autojump_clock: MockClock) -> None:
    async with pair() as (between, a, b):
        await a.send(b.peer_id, b"under way")
        cut(between, (a, b))
        await b.send(a.peer_id, b"one way")
        with pytest.raises(RequestFailedError, match="cut"):  # beneath the gate, it had to be answered somehow
            await a._inner.request(b.peer_id, "/p/1", b"", timeout=2)
        assert (await expect(a, FrameReceived)).frame == b"one way"
        cut(between)
        await a.send(b.peer_id, b"after")
        assert (await expect(b, FrameReceived)).frame == b"after"


async def test_an_answer_across_a_cut_vanishes(autojump_clock: MockClock) -> None:
    async with pair() as (between, a, b), trio.open_nursery() as nursery:

        async def answer() -> None:
            request = await expect(b, RequestReceived)
            cut(between, (b, a))
            await request.reply(b"answer")

        nursery.start_soon(answer)
        with pytest.raises(RequestFailedError, match="within 2 s"):
            await a.request(b.peer_id, "/p/1", b"", timeout=2)


@pytest.mark.parametrize("one_way", [False, True], ids=["both ways", "one way"])
async def test_a_dead_link_is_noticed_and_dials_fail(one_way: bool, autojump_clock: MockClock) -> None:
    async with pair() as (between, a, b):
        cut(between, (a, b), *([] if one_way else [(b, a)]))
        began = trio.current_time()
        assert await expect(a, LinkDown) == LinkDown(b.peer_id)
        assert await expect(b, LinkDown) == LinkDown(a.peer_id)
        assert SILENCE_S - KEEP_ALIVE_S <= trio.current_time() - began <= SILENCE_S + LATENCY_S
        with pytest.raises(NotConnectedError):
            await a.send(b.peer_id, b"frame")
        for dialler, listener in ((a, b), (b, a)):
            began = trio.current_time()
            with pytest.raises(NotConnectedError, match="did not answer"):
                await dialler.dial(listener.peer_id, listener.addresses)
            assert trio.current_time() == began + 15
        cut(between)
        await connect(a, b)


async def test_a_short_cut_takes_no_link_down(autojump_clock: MockClock) -> None:
    async with pair() as (between, a, b):
        for _ in range(5):
            cut(between, (a, b), (b, a))
            await trio.sleep(SILENCE_S - KEEP_ALIVE_S - 0.1)
            cut(between)
            await trio.sleep(0.1)
        assert list(a.peers()) == [b.peer_id]


async def test_a_link_that_comes_up_across_a_cut_goes_down_again(autojump_clock: MockClock) -> None:
    async with gated() as (between, make):
        a, b = make(1), make(2)
        async with running(a, b):
            cut(between, (a, b), (b, a))
            await a._inner.dial(b.peer_id, b.addresses)  # by one who was not told of the cut
            await expect(b, LinkUp)
            await expect(b, LinkDown)
            assert not b.peers()


async def test_others_are_not_cut_off(autojump_clock: MockClock) -> None:
    async with pair() as (between, a, b):
        cut(between, (a, a), (b, b))
        await trio.sleep(60)
        await a.send(b.peer_id, b"frame")
        assert (await expect(b, FrameReceived)).frame == b"frame"


async def test_too_large_is_too_large_across_a_cut_as_well(autojump_clock: MockClock) -> None:
    async with pair() as (between, a, b):
        cut(between, (a, b))
        with pytest.raises(FrameTooLargeError):
            await a.send(b.peer_id, bytes(MAX_FRAME_BYTES + 1))


def test_a_silence_of_no_length__reject() -> None:
    with pytest.raises(ValueError, match="no link"):
        gate(0.0)


async def test_over_libp2p() -> None:
    """On the real clock and real sockets: a cut and a heal, within two seconds."""
    between = gate(0.5)
    a, b = (GatedTransport(Libp2pTransport(n.to_bytes(32, "big")), between) for n in (1, 2))
    async with running(a, b):
        await connect(a, b)
        cut(between, (a, b), (b, a))
        assert a.send_nowait(b.peer_id, b"lost")
        await expect(a, LinkDown)
        await expect(b, LinkDown)
        cut(between)
        await connect(b, a)
        await a.send(b.peer_id, b"after")
        assert (await expect(b, FrameReceived)).frame == b"after"
