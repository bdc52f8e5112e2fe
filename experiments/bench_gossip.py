"""How many gossip messages a CPU second delivers: py-libp2p's own GossipSub against ours.

Every variant gets the same graph (the union of random cycles drawn from the seed, so that each peer has `degree`
links), topic, message size, GossipSub degree (6, bounds 4 and 12), heartbeat (1 s) and strict signing, and runs with
all its peers in one process of its own. Once meshes have formed, random peers publish; `WINDOW` messages are under
way at any time, which keeps the process busy and stays below the 32 places of stock's queues. CPU time (user and
system, of the whole process) runs from the first publication to the last delivery. A delivery is a message that
reached the subscriber of a peer other than its publisher.

    stock             py-libp2p's Pubsub and GossipSub over TCP, Noise, Yamux
    tcp               ours over the same, each peer verifying every signature itself
    quic              ours over QUIC, when asked for with --variant
    memory            ours over the memory transport; a signature is verified once per process, as swarms do
    memory_unshared   the same, each peer verifying every signature itself

Stock is set up so that it delivers everything: `heartbeat_interval` 1 instead of 120 s, no limit of messages per
second (its default of 10 counts each *forwarder's*), no mesh rules for peers that share an IP address, Ed25519 keys
(its default too). Otherwise its defaults hold. It gets fewer messages than ours, since it takes so much longer.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import trio
from nacl.signing import SigningKey

from experiments.measuring import cpu_s, links, machine
from net.gossip.config import GossipConfig
from net.gossip.events import Message, Verdict
from net.memory import MemoryNetwork
from net.overlay import Delivery, Overlay
from net.peer import Address, PeerId
from net.signing import Verify, verify, verify_once
from net.transport import Transport

TOPIC = "/bench/messages"
WINDOW = 16
"""Messages under way at the same time."""
FORMING_TIMEOUT = 120.0
"""Seconds for all meshes to form."""
MESSAGE_TIMEOUT = 60.0
"""Seconds after which a message counts as not delivered to those who still miss it."""
OURS_PER_STOCK = 20
"""So many messages for ours per message for stock, lest ours be over before it can be measured."""
DIALS = 4
"""Dials under way at the same time."""
VARIANTS = ("stock", "tcp", "memory", "memory_unshared")
DOORS = {"tcp": Address("/ip4/127.0.0.1/tcp/0"), "quic": Address("/ip4/127.0.0.1/udp/0/quic-v1")}
ALONE = ("quic",)
"""Run only when named with --variant."""
ROOT = Path(__file__).resolve().parent.parent

Progress = Callable[[str], None]


def run(
    *,
    nodes: int = 50,
    degree: int = 6,
    size: int = 200,
    messages: int = 60,
    seed: int = 1,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Run all variants, one after the other, and return the report.

    `size` is in bytes of message data, at least 8; `messages` is what stock gets, the others get `OURS_PER_STOCK`
    times as many. Raises RuntimeError when a variant fails; messages that were not delivered are reported instead.
    """
    rows: list[dict[str, Any]] = []
    for variant in VARIANTS:
        count = messages if variant == "stock" else messages * OURS_PER_STOCK
        progress(f"{variant}: {nodes} peers, {count} messages of {size} B")
        row = _run_apart(variant, nodes, degree, size, count, seed)
        rows.append(row)
        progress(f"{variant}: {row['deliveries_per_cpu_s']:,.0f} deliveries per CPU second")
    rate = {row["variant"]: row["deliveries_per_cpu_s"] for row in rows}
    figures = {f"{variant}_deliveries_per_cpu_s": rate[variant] for variant in VARIANTS}
    figures |= {f"{variant}_over_stock": round(rate[variant] / rate["stock"], 1) for variant in VARIANTS[1:]}
    figures["undelivered"] = sum(row["undelivered"] for row in rows)
    return {"bench": "gossip", "seed": seed, "machine": machine(), "figures": figures, "rows": rows}


def table(report: dict[str, Any]) -> str:
    """Render a report of `run` for people."""
    lines = [
        f"{'variant':16}{'peers':>6}{'deliveries':>12}{'undelivered':>12}{'CPU s':>9}{'per CPU s':>11}{'ratio':>8}"
    ]
    stock = report["figures"]["stock_deliveries_per_cpu_s"]
    for row in report["rows"]:
        rate = row["deliveries_per_cpu_s"]
        lines.append(
            f"{row['variant']:16}{row['nodes']:>6}{row['deliveries']:>12,}{row['undelivered']:>12,}{row['cpu_s']:>9.2f}"
            f"{rate:>11,.0f}{rate / stock:>8.1f}"
        )
    return "\n".join(lines)


