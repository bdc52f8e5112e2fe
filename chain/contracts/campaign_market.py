"""Publishing and bidding: what requesters want, and which paths workers offer."""

from chain.contract import Context, call
from chain.contracts.campaign_board import bid_key, during, ends_ms, seat_key, task_key
from chain.contracts.campaign_records import (
    BIDDING,
    COLLECTION,
    MAX_BIDS,
    MAX_SAMPLES,
    PUBLISHING,
    TIMED,
    Bid,
    Campaign,
    CampaignId,
    Number,
    Path,
    Seat,
    Stop,
    Task,
    Terms,
)
from chain.contracts.spatial_rules import LAT_LIMIT_E7, LON_LIMIT_E7
from chain.geodesy import HAVERSINE_OPERATIONS, haversine_mm
from chain.values import Natural

NEAR_MM = 50
"""Less than that is no distance: places are known to a centimetre, times to a millisecond."""


@call
def publish_task(
    ctx: Context,
    campaign: CampaignId,
    number: Number,
    lat_e7: int,
    lon_e7: int,
    reward: Natural,
    time_ms: Natural,
    interval_ms: Natural,
    samples: Natural,
) -> None:
    """Have something sensed `samples` times for `reward` each, and lock that; by anybody.

    The number is the requester's to choose among those that are free.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``phase_over``; ``number_taken``; ``out_of_range`` (not on the globe);
    ``zero_reward``; ``bad_samples`` (1 to 16); ``time_out_of_collection``; ``bad_interval`` (0); ``insufficient_balance``.
    """
    found, terms = during(ctx, campaign, PUBLISHING)
    if ctx.get(task_key(found, number), Task) is not None:
        ctx.refuse("number_taken", str(number))
    if abs(lat_e7) > LAT_LIMIT_E7 or abs(lon_e7) > LON_LIMIT_E7:
        ctx.refuse("out_of_range", f"({lat_e7}, {lon_e7})")
    if reward == 0:
        ctx.refuse("zero_reward")
    if not 1 <= samples <= MAX_SAMPLES:
        ctx.refuse("bad_samples", f"{samples}, allowed are 1 to {MAX_SAMPLES}")
    first, last = _collection_ms(found, terms)
    if not first <= time_ms <= last:
        ctx.refuse("time_out_of_collection", f"time_ms is {time_ms}, data are collected from {first} to {last}")
    if interval_ms == 0:
        ctx.refuse("bad_interval")
    key = task_key(found, number)
    ctx.lock(key, reward * samples)
    ctx.put(key, Task(number, ctx.sender, lat_e7, lon_e7, reward, time_ms, interval_ms, samples))
    ctx.emit("published", campaign=campaign, cycle=found.cycle, task=number, requester=ctx.sender)


@call
def bid_path(ctx: Context, campaign: CampaignId, seat: Seat, path: Path) -> None:
    """Offer to walk a path and sense what is on it, and lock the deposit; by anybody, once a cycle.

    The seat is the worker's to choose among those that are free.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``phase_over``; ``bid_twice``; ``no_such_seat``; ``seat_taken``;
    ``empty_path``; ``unknown_task``; ``task_twice``; ``arrivals_out_of_order``; ``arrival_out_of_window``; ``too_fast``;
    ``insufficient_balance``.
    """
    found, terms = during(ctx, campaign, BIDDING)
    key = bid_key(found, ctx.sender)
    if ctx.get(key, Bid) is not None:
        ctx.refuse("bid_twice")
    if seat >= MAX_BIDS:
        ctx.refuse("no_such_seat", f"{seat}, there are {MAX_BIDS}")
    if ctx.get(seat_key(found, seat), bool) is not None:
        ctx.refuse("seat_taken", str(seat))
    if not path:
        ctx.refuse("empty_path")
    _check_path(ctx, found, terms, path)
    ctx.lock(key, terms.deposit)
    ctx.put(key, Bid(ctx.sender, seat, path))
    ctx.put(seat_key(found, seat), True)
    ctx.emit("bid", campaign=campaign, cycle=found.cycle, worker=ctx.sender, tasks=tuple(stop.task for stop in path))


def _check_path(ctx: Context, found: Campaign, terms: Terms, path: tuple[Stop, ...]) -> None:
    first, last = _collection_ms(found, terms)
    before: tuple[Stop, Task] | None = None
    for place, stop in enumerate(path):
        task = ctx.get(task_key(found, stop.task), Task)
        if task is None:
            ctx.refuse("unknown_task", str(stop.task))
        if any(stop.task == other.task for other in path[:place]):
            ctx.refuse("task_twice", str(stop.task))
        if before is not None and stop.arrival_ms < before[0].arrival_ms:
            ctx.refuse("arrivals_out_of_order", f"task {stop.task}")
        opens, closes = task.time_ms - task.interval_ms, task.time_ms + task.interval_ms
        if not max(first, opens) <= stop.arrival_ms <= min(last, closes):
            ctx.refuse("arrival_out_of_window", f"task {stop.task}")
        if before is not None and terms.max_speed_mm_s:
            ctx.compute(HAVERSINE_OPERATIONS)
            way_mm = haversine_mm(_place(before[1]), _place(task))
            can_mm = (stop.arrival_ms - before[0].arrival_ms) * terms.max_speed_mm_s // 1_000
            if way_mm > can_mm + NEAR_MM:
                ctx.refuse("too_fast", f"{way_mm} mm to task {stop.task}, possible are {can_mm}")
        before = stop, task


def _place(task: Task) -> tuple[int, int]:
    return task.lat_e7, task.lon_e7


def _collection_ms(found: Campaign, terms: Terms) -> tuple[int, int]:
    """First and last millisecond of the collection of this cycle."""
    ends, place = ends_ms(found, terms), TIMED.index(COLLECTION)
    return ends[place - 1] + 1, ends[place]
