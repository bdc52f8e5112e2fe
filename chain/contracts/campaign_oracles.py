"""Computing oracles: who they are, who is drawn, what they return, and what becomes of those that return it late or wrong."""

from chain.contract import Context, call
from chain.contracts.campaign_board import (
    accepted_key,
    accepted_of,
    bids_of,
    challenge_until_ms,
    chosen_key,
    draw_key,
    draw_of,
    during,
    find_campaign,
    oracle_key,
    oracle_seat_key,
    oracles_of,
    returned_key,
    returned_of,
    tasks_of,
)
from chain.contracts.campaign_check import check_operations, invalid
from chain.contracts.campaign_commitments import digest_result, draw_oracles
from chain.contracts.campaign_records import (
    MAX_ORACLES,
    ON_RETURN,
    REGISTRATION,
    SELECTION,
    Accepted,
    Campaign,
    CampaignId,
    Chosen,
    Draw,
    Oracle,
    Seat,
    Terms,
)
from chain.contracts.campaign_records import Selection as Result
from chain.values import Account


@call
def register_oracle(ctx: Context, campaign: CampaignId, seat: Seat) -> None:
    """Be an oracle, and lock the stake; by those on the allow-list, or by anybody where there is none.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``phase_over``; ``not_allowed``; ``registered_twice``; ``no_such_seat``;
    ``seat_taken``; ``insufficient_balance``; ``purse_overflow``.
    """
    _, terms = during(ctx, campaign, REGISTRATION)
    if terms.oracles and ctx.sender not in terms.oracles:
        ctx.refuse("not_allowed")
    key = oracle_key(campaign, ctx.sender)
    if ctx.get(key, Oracle) is not None:
        ctx.refuse("registered_twice")
    if seat >= MAX_ORACLES:
        ctx.refuse("no_such_seat", f"{seat}, there are {MAX_ORACLES}")
    if ctx.get(oracle_seat_key(campaign, seat), bool) is not None:
        ctx.refuse("seat_taken", str(seat))
    ctx.lock(key, terms.stake)
    ctx.put(key, Oracle(ctx.sender, seat))
    ctx.put(oracle_seat_key(campaign, seat), True)
    ctx.emit("registered", campaign=campaign, oracle=ctx.sender)


@call
def withdraw_oracle(ctx: Context, campaign: CampaignId) -> None:
    """Be no oracle any more, and get the stake back; in every phase but that in which oracles are drawn.

    An organizer may begin cycle after cycle within one block: who could leave only in between would be held for ever.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``not_oracle``.
    """
    found, _ = find_campaign(ctx, campaign)
    if found.phase == SELECTION:
        ctx.refuse("wrong_phase", f"it is {found.phase}")
    oracle = ctx.get(oracle_key(campaign, ctx.sender), Oracle)
    if oracle is None:
        ctx.refuse("not_oracle")
    _remove(ctx, campaign, oracle)
    ctx.emit("withdrawn", campaign=campaign, oracle=ctx.sender)


@call
def return_selection(ctx: Context, campaign: CampaignId, selection: Result) -> bool:
    """Return which paths are selected and who wins each task; by a drawn oracle. Returns whether that is accepted now.

    It is accepted once enough of those drawn have returned the same. Drawn ones that returned something else then pay the
    penalty to those.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``phase_over``; ``not_oracle``; ``already_selected``;
    ``draw_not_ready``; ``not_drawn``; ``oracle_late``; ``returned_twice``; ``invalid_selection`` (where terms have that
    checked on return).
    """
    found, terms = during(ctx, campaign, SELECTION)
    if ctx.get(oracle_key(campaign, ctx.sender), Oracle) is None:
        ctx.refuse("not_oracle")
    if accepted_of(ctx, found) is not None:
        ctx.refuse("already_selected")
    draw = draw_of(ctx, found)
    drawn = _drawn(ctx, found, terms, draw)
    if ctx.sender not in drawn:
        ctx.refuse("not_drawn")
    if ctx.time_ms > draw.since_ms + terms.oracle_ms:
        ctx.refuse("oracle_late", f"since {draw.since_ms + terms.oracle_ms}")
    if ctx.get(returned_key(found, ctx.sender), bytes) is not None:
        ctx.refuse("returned_twice")
    if terms.check == ON_RETURN:
        _check(ctx, found, selection)
    digest = digest_result(selection, ctx.sha256)
    ctx.put(returned_key(found, ctx.sender), digest)
    ctx.emit("returned", campaign=campaign, cycle=found.cycle, oracle=ctx.sender, result=digest)
    returned = returned_of(ctx, found)
    agreeing = [oracle for oracle in drawn if returned.get(oracle) == digest]
    if len(agreeing) < terms.agreeing:
        return False
    for oracle in drawn:
        if oracle in returned and oracle not in agreeing:
            _penalise(ctx, found, terms, oracle, agreeing)
    _accept(ctx, found, selection, agreeing)
    return True


