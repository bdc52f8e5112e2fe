"""Where the spatial contract keeps its records, and the windows that follow from them."""

from collections.abc import Iterator

from msgspec.structs import replace

from chain.codec import decode_own, encode
from chain.contract import Context, constant_key, event_fields, state_key
from chain.contracts.spatial_cells import cell_key, cell_of, cell_prefix, cells_around
from chain.contracts.spatial_records import Assignment, Ballot, Content, Operator, Report, ReportId, Responses
from chain.contracts.spatial_rules import SpatialRules
from chain.geodesy import HAVERSINE_OPERATIONS, haversine_mm
from chain.state import WorldState
from chain.values import Account, Receipt

_RULES = b"rules"


def rules_of(ctx: Context) -> SpatialRules:
    """The rules of genesis; `operators` is empty here, see `operator_key`."""
    return ctx.constant(_RULES, SpatialRules)


def initial_entries(rules: SpatialRules, time_ms: int) -> dict[bytes, bytes | None]:
    """Genesis writes."""
    founders = [Operator(o.role, o.account, o.lat_e7, o.lon_e7, time_ms) for o in rules.operators]
    operators = {state_key("spatial", operator_key(o.role, o.account)): encode(o) for o in founders}
    # A constant's every word costs, and operators come and go.
    return {constant_key("spatial", _RULES): encode(replace(rules, operators=())), **operators}


def operator_key(role: str, account: Account) -> bytes:
    return b"operator/" + role.encode() + b"/" + account


def is_operator(ctx: Context, role: str, account: Account) -> bool:
    return ctx.get(operator_key(role, account), Operator) is not None


def responses_key(facility: Account) -> bytes:
    return b"responses/" + facility


def responses_of(ctx: Context, facility: Account) -> Responses:
    """What a facility has done so far; nothing, for any account that is none."""
    return ctx.get(responses_key(facility), Responses) or Responses(0, 0, 0, 0)


def public_responses(state: WorldState, facility: Account) -> Responses:
    """`responses_of`, read off a state."""
    found = state.get(state_key("spatial", responses_key(facility)))
    return Responses(0, 0, 0, 0) if found is None else decode_own(Responses, found)


def report_key(report: ReportId) -> bytes:
    return b"report/" + report


def assignment_key(report: ReportId) -> bytes:
    return b"assignment/" + report


def ballot_key(report: ReportId, worker: Account) -> bytes:
    return b"ballot/" + report + worker


def served_key(combination: bytes) -> bytes:
    """Present once a combination of workers has served."""
    return b"served/" + combination


def status_key(status: str, recorded_ms: int, report: ReportId) -> bytes:
    """Index of reports by status, in the order they were recorded."""
    return b"status/" + status.encode() + b"/" + recorded_ms.to_bytes(8, "big") + report


def count_reports(state: WorldState, status: str) -> int:
    """How many reports have a status; for people, since it costs a scan."""
    return sum(1 for _ in state.scan(state_key("spatial", b"status/" + status.encode() + b"/")))


def place_key(rules: SpatialRules, report: ReportId, content: Content) -> bytes:
    """Index of reports by type, place and time."""
    cell = cell_of(rules, content.lat_e7, content.lon_e7)
    return cell_key(content.type, cell, content.time_ms) + report


def alike(ctx: Context, rules: SpatialRules, type_: str, lat_e7: int, lon_e7: int, time_ms: int) -> Iterator[ReportId]:
    """Reports of a type nearer than the duplicate radius in space and window in time; by cell, then time."""
    if rules.duplicate_radius_m == 0:
        return
    here = (lat_e7, lon_e7)
    first, last = max(0, time_ms - rules.duplicate_window_ms), time_ms + rules.duplicate_window_ms
    for cell in cells_around(rules, *here):
        prefix = cell_prefix(type_, cell)
        for key, place in ctx.scan(prefix, tuple[int, int], start=cell_key(type_, cell, first)):
            if int.from_bytes(key[len(prefix) : len(prefix) + 8], "big") > last:
                break
            ctx.compute(HAVERSINE_OPERATIONS)
            if haversine_mm(here, place) < rules.duplicate_radius_m * 1000:
                yield ReportId(key[len(prefix) + 8 :])


def find_report(ctx: Context, report: ReportId) -> Report:
    """Refuses ``unknown_report``."""
    found = ctx.get(report_key(report), Report)
    if found is None:
        ctx.refuse("unknown_report", report.hex())
    return found


def find_assignment(ctx: Context, report: ReportId) -> Assignment:
    """Of a report that has been assigned."""
    found = ctx.get(assignment_key(report), Assignment)
    if found is None:
        raise LookupError(f"report {report.hex()} has no assignment")
    return found


def ballots(ctx: Context, report: ReportId) -> Iterator[tuple[Account, Ballot]]:
    """All votes on a report, by worker."""
    prefix = b"ballot/" + report
    for key, ballot in ctx.scan(prefix, Ballot):
        yield Account(key[len(prefix) :]), ballot


def save_report(ctx: Context, before: Report, after: Report) -> None:
    """Replace a report and move it in the index."""
    ctx.delete(status_key(before.status, before.recorded_ms, before.id))
    ctx.put(status_key(after.status, after.recorded_ms, after.id), True)
    ctx.put(report_key(after.id), after)


def assigned_at_ms(receipt: Receipt) -> int:
    """When the call of `assign` with this receipt took place: its time to vote begins then.

    It is the block's time on proof of work, but on an ordered ledger the proposal's, a little before.
    """
    (event,) = (event for event in receipt.events if (event.contract, event.name) == ("spatial", "assigned"))
    at_ms: int = event_fields(event)["assigned_ms"]
    return at_ms


def vote_until_ms(rules: SpatialRules, assignment: Assignment) -> int:
    """Last millisecond to vote."""
    return assignment.assigned_ms + rules.vote_window_ms


def reveal_until_ms(rules: SpatialRules, assignment: Assignment) -> int:
    """Last millisecond to reveal."""
    return vote_until_ms(rules, assignment) + rules.reveal_window_ms


def tally_until_ms(rules: SpatialRules, assignment: Assignment) -> int:
    """Last millisecond to tally."""
    return reveal_until_ms(rules, assignment) + rules.tally_window_ms
