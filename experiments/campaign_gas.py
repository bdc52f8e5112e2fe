"""What the calls of a campaign cost in gas, beside what ChainSensing reports of its contract on Ethereum (spec/campaign.md).

One campaign after the other in the paper's setting is played on a state, call by call, with the meter that ledgers use
(`chain.gas`: Ethereum's published costs). Nothing is fitted to the paper. What makes the rows differ is what the contracts
store: ours keeps commitments where the paper's seems to have them logged alone, packs a path tighter, and comes with the
network, where deploying the paper's brings its code along.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from random import Random
from statistics import fmean
from typing import Any

from actors.sensing.planning import greedy as plan_greedily
from actors.sensing.selection import greedy as select_greedily
from chain.contract import Context, Registry, encode_args
from chain.contracts import accounts, campaign
from chain.contracts.accounts import initial_balances
from chain.contracts.campaign_check import right_winners
from chain.contracts.campaign_commitments import commit_data
from chain.contracts.campaign_records import (
    BIDDING,
    COLLECTION,
    ON_RETURN,
    PUBLISHING,
    REGISTRATION,
    SELECTION,
    SUBMISSION,
    TIMED,
    Bid,
    CampaignId,
    Selection,
    Standing,
    Stop,
    Task,
    Terms,
)
from chain.gas import Meter, intrinsic_gas
from chain.state import Version, WorldState
from chain.values import Account, BlockId, TxId
from experiments.campaign_setting import Campaign, Setting, draw, play

PAPER: Mapping[str, Mapping[int, int]] = {
    "deploy": {0: 1_934_270},
    "publish_task": {0: 145_007},
    "bid_path": {5: 339_083, 6: 379_657, 7: 420_231, 8: 422_341, 9: 462_915},
    "return_selection": {0: 424_543},
    "submit_hash": {0: 23_654},
    "submit_data": {6: 33_283, 7: 34_587, 8: 35_827, 9: 37_131},
}
"""Published: gas by operation and number of tasks; 0 where it does not depend on any."""
BY_TASKS = ("bid_path", "submit_data")
OPERATIONS = (*PAPER, "register_oracle", "advance", "distribute_rewards")
"""What is told: the paper's in its order, then others."""
BEGIN_MS = 1_700_000_000_000
PHASE_MS = 400_000
PLACE_E7 = (444_900_000, 113_400_000)
E7_PER_M = 89.93
"""Of latitude; what a place costs does not depend on where it is."""
CREDIT = 1_000_000
UNLIMITED = 10**12


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    seed: int = 1
    seeds: int = 50


@dataclass
class Runs:
    """Gas by operation and number of tasks. `interrupted` when somebody did not want to wait for the rest."""

    plan: Plan
    gas: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    done: int = 0
    interrupted: bool = False


def run(plan: Plan, tell: Callable[[str], object] | None = None) -> Runs:
    """Play all seeds; Ctrl-C ends early with those that are done."""
    runs = Runs(plan)
    try:
        for seed in range(plan.seed, plan.seed + plan.seeds):
            for row, gas in _play(seed):
                runs.gas.setdefault(row, []).append(gas)
            runs.done += 1
            if tell and runs.done % 10 == 0:
                tell(f"seed {runs.done} of {plan.seeds}")
    except KeyboardInterrupt:
        runs.interrupted = True
    return runs


def report(runs: Runs) -> dict[str, Any]:
    """All figures, as JSON: a row for each operation and number of tasks; `slopes`: gas for one task more."""
    known = sorted(runs.gas, key=lambda row: (OPERATIONS.index(row[0]), row[1]))
    return {
        "experiment": "campaign-gas",
        "first_seed": runs.plan.seed,
        "seeds": runs.done,
        "interrupted": runs.interrupted,
        "rows": [_row(runs, *row) for row in known],
        "slopes": {name: _slopes(runs, name) for name in BY_TASKS if runs.gas},
    }


