"""Endorsers: what they refuse and why, and that those who are level answer with the same bytes."""

import pytest
from msgspec.structs import replace

from chain.codec import decode, encode
from chain.contract import encode_args
from chain.errors import Refused
from chain.keys import sign_transaction
from chain.ledgers.ordered.msp import issue
from chain.ledgers.ordered.update import revoke
from chain.ledgers.ordered.values import MAX_EVENTS, MAX_KEY_BYTES, MAX_RANGES, Response, WriteItem, nonce_at
from chain.values import MAX_EVIDENCE_BYTES
from tests.chain.ordered.lab import SKEW_MS, TTL_MS, Consortium, account, key, policies, signer


@pytest.fixture
def lab():
    return Consortium()


def refusal(lab, proposal, who="org1"):
    ledger = lab.peers[who]
    before, pending = ledger.state.root, ledger.statistics()
    with pytest.raises(Refused) as caught:
        ledger.endorse(proposal, lab.now)
    assert (ledger.state.root, ledger.statistics()) == (before, pending)
    return caught.value.reason


def test_answer_has_what_was_read_and_would_be_written(lab):
    lab.run("put", b"a", 3)
    endorsed = lab.one.endorse(lab.propose(lab.transaction("copy", b"a", b"b")), lab.now)
    (read,) = endorsed.response.reads
    assert (read.key, read.version) == (b"cabinet/a", (1, 0))
    assert endorsed.response.writes == (WriteItem(b"cabinet/b", encode(3)),)
    assert endorsed.height == 1 and lab.one.state.get(b"cabinet/b") is None


def test_level_endorsers_answer_with_the_same_bytes(lab):
    lab.run("put", b"s/1", 3)
    for method, *args in (("total_to", b"s/", b"t"), ("increment", b"s/1"), ("at", b"t"), ("say", b"x")):
        proposal = lab.propose(lab.transaction(method, *args), time_ms=lab.now + 3)
        answers = [
            encode(peer.endorse(proposal, lab.now + late).response) for late, peer in enumerate(lab.peers.values())
        ]
        assert len(set(answers)) == 1
        assert encode(decode(Response, answers[0], limit=MAX_EVIDENCE_BYTES)) == answers[0]


def test_block_id_is_the_same_for_who_is_further_ahead(lab):
    lab.run("put", b"a", 1)
    proposal = lab.propose(lab.transaction("look_up_block", 1))
    before = lab.one.endorse(proposal, lab.now).response
    lab.run("put", b"b", 1)
    assert lab.one.endorse(proposal, lab.now).response == before
    assert refusal(lab, lab.propose(lab.transaction("look_up_block", 9))) == "draw_not_ready"


def test_who_has_no_certificate_endorses_nothing(lab):
    with pytest.raises(Refused, match="no_endorser"):
        lab.ledger().endorse(lab.propose(lab.transaction("put", b"a", 1)), lab.now)


def test_contracts_refusal_is_told_at_once(lab):
    assert refusal(lab, lab.propose(lab.transaction("transfer", b"a", b"b", 5))) == "too_little"
    assert refusal(lab, lab.propose(lab.transaction("nothing"))) == "unknown_method"
    assert refusal(lab, lab.propose(lab.transaction("put", b"a"))) == "malformed_arguments"
    assert refusal(lab, lab.propose(lab.transaction("put", b"a", 1, contract="nobody"))) == "unknown_contract"
    assert refusal(lab, lab.propose(lab.transaction("guard", b"a", "AND("))) == "bad_policy"


def test_crash_of_a_contract_is_a_refusal(lab):
    assert refusal(lab, lab.propose(lab.transaction("crash"))) == "contract_failed"


def test_state_that_a_contract_cannot_read_stops_no_endorser(lab):
    """Members who satisfy one contract's policy may write what its code cannot read; the others go on."""
    nonsense = lab.forge(lab.call("put", b"a", 1), writes=(WriteItem(b"cabinet/a", b"\xc1"),))
    assert lab.commit(nonsense) == ["VALID"]
    assert refusal(lab, lab.propose(lab.transaction("increment", b"a"))) == "contract_failed"
    with pytest.raises(Refused, match="contract_failed"):
        lab.one.query("cabinet", "get", encode_args(b"a"))
    lab.now += 10
    assert lab.run("put", b"a", 2) == "VALID"


def test_signature_and_network_are_checked(lab):
    good = lab.transaction("put", b"a", 1)
    assert refusal(lab, lab.propose(replace(good, signature=bytes(64)))) == "bad_signature"
    assert refusal(lab, lab.propose(replace(good, sender=account("client 1")))) == "bad_signature"
    moved = sign_transaction(key("client 0"), bytes(32), nonce_at(lab.now, 1), "cabinet", "put", good.args)
    assert refusal(lab, lab.propose(moved)) == "wrong_chain"


