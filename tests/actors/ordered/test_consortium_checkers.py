"""The checkers notice what they are there for."""

import pytest
from msgspec.structs import replace

from actors.attacks.ordered.lying_orderer import LyingOrderer, reordered
from actors.attacks.ordered.stage import ONE_ORDERER, leader_of, pay, policies, stage
from actors.consortium_checkers import BrokenError, Watch
from chain.codec import encode
from chain.contract import balance_key
from chain.keys import account_of
from chain.state import Version


@pytest.fixture
def scene():
    trial, clients = stage(1)
    watch = Watch(trial, clients)
    for number in range(4):
        pay(clients, f"customer{number}", "customer5", 1 + number, trial)
    assert trial.run_until(lambda: watch.settled, trial.now_ms + 5_000)
    watch.check_end()
    return trial, clients, watch


def test_a_call_that_took_effect_though_its_client_was_told_otherwise(scene):
    _, clients, watch = scene
    clients.calls[1].outcome = "proposal_expired"
    with pytest.raises(BrokenError, match="told proposal_expired, and its call took effect 1 times"):
        watch.check_end()


def test_a_call_that_was_acknowledged_and_is_not_there(scene):
    _, clients, watch = scene
    clients.calls[1].tried.clear()
    with pytest.raises(BrokenError, match="told valid, and its call took effect 0 times"):
        watch.check_end()


def test_a_call_that_never_ended(scene):
    _, clients, watch = scene
    clients.calls[1].ended_ms = None
    assert not watch.settled
    with pytest.raises(BrokenError, match="unfinished"):
        watch.check_end()


def test_a_member_with_another_state(scene):
    trial, _, watch = scene
    replica = trial.peers[2].ledger._replica
    replica.state = replica.state.apply({balance_key(account_of(trial.keys["customer0"])): encode(1)}, Version(1, 0))
    with pytest.raises(BrokenError, match="peer3 has another state"):
        watch.check_end()


def test_money_that_nobody_paid(scene):
    trial, clients, watch = scene
    call = clients.calls[0]
    call.args = encode((account_of(trial.keys["customer5"]), 2))
    with pytest.raises(BrokenError, match="not "):
        watch.check_end()


def test_receipts_that_differ_and_transactions_that_take_effect_twice(scene):
    trial, _, _ = scene
    peer = trial.peers[0]
    height = peer.ledger.head.height
    block, receipts = peer.ledger.block(height), peer.ledger.receipts(height)
    with pytest.raises(BrokenError, match="other receipts"):
        trial.on_commit(peer, block, tuple(replace(one, ok=False) for one in receipts))
    child = replace(
        block, header=replace(block.header, height=height + 1, parent=peer.ledger.head_id, time_ms=trial.now_ms)
    )
    with pytest.raises(BrokenError, match="took effect twice"):
        trial.on_commit(peer, child, receipts)


def test_a_fork():
    trial, clients = stage(2, LyingOrderer, policies=policies(blocks=ONE_ORDERER))
    Watch(trial, clients)
    liar = leader_of(trial)
    liar.lie, liar.halves = reordered, True
    for number in range(4):
        pay(clients, f"customer{number}", "customer5", 1, trial)
    with pytest.raises(BrokenError, match="has another block"):
        trial.run_for(2_000)