@call
def replace_oracle(ctx: Context, campaign: CampaignId) -> None:
    """Have others drawn when those drawn have not come to a result in time; by anybody, who gets the penalties.

    Those that returned something, though too few the same, are passed over as well, but not fined: it cannot be told who
    is right. The last ones pay like all others, though nobody is left to come after them.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``phase_over``; ``already_selected``; ``oracle_in_time``;
    ``draw_not_ready``; ``nobody_drawn`` (there were too few oracles left).
    """
    found, terms = during(ctx, campaign, SELECTION)
    if accepted_of(ctx, found) is not None:
        ctx.refuse("already_selected")
    draw = draw_of(ctx, found)
    if ctx.time_ms <= draw.since_ms + terms.oracle_ms:
        ctx.refuse("oracle_in_time", f"until {draw.since_ms + terms.oracle_ms}")
    drawn, returned = _drawn(ctx, found, terms, draw), returned_of(ctx, found)
    if not drawn:
        ctx.refuse("nobody_drawn", f"needed are {terms.agreeing} that were not drawn before")
    late = [oracle for oracle in drawn if oracle not in returned]
    _forget_returned(ctx, found)
    for oracle in late:
        _penalise(ctx, found, terms, oracle, [ctx.sender])
    ctx.put(draw_key(found), Draw(ctx.time_ms, tuple(sorted({*draw.passed_over, *drawn}))))
    ctx.emit("replaced", campaign=campaign, cycle=found.cycle, late=tuple(late))


@call
def challenge(ctx: Context, campaign: CampaignId, better: Result | None) -> None:
    """Show that the accepted result is wrong; by anybody, who gets the penalties of the oracles that returned it.

    Without `better`: it is not valid (`chain.contracts.campaign_check`). Then others are drawn. With it: here is a valid one
    of fewer paths, which then stands, open to challenge itself.

    Refused: ``unknown_campaign``; ``wrong_phase``; ``no_selection``; ``challenge_over``; ``selection_holds``;
    ``invalid_selection``; ``not_better``.
    """
    found, terms = find_campaign(ctx, campaign)
    if found.phase != SELECTION:  # a result of the last moment can be challenged for as long as any other
        ctx.refuse("wrong_phase", f"it is {found.phase}, needed is {SELECTION}")
    accepted = accepted_of(ctx, found)
    if accepted is None:
        ctx.refuse("no_selection")
    if ctx.time_ms > (until_ms := challenge_until_ms(found, terms, accepted)):
        ctx.refuse("challenge_over", f"since {until_ms}")
    if better is None:
        if not _invalid(ctx, found, accepted.selection):
            ctx.refuse("selection_holds")
    else:
        _check(ctx, found, better)
        # Against one that is not valid any valid one will do.
        fewer = len(better.paths) < len(accepted.selection.paths)
        if not fewer and not _invalid(ctx, found, accepted.selection):
            ctx.refuse("not_better", f"{len(better.paths)} paths, accepted are {len(accepted.selection.paths)}")
    _overturn(ctx, found, accepted)
    for oracle in accepted.oracles:
        _penalise(ctx, found, terms, oracle, [ctx.sender])
    if better is not None:
        _accept(ctx, found, better, ())
        return
    draw = draw_of(ctx, found)
    _forget_returned(ctx, found)
    ctx.put(draw_key(found), Draw(ctx.time_ms, tuple(sorted({*draw.passed_over, *accepted.oracles}))))


