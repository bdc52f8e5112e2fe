"""From the ledger's values to what people are shown: text ids, degrees, names of arguments. Pure functions."""

import inspect
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from actors.control import AuditView, BlockSummary, BlockView, ReportView, ResponseTimes, TransactionView
from actors.ledger import FoundBlock, Outcome
from actors.ordered_views import endorsers_of, seals_of, validation_code
from actors.world import World
from chain.codec import block_id, encode, transaction_id
from chain.contract import event_fields
from chain.contracts.spatial_audit import Audit
from chain.contracts.spatial_records import Content, Progress, Report, Responses
from chain.errors import Refused
from chain.genesis import kind_of
from chain.ledgers.ordered.values import made_ms
from chain.values import ACCOUNT_BYTES, Account, Header, Receipt, Transaction, TxId
from net.peer import PeerId

MAX_SHOWN = 96
SHOWN_STATUS = {"taken": "in_review"}


def actor_id(account: bytes) -> str:
    """The public name of an account: its libp2p peer id in base58."""
    return str(PeerId.from_public_key(bytes(account)))


def shown_status(status: str) -> str:
    """A report's status in the words of the interface."""
    return SHOWN_STATUS.get(status, status)


def report_view(row: Report, progress: Progress | None, viewer: Collection[Account], final_ms: int) -> ReportView:
    """One report. `viewer`: the accounts of who looks; `final_ms` is the time of the last final block: what happened later is not final."""
    content = row.content
    times = [
        ("pending", row.recorded_ms),
        ("assigned", row.assigned_ms),
        (row.status if row.status in ("rejected", "expired") else "confirmed", row.decided_ms),
        ("in_review", row.taken_ms),
        ("closed", row.closed_ms),
    ]
    history = [(status, at) for status, at in times if at is not None]
    return ReportView(
        id=row.id.hex(),
        status=shown_status(row.status),
        type=content.type if content else None,
        lat=content.lat_e7 / 1e7 if content else None,
        lon=content.lon_e7 / 1e7 if content else None,
        time_ms=content.time_ms if content else None,
        submitted_ms=row.recorded_ms,
        requester=actor_id(content.requester) if content and row.status not in ("pending", "assigned") else None,
        workers=[actor_id(worker) for worker in row.workers],
        votes_cast=progress.votes if progress else None,
        votes_revealed=progress.reveals if progress else None,
        votes_confirm=len(row.workers) or None,
        vote_until_ms=progress.vote_until_ms if progress else None,
        outcome=row.outcome or None,
        history=history,
        mine=content is not None and content.requester in viewer,
        final=bool(history) and history[-1][1] <= final_ms,
    )


def sent_view(report: TxId, content: Content, outcome: Outcome) -> ReportView:
    """A report that was submitted here and is not on the ledger: it waits for a block, or a block refused it."""
    refused = outcome.receipt is not None and not outcome.receipt.ok
    refusal = ""
    if refused and outcome.receipt is not None:
        refusal = f"{outcome.receipt.reason} {outcome.receipt.detail}".strip()
    return ReportView(
        id=report.hex(),
        status="refused" if refused else "waiting",
        type=content.type,
        lat=content.lat_e7 / 1e7,
        lon=content.lon_e7 / 1e7,
        time_ms=content.time_ms,
        submitted_ms=content.time_ms,
        requester=None,
        workers=(),
        votes_cast=None,
        votes_revealed=None,
        votes_confirm=None,
        vote_until_ms=None,
        outcome=None,
        history=(),
        mine=True,
        final=refused and outcome.stage == "final",
        refusal=refusal,
    )


def response_times(found: Responses) -> ResponseTimes:
    """Means of what the ledger keeps as sums."""
    return ResponseTimes(
        taken=found.taken,
        wait_ms=found.waited_ms // found.taken if found.taken else None,
        closed=found.closed,
        review_ms=found.reviewed_ms // found.closed if found.closed else None,
    )


def audit_view(found: Audit) -> AuditView:
    """What replaying a draw gave."""
    return AuditView(
        report=found.report.hex(),
        verdict=found.verdict,
        findings=found.findings,
        assigner=actor_id(found.assigner) if found.assigner else None,
        seed_height=found.seed_height,
        seed=found.seed.hex() if found.seed else None,
        candidates=len(found.candidates),
        attempt=found.attempt,
        group=[actor_id(worker) for worker in found.group],
    )


def block_summary(header: Header, transactions: int, size: int, final_height: int) -> BlockSummary:
    """One line about a block."""
    return BlockSummary(
        id=block_id(header).hex(),
        height=header.height,
        time_ms=header.time_ms,
        producer=actor_id(header.producer),
        transactions=transactions,
        bytes=size,
        difficulty=header.difficulty,
        final=header.height <= final_height,
    )


@dataclass(frozen=True, slots=True)
class Payment:
    """What a block pays to one account. `cause` as in `RewardEntry`; micro-credits."""

    account: Account
    cause: str
    amount: int
    report: str | None
    campaign: str | None = None


