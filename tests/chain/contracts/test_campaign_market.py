"""Publishing and bidding: what tasks and paths may be, and what is locked for them."""

import pytest

from chain.contracts.campaign_market import NEAR_MM
from chain.contracts.campaign_records import BIDDING, COLLECTION, MAX_BIDS, MAX_SAMPLES, PUBLISHING, SELECTION, Stop
from chain.geodesy import haversine_mm
from chain.values import MAX_INT
from tests.chain.campaign_town import FOUNDED, ORACLES, OTHER_REQUESTER, OUTSIDER, REQUESTER, WORKERS, Fair
from tests.strategies import account


@pytest.fixture
def publishing():
    return Fair().to(PUBLISHING)


@pytest.fixture
def bidding():
    """Tasks 0 and 1 of one requester, 2 of another; windows are a second wide around the middle."""
    fair = Fair().to(PUBLISHING)
    fair.publish(REQUESTER, 0, 1, interval_ms=500)
    fair.publish(OTHER_REQUESTER, 2)
    fair.move()
    return fair


def test_a_task_locks_what_it_can_pay(publishing):
    publishing.publish(REQUESTER, 7, reward=3, samples=5)
    publishing.publish(REQUESTER, 3, reward=FOUNDED - 15, samples=1)
    assert publishing.money()[REQUESTER] == -FOUNDED
    assert [task.number for task in publishing.tasks] == [3, 7]
    assert publishing.purses()["task", b"\x00\x07"] == 15
    assert publishing.not_here(REQUESTER, "publish_task", *publishing.task(4, reward=1)) == "insufficient_balance"


def test_what_nobody_has_cannot_be_locked(publishing):
    for samples in (1, MAX_SAMPLES):
        args = publishing.task(4, reward=MAX_INT, samples=samples)
        assert publishing.not_here(REQUESTER, "publish_task", *args) == "insufficient_balance"


@pytest.mark.parametrize(
    "changes,reason",
    [
        ({"lat_e7": 900_000_001}, "out_of_range"),
        ({"lat_e7": -900_000_001}, "out_of_range"),
        ({"lat_e7": 2**64 - 1}, "out_of_range"),
        ({"lon_e7": 1_800_000_001}, "out_of_range"),
        ({"lon_e7": -(2**63)}, "out_of_range"),
        ({"reward": 0}, "zero_reward"),
        ({"samples": 0}, "bad_samples"),
        ({"samples": MAX_SAMPLES + 1}, "bad_samples"),
        ({"samples": MAX_INT}, "bad_samples"),
        ({"time_ms": 0}, "time_out_of_collection"),
        ({"time_ms": MAX_INT}, "time_out_of_collection"),
        ({"interval_ms": 0}, "bad_interval"),
    ],
)
def test_publish__reject(publishing, changes, reason):
    assert publishing.not_here(REQUESTER, "publish_task", *publishing.task(0, **changes)) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"lat_e7": 900_000_000, "lon_e7": -1_800_000_000},
        {"reward": 1, "samples": MAX_SAMPLES},
        {"interval_ms": 1},
        {"interval_ms": MAX_INT},
    ],
)
def test_tasks_at_their_ends(publishing, changes):
    publishing.publish(REQUESTER, 127, **changes)


def test_a_task_is_for_the_time_of_collection(publishing):
    first, last = publishing.end_of(SELECTION) + 1, publishing.end_of(COLLECTION)
    for number, time_ms in ((0, first - 1), (1, last + 1)):
        args = publishing.task(number, at_ms=time_ms)
        assert publishing.not_here(REQUESTER, "publish_task", *args) == "time_out_of_collection"
    publishing.publish(REQUESTER, 0, at_ms=first)
    publishing.publish(REQUESTER, 1, at_ms=last)


def test_a_number_is_taken_once(publishing):
    publishing.publish(REQUESTER, 0)
    for who in (REQUESTER, OTHER_REQUESTER):
        assert publishing.not_here(who, "publish_task", *publishing.task(0)) == "number_taken"


