"""Commands in, frozen snapshots out: all that a user interface sees of a population.

Every identifier that crosses this seam is text (base58 for actors, hex for reports, blocks and transactions),
coordinates are degrees (WGS 84), money is micro-credits, time is milliseconds since the Unix epoch of the
run's own clock, which in a simulation is not the wall clock.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import trio

from actors.campaign_control import CampaignControl


class UnknownActorError(LookupError):
    """No actor of that id lives in this process."""


class UnknownRecordError(LookupError):
    """The actor's ledger has no such block, transaction or report (yet)."""


class LedgerUnavailableError(Exception):
    """The ledger node that the actor asks does not answer. Nothing is known to have changed; try again."""


class CommandRefusedError(Exception):
    """The ledger or the actor refused the command. `reason` is a stable snake_case name, `detail` is for people."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Place:
    """The bounding box of the run, in degrees, and what it is called."""

    name: str
    lat_min: float
    lat_max: float
    lon_min: float
    lon_max: float


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """The run as a whole."""

    network: str
    scenario: str
    seed: int
    world: str
    """``"swarm"`` or ``"node"``."""
    now_ms: int
    started_ms: int
    place: Place
    report_types: Sequence[str]
    actors: int
    roles: Sequence[tuple[str, int]]
    """(role, how many), in the order of the roles."""
    height: int
    final_height: int
    block_interval_ms: int
    finality_depth: int
    reports: Sequence[tuple[str, int]]
    """(status, how many), final ones as one ledger node sees them."""
    elsewhere: Sequence[tuple[str, str]] = ()
    """(name, URL) of the pages of other processes that run a part of this population."""
    campaigns: int = 0
    """Sensing campaigns that were deployed, finally."""
    ledger: str = "pow"
    """``"pow"``, or ``"ordered"``: every block is final there when it is committed."""


@dataclass(frozen=True, slots=True)
class MemberView:
    """Who signed something on an ordered ledger, by the certificate that came with it."""

    organisation: str
    role: str
    """``"peer"``, ``"orderer"``, ``"client"`` or ``"admin"``."""
    account: str


@dataclass(frozen=True, slots=True)
class CertificateView:
    """An organisation's word on what an actor is there."""

    member: MemberView
    serial: int
    not_before_ms: int
    not_after_ms: int
    revoked: bool


@dataclass(frozen=True, slots=True)
class ChannelView:
    """The configuration of an ordered ledger, as one ledger node has it now."""

    sequence: int
    """How often it was changed."""
    consensus: str
    """``"solo"`` or ``"raft"``."""
    organisations: Sequence[tuple[str, str]]
    """(name, root key in hex)."""
    revoked: Sequence[tuple[str, int]]
    """(organisation, serial) of certificates that are void."""
    policies: Sequence[tuple[str, str]]
    """(what for, text)."""
    orderers: Sequence[str]
    leader: str | None
    """The orderer that leads; None while nobody here knows one."""
    batch: Sequence[tuple[str, int]]
    """(limit, value) of a block."""
    codes: Sequence[tuple[str, int]]
    """(validation code, transactions) since this process began."""


@dataclass(frozen=True, slots=True)
class ActorSummary:
    """One line of the list of actors."""

    id: str
    name: str
    """E.g. ``worker-07``; unique in the process."""
    role: str
    state: str
    """``"starting"``, ``"running"``, ``"restarting"``, ``"failed"``, ``"stopped"``."""
    balance: int
    peers: int
    height: int
    """Height of the final block this actor knows."""
    attended: bool
    """True while a human has taken over."""
    ledger_node: bool
    """Whether it keeps a ledger itself; light actors ask one that does."""


@dataclass(frozen=True, slots=True)
class RewardEntry:
    """One payment to an actor."""

    height: int
    time_ms: int
    amount: int
    cause: str
    """``"requester"``, ``"worker"``, ``"miner"``, or ``"campaign"``: that is not minted, but a requester's who locked it."""
    report: str | None
    final: bool
    campaign: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseTimes:
    """How long a facility takes, as the ledger tells everybody."""

    taken: int
    """Reports that it began to review."""
    wait_ms: int | None
    """Mean time from confirmation until then; None before the first."""
    closed: int
    review_ms: int | None
    """Mean time from then to the outcome."""


