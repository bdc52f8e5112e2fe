"""When a campaign's phases begin and end, to the millisecond; who moves them, what it is paid, and when a cycle is void."""

import pytest

from chain.contracts.campaign_board import begin_by_ms
from chain.contracts.campaign_records import (
    BIDDING,
    CLOSED,
    COLLECTION,
    DONE,
    PHASES,
    PUBLISHING,
    REGISTRATION,
    SELECTION,
    SUBMISSION,
    TIMED,
)
from tests.chain.campaign_town import (
    ORACLES,
    ORGANIZER,
    OTHER_REQUESTER,
    OUTSIDER,
    REQUESTER,
    TERMS,
    WORKERS,
    Fair,
)
from tests.strategies import account

LOCKED = {ORGANIZER: -60, **dict.fromkeys(ORACLES, -700)}
"""Bond and stakes."""


def latest(fair: Fair, phase: str) -> int:
    """Last millisecond at which a phase may begin."""
    return begin_by_ms(fair.standing.campaign, fair.terms, TIMED.index(phase))


def test_phases_follow_from_terms_and_the_deployment():
    fair = Fair(durations_ms=(5_000, 6_000, 7_000, 8_000, 9_000, 10_000))
    opened = fair.time_ms
    found = fair.standing
    assert found.ends_ms == tuple(opened + 1_000 * after - 1 for after in (5, 11, 18, 26, 35, 45))
    assert (found.campaign.opened_ms, found.campaign.start_ms) == (opened, opened + 5_000)
    assert (found.campaign.organizer, found.campaign.id) == (account(ORGANIZER), fair.campaign)
    assert fair.phase == REGISTRATION and fair.cycle == 0 and not found.campaign.void
    assert not found.settled and found.accepted is None


def test_each_phase_says_that_it_begins():
    fair = Fair().to(DONE)
    fair.settle()
    fair.here(ORGANIZER, "close")
    said = [event.name for event in fair.events if event.name.endswith(("_started", "ended", "closed"))]
    assert said == [*(f"{phase}_started" for phase in TIMED), "ended", "closed"]


def test_each_step_is_told():
    """Whoever listens needs no query: who did what, in which cycle of which campaign."""
    fair = Fair().to(SELECTION)
    (drawn,) = fair.drawn()
    fair.returned(fair.result(*WORKERS[:4]))
    fair.here(OUTSIDER, "challenge", fair.best())
    fair.move()
    fair.to(DONE)
    fair.settle()
    for who in ORACLES:
        fair.here(who, "withdraw_oracle")
    cycle = {"campaign": fair.campaign, "cycle": 0}
    assert fair.said("registered") == [{"campaign": fair.campaign, "oracle": account(who)} for who in ORACLES]
    assert fair.said("withdrawn") == fair.said("registered")
    requesters = (REQUESTER, REQUESTER, OTHER_REQUESTER)
    assert fair.said("published") == [
        cycle | {"task": number, "requester": account(who)} for number, who in enumerate(requesters)
    ]
    assert fair.said("bid") == [
        cycle | {"worker": account(who), "tasks": tasks}
        for who, tasks in zip(WORKERS, ([0, 1], [1, 2], [2, 0], [0]), strict=False)
    ]
    assert fair.said("returned")[0] | {"result": b""} == cycle | {"oracle": account(drawn), "result": b""}
    assert fair.said("overturned") == [cycle | {"oracles": [account(drawn)], "challenger": account(OUTSIDER)}]
    assert fair.said("penalised") == [cycle | {"oracle": account(drawn), "amount": TERMS.penalty}]
    assert fair.said("selected") == [
        cycle | {"workers": [account(who) for who in WORKERS[:count]], "oracles": oracles}
        for count, oracles in ((4, [account(drawn)]), (3, []))
    ]
    assert fair.said("committed") == [cycle | {"worker": account(who)} for who in WORKERS[:3]]
    assert fair.said("submitted") == [
        cycle | {"worker": account(who), "digests": list(fair.digests(who))} for who in WORKERS[:3]
    ]
    rewarded = {(said["task"], said["worker"], said["amount"]) for said in fair.said("rewarded")}
    paths = ((0, 1), (1, 2), (2, 0))
    assert rewarded == {(task, account(who), 1_000) for who, path in zip(WORKERS, paths, strict=False) for task in path}
    assert len(fair.said("rewarded")) == 6 and fair.said("unspent") == fair.said("forfeited") == []
    assert fair.said("settled") == [cycle]


