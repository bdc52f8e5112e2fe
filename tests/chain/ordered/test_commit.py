"""What valid transactions do, and what they depend on: versions, ranges, policies of keys and contracts, time, the channel."""

import pytest
from msgspec.structs import replace

from chain.codec import encode, transaction_id
from chain.errors import Refused
from chain.ledgers.ordered.channel import ContractPolicy
from chain.ledgers.ordered.endorse import endorse, seen_key
from chain.ledgers.ordered.update import revoke, with_batch
from chain.ledgers.ordered.values import (
    Endorsed,
    ReadItem,
    WriteItem,
)
from tests.chain.ordered.lab import (
    BATCH,
    SKEW_MS,
    TTL_MS,
    Consortium,
    account,
    peer_signer,
    policies,
    signer,
)

ORGS = ("org1", "org2", "org3")


@pytest.fixture
def lab():
    return Consortium()


def test_fabrics_example_of_five_transactions(lab):
    """The example of Fabric's page on read-write set semantics: all five simulated on one state, ordered T1 to T5."""
    lab.commit(*[lab.call("put", b"k%d" % n, n) for n in range(1, 6)])
    lab.now += 10
    t1 = lab.forge(
        lab.call("put", b"k1", 11),
        writes=(WriteItem(b"cabinet/k1", encode(11)), WriteItem(b"cabinet/k2", encode(12))),
    )
    t2 = lab.call("copy", b"k1", b"k3")
    t3 = lab.call("put", b"k2", 22)
    t4 = lab.call("replace", b"k2", 32)
    t5 = lab.call("copy", b"k5", b"k6")
    assert lab.commit(t1, t2, t3, t4, t5) == ["VALID", "MVCC_READ_CONFLICT", "VALID", "MVCC_READ_CONFLICT", "VALID"]
    assert [lab.value(b"k%d" % n) for n in range(1, 7)] == [11, 22, 3, 4, 5, 5]
    assert lab.one.state.version(b"cabinet/k2") == (lab.one.head.height, 2)


def test_reads_conflict_across_blocks_too(lab):
    first, second = lab.call("increment", b"a"), lab.call("increment", b"a")
    assert lab.commit(first) == ["VALID"]
    assert lab.commit(second) == ["MVCC_READ_CONFLICT"]
    assert lab.value(b"a") == 1


def test_invalid_one_does_not_disturb_those_after_it(lab):
    lab.run("put", b"a", 1)
    doomed = lab.forge(lab.call("put", b"a", 5), by=["org1"])
    reader = lab.call("copy", b"a", b"b")
    assert lab.commit(doomed, reader) == ["ENDORSEMENT_POLICY_FAILURE", "VALID"]
    assert lab.value(b"b") == 1


def test_written_and_deleted_again_is_another_version(lab):
    lab.run("put", b"a", 1)
    reader = lab.call("copy", b"a", b"b")
    lab.run("delete", b"a")
    lab.run("put", b"a", 1)
    assert lab.commit(reader) == ["MVCC_READ_CONFLICT"]


def test_own_writes_are_read_and_are_no_reads(lab):
    envelope = lab.call("increment_twice", b"a")
    response = envelope.evidence.response
    assert response.reads == (ReadItem(b"cabinet/a", None),)
    assert lab.commit(envelope) == ["VALID"] and lab.value(b"a") == 2
    lab.now += 10
    blind = lab.call("put_then_total", b"z/1", 5, b"z/")
    assert blind.evidence.response.result == encode(5)
    assert lab.commit(blind) == ["VALID"]
    lab.now += 10
    seen = lab.call("put_then_total", b"z/1", 6, b"z/")  # masks what is there, and depends on it all the same
    assert seen.evidence.response.result == encode(6)
    lab.run("put", b"z/1", 7)
    assert lab.commit(seen) == ["PHANTOM_READ_CONFLICT"]


@pytest.mark.parametrize(
    "method,args,conflict",
    [
        ("put", (b"s/15", 1), True),
        ("delete", (b"s/20",), True),
        ("put", (b"s/20", 9), True),
        ("put", (b"s/0", 1), True),
        ("put", (b"s/99", 1), True),
        ("delete", (b"s/99",), False),
        ("put", (b"r/99", 1), False),
        ("put", (b"t", 1), False),
    ],
)
def test_exhausted_scan_is_found_again(lab, method, args, conflict):
    lab.commit(*[lab.call("put", b"s/%d" % n, n) for n in (10, 20, 30)])
    lab.now += 10
    scan = lab.call("total_to", b"s/", b"sum")
    assert lab.run(method, *args) == "VALID"
    assert lab.commit(scan) == ["PHANTOM_READ_CONFLICT" if conflict else "VALID"]


