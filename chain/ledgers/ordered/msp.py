"""Who belongs to an organisation: short certificates, signed by its root key (Fabric's membership service provider).

A certificate says that an account has a role in an organisation from one millisecond to another, both included. It is
void from the block on whose configuration revokes its serial.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Annotated

import msgspec
from nacl.signing import SigningKey

from chain.codec import encode
from chain.errors import Refused
from chain.keys import is_signature, remembers_signatures
from chain.ledgers.ordered.channel import ChannelConfig, OrganisationName
from chain.ledgers.ordered.policy import CERTIFICATE_ROLES, Principal
from chain.values import SIGNATURE_BYTES, Account, AccountField, Natural, Value

CERTIFICATE_DOMAIN = b"crowdmesh:certificate:1:"
MAX_CERTIFICATE_BYTES = 179
"""Longest encoding."""
_KNOWN = 4_096
"""Certificates that one configuration's `Identities` remember."""

SignatureField = Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


class Certificate(Value, frozen=True, cache_hash=True):
    """Made by an organisation's root key; shown by the member with whatever it signs."""

    organisation: OrganisationName
    role: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    """One of `policy.CERTIFICATE_ROLES`; whatever it is, its holder is a ``member`` too."""
    account: AccountField
    """Whose signatures it speaks for."""
    serial: Natural
    """What it is revoked by. Its organisation uses each once, for all of the same serial are revoked together."""
    not_before_ms: Natural
    not_after_ms: Natural
    """Included, as `not_before_ms` is."""
    signature: SignatureField
    """The root's, over CERTIFICATE_DOMAIN and the SHA-256 of the encoding with an empty signature."""


class Signed(Value, frozen=True, cache_hash=True):
    """A signature by the account of `certificate`; over what, its place says."""

    certificate: Certificate
    signature: SignatureField


def _message(certificate: Certificate) -> bytes:
    unsigned = msgspec.structs.replace(certificate, signature=b"")
    return CERTIFICATE_DOMAIN + sha256(encode(unsigned)).digest()


def issue(
    root_key: SigningKey,
    organisation: str,
    role: str,
    account: Account,
    serial: int,
    not_before_ms: int,
    not_after_ms: int,
) -> Certificate:
    """A certificate by the holder of an organisation's root key. Raises ValueError for a role or dates that cannot be."""
    if role not in CERTIFICATE_ROLES:
        raise ValueError(f"{role!r} is none of {', '.join(CERTIFICATE_ROLES)}")
    if not 0 <= not_before_ms <= not_after_ms:
        raise ValueError(f"valid from {not_before_ms} to {not_after_ms}")
    unsigned = Certificate(organisation, role, account, serial, not_before_ms, not_after_ms, b"")
    return msgspec.structs.replace(unsigned, signature=root_key.sign(_message(unsigned)).signature)


class Identities:
    """Who is whom under one configuration. Ask `identities`, which keeps one for each configuration."""

    def __init__(self, config: ChannelConfig) -> None:
        self._roots = {organisation.name: organisation.root for organisation in config.organisations}
        self._revoked = frozenset((entry.organisation, entry.serial) for entry in config.revoked)
        self._known: dict[Certificate, Principal] = {}

    def principal(self, certificate: Certificate, account: Account, at_ms: int) -> Principal:
        """What `account` is by `certificate` at `at_ms`.

        Raises Refused, in this order: ``certificate_of_another`` account; ``certificate_not_yet_valid``;
        ``certificate_expired``; ``unknown_organisation``; ``unknown_role``; ``certificate_revoked``;
        ``bad_certificate``, not signed by the organisation's root.
        """
        if certificate.account != account:
            raise Refused("certificate_of_another", f"of {certificate.account.hex()[:16]}, not {account.hex()[:16]}")
        if at_ms < certificate.not_before_ms:
            raise Refused("certificate_not_yet_valid", f"from {certificate.not_before_ms} on, it is {at_ms}")
        if at_ms > certificate.not_after_ms:
            raise Refused("certificate_expired", f"until {certificate.not_after_ms}, it is {at_ms}")
        known = self._known.get(certificate) if remembers_signatures() else None
        if known is not None:
            return known
        found = self._verified(certificate)
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[certificate] = found
        return found

    def _verified(self, certificate: Certificate) -> Principal:
        """What does not depend on when and by whom it is shown."""
        root = self._roots.get(certificate.organisation)
        if root is None:
            raise Refused("unknown_organisation", certificate.organisation)
        if certificate.role not in CERTIFICATE_ROLES:
            raise Refused("unknown_role", certificate.role)
        if (certificate.organisation, certificate.serial) in self._revoked:
            raise Refused("certificate_revoked", f"{certificate.organisation} {certificate.serial}")
        if not is_signature(root, _message(certificate), certificate.signature):
            raise Refused("bad_certificate", f"{certificate.organisation} did not sign it")
        return Principal(certificate.organisation, certificate.role)


@lru_cache(maxsize=64)
def identities(config: ChannelConfig) -> Identities:
    """The one for this configuration."""
    return Identities(config)


def check_certificate(config: ChannelConfig, certificate: Certificate, account: Account, at_ms: int) -> Principal:
    """`Identities.principal` under `config`. Raises Refused as it does."""
    return identities(config).principal(certificate, account, at_ms)