def _run_apart(variant: str, nodes: int, degree: int, size: int, messages: int, seed: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "experiments.bench_gossip", "--variant", variant]
    for name, value in (("nodes", nodes), ("degree", degree), ("size", size), ("messages", messages), ("seed", seed)):
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    if done.returncode:
        raise RuntimeError(f"variant {variant} failed:\n{done.stderr[-2000:]}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


# In the process of one variant. ---------------------------------------------------------------------------------------


@dataclass
class Tally:
    """Deliveries against what was published."""

    nodes: int
    published_at: dict[int, float] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)
    complete: dict[int, trio.Event] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    def publishing(self, number: int) -> trio.Event:
        self.published_at[number] = time.perf_counter()
        self.missing[number] = self.nodes - 1
        self.complete[number] = trio.Event()
        return self.complete[number]

    def delivered(self, data: bytes) -> None:
        number = int.from_bytes(data[:8], "big")
        self.latencies.append(time.perf_counter() - self.published_at[number])
        self.missing[number] -= 1
        if not self.missing[number]:
            self.complete[number].set()


@dataclass
class Row:
    """One variant's result. Times in seconds, latencies in milliseconds of wall time in a process that is busy."""

    variant: str
    nodes: int
    links: int
    messages: int
    size: int
    deliveries: int
    undelivered: int
    cpu_s: float
    wall_s: float
    deliveries_per_cpu_s: float
    p50_ms: float
    p99_ms: float
    startup_s: float


class Swarm:
    """What a variant gives the measurement: peers that are up, linked and meshed."""

    def __init__(self, nodes: int) -> None:
        self.tally = Tally(nodes)
        self.publish: list[Callable[[bytes], Awaitable[object]]] = []


async def measure(swarm: Swarm, variant: str, messages: int, size: int, seed: int, startup_s: float, edges: int) -> Row:
    """Publish with a closed window and wait for all deliveries."""
    rng = random.Random(f"{seed}/messages")
    tally = swarm.tally
    window = trio.Semaphore(WINDOW)

    async def publish(number: int) -> None:
        complete = tally.publishing(number)
        data = number.to_bytes(8, "big") + rng.randbytes(max(0, size - 8))
        await swarm.publish[rng.randrange(tally.nodes)](data)
        with trio.move_on_after(MESSAGE_TIMEOUT):
            await complete.wait()
        window.release()

    before, began = cpu_s(), time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(messages):
            await window.acquire()
            nursery.start_soon(publish, number)
    used, wall_s = cpu_s() - before, time.perf_counter() - began
    cuts = statistics.quantiles(tally.latencies, n=100) if len(tally.latencies) > 1 else [0.0] * 99
    return Row(
        variant=variant,
        nodes=tally.nodes,
        links=edges,
        messages=messages,
        size=size,
        deliveries=len(tally.latencies),
        undelivered=sum(tally.missing.values()),
        cpu_s=round(used, 2),
        wall_s=round(wall_s, 2),
        deliveries_per_cpu_s=round(len(tally.latencies) / used, 1),
        p50_ms=round(1000 * cuts[49], 1),
        p99_ms=round(1000 * cuts[98], 1),
        startup_s=round(startup_s, 2),
    )


async def dial_all(edges: list[tuple[int, int]], dial: Callable[[int, int], Awaitable[object]]) -> None:
    """Dial all pairs, a few at a time."""
    limit = trio.CapacityLimiter(DIALS)

    async def one(a: int, b: int) -> None:
        async with limit:
            await dial(a, b)

    async with trio.open_nursery() as nursery:
        for a, b in edges:
            nursery.start_soon(one, a, b)


async def formed(mesh_sizes: Callable[[], Sequence[int]], edges: list[tuple[int, int]], nodes: int) -> None:
    """Wait until each peer has as many mesh members as the lower bound asks for and its links allow."""
    degrees = [sum(number in pair for pair in edges) for number in range(nodes)]
    with trio.fail_after(FORMING_TIMEOUT):
        while any(have < min(4, links) for have, links in zip(mesh_sizes(), degrees, strict=True)):  # noqa: ASYNC110 (no event for it)
            await trio.sleep(0.1)


def accept(_: Message) -> Verdict:
    return Verdict.ACCEPT


async def run_ours(variant: str, nodes: int, degree: int, size: int, messages: int, seed: int) -> Row:
    """Run a variant of ours; an overlay for each peer."""
    began = time.perf_counter()
    edges = links(nodes, degree, seed)
    keys = [SigningKey(random.Random(f"{seed}/key/{number}").randbytes(32)) for number in range(nodes)]
    network = MemoryNetwork(rng=random.Random(f"{seed}/network"))
    transports: list[Transport]
    if variant in DOORS:
        from net.libp2p_host import Libp2pTransport

        transports = [Libp2pTransport(bytes(key), listen=[DOORS[variant]]) for key in keys]
    else:
        transports = [network.attach(PeerId.from_public_key(bytes(key.verify_key))) for key in keys]
    check: Verify = verify_once if variant == "memory" else verify
    overlays = [
        _overlay(transport, key, check, random.Random(f"{seed}/overlay/{number}"))
        for number, (transport, key) in enumerate(zip(transports, keys, strict=True))
    ]
    swarm = Swarm(nodes)

    async def listen(overlay: Overlay, *, task_status: trio.TaskStatus[None]) -> None:
        async with overlay.subscribe(TOPIC, accept) as deliveries:
            task_status.started()
            delivery: Delivery
            async for delivery in deliveries:
                if delivery.peer is not None:
                    swarm.tally.delivered(delivery.message.data)

    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        for overlay in overlays:
            await nursery.start(overlay.run)
            await nursery.start(listen, overlay)
            swarm.publish.append(_publisher(overlay))
        await dial_all(edges, lambda a, b: overlays[a].connect(overlays[b].peer_id, overlays[b].addresses))
        await formed(lambda: [len(overlay.router.mesh(TOPIC)) for overlay in overlays], edges, nodes)
        row = await measure(swarm, variant, messages, size, seed, time.perf_counter() - began, len(edges))
        nursery.cancel_scope.cancel()
    return row


