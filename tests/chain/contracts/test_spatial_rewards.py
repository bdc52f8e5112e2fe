"""Rewards against the formulas of spec/spatial.md, worked out by hand."""

import pytest

from chain.contracts.accounts import balance_of
from chain.contracts.spatial_rewards import requester_reward, worker_reward
from chain.geodesy import haversine_mm
from tests.chain.town import HERE, Town
from tests.strategies import account, spatial_rules

BOUNDED = spatial_rules()
PAPER = spatial_rules(reward="paper")
# gamma_r 0.2, gamma_w 0.1, unit 1 km, bases 1 and 0.5 credits, cap 4.


@pytest.mark.parametrize(
    "confirmed,distances_km,paper,bounded",
    [
        (1, [], 0, 1_000_000),  # a newcomer: nothing, or the base
        (2, [3], 1_200_000, 2_200_000),  # 0.2·2·3 = 1.2; 1 + 0.2·2·3 = 2.2
        (3, [3, 5], 4_800_000, 3_400_000),  # 0.2·3·8 = 4.8; 1 + 0.2·3·(8/2) = 3.4
        (5, [1, 2, 3, 4], 10_000_000, 3_000_000),  # 0.2·5·10 = 10; 1 + 0.2·min(5,4)·2.5 = 3
        (9, [1, 2, 3, 4], 18_000_000, 3_000_000),  # grows without bound; stays
        (2, [0], 0, 1_000_000),  # the same place again
    ],
)
def test_requester_rewards(confirmed, distances_km, paper, bounded):
    distances = [km * 1_000_000 for km in distances_km]
    assert requester_reward(PAPER, confirmed, distances) == paper
    assert requester_reward(BOUNDED, confirmed, distances) == bounded


@pytest.mark.parametrize(
    "confirmed,confirmers,distances_km,paper,bounded",
    [
        (1, 3, [], 0, 500_000),
        (2, 2, [3], 300_000, 800_000),  # 0.1·(1/2)·2·3 = 0.3; 0.5 + 0.3
        (3, 3, [3, 5], 800_000, 900_000),  # 0.1·(1/3)·3·8 = 0.8; 0.5 + 0.1·(1/3)·3·4 = 0.9
        (3, 5, [3, 5], 480_000, 740_000),  # 0.1·(1/5)·3·8 = 0.48; 0.5 + 0.24
        (2, 3, [1], 66_666, 566_666),  # 0.1·(1/3)·2·1 = 0.0666…, rounded down
        (7, 3, [1, 1, 1, 1], 933_333, 633_333),  # 0.1·(1/3)·7·4; 0.5 + 0.1·(1/3)·4·1
    ],
)
def test_worker_rewards(confirmed, confirmers, distances_km, paper, bounded):
    distances = [km * 1_000_000 for km in distances_km]
    assert worker_reward(PAPER, confirmed, confirmers, distances) == paper
    assert worker_reward(BOUNDED, confirmed, confirmers, distances) == bounded


def test_the_unit_divides_distances():
    halves = spatial_rules(reward="paper", distance_unit_m=500)
    assert requester_reward(halves, 2, [3_000_000]) == 2_400_000


@pytest.mark.parametrize("reading", ["paper", "bounded"])
def test_rewards_on_the_chain(reading):
    """Six reports in a line by one requester; workers 1 to 8 in groups of 3, of which the first 2 confirm."""
    town = Town(reward=reading)
    rules = town.rules
    places = [(HERE[0] + 90_000 * n, HERE[1]) for n in range(6)]
    requested, confirmed, owed = [], {}, {}
    for place in places:
        report = town.submit(70, place)
        group = town.decide(report, list(range(1, 9)), 2)[:2]
        kept = 10_000 if reading == "paper" else rules.history_cap
        last = [haversine_mm(place, past) for past in requested[-kept:]]
        requested.append(place)
        owed[70] = owed.get(70, 0) + requester_reward(rules, len(requested), last)
        for who in group:
            past = confirmed.setdefault(who, [])
            last = [haversine_mm(place, earlier) for earlier in past[-kept:]]
            past.append(place)
            owed[who] = owed.get(who, 0) + worker_reward(rules, len(past), 2, last)
    assert {who: balance_of(town.state, account(who)) for who in owed} == owed
    assert sum(owed.values()) == sum(each["amount"] for each in town.said("minted"))
    history = town.query("history", account(70), 100)
    assert history.requested == 6 and history.confirmed == 0
    kept = [(past.lat_e7, past.lon_e7) for past in history.requested_last]
    assert kept == (places if reading == "paper" else places[-4:])


def test_a_vote_without_a_reveal_earns_nothing():
    town = Town()
    report = town.submit(70)
    group, sealed = town.assign(report, list(range(1, 9)))
    for who in group:
        town.vote(report, sealed, who, confirm=True)
    town.until(town.query("progress", report).vote_until_ms)
    for who in group[:2]:
        town.call(who, "reveal", report, True, b"s" * 16)
    town.until(town.query("progress", report).reveal_until_ms)
    town.call(900, "tally", report, sealed.opening)
    assert set(town.report(report).workers) == {account(who) for who in group[:2]}
    assert balance_of(town.state, account(group[2])) == 0
