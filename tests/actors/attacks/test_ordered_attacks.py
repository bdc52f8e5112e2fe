"""Attacks on an ordered ledger: each wins without its defence and not with it, is refused with a reason, and is noticed."""

import pytest

from actors.attacks.case import TINY
from actors.attacks.ordered.altered_store import run_altered
from actors.attacks.ordered.catalogue import ORDERED_CASES
from actors.attacks.ordered.endorsers import ALL_PEERS, liars, run_lie
from actors.attacks.ordered.lying_orderer import altered, misled, reordered, run_lies
from actors.attacks.ordered.outsider import run_outsider
from actors.attacks.ordered.stage import (
    ACCOMPLICE,
    MOST_ORDERERS,
    MOST_PEERS,
    NAMES,
    ONE_ORDERER,
    ONE_PEER,
    VICTIM,
    accusers,
    forge,
    inject,
    pay,
    stage,
)
from actors.attacks.ordered.stale_certificates import run_stale
from actors.attacks.ordered.withholding import run_censor
from chain.codec import transaction_id
from chain.contracts.accounts import balance_of, supply
from chain.errors import Refused
from chain.keys import account_of
from chain.ledger import Diverged
from chain.ledgers.ordered.assemble import differences
from chain.ledgers.ordered.channel import ANYONE
from chain.ledgers.ordered.policy import any_of
from chain.ledgers.ordered.values import Proposal


@pytest.mark.parametrize("case", ORDERED_CASES, ids=lambda case: case.name)
def test_an_attack_wins_without_its_defence_and_not_with_it(case):
    without, with_ = case.run(False, 1, TINY), case.run(True, 1, TINY)
    assert without.wins > 0
    assert with_.wins == 0
    assert with_.tries > 0


@pytest.mark.slow
@pytest.mark.parametrize("case", ORDERED_CASES, ids=lambda case: case.name)
def test_attacks_with_more_seeds(case):
    assert all(case.run(True, seed, TINY).wins == 0 for seed in range(2, 10))


# --- endorsers


def test_a_lie_is_in_the_block_and_refused_by_the_policy_with_who_signed():
    trial, made = run_lie(3, ("peer1", "peer4"), MOST_PEERS, 1)
    ledger = trial.peers[1].ledger
    (receipt,) = ledger.receipts(ledger.head.height)
    assert (made, receipt.ok, receipt.reason) == (0, False, "endorsement_policy_failure")
    assert receipt.detail.startswith("org1.peer, org1.peer signed, ")


def test_what_the_policy_asks_for_is_believed():
    assert run_lie(3, ("peer1", "peer2"), MOST_PEERS, 1)[1] == 1
    assert run_lie(3, ("peer1", "peer2"), ALL_PEERS, 1)[1] == 0


def test_an_honest_client_is_told_who_lies_and_nothing_is_ordered():
    trial, clients = stage(3, liars("peer1"))
    call = pay(clients, VICTIM, ACCOMPLICE, 7, trial, endorsers=trial.peers[:2])
    trial.run_for(20_000)
    assert call.outcome == "endorsements_differ"
    assert not call.tried
    envelope = forge(trial, VICTIM, ACCOMPLICE, 7, [trial.peers[1]])
    proposal = Proposal(envelope.transaction, None, envelope.evidence.time_ms)
    (difference,) = differences([peer.endorse(proposal) for peer in (trial.peers[1], trial.peers[2], trial.peers[0])])
    assert (difference.accounts, difference.what) == ((trial.peers[0].account,), "writes")


# --- orderers


@pytest.mark.parametrize("lie", [reordered, altered])
def test_a_majority_of_orderers_publishes_the_true_block_and_all_learn_who_lied(lie):
    trial, liar = run_lies(2, lie, MOST_ORDERERS)
    assert not misled(trial, liar)
    assert accusers(trial, liar) == len(trial.members) - 1
    assert trial.peers[0].ledger.statistics().codes["VALID"] == 40


def test_with_one_signature_a_block_a_lying_orderer_altered_stops_the_channel_but_takes_nobodys_money():
    trial, liar = run_lies(2, altered, ONE_ORDERER)
    assert len(misled(trial, liar)) == len(trial.members) - 1
    assert accusers(trial, liar) > 0
    ledger = trial.peers[0].ledger
    assert ledger.statistics().codes["BAD_CREATOR_SIGNATURE"] > 0
    assert supply(ledger.state) == supply(trial.network.state)


def test_with_one_signature_a_fork_parts_the_peers_and_is_proved():
    trial, liar = run_lies(2, reordered, ONE_ORDERER, halves=True)
    wrong = misled(trial, liar)
    assert 0 < len(wrong) < len(trial.members) - 1
    assert accusers(trial, liar) > 0


def test_what_a_censor_withholds_is_ordered_by_the_next_leader():
    trial, censor, outcomes = run_censor(2, 3, removed=True)
    assert outcomes == ["valid"] * 3
    assert trial.leader is not censor
    _, _, outcomes = run_censor(2, 3, removed=False)
    assert outcomes == ["proposal_expired"] * 3


# --- stores, certificates, clients


@pytest.mark.parametrize("policy", [ONE_PEER, MOST_PEERS])
def test_a_peer_with_an_altered_store_finds_out_and_endorses_no_more(policy):
    trial, peer = run_altered(2, policy, 1)
    assert any(isinstance(seen, Diverged) for seen in peer.seen)
    with pytest.raises(Refused, match="replica_diverged"):
        forge(trial, VICTIM, ACCOMPLICE, 1, [peer])


@pytest.mark.parametrize("who", ["endorser", "orderer", "client"])
@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_who_has_a_stale_certificate_is_refused_with_the_reason(who, how):
    committed, reason = run_stale(2, who, how)
    assert not committed
    assert f"certificate_{how}" in reason


def test_outsiders_are_refused_with_what_they_lack():
    found = run_outsider(2, any_of(NAMES, "client"))
    assert found == {name: (False, name) for name in found}
    assert all(paid and not reason for paid, reason in run_outsider(2, ANYONE).values())


# --- replay


def test_an_envelope_takes_effect_once_however_often_it_is_ordered():
    trial, _ = stage(2)
    once = forge(trial, VICTIM, ACCOMPLICE, 100, trial.peers[:2])
    # Both were endorsed on the same state, so that the second is in conflict.
    late = forge(trial, VICTIM, ACCOMPLICE, 1_000, trial.peers[:2])
    before = balance_of(trial.peers[0].ledger.state, account_of(trial.keys[ACCOMPLICE]))
    for envelope in (once, late, once, late):
        inject(trial, envelope)
        trial.run_for(100)
    ledger = trial.peers[0].ledger
    codes = [ledger.receipt(transaction_id(envelope.transaction))[1].reason for envelope in (once, late)]
    assert codes == ["", "mvcc_read_conflict"]
    for envelope in (once, late):
        with pytest.raises(Refused, match="duplicate_txid"):
            ledger.check_envelope(envelope, trial.now_ms)
    # An orderer that helps puts them into a block nevertheless.
    for envelope in (once, late):
        trial.leader.ledger.pool.add(envelope)
        trial.leader.carry(trial.leader.orderer.offer(trial.now_ms))
        trial.run_for(100)
    again = [ledger.receipts(height)[0].reason for height in (ledger.head.height - 1, ledger.head.height)]
    assert again == ["duplicate_txid", "duplicate_txid"]
    assert balance_of(ledger.state, account_of(trial.keys[ACCOMPLICE])) == before + 100
