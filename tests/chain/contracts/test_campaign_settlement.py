"""Where the money of a cycle goes, to the micro-credit, however many calls pay it out."""

from fractions import Fraction
from random import Random

import pytest

from chain.codec import encode
from chain.contract import balance_key, purse_key
from chain.contracts.accounts import balance_of, supply
from chain.contracts.campaign_board import task_key
from chain.contracts.campaign_records import (
    COLLECTION,
    DONE,
    ON_CHALLENGE,
    PUBLISHING,
    SELECTION,
    SUBMISSION,
    Selection,
)
from chain.state import Version
from chain.values import MAX_INT
from tests.chain.campaign_town import (
    CROWD,
    FOUNDED,
    ORACLES,
    ORGANIZER,
    OTHER_REQUESTER,
    OUTSIDER,
    REQUESTER,
    WORKERS,
    Fair,
)
from tests.strategies import account

ONE, TWO, THREE, LOSER = WORKERS[:4]
LOCKED = {ORGANIZER: -60, **dict.fromkeys(ORACLES, -700)}
"""Bond and stakes: all that a settled cycle leaves locked."""


def submitted(*workers, **terms):
    """A campaign whose submission is open, these workers' data in."""
    fair = Fair(**terms).to(SUBMISSION)
    fair.open(*workers)
    return fair


def paid(fair, count=64):
    """What people have, once all is paid out."""
    if fair.phase != DONE:
        fair.move()
    fair.settle(count)
    assert {kind for kind, _ in fair.purses()} == {"bond", "oracle"}
    return {who: amount for who, amount in fair.money().items() if LOCKED.get(who) != amount}


def test_everybody_did_what_it_should():
    """Three tasks, two samples each, 1000 a sample: of each two win. The loser's deposit comes back too."""
    assert paid(submitted(ONE, TWO, THREE)) == {
        **dict.fromkeys((ONE, TWO, THREE), 2_000),
        REQUESTER: -4_000,
        OTHER_REQUESTER: -2_000,
    }


def test_whose_data_do_not_come_pays_the_requesters_of_its_path():
    """Two's path has a task of each requester: of the deposit of 501, 251 go to the first one's and 250 to the other's."""
    assert paid(submitted(ONE, THREE, deposit=501)) == {
        ONE: 2_000,
        TWO: -501,
        THREE: 2_000,
        REQUESTER: -3_000 + 251,
        OTHER_REQUESTER: -1_000 + 250,
    }


def test_what_is_not_paid_is_told():
    fair = submitted(ONE, THREE, deposit=501)
    paid(fair)
    cycle = {"campaign": fair.campaign, "cycle": 0}
    assert fair.said("forfeited") == [cycle | {"worker": account(TWO), "amount": 501}]
    assert fair.said("unspent") == [cycle | {"task": number, "amount": 1_000} for number in (1, 2)]


def test_no_hash_is_no_data():
    fair = Fair().to(COLLECTION)
    fair.commit(ONE)
    fair.move()
    fair.open(ONE)
    assert paid(fair) == {
        ONE: 2_000,
        TWO: -500,
        THREE: -500,
        REQUESTER: -2_000 + 250 + 250,  # task 1 of two's path, and task 0 of three's
        OTHER_REQUESTER: 250 + 250,
    }


def test_an_unanswered_dispute_costs_the_reward_and_the_deposit():
    """The reward for the other task, with which nobody found fault, is paid."""
    fair = submitted(ONE, TWO, THREE)
    fair.here(REQUESTER, "dispute", account(ONE), 0)
    assert paid(fair) == {
        ONE: 1_000 - 500,
        TWO: 2_000,
        THREE: 2_000,
        REQUESTER: -3_000 + 500,
        OTHER_REQUESTER: -2_000,
    }


def test_an_answered_dispute_costs_nothing():
    fair = submitted(ONE, TWO, THREE)
    for number in (0, 1):
        fair.here(REQUESTER, "dispute", account(ONE), number)
        fair.here(ONE, "answer", *fair.answer(ONE, number))
    assert paid(fair)[ONE] == 2_000


def test_one_answer_of_two_is_not_enough_for_the_deposit():
    fair = submitted(ONE, TWO, THREE)
    for number in (0, 1):
        fair.here(REQUESTER, "dispute", account(ONE), number)
    fair.here(ONE, "answer", *fair.answer(ONE, 1))
    assert paid(fair)[ONE] == 1_000 - 500


