"""Where the money of campaigns went, from final blocks as they come (spec/campaign.md).

The ledger says in each receipt who locked what and who was given what, and the campaign contract says after it what for:
`chain.contracts.campaign_settlement` and its neighbours release first, then emit. What is released without a word of
theirs goes back to whose it was.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.campaign_control import FlowView
from actors.ledger import FoundBlock
from actors.views import actor_id
from chain.codec import transaction_id
from chain.contract import Registry, event_fields
from chain.values import Account, Header, Receipt, Transaction, TxId

MAX_CAMPAIGNS = 64
"""Remembered, those in which nothing happened for longest first to go."""
MAX_FLOWS = 512
"""Remembered of each."""

LOCKS = {"deploy": "bond", "publish_task": "task", "bid_path": "bid", "register_oracle": "oracle"}
"""Method to the purse that it fills."""
RELEASES = {
    "advance": ("bond", "bounty"),
    "close": ("bond", "returned"),
    "withdraw_oracle": ("oracle", "returned"),
    "return_selection": ("oracle", "returned"),
    "replace_oracle": ("oracle", "returned"),
    "challenge": ("oracle", "returned"),
    "distribute_rewards": ("bid", "returned"),
}
"""Method to (purse, kind) of what it releases without a word."""
TOLD = {"rewarded": "task", "unspent": "task", "forfeited": "bid", "penalised": "oracle"}
"""Event to the purse out of which came what was released before it."""


@dataclass(slots=True)
class _Known:
    """What is known of one campaign."""

    organizer: Account | None = None
    cycle: int = 0
    flows: deque[FlowView] = field(default_factory=lambda: deque(maxlen=MAX_FLOWS))
    totals: Counter[tuple[str, str]] = field(default_factory=Counter)
    requesters: dict[int, Account] = field(default_factory=dict)
    """Of the tasks of this cycle."""

    def follow(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take in what an event of the contract says, but for money."""
        if fields.get("cycle", self.cycle) != self.cycle:
            self.cycle = fields["cycle"]
            self.requesters.clear()
        if event == "published":
            self.requesters[fields["task"]] = fields["requester"]

    def owner(self, event: str, fields: Mapping[str, Any]) -> Account | None:
        """Whose money it was that an event tells of."""
        if TOLD[event] == "task":
            return self.requesters.get(fields["task"])
        owner: Account = fields["oracle" if event == "penalised" else "worker"]
        return owner

    def note(
        self,
        where: tuple[int, int],
        flow: tuple[str, str],
        task: int | None,
        source: Account | None,
        target: Account | None,
        amount: int,
    ) -> None:
        """Write down a flow (purse, kind) in a block (height, time)."""
        purse, kind = flow
        self.flows.append(
            FlowView(
                height=where[0],
                time_ms=where[1],
                cycle=self.cycle,
                purse=purse,
                kind=kind,
                task=task,
                source=None if source is None else actor_id(source),
                target=None if target is None else actor_id(target),
                amount=amount,
            )
        )
        self.totals[flow] += amount


class CampaignBook:
    """Flows since this process began."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: OrderedDict[TxId, _Known] = OrderedDict()
        self._final_height = 0

    def finalised(self, found: FoundBlock) -> None:
        """A block became final. Replicas that are later than the first one may say so again."""
        header = found.block.header
        if header.height <= self._final_height:
            return
        self._final_height = header.height
        for transaction, receipt in zip(found.block.transactions, found.receipts, strict=True):
            if transaction.contract == "campaign" and receipt.ok:
                self._take(header, transaction, receipt)

    def jumped(self, final_height: int) -> None:
        """Blocks up to this height were never seen."""
        self._final_height = max(self._final_height, final_height)

    def flows(self, campaign: TxId) -> Sequence[FlowView]:
        """The last ones, latest first, at most MAX_FLOWS."""
        known = self._known.get(campaign)
        return [] if known is None else list(reversed(known.flows))

    def totals(self, campaign: TxId) -> Mapping[tuple[str, str], int]:
        """(purse, kind) to micro-credits, of all flows there were."""
        known = self._known.get(campaign)
        return {} if known is None else dict(known.totals)

    def _take(self, header: Header, transaction: Transaction, receipt: Receipt) -> None:
        method = transaction.method
        named = self._registry.method("campaign", method, is_query=False).decode_args(transaction.args)
        known = self._of(transaction_id(transaction) if method == "deploy" else TxId(named[0]))
        if method == "deploy":
            known.organizer = transaction.sender
        where = header.height, header.time_ms
        waiting: list[tuple[Account, int]] = []
        """What was released, and not yet explained."""

        def give_back() -> None:
            for to, amount in waiting:
                owner = known.organizer if method in ("advance", "close") else to
                known.note(where, RELEASES[method], None, owner, to, amount)
            waiting.clear()

        for event in receipt.events:
            fields: dict[str, Any] = event_fields(event)
            if (event.contract, event.name) == ("accounts", "released"):
                waiting.append((fields["account"], fields["amount"]))
            elif (event.contract, event.name) == ("accounts", "locked"):
                task = named[1] if method == "publish_task" else None
                known.note(where, (LOCKS[method], "locked"), task, fields["account"], None, fields["amount"])
            elif event.contract == "campaign":
                known.follow(event.name, fields)
                if event.name in TOLD:
                    explained = _last(waiting, fields["amount"])
                    give_back()
                    for to, amount in explained:
                        flow, owner = (TOLD[event.name], event.name), known.owner(event.name, fields)
                        known.note(where, flow, fields.get("task"), owner, to, amount)
        give_back()

    def _of(self, campaign: TxId) -> _Known:
        known = self._known.setdefault(campaign, _Known())
        self._known.move_to_end(campaign)
        if len(self._known) > MAX_CAMPAIGNS:
            self._known.popitem(last=False)
        return known


def _last(waiting: list[tuple[Account, int]], amount: int) -> Sequence[tuple[Account, int]]:
    """Take the last ones from the list that come to `amount`: an event tells of what was released just before it."""
    taken = []
    while waiting and amount > 0:
        taken.append(waiting.pop())
        amount -= taken[-1][1]
    return taken[::-1]
