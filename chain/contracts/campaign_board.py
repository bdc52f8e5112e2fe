"""Where the campaign contract keeps its records, and the times that follow from them."""

from collections.abc import Iterator
from itertools import accumulate

from chain.contract import Context
from chain.contracts.campaign_records import (
    CHECKS,
    COLLECTION,
    SELECTION,
    SUBMISSION,
    TIMED,
    Accepted,
    Bid,
    Campaign,
    CampaignId,
    Chosen,
    Draw,
    Oracle,
    Settlement,
    Task,
    Terms,
)
from chain.values import Account


def check_terms(ctx: Context, terms: Terms) -> None:
    """Refuses ``bad_terms`` with the name of the field."""
    if name := wrong_term(terms):
        ctx.refuse("bad_terms", name)


def wrong_term(terms: Terms) -> str:
    """The first field that does not fit the others, or nothing.

    Whoever steps in as soon as it may finds the next phase worth beginning (`begin_by_ms`), challenges or not.
    """
    halves = [_acting_ms(terms, place) // 2 for place in range(1, len(TIMED))]
    checks = (
        ("review_ms", terms.review_ms < terms.durations_ms[TIMED.index(SUBMISSION)]),
        ("grace_ms", terms.grace_ms < min(halves)),
        ("challenge_ms", terms.challenge_ms + terms.grace_ms < halves[TIMED.index(COLLECTION) - 1]),
        ("penalty", terms.penalty <= terms.stake),
        ("bounty", terms.bounty <= terms.bond),
        ("agreeing", terms.agreeing <= terms.drawn),
        ("check", terms.check in CHECKS),
        ("oracles", list(terms.oracles) == sorted(set(terms.oracles))),
    )
    return next((name for name, good in checks if not good), "")


# Keys. Everything of one cycle lies together, tasks by number and what workers do by their accounts. ----------------


def campaign_key(campaign: CampaignId) -> bytes:
    return b"campaign/" + campaign


def terms_key(campaign: CampaignId) -> bytes:
    return b"terms/" + campaign


def listed_key(opened_ms: int, campaign: CampaignId) -> bytes:
    """Index of campaigns in the order in which they were deployed."""
    return b"listed/" + opened_ms.to_bytes(8, "big") + campaign


def cycle_key(found: Campaign) -> bytes:
    """What all keys of one cycle go on with."""
    return found.id + found.cycle.to_bytes(4, "big")


def oracle_prefix(campaign: CampaignId) -> bytes:
    return b"oracle/" + campaign


def oracle_key(campaign: CampaignId, oracle: Account) -> bytes:
    return oracle_prefix(campaign) + oracle


def oracle_seat_key(campaign: CampaignId, seat: int) -> bytes:
    return b"oracle-seat/" + campaign + seat.to_bytes(2, "big")


def task_key(found: Campaign, number: int) -> bytes:
    return b"task/" + cycle_key(found) + number.to_bytes(2, "big")


def bid_key(found: Campaign, worker: Account) -> bytes:
    return b"bid/" + cycle_key(found) + worker


def seat_key(found: Campaign, seat: int) -> bytes:
    return b"seat/" + cycle_key(found) + seat.to_bytes(2, "big")


def draw_key(found: Campaign) -> bytes:
    return b"draw/" + cycle_key(found)


def returned_prefix(found: Campaign) -> bytes:
    return b"returned/" + cycle_key(found)


def returned_key(found: Campaign, oracle: Account) -> bytes:
    """The digest of what a drawn oracle returned."""
    return returned_prefix(found) + oracle


def accepted_key(found: Campaign) -> bytes:
    return b"accepted/" + cycle_key(found)


def chosen_key(found: Campaign, worker: Account) -> bytes:
    return b"chosen/" + cycle_key(found) + worker


def dispute_prefix(found: Campaign, worker: Account) -> bytes:
    return b"dispute/" + cycle_key(found) + worker


def dispute_key(found: Campaign, worker: Account, number: int) -> bytes:
    """True while it is not answered, False from then on."""
    return dispute_prefix(found, worker) + number.to_bytes(2, "big")


def settlement_key(found: Campaign) -> bytes:
    return b"settlement/" + cycle_key(found)


# Purses, one for each thing that money is locked for. ----------------------------------------------------------------


def bond_purse(campaign: CampaignId) -> bytes:
    return b"bond/" + campaign


# Look-ups. ------------------------------------------------------------------------------------------------------------


def find_campaign(ctx: Context, campaign: CampaignId) -> tuple[Campaign, Terms]:
    """Refuses ``unknown_campaign``."""
    found = ctx.get(campaign_key(campaign), Campaign)
    terms = ctx.get(terms_key(campaign), Terms)
    if found is None or terms is None:
        ctx.refuse("unknown_campaign", campaign.hex())
    return found, terms


def during(ctx: Context, campaign: CampaignId, phase: str) -> tuple[Campaign, Terms]:
    """The campaign, if it is in that phase and the phase's time is not over.

    Refuses ``unknown_campaign``, ``wrong_phase``, ``phase_over``.
    """
    found, terms = find_campaign(ctx, campaign)
    if found.phase != phase:
        ctx.refuse("wrong_phase", f"it is {found.phase}, needed is {phase}")
    if phase in TIMED and ctx.time_ms > (end_ms := ends_ms(found, terms)[TIMED.index(phase)]):
        ctx.refuse("phase_over", f"{phase} ended at {end_ms}")
    return found, terms


def ends_ms(found: Campaign, terms: Terms) -> tuple[int, int, int, int, int, int]:
    """Last milliseconds of the phases in `TIMED`; of registration, which comes once, that before publishing begins."""
    one, two, three, four, five, six = accumulate(terms.durations_ms[1:], initial=found.start_ms - 1)
    return one, two, three, four, five, six


def _acting_ms(terms: Terms, place: int) -> int:
    """How long those who must act in a phase have for it, which is not in the review."""
    return terms.durations_ms[place] - (terms.review_ms if TIMED[place] == SUBMISSION else 0)


def begin_by_ms(found: Campaign, terms: Terms, place: int) -> int:
    """Last millisecond at which a phase but the first may begin: then half of the time to act in it is left."""
    return ends_ms(found, terms)[place - 1] + _acting_ms(terms, place) // 2


def challenge_until_ms(found: Campaign, terms: Terms, accepted: Accepted) -> int:
    """Last millisecond to challenge a result.

    One that came by a challenge after selection ended has no more time than those before it had: else who keeps better
    ones back could show one after the other until nothing is left of collection.
    """
    return min(accepted.accepted_ms, ends_ms(found, terms)[TIMED.index(SELECTION)]) + terms.challenge_ms


def data_until_ms(found: Campaign, terms: Terms) -> int:
    """Last millisecond to submit data."""
    return ends_ms(found, terms)[TIMED.index(SUBMISSION)] - terms.review_ms


def dispute_until_ms(found: Campaign, terms: Terms) -> int:
    """Last millisecond to dispute; the other half of the review is for answers."""
    return data_until_ms(found, terms) + terms.review_ms // 2


def tasks_of(ctx: Context, found: Campaign) -> list[Task]:
    """By number."""
    return [task for _, task in ctx.scan(b"task/" + cycle_key(found), Task)]


def bids_of(ctx: Context, found: Campaign) -> list[Bid]:
    """By worker."""
    return [bid for _, bid in ctx.scan(b"bid/" + cycle_key(found), Bid)]


def chosen_of(ctx: Context, found: Campaign) -> dict[Account, Chosen]:
    """Selected workers, sorted."""
    prefix = b"chosen/" + cycle_key(found)
    return {Account(key[len(prefix) :]): chosen for key, chosen in ctx.scan(prefix, Chosen)}


def oracles_of(ctx: Context, campaign: CampaignId) -> list[Oracle]:
    """Registered ones, by account."""
    return [oracle for _, oracle in ctx.scan(oracle_prefix(campaign), Oracle)]


def open_disputes(ctx: Context, found: Campaign, worker: Account) -> Iterator[int]:
    """Numbers of the tasks for which a worker has not answered."""
    prefix = dispute_prefix(found, worker)
    for key, unanswered in ctx.scan(prefix, bool):
        if unanswered:
            yield int.from_bytes(key[len(prefix) :], "big")


def returned_of(ctx: Context, found: Campaign) -> dict[Account, bytes]:
    """Oracles that have returned something since the last draw, sorted, with the digests of their results."""
    prefix = returned_prefix(found)
    return {Account(key[len(prefix) :]): digest for key, digest in ctx.scan(prefix, bytes)}


def accepted_of(ctx: Context, found: Campaign) -> Accepted | None:
    return ctx.get(accepted_key(found), Accepted)


def draw_of(ctx: Context, found: Campaign) -> Draw:
    """Of a campaign that has come to its selection in this cycle."""
    draw = ctx.get(draw_key(found), Draw)
    if draw is None:
        raise LookupError("a selection without a draw")
    return draw


def settlement_of(ctx: Context, found: Campaign) -> Settlement:
    return ctx.get(settlement_key(found), Settlement) or Settlement(0, b"", False)
