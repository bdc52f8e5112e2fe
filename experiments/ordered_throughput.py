"""Valid transactions a second of a whole consortium in one process, paced by the wall clock: the ordered ledger alone.

Four peers, two of whose organisations endorse each call, and three orderers that agree by Raft: seven replicas, with a
client that signs, as `actors.consortium_trial` has them, without overlay and sockets. Its time is the wall clock's here,
and what is due is done as soon as the processor can. So a rate that is too high shows as it does on any busy server: fewer
calls are sent than asked for, for at most IN_FLIGHT are under way, and what is sent takes longer.

Calls are transfers. ``disjoint``: between accounts that no other call touches. ``low``: between two of ACCOUNTS accounts
drawn at random. ``hot``: from an account of its own to one of HOT accounts drawn at random, made again after a conflict.
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from actors.consortium_clients import Call, Clients
from actors.consortium_trial import Member, Shape, Trial
from chain.keys import account_of, remember_signatures
from chain.ledgers.ordered.values import CONFLICTS, ValidationCode
from chain.transition import APPLIED
from chain.values import Account
from experiments.measuring import cpu_s

Load = Literal["disjoint", "low", "hot"]

ACCOUNTS: Final = 2_000
"""Between which transfers of the load ``low`` go."""
HOT: Final = 50
PAIRS: Final = 2_000
"""Of the load ``disjoint``, taken in turn: a pair's last call has long ended when it is called again."""
PAYERS: Final = 2_000
"""Of the load ``hot``: so many that two calls of one payer are not under way at once."""
IN_FLIGHT: Final = 400
"""Calls that are under way at most; the generator waits for one to end. Bounds what a call waits for when overloaded."""
ATTEMPTS: Final = 16
"""Of a call of the load ``hot``, at most."""
GIVEN_UP: Final = frozenset(code.value for code in CONFLICTS) | {"endorsements_differ"}
AMOUNT: Final = 5
LATENCY_MS: Final = 1
"""One way, between any two members."""
ELECTED_MS: Final = 10_000
DRAIN_MS: Final = 60_000
"""How long calls may take to end after the last was sent; then they are counted as unfinished."""


@dataclass(frozen=True, slots=True)
class ThroughputSize:
    """How much is measured."""

    rates: Sequence[int] = (250, 500, 1_000, 1_500, 2_000)
    """Calls a second that are asked for."""
    unshared_rates: Sequence[int] = (100, 200, 400)
    """The same, where replicas share nothing."""
    seconds: float = 10.0
    """Of load that are measured, at each rate."""
    warm_s: float = 2.0
    """Of load before."""


QUICK = ThroughputSize(rates=(500, 1_000, 2_000), unshared_rates=(400,), seconds=3.0, warm_s=1.0)


@dataclass(frozen=True, slots=True)
class ThroughputRow:
    """One load at one requested rate. Rates are a second of the wall clock, over the measured time."""

    load: Load
    shared: bool
    """Whether the replicas of the process share what they found out about the same bytes."""
    requested_per_s: int
    sent_per_s: float
    """Calls begun; retries are not counted."""
    committed_per_s: float
    """Transactions in blocks, valid or not."""
    valid_per_s: float
    valid_per_cpu_s: float
    """Valid ones by CPU seconds of this process."""
    goodput_share: float
    """Valid ones of those in blocks."""
    p50_ms: float | None
    """From the call to its commit at its gateway, retries included, of valid calls begun in the measured time."""
    p99_ms: float | None
    calls: int
    """All calls, those of warming up included, as everything below."""
    codes: dict[str, int]
    """Transactions in blocks by validation code."""
    not_ordered: int
    """Attempts that came to nothing before they were ordered: endorsers differed or did not answer, or refused."""
    outcomes: dict[str, int]
    """Calls by what became of them in the end: a validation code (upper case), or a refusal's reason."""
    given_up: int
    """Calls that met conflicts in every attempt they had."""
    attempts_per_call: float
    unfinished: int
    """Calls of which it is not known what became of them, after everything was drained."""