@pytest.mark.parametrize("phase", TIMED)
def test_a_phase_ends_at_its_last_millisecond(phase):
    fair = Fair().to(phase)
    if phase == SELECTION:
        fair.returned(fair.best())
    fair.at(fair.end_of(phase))
    assert fair.not_here(ORGANIZER, "advance") == "phase_not_over"
    assert fair.not_here(OUTSIDER, "advance") == "not_organizer"
    fair.here(ORGANIZER, "advance")
    assert fair.phase == PHASES[PHASES.index(phase) + 1]
    assert not fair.standing.campaign.void


@pytest.mark.parametrize(
    "method,phase,args",
    [
        ("register_oracle", REGISTRATION, lambda _: (9,)),
        ("publish_task", PUBLISHING, lambda fair: fair.task(9)),
        ("bid_path", BIDDING, lambda fair: (9, fair.path((0, 0)))),
    ],
)
def test_the_last_millisecond_of_a_phase_is_part_of_it(method, phase, args):
    fair = Fair().to(phase)
    late = fair.copy().at(fair.end_of(phase) + 1)
    assert late.not_here(OUTSIDER, method, *args(fair)) == "phase_over"
    fair.at(fair.end_of(phase)).here(OUTSIDER, method, *args(fair))


def test_the_last_result_and_the_last_hash():
    fair = Fair(oracle_ms=20_000).to(SELECTION)
    (drawn,) = fair.drawn()
    late = fair.copy().at(fair.end_of(SELECTION) + 1)
    assert late.not_here(drawn, "return_selection", fair.best()) == "phase_over"
    fair.at(fair.end_of(SELECTION)).here(drawn, "return_selection", fair.best())
    fair.at(fair.time_ms + TERMS.challenge_ms)
    assert fair.not_here(ORGANIZER, "advance") == "challenge_open"
    fair.here(ORGANIZER, "advance")
    late = fair.copy().at(fair.end_of(COLLECTION) + 1)
    assert late.not_here(WORKERS[0], "submit_hash", bytes(32)) == "phase_over"
    fair.at(fair.end_of(COLLECTION)).here(WORKERS[0], "submit_hash", bytes(32))


@pytest.mark.parametrize("phase", TIMED)
def test_a_stalled_phase_is_moved_by_anybody_who_is_paid(phase):
    fair = Fair().to(phase)
    if phase == SELECTION:
        fair.returned(fair.best())
    before = fair.money().get(OUTSIDER, 0)
    fair.at(fair.end_of(phase) + TERMS.grace_ms)
    assert fair.not_here(OUTSIDER, "advance") == "not_organizer"
    fair.here(OUTSIDER, "advance")
    assert fair.phase == PHASES[PHASES.index(phase) + 1] and not fair.standing.campaign.void
    assert fair.money()[OUTSIDER] == before + TERMS.bounty
    assert fair.purses()["bond", account(ORGANIZER)] == TERMS.bond - TERMS.bounty


def test_whoever_waits_for_challenges_has_its_grace_too():
    """The result comes at the last moment: the organizer alone may move for a second after the last challenge."""
    fair = Fair(oracle_ms=20_000).to(SELECTION)
    (drawn,) = fair.drawn()
    fair.at(fair.end_of(SELECTION)).here(drawn, "return_selection", fair.best())
    last = fair.time_ms + TERMS.challenge_ms
    fair.at(last)
    assert fair.not_here(OUTSIDER, "advance") == "challenge_open"
    fair.at(last + TERMS.grace_ms)
    assert fair.not_here(OUTSIDER, "advance") == "not_organizer"
    fair.here(OUTSIDER, "advance")
    assert fair.phase == COLLECTION


