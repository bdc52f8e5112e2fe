"""The reference evaluation of GossipSub without an attack, in virtual time: how late 1,000 peers hear a message.

The set-up is that of protocol/gossipsub-hardening (Vyzovitis et al., "GossipSub: Attack-Resilient Message Propagation in
the Filecoin and ETH2.0 Networks", 2020): 1,000 peers with 20 links each, 100 of which publish 120 signed messages of 2
KiB a second in all; links of 25 ms ± 10 %; GossipSub with D 8, D_lo 6, D_hi 12. `REFERENCE` has what came out there.

Every peer is a real `Overlay` with its router on a `MemoryTransport`; nothing is modelled but the links. CPU is free in
virtual time, so latencies are those of links and protocol. Three things are done for speed, none of which can shorten a
latency: arrivals are rounded up to multiples of `QUANTUM_S`; a signature is verified once per process; Python's cyclic
garbage collector, which took 43 % of the CPU time and found nothing, looks once a virtual second at what is new.

Copies per delivery: peers decline copies of such messages with IDONTWANT, but where forwarding takes no time that comes
too late (8.2 copies at a mean mesh degree of 9.3). So members beyond the first `d_eager` are served `stagger_s` later.

Whoever interrupts a run gets the figures of what was measured until then.
"""

import gc
import random
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import trio
from nacl.signing import SigningKey

from actors.run import stop_on_signal
from actors.virtual_time import run_virtual
from experiments.measuring import cpu_s, links, machine, resident_bytes
from net.gossip.config import GossipConfig
from net.gossip.events import Message, Verdict
from net.memory import LinkConditions, MemoryNetwork
from net.overlay import Delivery, Overlay
from net.peer import PeerId
from net.signing import verify_once

TOPIC = "/bench/messages"
CONDITIONS = LinkConditions(latency_s=0.025, jitter_s=0.0025)
CONFIG = GossipConfig(d=8, d_lo=6, d_hi=12, d_eager=4, stagger_s=0.04)
QUANTUM_S = 0.005
"""Arrivals wait for the next multiple of so many seconds: 2.5 ms more per hop on average, and fewer wake-ups."""
WARM_UP_S = 5.0
"""Virtual seconds for meshes to form and settle."""
SETTLE_S = 5.0
"""Virtual seconds after the last publication; what has not arrived then is undelivered."""
DRAIN_S = 0.5
"""Subscribers are read so often; a message's time is when its overlay delivered it, not when it was read."""
BUFFER = 1024
"""Messages that a subscription holds until it is read; more would be counted as undelivered."""
TICK_S = 0.0001
"""Latencies are counted in steps of 0.1 ms."""
TICKS = 200_000
"""Steps counted; a later delivery counts as this late, 20 s."""
BIN_TICKS = 100
"""Steps of a bar in the report's histogram: 10 ms."""
BAR_CHARACTERS = 50
REFERENCE = {
    "p99_ms": 165.0,
    "max_ms": 350.0,
    "undelivered": 0,
    "source": "gossipsub-hardening (arXiv:2007.02754), baseline without attack: Go processes in containers",
}
"""What came out there of the same, for those figures that it states."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """What is run. The default is the reference evaluation; times are virtual seconds."""

    actors: int = 1000
    publishers: int = 100
    degree: int = 20
    rate: float = 120.0
    """Messages a second, of all publishers together."""
    message_bytes: int = 2048
    seconds: float = 60.0


QUICK = Size(seconds=5.0)


@dataclass(frozen=True, slots=True)
class Figures:
    """What came out. Latencies are virtual milliseconds from publication to delivery, publishers' own not counted."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    undelivered: int
    """Pairs of a message and a peer that it did not reach; not asked of the last messages of an interrupted run."""
    delivered_twice: int
    payload_frames_per_delivery: float
    """Copies of messages that were sent, by mesh, flood publishing and IWANT, per delivery."""
    mesh_degree: float
    """Mean over the peers, when measuring ended."""
    bytes_per_actor: int
    """Resident memory that the process grew by until all were linked and meshed, per peer."""
    startup_s: float
    """Wall seconds until all were linked and meshed."""
    virtual_s: float
    """For which was published."""
    deliveries: int
    cpu_s: float
    """From the first publication to the last drain."""
    deliveries_per_cpu_s: float


