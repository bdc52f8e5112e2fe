"""The client's part: compare what endorsers answered, see whom else to ask, and sign the envelope.

Endorsers that are level give the same response to the byte. When answers differ, one of them lags behind, runs another
contract, or lies; the client is told who, and goes on with those who agree, if they are enough.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nacl.signing import SigningKey

from chain.codec import encode
from chain.errors import Refused
from chain.keys import account_of, is_signature
from chain.ledgers.ordered.access import unsatisfied
from chain.ledgers.ordered.channel import ChannelConfig
from chain.ledgers.ordered.msp import Signed, identities
from chain.ledgers.ordered.policy import Principal
from chain.ledgers.ordered.values import (
    ENDORSEMENT,
    ENVELOPE,
    MAX_ENDORSEMENTS,
    Endorsed,
    Envelope,
    Evidence,
    Proposal,
    Response,
    envelope_digest,
    proposal_digest,
    response_digest,
)
from chain.state import WorldState
from chain.values import MAX_EVIDENCE_BYTES, SIGNATURE_BYTES, Account


@dataclass(frozen=True, slots=True)
class Difference:
    """Endorsers that answered otherwise than the others, and how."""

    accounts: tuple[Account, ...]
    height: int
    """Of the block after which they simulated, as they say."""
    what: str
    """``"reads"`` (they know of other versions: they lag behind, or lead), ``"writes"`` (the same was read, something
    else would be written: another contract, or a lie), ``"result"``, ``"events"``, ``"gas"``."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What enough endorsers agree on, and who does not."""

    response: Response
    endorsements: tuple[Signed, ...]
    differing: tuple[Difference, ...]


def check_endorsed(config: ChannelConfig, proposal: Proposal, endorsed: Endorsed, at_ms: int) -> Principal:
    """Whether an answer is one to `proposal`, by a member who signed it. Returns who that is.

    Raises Refused: ``other_proposal``, ``bad_signature``, or what is wrong with the certificate.
    """
    if endorsed.response.proposal != proposal_digest(proposal):
        raise Refused("other_proposal", "the response is to another proposal")
    certificate, signature = endorsed.endorsement.certificate, endorsed.endorsement.signature
    account = Account(certificate.account)
    principal = identities(config).principal(certificate, account, at_ms)
    if not is_signature(account, ENDORSEMENT + response_digest(endorsed.response), signature):
        raise Refused("bad_signature", f"not signed by {account.hex()[:16]}")
    return principal


def agree(
    config: ChannelConfig, state: WorldState, proposal: Proposal, answers: Iterable[Endorsed], at_ms: int
) -> Agreement | None:
    """The response that enough of `answers` give for its policies, the one with most endorsers; None when none does.

    Every answer passed `check_endorsed`.
    """
    groups: dict[bytes, list[Endorsed]] = {}
    for answer in answers:
        groups.setdefault(response_digest(answer.response), []).append(answer)
    known = identities(config)
    for group in sorted(groups.values(), key=_endorsers, reverse=True):
        by_account = {answer.endorsement.certificate.account: answer.endorsement for answer in group}
        endorsements = tuple(by_account[account] for account in sorted(by_account))
        principals = [
            known.principal(signed.certificate, Account(signed.certificate.account), at_ms) for signed in endorsements
        ]
        response = group[0].response
        if unsatisfied(config, state, proposal.transaction.contract, response, principals) is None:
            others = (other for other in groups.values() if other is not group)
            return Agreement(response, endorsements, tuple(_difference(group[0], other) for other in others))
    return None


def differences(answers: Sequence[Endorsed]) -> tuple[Difference, ...]:
    """How answers differ from the first one."""
    groups: dict[bytes, list[Endorsed]] = {}
    for answer in answers:
        groups.setdefault(response_digest(answer.response), []).append(answer)
    first, *others = groups.values()
    return tuple(_difference(first[0], other) for other in others)


def prepare(proposal: Proposal, agreement: Agreement) -> Envelope:
    """The envelope, for the client to sign. Raises Refused (``envelope_too_large``, ``too_many_endorsements``)."""
    if len(agreement.endorsements) > MAX_ENDORSEMENTS:
        raise Refused("too_many_endorsements", f"{len(agreement.endorsements)}, allowed are {MAX_ENDORSEMENTS}")
    evidence = Evidence(
        proposal.creator, proposal.time_ms, agreement.response, agreement.endorsements, bytes(SIGNATURE_BYTES)
    )
    envelope = Envelope(proposal.transaction, evidence)
    if (size := len(encode(evidence))) > MAX_EVIDENCE_BYTES:
        raise Refused("envelope_too_large", f"{size} bytes of evidence, allowed are {MAX_EVIDENCE_BYTES}")
    return envelope


def sign_envelope(key: SigningKey, envelope: Envelope) -> Envelope:
    """The client's word that it wants this outcome. Raises ValueError with another's key."""
    if account_of(key) != envelope.transaction.sender:
        raise ValueError("an envelope is signed by the sender of its transaction")
    old = envelope.evidence
    signature = key.sign(ENVELOPE + envelope_digest(envelope)).signature
    evidence = Evidence(old.creator, old.time_ms, old.response, old.endorsements, signature)
    return Envelope(envelope.transaction, evidence)


def is_signed(envelope: Envelope) -> bool:
    """Whether its sender wants this outcome."""
    return is_signature(envelope.transaction.sender, ENVELOPE + envelope_digest(envelope), envelope.evidence.signature)


def _endorsers(group: Sequence[Endorsed]) -> int:
    return len({answer.endorsement.certificate.account for answer in group})


def _difference(first: Endorsed, others: Sequence[Endorsed]) -> Difference:
    ours, theirs = first.response, others[0].response
    what = "gas"
    for name in ("reads", "ranges", "writes", "events", "result"):
        if getattr(ours, name) != getattr(theirs, name):
            what = "reads" if name == "ranges" else name
            break
    accounts = tuple(Account(other.endorsement.certificate.account) for other in others)
    return Difference(accounts, others[0].height, what)
