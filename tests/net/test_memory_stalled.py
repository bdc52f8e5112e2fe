"""A peer that has stopped reading costs its neighbours bounded memory, and the others no time."""

import tracemalloc
from dataclasses import dataclass

import trio
from trio.testing import MockClock

from net.memory import Impairment, LinkConditions
from net.memory_conditions import SOUND
from net.peer import PeerId
from tests.net.swarm import TOPIC, identity, listening, swarm

PEERS = 8
STALLED = identity(PEERS)
LINKS = LinkConditions(latency_s=0.02, jitter_s=0.005, queue_bytes=32_768)  # sixteen messages, so that it fills soon
MESSAGE_BYTES = 2_048
PER_SECOND = 50


@dataclass(frozen=True)
class Measured:
    slowest_s: float
    missed: int
    """Deliveries owed to peers that are sound."""
    held_bytes: int
    """What was allocated meanwhile and is held still."""


def stall(source: PeerId, target: PeerId) -> Impairment:
    return Impairment(held=True) if STALLED in (source, target) else SOUND


async def measure(messages: int, *, stalled: bool) -> Measured:
    async with swarm(PEERS, degree=5, conditions=LINKS) as made:
        everybody = list(made.peers.values())
        sound = [overlay for overlay in everybody if overlay.peer_id != STALLED]
        async with listening(everybody) as listeners:
            if stalled:
                made.network.impair(stall)
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            published = []
            for n in range(messages):
                published.append(await sound[0].publish(TOPIC, n.to_bytes(MESSAGE_BYTES, "big")))
                await trio.sleep(1 / PER_SECOND)
                for got in listeners.got.values():
                    got.clear()
            await trio.sleep(5)
            held = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
        delays = [made.witness.delays[id_] for id_ in published]
        assert not made.witness.failures
        missed = sum(PEERS - 2 + (not stalled) - len(d) for d in delays)
        return Measured(max(max(d) for d in delays), missed, held)


async def test_a_stalled_peer_neither_grows_memory_nor_delays_others(autojump_clock: MockClock) -> None:
    few, many = 40, 160
    plain, slow = await measure(few, stalled=False), await measure(few, stalled=True)
    assert plain.missed == slow.missed == 0
    assert slow.slowest_s < plain.slowest_s + 3 * (LINKS.latency_s + LINKS.jitter_s)  # a hop or three more
    longer = await measure(many, stalled=True)
    assert longer.missed == 0
    assert longer.slowest_s < plain.slowest_s + 3 * (LINKS.latency_s + LINKS.jitter_s)
    # What is kept for it does not depend on how long it goes on; what the others remember of messages does. So many more
    # messages, kept for one neighbour alone, would be 250 kB.
    remembered = (await measure(many, stalled=False)).held_bytes - plain.held_bytes
    assert longer.held_bytes - slow.held_bytes < remembered + 200_000
