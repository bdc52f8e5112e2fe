"""Attacks on the chain: each does what it says without the defence, and not with it; where it does, the case says why."""

from dataclasses import replace
from functools import lru_cache

import pytest

from actors.attack_table import CASES
from actors.attacks.case import TINY, Measured
from actors.attacks.chain.double_spend import predicted
from actors.attacks.chain.malleability import reduced, twin
from actors.chain_trial import Field, Peer, found, key_of, pay
from chain.codec import transaction_id
from chain.errors import Refused
from chain.keys import account_of, check_transaction

STOPPED = [
    "selfish-45",
    "double-spend-51",
    "quota-one-key",
    "time-jacking-ahead",
    "time-jacking-behind",
    "malleability",
    "race-payment",
    "flood-one-account",
    "wrong-incentive",
]
"""Those whose outcome is clear in a small trial: the others differ from one of these by a parameter."""
STANDS = ["selfish-40-sybils", "quota-sybils", "flood-sybils", "newcomers-51"]


LONGER = {"quota-one-key": 800, "time-jacking-behind": 1_000}
"""Blocks for those that a tiny trial does not tell from luck; at these, whatever the seed."""


@lru_cache
def trial(name: str, defended: bool) -> Measured:
    return CASES[name].run(defended, 1, replace(TINY, blocks=LONGER.get(name, TINY.blocks)))


@pytest.mark.parametrize("name", STOPPED)
def test_attack_succeeds_without_the_defence(name):
    measured = trial(name, False)
    assert measured.tries > 0
    assert measured.share > CASES[name].limit


@pytest.mark.parametrize("name", STOPPED)
def test_defence_holds(name):
    measured = trial(name, True)
    assert measured.tries > 0
    assert measured.share <= CASES[name].limit
    assert not CASES[name].stands


@pytest.mark.parametrize("name", STANDS)
def test_what_no_defence_stops_is_said_to_stand(name):
    assert trial(name, True).share > CASES[name].limit
    assert CASES[name].stands


def test_finality_keeps_a_payment_and_loses_newcomers():
    """The same attempts of a majority, judged by two goals."""
    assert trial("double-spend-51", True).wins == 0
    assert trial("newcomers-51", True).wins > 0


def test_a_rogue_miner_works_in_vain():
    assert trial("wrong-incentive", True).figures["rogue's share of blocks"] == 0


def test_honest_replicas_agree_where_nobody_attacks():
    field = Field(found(7, finality_depth=4), 7)
    peers = field.add_honest(100, count=3)
    assert field.run(1_000_000, lambda: min(peer.ledger.final.height for peer in peers) >= 20)
    assert len({peer.ledger.header(20) for peer in peers}) == 1
    assert set(peers[0].producers(last=20)) <= {peer.account for peer in peers}


def test_a_late_peer_syncs_with_the_honest():
    field = Field(found(8), 8)
    (miner,) = field.add_honest(100, count=1)
    field.run(1_000_000, lambda: miner.ledger.head.height >= 10)
    late = field.add(Peer(field, "late", 0))
    assert field.run(60_000, lambda: late.ledger.head.height >= 10)


def test_twin_is_another_signature_of_the_same_transaction_and_refused():
    network = found(1, ["buyer"])
    transaction = pay(network, key_of(1, "buyer"), 0, account_of(key_of(1, "shop")))
    other = twin(transaction)
    assert other != transaction
    assert transaction_id(other) == transaction_id(transaction)
    assert reduced(other) == transaction
    with pytest.raises(Refused, match="bad_signature"):
        check_transaction(other, network.id)


@pytest.mark.parametrize("alpha, depth", [(0.1, 2), (0.3, 6), (0.45, 3)])
def test_prediction_is_that_of_the_walk_it_stands_for(alpha, depth):
    """Block by block, with the lead of the attacker cut off where it hardly ever comes back from."""
    far = 200
    before = {(0, 0): 1.0}
    shipped: dict[int, float] = {}
    while before:
        after: dict[tuple[int, int], float] = {}
        for (public, own), chance in before.items():
            if public == depth or own > depth + far:
                shipped[own] = shipped.get(own, 0.0) + chance
                continue
            if chance < 1e-15:
                continue
            for step, share in (((public + 1, own), 1 - alpha), ((public, own + 1), alpha)):
                after[step] = after.get(step, 0.0) + chance * share
        before = after
    ruin = alpha / (1 - alpha)
    won = sum(chance * min(1.0, ruin ** (depth - own + 1)) for own, chance in shipped.items())
    assert predicted(alpha, depth) == pytest.approx(won, abs=1e-9)


def test_a_majority_needs_no_luck():
    assert predicted(0.51, 6) == 1.0
