"""The part of the user interface's seam that is about sensing campaigns (spec/campaign.md); see `actors.control`.

As there, ids are text, coordinates degrees, money is micro-credits and time milliseconds since the Unix epoch. Tasks go
by their numbers, which are theirs in one cycle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CampaignSummary:
    """One line of the list of campaigns."""

    id: str
    organizer: str
    opened_ms: int
    cycle: int
    """How often it began anew before."""
    phase: str
    """``"registration"``, ``"publishing"``, ``"bidding"``, ``"selection"``, ``"collection"``, ``"submission"``, ``"done"``,
    ``"closed"``."""
    ends_ms: int | None
    """When the phase is over by the clock, which may be before somebody moves it on; None when it has no end."""
    void: bool
    """The cycle came to nothing, and all that was locked goes back."""
    settled: bool
    """All of the cycle is paid out."""
    tasks: int
    bids: int


@dataclass(frozen=True, slots=True)
class PhaseView:
    """A phase of this cycle that has a time."""

    name: str
    starts_ms: int
    ends_ms: int
    standing: str
    """``"over"``, ``"now"`` or ``"to_come"``."""


@dataclass(frozen=True, slots=True)
class TermsView:
    """What the organizer deployed; `chain.contracts.campaign_records.Terms` says more."""

    deposit: int
    """Of a worker, with its bid."""
    stake: int
    """Of an oracle."""
    penalty: int
    """Of an oracle, for a late or wrong result."""
    bond: int
    """Of the organizer."""
    bounty: int
    """Out of the bond, to whoever else moves a phase that stalls."""
    grace_ms: int
    review_ms: int
    oracle_ms: int
    draw_delay: int
    drawn: int
    agreeing: int
    check: str
    """``"on_return"`` or ``"on_challenge"``."""
    challenge_ms: int
    max_speed_m_s: float
    """0: paths of any speed are taken."""
    oracles: Sequence[str]
    """Who may register as one; empty: anybody."""
    max_tasks: int
    max_bids: int
    max_samples: int


@dataclass(frozen=True, slots=True)
class TaskView:
    """Something to be sensed."""

    number: int
    requester: str
    lat: float
    lon: float
    reward: int
    """For each sample."""
    samples: int
    """How many are wanted."""
    time_ms: int
    """The best time; samples count from `interval_ms` before it to as long after."""
    interval_ms: int
    offered: int
    """Paths that have it."""
    selected: int
    """Selected paths that have it."""
    winners: Sequence[str]
    """Workers that are to be paid for it, best first."""
    paid: int | None
    """What winners were paid together; None before that is settled."""
    mine: bool


@dataclass(frozen=True, slots=True)
class StopView:
    """A task on a path."""

    task: int
    lat: float
    lon: float
    arrival_ms: int
    quality: float
    """1 at the best time, 0 at the ends of the window."""


@dataclass(frozen=True, slots=True)
class BidView:
    """A path that a worker offered to walk."""

    worker: str
    path: Sequence[StopView]
    distance_m: float
    """From the first stop to the last, as the crow flies."""
    stage: str
    """``"bid"``, ``"selected"``, ``"not_selected"``, ``"committed"``, ``"submitted"``; of a cycle that is done ``"paid"``,
    ``"lost"`` (the deposit, for data did not come) or ``"void"``."""
    wins: Sequence[int]
    """Tasks that it is to be paid for, or was."""
    earned: int
    """For those, without what is in dispute."""
    disputed: Sequence[int]
    """Tasks whose requesters say that no data came."""
    deposit: int
    """Held now."""
    mine: bool


@dataclass(frozen=True, slots=True)
class OracleView:
    """A registered oracle."""

    account: str
    stake: int
    """Held now."""
    drawn: bool
    """In this cycle, to compute the result."""
    returned: bool
    """A result since it was drawn."""
    passed_over: bool
    """Drawn in this cycle, and replaced."""


@dataclass(frozen=True, slots=True)
class ResultView:
    """The selection that stands."""

    paths: int
    oracles: Sequence[str]
    """That returned it; none when a challenger found it."""
    accepted_ms: int
    challenge_until_ms: int
    uncovered: Sequence[int]
    """Tasks that fewer selected paths have than samples are wanted."""


@dataclass(frozen=True, slots=True)
class FlowView:
    """Money that moved, in a final block."""

    height: int
    time_ms: int
    cycle: int
    purse: str
    """Out of which, or into: ``"task"``, ``"bid"``, ``"oracle"`` or ``"bond"``."""
    kind: str
    """``"locked"``; of a task ``"rewarded"`` or ``"unspent"``, of a bid ``"forfeited"``, of an oracle ``"penalised"``, of the
    bond ``"bounty"``; what else comes out of a purse is ``"returned"``."""
    task: int | None
    source: str | None
    """Whose money it was; None when that was before this process began."""
    target: str | None
    """Who has it now; None: the campaign."""
    amount: int


@dataclass(frozen=True, slots=True)
class PurseView:
    """Money that a kind of purse took and gave since this process began, and what is in it, in final blocks."""

    purse: str
    """As in `FlowView`."""
    held: int
    locked: int
    paid: Sequence[tuple[str, int]]
    """(kind, amount) of what came out."""


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign, as seen by the ledger node of the actor one is attached to."""

    summary: CampaignSummary
    terms: TermsView
    phases: Sequence[PhaseView]
    data_until_ms: int
    """Within submission: the end of the time to open commitments; from then on data are reviewed."""
    tasks: Sequence[TaskView]
    """Of this cycle, by number."""
    bids: Sequence[BidView]
    """Of this cycle; selected ones first, then by worker."""
    oracles: Sequence[OracleView]
    result: ResultView | None
    purses: Sequence[PurseView]
    flows: Sequence[FlowView]
    """Latest first, a bounded number."""
    can_bid: bool
    """Whether the actor has a device that plans and walks paths."""
    balance: int
    """Of the actor, which it could lock."""