@pytest.mark.parametrize("void", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 63])
def test_the_size_of_batches_changes_nothing(count, void):
    """Three tasks and four bids, a deposit lost, a dispute open, and rewards that do not divide."""
    fair = submitted(ONE, THREE, deposit=7)
    fair.here(REQUESTER, "dispute", account(ONE), 1)
    fair.move()
    if void:
        fair = Fair().to(SELECTION)
        fair.move()
    other = fair.copy()
    expected = paid(fair, 64)
    assert paid(other, count) == expected
    assert other.height - fair.height == -(-7 // count) - 1


def test_batches_by_anybody_until_all_is_paid():
    fair = submitted(ONE, TWO, THREE)
    fair.move()
    callers = iter((OUTSIDER, ONE, ORGANIZER, REQUESTER, LOSER, TWO, OUTSIDER))
    results = [fair.here(who, "distribute_rewards", 1).result for who in callers]
    assert results == [b"\xc2"] * 6 + [b"\xc3"]
    assert fair.standing.settled and fair.said("settled") == [{"campaign": fair.campaign, "cycle": 0}]
    assert fair.not_here(OUTSIDER, "distribute_rewards", 1) == "already_settled"


def test_nothing_is_paid_twice_between_batches():
    fair = submitted(ONE, TWO, THREE)
    fair.move()
    fair.here(OUTSIDER, "distribute_rewards", 1)
    assert fair.money()[ONE] == 500 and fair.money()[THREE] == 500  # of task 0; their deposits are still locked
    assert ("task", b"\x00\x00") not in fair.purses() and ("task", b"\x00\x01") in fair.purses()


def test_a_void_cycle_gives_everything_back():
    fair = Fair().to(SELECTION)
    fair.returned(fair.best())
    fair.at(fair.end_of(COLLECTION)).here(ORGANIZER, "advance")
    assert fair.standing.campaign.void
    assert paid(fair) == {}


def test_of_equally_near_ones_the_lower_index_wins():
    """Four paths, one task, two samples: two are equally near, and so are the other two."""
    fair = Fair().to(PUBLISHING)
    fair.publish(REQUESTER, 0)
    fair.move()
    for who, late_ms in zip((ONE, TWO, THREE, LOSER), (-50, 20, 50, -20), strict=True):
        fair.bid(who, (0, late_ms))
    fair.move()
    fair.returned(fair.result(ONE, TWO, THREE, LOSER))
    assert fair.standing.accepted.selection.winners == ((1, 3),)
    fair.here(OUTSIDER, "challenge", fair.result(ONE, THREE))
    assert fair.standing.accepted.selection.winners == ((0, 2),)
    fair.move()
    fair.commit(ONE, THREE)
    fair.move()
    fair.open(ONE, THREE)
    assert {ONE: 1_000, THREE: 1_000, REQUESTER: -2_000}.items() <= paid(fair).items()


def test_more_winners_than_rewards_are_paid_as_far_as_they_go():
    """A result that nobody checked names all three for each task, on their paths or not: the first two by account are paid."""
    fair = Fair(check=ON_CHALLENGE).to(SELECTION)
    fair.returned(Selection((0, 1, 2), ((0, 1, 2, 2, 1, 9),) * 3))
    fair.move()
    fair.commit(ONE, TWO, THREE)
    fair.move()
    fair.open(ONE, TWO, THREE)
    assert paid(fair) == {ONE: 3_000, TWO: 3_000, REQUESTER: -4_000, OTHER_REQUESTER: -2_000}


def test_winners_that_are_not_selected_are_not_paid():
    fair = Fair(check=ON_CHALLENGE).to(SELECTION)
    fair.returned(Selection((0,), ((3, 0), (3,), ())))
    fair.move()
    assert fair.not_here(LOSER, "submit_hash", bytes(32)) == "not_selected"
    fair.commit(ONE)
    fair.move()
    fair.open(ONE)
    assert paid(fair) == {ONE: 1_000, REQUESTER: -1_000}


@pytest.mark.parametrize("comes", [True, False])
def test_a_selected_worker_that_wins_nothing_has_its_deposit_at_stake(comes):
    fair = Fair().to(PUBLISHING)
    fair.publish(REQUESTER, 0, samples=1)
    fair.move()
    fair.bid(ONE, (0, 5))
    fair.bid(TWO, (0, -4))
    fair.move()
    fair.returned(fair.result(ONE, TWO))
    fair.move()
    fair.commit(ONE, TWO)
    fair.move()
    fair.open(*((ONE, TWO) if comes else (TWO,)))
    assert paid(fair) == ({} if comes else {ONE: -500}) | {TWO: 1_000, REQUESTER: -1_000 + (0 if comes else 500)}


def greedy(tasks, paths):
    """Algorithm 2: the path with the most samples still desired, of several the highest index."""
    wanted = {task.number: task.samples for task in tasks}
    chosen = []
    while True:
        gain = {place: sum(wanted[stop.task] > 0 for stop in path) for place, path in enumerate(paths)}
        best = max(gain, key=lambda place: (gain[place] if place not in chosen else -1, place))
        if best in chosen or not gain[best]:
            return tuple(sorted(chosen))
        chosen.append(best)
        for stop in paths[best]:
            wanted[stop.task] -= 1


@pytest.mark.parametrize("seed", range(3))
def test_the_papers_setting(seed):
    """Ten tasks, three samples of each, reward 1: fifteen workers, five to nine tasks each, share thirty rewards."""
    random = Random(seed)
    fair = Fair().to(PUBLISHING)
    lates = {number: random.randint(-2_000, 2_000) for number in range(10)}
    for number, late_ms in lates.items():
        middle = fair.end_of(COLLECTION) - 5_000
        fair.publish(REQUESTER, number, reward=1, samples=3, at_ms=middle + late_ms)
    fair.move()
    for seat, who in enumerate(CROWD):
        stops = random.sample(range(10), random.randint(5, 9))
        arrivals = sorted(random.randint(-4_900, 5_000) for _ in stops)
        fair.here(who, "bid_path", seat, fair.path(*zip(stops, arrivals, strict=True)))
    fair.move()
    paths = [bid.path for bid in fair.bids]
    assert [bid.worker for bid in fair.bids] == [account(who) for who in CROWD]
    selected = greedy(fair.tasks, paths)
    fair.returned(fair.result(*(CROWD[place] for place in selected)))
    fair.move()
    chosen = [CROWD[place] for place in selected]
    fair.commit(*chosen)
    fair.move()
    fair.open(*chosen)
    money = paid(fair, 10)
    # Algorithm 3 with fractions.
    expected = dict.fromkeys(chosen, 0)
    for task in fair.tasks:
        quality = {
            place: 1 - Fraction(abs(stop.arrival_ms - task.time_ms), task.interval_ms)
            for place in selected
            for stop in paths[place]
            if stop.task == task.number
        }
        for place in sorted(quality, key=lambda place: (-quality[place], place))[:3]:
            expected[CROWD[place]] += 1
    assert sum(expected.values()) == 30 and len(chosen) < 15
    assert money == {who: amount for who, amount in expected.items() if amount} | {REQUESTER: -30}


def test_what_does_not_fit_into_a_balance_goes_to_the_requester_or_stays():
    """Nobody can have more than MAX_INT; nothing is lost, and nobody is stopped by it."""
    fair = submitted(ONE, TWO, THREE)
    fair.move()
    rich = {balance_key(account(ONE)): encode(MAX_INT - 300), balance_key(account(OTHER_REQUESTER)): encode(MAX_INT)}
    fair.state = fair.state.apply(rich, Version(fair.height, 9))
    before = supply(fair.state)
    fair.settle(2)
    assert supply(fair.state) == before + 4 * fair.network.genesis.ledger.block_reward
    assert balance_of(fair.state, account(ONE)) == MAX_INT
    assert fair.money()[REQUESTER] == -4_000 + 700 + 1_000
    assert [said["amount"] for said in fair.said("rewarded") if said["worker"] == account(ONE)] == [300, 0]
    # One's deposit stays in its purse, which nobody else can have.
    assert fair.purses()["bid", account(ONE)] == 500
    assert fair.state.get(purse_key("campaign", task_key(fair.standing.campaign, 0))) is None


def test_all_that_one_has_can_be_locked():
    fair = Fair().to(PUBLISHING)
    fair.publish(REQUESTER, 0, reward=FOUNDED // 2)
    assert balance_of(fair.state, account(REQUESTER)) == 0
    assert fair.not_here(REQUESTER, "publish_task", *fair.task(1, reward=1)) == "insufficient_balance"
