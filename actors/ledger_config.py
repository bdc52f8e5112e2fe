"""The tables ``[ledger]`` and ``[ledger.ordered]`` of a scenario: which ledger, and the rules of either kind.

A scenario has both kinds' rules, so that one file runs on both: `kind` says which of them count.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from actors.section import NotNegative, Positive, Section
from chain.gas import MAX_BLOCK_GAS, MAX_TRANSACTION_GAS, MIN_TRANSACTION_GAS
from chain.ledgers.ordered.channel import (
    ANYONE,
    MAX_IDLE_MS,
    MAX_ORGANISATIONS,
    MAX_PROPOSAL_TTL_MS,
    MAX_SKEW_MS,
    MAX_TICKS,
    MAX_TIMEOUT_MS,
    MIN_ABSOLUTE_BYTES,
)
from chain.ledgers.ordered.policy import MAX_POLICY_CHARACTERS, Policy, PolicyError
from chain.values import MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS

LEAST_KEPT_BLOCKS = 1_024
"""A node that is not far enough behind to take a state asks for so many bodies, and others must have them."""

PolicyText = Annotated[str, Meta(max_length=MAX_POLICY_CHARACTERS)]


class BatchConfig(Section, frozen=True):
    """When the orderer cuts a block."""

    max_count: Annotated[int, Meta(ge=1, le=MAX_BLOCK_TRANSACTIONS)] = 500
    """Transactions of a block."""
    preferred_bytes: Annotated[int, Meta(ge=1, le=MAX_BLOCK_BYTES)] = MAX_BLOCK_BYTES // 4
    """Of transactions with their endorsements; one that alone exceeds it goes alone."""
    absolute_bytes: Annotated[int, Meta(ge=MIN_ABSOLUTE_BYTES, le=MAX_BLOCK_BYTES)] = MAX_BLOCK_BYTES
    timeout_ms: Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_MS)] = 250
    """How long the first transaction of a block waits for others; Fabric's is 2,000."""
    idle_ms: Annotated[int, Meta(ge=0, le=MAX_IDLE_MS)] = 1_000
    """After so long without a block an empty one is cut: block times are the ledger's time, and actors wait for them.
    0: never, as Fabric."""


class OrderedLedgerConfig(Section, frozen=True):
    """An ordered ledger: organisations, whose signatures count, when blocks are cut. Policies are in Fabric's language."""

    organisations: Annotated[int, Meta(ge=1, le=MAX_ORGANISATIONS)] = 3
    """``org1`` to ``orgN``; ledger nodes are spread over them in turn."""
    consensus: Literal["solo", "raft"] = "raft"
    """``solo`` has one orderer, whatever `population.orderer.count` says."""
    endorsement: PolicyText = ""
    """Whose peers must endorse a call, e.g. ``AND('org1.peer', 'org2.peer')``; empty: those of most organisations."""
    writers: PolicyText = ANYONE
    """Who may propose: ``anyone``, for the crowd is open, or a policy that one certificate must satisfy; empty: any
    member. Only with a policy do requesters and workers get certificates."""
    admins: PolicyText = ""
    """Who may change the channel; empty: admins of most organisations."""
    blocks: PolicyText = ""
    """Which orderers' signatures a block needs; empty: one, which is believed."""
    batch: BatchConfig = BatchConfig()
    max_skew_ms: Annotated[int, Meta(ge=0, le=MAX_SKEW_MS)] = 5_000
    """How far a block's or proposal's time may be ahead of a clock."""
    proposal_ttl_ms: Annotated[int, Meta(ge=1, le=MAX_PROPOSAL_TTL_MS)] = 60_000
    """How long after it was made a proposal may be committed."""
    tick_ms: Annotated[int, Meta(ge=1, le=60_000)] = 500
    """Raft's unit of time; Fabric's is the same."""
    election_ticks: Annotated[int, Meta(ge=2, le=MAX_TICKS)] = 4
    """Without a heartbeat, until an election is called. With 4, service is back within 10 ticks of a leader's death; with
    Fabric's 10 it takes up to 24."""
    heartbeat_ticks: Annotated[int, Meta(ge=1, le=MAX_TICKS)] = 1
    """Between a leader's heartbeats."""
    certificate_days: Annotated[int, Meta(ge=1, le=36_500)] = 365
    """How long certificates are valid from the start of a run on; a restart issues them anew."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the organisations."""
        return tuple(f"org{number}" for number in range(1, self.organisations + 1))


