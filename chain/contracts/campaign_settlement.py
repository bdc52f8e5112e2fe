"""Done: rewards to workers, what was not spent to requesters, deposits back, or to those who were let down.

Everything goes where it must whoever calls, in the same order, a bounded number of tasks and bids at a time.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from chain.contract import Context, call
from chain.contracts.campaign_board import (
    bid_key,
    chosen_of,
    cycle_key,
    dispute_key,
    during,
    open_disputes,
    settlement_key,
    settlement_of,
    task_key,
    tasks_of,
)
from chain.contracts.campaign_records import DONE, Bid, Campaign, CampaignId, Chosen, Settlement, Task
from chain.values import Account

MAX_SETTLED = 64
Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_SETTLED)]


@call
def distribute_rewards(ctx: Context, campaign: CampaignId, count: Count) -> bool:
    """Pay out the next `count` tasks and bids of a cycle that is done; by anybody. Returns whether all are paid out now.

    A task pays its reward to each winner whose data fitted its commitment and are not in dispute, and the rest back. A bid
    gives its deposit back, unless its path was selected and its data did not come: then it goes to the requesters of the
    path's tasks in equal parts. In a cycle that is void everything goes back.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``already_settled``.
    """
    found, _ = during(ctx, campaign, DONE)
    before = settlement_of(ctx, found)
    if before.over:
        ctx.refuse("already_settled")
    tasks = tasks_of(ctx, found)
    selected = {} if found.void else chosen_of(ctx, found)
    left, next_task, after = count, before.tasks, before.after
    for task in tasks:
        if task.number < next_task:
            continue
        if left == 0:
            break
        _settle_task(ctx, found, task, selected)
        left, next_task = left - 1, task.number + 1
    else:
        requesters = {task.number: task.requester for task in tasks}
        prefix = b"bid/" + cycle_key(found)
        for key, bid in ctx.scan(prefix, Bid, start=prefix + after):
            if key == prefix + after:
                continue
            if left == 0:
                break
            chosen = selected.get(bid.worker)
            # Disputes are looked up where they count, for all of them together may cost more than a call can.
            failed = chosen is not None and (
                not chosen.opened or next(open_disputes(ctx, found, bid.worker), None) is not None
            )
            _settle_bid(ctx, found, bid, requesters, failed=failed)
            left, after = left - 1, bid.worker
        else:
            ctx.put(settlement_key(found), Settlement(next_task, after, True))
            ctx.emit("settled", campaign=campaign, cycle=found.cycle)
            return True
    ctx.put(settlement_key(found), Settlement(next_task, after, False))
    return False


def _settle_task(ctx: Context, found: Campaign, task: Task, selected: Mapping[Account, Chosen]) -> None:
    purse = task_key(found, task.number)
    for worker, chosen in selected.items():
        won = chosen.opened and task.number in chosen.wins
        # Results that nobody checked may name more winners than there are rewards.
        if won and ctx.locked(purse) >= task.reward and not ctx.get(dispute_key(found, worker, task.number), bool):
            paid = ctx.release(purse, worker, task.reward)
            ctx.emit("rewarded", campaign=found.id, cycle=found.cycle, task=task.number, worker=worker, amount=paid)
    if unspent := ctx.locked(purse):
        paid = ctx.release(purse, task.requester, unspent)
        ctx.emit("unspent", campaign=found.id, cycle=found.cycle, task=task.number, amount=paid)


def _settle_bid(ctx: Context, found: Campaign, bid: Bid, requesters: Mapping[int, Account], *, failed: bool) -> None:
    purse = bid_key(found, bid.worker)
    deposit = ctx.locked(purse)
    if not deposit:
        return
    if not failed:
        ctx.release(purse, bid.worker, deposit)
        return
    share, rest = divmod(deposit, len(bid.path))
    paid = 0
    for place, stop in enumerate(bid.path):
        paid += ctx.release(purse, requesters[stop.task], share + (rest if place == 0 else 0))
    ctx.emit("forfeited", campaign=found.id, cycle=found.cycle, worker=bid.worker, amount=paid)
