"""Spatial crowdsensing: reports confirmed by the people who are there (spec/spatial.md; Kamali et al., Sensors 2021).

    submit ──▶ pending ──assign──▶ assigned ──tally──▶ confirmed ──take──▶ taken ──close──▶ closed
                  │                    ├──tally──▶ rejected
                  └──expire──▶ expired ◀──expire┘

Groups are hidden until the tally and votes until the reveal window (`chain.contracts.spatial_draw`). Windows follow one
another: vote, reveal, tally; each includes its last millisecond. Whoever breaks a rule is refused by a name that the
docstring of the call lists, in the order in which it is checked.
"""

from msgspec.structs import replace

from chain.contract import Context, call
from chain.contracts.spatial_board import (
    alike,
    assignment_key,
    ballot_key,
    ballots,
    find_assignment,
    find_report,
    initial_entries,
    is_operator,
    operator_key,
    place_key,
    report_key,
    responses_key,
    responses_of,
    reveal_until_ms,
    rules_of,
    save_report,
    served_key,
    status_key,
    tally_until_ms,
    vote_until_ms,
)
from chain.contracts.spatial_draw import (
    combination_id,
    commit_ballot,
    holds_ticket,
    replay_draw,
)
from chain.contracts.spatial_queries import (
    history,
    latest,
    like,
    operators,
    pending,
    progress,
    report,
    reports,
    responses,
    rules,
    served_at,
)
from chain.contracts.spatial_records import (
    ASSIGNED,
    CLOSED,
    CONFIRMED,
    EXPIRED,
    PENDING,
    REJECTED,
    TAKEN,
    Assignment,
    Ballot,
    Commitment,
    Content,
    Opening,
    Operator,
    Report,
    ReportId,
    Salt,
    Ticket,
)
from chain.contracts.spatial_rewards import pay_rewards
from chain.contracts.spatial_rules import LAT_LIMIT_E7, LON_LIMIT_E7, ROLES, SpatialRules
from chain.values import Account, Hash, Name, Natural

__all__ = ["assign", "close", "enrol", "expire", "history", "initial_entries", "latest", "like"]
__all__ += ["operators", "pending", "progress", "report", "reports", "responses", "reveal"]
__all__ += ["rules", "served_at", "submit", "take", "tally", "vote"]


@call
def submit(ctx: Context, type_: str, lat_e7: int, lon_e7: int, time_ms: Natural) -> ReportId:
    """Report what was seen; by anybody, from anywhere. Returns the report's id, which is the transaction's.

    Refused: ``unknown_type``; ``out_of_range`` (not on the globe); ``out_of_place`` (outside the network's box);
    ``time_out_of_window``; ``duplicate_report`` (the detail is the earlier one's id).
    """
    rules = rules_of(ctx)
    if type_ not in rules.types:
        ctx.refuse("unknown_type", f"{type_[:32]!r}, known are {', '.join(rules.types)}")
    for name, value, limit in (("lat_e7", lat_e7, LAT_LIMIT_E7), ("lon_e7", lon_e7, LON_LIMIT_E7)):
        if not -limit <= value <= limit:
            ctx.refuse("out_of_range", f"{name} is {value}, allowed are {-limit} to {limit}")
    box = rules.box
    if not box.contains(lat_e7, lon_e7):
        ctx.refuse(
            "out_of_place",
            f"({lat_e7}, {lon_e7}), allowed are lat_e7 {box.lat_min_e7} to {box.lat_max_e7} "
            f"and lon_e7 {box.lon_min_e7} to {box.lon_max_e7}",
        )
    earliest, latest = ctx.time_ms - rules.max_report_age_ms, ctx.time_ms + rules.max_report_ahead_ms
    if not earliest <= time_ms <= latest:
        ctx.refuse("time_out_of_window", f"time_ms is {time_ms}, allowed are {earliest} to {latest}")
    content = Content(ctx.sender, type_, lat_e7, lon_e7, time_ms)
    earlier = next(alike(ctx, rules, type_, lat_e7, lon_e7, time_ms), None)
    if earlier is not None:
        ctx.refuse("duplicate_report", earlier.hex())

    report = Report(ctx.tx, PENDING, content, ctx.time_ms, None, None, (), None, None, None, "")
    ctx.put(report_key(ctx.tx), report)
    ctx.put(status_key(PENDING, ctx.time_ms, ctx.tx), True)
    ctx.put(place_key(rules, ctx.tx, content), (lat_e7, lon_e7))
    ctx.emit("submitted", report=ctx.tx, type=type_, lat_e7=lat_e7, lon_e7=lon_e7, time_ms=time_ms)
    return ctx.tx


