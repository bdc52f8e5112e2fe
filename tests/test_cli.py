"""The command line: help, exit codes, what is refused and in which words. Nothing here runs for long."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import click
import pytest
import trio
from click.testing import CliRunner

import launch
from actors import certificate_file, keyfile
from actors.data_directory import DataDirectory
from actors.membership import root_of
from chain.genesis import Genesis
from chain.ledgers.ordered.channel import found_channel
from chain.ledgers.ordered.msp import check_certificate
from chain.ledgers.ordered.policy import Principal

ROOT = Path(__file__).parents[1]
PEER = "12D3KooWKvzPEerQS8BgVwRrWcNsBwSKEbV9y3Gk4QeVQV2f2oUj"
SMALL = ("swarm", "--actors", "5", "--set", "ledger.block_interval_ms=200")


@pytest.fixture
def cli(monkeypatch):
    """Calls the program in this process; its result has exit_code, stdout and stderr."""
    monkeypatch.delenv("CROWDMESH_PASSPHRASE", raising=False)
    return partial(CliRunner().invoke, launch.main)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in group.commands.items():
        found += commands(command, (*path, name)) if isinstance(command, click.Group) else [(*path, name)]
    return found


@pytest.mark.parametrize("command", commands(launch.main), ids=" ".join)
def test_every_command_explains_each_option(cli, command):
    result = cli([*command, "--help"])

    assert result.exit_code == 0
    at: click.Command = launch.main
    for name in command:
        assert isinstance(at, click.Group)
        at = at.commands[name]
    assert at.help
    assert [p.name for p in at.params if isinstance(p, click.Option) and not p.help] == []


def test_help_needs_no_heavy_import():
    code = "import sys, launch; print([m for m in ('trio', 'libp2p', 'quart', 'msgspec') if m in sys.modules])"

    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "[]"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["swarm", "missing.toml"], "missing.toml"),
        (["swarm", "--for", "5x"], "5x"),
        (["swarm", "--for", "0s"], "0s"),
        (["swarm", "--for", "-1"], "-1"),
        (["swarm", "--web", "localhost"], "HOST:PORT"),
        (["swarm", "--web", "localhost:70000"], "HOST:PORT"),
        (["swarm", "--actors", "4"], "--actors"),
        (["swarm", "--seed", "-1"], "--seed"),
        (["swarm", "--ledger", "paper"], "paper"),
        (["swarm", "--set", "nonsense"], "key=value"),
        (["swarm", "--set", "population.wroker.count=3"], "wroker"),
        (["swarm", "--set", "ledger.block_interval_ms=-5"], "ledger.block_interval_ms"),
        (["simulate", "--set", "network.kind=libp2p"], "libp2p needs real time"),
        (["swarm", "--report", "no/such/folder/x.json"], "no/such/folder/x.json"),
        (["swarm", "--journal", "no/such/folder/x.jsonl"], "no/such/folder/x.jsonl"),
        (["swarm", "--report", "."], "directory"),
        (["swarm", "--data", "/proc/nobody/writes/here", "--no-web"], "/proc/nobody/writes/here"),
        (["swarm", "--listen", "localhost:1"], "localhost:1"),
        (["swarm", "--listen", f"/ip4/127.0.0.1/tcp/0/p2p/{PEER}"], "/p2p/"),
        (["swarm", "--reports", "missing.csv"], "missing.csv"),
        (["node", "--data", "d"], "--role"),
        (["node", "--role", "miner"], "--data"),
        (["node", "--role", "king", "--data", "d"], "king"),
        (["node", "--role", "miner", "--data", "d"], "--bootstrap"),
        (["node", "--role", "miner", "--data", "d", "--bootstrap", "somewhere"], "somewhere"),
        (["node", "--role", "miner", "--data", "d", "--bootstrap", "/ip4/127.0.0.1/tcp/1"], "/p2p/"),
        (["node", "--role", "worker", "--data", "d", "--at", "here"], "LAT,LON"),
        (["node", "--role", "worker", "--data", "d", "--at", "91,0"], "globe"),
        (["node", "--role", "worker", "--data", "d", "--at", "nan,0"], "globe"),
        (["bench", "horses"], "horses"),
        (["keys", "show", "missing.key"], "missing.key"),
        (["keys", "new", "/proc/nobody/writes/here"], "/proc/nobody/writes/here"),
        (["keys", "certify", PEER, "c", "--organisation", "org1"], "--root or --seed"),
        (["keys", "certify", PEER, "c", "--organisation", "a b", "--seed", "1"], "--organisation"),
        (["keys", "certify", "me", "c", "--organisation", "org1", "--seed", "1"], "PEER_ID"),
        (["keys", "certify", PEER, "c", "--organisation", "org1", "--seed", "1", "--role", "king"], "king"),
        (["keys", "certify", PEER, "/proc/c", "--organisation", "org1", "--seed", "1"], "/proc/c"),
        (["simulate", "--ledger", "ordered", "--set", "ledger.ordered.blocks=AND("], "ledger.ordered.blocks"),
        (["simulate", "--ledger", "ordered", "--actors", "5"], "6 roles"),
        (["dance"], "dance"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else "",
)
def test_bad_usage_is_exit_code_2_and_names_what_is_wrong(cli, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)

    result = cli(arguments)

    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("text", ["[swarm", "surprise = 1", "[population.worker]\nspeed = 2", "seed = 'seven'"])
def test_a_bad_scenario_is_exit_code_2(cli, tmp_path, text):
    path = tmp_path / "scenario.toml"
    path.write_text(text)

    result = cli(["simulate", str(path)])

    assert result.exit_code == 2
    assert result.stderr.startswith("crowdmesh: ")


def test_who_does_not_answer_is_exit_code_3(cli, tmp_path):
    address = f"/ip4/127.0.0.1/tcp/1/p2p/{PEER}"

    result = cli(["node", "--role", "miner", "--data", str(tmp_path), "--bootstrap", address])

    assert result.exit_code == 3
    assert "/ip4/127.0.0.1/tcp/1" in result.stderr


def test_an_organisation_certifies_a_key(cli, tmp_path):
    root, mine = tmp_path / "root.key", tmp_path / "me.key"
    cli(["keys", "new", str(root)])
    peer = cli(["keys", "new", str(mine)]).stdout.split()[0]
    common = ["keys", "certify", peer, "--organisation", "org1"]

    made = cli([*common, str(tmp_path / "c"), "--root", str(root), "--serial", "5", "--days", "2"])
    of_swarm = cli([*common, str(tmp_path / "d"), "--seed", "3", "--role", "orderer"])
    again = cli([*common, str(tmp_path / "c"), "--root", str(root)])

    assert (made.exit_code, of_swarm.exit_code, again.exit_code) == (0, 0, 2)
    assert made.stdout.startswith("org1.peer  serial 5")
    held = certificate_file.read(tmp_path / "c")
    channel = found_channel({"org1": keyfile.read(root).account}, [keyfile.read(mine).account])
    at_ms = held.not_before_ms
    assert check_certificate(channel, held, keyfile.read(mine).account, at_ms) == Principal("org1", "peer")
    assert held.not_after_ms - held.not_before_ms == 3 * 86_400_000  # it begins a day early, for clocks differ
    swarm = found_channel({"org1": root_of(3, "org1").account}, [keyfile.read(mine).account])
    other = certificate_file.read(tmp_path / "d")
    assert check_certificate(swarm, other, keyfile.read(mine).account, other.not_before_ms).role == "orderer"


def test_keys_are_made_once_and_shown_without_their_secret(cli, tmp_path):
    path = tmp_path / "me.key"

    made = cli(["keys", "new", str(path)])
    shown = cli(["keys", "show", str(path)])
    again = cli(["keys", "new", str(path)])

    assert made.exit_code == shown.exit_code == 0
    peer = made.stdout.split()[0]
    assert f"peer id  {peer}\n" in shown.stdout
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes()[-32:].hex() not in shown.stdout
    assert again.exit_code == 2 and "exists already" in again.stderr


def test_an_encrypted_key_needs_its_passphrase(cli, tmp_path):
    path = str(tmp_path / "me.key")

    assert cli(["keys", "new", path], env={"CROWDMESH_PASSPHRASE": "correct horse"}).exit_code == 0
    assert cli(["keys", "show", path], env={"CROWDMESH_PASSPHRASE": "correct horse"}).exit_code == 0
    assert "CROWDMESH_PASSPHRASE" in cli(["keys", "show", path]).stderr
    wrong = cli(["keys", "show", path], env={"CROWDMESH_PASSPHRASE": "battery staple"})
    assert wrong.exit_code == 2 and "passphrase is wrong" in wrong.stderr


def test_version_names_the_libraries_that_matter(cli):
    result = cli(["version"])

    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()][:4] == ["crowdmesh", "python", "trio", "libp2p"]


def test_json_is_all_there_is_on_stdout(cli, tmp_path):
    saved = tmp_path / "report.json"

    result = cli(["simulate", "--actors", "5", "--for", "5s", "--json", "--report", str(saved)])

    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report == json.loads(saved.read_text())
    assert (report["virtual_s"], report["actors"], report["errors"]) == (5.0, 5, [])


def test_a_data_directory_in_use_is_refused(cli, tmp_path):
    with DataDirectory(tmp_path):
        result = cli([*SMALL, "--no-web", "--for", "1s", "--data", str(tmp_path)])

    assert result.exit_code == 3
    assert "in use by another process" in result.stderr


def test_a_data_directory_of_another_scenario_is_refused(cli, tmp_path):
    first = cli([*SMALL, "--no-web", "--for", "500ms", "--data", str(tmp_path), "--quiet"])
    second = cli([*SMALL, "--no-web", "--for", "500ms", "--data", str(tmp_path), "--seed", "9"])

    assert first.exit_code == 0
    assert second.exit_code == 2
    assert "choose another --data" in second.stderr


def serve_genesis(genesis: Genesis, address: list[str]) -> None:
    """A bootstrap peer, in a thread of its own: answers once, and ends when the asker has hung up."""
    from actors.messages import GENESIS
    from chain.codec import encode
    from net.libp2p_host import Libp2pTransport
    from net.transport import LinkDown, RequestReceived

    async def run() -> None:
        transport = Libp2pTransport(bytes(32))
        async with trio.open_nursery() as nursery:
            await nursery.start(transport.run)
            address.append(f"{transport.addresses[0]}/p2p/{transport.peer_id}")
            async for event in transport.events:
                if isinstance(event, RequestReceived) and event.protocol == GENESIS:
                    await event.reply(encode(genesis))
                elif isinstance(event, LinkDown):
                    nursery.cancel_scope.cancel()

    trio.run(run)


def test_a_data_directory_of_another_network_is_refused(cli, tmp_path):
    assert cli([*SMALL, "--no-web", "--for", "300ms", "--data", str(tmp_path / "a"), "--quiet"]).exit_code == 0
    assert cli([*SMALL, "--no-web", "--for", "300ms", "--data", str(tmp_path / "b"), "--quiet"]).exit_code == 0
    with DataDirectory(tmp_path / "a") as directory:
        genesis = directory.genesis()
    address: list[str] = []
    server = threading.Thread(target=serve_genesis, args=(genesis, address), daemon=True)
    server.start()
    until = time.monotonic() + 20
    while not address and time.monotonic() < until:
        time.sleep(0.05)

    result = cli(["node", "--role", "miner", "--data", str(tmp_path / "b"), "--bootstrap", address[0], "--for", "1s"])
    server.join(20)

    assert result.exit_code == 2
    assert genesis is not None and genesis.network in result.stderr and "choose another --data" in result.stderr


def test_a_taken_port_is_exit_code_3_when_it_was_asked_for(cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        web = cli([*SMALL, "--for", "1s", "--web", f"127.0.0.1:{port}"])
        door = cli([*SMALL, "--for", "1s", "--no-web", "--listen", f"/ip4/127.0.0.1/tcp/{port}"])

    assert web.exit_code == door.exit_code == 3
    assert f"port {port} on 127.0.0.1 is in use" in web.stderr
    assert f"127.0.0.1 port {port}" in door.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_swarm_at_once_with_its_report(tmp_path, number):
    """Also while browsers have stopped reading."""
    report = tmp_path / "report.json"
    command = [sys.executable, "launch.py", *SMALL, "--web", "127.0.0.1:0", "--report", str(report)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1, env={**os.environ})
    assert process.stdout is not None
    try:
        port = next(int(line.rpartition(":")[2].strip("/\n")) for line in process.stdout if line.startswith("web "))
        next(line for line in process.stdout if line.startswith("join"))
        with (
            socket.create_connection(("127.0.0.1", port)) as half,
            socket.create_connection(("127.0.0.1", port)) as mute,
        ):
            half.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")  # and never the rest
            mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            mute.sendall(
                b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            time.sleep(0.5)
            began = time.monotonic()
            process.send_signal(number)
            process.wait(10)
            took = time.monotonic() - began
    finally:
        process.kill()
        process.stdout.close()

    assert process.returncode == 0
    assert took < 3
    assert json.loads(report.read_text())["errors"] == []


def test_what_strikes_memory_links_in_several_processes__rejected(tmp_path):
    path = tmp_path / "slow.toml"
    path.write_text('[[faults]]\nat_s = 1\nkind = "heal"\n[[faults]]\nat_s = 2\nkind = "clog"\nactors = ["miner"]\n')
    result = CliRunner().invoke(launch.main, ["swarm", str(path), "--processes", "2", "--no-web"])
    assert result.exit_code == 2
    assert "faults[1].kind: a clog cannot strike links between processes" in result.output
