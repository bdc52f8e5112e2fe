"""What anybody may ask the spatial contract: web pages, actors, checkers. All answers are bounded; pages follow `after`."""

from collections import deque
from collections.abc import Collection
from itertools import islice
from typing import Annotated

import msgspec

from chain.contract import Context, query
from chain.contracts.spatial_board import (
    alike,
    ballots,
    find_assignment,
    find_report,
    responses_of,
    reveal_until_ms,
    rules_of,
    served_key,
    status_key,
    tally_until_ms,
    vote_until_ms,
)
from chain.contracts.spatial_records import (
    ASSIGNED,
    PENDING,
    STATUSES,
    History,
    Listed,
    Operator,
    Progress,
    Report,
    ReportId,
    Responses,
)
from chain.contracts.spatial_rewards import REQUESTER, WORKER, confirmed_so_far, last_reports
from chain.contracts.spatial_rules import ROLES, Box, LatE7, LonE7, SpatialRules
from chain.values import AccountField, Hash, Natural

MAX_PAGE = 500
MAX_SCANNED = 5_000
"""Entries that one query looks at before it gives up and returns what it has."""
FIRST_SPAN_MS = 60_000

Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)]


@query
def rules(ctx: Context) -> SpatialRules:
    """The parameters; `operators` is empty, ask for them by role."""
    return rules_of(ctx)


@query
def report(ctx: Context, report: ReportId) -> Report:
    """One report. Refused: ``unknown_report``."""
    return find_report(ctx, report)


@query
def reports(ctx: Context, status: str, limit: Limit, after: ReportId | None) -> tuple[Report, ...]:
    """Reports of a status in the order they were recorded, those behind `after`; all, by id, when status is empty.

    Refused: ``unknown_status``; ``unknown_report`` (`after`).
    """
    if status and status not in STATUSES:
        ctx.refuse("unknown_status", status[:32])
    if not status:
        found = []
        for _, each in ctx.scan(b"report/", Report, start=b"report/" + (after or b"")):
            if each.id != after:
                found.append(each)
            if len(found) == limit:
                break
        return tuple(found)
    start = b"" if after is None else status_key(status, find_report(ctx, after).recorded_ms, after)
    ids = []
    for key, _ in ctx.scan(b"status/" + status.encode() + b"/", bool, start=start):
        if key != start:
            ids.append(ReportId(key[-32:]))
        if len(ids) == limit:
            break
    return tuple(find_report(ctx, each) for each in ids)


@query
def latest(ctx: Context, status: str, limit: Limit, before: ReportId | None) -> tuple[Listed, ...]:
    """Reports of a status (of all, when it is empty), newest first, those recorded before `before`.

    Refused: ``unknown_status``; ``unknown_report`` (`before`).
    """
    if status and status not in STATUSES:
        ctx.refuse("unknown_status", status[:32])
    end = None
    if before is not None:
        end = (find_report(ctx, before).recorded_ms, before)
    newest: list[tuple[int, ReportId]] = []
    for each in (status,) if status else STATUSES:
        newest += _newest(ctx, each, limit, end)
    newest.sort(reverse=True)
    found = [find_report(ctx, id_) for _, id_ in newest[:limit]]
    return tuple(Listed(each, _progress(ctx, each) if each.status == ASSIGNED else None) for each in found)


def _newest(
    ctx: Context, status: str, limit: int, end: tuple[int, ReportId] | None
) -> Collection[tuple[int, ReportId]]:
    """The last `limit` reports of a status before `end`, oldest first, as (recorded_ms, id).

    Keys can only be read forwards: look at a minute, and while that is not enough, at four times as much.
    """
    prefix = b"status/" + status.encode() + b"/"
    span_ms, last_ms = FIRST_SPAN_MS, ctx.time_ms if end is None else end[0]
    while True:
        first_ms = max(0, last_ms - span_ms)
        found: deque[tuple[int, ReportId]] = deque(maxlen=limit)
        for key, _ in ctx.scan(prefix, bool, start=prefix + first_ms.to_bytes(8, "big")):
            at = int.from_bytes(key[-40:-32], "big"), ReportId(key[-32:])
            if end is not None and at >= end:
                break
            found.append(at)
        if len(found) == limit or first_ms == 0:
            return found
        span_ms *= 4


