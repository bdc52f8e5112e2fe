"""Who may do what on a channel: who may write, and whose endorsements a transaction needs."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from chain.contract import key_policy_key
from chain.errors import Refused
from chain.keys import is_signature, remembers_signatures
from chain.ledgers.ordered.channel import ANYONE, ChannelConfig, OrderedRules, contract_policy
from chain.ledgers.ordered.msp import Certificate, Signed, identities
from chain.ledgers.ordered.policy import Policy, Principal
from chain.ledgers.ordered.values import Envelope, Response, made_ms
from chain.state import WorldState
from chain.values import Account

SKEWS_AHEAD = 2
"""A proposal may be that many times `max_skew_ms` ahead of its block: endorsers' and orderers' clocks differ."""
_KEY_POLICY = key_policy_key(b"")


def check_writer(config: ChannelConfig, creator: Certificate | None, account: Account, at_ms: int) -> None:
    """Whether `account` may propose transactions at that time.

    Raises Refused: ``certificate_required``, ``not_a_writer``, or what is wrong with the certificate.
    """
    anyone = config.policies.writers == ANYONE
    if creator is None:
        if not anyone:
            raise Refused("certificate_required", f"writers must satisfy {config.policies.writers}")
        return
    principal = identities(config).principal(creator, account, at_ms)
    if not anyone and not Policy.parse(config.policies.writers).satisfied((principal,)):
        raise Refused(
            "not_a_writer", f"{principal.organisation}.{principal.role} does not satisfy {config.policies.writers}"
        )


def signers(
    config: ChannelConfig, signatures: Iterable[Signed], domain: bytes, digest: bytes, at_ms: int
) -> Sequence[Principal]:
    """Who signed `domain` + `digest`, one principal an account.

    Raises Refused for a certificate that does not hold, a signature that is none (``bad_signature``), or an account that
    signs twice (``signed_twice``).
    """
    together = tuple(signatures)
    if remembers_signatures() and all(
        signed.certificate.not_before_ms <= at_ms <= signed.certificate.not_after_ms for signed in together
    ):
        return _in_date(config, together, domain, digest)
    return _signers(config, together, domain, digest, at_ms)


def _signers(
    config: ChannelConfig, signatures: tuple[Signed, ...], domain: bytes, digest: bytes, at_ms: int
) -> Sequence[Principal]:
    known = identities(config)
    found: dict[bytes, Principal] = {}
    for signed in signatures:
        account = signed.certificate.account
        if account in found:
            raise Refused("signed_twice", account.hex()[:16])
        found[account] = known.principal(signed.certificate, Account(account), at_ms)
        if not is_signature(Account(account), domain + digest, signed.signature):
            raise Refused("bad_signature", f"not signed by {account.hex()[:16]}")
    return tuple(found.values())


@lru_cache(maxsize=4_096)
def _in_date(
    config: ChannelConfig, signatures: tuple[Signed, ...], domain: bytes, digest: bytes
) -> Sequence[Principal]:
    """The same for certificates that have a time in common: at any such time the answer is the same."""
    at_ms = max((signed.certificate.not_before_ms for signed in signatures), default=0)
    return _signers(config, signatures, domain, digest, at_ms)


def policies_for(config: ChannelConfig, state: WorldState, contract: str, written: Iterable[bytes]) -> Sequence[Policy]:
    """All policies that the endorsers of a call of `contract` must satisfy that writes these keys, each once.

    A key's own policy stands in for its contract's; one that is set needs the key's old one (Fabric's key-level
    endorsement). A call that writes nothing of its own contract needs that contract's all the same, for result and
    events are its word.
    """
    needed: list[Policy] = []  # of one or two, found again by identity: cheaper than hashing rules
    silent = True
    for key in written:
        subject = subject_of(key)
        owner = owner_of(subject)
        silent = silent and owner != contract
        own = state.get(key_policy_key(subject))
        policy = contract_policy(config, owner) if own is None else Policy.parse(own.decode())
        if policy not in needed:
            needed.append(policy)
    if silent and (policy := contract_policy(config, contract)) not in needed:
        needed.append(policy)
    return needed


def unsatisfied(
    config: ChannelConfig, state: WorldState, contract: str, response: Response, endorsers: Sequence[Principal]
) -> Policy | None:
    """The first policy that the endorsers of a call of `contract` with this response do not satisfy; None when all are."""
    written = (write.key for write in response.writes)
    needed = policies_for(config, state, contract, written)
    return next((policy for policy in needed if not policy.satisfied(endorsers)), None)


def untimely(rules: OrderedRules, envelope: Envelope, at_ms: int) -> str | None:
    """Which of an envelope's times is too long before `at_ms` or too far ahead of it, and what it is; None when neither is."""
    earliest, latest = at_ms - rules.proposal_ttl_ms, at_ms + SKEWS_AHEAD * rules.max_skew_ms
    for name, time_ms in (("made", made_ms(envelope.transaction)), ("proposed", envelope.evidence.time_ms)):
        if not earliest <= time_ms <= latest:
            return f"{name} at {time_ms}"
    return None


def subject_of(key: bytes) -> bytes:
    """The key that a key's policy is about; other keys are about themselves."""
    return key.removeprefix(_KEY_POLICY)


def owner_of(key: bytes) -> str:
    """The contract that a whole key belongs to."""
    return key.split(b"/", 1)[0].decode("utf-8", "replace")