@pytest.mark.parametrize("off,reason", [(SKEW_MS, None), (SKEW_MS + 1, "clock_skew"), (-SKEW_MS - 1, "clock_skew")])
def test_time_of_proposal_is_near_the_endorsers(lab, off, reason):
    proposal = lab.propose(lab.transaction("at", b"a"), time_ms=lab.now + off)
    if reason is None:
        assert lab.one.endorse(proposal, lab.now).response.result == encode(lab.now + off)
    else:
        assert refusal(lab, proposal) == reason


@pytest.mark.parametrize(
    "made,reason",
    [
        (SKEW_MS, None),
        (SKEW_MS + 1, "proposal_expired"),
        (-TTL_MS, None),
        (-TTL_MS - 1, "proposal_expired"),
    ],
)
def test_transaction_was_made_not_long_ago(lab, made, reason):
    lab.now += TTL_MS
    proposal = lab.propose(lab.transaction("put", b"a", 1, made_ms=lab.now + made))
    if reason is None:
        lab.one.endorse(proposal, lab.now)
    else:
        assert refusal(lab, proposal) == reason


def test_committed_transaction_is_not_endorsed_again(lab):
    transaction = lab.transaction("put", b"a", 1)
    proposal = lab.propose(transaction)
    lab.commit(lab.sign(proposal, lab.ask(proposal)))
    assert refusal(lab, proposal) == "duplicate_txid"


def test_writers_policy_is_checked_before_the_contract_runs():
    lab = Consortium(rules=policies(writers="'org1.client'"))
    until = lab.now + 10_000
    transaction = lab.transaction("crash")

    def asked(creator):
        return refusal(lab, lab.propose(transaction, creator=creator))

    assert asked(None) == "certificate_required"
    assert asked(signer("org2", "client", "client 0").certificate) == "not_a_writer"
    assert asked(signer("org1", "peer", "client 0").certificate) == "not_a_writer"
    assert asked(signer("org1", "client", "client 1").certificate) == "certificate_of_another"
    assert asked(signer("org1", "client", "client 0", until_ms=lab.now - 1).certificate) == "certificate_expired"
    assert asked(issue(key("root of org1"), "org1", "client", account("client 0"), 1, until, until)) == (
        "certificate_not_yet_valid"
    )
    assert asked(issue(key("thief"), "org1", "client", account("client 0"), 1, 0, until)) == "bad_certificate"
    assert asked(issue(key("thief"), "org9", "client", account("client 0"), 1, 0, until)) == "unknown_organisation"
    good = signer("org1", "client", "client 0").certificate
    assert asked(good) == "contract_failed"
    assert lab.one.endorse(lab.propose(lab.transaction("put", b"a", 1), creator=good), lab.now)


def test_revoked_client_is_refused():
    lab = Consortium(rules=policies(writers="'org1.client'"))
    certificate = signer("org1", "client", "client 0").certificate
    proposal = lab.propose(lab.update(revoke(lab.one.channel, certificate)), creator=certificate)
    assert lab.commit(lab.sign(proposal, lab.ask(proposal))) == ["VALID"]
    lab.now += 10
    assert refusal(lab, lab.propose(lab.transaction("put", b"a", 1), creator=certificate)) == "certificate_revoked"


@pytest.mark.parametrize(
    "method,args",
    [
        ("put_many", (0, 200, 300)),  # 60,000 bytes written
        ("put", (b"k" * MAX_KEY_BYTES, 1)),
        ("replace", (b"k" * MAX_KEY_BYTES, 1)),
        ("copy", (b"k" * MAX_KEY_BYTES, b"a")),
        ("total_to", (b"k" * MAX_KEY_BYTES, b"a")),
        ("scan_often", (MAX_RANGES + 1,)),
        ("say_often", (MAX_EVENTS + 1,)),
        ("read_many", (8_193,)),
    ],
)
def test_response_is_bounded(lab, method, args):
    assert refusal(lab, lab.propose(lab.transaction(method, *args))) == "response_too_large"


def test_longest_response_can_be_ordered(lab):
    """What endorsers sign, peers can decode: as large a response as there may be goes all the way."""
    longest = b"k" * (MAX_KEY_BYTES - len(b"cabinet/"))
    assert lab.run("copy", longest, longest) == "VALID"
    lab.now += 10
    assert lab.run("put_many", 0, 120, 300) == "VALID"
    assert lab.run("total_to", longest, b"a") == "VALID"


def test_gas_is_bounded(lab):
    assert refusal(lab, lab.propose(lab.transaction("put_many", 0, 10**9, 1))) == "out_of_gas"
