"""The spatial contract without one of its checks: what a network would run that had never thought of an attack.

A variant is the contract with one call replaced; it lives here, so that the contract itself has no switch for it.
"""

from collections.abc import Callable
from hashlib import sha256
from types import ModuleType
from typing import Any

from msgspec.structs import replace

from actors.trial import variant_of
from chain.contract import Context, call
from chain.contracts import spatial
from chain.contracts.spatial_board import (
    assignment_key,
    ballot_key,
    ballots,
    find_assignment,
    find_report,
    report_key,
    save_report,
)
from chain.contracts.spatial_records import (
    ASSIGNED,
    Assignment,
    Ballot,
    Commitment,
    Opening,
    Report,
    ReportId,
    Ticket,
)
from chain.errors import Refused
from chain.values import Account, AccountField, Natural


def variant(**replaced: Callable[..., Any]) -> ModuleType:
    """The spatial contract with some functions replaced, or added, by name."""
    return variant_of(spatial, **replaced)


@call
def vote_without_ticket(ctx: Context, report: ReportId, ballot: Commitment, ticket: Ticket) -> None:
    """`vote`, by anybody: who was drawn is not asked."""
    try:
        spatial.vote(ctx, report, ballot, ticket)
    except Refused as refused:
        if refused.reason != "vote_not_assigned" or ctx.get(ballot_key(report, ctx.sender), Ballot) is not None:
            raise
        ctx.put(ballot_key(report, ctx.sender), Ballot(ballot, None))
        ctx.emit("voted", report=report, worker=ctx.sender)


def _again_key(report: ReportId, worker: Account) -> bytes:
    return b"again/" + report + worker


@call
def vote_again(ctx: Context, report: ReportId, ballot: Commitment, ticket: Ticket) -> None:
    """`vote`, as often as one likes: each further one is worth what the first is."""
    try:
        spatial.vote(ctx, report, ballot, ticket)
    except Refused as refused:
        if refused.reason != "vote_twice":
            raise
        key = _again_key(report, ctx.sender)
        ctx.put(key, (ctx.get(key, int) or 0) + 1)


@call
def tally_all_votes(ctx: Context, report: ReportId, opening: Opening) -> str:
    """`tally`, where further votes of a worker count as those of further workers."""
    for worker, ballot in list(ballots(ctx, report)):
        for number in range(ctx.get(_again_key(report, worker), int) or 0):
            ctx.put(ballot_key(report, Account(sha256(worker + bytes([number])).digest())), ballot)
    return spatial.tally(ctx, report, opening)


def _open_case(ctx: Context, report: ReportId) -> Report:
    found = find_report(ctx, report)
    if found.status != ASSIGNED or find_assignment(ctx, report).assigner != ctx.sender:
        ctx.refuse("tally_not_open", found.status)
    return found


@call
def tally_any_group(ctx: Context, report: ReportId, opening: Opening) -> str:
    """`tally`, where the assigner names the group, as `candidates`, and no draw is replayed."""
    found = _open_case(ctx, report)
    if found.content is None:
        ctx.refuse("tally_not_open", found.status)
    return spatial.decide(ctx, found, found.content, opening.candidates)


@call
def tally_by_word(ctx: Context, report: ReportId, opening: Opening) -> str:
    """`tally`, where nobody counts: a report is confirmed when its assigner says so."""
    found = _open_case(ctx, report)
    if found.content is None:
        ctx.refuse("tally_not_open", found.status)
    for voter in opening.candidates[:1]:
        ctx.put(ballot_key(report, voter), Ballot(bytes(32), True))
    return spatial.decide(ctx, found, found.content, opening.candidates[:1])


@call
def tally_one_suffices(ctx: Context, report: ReportId, opening: Opening) -> str:
    """`tally`, where one confirmation is enough: without it a report is rejected as ever."""
    cast = list(ballots(ctx, report))
    if any(ballot.confirm for _, ballot in cast):
        for worker, ballot in cast:
            ctx.put(ballot_key(report, worker), replace(ballot, confirm=True))
    return spatial.tally(ctx, report, opening)


@call
def submit_at_once(ctx: Context, type_: str, lat_e7: int, lon_e7: int, time_ms: Natural) -> ReportId:
    """`submit`, after which a report counts as confirmed: nobody is asked to look."""
    report = spatial.submit(ctx, type_, lat_e7, lon_e7, time_ms)
    found = find_report(ctx, report)
    if found.content is None:
        raise LookupError("a report that was just submitted has its content")
    nobody = Account(sha256(b"nobody").digest())
    ctx.put(assignment_key(report), Assignment(nobody, 0, ctx.time_ms, bytes(32), bytes(32)))
    assigned = replace(found, status=ASSIGNED, assigned_ms=ctx.time_ms)
    save_report(ctx, found, assigned)
    ctx.put(ballot_key(report, nobody), Ballot(bytes(32), True))
    spatial.decide(ctx, assigned, found.content, (nobody,))
    return report


@call
def submit_for(
    ctx: Context, requester: AccountField, type_: str, lat_e7: int, lon_e7: int, time_ms: Natural
) -> ReportId:
    """`submit`, by somebody who says whom for: a gateway that takes reports unsigned."""
    report = spatial.submit(ctx, type_, lat_e7, lon_e7, time_ms)
    found = find_report(ctx, report)
    if found.content is not None:
        ctx.put(report_key(report), replace(found, content=replace(found.content, requester=requester)))
    return report