def _row(runs: Runs, operation: str, tasks: int) -> dict[str, Any]:
    found = runs.gas[operation, tasks]
    published = PAPER.get(operation, {}).get(tasks)
    mean = fmean(found)
    return {
        "operation": operation,
        "tasks": tasks,
        "calls": len(found),
        "gas": round(mean),
        "gas_min": min(found),
        "gas_max": max(found),
        "paper": published,
        "ratio": None if published is None else round(mean / published, 3),
    }


def _slopes(runs: Runs, operation: str) -> dict[str, float | None]:
    ours = [(tasks, fmean(gas)) for (name, tasks), gas in runs.gas.items() if name == operation]
    return {"ours": _slope(ours), "paper": _slope(list(PAPER[operation].items()))}


def _slope(points: Sequence[tuple[int, float]]) -> float | None:
    """Of the least-squares line."""
    if len(points) < 2:
        return None
    x, y = fmean(tasks for tasks, _ in points), fmean(gas for _, gas in points)
    return round(sum((t - x) * (g - y) for t, g in points) / sum((t - x) ** 2 for t, _ in points), 1)


def table(result: Mapping[str, Any]) -> str:
    """For people."""
    if not result["rows"]:
        return "nothing was done"
    lines = [
        f"gas of a campaign's calls, the paper's setting, {result['seeds']} seeds; Ethereum's published costs, none fitted",
        f"{'operation':20}{'tasks':>6}{'calls':>8}{'gas':>12}{'least':>12}{'most':>12}{'paper':>12}{'ratio':>8}",
    ]
    for row in result["rows"]:
        published = "–" if row["paper"] is None else f"{row['paper']:,}"
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(
            f"{row['operation']:20}{row['tasks'] or '':>6}{row['calls']:>8,}{row['gas']:>12,}{row['gas_min']:>12,}"
            f"{row['gas_max']:>12,}{published:>12}{ratio:>8}"
        )
    lines += [
        f"one task more: {name} {each['ours']:,} gas, paper {each['paper']:,}"
        for name, each in result["slopes"].items()
        if each["ours"] is not None
    ]
    lines.append(
        "deploy: the paper's brings the contract's code along; ours comes with the network, and only terms are stored"
    )
    return "\n".join(lines)


class _Chain:
    """Calls on a state, one a block, with what each costs."""

    def __init__(self) -> None:
        self._registry = Registry({"accounts": accounts, "campaign": campaign})
        everybody = [(_account(name), 1_000 * CREDIT) for name in ("organizer", "oracle", *map(str, range(64)))]
        self._state = WorldState.empty().apply(initial_balances(everybody), Version(0, 0))
        self._heights = count(1)
        self.time_ms = BEGIN_MS
        self.gas: list[tuple[tuple[str, int], int]] = []

    def call(self, who: str, method: str, *args: object, tasks: int = 0) -> Any:
        height, encoded, meter = next(self._heights), encode_args(*args), Meter(UNLIMITED)
        context = Context(
            self._state,
            "campaign",
            sender=_account(who),
            tx=TxId(sha256(b"transaction" + height.to_bytes(8, "big")).digest()),
            time_ms=self.time_ms,
            block_id_at=lambda at: BlockId(sha256(b"block" + at.to_bytes(8, "big")).digest()),
            gas=meter,
        )
        meter.charge(intrinsic_gas(encoded))
        result = self._registry.run(context, "campaign", method, encoded)
        self._state = self._state.apply(context.writes, Version(height, 0))
        self.gas.append(((method, tasks), meter.spent))
        return self._registry.result("campaign", method, result, is_query=False)

    def query(self, method: str, *args: object) -> Any:
        found = self._registry.query(self._state, "campaign", method, encode_args(*args), time_ms=self.time_ms)
        return self._registry.result("campaign", method, found)


