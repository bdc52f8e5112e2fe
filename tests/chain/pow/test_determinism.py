"""A simulated network ends with the same chain in two processes that hash differently."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
RUN = """
from tests.chain.pow.founding import found, transfer
from tests.chain.pow.simulation import World

network = found(finality_depth=20)
world = World(network, 4, latency_ms=(50, 2_500))
names = [bytes([number]) for number in range(5)]
for name in names:
    world.add(name, rate=20)
for nonce in range(20):
    for sender in (1, 2, 3):
        world.at(world.now + 3_000 * nonce, world.submit, bytes([sender]), transfer(network, sender, nonce))
world.run(30_000)
world.groups = (names[:2], names[2:])
world.run(60_000)
world.groups = None
world.run(60_000)
for node in world.nodes.values():
    print(node.ledger.head_id.hex(), node.ledger.state.root.hex(), len(node.asked), node.ledger.statistics())
"""


def test_same_run_whatever_the_hash_seed():
    outputs = [
        subprocess.run(
            [sys.executable, "-c", RUN],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) == 5
