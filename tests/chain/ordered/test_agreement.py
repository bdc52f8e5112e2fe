"""Altered stores and liars about state: who is wrong learns it from others; who is right is not talked out of it."""

import pytest

from chain.codec import block_id, encode
from chain.errors import Refused
from chain.ledger import Ask, Disagreed, Diverged, Penalise
from chain.ledgers.ordered.agreement import MAX_STATES, Agreement, attest
from chain.ledgers.ordered.deliver import GetState, GetStatus, Status, decode_response
from chain.state import Version
from tests.chain.ordered.lab import Consortium, account, peer_signer, policies, signer


@pytest.fixture
def lab():
    lab = Consortium()
    lab.run("put", b"a", 1)
    lab.run("put", b"a", 2)
    for one in lab.peers:
        for other in lab.peers:
            if one != other:
                lab.peers[one].peer_up(other.encode(), lab.now)
    return lab


def tamper(ledger):
    """What an altered store comes to."""
    ledger._replica.state = ledger.state.apply({b"cabinet/a": encode(10**6)}, Version(1, 0))


def hear(lab, who, other):
    """`who` asks `other` how far it is, and whatever it wants to know then."""
    effects = []
    asks = [Ask(other.encode(), encode(GetStatus()))]
    while asks:
        ask = asks.pop(0)
        answer = lab.peers[ask.peer.decode()].answer(who.encode(), ask.request)
        got = lab.peers[who].answered(ask.peer, ask.request, answer, lab.now)
        asks += [effect for effect in got if isinstance(effect, Ask)]
        effects += got
    return effects


def test_peers_of_one_state_have_nothing_to_say(lab):
    for who in lab.peers:
        for other in lab.peers:
            if who != other:
                assert hear(lab, who, other) == []


def test_altered_store_is_told_by_others_and_endorses_and_attests_no_more(lab):
    tamper(lab.one)
    wrong = lab.one.answer(b"org2", encode(GetStatus()))
    effects = hear(lab, "org1", "org2")
    accounts = {effect.account for effect in effects if isinstance(effect, Disagreed)}
    assert accounts == {account("peer of org2"), account("peer of org3")}
    (diverged,) = [effect for effect in effects if isinstance(effect, Diverged)]
    assert diverged.height == 2 and lab.one.diverged == diverged.reason
    with pytest.raises(Refused, match="replica_diverged"):
        lab.one.endorse(lab.propose(lab.transaction("put", b"a", 1)), lab.now)
    status = decode_response(GetStatus(), lab.one.answer(b"org2", encode(GetStatus())))
    assert status.attestation is None
    assert decode_response(GetState(1), lab.one.answer(b"org2", encode(GetState(1)))).attestation is None
    assert lab.one.proof(lab.one.receipts(2)[0].transaction) is None
    # The others heard it when it still signed, and stay: one is no majority.
    effects = lab.peers["org2"].answered(b"org1", encode(GetStatus()), wrong, lab.now)
    assert Disagreed(2, account("peer of org1")) in effects
    assert not lab.peers["org2"].diverged
    assert lab.run("put", b"a", 3, by=["org2", "org3"]) == "VALID"


def test_altered_store_is_found_after_later_blocks_too(lab):
    """Its own roots follow from the altered state; the blocks it commits do not heal it."""
    tamper(lab.one)
    for value in range(3):
        lab.now += 10
        block = lab.cut(lab.call("put", b"b", value, by=["org2", "org3"]), on=lab.peers["org2"])
        for peer in lab.peers.values():
            peer.receive_block(b"x", block, lab.now)
    assert any(isinstance(effect, Diverged) for effect in hear(lab, "org1", "org3"))


def said(lab, by, height, root):
    """A status that a member signs, true or not."""
    head = block_id(lab.one.header(height))
    signed = attest(peer_signer(by), height, head, root)
    return encode(Status(lab.one.chain, height, head, signed.certificate, root, signed, b"", False, 1, 0))


def test_liars_with_different_lies_do_not_add_up(lab):
    answers = [said(lab, "org2", 2, bytes([1]) * 32), said(lab, "org3", 2, bytes([2]) * 32)]
    answers.append(said(lab, "org3", 1, bytes([1]) * 32))
    for answer in answers * 3:
        effects = lab.one.answered(b"org2", encode(GetStatus()), answer, lab.now)
        assert any(isinstance(effect, Disagreed) for effect in effects)
        assert not any(isinstance(effect, Diverged) for effect in effects)
    assert not lab.one.diverged and lab.run("put", b"a", 3) == "VALID"


def test_one_liar_is_asked_about_once_a_block(lab):
    answer = said(lab, "org2", 2, bytes([1]) * 32)
    first = lab.one.answered(b"org2", encode(GetStatus()), answer, lab.now)
    assert [effect.peer for effect in first if isinstance(effect, Ask)] == [b"org3"]
    again = lab.one.answered(b"org2", encode(GetStatus()), answer, lab.now)
    assert not [effect for effect in again if isinstance(effect, Ask)]
    for number in range(2 * MAX_STATES):
        lab.one.answered(b"org2", encode(GetStatus()), said(lab, "org2", 2, number.to_bytes(32, "big")), lab.now)
    assert not lab.one.diverged


def test_agreeing_liars_who_satisfy_the_policy_are_believed(lab):
    """The fault model: what enough endorsers sign is the truth of a channel."""
    for by in ("org2", "org3"):
        lab.one.answered(by.encode(), encode(GetStatus()), said(lab, by, 2, bytes(32)), lab.now)
    assert lab.one.diverged


def test_what_is_no_attestation_is_the_senders_fault(lab):
    true = lab.root
    stranger = attest(signer("org9", "peer", "stranger"), 2, lab.one.head_id, true)
    other = attest(peer_signer("org2"), 1, lab.one.head_id, true)
    for signed in (stranger, other):
        status = Status(lab.one.chain, 2, lab.one.head_id, None, true, signed, b"", False, 1, 0)
        (effect,) = lab.one.answered(b"org2", encode(GetStatus()), encode(status), lab.now)
        assert isinstance(effect, Penalise) and "bad_attestation" in effect.reason
    elsewhere = Status(bytes(32), 2, lab.one.head_id, None, true, None, b"", False, 1, 0)
    (effect,) = lab.one.answered(b"org2", encode(GetStatus()), encode(elsewhere), lab.now)
    assert isinstance(effect, Penalise) and "another network" in effect.reason


def test_clients_and_orderers_do_not_outvote_peers(lab):
    for number, role in enumerate(("client", "orderer", "admin")):
        one = signer(f"org{number + 1}", role, f"somebody {number}")
        signed = attest(one, 2, lab.one.head_id, bytes(32))
        status = Status(lab.one.chain, 2, lab.one.head_id, None, bytes(32), signed, b"", False, 1, 0)
        lab.one.answered(b"org2", encode(GetStatus()), encode(status), lab.now)
    assert not lab.one.diverged


def test_height_that_is_not_known_is_no_disagreement(lab):
    agreement = Agreement(lambda height: (None, None))
    signed = attest(peer_signer("org2"), 9, bytes(32), bytes(32))
    assert agreement.hear(lab.one.channel, 9, bytes(32), bytes(32), signed, lab.now) == []


def test_one_of_a_single_peer_policy_suffices():
    lab = Consortium(rules=policies(endorsement="OR('org1.peer', 'org2.peer')"))
    lab.run("put", b"a", 1, by=["org1"])
    lab.one.answered(b"org2", encode(GetStatus()), said(lab, "org2", 1, bytes(32)), lab.now)
    assert lab.one.diverged