def _overlay(transport: Transport, key: SigningKey, check: Verify, rng: random.Random) -> Overlay:
    return Overlay(
        transport, sign=lambda message: key.sign(message).signature, verify=check, config=GossipConfig(), rng=rng
    )


def _publisher(overlay: Overlay) -> Callable[[bytes], Awaitable[object]]:
    return lambda data: overlay.publish(TOPIC, data)


async def run_stock(variant: str, nodes: int, degree: int, size: int, messages: int, seed: int) -> Row:
    """Run py-libp2p's own hosts."""
    from libp2p import new_host
    from libp2p.crypto.ed25519 import create_new_key_pair
    from libp2p.custom_types import TProtocol
    from libp2p.peer.peerinfo import PeerInfo
    from libp2p.pubsub.gossipsub import GossipSub
    from libp2p.pubsub.pubsub import Pubsub
    from libp2p.tools.anyio_service import background_trio_service
    from multiaddr import Multiaddr  # type: ignore[import-untyped]

    began = time.perf_counter()
    edges = links(nodes, degree, seed)
    loopback = [Multiaddr("/ip4/127.0.0.1/tcp/0")]
    swarm = Swarm(nodes)
    hosts = []
    routers = []

    async def run_peer(number: int, *, task_status: trio.TaskStatus[None]) -> None:
        key = random.Random(f"{seed}/key/{number}").randbytes(32)
        host = new_host(key_pair=create_new_key_pair(key), listen_addrs=loopback)
        router = GossipSub(
            protocols=[TProtocol("/meshsub/1.1.0")],
            degree=6,
            degree_low=4,
            degree_high=12,
            heartbeat_interval=1,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
        )
        pubsub = Pubsub(host, router, strict_signing=True)
        hosts.append(host)
        routers.append(router)
        async with (
            host.run(listen_addrs=loopback),
            background_trio_service(pubsub),
            background_trio_service(router),
        ):
            await pubsub.wait_until_ready()
            subscription = await pubsub.subscribe(TOPIC)
            swarm.publish.append(lambda data: pubsub.publish(TOPIC, data))
            own = host.get_id().to_bytes()
            task_status.started()
            while True:
                message = await subscription.get()
                if message.from_id != own:
                    swarm.tally.delivered(message.data)

    async def dial(a: int, b: int) -> None:
        await hosts[a].connect(PeerInfo(hosts[b].get_id(), hosts[b].get_transport_addrs()))

    async with trio.open_nursery() as nursery:
        for number in range(nodes):
            await nursery.start(run_peer, number)
        await dial_all(edges, dial)
        await formed(lambda: [len(router.mesh.get(TOPIC, ())) for router in routers], edges, nodes)
        row = await measure(swarm, variant, messages, size, seed, time.perf_counter() - began, len(edges))
        # Its hosts close each connection for 0.1 s, one after the other; this process has nothing else to do.
        print(json.dumps(asdict(row)), flush=True)
        os._exit(0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the whole bench, or one variant in this process, and print JSON."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench_gossip", description=main.__doc__)
    parser.add_argument("--variant", choices=VARIANTS + ALONE, help="this one alone, in this process")
    parser.add_argument("--nodes", type=int, default=50, help="peers (50)")
    parser.add_argument("--degree", type=int, default=6, help="links per peer (6)")
    parser.add_argument("--size", type=int, default=200, help="bytes per message (200)")
    parser.add_argument("--messages", type=int, default=60, help="messages for stock, or for the variant (60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="20 peers, 30 messages")
    options = parser.parse_args(arguments)
    nodes, messages = (20, 30) if options.quick else (options.nodes, options.messages)
    if options.variant is None:
        report = run(
            nodes=nodes,
            degree=options.degree,
            size=options.size,
            messages=messages,
            seed=options.seed,
            progress=lambda text: print(text, file=sys.stderr),
        )
        print(json.dumps(report, indent=2))
        return
    run_variant = run_stock if options.variant == "stock" else run_ours
    row = trio.run(run_variant, options.variant, nodes, options.degree, options.size, messages, options.seed)
    print(json.dumps(asdict(row)))


if __name__ == "__main__":
    main()
