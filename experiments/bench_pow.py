"""What a replica of the proof-of-work ledger costs, beside py-evm through eth-tester on calls that do the same.

Every replica does its own work here: neither executed blocks nor verified signatures are shared. Mining is at
difficulty 1, for hashes are what a scenario makes them. All times are CPU seconds of this one process.
"""

import tracemalloc
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from statistics import median
from time import process_time
from typing import Any

from nacl.signing import SigningKey

from chain.codec import decode_block
from chain.contract import encode_args
from chain.contracts.spatial_rules import Box, SpatialRules
from chain.gas import MAX_BLOCK_GAS, MAX_TRANSACTION_GAS
from chain.genesis import Balance, Genesis, Network
from chain.keys import account_of, remember_signatures, sign_transaction
from chain.ledger import Ask, Broadcast, LedgerEffect
from chain.ledgers.pow.config import PowConfig
from chain.ledgers.pow.ledger import PowLedger
from chain.ledgers.pow.mining import grind
from chain.ledgers.pow.parameters import PowRules
from chain.transition import APPLIED, BEGINNINGS
from chain.values import Account, Transaction
from experiments import evm_token
from experiments.measuring import machine

PEOPLE = 10
PEERS = 3
"""Whom a joiner asks."""
STEP_MS = 1_000
START_MS = 1_700_000_000_000
APART_E7 = 3_000_000
"""Of reports, in latitude and in longitude: no cell holds two. Where they are dense, each is compared with those near it."""
ROW = 145
REPORTS = 150
"""In a block at most: one of 175,000 gas each has room for 171."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of each is measured."""

    empty_blocks: int = 10_000
    full_blocks: int = 100
    per_block: int = 200
    """Transactions in a full block."""
    reorganisation: int = 50
    """Blocks that leave the best chain, each with a tenth of `per_block`."""
    evm_transactions: int = 500


QUICK = Size(empty_blocks=600, full_blocks=6, per_block=50, reorganisation=12, evm_transactions=40)


