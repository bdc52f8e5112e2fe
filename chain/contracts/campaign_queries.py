"""What anybody may ask the campaign contract. All answers are bounded, for what they list is."""

from typing import Annotated

import msgspec
from msgspec.structs import replace

from chain.contract import Context, query, state_key
from chain.contracts.campaign_board import (
    accepted_of,
    bid_key,
    bids_of,
    bond_purse,
    chosen_of,
    draw_key,
    ends_ms,
    find_campaign,
    listed_key,
    open_disputes,
    oracle_key,
    oracles_of,
    returned_of,
    settlement_of,
    task_key,
    tasks_of,
)
from chain.contracts.campaign_records import Bid, Campaign, CampaignId, Cycle, Draw, Oracle, Progress, Standing, Task
from chain.state import WorldState
from chain.values import AccountField, Natural, TxId, Value

MAX_PAGE = 50
"""Campaigns in one answer: each may have a result as large as a call's arguments, and an answer is bounded."""
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)]


class Purse(Value, frozen=True):
    """What is locked for one thing."""

    kind: str
    """``task``, ``bid``, ``oracle`` or ``bond``."""
    name: bytes
    """The task's number in two bytes, or the account of the worker, the oracle or the organizer."""
    amount: Natural


class Drawn(Value, frozen=True):
    """What a draw follows from, but for its seed."""

    draw: Draw
    recorded_height: Natural
    """Height of the block that had oracles drawn: `Terms.draw_delay` blocks later is the seed's."""


@query
def campaigns(ctx: Context, limit: Limit, after: CampaignId | None) -> tuple[Standing, ...]:
    """Campaigns in the order in which they were deployed, those behind `after`. Refused: ``unknown_campaign`` (`after`)."""
    start = b"" if after is None else listed_key(find_campaign(ctx, after)[0].opened_ms, after)
    ids = []
    for key, _ in ctx.scan(b"listed/", bool, start=start):
        if key != start:
            ids.append(TxId(key[-32:]))
        if len(ids) == limit:
            break
    return tuple(campaign(ctx, id_) for id_ in ids)


@query
def campaign(ctx: Context, campaign: CampaignId) -> Standing:
    """One campaign. Refused: ``unknown_campaign``."""
    found, terms = find_campaign(ctx, campaign)
    return Standing(found, terms, ends_ms(found, terms), accepted_of(ctx, found), settlement_of(ctx, found).over)


@query
def tasks(ctx: Context, campaign: CampaignId, cycle: Cycle) -> tuple[Task, ...]:
    """Tasks of a cycle by number; of one that has not come, none. Refused: ``unknown_campaign``."""
    return tuple(tasks_of(ctx, _at(ctx, campaign, cycle)))


@query
def bids(ctx: Context, campaign: CampaignId, cycle: Cycle) -> tuple[Bid, ...]:
    """Bids of a cycle by worker. Refused: ``unknown_campaign``."""
    return tuple(bids_of(ctx, _at(ctx, campaign, cycle)))


@query
def oracles(ctx: Context, campaign: CampaignId) -> tuple[Oracle, ...]:
    """Registered oracles by account. Refused: ``unknown_campaign``."""
    find_campaign(ctx, campaign)
    return tuple(oracles_of(ctx, campaign))


@query
def draw(ctx: Context, campaign: CampaignId) -> Drawn | None:
    """The draw of this cycle; None before its selection began. Refused: ``unknown_campaign``.

    `chain.contracts.campaign_commitments.draw_oracles` tells who is drawn, given the id of the block that seeds it; when
    they are fewer than have to agree, nobody is.
    """
    found, _ = find_campaign(ctx, campaign)
    made, version = ctx.get(draw_key(found), Draw), ctx.version(draw_key(found))
    return None if made is None or version is None else Drawn(made, version.height)


@query
def returned(ctx: Context, campaign: CampaignId) -> tuple[AccountField, ...]:
    """Oracles that have returned something since the last draw, sorted. Refused: ``unknown_campaign``."""
    return tuple(returned_of(ctx, find_campaign(ctx, campaign)[0]))


@query
def progress(ctx: Context, campaign: CampaignId, cycle: Cycle) -> tuple[Progress, ...]:
    """Selected workers of a cycle, by account. Refused: ``unknown_campaign``."""
    found = _at(ctx, campaign, cycle)
    return tuple(
        Progress(worker, chosen, tuple(open_disputes(ctx, found, worker)))
        for worker, chosen in chosen_of(ctx, found).items()
    )


@query
def purses(ctx: Context, campaign: CampaignId) -> tuple[Purse, ...]:
    """All that the campaign holds now: bond, stakes, rewards and deposits of this cycle. Refused: ``unknown_campaign``."""
    found, _ = find_campaign(ctx, campaign)
    held = (
        ("bond", found.organizer, bond_purse(campaign)),
        *(("oracle", oracle.account, oracle_key(campaign, oracle.account)) for oracle in oracles_of(ctx, campaign)),
        *(("task", each.number.to_bytes(2, "big"), task_key(found, each.number)) for each in tasks_of(ctx, found)),
        *(("bid", bid.worker, bid_key(found, bid.worker)) for bid in bids_of(ctx, found)),
    )
    return tuple(Purse(kind, name, amount) for kind, name, purse in held if (amount := ctx.locked(purse)))


def count_campaigns(state: WorldState) -> int:
    """How many were deployed; for people, since it costs a scan."""
    return sum(1 for _ in state.scan(state_key("campaign", b"listed/")))


def _at(ctx: Context, campaign: CampaignId, cycle: int) -> Campaign:
    """The campaign as it would be found in another cycle. Refuses ``unknown_campaign``."""
    return replace(find_campaign(ctx, campaign)[0], cycle=cycle)