@dataclass(frozen=True, slots=True)
class PlanView:
    """A path that an actor's device would bid."""

    path: Sequence[StopView]
    start: tuple[float, float]
    """(lat, lon), where it is when collection begins."""
    destination: tuple[float, float]
    departs_ms: int
    distance_m: float
    """From start to destination."""
    left_out: Sequence[int]
    """Tasks that were asked for and cannot be reached in time."""


class CampaignControl(Protocol):
    """Campaigns on the ledger of a population; methods raise as those of `actors.control.Control` do.

    Those that take `campaign` raise UnknownRecordError when there is none.
    """

    def count(self) -> int:
        """How many were deployed, finally, as one ledger node sees it."""

    async def campaigns(self, actor: str, *, after: str | None = None, limit: int = 20) -> Sequence[CampaignSummary]:
        """Campaigns in the order in which they were deployed, those behind `after`, at most `limit` (1 to 50)."""

    async def campaign(self, actor: str, campaign: str) -> CampaignView:
        """One campaign."""

    async def publish_task(
        self,
        actor: str,
        campaign: str,
        *,
        lat: float,
        lon: float,
        reward: int,
        samples: int,
        time_ms: int,
        interval_ms: int,
    ) -> int:
        """Publish a task in this actor's name; returns its number once a block has it.

        Raises CommandRefusedError: the contract's reason, or ``campaign_full``.
        """

    async def plan(self, actor: str, campaign: str, tasks: Sequence[int] = ()) -> PlanView:
        """The path that this actor would bid; nothing is sent. `tasks` to choose from; none: all of them.

        Raises CommandRefusedError: ``not_a_worker``, ``unknown_task`` or ``cannot_walk``.
        """

    async def bid(self, actor: str, campaign: str, tasks: Sequence[int] = ()) -> PlanView:
        """Bid a path in this actor's name; returns it once a block has it. `tasks` are those it must have; none: the
        device chooses.

        Raises CommandRefusedError: the contract's reason, ``not_a_worker``, ``campaign_full``, or ``cannot_walk`` with what
        can be reached.
        """
