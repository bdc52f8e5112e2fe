"""With pseudonyms, the ledger shows accounts that do one thing each; only the MEC node knows whose they are."""

from collections import Counter

import pytest

from actors.identity import Identity
from actors.pseudonyms import MAX_OFFERED, Pseudonyms
from chain.contract import event_fields
from tests.actors.simulated import simulate, small
from tests.checkers import what_went_wrong

WORKER = Identity.derive(1, "worker-01")


def test_keys_are_derived_and_never_come_twice():
    first, again = Pseudonyms(WORKER, 5), Pseudonyms(WORKER, 5)
    made = [first.fresh() for _ in range(10)]
    assert made == [again.fresh() for _ in range(10)]
    assert len({each.account for each in made}) == 10
    later = Pseudonyms(WORKER, 6).fresh()
    assert later not in made and WORKER.account not in {each.account for each in made}


def test_a_key_that_was_offered_can_be_used_until_it_is_too_old():
    keys = Pseudonyms(WORKER, 0)
    made = [keys.fresh() for _ in range(MAX_OFFERED + 1)]
    assert keys.use(made[0].account) is None
    assert keys.use(WORKER.account) is None
    assert keys.use(made[1].account) == made[1] == keys.use(made[1].account)
    assert list(keys.used()) == [made[1].account]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    scenario = small(population__worker__pseudonyms=True, population__requester__pseudonyms=True)
    return simulate(scenario, tmp_path_factory.mktemp("pseudonyms"))


@pytest.fixture(scope="module")
def calls(run):
    """(method, sender, report) of all that final blocks hold of the spatial contract."""
    core = run.swarm.full_nodes[0].core
    registry = run.swarm.world.network.registry
    found = []
    for height in range(1, core.final.height + 1):
        for transaction in core.block(height).transactions:
            if transaction.contract == "spatial":
                arguments = registry.method("spatial", transaction.method, is_query=False).decode_args(transaction.args)
                found.append((transaction.method, transaction.sender, arguments[0]))
    return found


def test_reports_are_confirmed_all_the_same(run):
    assert what_went_wrong(run.report) == []
    assert run.report["reports"]["confirmed"] >= 5


def test_no_account_votes_twice_or_reports_twice(calls):
    for method in ("vote", "submit"):
        senders = Counter(sender for called, sender, _ in calls if called == method)
        assert len(senders) >= 5 and set(senders.values()) == {1}, method


def test_no_worker_or_requester_shows_its_own_account(run, calls):
    own = {m.identity.account for m in run.swarm.members if m.role in ("worker", "requester")}
    assert not own & {sender for _, sender, _ in calls}
    core = run.swarm.full_nodes[0].core
    for height in range(1, core.final.height + 1):
        for receipt in core.receipts(height):
            for event in receipt.events:
                assert not any(account in event.data for account in own), event


def test_their_bearers_are_paid(run):
    """Each actor knows its own keys, and what they earned is the rewards that were paid."""
    core = run.swarm.full_nodes[0].core
    used = Counter()
    for actor in run.swarm.actors.values():
        if actor.role in ("worker", "requester"):
            used.update(actor.pseudonyms.used())
    assert set(used.values()) == {1}
    paid = set()
    for height in range(1, core.final.height + 1):
        for receipt in core.receipts(height):
            for event in receipt.events:
                if event.name == "confirmed":
                    fields = event_fields(event)
                    paid |= {fields["requester"], *fields["workers"]}
    assert len(paid) >= 10 and paid <= set(used)