def test_a_bid_locks_the_deposit(bidding):
    one, two = WORKERS[:2]
    bidding.bid(one, (0, 0), (1, 0))
    assert bidding.purses()["bid", account(one)] == 500 == -bidding.money()[one]
    assert bidding.not_here(one, "bid_path", 9, bidding.path((0, 0))) == "bid_twice"
    assert bidding.not_here(two, "bid_path", 0, bidding.path((0, 0))) == "seat_taken"
    assert bidding.not_here(two, "bid_path", MAX_BIDS, bidding.path((0, 0))) == "no_such_seat"
    assert bidding.not_here(two, "bid_path", MAX_INT, bidding.path((0, 0))) == "no_such_seat"
    bidding.here(two, "bid_path", MAX_BIDS - 1, bidding.path((0, 0)))
    assert [bid.worker for bid in bidding.bids] == [account(one), account(two)]


@pytest.mark.parametrize(
    "stops,reason",
    [
        ([], "empty_path"),
        ([(3, 0)], "unknown_task"),
        ([(0, 0), (0, 0)], "task_twice"),
        ([(0, 0), (1, 0), (0, 1)], "task_twice"),
        ([(0, 1), (1, 0)], "arrivals_out_of_order"),
        ([(0, -501)], "arrival_out_of_window"),
        ([(0, 501)], "arrival_out_of_window"),
        ([(2, -5_000)], "arrival_out_of_window"),  # before collection
        ([(2, 5_001)], "arrival_out_of_window"),  # after it
        ([(2, 0), (1, 499), (0, 501)], "arrival_out_of_window"),
    ],
)
def test_bid__reject(bidding, stops, reason):
    assert bidding.not_here(OUTSIDER, "bid_path", 0, bidding.path(*stops)) == reason


@pytest.mark.parametrize("arrival_ms", [0, MAX_INT])
def test_bid__reject_arrivals_at_the_end_of_time(bidding, arrival_ms):
    assert bidding.not_here(OUTSIDER, "bid_path", 0, (Stop(2, arrival_ms),)) == "arrival_out_of_window"


def test_paths_at_their_ends(bidding):
    bidding.bid(WORKERS[0], (0, -500), (1, 500))
    bidding.bid(WORKERS[1], (2, -4_999), (1, 0), (0, 0))
    bidding.bid(WORKERS[2], (2, 5_000))


def test_bid__reject_insufficient_balance():
    fair = Fair(deposit=FOUNDED + 1).to(PUBLISHING)
    fair.publish(REQUESTER, 0)
    fair.move()
    assert fair.not_here(OUTSIDER, "bid_path", 0, fair.path((0, 0))) == "insufficient_balance"


def test_nobody_walks_faster_than_the_terms_allow():
    """Tasks 0 and 2 are 22 metres apart: at 10 m/s that takes 2.2 seconds, less what 5 centimetres take."""
    fair = Fair(max_speed_mm_s=10_000).to(PUBLISHING)
    fair.publish(REQUESTER, 0, 2)
    fair.move()
    way_mm = haversine_mm((350_000_000, -800_000_000), (350_002_000, -800_000_000))
    assert 22_000 < way_mm < 22_500
    takes_ms = -(-(way_mm - NEAR_MM) // 10)
    assert fair.not_here(OUTSIDER, "bid_path", 0, fair.path((0, 0), (2, takes_ms - 1))) == "too_fast"
    assert fair.not_here(OUTSIDER, "bid_path", 0, fair.path((2, 0), (0, takes_ms - 1))) == "too_fast"
    fair.here(OUTSIDER, "bid_path", 0, fair.path((0, 0), (2, takes_ms)))


def test_who_is_an_oracle_may_do_all_else_too():
    fair = Fair().to(PUBLISHING)
    fair.publish(ORACLES[0], 0)
    fair.move()
    assert fair.phase == BIDDING
    fair.here(ORACLES[0], "bid_path", 0, fair.path((0, 0)))
