"""The largest campaign there can be gets through its selection and settlement within a call's gas."""

from random import Random

from actors.sensing.selection import greedy
from chain.contracts.campaign_check import right_winners
from chain.contracts.campaign_records import BIDDING, MAX_BIDS, MAX_PATH, MAX_SAMPLES, MAX_TASKS, Selection
from chain.contracts.campaign_settlement import MAX_SETTLED
from chain.gas import MAX_TRANSACTION_GAS
from tests.chain.campaign_town import ORACLES, ORGANIZER, OUTSIDER, REQUESTER, TERMS, Fair
from tests.chain.town import Town
from tests.strategies import genesis, pow_rules

CROWD = tuple(range(1_000, 1_000 + MAX_BIDS))
RICH = 10**9


class Largest(Fair):
    """A fair with as many workers as there are seats, on a network with the usual limits."""

    def __init__(self):
        people = (ORGANIZER, REQUESTER, OUTSIDER, ORACLES[0], *CROWD)
        limits = pow_rules(max_transaction_gas=MAX_TRANSACTION_GAS, max_block_gas=MAX_TRANSACTION_GAS)
        Town.__init__(self, genesis(balances=tuple((who, RICH) for who in people), work=limits))
        self.terms = TERMS
        self.campaign = self.do(ORGANIZER, "deploy", self.terms).transaction


def test_the_largest_campaign_fits_into_gas():
    fair, rng = Largest(), Random(1)
    fair.register(ORACLES[0])
    fair.move()
    fair.publish(REQUESTER, *range(MAX_TASKS), samples=MAX_SAMPLES)
    assert fair.move() == BIDDING
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
