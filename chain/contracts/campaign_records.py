"""What the campaign contract keeps and is told (spec/campaign.md). Times are milliseconds since the Unix epoch."""

from typing import Annotated

import msgspec

from chain.contracts.spatial_rules import LatE7, LonE7
from chain.values import AccountField, Hash, Natural, TxIdField, Value

REGISTRATION = "registration"
PUBLISHING = "publishing"
BIDDING = "bidding"
SELECTION = "selection"
COLLECTION = "collection"
SUBMISSION = "submission"
DONE = "done"
CLOSED = "closed"
PHASES = (REGISTRATION, PUBLISHING, BIDDING, SELECTION, COLLECTION, SUBMISSION, DONE, CLOSED)
"""In order. The first is the paper's deployment; the last ends a campaign for good, for it could go on in cycles."""
TIMED = PHASES[:6]
"""Phases that have a time; `Terms.durations_ms` are theirs."""

ON_RETURN = "on_return"
ON_CHALLENGE = "on_challenge"
CHECKS = (ON_RETURN, ON_CHALLENGE)

MAX_TASKS = 128
MAX_BIDS = 192
"""The largest campaign there can be, of paths of MAX_PATH stops, has a result that fits into a call's gas (`chain.gas`)."""
MAX_ORACLES = 64
MAX_DRAWN = 15
MAX_PATH = 32
"""Stops of a path."""
MAX_SAMPLES = 16
"""That one task wants."""
MAX_DURATION_MS = 30 * 24 * 3_600_000
MAX_SEALED_BYTES = 4_096
"""Of the data of one task, as it is sent to its requester."""
SALT_BYTES = 16

CampaignId = TxIdField
"""A campaign is named by the transaction that deployed it."""
Salt = Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
Sealed = Annotated[bytes, msgspec.Meta(max_length=MAX_SEALED_BYTES)]
Duration = Annotated[int, msgspec.Meta(ge=1, le=MAX_DURATION_MS)]
Cycle = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
"""How often the campaign began anew before."""
Number = Annotated[int, msgspec.Meta(ge=0, lt=MAX_TASKS)]
"""Of a task: its requester takes one that is free."""
Seat = Natural
"""A place in a bounded list, which its holder takes: nobody counts who is there, for all would write that count."""


class Terms(Value, frozen=True):
    """What an organizer deploys. `check_terms` in `chain.contracts.campaign_board` says which field is wrong."""

    durations_ms: tuple[Duration, Duration, Duration, Duration, Duration, Duration]
    """Of the phases in `TIMED`. Phases begin and end by the clock, so all that is planned for a cycle stands when it begins."""
    review_ms: Natural
    """Last part of submission, in which requesters may dispute and workers answer; data come before."""
    grace_ms: Natural
    """How long after a phase's end its organizer alone may move on; then anybody may. Less than half of any further phase."""
    deposit: Natural
    """Of a worker with its bid, in micro-credits as all money."""
    stake: Natural
    """Of an oracle."""
    penalty: Natural
    """Taken from a stake for a late, wrong or beaten result; at most `stake`."""
    bond: Natural
    """Of the organizer."""
    bounty: Natural
    """Out of the bond, as long as it lasts, to whoever else has to move a stalled phase."""
    oracle_ms: Duration
    """What drawn oracles have from the call that had them drawn on."""
    draw_delay: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    """In blocks: the draw is seeded by the block this much after the one that had oracles drawn."""
    drawn: Annotated[int, msgspec.Meta(ge=1, le=MAX_DRAWN)]
    """n: how many oracles are drawn at once."""
    agreeing: Annotated[int, msgspec.Meta(ge=1, le=MAX_DRAWN)]
    """m: how many of them must return the same result. The paper has 1 of 1."""
    check: str
    """One of CHECKS: whether a result's validity is checked when it is returned, or only when somebody challenges it."""
    challenge_ms: Natural
    """How long an accepted result can be challenged before the next phase may begin; with `grace_ms` less than half of that."""
    max_speed_mm_s: Natural
    """Paths that would need a higher speed are refused; 0: no path is."""
    oracles: Annotated[tuple[AccountField, ...], msgspec.Meta(max_length=MAX_ORACLES)]
    """Who may register as an oracle, sorted; empty: anybody."""