@query
def like(ctx: Context, type_: str, lat_e7: LatE7, lon_e7: LonE7, time_ms: Natural, limit: Limit) -> tuple[Listed, ...]:
    """Reports that would make one of that type, place and time a duplicate. Refused: ``unknown_type``."""
    rules = rules_of(ctx)
    if type_ not in rules.types:
        ctx.refuse("unknown_type", type_[:32])
    found = [find_report(ctx, id_) for id_ in islice(alike(ctx, rules, type_, lat_e7, lon_e7, time_ms), limit)]
    return tuple(Listed(each, _progress(ctx, each) if each.status == ASSIGNED else None) for each in found)


@query
def pending(ctx: Context, box: Box, limit: Limit) -> tuple[Report, ...]:
    """The earliest recorded reports inside `box` that nobody was assigned to, of the first MAX_SCANNED pending ones."""
    found: list[Report] = []
    for scanned, (key, _) in enumerate(ctx.scan(b"status/" + PENDING.encode() + b"/", bool)):
        if scanned == MAX_SCANNED or len(found) == limit:
            break
        each = find_report(ctx, ReportId(key[-32:]))
        if each.content is not None and box.contains(each.content.lat_e7, each.content.lon_e7):
            found.append(each)
    return tuple(found)


@query
def progress(ctx: Context, report: ReportId) -> Progress:
    """How far a report is that was assigned. Refused: ``unknown_report``; ``not_assigned``."""
    found = find_report(ctx, report)
    if found.assigned_ms is None:
        ctx.refuse("not_assigned")
    return _progress(ctx, found)


def _progress(ctx: Context, found: Report) -> Progress:
    rules, assignment = rules_of(ctx), find_assignment(ctx, found.id)
    cast = list(ballots(ctx, found.id))
    return Progress(
        assignment=assignment,
        vote_until_ms=vote_until_ms(rules, assignment),
        reveal_until_ms=reveal_until_ms(rules, assignment),
        tally_until_ms=tally_until_ms(rules, assignment),
        votes=len(cast),
        reveals=sum(ballot.confirm is not None for _, ballot in cast),
    )


@query
def served_at(ctx: Context, combination: Hash) -> tuple[Natural, Natural] | None:
    """Height and index of the tally in which a combination (`spatial_draw.combination_id`) served; None: it has not."""
    version = ctx.version(served_key(combination))
    return None if version is None else (version.height, version.index)


@query
def history(ctx: Context, account: AccountField, limit: Limit) -> History:
    """What an account's rewards come from; the last `limit` reports of either role."""
    return History(
        requested=confirmed_so_far(ctx, REQUESTER, account),
        confirmed=confirmed_so_far(ctx, WORKER, account),
        requested_last=last_reports(ctx, REQUESTER, account, limit),
        confirmed_last=last_reports(ctx, WORKER, account, limit),
    )


@query
def responses(ctx: Context, facility: AccountField) -> Responses:
    """How long a facility has taken so far."""
    return responses_of(ctx, facility)


@query
def operators(ctx: Context, role: str, limit: Limit, after: AccountField | None) -> tuple[Operator, ...]:
    """Operators of a role by account, those behind `after`. Refused: ``unknown_role``."""
    if role not in ROLES:
        ctx.refuse("unknown_role", role[:32])
    prefix = b"operator/" + role.encode() + b"/"
    found = []
    for _, each in ctx.scan(prefix, Operator, start=prefix + (after or b"")):
        if each.account != after:
            found.append(each)
        if len(found) == limit:
            break
    return tuple(found)