def test_bounties_end_with_the_bond():
    """A bond of 25 pays 10, 10, 5, and then nothing; the phases are moved all the same."""
    fair = Fair(bond=25)
    for count, held in ((1, 15), (2, 5), (3, 0), (4, 0)):
        fair.move(OUTSIDER, TERMS.grace_ms + 1)
        assert fair.purses().get(("bond", account(ORGANIZER)), 0) == held
        assert fair.money()[OUTSIDER] == min(25, 10 * count)
    assert fair.phase == DONE and fair.standing.campaign.void
    fair.settle()
    fair.here(ORGANIZER, "close")
    assert fair.money() == {ORGANIZER: -25, OUTSIDER: 25}


def test_the_organizer_is_never_paid_for_its_own_delay():
    fair = Fair().to(PUBLISHING)
    fair.move(ORGANIZER, TERMS.grace_ms + 1)
    assert fair.money() == LOCKED


@pytest.mark.parametrize("phase", TIMED[1:])
def test_a_phase_that_would_begin_half_over_is_void(phase):
    """Whoever moves it. What was locked goes back, and the next cycle may begin."""
    before = TIMED[TIMED.index(phase) - 1]
    fair = Fair().to(before)
    if before == SELECTION:
        fair.returned(fair.best())
    in_time = fair.copy().at(latest(fair, phase))
    in_time.here(ORGANIZER, "advance")
    assert in_time.phase == phase and not in_time.standing.campaign.void
    fair.at(latest(fair, phase) + 1).here(ORGANIZER, "advance")
    assert fair.phase == DONE and fair.standing.campaign.void
    fair.settle()
    assert fair.money() == (LOCKED if before != REGISTRATION else {ORGANIZER: -60})
    fair.here(ORGANIZER, "next_cycle")
    assert (fair.phase, fair.cycle, fair.standing.campaign.void) == (PUBLISHING, 1, False)


def test_half_of_submission_is_half_of_the_time_for_data():
    fair = Fair()
    assert latest(fair, SUBMISSION) == fair.end_of(COLLECTION) + 3_000
    assert latest(fair, COLLECTION) == fair.end_of(SELECTION) + 5_000


def test_however_late_submission_ends_workers_are_paid():
    fair = Fair().to(SUBMISSION)
    fair.open(*WORKERS[:3])
    fair.move(OUTSIDER, 10_000_000)
    assert not fair.standing.campaign.void
    fair.settle()
    assert all(fair.money()[who] == 2_000 for who in WORKERS[:3])


def test_a_selection_without_a_result_is_void():
    fair = Fair().to(SELECTION)
    fair.move()
    assert fair.phase == DONE and fair.standing.campaign.void
    fair.settle()
    assert fair.money() == LOCKED


def test_a_cycle_that_nobody_came_to():
    """No task, no bid: an empty result, and nothing to pay."""
    fair = Fair().to(PUBLISHING)
    for _ in range(2):
        fair.move()
    fair.returned(fair.best())
    for _ in range(3):
        fair.move()
    assert fair.phase == DONE and not fair.standing.campaign.void
    assert fair.settle() == 1
    assert fair.not_here(OUTSIDER, "distribute_rewards", 1) == "already_settled"
    assert fair.money() == LOCKED


def test_cycles_have_nothing_to_do_with_each_other():
    fair = Fair().to(DONE)
    assert fair.not_here(ORGANIZER, "next_cycle") == "not_settled"
    assert fair.not_here(ORGANIZER, "close") == "not_settled"
    fair.settle()
    began = fair.time_ms + 1
    fair.here(ORGANIZER, "next_cycle")
    assert fair.standing.ends_ms[1] == began + 10_000 - 1
    assert fair.tasks == () == fair.bids
    assert len(fair.ask("tasks", 0)) == 3 and len(fair.ask("bids", 0)) == 4 and len(fair.ask("progress", 0)) == 3
    assert fair.ask("draw") is None and fair.standing.accepted is None and not fair.standing.settled
    fair.to(DONE)
    fair.settle()
    assert {who: fair.money()[who] for who in WORKERS[:3]} == dict.fromkeys(WORKERS[:3], 4_000)
    fair.here(ORGANIZER, "close")
    assert fair.phase == CLOSED and fair.purses() == {("oracle", account(who)): 700 for who in ORACLES}
    for who in ORACLES:
        fair.here(who, "withdraw_oracle")
    assert fair.purses() == {}
    assert fair.money() == {REQUESTER: -8_000, OTHER_REQUESTER: -4_000, **dict.fromkeys(WORKERS[:3], 4_000)}
