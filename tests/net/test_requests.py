"""Requests between overlays: answered, refused with a reason, bounded; a handler's bug hurts one request only."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from net.overlay import Overlay
from net.peer import PeerId
from net.requests import HANDLERS, HANDLERS_PER_PEER, REFUSALS, RequestRefused
from net.transport import MAX_REQUEST_BYTES, RequestFailedError
from tests.net.swarm import Witness, swarm

ECHO = "/test/echo/1"


async def echo(_peer: PeerId, body: bytes) -> bytes:
    return body


@asynccontextmanager
async def asker_and_server() -> AsyncGenerator[tuple[Overlay, Overlay, Witness], None]:
    async with swarm(2, degree=1) as made:
        asker, server = made.peers.values()
        yield asker, server, made.witness


async def fails(asker: Overlay, server: Overlay, body: bytes = b"") -> RequestFailedError:
    with pytest.raises(RequestFailedError) as failure:
        await asker.request(server.peer_id, ECHO, body, timeout=5)
    return failure.value


async def test_answer(autojump_clock: MockClock) -> None:
    async with asker_and_server() as (asker, server, _):

        async def name(peer: PeerId, body: bytes) -> bytes:
            return body + peer

        async with server.serve(ECHO, name):
            assert await asker.request(server.peer_id, ECHO, b"I am ", timeout=5) == b"I am " + asker.peer_id


async def test_unknown_protocol__refused(autojump_clock: MockClock) -> None:
    async with asker_and_server() as (asker, server, _):
        failure = await fails(asker, server)
        assert failure.definite
        assert "not served" in str(failure)


async def test_refusal_carries_its_reason(autojump_clock: MockClock) -> None:
    async with asker_and_server() as (asker, server, witness):

        async def never(peer: PeerId, body: bytes) -> bytes:
            raise RequestRefused("closed on Sundays")

        async with server.serve(ECHO, never):
            failure = await fails(asker, server)
        assert failure.definite
        assert "closed on Sundays" in str(failure)
        assert not witness.failures


async def test_handler_with_a_bug_is_reported_and_survived(autojump_clock: MockClock) -> None:
    async with asker_and_server() as (asker, server, witness):

        async def divide(peer: PeerId, body: bytes) -> bytes:
            return bytes(MAX_REQUEST_BYTES // len(body) + 1)

        async with server.serve(ECHO, divide):
            assert "internal error" in str(await fails(asker, server, b""))
            assert "too large" in str(await fails(asker, server, b"1"))
            assert len(await asker.request(server.peer_id, ECHO, b"12", timeout=5)) == MAX_REQUEST_BYTES // 2 + 1
        assert [(where, type(error).__name__) for where, error in witness.failures] == [
            (ECHO, "ZeroDivisionError"),
            (ECHO, "FrameTooLargeError"),
        ]


async def test_one_peer_gets_its_share_of_handlers(autojump_clock: MockClock) -> None:
    async with asker_and_server() as (asker, server, _), trio.open_nursery() as nursery:
        gate, refused, answered = trio.Event(), [], []

        async def wait(peer: PeerId, body: bytes) -> bytes:
            await gate.wait()
            return body

        async def ask(n: int) -> None:
            try:
                answered.append(await asker.request(server.peer_id, ECHO, b"%d" % n, timeout=60))
            except RequestFailedError as failure:
                refused.append((failure.definite, str(failure)))

        async with server.serve(ECHO, wait):
            for n in range(HANDLERS_PER_PEER + 5):
                nursery.start_soon(ask, n)
            await trio.sleep(1)
            assert refused == [(True, "busy")] * 5
            assert server.requests_turned_away == 5
            gate.set()
            await trio.sleep(1)
            assert len(answered) == HANDLERS_PER_PEER
            assert await asker.request(server.peer_id, ECHO, b"free again", timeout=5) == b"free again"


async def test_handlers_are_bounded_over_all_peers(autojump_clock: MockClock) -> None:
    async with swarm(6, degree=5) as made, trio.open_nursery() as nursery:
        server, *askers = made.peers.values()
        outcomes: Counter[str] = Counter()

        async def wait(peer: PeerId, body: bytes) -> bytes:
            await trio.sleep(10)
            return body

        async def ask(asker: Overlay) -> None:
            try:
                await asker.request(server.peer_id, ECHO, b"", timeout=60)
                outcomes["answered"] += 1
            except RequestFailedError as failure:
                outcomes[str(failure)] += 1

        async with server.serve(ECHO, wait):
            for _ in range(HANDLERS_PER_PEER):
                for asker in askers:
                    nursery.start_soon(ask, asker)
            await trio.sleep(15)
        assert outcomes == {"answered": HANDLERS, "busy": len(askers) * HANDLERS_PER_PEER - HANDLERS}


async def test_what_is_answered_or_refused_makes_room(autojump_clock: MockClock) -> None:
    async with asker_and_server() as (asker, server, _):
        for _ in range(REFUSALS + 1):
            assert "not served" in str(await fails(asker, server))
        async with server.serve(ECHO, echo):
            for n in range(HANDLERS + 1):
                assert await asker.request(server.peer_id, ECHO, b"%d" % n, timeout=5) == b"%d" % n


async def test_leaving_cancels_handlers(autojump_clock: MockClock) -> None:
    async with asker_and_server() as (asker, server, _), trio.open_nursery() as nursery:
        cancelled = trio.Event()

        async def wait(peer: PeerId, body: bytes) -> bytes:
            try:
                await trio.sleep_forever()
            finally:
                cancelled.set()

        async with server.serve(ECHO, wait):
            with pytest.raises(ValueError, match="served already"):
                async with server.serve(ECHO, echo):
                    pass

            @nursery.start_soon
            async def ask() -> None:
                assert not (await fails(asker, server)).definite

            await trio.sleep(1)
        await cancelled.wait()
        async with server.serve(ECHO, echo):
            assert await asker.request(server.peer_id, ECHO, b"next", timeout=5) == b"next"