class PacedTrial(Trial):
    """A trial whose time is the wall clock's: an event happens when it is due, or as soon as those before it are done."""

    def __init__(self, seed: int, shape: Shape) -> None:
        super().__init__(seed, shape)
        self._offset_ms = self.now_ms - 1_000 * time.perf_counter()

    def run_until(self, done: Callable[[], bool], end_ms: int) -> bool:
        """Let time pass until `done`, at most until `end_ms`. Returns whether it is."""
        while not done():
            now_ms = self._offset_ms + 1_000 * time.perf_counter()
            if now_ms >= end_ms:
                return False
            due_ms = self._events[0][0] if self._events else end_ms
            if due_ms <= now_ms:
                self.now_ms = int(now_ms)
                _, _, do, args = heapq.heappop(self._events)
                do(*args)
            else:
                time.sleep((min(end_ms, due_ms) - now_ms) / 1_000)
        return True

    def deliver(self, sender: Member, account: bytes, hear: Callable[[Member], None]) -> None:  # noqa: ARG002
        """Have a message reach a member after LATENCY_MS. No faults here, so no dice are thrown for every message."""
        member = self.members.get(Account(account))
        if member is not None:
            self.at(self.now_ms + LATENCY_MS, self._arrive, member, member.lives, hear)


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far everything was at one moment."""

    wall_s: float
    cpu_s: float
    calls: int
    committed: int
    valid: int


class _Generator:
    """Makes calls at a rate, evenly, as long as it may and not too many are under way."""

    def __init__(self, trial: Trial, clients: Clients, load: Load, per_s: int, seed: int) -> None:
        self._trial, self._clients, self._load = trial, clients, load
        self._per_s = per_s
        self._rng = Random(f"{seed}/{load}/{per_s}")
        self._began_ms = trial.now_ms
        self._accounts = [account_of(trial.keys[name]) for name in trial.customers]
        self._under_way = 0
        self._waits = False
        self.going = True

    def go_on(self) -> None:
        """Make the call that is due, and see to the next one."""
        if not self.going:
            return
        self._waits = self._under_way >= IN_FLIGHT
        if self._waits:
            return
        self._under_way += 1
        payer, payee = self._who()
        name = self._trial.customers[payer]
        self._clients.call(name, "accounts", "transfer", self._accounts[payee], AMOUNT, on_end=self._ended)
        due_ms = self._began_ms + 1_000 * len(self._clients.calls) // self._per_s
        self._trial.at(max(due_ms, self._trial.now_ms), self.go_on)

    def _who(self) -> tuple[int, int]:
        count, rng = len(self._accounts), self._rng
        if self._load == "disjoint":
            first = 2 * len(self._clients.calls) % count
            return first, first + 1
        if self._load == "hot":
            return HOT + rng.randrange(count - HOT), rng.randrange(HOT)
        payer = rng.randrange(count)
        return payer, (payer + 1 + rng.randrange(count - 1)) % count

    def _ended(self, _: Call) -> None:
        self._under_way -= 1
        if self._waits:
            self._waits = False
            self._trial.at(self._trial.now_ms, self.go_on)


_CODES: Final = frozenset(code.value for code in ValidationCode)
_CUSTOMERS: Final[dict[Load, int]] = {"disjoint": 2 * PAIRS, "low": ACCOUNTS, "hot": PAYERS + HOT}


def measure(load: Load, per_s: int, size: ThroughputSize, *, shared: bool = True, seed: int = 1) -> ThroughputRow:
    """One load at one requested rate, on a network of its own. The process's memories are left as they were, but empty."""
    APPLIED.enabled = shared
    remember_signatures(shared)
    try:
        return _measure(load, per_s, size, shared, seed)
    finally:
        APPLIED.enabled = True
        APPLIED.clear()
        remember_signatures(True)


def _measure(load: Load, per_s: int, size: ThroughputSize, shared: bool, seed: int) -> ThroughputRow:
    trial = PacedTrial(seed, Shape(customers=_CUSTOMERS[load]))
    clients = Clients(trial, attempts=ATTEMPTS if load == "hot" else 1)
    if not trial.run_until(lambda: trial.leader is not None, trial.now_ms + ELECTED_MS):
        raise RuntimeError("the orderers elected no leader")
    generator = _Generator(trial, clients, load, per_s, seed)
    marks: list[_Mark] = []

    def mark() -> None:
        codes = clients.codes
        marks.append(_Mark(time.perf_counter(), cpu_s(), len(clients.calls), codes.total(), codes["VALID"]))

    generator.go_on()
    trial.run_for(round(1_000 * size.warm_s))
    mark()
    trial.run_for(round(1_000 * size.seconds))
    mark()
    generator.going = False
    trial.run_until(lambda: all(call.ended_ms is not None for call in clients.calls), trial.now_ms + DRAIN_MS)
    return _row(load, per_s, shared, clients, marks)


def _row(load: Load, per_s: int, shared: bool, clients: Clients, marks: Sequence[_Mark]) -> ThroughputRow:
    before, after = marks
    took_s = after.wall_s - before.wall_s
    committed, valid = after.committed - before.committed, after.valid - before.valid
    calls = clients.calls
    unfinished = sum(call.ended_ms is None for call in calls)
    measured = calls[before.calls : after.calls]
    times = sorted(call.ended_ms - call.began_ms for call in measured if call.ended_ms and call.outcome == "valid")
    return ThroughputRow(
        load=load,
        shared=shared,
        requested_per_s=per_s,
        sent_per_s=round((after.calls - before.calls) / took_s, 1),
        committed_per_s=round(committed / took_s, 1),
        valid_per_s=round(valid / took_s, 1),
        valid_per_cpu_s=round(valid / (after.cpu_s - before.cpu_s), 1),
        goodput_share=round(valid / max(1, committed), 4),
        p50_ms=_at(times, 0.5),
        p99_ms=_at(times, 0.99),
        calls=len(calls),
        codes=dict(sorted(clients.codes.items())),
        not_ordered=sum(call.attempts for call in calls) - clients.codes.total() - unfinished,
        outcomes=dict(sorted(Counter(_named(call.outcome) for call in calls if call.outcome).items())),
        given_up=sum(call.outcome in GIVEN_UP for call in calls),
        attempts_per_call=round(sum(call.attempts for call in calls) / max(1, len(calls)), 3),
        unfinished=unfinished,
    )


def _named(outcome: str) -> str:
    """As codes are named, when it is one."""
    return outcome.upper() if outcome in _CODES else outcome


def _at(times: Sequence[int], share: float) -> float | None:
    return float(times[min(len(times) - 1, int(share * len(times)))]) if times else None
