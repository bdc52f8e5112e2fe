"""Collection and submission: commit to data, then open the commitment; and what to do when data do not reach their requester.

Data travel to requesters by themselves, sealed; here go digests alone. What is committed to is the digest of the *sealed*
data, so a worker that is said to have sent nothing can hand them over here, where everybody sees that they are those that
it committed to, and the requester alone can read them.
"""

from msgspec.structs import replace

from chain.contract import Context, call
from chain.contracts.campaign_board import (
    bid_key,
    chosen_key,
    data_until_ms,
    dispute_key,
    dispute_until_ms,
    during,
    task_key,
)
from chain.contracts.campaign_commitments import commit_data, digest_sealed
from chain.contracts.campaign_records import (
    COLLECTION,
    SUBMISSION,
    Bid,
    Campaign,
    CampaignId,
    Chosen,
    Number,
    Salt,
    Sealed,
    Task,
)
from chain.values import AccountField, Hash

Digests = tuple[Hash, ...]
"""Of the sealed data of each task of a path, in its order."""


@call
def submit_hash(ctx: Context, campaign: CampaignId, commitment: Hash) -> None:
    """Commit to what was sensed (`chain.contracts.campaign_commitments.commit_data`); by a selected worker.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``phase_over``; ``not_selected``; ``hash_twice``.
    """
    found, _ = during(ctx, campaign, COLLECTION)
    chosen = _chosen(ctx, found)
    if chosen.commitment is not None:
        ctx.refuse("hash_twice")
    ctx.put(chosen_key(found, ctx.sender), replace(chosen, commitment=commitment))
    ctx.emit("committed", campaign=campaign, cycle=found.cycle, worker=ctx.sender)


@call
def submit_data(ctx: Context, campaign: CampaignId, digests: Digests, salt: Salt) -> None:
    """Open the commitment; by the worker that made it. Who does not loses its deposit and is not paid.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``phase_over``; ``data_late`` (it is the time of review); ``not_selected``;
    ``no_hash``; ``data_twice``; ``wrong_number`` (of digests); ``data_mismatch``.
    """
    found, terms = during(ctx, campaign, SUBMISSION)
    if ctx.time_ms > data_until_ms(found, terms):
        ctx.refuse("data_late", f"since {data_until_ms(found, terms)}")
    chosen = _chosen(ctx, found)
    if chosen.commitment is None:
        ctx.refuse("no_hash")
    if chosen.opened:
        ctx.refuse("data_twice")
    bid = _bid(ctx, found)
    if len(digests) != len(bid.path):
        ctx.refuse("wrong_number", f"{len(digests)} digests of {len(bid.path)} tasks")
    if commit_data(campaign, found.cycle, ctx.sender, digests, salt, ctx.sha256) != chosen.commitment:
        ctx.refuse("data_mismatch")
    ctx.put(chosen_key(found, ctx.sender), replace(chosen, opened=True))
    ctx.emit("submitted", campaign=campaign, cycle=found.cycle, worker=ctx.sender, digests=digests)


@call
def dispute(ctx: Context, campaign: CampaignId, worker: AccountField, number: Number) -> None:
    """Say that the data of a task did not come; by its requester, in the first half of the review and before it.

    A worker that does not answer loses its deposit, and its reward for the task.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``phase_over``; ``dispute_late``; ``unknown_task``; ``not_requester``;
    ``not_submitted`` (then it is not paid anyway); ``not_winner``; ``dispute_twice``.
    """
    found, terms = during(ctx, campaign, SUBMISSION)
    if ctx.time_ms > dispute_until_ms(found, terms):
        ctx.refuse("dispute_late", f"since {dispute_until_ms(found, terms)}")
    task = ctx.get(task_key(found, number), Task)
    if task is None:
        ctx.refuse("unknown_task", str(number))
    if task.requester != ctx.sender:
        ctx.refuse("not_requester")
    chosen = ctx.get(chosen_key(found, worker), Chosen)
    if chosen is None or not chosen.opened:
        ctx.refuse("not_submitted")
    if number not in chosen.wins:
        ctx.refuse("not_winner")
    key = dispute_key(found, worker, number)
    if ctx.get(key, bool) is not None:
        ctx.refuse("dispute_twice")
    ctx.put(key, True)
    ctx.emit("disputed", campaign=campaign, cycle=found.cycle, worker=worker, task=number)


@call
def answer(ctx: Context, campaign: CampaignId, number: Number, digests: Digests, salt: Salt, sealed: Sealed) -> None:
    """Hand the data of a disputed task over where everybody sees it; by the worker, until submission ends.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``phase_over``; ``no_dispute``; ``data_mismatch`` (these are not the digests
    that were committed to, or not the data); ``not_on_path``.
    """
    found, _ = during(ctx, campaign, SUBMISSION)
    key = dispute_key(found, ctx.sender, number)
    if not ctx.get(key, bool):
        ctx.refuse("no_dispute")
    chosen, bid = _chosen(ctx, found), _bid(ctx, found)
    if commit_data(campaign, found.cycle, ctx.sender, digests, salt, ctx.sha256) != chosen.commitment:
        ctx.refuse("data_mismatch", "the digests")
    place = next((place for place, stop in enumerate(bid.path) if stop.task == number), None)
    if place is None:
        ctx.refuse("not_on_path", str(number))
    if digest_sealed(sealed, ctx.sha256) != digests[place]:
        ctx.refuse("data_mismatch", "the data")
    ctx.put(key, False)
    ctx.emit("answered", campaign=campaign, cycle=found.cycle, worker=ctx.sender, task=number, sealed=sealed)


def _chosen(ctx: Context, found: Campaign) -> Chosen:
    """The sender's place among the selected. Refuses ``not_selected``."""
    chosen = ctx.get(chosen_key(found, ctx.sender), Chosen)
    if chosen is None:
        ctx.refuse("not_selected")
    return chosen


def _bid(ctx: Context, found: Campaign) -> Bid:
    """Of a selected worker."""
    bid = ctx.get(bid_key(found, ctx.sender), Bid)
    if bid is None:
        raise LookupError("a selected worker without a bid")
    return bid
