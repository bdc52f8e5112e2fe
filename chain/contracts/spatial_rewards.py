"""Rewards of requesters and workers (spec/spatial.md): integer arithmetic over millimetres and micro-credits.

One credit is a million micro-credits and one gamma a million ppm, so gamma in ppm times a pure number is a reward in
micro-credits. Every reward is rounded down once, at the end.
"""

from collections.abc import Sequence

from chain.contract import Context
from chain.contracts.spatial_records import Content, Past, ReportId
from chain.contracts.spatial_rules import SpatialRules
from chain.geodesy import HAVERSINE_OPERATIONS, haversine_mm
from chain.values import Account

PAPER_HISTORY = 10_000
"""The paper's rule sums over all earlier reports; ours over the last so many, so that a block stays finite."""
REQUESTER = b"r"
WORKER = b"w"


def requester_reward(rules: SpatialRules, confirmed: int, distances_mm: Sequence[int]) -> int:
    """PEY_r in micro-credits. `confirmed`: N_re, this one included; `distances_mm`: to each earlier report."""
    return _reward(rules, rules.base_requester, rules.gamma_r_ppm, confirmed, 1, distances_mm)


def worker_reward(rules: SpatialRules, confirmed: int, confirmers: int, distances_mm: Sequence[int]) -> int:
    """PEY_w in micro-credits. `confirmed`: N_c, this one included; `confirmers`: N_w."""
    return _reward(rules, rules.base_worker, rules.gamma_w_ppm, confirmed, confirmers, distances_mm)


def _reward(
    rules: SpatialRules, base: int, gamma_ppm: int, confirmed: int, sharers: int, distances_mm: Sequence[int]
) -> int:
    total = sum(distances_mm)
    unit_mm = rules.distance_unit_m * 1000
    if rules.reward == "paper":
        return gamma_ppm * confirmed * total // (unit_mm * sharers)
    if not distances_mm:
        return base
    times = min(confirmed, rules.history_cap)
    return base + gamma_ppm * times * total // (unit_mm * sharers * len(distances_mm))


def _history_length(rules: SpatialRules) -> int:
    return PAPER_HISTORY if rules.reward == "paper" else rules.history_cap


def _past_key(role: bytes, account: Account, number: int) -> bytes:
    return b"past/" + role + account + number.to_bytes(8, "big")


def confirmed_so_far(ctx: Context, role: bytes, account: Account) -> int:
    """How many confirmed reports an account has in a role."""
    return ctx.get(b"count/" + role + account, int) or 0


def last_reports(ctx: Context, role: bytes, account: Account, limit: int) -> tuple[Past, ...]:
    """The last reports of an account in a role, at most `limit`, oldest first."""
    start = max(0, confirmed_so_far(ctx, role, account) - limit)
    prefix = b"past/" + role + account
    return tuple(past for _, past in ctx.scan(prefix, Past, start=_past_key(role, account, start)))


def _advance(
    ctx: Context, rules: SpatialRules, role: bytes, account: Account, report: ReportId, content: Content
) -> tuple[int, list[int]]:
    """Add a report to an account's history; returns (N with it, distances to those before it)."""
    here = (content.lat_e7, content.lon_e7)
    kept = _history_length(rules)
    before = confirmed_so_far(ctx, role, account)
    earlier = last_reports(ctx, role, account, kept)
    ctx.compute(len(earlier) * HAVERSINE_OPERATIONS)
    distances = [haversine_mm(here, (past.lat_e7, past.lon_e7)) for past in earlier]
    ctx.put(_past_key(role, account, before), Past(report, *here))
    if before >= kept:
        ctx.delete(_past_key(role, account, before - kept))
    ctx.put(b"count/" + role + account, before + 1)
    return before + 1, distances


def pay_rewards(
    ctx: Context, rules: SpatialRules, report: ReportId, content: Content, workers: Sequence[Account]
) -> tuple[int, tuple[int, ...]]:
    """Pay for a confirmed report; returns what the requester and each of `workers` got, in micro-credits."""
    confirmed, distances = _advance(ctx, rules, REQUESTER, content.requester, report, content)
    to_requester = ctx.pay(content.requester, requester_reward(rules, confirmed, distances))
    to_workers = []
    for worker in workers:
        confirmed, distances = _advance(ctx, rules, WORKER, worker, report, content)
        to_workers.append(ctx.pay(worker, worker_reward(rules, confirmed, len(workers), distances)))
    return to_requester, tuple(to_workers)