@pytest.mark.parametrize(
    "method,args,conflict",
    [
        ("put", (b"s/15", 1), True),
        ("put", (b"s/20", 9), True),
        ("delete", (b"s/20",), True),
        ("put", (b"s/200", 9), False),  # right after the last key seen
        ("put", (b"s/30", 9), False),
        ("delete", (b"s/30",), False),
        ("put", (b"s/0", 1), True),
    ],
)
def test_unexhausted_scan_ends_with_the_last_key_seen(lab, method, args, conflict):
    lab.commit(*[lab.call("put", b"s/%d" % n, n) for n in (10, 20, 30)])
    lab.now += 10
    scan = lab.call("first_to", b"s/", 2, b"count")
    (item,) = scan.evidence.response.ranges
    assert (item.last, item.exhausted, item.count) == (b"cabinet/s/20", False, 2)
    assert lab.run(method, *args) == "VALID"
    assert lab.commit(scan) == ["PHANTOM_READ_CONFLICT" if conflict else "VALID"]


def test_empty_scan_is_found_empty_again(lab):
    scan, again = lab.call("total_to", b"s/", b"sum"), lab.call("total_to", b"s/", b"sum")
    assert lab.commit(scan, lab.call("put", b"s/1", 1), again) == ["VALID", "VALID", "PHANTOM_READ_CONFLICT"]


def test_keys_own_policy_stands_in_for_its_contracts(lab):
    assert lab.run("put", b"safe", 1) == "VALID"
    assert lab.run("guard", b"safe", "'org3.peer'") == "VALID"
    assert lab.run("put", b"safe", 2) == "ENDORSEMENT_POLICY_FAILURE"
    assert lab.run("put", b"safe", 2, by=["org3"]) == "VALID"
    assert lab.run("put", b"else", 2, by=["org3"]) == "ENDORSEMENT_POLICY_FAILURE"
    assert lab.run("delete", b"safe") == "ENDORSEMENT_POLICY_FAILURE"
    both = lab.call("transfer", b"safe", b"else", 1, by=["org3"])
    assert lab.commit(both) == ["ENDORSEMENT_POLICY_FAILURE"]
    lab.now += 10
    assert lab.run("transfer", b"safe", b"else", 1, by=ORGS) == "VALID"


def test_keys_policy_is_changed_by_whom_the_old_one_names(lab):
    assert lab.run("guard", b"safe", "'org3.peer'", by=["org3"]) == "ENDORSEMENT_POLICY_FAILURE"
    assert lab.run("guard", b"safe", "'org3.peer'") == "VALID"
    assert lab.run("guard", b"safe", "'org1.peer'") == "ENDORSEMENT_POLICY_FAILURE"
    assert lab.run("guard", b"safe", None) == "ENDORSEMENT_POLICY_FAILURE"
    assert lab.run("guard", b"safe", None, by=["org3"]) == "VALID"
    assert lab.run("put", b"safe", 2, by=["org3"]) == "ENDORSEMENT_POLICY_FAILURE"
    assert lab.run("put", b"safe", 2) == "VALID"


def test_keys_policy_holds_from_the_next_transaction_on(lab):
    guard, put = lab.call("guard", b"safe", "'org3.peer'"), lab.call("put", b"safe", 2)
    assert lab.commit(guard, put) == ["VALID", "ENDORSEMENT_POLICY_FAILURE"]


def special(**texts):
    return policies(contracts=tuple(ContractPolicy(name, text) for name, text in sorted(texts.items())))


def test_writes_need_the_policies_of_all_contracts_they_belong_to():
    lab = Consortium(rules=special(accounts="'org3.peer'", cabinet="'org1.peer'"))
    assert lab.run("put", b"a", 1, by=["org1"]) == "VALID"
    assert lab.run("mint", account("client 1"), 5, by=["org1"]) == "ENDORSEMENT_POLICY_FAILURE"
    assert lab.run("mint", account("client 1"), 5, by=["org1", "org3"]) == "VALID"


def test_the_called_contracts_endorsers_must_agree_even_when_it_writes_nothing_itself():
    """Else endorsers of `accounts` could say what `cabinet` said and returned."""
    lab = Consortium(rules=special(accounts="'org3.peer'", cabinet="'org1.peer'"))
    assert lab.run("mint", account("client 1"), 5, by=["org3"]) == "ENDORSEMENT_POLICY_FAILURE"
    assert lab.run("say", b"hello", by=["org3"]) == "ENDORSEMENT_POLICY_FAILURE"
    assert lab.run("say", b"hello", by=["org1"]) == "VALID"


def test_same_transaction_is_valid_once(lab):
    envelope = lab.call("increment", b"a")
    before = lab.root
    assert lab.commit(envelope, envelope) == ["VALID", "DUPLICATE_TXID"]
    after = lab.root
    assert lab.commit(envelope) == ["DUPLICATE_TXID"]
    assert lab.value(b"a") == 1 and lab.root == after != before
    assert lab.one.receipt(transaction_id(envelope.transaction))[1].ok


def test_conflict_uses_the_id_up(lab):
    """Its sender was told that it had no effect, and makes a new one: the same can have none later, ordered again or not."""
    proposal = lab.propose(lab.transaction("increment", b"a"))
    first = lab.sign(proposal, lab.ask(proposal))
    lab.run("put", b"a", 5)
    assert lab.commit(first) == ["MVCC_READ_CONFLICT"]
    lab.now += 10
    with pytest.raises(Refused, match="duplicate_txid"):
        lab.ask(lab.propose(proposal.transaction))
    assert lab.commit(first) == ["DUPLICATE_TXID"]
    assert lab.value(b"a") == 5
    assert lab.one.receipt(transaction_id(proposal.transaction))[1].reason == "mvcc_read_conflict"


