"""Sensing campaigns in seven phases (spec/campaign.md; Tao and Hafid, *ChainSensing*, IEEE IoT J. 2022).

    deploy ─▶ registration ─▶ publishing ─▶ bidding ─▶ selection ─▶ collection ─▶ submission ─▶ done ─▶ closed
              register_oracle  publish_task  bid_path   return_selection submit_hash  submit_data  distribute_rewards
                                    ▲                   challenge                     dispute        │
                                    │                   replace_oracle                answer         │
                                    └──────────────────── next_cycle ────────────────────────────────┘

Phases begin and end by the clock. When one has ended its organizer moves on (`advance`); when it does not do so in time,
anybody may, and is paid out of the organizer's bond. A cycle that has no result, or whose next phase would begin with less
than half of its time left, is void: then everybody gets back what was locked.

Money is locked in purses, one for each task, bid, oracle and campaign, so that calls do not conflict. A call that is refused
names the reason; docstrings list them in the order in which they are checked. All calls that name a campaign are refused
``unknown_campaign`` first, and then, but for `advance`, ``wrong_phase`` and, in phases that have a time, ``phase_over``.
"""

from msgspec.structs import replace

from chain.contract import Context, call
from chain.contracts.campaign_board import (
    accepted_of,
    begin_by_ms,
    bond_purse,
    campaign_key,
    challenge_until_ms,
    check_terms,
    draw_key,
    during,
    ends_ms,
    find_campaign,
    listed_key,
    settlement_of,
    terms_key,
)
from chain.contracts.campaign_data import answer, dispute, submit_data, submit_hash
from chain.contracts.campaign_market import bid_path, publish_task
from chain.contracts.campaign_oracles import (
    challenge,
    register_oracle,
    replace_oracle,
    return_selection,
    withdraw_oracle,
)
from chain.contracts.campaign_queries import (
    bids,
    campaign,
    campaigns,
    draw,
    oracles,
    progress,
    purses,
    returned,
    tasks,
)
from chain.contracts.campaign_records import (
    CLOSED,
    DONE,
    PHASES,
    PUBLISHING,
    REGISTRATION,
    SELECTION,
    TIMED,
    Campaign,
    CampaignId,
    Draw,
    Terms,
)
from chain.contracts.campaign_settlement import distribute_rewards

__all__ = ["advance", "answer", "bid_path", "bids", "campaign", "campaigns", "challenge", "close", "deploy", "dispute"]
__all__ += ["distribute_rewards", "draw", "next_cycle", "oracles", "progress", "publish_task", "purses"]
__all__ += ["register_oracle", "replace_oracle", "return_selection", "returned", "submit_data", "submit_hash", "tasks"]
__all__ += ["withdraw_oracle"]


@call
def deploy(ctx: Context, terms: Terms) -> CampaignId:
    """Begin a campaign and be its organizer; by anybody. Locks the bond. Returns the campaign's id, the transaction's.

    Refused: ``bad_terms``; ``insufficient_balance``.
    """
    check_terms(ctx, terms)
    ctx.lock(bond_purse(ctx.tx), terms.bond)
    start_ms = ctx.time_ms + terms.durations_ms[0]
    found = Campaign(ctx.tx, ctx.sender, ctx.time_ms, 0, REGISTRATION, start_ms, False)
    ctx.put(campaign_key(ctx.tx), found)
    ctx.put(terms_key(ctx.tx), terms)
    ctx.put(listed_key(ctx.time_ms, ctx.tx), True)
    _tell(ctx, found)
    return ctx.tx


@call
def advance(ctx: Context, campaign: CampaignId) -> str:
    """End the phase and begin the next, when its time is over; by the organizer, and by anybody once it had its grace.

    From selection it goes on only with a result that nobody can challenge any more. Returns the new phase.

    Refused: ``unknown_campaign``; ``wrong_phase`` (done or closed); ``phase_not_over``; ``challenge_open``;
    ``not_organizer`` (in its time of grace, which begins when nobody can challenge any more).
    """
    found, terms = find_campaign(ctx, campaign)
    if found.phase not in TIMED:
        ctx.refuse("wrong_phase", f"it is {found.phase}")
    place = TIMED.index(found.phase)
    over_ms = ends_ms(found, terms)[place]
    if ctx.time_ms <= over_ms:
        ctx.refuse("phase_not_over", f"{found.phase} ends at {over_ms}")
    void = False
    if found.phase == SELECTION:
        accepted = accepted_of(ctx, found)
        void = accepted is None
        if accepted is not None:
            over_ms = max(over_ms, challenge_until_ms(found, terms, accepted))
        if ctx.time_ms <= over_ms:
            ctx.refuse("challenge_open", f"until {over_ms}")
    if ctx.sender != found.organizer and ctx.time_ms <= over_ms + terms.grace_ms:
        ctx.refuse("not_organizer", f"anybody may after {over_ms + terms.grace_ms}")
    # Who must act in a phase or lose its deposit must find most of it there. After the last one everybody is paid, late
    # as it is: the data are there.
    void = void or (found.phase != TIMED[-1] and ctx.time_ms > begin_by_ms(found, terms, place + 1))
    after = replace(found, phase=DONE if void else PHASES[place + 1], void=void)
    ctx.put(campaign_key(campaign), after)
    if after.phase == SELECTION:
        ctx.put(draw_key(after), Draw(ctx.time_ms, ()))
    if ctx.sender != found.organizer:
        ctx.release(bond_purse(campaign), ctx.sender, min(terms.bounty, ctx.locked(bond_purse(campaign))))
    _tell(ctx, after)
    return after.phase


@call
def next_cycle(ctx: Context, campaign: CampaignId) -> int:
    """Begin to publish anew, with the oracles that are registered; by the organizer. Returns the cycle's number.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``not_organizer``; ``not_settled``.
    """
    found = _settled(ctx, campaign)
    after = replace(found, cycle=found.cycle + 1, phase=PUBLISHING, start_ms=ctx.time_ms, void=False)
    ctx.put(campaign_key(campaign), after)
    _tell(ctx, after)
    return after.cycle


@call
def close(ctx: Context, campaign: CampaignId) -> None:
    """End the campaign for good; by the organizer, who gets back what is left of its bond.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``not_organizer``; ``not_settled``.
    """
    found = _settled(ctx, campaign)
    after = replace(found, phase=CLOSED)
    ctx.put(campaign_key(campaign), after)
    ctx.release(bond_purse(campaign), found.organizer, ctx.locked(bond_purse(campaign)))
    _tell(ctx, after)


def _settled(ctx: Context, campaign: CampaignId) -> Campaign:
    """The sender's campaign, whose cycle is done and paid out."""
    found, _ = during(ctx, campaign, DONE)
    if found.organizer != ctx.sender:
        ctx.refuse("not_organizer")
    if not settlement_of(ctx, found).over:
        ctx.refuse("not_settled")
    return found


def _tell(ctx: Context, found: Campaign) -> None:
    name = {DONE: "ended", CLOSED: "closed"}.get(found.phase, f"{found.phase}_started")
    ctx.emit(name, campaign=found.id, cycle=found.cycle, void=found.void)