class Tally:
    """Who got which message, and how late."""

    def __init__(self, actors: int) -> None:
        self._actors = actors
        self.published_at: list[float] = []
        self._got: list[bytearray] = []
        self._late = array("Q", bytes(8 * (TICKS + 1)))
        self._max_s = 0.0
        self.deliveries = 0
        self.twice = 0

    def publish(self, publisher: int, now: float) -> bytes:
        """Note a publication; returns what the message must begin with."""
        number = len(self.published_at)
        self.published_at.append(now)
        got = bytearray(self._actors)
        got[publisher] = 1
        self._got.append(got)
        return number.to_bytes(8, "big")

    def deliver(self, actor: int, delivery: Delivery) -> None:
        number = int.from_bytes(delivery.message.data[:8], "big")
        got = self._got[number]
        if got[actor]:
            self.twice += 1
            return
        got[actor] = 1
        self.deliveries += 1
        late = delivery.received_s - self.published_at[number]
        self._late[min(round(late / TICK_S), TICKS)] += 1
        self._max_s = max(self._max_s, late)

    def undelivered(self, until: float) -> int:
        """Count what is missing of the messages that were published until then."""
        due = bisect_right(self.published_at, until)
        return sum(got.count(0) for got in self._got[:due])

    def histogram(self) -> list[int]:
        """Deliveries by latency, in bins of `BIN_TICKS`, up to the last that has any."""
        bins = [sum(self._late[start : start + BIN_TICKS]) for start in range(0, TICKS + 1, BIN_TICKS)]
        while bins and not bins[-1]:
            bins.pop()
        return bins

    @property
    def max_ms(self) -> float:
        return round(1000 * self._max_s, 1)

    def quantile_ms(self, share: float) -> float:
        """The latency that `share` of the deliveries do not exceed; 0 without deliveries."""
        left = share * self.deliveries
        for tick, count in enumerate(self._late):
            left -= count
            if left <= 0:
                return round(1000 * tick * TICK_S, 1)
        raise AssertionError("shares are at most 1")