def test_what_is_forgotten_has_expired(lab):
    """A transaction's id is remembered as long as a copy of it could be valid, and not longer."""
    made = lab.now
    envelope = lab.call("put", b"a", 1)
    remembered = seen_key(envelope.transaction.nonce, transaction_id(envelope.transaction))
    assert lab.commit(envelope) == ["VALID"] and remembered in lab.one.state
    assert lab.commit(envelope, time_ms=made + TTL_MS) == ["DUPLICATE_TXID"]
    assert remembered in lab.one.state
    assert lab.commit(envelope, time_ms=made + TTL_MS + 1) == ["PROPOSAL_EXPIRED"]
    assert remembered not in lab.one.state
    assert lab.one.receipt(transaction_id(envelope.transaction))[1].ok  # what came of it stays what it was


@pytest.mark.parametrize(
    "ahead,code",
    [
        (-TTL_MS - 1, "PROPOSAL_EXPIRED"),
        (-TTL_MS, "VALID"),
        (2 * SKEW_MS, "VALID"),
        (2 * SKEW_MS + 1, "PROPOSAL_EXPIRED"),
    ],
)
@pytest.mark.parametrize("what", ["made", "proposed"])
def test_proposals_hold_for_a_while(lab, what, ahead, code):
    lab.now += TTL_MS
    block_ms = lab.now + 20_000
    other = block_ms - 10_000
    made, proposed = (block_ms + ahead, other) if what == "made" else (other, block_ms + ahead)
    proposal = lab.propose(lab.transaction("put", b"a", 1, made_ms=made), time_ms=proposed)
    lab.now = proposed if what == "proposed" else made
    response = lab.one.simulate(proposal)
    answers = [Endorsed(response, endorse(peer_signer(by), response), 0) for by in ("org1", "org2")]
    envelope = lab.sign(proposal, answers)
    lab.now = block_ms
    assert lab.commit(envelope, time_ms=block_ms) == [code]


def test_block_dated_at_the_end_of_time_is_validated(lab):
    envelope = lab.call("put", b"a", 1)
    assert lab.commit(envelope, time_ms=2**63 - 1) == ["PROPOSAL_EXPIRED"]


def test_configuration_is_changed_by_its_admins(lab):
    config = with_batch(lab.one.channel, replace(BATCH, max_count=7))
    assert lab.reconfigure(config) == "VALID"
    assert lab.one.channel == config and lab.one.channel.sequence == 1
    assert {peer.channel for peer in lab.peers.values()} == {config}


def test_of_two_signed_changes_one_is_made(lab):
    """Even when endorsers hide that the second one read what the first one wrote."""
    one, two = (with_batch(lab.one.channel, replace(BATCH, max_count=n)) for n in (7, 8))
    envelopes = []
    for config in (one, two):
        proposal = lab.propose(lab.update(config))
        envelopes.append(lab.forge(lab.sign(proposal, lab.ask(proposal)), reads=()))
    assert lab.commit(*envelopes) == ["VALID", "INVALID_CONFIG_TRANSACTION"]
    assert lab.one.channel == one
    assert {receipt.reason for receipt in lab.one.receipts(lab.one.head.height)} == {"", "invalid_config_transaction"}


def test_block_is_judged_by_the_configuration_before_it(lab):
    config = revoke(lab.one.channel, peer_signer("org2").certificate)
    proposal = lab.propose(lab.update(config))
    change = lab.sign(proposal, lab.ask(proposal))
    before, after = lab.call("put", b"a", 1), lab.call("put", b"b", 1)
    assert lab.commit(change, before) == ["VALID", "VALID"]
    assert lab.commit(after) == ["ENDORSEMENT_POLICY_FAILURE"]
    assert "certificate_revoked" in lab.one.receipts(lab.one.head.height)[0].detail


def test_writers_policy_is_obeyed_when_there_is_one():
    lab = Consortium(rules=policies(writers="OR('org1.client', 'org2.client')"))

    def call(creator):
        transaction = lab.transaction("put", b"a", 1)
        proposal = lab.propose(transaction, creator=creator)
        response = lab.one.simulate(proposal)
        answers = [Endorsed(response, endorse(peer_signer(by), response), 0) for by in ("org1", "org2")]
        return lab.sign(proposal, answers)

    good = signer("org1", "client", "client 0").certificate
    other = signer("org3", "client", "client 0").certificate
    role = signer("org1", "peer", "client 0").certificate
    old = signer("org2", "client", "client 0", until_ms=lab.now - 1).certificate
    assert lab.commit(call(good), call(None), call(other), call(role), call(old)) == [
        "VALID",
        *["BAD_CREATOR_SIGNATURE"] * 4,
    ]
