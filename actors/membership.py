"""The organisations of an ordered ledger's population: their keys, who belongs to which, and everybody's certificate.

Keys of organisations and admins follow from the run's seed, as those of actors do: whoever founds a swarm holds them
all, in the founding process, and a restart with the same seed finds the same ones. That is for a testbed; whoever joins
from elsewhere has a key of its own, and a certificate that an organisation's root signed for it.
"""

from collections.abc import Sequence
from dataclasses import replace

from actors.identity import Identity
from actors.ledger_config import OrderedLedgerConfig
from actors.population import Member
from actors.scenario import Scenario, ScenarioError
from chain.errors import GenesisError
from chain.ledgers.ordered.channel import (
    ANYONE,
    BatchLimits,
    ChannelConfig,
    OrderedRules,
    Policies,
    check_ordered_rules,
    default_policies,
    found_channel,
)
from chain.ledgers.ordered.endorse import Signer
from chain.ledgers.ordered.msp import Certificate, issue
from chain.ledgers.ordered.policy import Policy, Principal, any_of

PEER_ROLES = ("mec", "endorser", "facility", "organizer", "oracle")
"""Roles of actors whose certificate is a peer's: they endorse."""
CLIENT_ROLES = ("requester", "worker")
DAY_MS = 86_400_000
EARLY_MS = DAY_MS
"""Certificates are valid from so long before they were issued: clocks differ."""
ADMIN_SERIAL = 0


def root_of(seed: int, organisation: str) -> Identity:
    """The root key of an organisation in the run with that seed."""
    return Identity.derive(seed, f"{organisation}/root")


def admin_of(seed: int, organisation: str) -> Identity:
    """The key of an organisation's admin in the run with that seed."""
    return Identity.derive(seed, f"{organisation}/admin")


def ordered_rules(scenario: Scenario, members: Sequence[Member]) -> OrderedRules:
    """What an ordered network of these members is founded on.

    Raises ScenarioError, naming the key, when the rules cannot be or the members could not satisfy the policies.
    """
    config = scenario.ledger.ordered
    try:
        rules = OrderedRules(
            consensus=config.consensus,
            channel=_channel(scenario, members),
            max_skew_ms=config.max_skew_ms,
            proposal_ttl_ms=config.proposal_ttl_ms,
            max_transaction_gas=scenario.ledger.max_transaction_gas,
            max_block_gas=scenario.ledger.max_block_gas,
            tick_ms=config.tick_ms,
            election_ticks=config.election_ticks,
            heartbeat_ticks=config.heartbeat_ticks,
        )
        check_ordered_rules(rules)
    except GenesisError as error:
        raise ScenarioError(f"scenario: ledger.ordered: {error}") from None
    _check_members(rules.channel.policies, config, members)
    return rules


def _channel(scenario: Scenario, members: Sequence[Member]) -> ChannelConfig:
    config = scenario.ledger.ordered
    organisations = {name: root_of(scenario.seed, name).account for name in config.names}
    defaults = default_policies(organisations)
    batch = config.batch
    return found_channel(
        organisations,
        [member.identity.account for member in members if member.role == "orderer"],
        BatchLimits(
            max_count=batch.max_count,
            preferred_bytes=batch.preferred_bytes,
            absolute_bytes=batch.absolute_bytes,
            timeout_ms=batch.timeout_ms,
            idle_ms=batch.idle_ms,
        ),
        Policies(
            endorsement=config.endorsement or defaults.endorsement,
            contracts=(),
            writers=config.writers or any_of(config.names, "member"),
            admins=config.admins or defaults.admins,
            blocks=config.blocks or defaults.blocks,
        ),
    )


def _check_members(policies: Policies, config: OrderedLedgerConfig, members: Sequence[Member]) -> None:
    """Check that a run of these members would get anywhere. Raises ScenarioError."""
    principals = _principals(config, members)
    signers = {
        "endorsement": ("peers", [principal for principal in principals.values() if principal.role == "peer"]),
        "blocks": ("orderers", [principal for principal in principals.values() if principal.role == "orderer"]),
        "admins": ("admins, one an organisation,", [Principal(name, "admin") for name in config.names]),
    }
    for key, (who, available) in signers.items():
        policy = Policy.parse(getattr(policies, key))
        if not policy.satisfied(sorted(available)):
            raise ScenarioError(
                f"scenario: ledger.ordered.{key}: all {len(available)} {who} of this population cannot satisfy {policy}"
            )
    if policies.writers == ANYONE:
        return
    writers = Policy.parse(policies.writers)
    for member in members:
        principal = principals.get(member.name)
        if member.role != "orderer" and (principal is None or not writers.satisfied([principal])):
            raise ScenarioError(
                f"scenario: ledger.ordered.writers: {member.name} could not write, "
                f"{f'as a {principal.role} of {principal.organisation}' if principal else 'for no client may'}"
            )


def _principals(config: OrderedLedgerConfig, members: Sequence[Member]) -> dict[str, Principal]:
    """What everybody is who gets a certificate, by name: each role spread over the organisations in turn.

    Clients only of organisations whose clients may write, and only where not everybody may.
    """
    clients: tuple[str, ...] = ()
    if config.writers != ANYONE:
        policy = Policy.parse(config.writers or any_of(config.names, "member"))
        clients = tuple(name for name in config.names if policy.satisfied([Principal(name, "client")]))
    kinds = (
        ("orderer", ("orderer",), config.names),
        ("peer", PEER_ROLES, config.names),
        ("client", CLIENT_ROLES, clients),
    )
    found: dict[str, Principal] = {}
    for role, of, organisations in kinds:
        holders = [member.name for member in members if member.role in of] if organisations else []
        found |= {
            name: Principal(organisations[place % len(organisations)], role) for place, name in enumerate(holders)
        }
    return found


def certified(scenario: Scenario, members: Sequence[Member], started_ms: int) -> tuple[Member, ...]:
    """The whole population of an ordered ledger, each with the certificate it needs; of another, as it was.

    Valid for `certificate_days` from `started_ms` on. A member's serial is its place in the population, so that a restart
    renews its certificate, and not one that the channel has revoked.
    """
    if scenario.ledger.kind != "ordered":
        return tuple(members)
    config = scenario.ledger.ordered
    principals = _principals(config, members)
    return tuple(
        replace(
            member,
            certificate=_issue(
                scenario, principals[member.name], member.identity, ADMIN_SERIAL + 1 + place, started_ms
            ),
        )
        if member.name in principals
        else member
        for place, member in enumerate(members)
    )


def admins(scenario: Scenario, started_ms: int) -> dict[str, Signer]:
    """What the organisations' admins sign changes of the channel with, by organisation."""
    made = {}
    for name in scenario.ledger.ordered.names:
        identity = admin_of(scenario.seed, name)
        certificate = _issue(scenario, Principal(name, "admin"), identity, ADMIN_SERIAL, started_ms)
        made[name] = Signer(certificate, identity.key)
    return made


def _issue(scenario: Scenario, principal: Principal, identity: Identity, serial: int, started_ms: int) -> Certificate:
    return issue(
        root_of(scenario.seed, principal.organisation).key,
        principal.organisation,
        principal.role,
        identity.account,
        serial,
        max(0, started_ms - EARLY_MS),
        started_ms + scenario.ledger.ordered.certificate_days * DAY_MS,
    )


def signer_of(member: Member) -> Signer | None:
    """What its ledger node signs endorsements and seals with; None for one without a certificate."""
    return Signer(member.certificate, member.identity.key) if member.certificate is not None else None