@call
def enrol(ctx: Context, role: str, lat_e7: int, lon_e7: int) -> None:
    """Become, or move as, an operator at a public place: ``mec`` or ``facility``.

    Refused: ``unknown_role``; ``out_of_range``; ``enrolment_closed`` (only those who are listed may, to move).
    """
    if role not in ROLES:
        ctx.refuse("unknown_role", f"{role[:32]!r}, known are {', '.join(ROLES)}")
    if abs(lat_e7) > LAT_LIMIT_E7 or abs(lon_e7) > LON_LIMIT_E7:
        ctx.refuse("out_of_range", f"({lat_e7}, {lon_e7})")
    if not rules_of(ctx).open_enrolment and not is_operator(ctx, role, ctx.sender):
        ctx.refuse("enrolment_closed")
    ctx.put(operator_key(role, ctx.sender), Operator(role, ctx.sender, lat_e7, lon_e7, ctx.time_ms))
    ctx.emit("enrolled", role=role, account=ctx.sender, lat_e7=lat_e7, lon_e7=lon_e7)


@call
def assign(ctx: Context, report: ReportId, candidates_commitment: Commitment, group_root: Hash) -> None:
    """Give a report to a hidden group, drawn as `spatial_draw` says; by a MEC node.

    Refused: ``not_mec``; ``unknown_report``; ``already_assigned``; ``assign_window_closed``; ``assign_own_report``;
    ``draw_not_ready`` (the block that seeds the draw is not final).
    """
    if not is_operator(ctx, "mec", ctx.sender):
        ctx.refuse("not_mec")
    found = find_report(ctx, report)
    if found.status == EXPIRED:
        ctx.refuse("assign_window_closed")
    if found.status != PENDING or found.content is None:
        ctx.refuse("already_assigned", found.status)
    rules = rules_of(ctx)
    if ctx.time_ms > found.recorded_ms + rules.assign_window_ms:
        ctx.refuse("assign_window_closed")
    if found.content.requester == ctx.sender:
        ctx.refuse("assign_own_report")
    recorded = ctx.version(report_key(report))  # a pending report was never written again
    if recorded is None:
        raise LookupError("a report without a version")
    ctx.block_id(recorded.height + rules.draw_delay)

    assignment = Assignment(ctx.sender, recorded.height, ctx.time_ms, candidates_commitment, group_root)
    ctx.put(assignment_key(report), assignment)
    save_report(ctx, found, replace(found, status=ASSIGNED, assigned_ms=ctx.time_ms))
    ctx.emit("assigned", report=report, assigner=ctx.sender, group_root=group_root, assigned_ms=ctx.time_ms)


@call
def vote(ctx: Context, report: ReportId, ballot: Commitment, ticket: Ticket) -> None:
    """Commit to a vote (`commit_ballot`); by a worker of the hidden group, with its ticket.

    Refused: ``unknown_report``; ``vote_not_open``; ``vote_window_closed``; ``vote_by_requester``;
    ``vote_not_assigned`` (the ticket is not the sender's); ``vote_twice``.
    """
    found = find_report(ctx, report)
    if found.status == PENDING:
        ctx.refuse("vote_not_open")
    if found.status != ASSIGNED or found.content is None:
        ctx.refuse("vote_window_closed", found.status)
    rules, assignment = rules_of(ctx), find_assignment(ctx, report)
    if ctx.time_ms > vote_until_ms(rules, assignment):
        ctx.refuse("vote_window_closed", f"since {vote_until_ms(rules, assignment)}")
    if found.content.requester == ctx.sender:
        ctx.refuse("vote_by_requester")
    if not holds_ticket(assignment.group_root, report, ctx.sender, ticket, ctx.sha256):
        ctx.refuse("vote_not_assigned")
    if ctx.get(ballot_key(report, ctx.sender), Ballot) is not None:
        ctx.refuse("vote_twice")
    ctx.put(ballot_key(report, ctx.sender), Ballot(ballot, None))
    ctx.emit("voted", report=report, worker=ctx.sender)


