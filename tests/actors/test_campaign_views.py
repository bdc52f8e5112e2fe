"""What is shown of bids and tasks, however a cycle ends; from what the contract answers in each case."""

from itertools import pairwise

import pytest

from actors.campaign_views import Cycle, bids_of, phase_begun, phases_of, result_of, tasks_of
from actors.views import shown
from chain.contracts.campaign_records import (
    BIDDING,
    COLLECTION,
    DONE,
    PUBLISHING,
    SELECTION,
    SUBMISSION,
    TIMED,
    Selection,
    Stop,
)
from tests.actors.told_fair import NAMES, ToldFair
from tests.chain.campaign_town import OTHER_REQUESTER, REQUESTER, TERMS, WORKERS
from tests.strategies import account

ONE, TWO, THREE, FOUR = WORKERS[:4]


def seen(fair, viewer=0):
    cycle = Cycle(fair.standing, fair.tasks, fair.bids, fair.ask("progress", fair.cycle), fair.ask("purses"))
    viewers = {account(viewer)} if viewer else ()
    bids = {NAMES[bid.worker]: bid for bid in bids_of(cycle, viewers)}
    return cycle, bids, {task.number: task for task in tasks_of(cycle, viewers)}


def stages(fair):
    return {who: bid.stage for who, bid in seen(fair)[1].items()}


def test_a_bid_goes_its_way():
    fair = ToldFair().to(SELECTION)
    assert stages(fair) == dict.fromkeys((ONE, TWO, THREE, FOUR), "bid")
    fair.to(COLLECTION)
    assert stages(fair) == {ONE: "selected", TWO: "selected", THREE: "selected", FOUR: "not_selected"}
    assert list(seen(fair)[1])[-1] == FOUR, "selected ones come first"
    fair.commit(ONE, TWO)
    assert stages(fair) == {ONE: "committed", TWO: "committed", THREE: "selected", FOUR: "not_selected"}
    fair.move()
    fair.open(ONE)
    assert stages(fair) == {ONE: "submitted", TWO: "committed", THREE: "selected", FOUR: "not_selected"}
    hopes = {who: bid.earned for who, bid in seen(fair)[1].items()}
    assert hopes == {ONE: 2_000, TWO: 2_000, THREE: 2_000, FOUR: 0}
    fair.move()
    assert stages(fair) == {ONE: "submitted", TWO: "lost", THREE: "lost", FOUR: "not_selected"}
    assert {task.paid for task in seen(fair)[2].values()} == {None}
    fair.settle(64)
    cycle, bids, tasks = seen(fair)
    assert stages(fair) == {ONE: "paid", TWO: "lost", THREE: "lost", FOUR: "not_selected"}
    assert {who: (bid.earned, bid.deposit) for who, bid in bids.items()} == {
        ONE: (2_000, 0), TWO: (0, 0), THREE: (0, 0), FOUR: (0, 0),
    }  # fmt: skip
    assert {number: task.paid for number, task in tasks.items()} == {0: 1_000, 1: 1_000, 2: 0}
    assert [NAMES[worker] for worker in tasks[1].winners] == [ONE, TWO], "who won is told, though one was not paid"
    assert [phase.standing for phase in phases_of(cycle.standing)] == ["over"] * 6


def test_a_dispute_costs_what_is_disputed():
    fair = ToldFair().to(SUBMISSION)
    fair.open(ONE, TWO, THREE)
    fair.at(fair.end_of(SUBMISSION) - TERMS.review_ms).here(OTHER_REQUESTER, "dispute", account(TWO), 2)
    bid = seen(fair)[1][TWO]
    assert (bid.stage, list(bid.disputed), bid.earned) == ("submitted", [2], 1_000)
    fair.move()
    fair.settle()
    assert stages(fair)[TWO] == "lost"
    assert seen(fair)[1][TWO].earned == 1_000
    assert {number: task.paid for number, task in seen(fair)[2].items()} == {0: 2_000, 1: 2_000, 2: 1_000}


def test_a_cycle_that_came_to_nothing_gives_all_back():
    fair = ToldFair().to(SELECTION)
    fair.move()
    assert fair.standing.campaign.void
    assert stages(fair) == dict.fromkeys((ONE, TWO, THREE, FOUR), "void")
    assert {bid.deposit for bid in seen(fair)[1].values()} == {500}
    fair.settle()
    assert {bid.deposit for bid in seen(fair)[1].values()} == {0}
    assert {task.paid for task in seen(fair)[2].values()} == {0}


def test_what_is_mine_is_marked_for_who_looks():
    fair = ToldFair().to(SELECTION)
    assert [number for number, task in seen(fair, REQUESTER)[2].items() if task.mine] == [0, 1]
    assert [who for who, bid in seen(fair, TWO)[1].items() if bid.mine] == [TWO]


def test_a_result_that_nobody_checked_is_shown_as_it_is():
    """It names paths and winners that are not there, and says too little: the page must stand that."""
    fair = ToldFair(check="on_challenge").to(SELECTION)
    (oracle,) = fair.drawn()
    fair.here(oracle, "return_selection", Selection((0, 250), ((0, 99, 0), ())))
    cycle, _, tasks = seen(fair)
    result = result_of(cycle)
    assert (result.paths, list(result.uncovered)) == (2, [0, 1, 2])
    assert [[NAMES[worker] for worker in task.winners] for task in tasks.values()] == [[ONE, ONE], [], []]


def test_answers_of_different_moments_are_shown_as_far_as_they_fit():
    fair = ToldFair().to(COLLECTION)
    cycle, _, _ = seen(fair)
    torn = Cycle(cycle.standing, cycle.tasks[:1], cycle.bids[:2], cycle.progress, cycle.purses)
    assert [[stop.task for stop in bid.path] for bid in bids_of(torn, ())] == [[0], []]
    assert [task.number for task in tasks_of(torn, ())] == [0]


@pytest.mark.parametrize("place", range(len(TIMED)))
def test_phases_follow_the_campaign_and_not_the_clock(place):
    fair = ToldFair().to(TIMED[place])
    views = phases_of(fair.standing)
    assert [view.standing for view in views] == ["over"] * place + ["now"] + ["to_come"] * (len(TIMED) - 1 - place)
    assert all(one.ends_ms + 1 == other.starts_ms for one, other in pairwise(views))


def test_registration_comes_once():
    fair = ToldFair().to(DONE)
    fair.settle()
    fair.here(1, "next_cycle")
    views = phases_of(fair.standing)
    assert [view.name for view in views] == [PUBLISHING, BIDDING, SELECTION, COLLECTION, SUBMISSION]
    assert views[0].standing == "now"


def test_events_tell_which_phase_begins():
    begun = ("publishing_started", "ended", "closed", "published", "rewarded")
    assert [phase_begun(event) for event in begun] == ["publishing", "done", "closed", None, None]


def test_arguments_that_are_made_of_others_are_shown_with_their_units():
    path = (Stop(3, 1_000), Stop(7, 2_000))
    assert shown("path", path) == "task 3, arrival_ms 1000, task 7, arrival_ms 2000"
    terms = shown("terms", TERMS)
    assert terms.startswith("durations_ms 10000, durations_ms 10000") and "deposit 500" in terms
    assert shown("selection", Selection((1, 2), ((2, 1), ()))) == "paths 1, 2, winners [2, 1] []"
