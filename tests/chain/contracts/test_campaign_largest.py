"""The largest campaign that there can be: whatever it takes to pay it out is allowed in one call of a usual network."""

import pytest

from actors.ledger_config import LedgerConfig
from chain.contracts.campaign_records import MAX_BIDS, MAX_PATH, MAX_SAMPLES, MAX_TASKS, ON_RETURN
from tests.chain.campaign_town import FOUNDED, ORACLES, ORGANIZER, OUTSIDER, REQUESTER, Fair
from tests.strategies import account, genesis, pow_rules

WORKERS = tuple(sorted(range(1_000, 1_000 + MAX_BIDS), key=account))


@pytest.mark.slow
def test_the_largest_campaign_is_selected_for_and_paid_out():
    """All tasks, all bids, the longest paths; all are selected, every reward is won and every one in dispute."""
    usual = LedgerConfig()
    work = pow_rules(max_transaction_gas=usual.max_transaction_gas, max_block_gas=usual.max_block_gas)
    people = (ORGANIZER, REQUESTER, OUTSIDER, *ORACLES, *WORKERS)
    fair = Fair(
        genesis(work=work, balances=tuple((who, FOUNDED) for who in people)),
        durations_ms=(100_000,) * 6,
        check=ON_RETURN,
        deposit=MAX_PATH,
    )
    fair.register(*ORACLES)
    fair.move()
    fair.publish(REQUESTER, *range(MAX_TASKS), reward=1, samples=MAX_SAMPLES, interval_ms=100_000)
    fair.move()
    for place, who in enumerate(WORKERS):
        numbers = (number % MAX_TASKS for number in range(place * MAX_PATH, (place + 1) * MAX_PATH))
        fair.here(who, "bid_path", place, fair.path(*((number, place) for number in numbers)))
    fair.move()
    fair.returned(fair.result(*WORKERS))
    assert fair.not_here(OUTSIDER, "challenge", None) == "selection_holds"
    fair.move()
    fair.commit(*WORKERS)
    fair.move()
    fair.open(*WORKERS)
    winners = [(each.worker, number) for each in fair.ask("progress", 0) for number in each.chosen.wins]
    assert len(winners) == MAX_TASKS * MAX_SAMPLES
    for worker, number in winners:
        fair.here(REQUESTER, "dispute", worker, number)
    fair.move()
    fair.here(OUTSIDER, "distribute_rewards", 1)
    fair.settle(16)
    losers = {worker for worker, _ in winners}
    assert fair.money()[REQUESTER] == MAX_PATH * len(losers)