@call
def reveal(ctx: Context, report: ReportId, confirm: bool, salt: Salt) -> None:
    """Open one's vote, when nobody can vote any more.

    Refused: ``unknown_report``; ``reveal_without_vote``; ``reveal_too_early``; ``reveal_window_closed``;
    ``reveal_twice``; ``reveal_mismatch``.
    """
    found = find_report(ctx, report)
    if found.status not in (PENDING, ASSIGNED):
        ctx.refuse("reveal_window_closed", found.status)
    ballot = ctx.get(ballot_key(report, ctx.sender), Ballot)
    if ballot is None:
        ctx.refuse("reveal_without_vote")
    rules, assignment = rules_of(ctx), find_assignment(ctx, report)
    if ctx.time_ms <= vote_until_ms(rules, assignment):
        ctx.refuse("reveal_too_early", f"not before {vote_until_ms(rules, assignment) + 1}")
    if ctx.time_ms > reveal_until_ms(rules, assignment):
        ctx.refuse("reveal_window_closed", f"since {reveal_until_ms(rules, assignment)}")
    if ballot.confirm is not None:
        ctx.refuse("reveal_twice")
    if commit_ballot(report, ctx.sender, confirm, salt, ctx.sha256) != ballot.commitment:
        ctx.refuse("reveal_mismatch")
    ctx.put(ballot_key(report, ctx.sender), replace(ballot, confirm=confirm))
    ctx.emit("revealed", report=report, worker=ctx.sender, confirm=confirm)


@call
def tally(ctx: Context, report: ReportId, opening: Opening) -> str:
    """Open the group, count, and confirm or reject; by the assigner. Returns the new status.

    When the reveal window is over, or as soon as all of the group have revealed. Confirmed when more than half of the
    *assigned* confirmed; then rewards are paid, and the combination of workers never serves again either way.

    Refused: ``unknown_report``; ``tally_not_open``; ``tally_by_other``; ``tally_window_closed``;
    ``requester_among_candidates``; ``too_few_candidates``; ``draw_not_ready``; what `spatial_draw.replay_draw` raises;
    ``tally_too_early``.
    """
    found = find_report(ctx, report)
    content = found.content
    if found.status != ASSIGNED or content is None:
        ctx.refuse("tally_not_open", found.status)
    rules, assignment = rules_of(ctx), find_assignment(ctx, report)
    if assignment.assigner != ctx.sender:
        ctx.refuse("tally_by_other")
    if ctx.time_ms > tally_until_ms(rules, assignment):
        ctx.refuse("tally_window_closed", f"since {tally_until_ms(rules, assignment)}")
    group = _replay_draw(ctx, rules, report, content, assignment, opening)
    cast = list(ballots(ctx, report))
    revealed = sum(ballot.confirm is not None for _, ballot in cast)
    if revealed < len(group) and ctx.time_ms <= reveal_until_ms(rules, assignment):
        ctx.refuse("tally_too_early", f"{revealed} of {len(group)} revealed")
    return decide(ctx, found, content, group)


def decide(ctx: Context, found: Report, content: Content, group: tuple[Account, ...]) -> str:
    """Count what the ballots of a report say, confirm or reject it, and pay. Returns the new status."""
    rules, report, cast = rules_of(ctx), found.id, list(ballots(ctx, found.id))
    confirmers = tuple(worker for worker, ballot in cast if ballot.confirm)
    ctx.put(served_key(combination_id(group, ctx.sha256)), True)
    for worker, _ in cast:
        ctx.delete(ballot_key(report, worker))
    if 2 * len(confirmers) <= len(group):
        _forget(ctx, rules, found, REJECTED)
        ctx.emit("rejected", report=report, assigned=len(group), confirmations=len(confirmers))
        return REJECTED
    save_report(ctx, found, replace(found, status=CONFIRMED, decided_ms=ctx.time_ms, workers=confirmers))
    to_requester, to_workers = pay_rewards(ctx, rules, report, content, confirmers)
    ctx.emit(
        "confirmed",
        report=report,
        requester=content.requester,
        workers=confirmers,
        assigned=len(group),
        requester_reward=to_requester,
        worker_rewards=to_workers,
    )
    return CONFIRMED