def _check(ctx: Context, found: Campaign, selection: Result) -> None:
    """Refuses ``invalid_selection``."""
    if wrong := _invalid(ctx, found, selection):
        ctx.refuse("invalid_selection", wrong)


def _invalid(ctx: Context, found: Campaign, selection: Result) -> str:
    """What is wrong with a result, or nothing."""
    tasks, bids = tasks_of(ctx, found), bids_of(ctx, found)
    ctx.compute(check_operations(tasks, bids))
    return invalid(tasks, bids, selection)


def _drawn(ctx: Context, found: Campaign, terms: Terms, draw: Draw) -> tuple[Account, ...]:
    """Who is drawn at present, sorted: nobody where there are fewer than have to agree. Refuses ``draw_not_ready``."""
    made = ctx.version(draw_key(found))
    if made is None:
        raise LookupError("a draw without a version")
    seed = ctx.block_id(made.height + terms.draw_delay)
    registered = [oracle.account for oracle in oracles_of(ctx, found.id)]
    drawn = draw_oracles(seed, found.id, found.cycle, registered, draw.passed_over, terms.drawn, ctx.sha256)
    return drawn if len(drawn) >= terms.agreeing else ()


def _forget_returned(ctx: Context, found: Campaign) -> None:
    for oracle in returned_of(ctx, found):
        ctx.delete(returned_key(found, oracle))


def _accept(ctx: Context, found: Campaign, selection: Result, oracles: "list[Account] | tuple[()]") -> None:
    ctx.put(accepted_key(found), Accepted(selection, tuple(oracles), ctx.time_ms))
    tasks, bids = tasks_of(ctx, found), bids_of(ctx, found)
    workers = []
    for place in selection.paths:
        if place >= len(bids):
            continue  # nobody checked it; who does so can challenge
        worker = bids[place].worker
        won = (task.number for task, named in zip(tasks, selection.winners, strict=False) if place in named)
        ctx.put(chosen_key(found, worker), Chosen(tuple(won), None, False))
        workers.append(worker)
    ctx.emit("selected", campaign=found.id, cycle=found.cycle, workers=tuple(workers), oracles=tuple(oracles))


def _overturn(ctx: Context, found: Campaign, accepted: Accepted) -> None:
    ctx.delete(accepted_key(found))
    bids = bids_of(ctx, found)
    for place in accepted.selection.paths:
        if place < len(bids):
            ctx.delete(chosen_key(found, bids[place].worker))
    ctx.emit("overturned", campaign=found.id, cycle=found.cycle, oracles=accepted.oracles, challenger=ctx.sender)


def _penalise(ctx: Context, found: Campaign, terms: Terms, oracle: Account, to: list[Account]) -> None:
    """Share the penalty among others, the first of whom gets what does not divide; an oracle that cannot pay the next is
    one no more.
    """
    key = oracle_key(found.id, oracle)
    share, rest = divmod(min(terms.penalty, ctx.locked(key)), len(to))
    paid = 0
    for place, other in enumerate(to):
        paid += ctx.release(key, other, share + (rest if place == 0 else 0))
    ctx.emit("penalised", campaign=found.id, cycle=found.cycle, oracle=oracle, amount=paid)
    registered = ctx.get(key, Oracle)
    if registered is not None and terms.penalty and ctx.locked(key) < terms.penalty:
        _remove(ctx, found.id, registered)


def _remove(ctx: Context, campaign: CampaignId, oracle: Oracle) -> None:
    key = oracle_key(campaign, oracle.account)
    ctx.release(key, oracle.account, ctx.locked(key))
    ctx.delete(key)
    ctx.delete(oracle_seat_key(campaign, oracle.seat))
