"""What people are shown of an ordered ledger: who signed what, validation codes, the channel. Pure functions."""

from collections import Counter
from collections.abc import Iterable, Sequence

from actors.control import CertificateView, ChannelView, MemberView
from chain.errors import MalformedError
from chain.ledgers.ordered.channel import ChannelConfig, OrderedRules
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.msp import Certificate
from chain.ledgers.ordered.values import decode_evidence, decode_seal
from chain.values import Receipt
from net.peer import PeerId


def ordered_core(core: object) -> OrderedLedger | None:
    """The core of a ledger node, when it is of an ordered ledger."""
    return core if isinstance(core, OrderedLedger) else None


def member_view(certificate: Certificate) -> MemberView:
    """Whoever signed, by its certificate."""
    account = str(PeerId.from_public_key(bytes(certificate.account)))
    return MemberView(certificate.organisation, certificate.role, account)


def certificate_view(certificate: Certificate | None, channel: ChannelConfig | None) -> CertificateView | None:
    """An actor's certificate, and whether the channel has revoked it."""
    if certificate is None:
        return None
    revoked = channel is not None and any(
        (entry.organisation, entry.serial) == (certificate.organisation, certificate.serial)
        for entry in channel.revoked
    )
    return CertificateView(
        member=member_view(certificate),
        serial=certificate.serial,
        not_before_ms=certificate.not_before_ms,
        not_after_ms=certificate.not_after_ms,
        revoked=revoked,
    )


def endorsers_of(evidence: bytes) -> Sequence[MemberView]:
    """Who endorsed a transaction of a block; nobody where its evidence is none (BAD_PAYLOAD)."""
    try:
        return [member_view(signed.certificate) for signed in decode_evidence(evidence).endorsements]
    except MalformedError:
        return []


def seals_of(seal: bytes) -> Sequence[MemberView]:
    """Who signed a block; nobody in genesis, which has no seal."""
    return [member_view(signed.certificate) for signed in decode_seal(seal)] if seal else []


def validation_code(receipt: Receipt) -> str:
    """What peers made of a transaction, in Fabric's words: ``VALID``, ``MVCC_READ_CONFLICT``, …"""
    return "VALID" if receipt.ok else receipt.reason.upper()


def leader_of(cores: Iterable[OrderedLedger]) -> str | None:
    """Who leads the orderers as far as these ledger nodes know, themselves or by what others told them; else None."""
    said: Counter[bytes] = Counter()
    for core in cores:
        if core.leader:
            return str(PeerId.from_public_key(core.leader))
        said.update(status.leader for status in core.members().values() if status.leader)
    best = max(said, key=lambda leader: (said[leader], leader), default=None)
    return str(PeerId.from_public_key(best)) if best is not None and len(best) == 32 else None


def channel_view(rules: OrderedRules, cores: Sequence[OrderedLedger]) -> ChannelView:
    """The channel as the first of these ledger nodes has it; as it was founded when there is none."""
    channel = cores[0].channel if cores else rules.channel
    policies, batch = channel.policies, channel.batch
    return ChannelView(
        sequence=channel.sequence,
        consensus=rules.consensus,
        organisations=[(one.name, one.root.hex()) for one in channel.organisations],
        revoked=[(one.organisation, one.serial) for one in channel.revoked],
        policies=[
            ("endorsement", policies.endorsement),
            *((f"endorsement of {one.contract}", one.policy) for one in policies.contracts),
            ("writers", policies.writers),
            ("admins", policies.admins),
            ("blocks", policies.blocks),
        ],
        orderers=[str(PeerId.from_public_key(bytes(account))) for account in channel.orderers],
        leader=leader_of(cores),
        batch=[
            ("transactions", batch.max_count),
            ("preferred bytes", batch.preferred_bytes),
            ("most bytes", batch.absolute_bytes),
            ("longest wait in ms", batch.timeout_ms),
            ("empty block after ms", batch.idle_ms),
        ],
        codes=sorted(cores[0].statistics().codes.items()) if cores else [],
    )
