"""Every validation code by a transaction made for it; each stays in its block and leaves the state as it was."""

import pytest
from msgspec.structs import replace

from chain.codec import encode, transaction_id
from chain.contract import key_policy_key
from chain.keys import sign_transaction
from chain.ledgers.ordered.assemble import sign_envelope
from chain.ledgers.ordered.channel import CHANNEL_KEY
from chain.ledgers.ordered.endorse import endorse, seen_key
from chain.ledgers.ordered.msp import Signed
from chain.ledgers.ordered.update import with_batch, with_orderers
from chain.ledgers.ordered.values import (
    Envelope,
    RangeItem,
    ValidationCode,
    WriteItem,
    nonce_at,
    proposal_digest,
)
from tests.chain.ordered.lab import (
    BATCH,
    TTL_MS,
    Consortium,
    account,
    contents_root,
    key,
    peer_signer,
    signer,
)


@pytest.fixture
def lab():
    return Consortium()


def bad_payload(lab):
    envelope = lab.call("put", b"a", 1)
    return envelope.transaction, encode(envelope.evidence) + b"\x00"


def scans_too_much(lab):
    envelope = lab.call("total_to", b"x", b"t")
    endless = RangeItem(b"", b"", b"", True, 10**9, bytes(32))
    return lab.forge(envelope, ranges=(endless,) * 512)


def unsigned_transaction(lab):
    envelope = lab.call("put", b"a", 1)
    return Envelope(replace(envelope.transaction, nonce=envelope.transaction.nonce + 1), envelope.evidence)


def other_network(lab):
    envelope = lab.call("put", b"a", 1)
    moved = sign_transaction(
        key("client 0"), bytes(32), nonce_at(lab.now, 7), "cabinet", "put", envelope.transaction.args
    )
    return sign_envelope(key("client 0"), Envelope(moved, envelope.evidence))


def relay_changed_result(lab):
    """Endorsers who lie for the relay do not help: the client did not sign that."""
    envelope = lab.call("put", b"a", 1)
    forged = lab.forge(envelope, result=encode(5)).evidence
    return Envelope(envelope.transaction, replace(forged, signature=envelope.evidence.signature))


def relay_dropped_endorsement(lab):
    envelope = lab.call("put", b"a", 1, by=ORGS)
    return Envelope(envelope.transaction, replace(envelope.evidence, endorsements=envelope.evidence.endorsements[:2]))


def certificate_of_another(lab):
    envelope = lab.call("put", b"a", 1)
    creator = signer("org1", "client", "client 1").certificate
    return sign_envelope(key("client 0"), Envelope(envelope.transaction, replace(envelope.evidence, creator=creator)))


def other_proposal(lab):
    """Endorsed for one time, submitted with another."""
    envelope = lab.call("put", b"a", 1)
    moved = replace(envelope.evidence, time_ms=envelope.evidence.time_ms + 1)
    return sign_envelope(key("client 0"), Envelope(envelope.transaction, moved))


def others_endorsement(lab):
    """Good endorsements of one transaction with another one."""
    one, two = lab.call("put", b"a", 1), lab.call("put", b"a", 2)
    return sign_envelope(key("client 0"), Envelope(two.transaction, one.evidence))


def one_endorsement(lab):
    return lab.call("put", b"a", 1, by=["org1"])


def no_endorsement(lab):
    envelope = lab.call("put", b"a", 1)
    return sign_envelope(key("client 0"), Envelope(envelope.transaction, replace(envelope.evidence, endorsements=())))


def endorsed_twice_by_one(lab):
    envelope = lab.call("put", b"a", 1, by=["org1"])
    twice = replace(envelope.evidence, endorsements=envelope.evidence.endorsements * 2)
    return sign_envelope(key("client 0"), Envelope(envelope.transaction, twice))


def endorsed_by(lab, *signers):
    envelope = lab.call("put", b"a", 1)
    signed = tuple(endorse(one, envelope.evidence.response) for one in signers)
    return sign_envelope(
        key("client 0"), Envelope(envelope.transaction, replace(envelope.evidence, endorsements=signed))
    )


def two_peers_of_one_organisation(lab):
    return endorsed_by(lab, peer_signer("org1"), signer("org1", "peer", "second peer of org1"))


def clients_as_endorsers(lab):
    return endorsed_by(lab, signer("org1", "client", "client 1"), signer("org2", "client", "client 2"))


def expired_endorser(lab):
    return endorsed_by(lab, peer_signer("org1"), signer("org2", "peer", "old peer", until_ms=lab.now - 1))


def endorsement_of_other_writes(lab):
    """The liar's response, under the signatures that honest endorsers gave for theirs."""
    envelope = lab.call("put", b"a", 1)
    richer = replace(envelope.evidence.response, writes=(WriteItem(b"cabinet/a", encode(10**9)),))
    return sign_envelope(key("client 0"), Envelope(envelope.transaction, replace(envelope.evidence, response=richer)))


