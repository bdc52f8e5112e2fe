"""What an ordered network is configured by: its rules, and the channel's configuration, which admins may change.

The current configuration is in the world state under CHANNEL_KEY; `chain.contracts.channel` and `update` change it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from chain.codec import decode, decode_own, encode
from chain.errors import GenesisError, MalformedError
from chain.gas import MIN_TRANSACTION_GAS
from chain.ledgers.ordered.policy import (
    MAX_ORGANISATION_CHARACTERS,
    MAX_POLICY_CHARACTERS,
    ORGANISATION_PATTERN,
    Policy,
    PolicyError,
    any_of,
    majority,
)
from chain.state import WorldState
from chain.values import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_TRANSACTIONS,
    Account,
    AccountField,
    Name,
    Natural,
    Value,
)

CHANNEL_KEY: Final = b"channel/config"
"""Whole key of the current ChannelConfig in the world state; the contract ``channel`` owns it."""
ANYONE: Final = "anyone"
"""As the `writers` policy: every key may propose, and needs no certificate."""
MAX_ORGANISATIONS = 64
MAX_REVOKED = 256
MAX_ORDERERS = 16
MAX_CONTRACT_POLICIES = 64
MAX_CHANNEL_BYTES = 8_192
"""Of an encoded configuration: with the signatures of an update it must fit into a call's arguments."""
MAX_UPDATE_SIGNATURES = 33
"""With an update: a majority of the most organisations. At most 246 bytes each."""
MIN_ABSOLUTE_BYTES = 65_536
"""A configuration transaction with its endorsements must fit into a block."""
MAX_TIMEOUT_MS = 60_000
MAX_IDLE_MS = 3_600_000
MAX_SKEW_MS = 600_000
MAX_PROPOSAL_TTL_MS = 86_400_000
MAX_TICKS = 1_000

OrganisationName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=MAX_ORGANISATION_CHARACTERS, pattern=ORGANISATION_PATTERN)
]
"""Letters, digits, dots and dashes, the first and last a letter or digit."""
PolicyText = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_POLICY_CHARACTERS)]


class Organisation(Value, frozen=True):
    """Whoever holds the key of `root` says who its members are."""

    name: OrganisationName
    root: AccountField


class Revoked(Value, frozen=True):
    """A certificate that is void from the block on that has this in its configuration, whatever its dates."""

    organisation: OrganisationName
    serial: Natural


class ContractPolicy(Value, frozen=True):
    """Who must endorse calls of `contract`, instead of the default."""

    contract: Name
    policy: PolicyText


class Policies(Value, frozen=True):
    """Texts that `policy.Policy.parse` takes."""

    endorsement: PolicyText
    """Of every contract that `contracts` does not name."""
    contracts: Annotated[tuple[ContractPolicy, ...], msgspec.Meta(max_length=MAX_CONTRACT_POLICIES)]
    """Sorted by contract, each once."""
    writers: PolicyText
    """Who may propose, or ANYONE. One signature must suffice, for a proposal has one creator."""
    admins: PolicyText
    """Who may change the configuration."""
    blocks: PolicyText
    """Whose seals a block needs; only accounts in `ChannelConfig.orderers` seal."""


class BatchLimits(Value, frozen=True):
    """When the orderer cuts a block; Fabric's BatchSize and BatchTimeout."""

    max_count: Natural
    """Transactions, 1 to MAX_BLOCK_TRANSACTIONS."""
    preferred_bytes: Natural
    """Of transactions with their evidence, 1 to `absolute_bytes`; one that alone exceeds it goes alone."""
    absolute_bytes: Natural
    """Of a block, MIN_ABSOLUTE_BYTES to MAX_BLOCK_BYTES."""
    timeout_ms: Natural
    """After the first pending transaction, 1 to MAX_TIMEOUT_MS."""
    idle_ms: Natural
    """After so long without a block an empty one is cut, at most MAX_IDLE_MS; 0: never, as Fabric."""


DEFAULT_BATCH = BatchLimits(
    max_count=500,
    preferred_bytes=MAX_BLOCK_BYTES // 4,
    absolute_bytes=MAX_BLOCK_BYTES,
    timeout_ms=2_000,
    idle_ms=0,
)
"""Fabric's, with its 2 MB and 10 MB brought down to blocks of ours."""


class ChannelConfig(Value, frozen=True, cache_hash=True):
    """Members, policies, batches and orderers. `check_channel` says which field is wrong."""

    sequence: Natural
    """0 in genesis; each update adds 1."""
    organisations: Annotated[tuple[Organisation, ...], msgspec.Meta(min_length=1, max_length=MAX_ORGANISATIONS)]
    """Sorted by name, each name and each root once."""
    revoked: Annotated[tuple[Revoked, ...], msgspec.Meta(max_length=MAX_REVOKED)]
    """Sorted, each once. Of organisations that have left too: one that comes back does not bring them back."""
    policies: Policies
    batch: BatchLimits
    orderers: Annotated[tuple[AccountField, ...], msgspec.Meta(min_length=1, max_length=MAX_ORDERERS)]
    """Sorted, each once."""