@dataclass(frozen=True, slots=True)
class ActorSnapshot:
    """One actor, as seen by whoever is attached to it."""

    summary: ActorSummary
    position: tuple[float, float] | None
    """(lat, lon) of a mobile actor or of a site; shown only to who is attached to this very actor."""
    gateway: str | None
    """Name or id of the ledger node that a light actor asks; None for ledger nodes."""
    can_attend: bool
    """Whether it decides anything that a human could decide for it."""
    can_submit: bool
    can_vote: bool
    rewards: Sequence[RewardEntry]
    """Since this process began; latest first, at most 50."""
    pending_reward: int
    """Micro-credits in blocks that are not final yet."""
    responses: ResponseTimes | None
    """Of a facility."""
    certificate: CertificateView | None = None
    """On an ordered ledger, of who has one."""


@dataclass(frozen=True, slots=True)
class ReportView:
    """One report on the ledger. `lat`, `lon`, `type` are None for a report that was dropped."""

    id: str
    status: str
    """``"pending"``, ``"assigned"``, ``"confirmed"``, ``"rejected"``, ``"expired"``, ``"in_review"``, ``"closed"``.

    Of one just submitted here, also ``"waiting"`` (for a block) or ``"refused"`` (by the block; see `refusal`).
    """
    type: str | None
    lat: float | None
    lon: float | None
    time_ms: int | None
    submitted_ms: int
    requester: str | None
    workers: Sequence[str]
    """Who confirmed, known after the tally."""
    votes_cast: int | None
    """While it is assigned; afterwards the ledger keeps those alone that confirmed."""
    votes_revealed: int | None
    votes_confirm: int | None
    """Of a report that was confirmed."""
    vote_until_ms: int | None
    """End of the time to vote, while it is assigned."""
    outcome: str | None
    """What the facility that closed it said."""
    history: Sequence[tuple[str, int]]
    """(status, time_ms) in order."""
    mine: bool
    """Submitted by the actor one is attached to."""
    final: bool
    refusal: str = ""
    """Why the ledger refused it."""


@dataclass(frozen=True, slots=True)
class BallotView:
    """A report that waits for this actor's vote."""

    report: str
    type: str
    lat: float
    lon: float
    time_ms: int
    deadline_ms: int
    distance_m: float
    choice: bool | None
    """What was already decided (True confirms), by the human or by the actor's own behaviour."""
    decided_by: str | None
    """``"human"`` or ``"actor"``."""
    stage: str
    """``"open"``, ``"committed"``, ``"revealed"``, ``"missed"``."""


@dataclass(frozen=True, slots=True)
class TransactionView:
    """One transaction of a block, or one that waits."""

    id: str
    sender: str
    nonce: int
    contract: str
    method: str
    arguments: Sequence[tuple[str, str]]
    """(name, printable value)."""
    ok: bool | None
    """None while it waits."""
    reason: str
    """Why it was refused: a stable snake_case name; empty otherwise."""
    detail: str
    events: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    """(event name, fields)."""
    code: str = ""
    """Ordered: ``"VALID"``, ``"MVCC_READ_CONFLICT"``, …; empty while it waits."""
    endorsers: Sequence[MemberView] = ()
    """Ordered: who signed what it does."""
    made_ms: int | None = None
    """Ordered: when its sender made it, which its nonce says."""


@dataclass(frozen=True, slots=True)
class BlockSummary:
    """One block of the best chain."""

    id: str
    height: int
    time_ms: int
    producer: str
    """The miner, or the orderer that cut it."""
    transactions: int
    bytes: int
    difficulty: int
    final: bool


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block with its transactions and what it paid."""

    summary: BlockSummary
    parent: str
    nonce: int
    """Ordered: the place of its batch in the orderers' log."""
    state_root: str
    """Ordered: zeros, for orderers do not execute."""
    transactions: Sequence[TransactionView]
    rewards: Sequence[tuple[str, str, int]]
    """(account, cause, micro-credits)."""
    seals: Sequence[MemberView] = ()
    """Ordered: the orderers that signed it."""


@dataclass(frozen=True, slots=True)
class Located:
    """Where a transaction is. `height` and `block` are None while it waits."""

    transaction: str
    stage: str
    """``"accepted"`` (it waits), ``"included"`` (in a block), ``"final"``."""
    height: int | None
    block: str | None


