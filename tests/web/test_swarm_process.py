"""A swarm with pages, from outside: that browsers cannot hold up its end."""

import socket

import pytest
import trio

from tests.web.swarm_process import read_json, swarm_process

HANDSHAKE = (
    "GET /live HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def connect(host):
    """With as little room for what is not read as the system allows."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    client.settimeout(10)
    name, port = host.split(":")
    client.connect((name, int(port)))
    return client


async def test_ctrl_c_ends_the_process_whatever_browsers_do():
    """One never reads its websocket, one never reads the pages that it asked for; both hold on to their connection."""
    with swarm_process() as swarm:
        host = swarm.url.removeprefix("http://").rstrip("/")
        with connect(host) as silent, connect(host) as deaf:
            silent.sendall(HANDSHAKE.format(host=host).encode())
            assert silent.recv(12) == b"HTTP/1.1 101"
            deaf.settimeout(0.5)
            with pytest.raises(TimeoutError):  # the server stops reading when it cannot write
                deaf.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * 1_000_000)
            assert read_json(swarm.url)["run"]["actors"] == 9, "others are served all the while"
            took = await trio.to_thread.run_sync(swarm.interrupt)
        assert swarm.process.returncode == 0
        assert took < 3, f"{took:.1f} s"


def test_an_actor_of_a_real_swarm_is_known_by_all_its_addresses():
    """Both names of loopback are answered to, others are not."""
    with swarm_process() as swarm:
        port = swarm.url.rstrip("/").rpartition(":")[2]
        for name, status in (("localhost", 200), ("127.0.0.1", 200), ("evil.example", 400)):
            with connect(f"127.0.0.1:{port}") as client:
                client.sendall(f"GET /healthz HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n".encode())
                assert client.recv(12) == f"HTTP/1.1 {status}".encode(), name
