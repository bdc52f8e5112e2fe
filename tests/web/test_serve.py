"""Starting, refusing to start, and ending at once whatever browsers do."""

import socket
from contextlib import suppress

import pytest
import trio
import trio.testing
from quart_trio import QuartTrio

from actors.control import Update
from tests.web.population import START_MS
from web import serve as serving
from web.serve import WebError, serve

HANDSHAKE = (
    b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def dial(url: str, room: int = 4096) -> trio.SocketStream:
    """A socket that takes no more than `room` bytes at a time."""
    port = int(url.rstrip("/").rpartition(":")[2])
    raw = trio.socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    await raw.connect(("127.0.0.1", port))
    return trio.SocketStream(raw)


def flood() -> tuple[QuartTrio, list[int]]:
    """An app that streams 64 MB, and how many chunks of 64 kB it began to send."""
    app = QuartTrio(__name__)
    sent = [0]

    @app.get("/")
    async def stream():
        async def chunks():
            for _ in range(1000):
                sent[0] += 1
                yield b"x" * 65536

        answer = await app.make_response(chunks())
        answer.timeout = None
        return answer

    return app, sent


async def stalled(sent: list[int]) -> None:
    """Until the app has sent something and then nothing more."""
    before = -1
    while sent[0] != before or before < 1:
        before = sent[0]
        await trio.testing.wait_all_tasks_blocked(0.1)


async def test_the_address_is_told_when_it_answers(site):
    assert site.url.startswith("http://127.0.0.1:") and site.url.endswith("/")
    stream = await dial(site.url)
    await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    with trio.fail_after(5):
        assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 200")
    await stream.aclose()


async def test_a_port_in_use_is_one_clear_error(app, site):
    port = int(site.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(WebError) as raised:
        await serve(app, "127.0.0.1", port)
    assert str(port) in str(raised.value) and "--web" in str(raised.value)
    async with trio.open_nursery() as nursery:
        with pytest.raises(WebError):
            await nursery.start(serve, app, "127.0.0.1", port)


async def test_an_address_that_is_not_ours_is_one_clear_error(app):
    with pytest.raises(WebError, match=r"203\.0\.113\.1:0"):
        await serve(app, "203.0.113.1", 0)


async def test_a_stalled_reader_does_not_hold_up_the_end():
    app, sent = flood()
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, app, "127.0.0.1", 0)
        stream = await dial(url)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await stalled(sent)
        assert 0 < sent[0] < 1000, "the server is stuck in a write"
        start = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - start < 1.0
    await stream.aclose()


async def test_a_stalled_websocket_does_not_hold_up_the_end(app, population):
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, app, "127.0.0.1", 0)
        stream = await dial(url)
        await stream.send_all(HANDSHAKE)
        while not population.streams:
            await trio.testing.wait_all_tasks_blocked(0.01)
        while not population.streams[0].dropped:
            population.push(Update("report", START_MS, {"filler": "x" * 65536}))
            await trio.testing.wait_all_tasks_blocked(0.002)
        start = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - start < 1.0
    assert population.streams == []
    await stream.aclose()


async def test_a_stalled_reader_is_disconnected_in_the_end(monkeypatch):
    monkeypatch.setattr(serving, "WRITE_TIMEOUT_S", 0.2)
    app, sent = flood()
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, app, "127.0.0.1", 0)
        stream = await dial(url)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await stalled(sent)
        with trio.fail_after(5), suppress(trio.BrokenResourceError):  # an abrupt end or an orderly one
            while await stream.receive_some(65536):
                pass
        assert sent[0] < 1000
        nursery.cancel_scope.cancel()
    await stream.aclose()


async def test_a_slow_reader_gets_everything():
    app, sent = flood()
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, app, "127.0.0.1", 0)
        stream = await dial(url, room=2**17)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await stalled(sent)
        got = 0
        with trio.fail_after(30):
            while data := await stream.receive_some(2**20):
                got += len(data)
        assert got > 1000 * 65536 and sent[0] == 1000
        nursery.cancel_scope.cancel()
    await stream.aclose()


async def test_the_connection_ends_when_the_client_asks_for_it(site):
    stream = await dial(site.url)
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    with trio.fail_after(5):
        while await stream.receive_some(2**16):
            pass
    await stream.aclose()


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HT"])
async def test_a_connection_without_requests_ends(app, nursery, monkeypatch, first):
    monkeypatch.setattr(serving, "KEEP_ALIVE_S", 0.2)
    stream = await dial(await nursery.start(serve, app, "127.0.0.1", 0))
    if first:
        await stream.send_all(first)
    with trio.fail_after(5):
        while await stream.receive_some(2**16):
            pass
    await stream.aclose()


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"A" * 70_000]
)
async def test_noise_ends_its_own_connection_only(site, noise):
    stream = await dial(site.url)
    with trio.fail_after(5):
        await stream.send_all(noise)
        await stream.send_eof()
        with suppress(trio.BrokenResourceError):  # it may be closed with our bytes unread
            while await stream.receive_some(65536):
                pass
    await stream.aclose()
    await test_the_address_is_told_when_it_answers(site)


async def test_beyond_the_bound_connections_are_closed(app, nursery, monkeypatch):
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 1)
    url = await nursery.start(serve, app, "127.0.0.1", 0)
    first = await dial(url)
    await first.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with trio.fail_after(5):
        assert (await first.receive_some(1000)).startswith(b"HTTP/1.1 200")
        second = await dial(url)
        assert await second.receive_some(10) == b""
        await first.aclose()
        await second.aclose()