def payments(found: FoundBlock, block_reward: int) -> Sequence[Payment]:
    """All that a block pays, the miner first."""
    header = found.block.header
    paid = []
    if block_reward and header.height:
        paid.append(Payment(header.producer, "miner", block_reward, None))
    for receipt in found.receipts:
        for event in receipt.events:
            if (event.contract, event.name) == ("spatial", "confirmed"):
                fields = event_fields(event)
                report = fields["report"].hex()
                paid.append(Payment(fields["requester"], "requester", fields["requester_reward"], report))
                paid += [
                    Payment(worker, "worker", amount, report)
                    for worker, amount in zip(fields["workers"], fields["worker_rewards"], strict=True)
                ]
            elif (event.contract, event.name) == ("campaign", "rewarded"):
                fields = event_fields(event)
                campaign = fields["campaign"].hex()
                paid.append(Payment(fields["worker"], "campaign", fields["amount"], None, campaign))
    return paid


def block_view(world: World, found: FoundBlock) -> BlockView:
    """A whole block."""
    header = found.block.header
    summary = block_summary(
        header, len(found.receipts), len(encode(found.block)), header.height if found.final else header.height - 1
    )
    return BlockView(
        summary=summary,
        parent=header.parent.hex(),
        nonce=header.nonce,
        state_root=header.state_root.hex(),
        transactions=[
            transaction_view(world, transaction, receipt, evidence)
            for transaction, receipt, evidence in zip(
                found.block.transactions,
                found.receipts,
                found.block.evidence or (None,) * len(found.receipts),
                strict=True,
            )
        ],
        rewards=[
            (actor_id(paid.account), paid.cause, paid.amount)
            for paid in payments(found, world.genesis.ledger.block_reward)
        ],
        seals=seals_of(found.block.seal),
    )


def transaction_view(
    world: World, transaction: Transaction, receipt: Receipt | None, evidence: bytes | None = None
) -> TransactionView:
    """A transaction, in a block (`receipt`, and on an ordered ledger `evidence`) or waiting."""
    events: Sequence[tuple[str, Sequence[tuple[str, str]]]] = []
    if receipt is not None:
        events = [
            (f"{event.contract}.{event.name}", [(key, shown(key, value)) for key, value in event_fields(event).items()])
            for event in receipt.events
        ]
    return TransactionView(
        id=transaction_id(transaction).hex(),
        sender=actor_id(transaction.sender),
        nonce=transaction.nonce,
        contract=transaction.contract,
        method=transaction.method,
        arguments=_arguments(world, transaction),
        ok=None if receipt is None else receipt.ok,
        reason="" if receipt is None or receipt.ok else receipt.reason,
        detail="" if receipt is None or receipt.ok else receipt.detail,
        events=events,
        code=validation_code(receipt) if receipt is not None and evidence is not None else "",
        endorsers=endorsers_of(evidence) if evidence is not None else (),
        made_ms=made_ms(transaction) if kind_of(world.genesis) == "ordered" else None,
    )


def _arguments(world: World, transaction: Transaction) -> Sequence[tuple[str, str]]:
    """Names and printable values of a call's arguments; the raw bytes where they do not fit the method."""
    try:
        method = world.network.registry.method(transaction.contract, transaction.method, is_query=False)
        values = method.decode_args(transaction.args)
    except Refused:
        return [("raw", shown("raw", transaction.args))]
    names = [name.rstrip("_") for name in inspect.signature(method.function).parameters][1:]
    return [(name, shown(name, value)) for name, value in zip(names, values, strict=True)]


ACCOUNTS = frozenset(
    {
        "account",
        "assigner",
        "candidates",
        "challenger",
        "facility",
        "from",
        "late",
        "oracle",
        "oracles",
        "requester",
        "sender",
        "to",
        "worker",
        "workers",
    }
)
"""Arguments and fields that hold accounts; other 32 bytes are hashes."""
SHOWN_ITEMS = 16


def shown(name: str, value: Any) -> str:
    """A printable form of an argument or field: accounts as ids of actors, other bytes in hex, all cut short.

    Numbers stay in the units that their names tell (``lat_e7``, ``time_ms``, micro-credits): this is what was signed.
    """
    if isinstance(value, bytes):
        return actor_id(value) if name in ACCOUNTS and len(value) == ACCOUNT_BYTES else _cut(value.hex())
    if isinstance(value, tuple | list):
        if any(isinstance(item, tuple | list) for item in value[:SHOWN_ITEMS]):
            return " ".join(f"[{shown(name, item)}]" for item in value[:SHOWN_ITEMS])
        more = f", … {len(value)} in all" if len(value) > SHOWN_ITEMS else ""
        return ", ".join(shown(name, item) for item in value[:SHOWN_ITEMS]) + more
    if isinstance(value, msgspec.Struct):
        pairs = [(key, getattr(value, key)) for key in value.__struct_fields__]
        # A unit is told by the name, so that each of several has it.
        each = [
            (key, item)
            for key, of in pairs
            for item in (of if key.endswith("_ms") and isinstance(of, tuple) else (of,))
        ]
        return ", ".join(f"{key} {shown(key, item)}" for key, item in each)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