def _play(seed: int) -> list[tuple[tuple[str, int], int]]:
    """One campaign in the paper's setting: each call's operation, tasks and gas."""
    rng = Random(f"{seed}/campaign-gas")
    drawn = draw(Setting(), rng)
    plans = play(drawn, plan_greedily, rng).plans
    chain = _Chain()
    id_: CampaignId = chain.call("organizer", "deploy", _terms())
    chain.call("oracle", "register_oracle", id_, 0)
    _next(chain, id_, REGISTRATION)
    collection_ms = _standing(chain, id_).ends_ms[TIMED.index(SELECTION)] + 1
    _publish(chain, id_, drawn, collection_ms)
    _next(chain, id_, PUBLISHING)
    for worker, plan in enumerate(plans):
        path = tuple(Stop(task, collection_ms + round(second * 1000)) for task, second in plan.stops)
        chain.call(str(worker), "bid_path", id_, worker, path, tasks=len(path))
    _next(chain, id_, BIDDING)
    bids = _select(chain, id_)
    _next(chain, id_, SELECTION)
    data = {bid.worker: [rng.randbytes(32) for _ in bid.path] for bid in bids}
    names = {_account(str(worker)): str(worker) for worker in range(len(plans))}
    salt = bytes(16)
    for bid in bids:
        chain.call(names[bid.worker], "submit_hash", id_, commit_data(id_, 0, bid.worker, data[bid.worker], salt))
    _next(chain, id_, COLLECTION)
    for bid in bids:
        chain.call(names[bid.worker], "submit_data", id_, tuple(data[bid.worker]), salt, tasks=len(bid.path))
    _next(chain, id_, SUBMISSION)
    while not chain.call("organizer", "distribute_rewards", id_, 64):
        pass
    return chain.gas


def _terms() -> Terms:
    return Terms(
        durations_ms=(PHASE_MS,) * 6,
        review_ms=PHASE_MS // 2,
        grace_ms=60_000,
        deposit=CREDIT,
        stake=5 * CREDIT,
        penalty=2 * CREDIT,
        bond=3 * CREDIT,
        bounty=CREDIT // 2,
        oracle_ms=PHASE_MS // 2,
        draw_delay=1,
        drawn=1,
        agreeing=1,
        check=ON_RETURN,
        challenge_ms=60_000,
        max_speed_mm_s=1_200,
        oracles=(),
    )


def _publish(chain: _Chain, id_: CampaignId, drawn: Campaign, collection_ms: int) -> None:
    setting = drawn.setting
    for number, ((x, y), time_ms) in enumerate(zip(drawn.places, drawn.times_ms, strict=True)):
        place = PLACE_E7[0] + round(y * E7_PER_M), PLACE_E7[1] + round(x * E7_PER_M)
        terms = (setting.reward * CREDIT, collection_ms + time_ms, setting.interval_ms, setting.samples)
        chain.call("organizer", "publish_task", id_, number, *place, *terms)


def _select(chain: _Chain, id_: CampaignId) -> list[Bid]:
    """Return the paper's selection; the bids that were selected."""
    tasks: Sequence[Task] = chain.query("tasks", id_, 0)
    bids: Sequence[Bid] = chain.query("bids", id_, 0)
    paths = [[stop.task for stop in bid.path] for bid in bids]  # numbers are places here
    chosen = tuple(select_greedily(paths, [task.samples for task in tasks]))
    chain.call("oracle", "return_selection", id_, Selection(chosen, right_winners(tasks, bids, chosen)))
    return [bids[place] for place in chosen]


def _standing(chain: _Chain, id_: CampaignId) -> Standing:
    found: Standing = chain.query("campaign", id_)
    return found


def _next(chain: _Chain, id_: CampaignId, phase: str) -> None:
    chain.time_ms = _standing(chain, id_).ends_ms[TIMED.index(phase)] + 1
    chain.call("organizer", "advance", id_)


def _account(name: str) -> Account:
    return Account(sha256(name.encode()).digest())