def _replay_draw(
    ctx: Context, rules: SpatialRules, report: ReportId, content: Content, assignment: Assignment, opening: Opening
) -> tuple[Account, ...]:
    """The group, drawn again from the opening and compared with what was committed."""
    if content.requester in opening.candidates:
        ctx.refuse("requester_among_candidates")
    if len(opening.candidates) < rules.min_workers:
        ctx.refuse("too_few_candidates", f"{len(opening.candidates)}, needed are {rules.min_workers}")
    made = ctx.version(assignment_key(report))

    def served(combination: bytes) -> bool:
        when = ctx.version(served_key(combination))
        return when is not None and made is not None and when < made

    seed = ctx.block_id(assignment.recorded_height + rules.draw_delay)
    return replay_draw(seed, report, assignment, opening, rules.group_size, served, ctx.sha256)[1]


def _forget(ctx: Context, rules: SpatialRules, found: Report, status: str) -> None:
    """Leave nothing of a report but the fact."""
    if found.content is not None:
        ctx.delete(place_key(rules, found.id, found.content))
    save_report(ctx, found, replace(found, status=status, content=None, decided_ms=ctx.time_ms))


@call
def expire(ctx: Context, report: ReportId) -> None:
    """Drop a report that nobody assigned or tallied in time; by anybody.

    Refused: ``unknown_report``; ``already_decided``; ``not_expired``.
    """
    found = find_report(ctx, report)
    rules = rules_of(ctx)
    if found.status == PENDING:
        until = found.recorded_ms + rules.assign_window_ms
    elif found.status == ASSIGNED:
        until = tally_until_ms(rules, find_assignment(ctx, report))
    else:
        ctx.refuse("already_decided", found.status)
    if ctx.time_ms <= until:
        ctx.refuse("not_expired", f"not before {until + 1}")
    for worker, _ in list(ballots(ctx, report)):
        ctx.delete(ballot_key(report, worker))
    _forget(ctx, rules, found, EXPIRED)
    ctx.emit("expired", report=report, was=found.status)


@call
def take(ctx: Context, report: ReportId) -> None:
    """Begin to review a confirmed report; by a facility. When is public.

    Refused: ``not_facility``; ``unknown_report``; ``not_confirmed``; ``already_taken``.
    """
    if not is_operator(ctx, "facility", ctx.sender):
        ctx.refuse("not_facility")
    found = find_report(ctx, report)
    if found.status in (TAKEN, CLOSED):
        ctx.refuse("already_taken")
    if found.status != CONFIRMED:
        ctx.refuse("not_confirmed", found.status)
    save_report(ctx, found, replace(found, status=TAKEN, facility=ctx.sender, taken_ms=ctx.time_ms))
    before, waited_ms = responses_of(ctx, ctx.sender), _since(ctx, found.decided_ms)
    after = replace(before, taken=before.taken + 1, waited_ms=before.waited_ms + waited_ms)
    ctx.put(responses_key(ctx.sender), after)
    ctx.emit("taken", report=report, facility=ctx.sender)


@call
def close(ctx: Context, report: ReportId, outcome: Name) -> None:
    """End the review with an outcome such as ``repaired``; by the facility that took it. When is public.

    Refused: ``unknown_report``; ``not_taken``; ``taken_by_other``.
    """
    found = find_report(ctx, report)
    if found.status != TAKEN:
        ctx.refuse("not_taken", found.status)
    if found.facility != ctx.sender:
        ctx.refuse("taken_by_other")
    save_report(ctx, found, replace(found, status=CLOSED, closed_ms=ctx.time_ms, outcome=outcome))
    before, reviewed_ms = responses_of(ctx, ctx.sender), _since(ctx, found.taken_ms)
    after = replace(before, closed=before.closed + 1, reviewed_ms=before.reviewed_ms + reviewed_ms)
    ctx.put(responses_key(ctx.sender), after)
    ctx.emit("closed", report=report, facility=ctx.sender, outcome=outcome)


def _since(ctx: Context, then_ms: int | None) -> int:
    """Milliseconds since then; 0 if this block's time is before it, for block times may go back a little."""
    return 0 if then_ms is None else max(0, ctx.time_ms - then_ms)