@dataclass(frozen=True, slots=True)
class AuditView:
    """What replaying a report's draw from public data gave; see `chain.contracts.spatial_audit`."""

    report: str
    verdict: str
    """``"honest"``, ``"dishonest"``, ``"unopened"``, ``"open"``, ``"unassigned"``."""
    findings: Sequence[str]
    """What was checked, in sentences, in order."""
    assigner: str | None
    seed_height: int | None
    """Of the block whose id seeds the draw."""
    seed: str | None
    candidates: int
    attempt: int | None
    """Draws before this one gave combinations that had served."""
    group: Sequence[str]
    """Whom chance drew; empty unless the draw was honest."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A report is on its way: the transaction was accepted by a ledger node."""

    report: str


@dataclass(frozen=True, slots=True)
class Update:
    """Something changed. `kind`: ``"block"``, ``"report"``, ``"campaign"``, ``"ballot"``, ``"reward"``, ``"actor"``, ``"run"``.

    `data` is small and JSON-ready: enough to update a line or a marker; a page fetches the snapshot for more.
    """

    kind: str
    time_ms: int
    data: dict[str, Any]


class UpdateStream(Protocol):
    """Updates for one browser. When the reader is slow, the oldest are dropped and counted."""

    channel: trio.MemoryReceiveChannel[Update]

    @property
    def dropped(self) -> int:
        """How many updates this stream has lost so far."""


class Control(Protocol):
    """The population of one process.

    `campaigning` is what concerns sensing campaigns. Methods that take `actor` raise UnknownActorError; the async ones also LedgerUnavailableError.
    """

    @property
    def campaigning(self) -> CampaignControl:
        """The campaigns on its ledger."""

    def run(self) -> RunSnapshot:
        """The run as it is now."""

    def channel(self) -> ChannelView | None:
        """The channel of an ordered ledger; None on proof of work."""

    def actors(self) -> Sequence[ActorSummary]:
        """All actors of this process, by role and name."""

    def actor(self, actor: str) -> ActorSnapshot:
        """One actor."""

    async def reports(
        self, actor: str, *, status: str | None = None, after: str | None = None, limit: int = 200
    ) -> Sequence[ReportView]:
        """Reports as this actor's ledger node sees them, newest first, at most `limit` (1 to 1000).

        `after` an id goes on with older ones; raises UnknownRecordError when there is no such report.
        """

    async def report(self, actor: str, report: str) -> ReportView:
        """One report. Raises UnknownRecordError."""

    async def audit(self, actor: str, report: str) -> AuditView:
        """Replay a report's draw from the blocks that this actor can get. Raises UnknownRecordError: it cannot."""

    async def nearby(self, actor: str, type_: str, lat: float, lon: float) -> Sequence[ReportView]:
        """Reports that would make a new one of that type at that place a duplicate."""

    def ballots(self, actor: str) -> Sequence[BallotView]:
        """What waits for this actor's vote, and what it recently voted on; open ones first, by deadline."""

    async def blocks(self, actor: str, *, before: int | None = None, limit: int = 25) -> Sequence[BlockSummary]:
        """Blocks below height `before` (default: from the head), highest first, at most `limit` (1 to 100)."""

    async def block(self, actor: str, ref: str) -> BlockView:
        """A block by height (decimal) or id (hex). Raises UnknownRecordError."""

    async def locate(self, actor: str, transaction: str) -> Located:
        """Where a transaction is that this actor's ledger node has heard of. Raises UnknownRecordError."""

    async def mempool(self, actor: str, *, limit: int = 50) -> Sequence[TransactionView]:
        """Transactions that wait at this actor's ledger node."""

    async def submit_report(self, actor: str, type_: str, lat: float, lon: float) -> Submitted:
        """Submit a report in this actor's name, now. Raises CommandRefusedError."""

    async def vote(self, actor: str, report: str, *, confirm: bool) -> None:
        """Vote in this actor's name; the human's choice replaces the actor's own. Raises CommandRefusedError."""

    async def attend(self, actor: str, *, attended: bool) -> None:
        """Take over an actor's votes and reports (or give them back). An attended worker waits for its human."""

    def updates(self, actor: str | None = None, *, buffer: int = 256) -> AbstractAsyncContextManager[UpdateStream]:
        """What happens from now on, to one actor or to the whole run."""
