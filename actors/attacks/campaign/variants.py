"""The campaign contract without one of its checks: what a network would run that had never thought of an attack.

A variant is the contract with a call replaced; it lives here, so that the contract itself has no switch for it.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from msgspec.structs import replace

from actors.trial import variant_of
from chain.contract import Context, call
from chain.contracts import campaign as contract
from chain.contracts import campaign_data
from chain.contracts.campaign_board import (
    chosen_key,
    chosen_of,
    data_until_ms,
    dispute_key,
    during,
    ends_ms,
    find_campaign,
)
from chain.contracts.campaign_commitments import commit_data
from chain.contracts.campaign_data import Digests
from chain.contracts.campaign_records import DONE, SUBMISSION, TIMED, CampaignId, Chosen, Number, Salt, Sealed
from chain.contracts.campaign_settlement import Count
from chain.errors import Refused


def variant(**replaced: Callable[..., Any]) -> ModuleType:
    """The campaign contract with some functions replaced, or added, by name."""
    return variant_of(contract, **replaced)


def _open(ctx: Context, campaign: CampaignId, digests: Digests) -> None:
    """Take what the sender opened for what it committed to."""
    found, _ = find_campaign(ctx, campaign)
    key = chosen_key(found, ctx.sender)
    chosen = ctx.get(key, Chosen)
    if chosen is None:
        ctx.refuse("not_selected")
    ctx.put(key, replace(chosen, opened=True))
    ctx.emit("submitted", campaign=campaign, cycle=found.cycle, worker=ctx.sender, digests=digests)


@call
def submit_data_of_anybody(ctx: Context, campaign: CampaignId, digests: Digests, salt: Salt) -> None:
    """`submit_data`, where a commitment may name any selected worker: as though it named none."""
    try:
        campaign_data.submit_data(ctx, campaign, digests, salt)
    except Refused as refused:
        if refused.reason != "data_mismatch":
            raise
        found, _ = find_campaign(ctx, campaign)
        selected = chosen_of(ctx, found)
        committed = selected[ctx.sender].commitment
        if all(commit_data(campaign, found.cycle, worker, digests, salt) != committed for worker in selected):
            raise
        _open(ctx, campaign, digests)


@call
def submit_any_data(ctx: Context, campaign: CampaignId, digests: Digests, salt: Salt) -> None:
    """`submit_data`, where what is opened is not compared with the commitment."""
    try:
        campaign_data.submit_data(ctx, campaign, digests, salt)
    except Refused as refused:
        if refused.reason != "data_mismatch":
            raise
        _open(ctx, campaign, digests)


@call
def answer_with_any_data(
    ctx: Context, campaign: CampaignId, number: Number, digests: Digests, salt: Salt, sealed: Sealed
) -> None:
    """`answer`, where what is handed over is not compared with the commitment."""
    try:
        campaign_data.answer(ctx, campaign, number, digests, salt, sealed)
    except Refused as refused:
        if refused.reason != "data_mismatch":
            raise
        found, _ = find_campaign(ctx, campaign)
        ctx.put(dispute_key(found, ctx.sender, number), False)
        ctx.emit("answered", campaign=campaign, cycle=found.cycle, worker=ctx.sender, task=number, sealed=sealed)


@call
def answer_in_vain(
    ctx: Context, campaign: CampaignId, number: Number, digests: Digests, salt: Salt, sealed: Sealed
) -> None:
    """`answer`, where a requester is believed."""
    del number, digests, salt, sealed
    during(ctx, campaign, SUBMISSION)
    ctx.refuse("no_dispute")


@call
def submit_data_any_time(ctx: Context, campaign: CampaignId, digests: Digests, salt: Salt) -> None:
    """`submit_data`, to the end of the phase: also while data are reviewed, and after."""
    found, terms = during(ctx, campaign, SUBMISSION)
    it_is = ctx.time_ms
    ctx.time_ms = min(it_is, data_until_ms(found, terms))
    campaign_data.submit_data(ctx, campaign, digests, salt)
    ctx.time_ms = it_is


@call
def never_replace_oracle(ctx: Context, campaign: CampaignId) -> None:
    """`replace_oracle`, where who was drawn stays."""
    find_campaign(ctx, campaign)
    ctx.refuse("oracle_in_time", "for ever")


@call
def advance_any_time(ctx: Context, campaign: CampaignId) -> str:
    """`advance`, where a phase ends when its organizer says so."""
    found, terms = find_campaign(ctx, campaign)
    it_is = ctx.time_ms
    if found.phase in TIMED and ctx.sender == found.organizer:
        ctx.time_ms = max(it_is, ends_ms(found, terms)[TIMED.index(found.phase)] + 1)
    phase = contract.advance(ctx, campaign)
    ctx.time_ms = it_is
    return phase


@call
def advance_by_organizer(ctx: Context, campaign: CampaignId) -> str:
    """`advance`, by the organizer alone, as in the paper."""
    found, _ = find_campaign(ctx, campaign)
    if ctx.sender != found.organizer:
        ctx.refuse("not_organizer")
    return contract.advance(ctx, campaign)


@call
def distribute_by_organizer(ctx: Context, campaign: CampaignId, count: Count) -> bool:
    """`distribute_rewards`, by the organizer alone."""
    found, _ = during(ctx, campaign, DONE)
    if ctx.sender != found.organizer:
        ctx.refuse("not_organizer")
    return contract.distribute_rewards(ctx, campaign, count)
