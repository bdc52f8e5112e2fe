"""Updates over a real socket, with a websocket client that is not ours."""

import json
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing
from trio_websocket import open_websocket_url

from actors.control import Update
from tests.web.population import START_MS
from web import live


@asynccontextmanager
async def listening(site, path="/live", **options):
    with trio.fail_after(10):
        async with open_websocket_url(site.path(path).replace("http", "ws"), **options) as socket:
            hello = json.loads(await socket.get_message())
            assert hello["kind"] == "hello"
            yield socket


async def test_an_update_reaches_the_browser(site, worker):
    async with listening(site, f"/actors/{worker}/live") as socket:
        site.population.push(Update("block", START_MS, {"height": 41}))
        assert json.loads(await socket.get_message()) == {"kind": "block", "time_ms": START_MS, "data": {"height": 41}}


async def test_a_slow_browser_loses_the_oldest_and_is_told(site):
    """The reader takes one, the channel holds 256; what is pushed at once beyond that is lost, counted and said."""
    async with listening(site) as socket:
        await trio.testing.wait_all_tasks_blocked(0.01)
        for number in range(1 + live.BUFFER + 44):
            site.population.push(Update("report", number, {"number": number}))
        assert json.loads(await socket.get_message())["data"] == {"dropped": 44}
        numbers = [json.loads(await socket.get_message())["data"]["number"] for _ in range(1 + live.BUFFER)]
        assert numbers == [0, *range(45, live.BUFFER + 45)]


async def test_a_browser_that_leaves_is_forgotten(site):
    async with listening(site):
        assert len(site.population.streams) == 1
    with trio.fail_after(5):
        while site.population.streams:
            await trio.testing.wait_all_tasks_blocked(0.01)


async def test_a_chatty_browser_is_ignored(site):
    async with listening(site) as socket:
        for _ in range(200):
            await socket.send_message("hello?")
        site.population.push(Update("run", START_MS, {}))
        assert json.loads(await socket.get_message())["kind"] == "run"


async def talk(site, path="/live", host=None, origin=None, then=()) -> bytes:
    """All bytes that answer a browser's handshake, until the server closes.

    `then` are pairs: once the first is in the answer, the second is sent. By hand, for trio-websocket leaves its socket open when a server refuses or closes first.
    """
    netloc = site.url.split("/")[2]
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host or netloc}",
        f"Origin: {origin or 'http://' + netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    answer = b""
    async with await trio.open_tcp_stream("127.0.0.1", int(netloc.rpartition(":")[2])) as stream:
        await stream.send_all("\r\n".join([*lines, "", ""]).encode())
        with trio.fail_after(5), suppress(trio.BrokenResourceError):
            async for data in stream:
                answer += data
                if then and then[0][0] in answer:
                    await stream.send_all(then[0][1])
                    then = then[1:]
    return answer


def frame(opcode: int, payload: bytes) -> bytes:
    """One masked frame of a browser (RFC 6455, section 5.2); the mask is zero."""
    return bytes([0x80 | opcode, 0xFE]) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def closing(code: int) -> bytes:
    """The start of a server's close frame after its length."""
    return code.to_bytes(2, "big")


async def test_a_browser_that_shouts_is_disconnected(site):
    answer = await talk(site, then=[(b"hello", frame(1, b"x" * 5000)), (closing(1009), frame(8, closing(1009)))])
    assert answer.startswith(b"HTTP/1.1 101 ") and closing(1009) in answer, "message too big"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_other_origins_are_refused(site, origin):
    assert (await talk(site, origin=origin)).startswith(b"HTTP/1.1 403 ")
    assert site.population.streams == []


async def test_other_hosts_are_refused(site):
    """DNS rebinding: the name resolves to us, but it is not ours."""
    assert (await talk(site, host="evil.example", origin="http://evil.example")).startswith(b"HTTP/1.1 400 ")


async def test_an_unknown_actor_has_no_updates(site):
    assert (await talk(site, "/actors/nobody/live")).startswith(b"HTTP/1.1 404 ")


async def test_our_origin_is_let_in(site):
    async with listening(site, extra_headers=[(b"Origin", site.url.rstrip("/").encode())]):
        pass


async def test_no_more_browsers_than_the_bound(site, monkeypatch):
    monkeypatch.setattr(live, "MAX_BROWSERS", 1)
    async with listening(site):
        # It is told to try again later, and answers with its own close frame.
        code = closing(live.TRY_AGAIN_LATER)
        answer = await talk(site, then=[(code, frame(8, code))])
        assert answer.startswith(b"HTTP/1.1 101 ") and code in answer
    with trio.fail_after(5):
        while site.population.streams:
            await trio.testing.wait_all_tasks_blocked(0.01)
    async with listening(site):
        pass
