"""What must hold of campaigns on any final chain, told from its blocks and receipts alone (spec/campaign.md).

Like `actors.ledger_checkers`, these know the rules from the specification, not from the contract: they follow what was said
to be locked, released, committed to and opened.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chain.codec import decode_own, transaction_id
from chain.contract import event_fields
from chain.values import Block, Receipt, Transaction

_PHASES = ("registration", "publishing", "bidding", "selection", "collection", "submission")
_WHEN = {
    "registered": "registration",
    "published": "publishing",
    "bid": "bidding",
    **dict.fromkeys(("returned", "replaced", "selected", "overturned", "penalised"), "selection"),
    "committed": "collection",
    **dict.fromkeys(("submitted", "disputed", "answered"), "submission"),
    **dict.fromkeys(("rewarded", "unspent", "forfeited", "settled"), "ended"),
}
"""What may be said in one phase alone."""
_OF_CYCLE = "the cycle's money"
_KINDS = {
    **dict.fromkeys(("deploy", "advance", "close"), "bond"),
    **dict.fromkeys(
        ("register_oracle", "withdraw_oracle", "return_selection", "replace_oracle", "challenge"), "stakes"
    ),
    **dict.fromkeys(("publish_task", "bid_path", "distribute_rewards"), _OF_CYCLE),
}
"""What a call moves."""


@dataclass(slots=True)
class _Campaign:
    """What the chain has said of one so far."""

    name: str
    phase: str = ""
    cycle: int = 0
    void: bool = False
    settled: bool = False
    held: Counter[str] = field(default_factory=Counter)
    """By kind, in micro-credits."""
    selected: set[bytes] = field(default_factory=set)
    committed: set[bytes] = field(default_factory=set)
    opened: set[bytes] = field(default_factory=set)
    disputed: set[tuple[bytes, int]] = field(default_factory=set)
    """(worker, task) that nobody answered."""
    rewarded: set[tuple[bytes, int]] = field(default_factory=set)


def check_campaigns(chain: Sequence[tuple[Block, Sequence[Receipt]]]) -> list[str]:
    """No phase was skipped, and nothing was said in the wrong one; no campaign paid more than it locked; nobody was paid for
    a task without having been selected, having committed and opened, or while in dispute; what was said to be paid was; and
    settled campaigns hold nothing but bond and stakes.

    Where balances come to the largest integer, what does not fit stays in a campaign, which is complained about.
    """
    wrong: list[str] = []
    campaigns: dict[bytes, _Campaign] = {}
    for transaction, receipt in _calls(chain):
        found = campaigns.setdefault(_named(transaction), _Campaign(_named(transaction).hex()[:16]))
        events = [(f"{event.contract}.{event.name}", event_fields(event)) for event in receipt.events]
        wrong += [f"campaign {found.name} {what}" for what in _moved(found, transaction.method, events)]
        for name, said in events:
            if name.startswith("campaign."):
                wrong += [f"campaign {found.name} {what}" for what in _said(found, name[9:], said)]
    return wrong


def _calls(chain: Sequence[tuple[Block, Sequence[Receipt]]]) -> Iterator[tuple[Transaction, Receipt]]:
    for block, receipts in chain:
        for transaction, receipt in zip(block.transactions, receipts, strict=True):
            if receipt.ok and transaction.contract == "campaign":
                yield transaction, receipt


def _named(transaction: Transaction) -> bytes:
    """The campaign that a call is about: the first argument, or what it deploys."""
    if transaction.method == "deploy":
        return transaction_id(transaction)
    found = decode_own(tuple[Any, ...], transaction.args)[0]
    return bytes(found)


def _moved(found: _Campaign, method: str, events: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """Money: what one call locks and releases, and whether rewards were."""
    kind = _KINDS.get(method, "nothing")
    released: Counter[bytes] = Counter()
    for name, said in events:
        if name == "accounts.locked":
            found.held[kind] += said["amount"]
        elif name == "accounts.released":
            found.held[kind] -= said["amount"]
            released[said["account"]] += said["amount"]
    if found.held[kind] < 0:
        yield f"paid {-found.held[kind]} more of {kind} than it held"
    due: Counter[bytes] = Counter()
    for name, said in events:
        if name == "campaign.rewarded":
            due[said["worker"]] += said["amount"]
    for worker, amount in due.items():
        if released[worker] < amount:
            yield f"says that it paid {worker.hex()[:16]} {amount}, and paid {released[worker]}"


def _said(found: _Campaign, name: str, said: dict[str, Any]) -> Iterator[str]:
    """Phases, and who did what in them."""
    if name.endswith("_started") or name in ("ended", "closed"):
        yield from _turned(found, name.removesuffix("_started"), said)
        return
    if (when := _WHEN.get(name, found.phase)) != found.phase:
        yield f"has {name} in {found.phase}, not {when}"
    if said.get("cycle", found.cycle) != found.cycle:
        yield f"has {name} of cycle {said['cycle']} in cycle {found.cycle}"
    if (judge := _JUDGES.get(name)) is not None:
        yield from judge(found, said)


def _turned(found: _Campaign, phase: str, said: dict[str, Any]) -> Iterator[str]:
    before, found.phase = found.phase, phase
    following = {"": "registration", **dict(zip(_PHASES, (*_PHASES[1:], "ended"), strict=True))}
    ended = phase == "ended" and said["void"] and before in _PHASES
    again = before == "ended" and phase in ("publishing", "closed")
    if not (following.get(before) == phase or ended or again):
        yield f"went from {before or 'nothing'} to {phase}"
    if again and not found.settled:
        yield f"is {phase} before it was settled"
    if phase == "publishing":
        if said["cycle"] != found.cycle + (before == "ended"):
            yield f"went from cycle {found.cycle} to {said['cycle']}"
        found.cycle = said["cycle"]
        found.settled = False
        for done in (found.selected, found.committed, found.opened, found.disputed, found.rewarded):
            done.clear()
    if phase == "closed" and found.held["bond"]:
        yield f"keeps {found.held['bond']} of its bond"
    found.void = said["void"]


def _selected(found: _Campaign, said: dict[str, Any]) -> Iterator[str]:
    if found.selected:
        yield "is selected for twice"
    found.selected = set(said["workers"])


def _overturned(found: _Campaign, _: dict[str, Any]) -> Iterator[str]:
    found.selected = set()
    yield from ()


def _committed(found: _Campaign, said: dict[str, Any]) -> Iterator[str]:
    worker = said["worker"]
    if worker not in found.selected or worker in found.committed:
        yield f"has a commitment of {worker.hex()[:16]}, who was not selected or had committed"
    found.committed.add(worker)


def _opened(found: _Campaign, said: dict[str, Any]) -> Iterator[str]:
    worker = said["worker"]
    if worker not in found.committed or worker in found.opened:
        yield f"has data of {worker.hex()[:16]}, who had not committed or had opened"
    found.opened.add(worker)


def _disputed(found: _Campaign, said: dict[str, Any]) -> Iterator[str]:
    if said["worker"] not in found.opened:
        yield f"has a dispute with {said['worker'].hex()[:16]}, who had opened nothing"
    found.disputed.add((said["worker"], said["task"]))


def _answered(found: _Campaign, said: dict[str, Any]) -> Iterator[str]:
    if (said["worker"], said["task"]) not in found.disputed:
        yield f"has an answer of {said['worker'].hex()[:16]} that nobody asked for"
    found.disputed.discard((said["worker"], said["task"]))


def _rewarded(found: _Campaign, said: dict[str, Any]) -> Iterator[str]:
    worker, task = said["worker"], said["task"]
    who = f"{worker.hex()[:16]} for task {task}"
    if found.void:
        yield f"is void and paid {who}"
    if worker not in found.opened & found.committed & found.selected:
        yield f"paid {who}, who was not selected, or did not commit and open"
    if (worker, task) in found.disputed:
        yield f"paid {who}, which is in dispute"
    if (worker, task) in found.rewarded:
        yield f"paid {who} twice"
    found.rewarded.add((worker, task))


def _settled(found: _Campaign, _: dict[str, Any]) -> Iterator[str]:
    if found.settled:
        yield "is settled twice"
    found.settled = True
    if kept := found.held[_OF_CYCLE]:
        yield f"is settled, and holds {kept} of {_OF_CYCLE}"


_JUDGES: dict[str, Callable[[_Campaign, dict[str, Any]], Iterator[str]]] = {
    "selected": _selected,
    "overturned": _overturned,
    "committed": _committed,
    "submitted": _opened,
    "disputed": _disputed,
    "answered": _answered,
    "rewarded": _rewarded,
    "settled": _settled,
}
