"""What a caller of the ordered ledger waits for, by how many endorse: updates and queries, one after the other.

As the paper of edge MEC nodes measured it: 1 to 16 endorsers, all of which must endorse, CALLS transactions in sequence,
33 times over. An update is timed from the call until the gateway's replica has committed it; a query, at the gateway
(local) and by a phone that asks it over the network. The clock is real, everybody is in this one process.
"""

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from chain.keys import remember_signatures
from chain.transition import APPLIED
from experiments.measuring import cpu_s
from experiments.ordered_nodes import Consensus, Consortium, Links, consortium, ordered

ENDORSERS: Final = (1, 2, 4, 8, 10, 12, 14, 16)
CALLS: Final = 50
"""In sequence, one repetition."""
AMOUNT: Final = 5


@dataclass(frozen=True, slots=True)
class LatencySize:
    """How much is measured."""

    endorsers: Sequence[int] = ENDORSERS
    repetitions: int = 33
    calls: int = CALLS
    variants: Sequence[tuple[Links, Consensus]] = (
        ("memory", "raft"),
        ("tcp", "raft"),  # before the others, for a bench that is interrupted keeps its rows
        ("memory", "solo"),
        ("lan", "raft"),
        ("tcp", "solo"),
    )
    warm_s: float = 2.5
    """Heartbeats of gossip before anything is called, in which its meshes form."""
    warm_calls: int = 20
    """Updates, and queries of both kinds, before anything is timed."""


QUICK = LatencySize(repetitions=2, variants=(("memory", "raft"), ("tcp", "raft")))


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """One number of endorsers. Times are milliseconds of the wall clock."""

    links: Links
    consensus: Consensus
    endorsers: int
    shared: bool
    """Whether the replicas of the process share what they found out about the same bytes."""
    updates: int
    update_p50_ms: float
    update_p99_ms: float
    update_mean_ms: float
    update_deviation: float
    """Standard deviation of the repetitions' means, by their mean."""
    update_cpu_ms: float
    """Of the whole process, all nodes, for an update."""
    query_p50_ms: float
    """Of a phone, over the network."""
    query_p99_ms: float
    local_query_p50_ms: float
    simulated: float
    """Times that an update was simulated by each endorser: above 1 when they were not level, or a call met a conflict."""


def measure(
    endorsers: int, links: Links, consensus: Consensus, size: LatencySize, *, shared: bool = True, seed: int = 1
) -> LatencyRow:
    """Time updates and queries on a consortium of its own. Raises what a call or query raises: none may fail."""
    APPLIED.enabled = shared
    remember_signatures(shared)
    try:
        return trio.run(_measure, endorsers, links, consensus, size, shared, seed)
    finally:
        APPLIED.enabled = True
        APPLIED.clear()
        remember_signatures(True)


async def _measure(
    endorsers: int, links: Links, consensus: Consensus, size: LatencySize, shared: bool, seed: int
) -> LatencyRow:
    async with consortium(endorsers, links=links, consensus=consensus, seed=seed) as it:
        phone = it.phone.ledger
        payee = it.world.network.id  # any 32 bytes are an account
        account = it.client.identity.account

        async def update() -> None:
            await it.client.call("accounts", "transfer", payee, AMOUNT)

        async def ask_local() -> None:
            await it.client.query("accounts", "balance", account)

        async def ask_remote() -> None:
            await phone.query("accounts", "balance", account)

        await trio.sleep(size.warm_s)
        for warm in (update, ask_local, ask_remote):
            await _timed(warm, size.warm_calls)
        before, used_s = _endorsed(it), 0.0
        updates: list[list[float]] = []
        local: list[float] = []
        remote: list[float] = []
        for _ in range(size.repetitions):
            began_s = cpu_s()
            updates.append(await _timed(update, size.calls))
            used_s += cpu_s() - began_s
            local += await _timed(ask_local, size.calls)
            remote += await _timed(ask_remote, size.calls)
        simulated = _endorsed(it) - before
        if it.world.errors:
            raise RuntimeError("; ".join(it.world.errors))
    return _row(links, consensus, endorsers, shared, updates, local, remote, used_s, simulated)


async def _timed(call: Callable[[], Awaitable[None]], times: int) -> list[float]:
    """Milliseconds that each of so many calls took, one after the other."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await call()
        took.append(1_000 * (time.perf_counter() - began))
    return took


def _endorsed(it: Consortium) -> int:
    return sum(ordered(peer).statistics().endorsed for peer in it.peers)


def _row(
    links: Links,
    consensus: Consensus,
    endorsers: int,
    shared: bool,
    updates: Sequence[Sequence[float]],
    local: Sequence[float],
    remote: Sequence[float],
    used_s: float,
    simulated: int,
) -> LatencyRow:
    everything = [took for repetition in updates for took in repetition]
    means = [statistics.fmean(repetition) for repetition in updates]
    mean = statistics.fmean(means)
    count = len(everything)
    return LatencyRow(
        links=links,
        consensus=consensus,
        endorsers=endorsers,
        shared=shared,
        updates=count,
        update_p50_ms=_at(everything, 0.5),
        update_p99_ms=_at(everything, 0.99),
        update_mean_ms=round(mean, 3),
        update_deviation=round(statistics.pstdev(means) / mean, 4),
        update_cpu_ms=round(1_000 * used_s / count, 3),
        query_p50_ms=_at(remote, 0.5),
        query_p99_ms=_at(remote, 0.99),
        local_query_p50_ms=_at(local, 0.5),
        simulated=round(simulated / count / endorsers, 3),
    )


def _at(times: Sequence[float], share: float) -> float:
    return round(sorted(times)[min(len(times) - 1, int(share * len(times)))], 3)
