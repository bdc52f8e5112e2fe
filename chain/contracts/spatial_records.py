"""What the spatial contract keeps and what its queries return. All times are block times."""

from typing import Annotated

import msgspec

from chain.contracts.spatial_rules import MAX_GROUP, LatE7, LonE7
from chain.merkle import MerklePath
from chain.values import AccountField, Hash, Natural, TxIdField, Value

PENDING = "pending"
ASSIGNED = "assigned"
CONFIRMED = "confirmed"
REJECTED = "rejected"
EXPIRED = "expired"
TAKEN = "taken"
CLOSED = "closed"
STATUSES = (PENDING, ASSIGNED, CONFIRMED, REJECTED, EXPIRED, TAKEN, CLOSED)

SALT_BYTES = 16
MAX_CANDIDATES = 256
MAX_TICKET_DEPTH = 4
"""A tree over MAX_GROUP leaves is no deeper, so no more than MAX_GROUP workers ever hold a ticket."""

Salt = Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
Commitment = Hash
ReportId = TxIdField
"""A report is named by the transaction that submitted it."""


class Content(Value, frozen=True):
    """What is reported. Where the requester was is never recorded."""

    requester: AccountField
    type: str
    lat_e7: LatE7
    lon_e7: LonE7
    time_ms: Natural


class Report(Value, frozen=True):
    """A report as everybody sees it."""

    id: ReportId
    status: str
    """One of STATUSES."""
    content: Content | None
    """None once rejected or expired: nothing but the fact remains."""
    recorded_ms: Natural
    assigned_ms: Natural | None
    decided_ms: Natural | None
    """When it was confirmed, rejected or expired."""
    workers: tuple[AccountField, ...]
    """Who confirmed it, sorted; empty unless it was confirmed."""
    facility: AccountField | None
    taken_ms: Natural | None
    closed_ms: Natural | None
    outcome: str
    """What the facility closed it with; empty until then."""


class Assignment(Value, frozen=True):
    """A hidden group. Written once, so its version says when it was made."""

    assigner: AccountField
    recorded_height: Natural
    """Height of the block that recorded the report."""
    assigned_ms: Natural
    candidates_commitment: Commitment
    group_root: Hash


class Ballot(Value, frozen=True):
    """One worker's vote."""

    commitment: Commitment
    confirm: bool | None
    """None until revealed."""


class Operator(Value, frozen=True):
    """A MEC node or a facility, public with its place."""

    role: str
    account: AccountField
    lat_e7: LatE7
    lon_e7: LonE7
    since_ms: Natural


class Responses(Value, frozen=True):
    """How long a facility takes; totals, so that anybody can take means of them and of their growth."""

    taken: Natural
    """Reports that it began to review."""
    waited_ms: Natural
    """From confirmation until then, over all of them."""
    closed: Natural
    reviewed_ms: Natural
    """From taking to closing, over all that it closed."""


class Past(Value, frozen=True):
    """An earlier confirmed report of an account, in one of its roles."""

    report: ReportId
    lat_e7: LatE7
    lon_e7: LonE7


class History(Value, frozen=True):
    """What an account's rewards are computed from."""

    requested: Natural
    """Confirmed reports that it submitted."""
    confirmed: Natural
    """Reports that it confirmed as a worker."""
    requested_last: tuple[Past, ...]
    """The last of them, oldest first."""
    confirmed_last: tuple[Past, ...]


class Progress(Value, frozen=True):
    """How far an assigned report is."""

    assignment: Assignment
    vote_until_ms: Natural
    reveal_until_ms: Natural
    tally_until_ms: Natural
    votes: Natural
    reveals: Natural


class Listed(Value, frozen=True):
    """A report in a list."""

    report: Report
    progress: Progress | None
    """While it is assigned."""


class Ticket(Value, frozen=True):
    """Proves to the contract that its bearer is in a hidden group, and names nobody else."""

    salt: Salt
    path: MerklePath


class Opening(Value, frozen=True):
    """What the assigner shows at the tally, so that anyone can replay the draw."""

    candidates: Annotated[tuple[AccountField, ...], msgspec.Meta(max_length=MAX_CANDIDATES)]
    """Sorted."""
    candidates_salt: Salt
    salts: Annotated[tuple[Salt, ...], msgspec.Meta(max_length=MAX_GROUP)]
    """Of the tickets, in the order of the sorted group."""