class Campaign(Value, frozen=True):
    """Where a campaign is. Written when its phase changes and by no other call."""

    id: CampaignId
    organizer: AccountField
    opened_ms: Natural
    """When it was deployed."""
    cycle: Cycle
    phase: str
    """One of PHASES."""
    start_ms: Natural
    """When publishing of this cycle begins, or will."""
    void: bool
    """The cycle came to nothing (no result, or nobody moved it on in time): whatever was locked goes back."""


class Oracle(Value, frozen=True):
    """A registered oracle; its stake is in a purse."""

    account: AccountField
    seat: Seat


class Task(Value, frozen=True):
    """Something to be sensed. Its requester has locked `reward * samples`."""

    number: Number
    requester: AccountField
    lat_e7: LatE7
    lon_e7: LonE7
    reward: Natural
    """b, for each sample."""
    time_ms: Natural
    """t, the best time."""
    interval_ms: Natural
    """δ: samples count from `time_ms - interval_ms` to `time_ms + interval_ms`."""
    samples: Natural
    """k, how many samples are wanted."""


class Stop(Value, frozen=True):
    """A task on a path, and when the worker will be there."""

    task: Number
    arrival_ms: Natural
    """τ."""


Path = Annotated[tuple[Stop, ...], msgspec.Meta(max_length=MAX_PATH)]


class Bid(Value, frozen=True):
    """A worker's offer: the path that it would walk. Its deposit is in a purse."""

    worker: AccountField
    seat: Seat
    path: Path


class Selection(Value, frozen=True):
    """An oracle's result. Indices are places among the bids in the order of their workers' accounts; tasks are in the order
    of their numbers.
    """

    paths: Annotated[tuple[Natural, ...], msgspec.Meta(max_length=MAX_BIDS)]
    """Of the selected paths, ascending."""
    winners: Annotated[
        tuple[Annotated[tuple[Natural, ...], msgspec.Meta(max_length=MAX_SAMPLES)], ...],
        msgspec.Meta(max_length=MAX_TASKS),
    ]
    """For each task the selected paths that are to be paid for it, best first."""


class Draw(Value, frozen=True):
    """When oracles were drawn. Its version's height plus the delay is that of the block which seeds the draw."""

    since_ms: Natural
    passed_over: Annotated[tuple[AccountField, ...], msgspec.Meta(max_length=MAX_ORACLES)]
    """Oracles that were drawn in this cycle and replaced, sorted: they are not drawn again."""


class Accepted(Value, frozen=True):
    """The result that stands."""

    selection: Selection
    oracles: Annotated[tuple[AccountField, ...], msgspec.Meta(max_length=MAX_DRAWN)]
    """Drawn oracles that returned it, sorted; none when a challenger found it."""
    accepted_ms: Natural


class Chosen(Value, frozen=True):
    """A selected worker, and how far it is."""

    wins: Annotated[tuple[Number, ...], msgspec.Meta(max_length=MAX_TASKS)]
    """Numbers of the tasks that it is to be paid for, ascending."""
    commitment: Hash | None
    """What it submitted in the collection phase."""
    opened: bool
    """Whether its data fitted that."""


class Settlement(Value, frozen=True):
    """How far the money of a cycle that is done was paid out: tasks by number, then bids by worker."""

    tasks: Natural
    """Below this number all are settled."""
    after: bytes
    """The last worker whose deposit was."""
    over: bool


class Standing(Value, frozen=True):
    """A campaign as everybody sees it."""

    campaign: Campaign
    terms: Terms
    ends_ms: tuple[Natural, Natural, Natural, Natural, Natural, Natural]
    """Last milliseconds of the phases in `TIMED`, in this cycle."""
    accepted: Accepted | None
    settled: bool


class Progress(Value, frozen=True):
    """A selected worker as everybody sees it."""

    worker: AccountField
    chosen: Chosen
    disputed: tuple[Number, ...]
    """Tasks whose requesters say that no data came, and who were not answered."""