def run(size: Size, *, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Measure everything. The process is left as it was: its memories are off only meanwhile, and empty after."""
    evm = evm_token.measure(size.evm_transactions, progress)
    APPLIED.enabled = False
    remember_signatures(False)
    try:
        figures = {"hashes_per_s": _hashes_per_s()} | _full_blocks(size, progress) | _empty_blocks(size, progress)
        figures |= _reorganisation(size, progress)
    finally:
        APPLIED.enabled = True
        remember_signatures(True)
        APPLIED.clear()
        BEGINNINGS.clear()
    if evm is not None:
        best = max(evm.each_mined_tx_per_cpu_s, evm.in_blocks_tx_per_cpu_s)
        figures |= {
            "evm_each_mined_tx_per_cpu_s": evm.each_mined_tx_per_cpu_s,
            "evm_in_blocks_tx_per_cpu_s": evm.in_blocks_tx_per_cpu_s,
            "times_evm": round(figures["node_tx_per_cpu_s"] / best, 1),
        }
    return {
        "bench": "pow",
        "size": asdict(size),
        "machine": machine(),
        "figures": figures,
        "evm": None if evm is None else asdict(evm),
    }


_MEANINGS = {
    "hashes_per_s": "nonces tried",
    "node_tx_per_cpu_s": "payments that one node takes, rehearses, mines and applies",
    "applied_tx_per_cpu_s": "payments in blocks of others: decoded, verified, applied, roots compared",
    "applied_reports_per_cpu_s": "reports to the spatial contract, likewise",
    "all_tx_per_cpu_s": "payments submitted and mined by one node and applied by another, both counted",
    "full_block_ms": "one block of payments, likewise; median",
    "empty_block_us": "one block without transactions; mean",
    "sync_blocks_per_s": "empty blocks that a late joiner takes from three peers, their answers counted",
    "sync_by_state_blocks_per_s": "the same by a state and its headers",
    "sync_peak_bytes": "most memory that joining by bodies took, caches of the process included, 1,024 bodies kept",
    "sync_tx_per_s": "payments in full blocks, the same way",
    "sync_full_peak_bytes": "most memory that joining by full blocks took, likewise, 16 bodies kept",
    "reorganisation_ms": "from the last block of the heavier branch to the new head and the mempool refilled",
    "reorganisation_import_ms": "all blocks of that branch: verified, executed, and the switch",
    "evm_each_mined_tx_per_cpu_s": "payments of a contract through eth-tester, as it comes",
    "evm_in_blocks_tx_per_cpu_s": "the same through its backend alone, in blocks of five",
    "times_evm": "node_tx_per_cpu_s over the better of both",
}


def table(report: dict[str, Any]) -> str:
    """Render a report of `run` for people."""
    lines = [f"{name:28}{value:>12,}  {_MEANINGS[name]}" for name, value in report["figures"].items()]
    if report["evm"] is None:
        lines.append(
            f"eth-tester is not installed, so nothing stands beside. To have it:\n  {evm_token.HOW_TO_INSTALL}"
        )
    return "\n".join(lines)


# --- the network ------------------------------------------------------------------------------------------------------


@cache
def _key(number: int) -> SigningKey:
    return SigningKey(number.to_bytes(32, "big"))


def _account(number: int) -> Account:
    return account_of(_key(number))


def _network(finality_depth: int) -> Network:
    spatial = SpatialRules(
        types=("fire",),
        box=Box(0, 450_000_000, 0, 450_000_000),  # a pole in it would make cells as wide as the globe
        duplicate_radius_m=100,
        duplicate_window_ms=300_000,
        report_radius_m=3_000,
        group_size=5,
        min_workers=3,
        draw_delay=1,
        assign_window_ms=60_000,
        vote_window_ms=6_000,
        reveal_window_ms=10_000,
        tally_window_ms=30_000,
        max_report_age_ms=600_000,
        max_report_ahead_ms=600_000,
        reward="bounded",
        gamma_r_ppm=500_000,
        gamma_w_ppm=250_000,
        base_requester=500_000,
        base_worker=250_000,
        distance_unit_m=1_000,
        history_cap=20,
        open_enrolment=True,
        operators=(),
    )
    rules = PowRules(
        block_interval_ms=STEP_MS,
        finality_depth=finality_depth,
        retarget_window=20,
        initial_difficulty=1,
        max_future_ms=10_000,
        median_window=11,
        quota=0,
        quota_window=0,
        block_reward=1_000_000,
        max_block_transactions=500,
        max_block_bytes=262_144,
        max_transaction_gas=MAX_TRANSACTION_GAS,
        max_block_gas=MAX_BLOCK_GAS,
    )
    held = sorted((Balance(_account(n), 10**12) for n in range(1, PEOPLE + 1)), key=lambda balance: balance.account)
    return Network.found(Genesis("bench", START_MS, rules, spatial, tuple(held)))


class _Maker:
    """A miner, its clock, and transactions that are signed before anything is timed."""

    def __init__(self, network: Network, producer: int, kept_blocks: int) -> None:
        config = PowConfig(kept_blocks=kept_blocks)
        self.ledger = PowLedger(network, producer=_account(producer), config=config)
        self.now_ms = START_MS
        self.frames: list[bytes] = []
        self.submitting_s = self.mining_s = 0.0
        self._nonces = [0] * (PEOPLE + 1)

    def payments(self, count: int) -> list[Transaction]:
        """Ten people pay each other in turn."""
        return [
            self._signed(1 + n % PEOPLE, "accounts", "transfer", _account(1 + (n + 1) % PEOPLE), 1)
            for n in range(count)
        ]

    def reports(self, count: int, first: int) -> list[Transaction]:
        """Of fires far from each other."""
        return [
            self._signed(
                1 + n % PEOPLE,
                "spatial",
                "submit",
                "fire",
                APART_E7 * (1 + n % ROW),
                APART_E7 * (1 + n // ROW),
                self.now_ms,
            )
            for n in range(first, first + count)
        ]

    def extend(self, transactions: Sequence[Transaction] = ()) -> None:
        """Submit, and mine one block that holds them all."""
        self.now_ms += STEP_MS
        begin = process_time()
        for transaction in transactions:
            self.ledger.submit(transaction, self.now_ms)
        submitted = process_time()
        effects: list[LedgerEffect] = []
        height = self.ledger.head.height
        while self.ledger.head.height == height:
            effects += self.ledger.mine(1, self.now_ms)
        self.mining_s += process_time() - submitted
        self.submitting_s += submitted - begin
        self.frames += [e.data for e in effects if isinstance(e, Broadcast) and e.topic == "blocks"]
        made = self.ledger.block(self.ledger.head.height)
        if made is None or len(made.transactions) != len(transactions):
            raise RuntimeError("a block does not hold what was submitted")

    def follow(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self.ledger.receive_block(b"peer", decode_block(frame), self.now_ms)

    def _signed(self, who: int, contract: str, method: str, *args: object) -> Transaction:
        nonce = self._nonces[who]
        self._nonces[who] += 1
        return sign_transaction(_key(who), self.ledger.chain, nonce, contract, method, encode_args(*args))


def _import_s(network: Network, frames: Sequence[bytes], now_ms: int) -> list[float]:
    """Seconds that each block takes a replica that hears of them one after another."""
    replica = PowLedger(network)
    took = []
    for frame in frames:
        begin = process_time()
        replica.receive_block(b"peer", decode_block(frame), now_ms)
        took.append(process_time() - begin)
    if replica.head.height != len(frames):
        raise RuntimeError("the replica did not follow")
    return took


def _sync_peak_bytes(maker: _Maker, config: PowConfig) -> int:
    """Most bytes that Python held for a late joiner while it caught up; traced, hence not timed."""
    tracemalloc.start()
    try:
        _sync_s(maker, config)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _sync_s(maker: _Maker, config: PowConfig) -> float:
    """Seconds that a late joiner and the peers it asks take together."""
    joiner = PowLedger(maker.ledger.network, config=config)
    now_ms = maker.now_ms
    begin = process_time()
    asked: deque[Ask] = deque()
    for number in range(PEERS):
        asked += [effect for effect in joiner.peer_up(bytes([number]), now_ms) if isinstance(effect, Ask)]
    while asked and joiner.head != maker.ledger.head:
        ask = asked.popleft()
        answer = maker.ledger.answer(b"joiner", ask.request)
        effects = joiner.answered(ask.peer, ask.request, answer, now_ms)
        asked += [effect for effect in effects if isinstance(effect, Ask)]
    took = process_time() - begin
    if joiner.head != maker.ledger.head or joiner.state.root != maker.ledger.state.root:
        raise RuntimeError("the joiner did not catch up")
    return took


# --- what is measured -------------------------------------------------------------------------------------------------


def _hashes_per_s(attempts: int = 300_000) -> int:
    begin = process_time()
    grind(bytes(230), 2**60, 0, attempts)
    return round(attempts / (process_time() - begin))


def _full_blocks(size: Size, progress: Progress) -> dict[str, Any]:
    count = size.full_blocks * size.per_block
    progress(f"{size.full_blocks} blocks of {size.per_block} payments")
    maker = _Maker(_network(finality_depth=6), PEOPLE + 1, kept_blocks=size.full_blocks)
    for _ in range(size.full_blocks):
        maker.extend(maker.payments(size.per_block))
    applied = _import_s(maker.ledger.network, maker.frames, maker.now_ms)
    few_bodies = PowConfig(kept_blocks=16, snapshot_gap=10**9)
    sync_s, peak = _sync_s(maker, few_bodies), _sync_peak_bytes(maker, few_bodies)
    per_block = min(size.per_block, REPORTS)
    progress(f"{size.full_blocks} blocks of {per_block} reports")
    reporters = _Maker(maker.ledger.network, PEOPLE + 1, kept_blocks=size.full_blocks)
    for number in range(size.full_blocks):
        reporters.extend(reporters.reports(per_block, number * per_block))
    reports = _import_s(reporters.ledger.network, reporters.frames, reporters.now_ms)
    own_s = maker.submitting_s + maker.mining_s
    return {
        "node_tx_per_cpu_s": round(count / own_s),
        "applied_tx_per_cpu_s": round(count / sum(applied)),
        "applied_reports_per_cpu_s": round(size.full_blocks * per_block / sum(reports)),
        "all_tx_per_cpu_s": round(count / (own_s + sum(applied))),
        "full_block_ms": round(1_000 * median(applied), 2),
        "sync_tx_per_s": round(count / sync_s),
        "sync_full_peak_bytes": peak,
    }


def _empty_blocks(size: Size, progress: Progress) -> dict[str, Any]:
    count = size.empty_blocks
    progress(f"{count} empty blocks")
    maker = _Maker(_network(finality_depth=6), PEOPLE + 1, kept_blocks=count)
    for _ in range(count):
        maker.extend()
    applied = _import_s(maker.ledger.network, maker.frames, maker.now_ms)
    bodies_s, state_s = _sync_s(maker, PowConfig(snapshot_gap=10**9)), _sync_s(maker, PowConfig())
    return {
        "empty_block_us": round(1e6 * sum(applied) / count, 1),
        "sync_blocks_per_s": round(count / bodies_s),
        "sync_by_state_blocks_per_s": round(count / state_s),
        "sync_peak_bytes": _sync_peak_bytes(maker, PowConfig(snapshot_gap=10**9)),
    }


def _reorganisation(size: Size, progress: Progress) -> dict[str, Any]:
    """A replica on one branch hears of another that is a block longer and holds other payments, half of them the same."""
    depth, payments = size.reorganisation, size.per_block // 10
    progress(f"a reorganisation of {depth} blocks of {payments} payments")
    network = _network(finality_depth=2 * depth)
    ours, theirs = (_Maker(network, PEOPLE + 1 + n, kept_blocks=2 * depth) for n in range(2))
    for _ in range(depth):
        batch = ours.payments(payments)
        ours.extend(batch)
        theirs.extend(theirs.payments(payments // 2))
    theirs.extend()
    took = []
    for frame in theirs.frames:
        begin = process_time()
        ours.ledger.receive_block(b"peer", decode_block(frame), theirs.now_ms)
        took.append(process_time() - begin)
    after = ours.ledger.statistics()
    if ours.ledger.head != theirs.ledger.head or after.deepest_reorganisation != depth:
        raise RuntimeError("the replica did not take the heavier branch")
    return {
        "reorganisation_ms": round(1_000 * took[-1], 2),
        "reorganisation_import_ms": round(1_000 * sum(took), 1),
    }