class OrderedRules(Value, frozen=True, tag="ordered"):
    """What an ordered network is founded on. `check_ordered_rules` says which field is wrong."""

    consensus: str
    """``solo``: one orderer, that does not fail; ``raft``: a majority of the orderers must be up, none of them lies."""
    channel: ChannelConfig
    """With sequence 0."""
    max_skew_ms: Natural
    """How far a block's or proposal's time may be ahead of the local clock, at most MAX_SKEW_MS."""
    proposal_ttl_ms: Natural
    """How long after its time a proposal may be committed, 1 to MAX_PROPOSAL_TTL_MS."""
    max_transaction_gas: Natural
    """What one transaction may cost (`chain.gas`); at least its largest arguments and some work on them."""
    max_block_gas: Natural
    """What the transactions of a block may cost together, as their endorsers found it; at least what one may."""
    tick_ms: Natural
    """Raft's unit of time, 1 to 60,000; Fabric's is 500."""
    election_ticks: Natural
    """Without a heartbeat, until an election is called: more than `heartbeat_ticks`, at most MAX_TICKS; Fabric's is 10."""
    heartbeat_ticks: Natural
    """Between a leader's heartbeats, 1 or more; Fabric's is 1."""

    @property
    def finality_depth(self) -> int:
        """0: every committed block is final."""
        return 0

    @property
    def block_interval_ms(self) -> int:
        """What to expect between blocks."""
        return self.channel.batch.idle_ms or self.channel.batch.timeout_ms

    @property
    def block_reward(self) -> int:
        """0: orderers are not paid."""
        return 0

    @property
    def max_block_bytes(self) -> int:
        return self.channel.batch.absolute_bytes

    @property
    def max_block_transactions(self) -> int:
        return self.channel.batch.max_count

    @property
    def max_future_ms(self) -> int:
        return self.max_skew_ms


@lru_cache(maxsize=64)
def check_channel(config: ChannelConfig) -> None:
    """Raises GenesisError naming the field."""
    names = [organisation.name for organisation in config.organisations]
    roots = {organisation.root for organisation in config.organisations}
    revoked = [(entry.organisation, entry.serial) for entry in config.revoked]
    special = [entry.contract for entry in config.policies.contracts]
    orderers = list(config.orderers)
    batch = config.batch
    checks = (
        ("organisations", 1 <= len(names) <= MAX_ORGANISATIONS, f"{len(names)} of them"),
        ("organisations", names == sorted(set(names)), "not sorted, or one of them twice"),
        ("organisations", len(roots) == len(names), "two with one root key"),
        ("revoked", len(revoked) <= MAX_REVOKED, f"{len(revoked)} of them"),
        ("revoked", revoked == sorted(set(revoked)), "not sorted, or one of them twice"),
        ("policies.contracts", len(special) <= MAX_CONTRACT_POLICIES, f"{len(special)} of them"),
        ("policies.contracts", special == sorted(set(special)), "not sorted, or one of them twice"),
        ("batch.max_count", 1 <= batch.max_count <= MAX_BLOCK_TRANSACTIONS, batch.max_count),
        ("batch.absolute_bytes", MIN_ABSOLUTE_BYTES <= batch.absolute_bytes <= MAX_BLOCK_BYTES, batch.absolute_bytes),
        ("batch.preferred_bytes", 1 <= batch.preferred_bytes <= batch.absolute_bytes, batch.preferred_bytes),
        ("batch.timeout_ms", 1 <= batch.timeout_ms <= MAX_TIMEOUT_MS, batch.timeout_ms),
        ("batch.idle_ms", batch.idle_ms <= MAX_IDLE_MS, batch.idle_ms),
        ("orderers", 1 <= len(orderers) <= MAX_ORDERERS, f"{len(orderers)} of them"),
        ("orderers", orderers == sorted(set(orderers)), "not sorted, or one of them twice"),
    )
    for name, good, value in checks:
        if not good:
            raise GenesisError(f"channel.{name} is {value}")
    _check_policies(config, frozenset(names))
    # What was made here and not decoded has no bounds or patterns checked yet.
    try:
        decode(ChannelConfig, encode(config), limit=MAX_CHANNEL_BYTES)
    except MalformedError as error:
        raise GenesisError(f"channel is no configuration: {error}") from None