class LedgerConfig(Section, frozen=True):
    """Which ledger, and its parameters; part of genesis, hence the same for all.

    What stands here and not in `ordered` is proof of work's, but for `max_transaction_gas` and what follows it, which both
    ledgers have.
    """

    kind: Literal["pow", "ordered"] = "pow"
    """``pow``: whoever mines may take part; ``ordered``: organisations endorse, order and commit."""
    block_interval_ms: Positive = 1_000
    finality_depth: Positive = 4
    """Blocks on top of a block after which it is final."""
    retarget_window: Annotated[int, Meta(ge=2)] = 20
    max_future_ms: Positive = 2_000
    quota: NotNegative = 0
    """At most this many of the last `quota_window` blocks by one miner; 0 turns the rule off."""
    quota_window: Positive = 10
    block_reward: NotNegative = 1_000_000
    """Micro-credits to the miner of a block."""
    max_block_transactions: Annotated[int, Meta(ge=1, le=1_000)] = 500
    max_block_bytes: Annotated[int, Meta(ge=32_768, le=524_288)] = 262_144
    max_transaction_gas: Annotated[int, Meta(ge=MIN_TRANSACTION_GAS)] = MAX_TRANSACTION_GAS
    """What one call may cost, in Ethereum's gas (`chain.gas`); what needs more is refused."""
    max_block_gas: Annotated[int, Meta(ge=MIN_TRANSACTION_GAS)] = MAX_BLOCK_GAS
    """What the calls of a block may cost together; at least what one may. To carry out 500 payments, or as many reports as
    fit (170), takes 0.04 s of one core; one call after the other that did nothing but begin scans, which take longest for
    what they cost, would take 1 s."""
    durability: Literal["kill", "power"] = "kill"
    """What a committed block survives."""
    keep_blocks: NotNegative = 0
    """Bodies, receipts and events of the last so many final blocks are kept, of older blocks the header; 0: of all."""
    open_enrolment: bool = True
    """Whether MEC nodes and facilities that are not in genesis may enrol themselves."""
    ordered: OrderedLedgerConfig = OrderedLedgerConfig()


def problems(ledger: LedgerConfig) -> Iterator[str]:
    """What does not fit together, each beginning with the key."""
    ordered = ledger.ordered
    if ledger.max_block_gas < ledger.max_transaction_gas:
        yield f"ledger.max_block_gas: {ledger.max_block_gas} is less than max_transaction_gas {ledger.max_transaction_gas}"
    if 0 < (kept := ledger.keep_blocks) < LEAST_KEPT_BLOCKS:
        yield f"ledger.keep_blocks: {kept}, allowed are 0 (all) and {LEAST_KEPT_BLOCKS} or more"
    if ordered.heartbeat_ticks >= ordered.election_ticks:
        yield (
            f"ledger.ordered.heartbeat_ticks: {ordered.heartbeat_ticks} is not less than election_ticks "
            f"{ordered.election_ticks}"
        )
    if ordered.batch.preferred_bytes > ordered.batch.absolute_bytes:
        yield (
            f"ledger.ordered.batch.preferred_bytes: {ordered.batch.preferred_bytes} exceeds absolute_bytes "
            f"{ordered.batch.absolute_bytes}"
        )
    for key in ("endorsement", "writers", "admins", "blocks"):
        text = getattr(ordered, key)
        if not text or (key == "writers" and text == ANYONE):
            continue
        try:
            policy = Policy.parse(text)
        except PolicyError as error:
            yield f"ledger.ordered.{key}: {error}"
            continue
        unknown = sorted({principal.organisation for principal in policy.principals} - {*ordered.names})
        if unknown:
            yield f"ledger.ordered.{key}: {', '.join(unknown)} is none of {', '.join(ordered.names)}"
