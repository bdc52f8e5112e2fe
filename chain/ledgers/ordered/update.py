"""Changing a channel's configuration: the next one is made, admins sign it, a transaction of `channel.update` carries both.

Admins sign the whole next configuration with its sequence, for one network. So what they signed is applied once, and only
as the very next change; whoever is late builds upon the new configuration and asks for signatures again.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from msgspec.structs import replace
from nacl.signing import SigningKey

from chain.codec import encode
from chain.errors import GenesisError, Refused
from chain.ledgers.ordered.access import signers
from chain.ledgers.ordered.channel import (
    MAX_UPDATE_SIGNATURES,
    BatchLimits,
    ChannelConfig,
    Organisation,
    Policies,
    Revoked,
    check_channel,
    default_policies,
)
from chain.ledgers.ordered.msp import Certificate, Signed
from chain.ledgers.ordered.policy import Policy
from chain.values import Account, BlockId

CHANNEL_DOMAIN = b"crowdmesh:channel:1:"


def update_message(chain: BlockId, config: ChannelConfig) -> bytes:
    """What admins sign."""
    return CHANNEL_DOMAIN + chain + _digest(config)


def _digest(config: ChannelConfig) -> bytes:
    return sha256(encode(config)).digest()


def sign_update(key: SigningKey, certificate: Certificate, chain: BlockId, config: ChannelConfig) -> Signed:
    """An admin's consent that `config` follows the one that has the sequence before its."""
    return Signed(certificate, key.sign(update_message(chain, config)).signature)


def check_update(
    old: ChannelConfig, new: ChannelConfig, signatures: Sequence[Signed], chain: BlockId, at_ms: int
) -> None:
    """Check that `new` may follow `old` on `chain` at `at_ms`. Certificates and policy are `old`'s.

    Raises Refused, in this order: ``bad_sequence``; ``too_many_signatures``; ``signed_twice``, by one account; for a
    certificate, what `msp.Identities.principal` raises; ``bad_signature``; ``admins_policy``, not satisfied;
    ``invalid_channel``, with what `check_channel` says. Signatures of others than admins do no harm.
    """
    if new.sequence != old.sequence + 1:
        raise Refused("bad_sequence", f"it is {new.sequence}, after {old.sequence} comes {old.sequence + 1}")
    if len(signatures) > MAX_UPDATE_SIGNATURES:
        raise Refused("too_many_signatures", f"{len(signatures)}, at most {MAX_UPDATE_SIGNATURES} are allowed")
    accounts = [signed.certificate.account for signed in signatures]
    if len(set(accounts)) < len(accounts):
        raise Refused("signed_twice")
    # What costs most comes last, and ends at the first that is bad: who has no admin's key has one signature checked.
    admins = signers(old, signatures, CHANNEL_DOMAIN + chain, _digest(new), at_ms)
    if not Policy.parse(old.policies.admins).satisfied(admins):
        by = ", ".join(f"{admin.organisation}.{admin.role}" for admin in admins) or "nobody"
        raise Refused("admins_policy", f"{old.policies.admins} is not satisfied by {by}")
    try:
        check_channel(new)
    except GenesisError as error:
        raise Refused("invalid_channel", str(error)) from None


def revoke(config: ChannelConfig, certificate: Certificate) -> ChannelConfig:
    """The next configuration, in which `certificate` is void. All builders here raise GenesisError when that cannot be."""
    entry = Revoked(certificate.organisation, certificate.serial)
    revoked = sorted((*config.revoked, entry), key=lambda one: (one.organisation, one.serial))
    return _next(config, revoked=tuple(revoked))


def with_orderers(config: ChannelConfig, accounts: Sequence[Account]) -> ChannelConfig:
    """The next configuration, with these orderers and no others."""
    return _next(config, orderers=tuple(sorted(accounts)))


def with_batch(config: ChannelConfig, batch: BatchLimits) -> ChannelConfig:
    """The next configuration, with other limits of batches."""
    return _next(config, batch=batch)


def with_policies(config: ChannelConfig, policies: Policies) -> ChannelConfig:
    """The next configuration, with other policies."""
    return _next(config, policies=policies)


def with_organisation(config: ChannelConfig, name: str, root: Account) -> ChannelConfig:
    """The next configuration, with one organisation more, or another root key for one that is there.

    Policies that are the default ones become those of the new organisations; Fabric's are written by majority too.
    """
    return _with_organisations(config, _roots(config) | {name: root})


def without_organisation(config: ChannelConfig, name: str) -> ChannelConfig:
    """The next configuration, with one organisation less; policies as in `with_organisation`."""
    roots = _roots(config)
    if name not in roots:
        raise GenesisError(f"channel.organisations has no {name}")
    return _with_organisations(config, {other: root for other, root in roots.items() if other != name})


def _roots(config: ChannelConfig) -> dict[str, Account]:
    return {organisation.name: organisation.root for organisation in config.organisations}


def _with_organisations(config: ChannelConfig, roots: Mapping[str, Account]) -> ChannelConfig:
    before, after = default_policies(_roots(config)), default_policies(roots)
    policies = config.policies
    for field in ("endorsement", "admins", "blocks"):
        if getattr(policies, field) == getattr(before, field):
            policies = replace(policies, **{field: getattr(after, field)})
    organisations = tuple(Organisation(name, root) for name, root in sorted(roots.items()))
    return _next(config, organisations=organisations, policies=policies)


def _next(config: ChannelConfig, **changes: Any) -> ChannelConfig:
    changed = replace(config, sequence=config.sequence + 1, **changes)
    check_channel(changed)
    return changed