def _check_policies(config: ChannelConfig, names: frozenset[str]) -> None:
    policies = config.policies
    texts = [("endorsement", policies.endorsement), ("admins", policies.admins), ("blocks", policies.blocks)]
    texts += [(f"contracts.{entry.contract}", entry.policy) for entry in policies.contracts]
    if policies.writers != ANYONE:
        texts.append(("writers", policies.writers))
    for field, text in texts:
        try:
            policy = Policy.parse(text)
        except PolicyError as error:
            raise GenesisError(f"channel.policies.{field}: {error}") from None
        unknown = sorted({principal.organisation for principal in policy.principals} - names)
        if unknown:
            raise GenesisError(f"channel.policies.{field} names {', '.join(unknown)}, no organisation of the channel")
    needed = Policy.parse(policies.blocks).fewest({"orderer"})
    if needed is None or needed > len(config.orderers):
        raise GenesisError(
            f"channel.policies.blocks can never be satisfied: it needs "
            f"{needed or 'others than orderers'}, and there are {len(config.orderers)} orderers"
        )
    if (needed := Policy.parse(policies.admins).fewest() or 0) > MAX_UPDATE_SIGNATURES:
        raise GenesisError(
            f"channel.policies.admins can never be satisfied: it needs {needed} signatures, an update may have "
            f"{MAX_UPDATE_SIGNATURES}"
        )
    if policies.writers != ANYONE and (needed := Policy.parse(policies.writers).fewest()) != 1:
        raise GenesisError(
            f"channel.policies.writers can never be satisfied: it needs {needed} signatures, a proposal has one creator"
        )


@lru_cache(maxsize=64)
def check_ordered_rules(rules: OrderedRules) -> None:
    """Raises GenesisError naming the field."""
    checks = (
        ("consensus", rules.consensus in {"solo", "raft"}),
        ("max_skew_ms", rules.max_skew_ms <= MAX_SKEW_MS),
        ("proposal_ttl_ms", 1 <= rules.proposal_ttl_ms <= MAX_PROPOSAL_TTL_MS),
        ("max_transaction_gas", rules.max_transaction_gas >= MIN_TRANSACTION_GAS),
        ("max_block_gas", rules.max_block_gas >= rules.max_transaction_gas),
        ("tick_ms", 1 <= rules.tick_ms <= 60_000),
        ("heartbeat_ticks", 1 <= rules.heartbeat_ticks < rules.election_ticks),
        ("election_ticks", rules.election_ticks <= MAX_TICKS),
    )
    for name, good in checks:
        if not good:
            raise GenesisError(f"ordered.{name} is {getattr(rules, name)!r}")
    check_channel(rules.channel)
    if rules.channel.sequence != 0:
        raise GenesisError(f"ordered.channel.sequence is {rules.channel.sequence}")
    if rules.consensus == "solo" and len(rules.channel.orderers) != 1:
        raise GenesisError(f"ordered.channel.orderers is {len(rules.channel.orderers)} of them, solo has one")


def default_policies(organisations: Mapping[str, Account]) -> Policies:
    """Fabric's: a majority of organisations' peers endorse, and of their admins configure; one orderer seals a block.

    Everybody may write: the crowd is open. Raises GenesisError when there are no organisations.
    """
    if not organisations:
        raise GenesisError("channel.organisations is 0 of them")
    names = tuple(organisations)
    return Policies(
        endorsement=majority(names, "peer"),
        contracts=(),
        writers=ANYONE,
        admins=majority(names, "admin"),
        blocks=any_of(names, "orderer"),
    )


def found_channel(
    organisations: Mapping[str, Account],
    orderers: Sequence[Account],
    batch: BatchLimits = DEFAULT_BATCH,
    policies: Policies | None = None,
) -> ChannelConfig:
    """The configuration of a new channel, in any order; `organisations` is root account by name.

    Without `policies`, `default_policies`. Raises GenesisError.
    """
    config = ChannelConfig(
        sequence=0,
        organisations=tuple(Organisation(name, root) for name, root in sorted(organisations.items())),
        revoked=(),
        policies=policies or default_policies(organisations),
        batch=batch,
        orderers=tuple(sorted(orderers)),
    )
    check_channel(config)
    return config


def channel_entries(config: ChannelConfig) -> dict[bytes, bytes | None]:
    """Genesis writes."""
    return {CHANNEL_KEY: encode(config)}


def config_of(state: WorldState) -> ChannelConfig:
    """The configuration in force after the block of `state`. Raises LookupError where there is no channel."""
    data = state.get(CHANNEL_KEY)
    if data is None:
        raise LookupError("a world state without a channel")
    return _decoded(data)


@lru_cache(maxsize=64)
def _decoded(data: bytes) -> ChannelConfig:
    return decode_own(ChannelConfig, data)


@lru_cache(maxsize=4_096)
def contract_policy(config: ChannelConfig, contract: str) -> Policy:
    """Who must endorse calls of `contract`."""
    for entry in config.policies.contracts:
        if entry.contract == contract:
            return Policy.parse(entry.policy)
    return Policy.parse(config.policies.endorsement)