def run(size: Size | None = None, *, seed: int = 1, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Run the evaluation and return the report."""
    size = size or Size()
    trial: Trial = run_virtual(_evaluate, size, seed, progress, seed=seed)
    return {
        "bench": "overlay-scale",
        "seed": seed,
        "machine": machine(),
        "size": asdict(size),
        "quantum_s": QUANTUM_S,
        "interrupted": trial.interrupted,
        "figures": asdict(trial.figures),
        "reference": REFERENCE,
        "latencies": {"bin_ms": BIN_TICKS * TICK_S * 1000, "deliveries": trial.histogram},
    }


def table(report: dict[str, Any]) -> str:
    """Render a report of `run` for people: the figures beside those of the reference, and how latencies spread."""
    reference, width = report["reference"], report["latencies"]["bin_ms"]
    lines = [f"{'':28}{'here':>14}{'reference':>14}"]
    for name, value in report["figures"].items():
        beside = f"{reference[name]:>14,}" if name in reference else ""
        lines.append(f"{name:28}{value:>14,}{beside}")
    lines += [f"Reference: {reference['source']}", "", "Deliveries by latency"]
    bins = report["latencies"]["deliveries"]
    for number, count in enumerate(bins):
        bar = "#" * round(BAR_CHARACTERS * count / max(bins))
        lines.append(f"{number * width:5.0f} to {(number + 1) * width:4.0f} ms{count:>12,}  {bar}".rstrip())
    if report["interrupted"]:
        lines.append(f"interrupted: {report['figures']['virtual_s']} s of {report['size']['seconds']} s")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a run leaves."""

    figures: Figures
    histogram: list[int]
    interrupted: bool


def _accept(_: Message) -> Verdict:
    return Verdict.ACCEPT


async def _evaluate(size: Size, seed: int, progress: Progress) -> Trial:
    before, began = resident_bytes(), time.perf_counter()
    network = MemoryNetwork(rng=random.Random(f"{seed}/network"), conditions=CONDITIONS, quantum_s=QUANTUM_S)
    overlays = [_overlay(network, number, seed) for number in range(size.actors)]
    tally = Tally(size.actors)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        subscriptions = [await nursery.start(_join, overlay) for overlay in overlays]
        async with trio.open_nursery() as dialling:
            for a, b in links(size.actors, size.degree, seed):
                dialling.start_soon(overlays[a].connect, overlays[b].peer_id, overlays[b].addresses)
        await trio.sleep(WARM_UP_S)
        startup_s, grown = time.perf_counter() - began, resident_bytes() - before
        progress(f"{size.actors} actors linked and meshed after {startup_s:.1f} s")

        with _collector_at_rest(), trio.CancelScope() as measuring:
            copies, used, complete_until = _copies(overlays), cpu_s(), float("inf")
            await nursery.start(stop_on_signal, measuring)
            nursery.start_soon(_drain, subscriptions, tally)
            await _publish(size, seed, overlays, tally, progress)
            await trio.sleep(SETTLE_S)
        copies, used = _copies(overlays) - copies, cpu_s() - used
        if measuring.cancelled_caught:
            complete_until = trio.current_time() - SETTLE_S
            _read(subscriptions, tally)
        degrees = [len(overlay.router.mesh(TOPIC)) for overlay in overlays]
        nursery.cancel_scope.cancel()
    figures = Figures(
        p50_ms=tally.quantile_ms(0.5),
        p90_ms=tally.quantile_ms(0.9),
        p99_ms=tally.quantile_ms(0.99),
        p999_ms=tally.quantile_ms(0.999),
        max_ms=tally.max_ms,
        undelivered=tally.undelivered(complete_until),
        delivered_twice=tally.twice,
        payload_frames_per_delivery=round(copies / max(1, tally.deliveries), 3),
        mesh_degree=round(sum(degrees) / len(degrees), 2),
        bytes_per_actor=grown // size.actors,
        startup_s=round(startup_s, 2),
        virtual_s=round(len(tally.published_at) / size.rate, 2),
        deliveries=tally.deliveries,
        cpu_s=round(used, 1),
        deliveries_per_cpu_s=round(tally.deliveries / used, 1),
    )
    return Trial(figures, tally.histogram(), interrupted=measuring.cancelled_caught)


def _overlay(network: MemoryNetwork, number: int, seed: int) -> Overlay:
    key = SigningKey(random.Random(f"{seed}/key/{number}").randbytes(32))
    return Overlay(
        network.attach(PeerId.from_public_key(bytes(key.verify_key))),
        sign=lambda message: key.sign(message).signature,
        verify=verify_once,
        config=CONFIG,
        rng=random.Random(f"{seed}/overlay/{number}"),
    )


async def _join(overlay: Overlay, *, task_status: trio.TaskStatus[trio.MemoryReceiveChannel[Delivery]]) -> None:
    async with trio.open_nursery() as nursery, overlay.subscribe(TOPIC, _accept, buffer=BUFFER) as deliveries:
        await nursery.start(overlay.run)
        task_status.started(deliveries)
        await trio.sleep_forever()


@contextmanager
def _collector_at_rest() -> Generator[None, None, None]:
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def _publish(size: Size, seed: int, overlays: list[Overlay], tally: Tally, progress: Progress) -> None:
    """Publish evenly, one publisher after the other in an order of the seed's, `size.seconds` long."""
    rng = random.Random(f"{seed}/messages")
    publishers = rng.sample(range(size.actors), size.publishers)
    start, wall = trio.current_time(), time.perf_counter()
    for turn in range(round(size.rate * size.seconds)):
        await trio.sleep_until(start + turn / size.rate)
        publisher = publishers[turn % size.publishers]
        head = tally.publish(publisher, trio.current_time())
        await overlays[publisher].publish(TOPIC, head + rng.randbytes(size.message_bytes - len(head)))
        if (turn + 1) % round(size.rate) == 0:
            gc.collect(0)
            done, took = (turn + 1) / size.rate, time.perf_counter() - wall
            left = took / done * (size.seconds + SETTLE_S / 5 - done)
            progress(
                f"{done:.0f} of {size.seconds:.0f} s of virtual time after {took:.0f} s, about {left:.0f} s left; "
                f"{tally.deliveries:,} deliveries, p99 {tally.quantile_ms(0.99)} ms, max {tally.max_ms} ms"
            )


async def _drain(subscriptions: list[trio.MemoryReceiveChannel[Delivery]], tally: Tally) -> None:
    """Read all subscriptions every now and then: a task for each would be woken for each message."""
    while True:
        await trio.sleep(DRAIN_S)
        _read(subscriptions, tally)


def _read(subscriptions: list[trio.MemoryReceiveChannel[Delivery]], tally: Tally) -> None:
    for actor, deliveries in enumerate(subscriptions):
        try:
            while True:
                delivery = deliveries.receive_nowait()
                if delivery.peer is not None:
                    tally.deliver(actor, delivery)
        except trio.WouldBlock:
            pass


def _copies(overlays: list[Overlay]) -> int:
    return sum(overlay.router.counters.forwarded for overlay in overlays)
