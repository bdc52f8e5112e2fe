"""From the ledger's values to what people are shown: text ids, degrees, names of arguments. Pure functions."""

import inspect
from collections.abc import Sequence
from typing import Any

from actors.control import BlockSummary, BlockView, ReportView, TransactionView
from actors.ledger import FoundBlock
from actors.world import World
from chain.codec import block_id, encode, transaction_id
from chain.contract import event_fields
from chain.contracts.spatial_records import Progress, Report
from chain.errors import Refused
from chain.values import Account, Header, Receipt, Transaction
from net.peer import PeerId

MAX_SHOWN = 96
SHOWN_STATUS = {"taken": "in_review"}


def actor_id(account: bytes) -> str:
    """The public name of an account: its libp2p peer id in base58."""
    return str(PeerId.from_public_key(bytes(account)))


def shown_status(status: str) -> str:
    """A report's status in the words of the interface."""
    return SHOWN_STATUS.get(status, status)


def report_view(row: Report, progress: Progress | None, viewer: Account, final_ms: int) -> ReportView:
    """One report. `final_ms` is the time of the last final block: what happened later is not final."""
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
        votes_cast=progress.votes if progress else len(row.workers),
        votes_confirm=len(row.workers) if row.decided_ms is not None and row.workers else None,
        votes_assigned=None,
        outcome=row.outcome or None,
        history=history,
        mine=content is not None and content.requester == viewer,
        final=bool(history) and history[-1][1] <= final_ms,
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


def block_view(world: World, found: FoundBlock) -> BlockView:
    """A whole block."""
    header = found.block.header
    rewards = [(actor_id(header.producer), "miner", world.genesis.pow.block_reward)] if header.height else []
    for receipt in found.receipts:
        for event in receipt.events:
            if (event.contract, event.name) == ("spatial", "confirmed"):
                fields = event_fields(event)
                rewards.append((actor_id(fields["requester"]), "requester", fields["requester_reward"]))
                rewards += [
                    (actor_id(worker), "worker", amount)
                    for worker, amount in zip(fields["workers"], fields["worker_rewards"], strict=True)
                ]
    summary = block_summary(
        header, len(found.receipts), len(encode(found.block)), header.height if found.final else header.height - 1
    )
    return BlockView(
        summary=summary,
        parent=header.parent.hex(),
        nonce=header.nonce,
        state_root=header.state_root.hex(),
        transactions=[
            transaction_view(world, transaction, receipt)
            for transaction, receipt in zip(found.block.transactions, found.receipts, strict=True)
        ],
        rewards=rewards,
    )


def transaction_view(world: World, transaction: Transaction, receipt: Receipt | None) -> TransactionView:
    """A transaction, in a block (`receipt`) or waiting."""
    events: Sequence[tuple[str, Sequence[tuple[str, str]]]] = []
    if receipt is not None:
        events = [
            (f"{event.contract}.{event.name}", [(key, shown(value)) for key, value in event_fields(event).items()])
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
        events=events,
    )


def _arguments(world: World, transaction: Transaction) -> Sequence[tuple[str, str]]:
    """Names and printable values of a call's arguments; the raw bytes where they do not fit the method."""
    try:
        method = world.network.registry.method(transaction.contract, transaction.method, is_query=False)
        values = method.decode_args(transaction.args)
    except Refused:
        return [("raw", shown(transaction.args))]
    names = list(inspect.signature(method.function).parameters)[1:]
    return [(name.rstrip("_"), shown(value)) for name, value in zip(names, values, strict=True)]


def shown(value: Any) -> str:
    """A printable form: bytes in hex, all cut short."""
    if isinstance(value, bytes):
        text = value.hex()
    elif isinstance(value, tuple | list):
        text = ", ".join(shown(item) for item in value)
    else:
        text = str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
