"""The largest campaign there can be gets through its selection and settlement within a call's gas."""

from random import Random

import pytest

from actors.sensing.selection import greedy
from chain.contracts.campaign_check import right_winners
from chain.contracts.campaign_records import BIDDING, MAX_BIDS, MAX_PATH, MAX_SAMPLES, MAX_TASKS, Selection
from chain.contracts.campaign_settlement import MAX_SETTLED
from chain.gas import MAX_TRANSACTION_GAS
from tests.chain.campaign_town import ORACLES, ORGANIZER, OUTSIDER, REQUESTER, Fair
from tests.strategies import account, genesis, pow_rules

CROWD = tuple(sorted(range(1_000, 1_000 + MAX_BIDS), key=account))
RICH = 10**9


def largest(**terms):
    """In bidding, on a network with the usual limits, and with as many workers as there are seats."""
    people = (ORGANIZER, REQUESTER, OUTSIDER, ORACLES[0], *CROWD)
    limits = pow_rules(max_transaction_gas=MAX_TRANSACTION_GAS, max_block_gas=MAX_TRANSACTION_GAS)
    fair = Fair(genesis(balances=tuple((who, RICH) for who in people), work=limits), **terms)
    fair.register(ORACLES[0])
    fair.move()
    fair.publish(REQUESTER, *range(MAX_TASKS), samples=MAX_SAMPLES)
    assert fair.move() == BIDDING
    return fair


def test_the_largest_campaign_fits_into_gas():
    fair, rng = largest(), Random(1)
    for seat, who in enumerate(CROWD):
        tasks = rng.sample(range(MAX_TASKS), MAX_PATH)
        fair.here(who, "bid_path", seat, fair.path(*((task, place) for place, task in enumerate(tasks))))
    fair.move()
    fair.wait_for_draw()

    tasks, bids = fair.tasks, fair.bids
    paths = [[stop.task for stop in bid.path] for bid in bids]
    fewest = greedy(paths, [task.samples for task in tasks])
    spare = next(place for place in range(MAX_BIDS) if place not in fewest)
    worse, better = ((*sorted({*fewest, *more}),) for more in ((spare,), ()))
    returned = fair.here(ORACLES[0], "return_selection", Selection(worse, right_winners(tasks, bids, worse)))
    challenged = fair.here(OUTSIDER, "challenge", Selection(better, right_winners(tasks, bids, better)))
    assert 10_000_000 < max(returned.gas, challenged.gas) < MAX_TRANSACTION_GAS

    while fair.phase != "done":
        fair.move(late_ms=1)
    while not fair.standing.settled:
        fair.here(OUTSIDER, "distribute_rewards", MAX_SETTLED)
    assert not [kind for kind, _ in fair.purses() if kind in ("task", "bid")]


@pytest.mark.slow
def test_the_largest_campaign_is_paid_out_when_all_is_in_dispute():
    """All are selected, the data of all come, every reward is won, and every one is in dispute, for good."""
    fair = largest(deposit=MAX_PATH, durations_ms=(100_000,) * 6)
    for place, who in enumerate(CROWD):
        numbers = (number % MAX_TASKS for number in range(place * MAX_PATH, (place + 1) * MAX_PATH))
        fair.here(who, "bid_path", place, fair.path(*((number, place) for number in numbers)))
    fair.move()
    fair.returned(fair.result(*CROWD))
    fair.move()
    fair.commit(*CROWD)
    fair.move()
    fair.open(*CROWD)
    winners = [(each.worker, number) for each in fair.ask("progress", 0) for number in each.chosen.wins]
    assert len(winners) == MAX_TASKS * MAX_SAMPLES
    for worker, number in winners:
        fair.here(REQUESTER, "dispute", worker, number)
    fair.move()
    fair.here(OUTSIDER, "distribute_rewards", 1)
    fair.settle(16)
    losers = {worker for worker, _ in winners}
    assert fair.said("forfeited") == [
        {"campaign": fair.campaign, "cycle": 0, "worker": account(who), "amount": MAX_PATH}
        for who in CROWD
        if account(who) in losers
    ]
    assert not [kind for kind, _ in fair.purses() if kind in ("task", "bid")]