def borrowed_signature(lab):
    """The certificate of one who never signed."""
    envelope = lab.call("put", b"a", 1, by=["org1"])
    (first,) = envelope.evidence.endorsements
    stolen = Signed(peer_signer("org2").certificate, first.signature)
    both = replace(envelope.evidence, endorsements=(first, stolen))
    return sign_envelope(key("client 0"), Envelope(envelope.transaction, both))


def stale_read(lab):
    envelope = lab.call("increment", b"a")
    lab.run("put", b"a", 7)
    return envelope


def read_of_the_deleted(lab):
    lab.run("put", b"d", 1)
    envelope = lab.call("increment", b"d")
    lab.run("delete", b"d")
    return envelope


def phantom(lab):
    envelope = lab.call("total_to", b"p/", b"sum")
    lab.run("put", b"p/1", 1)
    return envelope


def writes(*items):
    return lambda lab: lab.forge(lab.call("put", b"a", 1), writes=tuple(items))


def forged_configuration(lab):
    """Enough endorsers, but no admin."""
    config = with_orderers(lab.one.channel, [account("thief")])
    return lab.forge(lab.call("put", b"a", 1), writes=(WriteItem(CHANNEL_KEY, encode(config)),))


def configuration_by_one_admin(lab):
    """The contract refuses it, so endorsers who lie say what it would have done."""
    config = with_batch(lab.one.channel, replace(BATCH, max_count=1))
    transaction = lab.update(config, admins=["org1"])
    proposal = lab.propose(transaction)
    honest = lab.ask(lab.propose(lab.update(config)))
    answers = [
        lab.endorse_falsely(one, by, proposal=proposal_digest(proposal))
        for one, by in zip(honest, ("org1", "org2"), strict=True)
    ]
    return lab.sign(proposal, answers)


def configuration_with_more(lab):
    """What admins signed, and a little beside."""
    config = with_batch(lab.one.channel, replace(BATCH, max_count=1))
    proposal = lab.propose(lab.update(config))
    envelope = lab.sign(proposal, lab.ask(proposal))
    more = (WriteItem(b"cabinet/a", encode(1)), *envelope.evidence.response.writes)
    return lab.forge(envelope, writes=more)


def other_configuration(lab):
    config = with_batch(lab.one.channel, replace(BATCH, max_count=1))
    proposal = lab.propose(lab.update(config))
    envelope = lab.sign(proposal, lab.ask(proposal))
    mine = with_batch(lab.one.channel, replace(BATCH, max_count=2))
    return lab.forge(envelope, writes=(WriteItem(CHANNEL_KEY, encode(mine)),))


