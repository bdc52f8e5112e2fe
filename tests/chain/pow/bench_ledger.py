"""What a replica costs, one sentence per figure: `python -m tests.chain.pow.bench_ledger`. Never asserts on time.

Every replica does its own work here: executed blocks and verified signatures are not shared.
"""

import json
import tempfile
from pathlib import Path
from time import perf_counter, process_time

from chain.codec import decode_block
from chain.keys import remember_signatures
from chain.ledger import Ask, Broadcast, Save
from chain.ledgers.pow.config import PowConfig
from chain.ledgers.pow.ledger import PowLedger
from chain.ledgers.pow.mining import grind
from chain.sqlite_store import SqliteStore
from chain.transition import APPLIED
from tests.chain.pow.founding import GENESIS_MS, account, found, transfer

PEOPLE = 50
RULES = {"people": PEOPLE, "initial_difficulty": 1, "block_interval_ms": 1_000, "finality_depth": 20}


def grown(blocks, transactions=0):
    """A chain with so many payments per block; its ledger, effects, and CPU seconds for submitting and for mining."""
    ledger = PowLedger(found(**RULES), producer=account(1), config=PowConfig(kept_blocks=blocks))
    now, nonce, effects, submitting, mining = GENESIS_MS, 0, [], 0.0, 0.0
    for _ in range(blocks):
        now += 1_000
        payments = [transfer(ledger.network, 1 + i % PEOPLE, nonce + i // PEOPLE) for i in range(transactions)]
        nonce += transactions // PEOPLE
        start = process_time()
        for payment in payments:
            ledger.submit(payment, now)
        middle = process_time()
        height = ledger.head.height
        while ledger.head.height == height:
            effects += ledger.mine(1, now)
        submitting, mining = submitting + middle - start, mining + process_time() - middle
    return ledger, effects, submitting, mining


def import_seconds(ledger, effects):
    """CPU seconds to decode and import what was broadcast on another replica."""
    replica = PowLedger(ledger.network)
    frames = [effect.data for effect in effects if isinstance(effect, Broadcast) and effect.topic == "blocks"]
    start = process_time()
    for frame in frames:
        replica.receive_block(b"x", decode_block(frame), ledger.head.time_ms)
    return process_time() - start


def sync_seconds(ledger, gap):
    """CPU seconds, both sides, for a joiner that asks one peer."""
    joiner = PowLedger(ledger.network, config=PowConfig(snapshot_gap=gap))
    now = ledger.head.time_ms
    start = process_time()
    effects = list(joiner.peer_up(b"x", now))
    while effects and joiner.head != ledger.head:
        effect = effects.pop(0)
        if isinstance(effect, Ask):
            effects += joiner.answered(b"x", effect.request, ledger.answer(b"y", effect.request), now)
    return process_time() - start


def save_milliseconds(ledger, effects, durability):
    """Median and 99th percentile of saves to a fresh file."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "ledger.db", ledger.chain, durability=durability)
        for save in (effect for effect in effects if isinstance(effect, Save)):
            start = perf_counter()
            store.save(save)
            taken.append(1_000 * (perf_counter() - start))
        store.close()
    taken.sort()
    return round(taken[len(taken) // 2], 3), round(taken[len(taken) * 99 // 100], 3)


def main():
    APPLIED.enabled = False
    remember_signatures(False)
    figures = {}

    start = process_time()
    grind(bytes(230), 2**60, 0, 400_000)
    figures["hashes_per_s"] = round(400_000 / (process_time() - start))

    pacer = PowLedger(found(initial_difficulty=2**40), producer=account(1))
    start = process_time()
    for step in range(4_000):
        pacer.mine(50, GENESIS_MS + 100 * step)
    figures["mine_50_us"] = round(1e6 * (process_time() - start) / 4_000, 1)

    ledger, effects, _, _ = grown(2_000)
    figures["empty_import_us"] = round(1e6 * import_seconds(ledger, effects) / 2_000, 1)
    figures["sync_empty_blocks_per_s"] = round(2_000 / sync_seconds(ledger, 10**6))
    figures["sync_by_state_blocks_per_s"] = round(2_000 / sync_seconds(ledger, 512))
    for durability in ("kill", "power"):
        figures[f"save_empty_{durability}_ms"] = save_milliseconds(ledger, effects, durability)

    ledger, effects, submitting, mining = grown(30, 200)
    importing = import_seconds(ledger, effects)
    count = 30 * 200
    figures["submit_tx_per_cpu_s"] = round(count / submitting)
    figures["mine_tx_per_cpu_s"] = round(count / mining)
    figures["import_tx_per_cpu_s"] = round(count / importing)
    figures["tx_per_cpu_s"] = round(count / (submitting + mining + importing))
    for durability in ("kill", "power"):
        figures[f"save_200_tx_{durability}_ms"] = save_milliseconds(ledger, effects, durability)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