ORGS = ("org1", "org2", "org3")
CODE = ValidationCode
CASES = {
    "not canonical": (bad_payload, CODE.BAD_PAYLOAD),
    "scans more than gas allows": (scans_too_much, CODE.BAD_PAYLOAD),
    "changed transaction": (unsigned_transaction, CODE.BAD_CREATOR_SIGNATURE),
    "of another network": (other_network, CODE.BAD_CREATOR_SIGNATURE),
    "result changed on the way": (relay_changed_result, CODE.BAD_CREATOR_SIGNATURE),
    "endorsement dropped on the way": (relay_dropped_endorsement, CODE.BAD_CREATOR_SIGNATURE),
    "certificate of another": (certificate_of_another, CODE.BAD_CREATOR_SIGNATURE),
    "proposed at another time": (other_proposal, CODE.BAD_PROPOSAL_TXID),
    "endorsements of another call": (others_endorsement, CODE.BAD_PROPOSAL_TXID),
    "one of two endorsements": (one_endorsement, CODE.ENDORSEMENT_POLICY_FAILURE),
    "no endorsement": (no_endorsement, CODE.ENDORSEMENT_POLICY_FAILURE),
    "one endorser twice": (endorsed_twice_by_one, CODE.ENDORSEMENT_POLICY_FAILURE),
    "two of one organisation": (two_peers_of_one_organisation, CODE.ENDORSEMENT_POLICY_FAILURE),
    "endorsed by clients": (clients_as_endorsers, CODE.ENDORSEMENT_POLICY_FAILURE),
    "endorsed with an expired certificate": (expired_endorser, CODE.ENDORSEMENT_POLICY_FAILURE),
    "endorsed other writes": (endorsement_of_other_writes, CODE.ENDORSEMENT_POLICY_FAILURE),
    "borrowed signature": (borrowed_signature, CODE.ENDORSEMENT_POLICY_FAILURE),
    "stale read": (stale_read, CODE.MVCC_READ_CONFLICT),
    "read of what is gone": (read_of_the_deleted, CODE.MVCC_READ_CONFLICT),
    "phantom": (phantom, CODE.PHANTOM_READ_CONFLICT),
    "configuration by nobody": (forged_configuration, CODE.INVALID_CONFIG_TRANSACTION),
    "configuration by one admin": (configuration_by_one_admin, CODE.INVALID_CONFIG_TRANSACTION),
    "configuration and more": (configuration_with_more, CODE.INVALID_CONFIG_TRANSACTION),
    "another configuration": (other_configuration, CODE.INVALID_CONFIG_TRANSACTION),
    "no configuration": (writes(WriteItem(CHANNEL_KEY, None)), CODE.INVALID_CONFIG_TRANSACTION),
    "the configuration's policy": (
        writes(WriteItem(key_policy_key(CHANNEL_KEY), b"'org1.admin'")),
        CODE.INVALID_WRITESET,
    ),
    "seen transactions": (writes(WriteItem(seen_key(0, bytes(32)), b"")), CODE.INVALID_WRITESET),
    "nonces": (writes(WriteItem(b"accounts/nonce/x", encode(1))), CODE.INVALID_WRITESET),
    "constants": (writes(WriteItem(b"constant/cabinet/a", encode(1))), CODE.INVALID_WRITESET),
    "policy of a constant": (writes(WriteItem(b"policy/constant/cabinet/a", b"'org1.peer'")), CODE.INVALID_WRITESET),
    "nobody's key": (writes(WriteItem(b"nobody/x", b"")), CODE.INVALID_WRITESET),
    "key without contract": (writes(WriteItem(b"cabinet", b"")), CODE.INVALID_WRITESET),
    "policy of a policy": (writes(WriteItem(b"policy/policy/cabinet/a", b"'org1.peer'")), CODE.INVALID_WRITESET),
    "policy without contract": (writes(WriteItem(b"policy/cabinet", b"'org1.peer'")), CODE.INVALID_WRITESET),
    "no policy": (writes(WriteItem(b"policy/cabinet/a", b"AND(")), CODE.INVALID_WRITESET),
    "policy that is no text": (writes(WriteItem(b"policy/cabinet/a", b"\xff")), CODE.INVALID_WRITESET),
    "written twice": (writes(WriteItem(b"cabinet/a", b"1"), WriteItem(b"cabinet/a", b"2")), CODE.INVALID_WRITESET),
    "not sorted": (writes(WriteItem(b"cabinet/b", b"1"), WriteItem(b"cabinet/a", b"2")), CODE.INVALID_WRITESET),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_with_its_code_and_nothing_changed(lab, name):
    make, code = CASES[name]
    made = make(lab)
    before, events = lab.contents, lab.one.head.height
    transaction, evidence = made if isinstance(made, tuple) else (made.transaction, encode(made.evidence))
    assert lab.deliver(lab.cut_raw([transaction], [evidence])) == [code.name]
    assert lab.contents == before and lab.one.head.height == events + 1
    block, receipt, index = lab.one.receipt(transaction_id(transaction))
    assert (block.transactions[index], receipt.ok, receipt.events) == (transaction, False, ())
    assert receipt.detail and receipt.reason == code.value
    assert {contents_root(peer) for peer in lab.peers.values()} == {before}


def test_each_code_is_reached():
    reached = {code for _, code in CASES.values()} | {CODE.VALID, CODE.DUPLICATE_TXID, CODE.PROPOSAL_EXPIRED}
    assert reached == set(ValidationCode)  # the last three have tests of their own below


def test_first_thing_that_is_wrong_is_named(lab):
    """An envelope with everything wrong is mended step by step: each mending shows the next fault."""
    lab.run("put", b"a", 1)
    stale, again, thrice = (lab.call("increment", b"a") for _ in range(3))  # an id serves once, whatever comes of it
    lab.run("put", b"a", 2)
    late = lab.now + TTL_MS + 1
    assert lab.commit(stale) == ["MVCC_READ_CONFLICT"]
    unendorsed = lab.forge(again, by=["org1"])
    assert lab.commit(unendorsed) == ["ENDORSEMENT_POLICY_FAILURE"]
    forbidden = lab.forge(thrice, by=["org1"], writes=(WriteItem(b"nobody/x", b""),))
    assert lab.commit(forbidden) == ["INVALID_WRITESET"]
    done = lab.call("put", b"b", 1)
    assert lab.commit(done) == ["VALID"]
    assert lab.commit(lab.forge(done, by=["org1"], writes=(WriteItem(b"nobody/x", b""),))) == ["DUPLICATE_TXID"]
    other = sign_envelope(key("client 0"), Envelope(stale.transaction, replace(stale.evidence, time_ms=0)))
    assert lab.commit(other, time_ms=late) == ["BAD_PROPOSAL_TXID"]
    assert lab.commit(forbidden, time_ms=late + 1) == ["PROPOSAL_EXPIRED"]
    unsigned = Envelope(stale.transaction, replace(stale.evidence, time_ms=0))
    assert lab.commit(unsigned, time_ms=late + 2) == ["BAD_CREATOR_SIGNATURE"]
