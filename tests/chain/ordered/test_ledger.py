"""The whole replica: what it takes into its pool, what survives a restart, what a tampered store comes to."""

import dataclasses

import pytest
from msgspec.structs import replace

from chain.codec import decode_own, encode, transaction_id
from chain.contract import encode_args
from chain.errors import Refused, StoreError
from chain.ledger import Broadcast, Dropped, Save
from chain.ledgers.ordered.assemble import sign_envelope
from chain.ledgers.ordered.cut import largest_message
from chain.ledgers.ordered.endorse import endorse
from chain.ledgers.ordered.ledger import OrderedConfig, OrderedLedger
from chain.ledgers.ordered.values import Endorsed, Envelope, WriteItem
from chain.sqlite_store import SqliteStore
from chain.store import MemoryStore
from chain.values import MAX_EVIDENCE_BYTES
from tests.chain.ordered.lab import BATCH, SKEW_MS, TTL_MS, Consortium, key, peer_signer, policies

CONFIG = OrderedConfig(kept_blocks=2, snapshot_interval=4)


@pytest.fixture
def lab():
    return Consortium()


# --- the pool's door ------------------------------------------------------------------------------------------------


def test_submitted_is_told_to_all_and_waits(lab):
    envelope = lab.call("put", b"a", 1)
    assert lab.one.submit(envelope, lab.now) == [Broadcast("tx", encode(envelope))]
    other = lab.peers["org2"]
    assert other.receive_transaction(envelope, lab.now) == []
    tx = transaction_id(envelope.transaction)
    for ledger in (lab.one, other):
        assert ledger.pending() == (envelope.transaction,) and ledger.pending_transaction(tx) == envelope.transaction
        assert ledger.statistics().pending == 1
    lab.commit(envelope)
    for ledger in (lab.one, other):
        assert ledger.pending() == () and ledger.pending_transaction(tx) is None
        assert ledger.statistics().codes == {"VALID": 1}
    assert lab.one.query("cabinet", "get", encode_args(b"a")) == encode(1)


def resigned(envelope, **changes):
    return sign_envelope(key("client 0"), Envelope(envelope.transaction, replace(envelope.evidence, **changes)))


def test_what_cannot_be_ordered_is_not_kept(lab):
    good = lab.call("put", b"a", 1)
    done = lab.call("put", b"b", 1)
    lab.commit(done)
    lab.now += 10
    large = b"x" * (MAX_EVIDENCE_BYTES - 500)
    cases = {
        "bad_signature": Envelope(good.transaction, replace(good.evidence, time_ms=lab.now + 1)),
        "other_proposal": resigned(good, time_ms=lab.now + 1),
        "duplicate_txid": done,
        "not_endorsed": resigned(good, endorsements=()),
        "signed_twice": resigned(good, endorsements=good.evidence.endorsements[:1] * 2),
        "envelope_too_large": lab.forge(good, result=large),
    }
    for reason, envelope in cases.items():
        for take in (lab.one.submit, lab.one.receive_transaction):
            with pytest.raises(Refused) as caught:
                take(envelope, lab.now)
            assert caught.value.reason == reason
    with pytest.raises(Refused, match="proposal_expired"):
        lab.one.receive_transaction(good, lab.now + TTL_MS + 1)
    with pytest.raises(Refused, match="proposal_expired"):
        lab.one.receive_transaction(good, lab.now - 2 * SKEW_MS - 11)
    assert lab.one.statistics().pending == 0
    lab.one.receive_transaction(good, lab.now)
    with pytest.raises(Refused, match="already_pending"):
        lab.one.receive_transaction(good, lab.now)


def test_every_envelope_that_is_kept_fits_a_block():
    batch = replace(BATCH, preferred_bytes=65_536, absolute_bytes=65_536)
    lab = Consortium(batch=batch)
    room = largest_message(batch)
    good = lab.call("put", b"a", 1)
    size = len(encode(good.transaction)) + len(encode(good.evidence))
    fitting = lab.forge(good, result=bytes(room - size - 8))
    lab.one.submit(fitting, lab.now)
    block = lab.cut(fitting)
    assert len(encode(block)) <= 65_536
    with pytest.raises(Refused, match="envelope_too_large"):
        lab.peers["org2"].submit(lab.forge(good, result=bytes(room - size + 8)), lab.now)


def test_relays_pass_on_what_submit_would_not_take(lab):
    half = lab.call("put", b"a", 1, by=["org1"])
    with pytest.raises(Refused, match="endorsement_policy_failure"):
        lab.one.submit(half, lab.now)
    assert lab.one.receive_transaction(half, lab.now) == []


def test_keys_own_policy_counts_when_submitting(lab):
    lab.run("guard", b"safe", "'org3.peer'")
    lab.one.submit(lab.call("put", b"safe", 1, by=["org3"]), lab.now)
    with pytest.raises(Refused, match="endorsement_policy_failure"):
        lab.one.submit(lab.call("put", b"safe", 1), lab.now)


def test_what_waits_too_long_is_dropped_with_a_reason(lab):
    envelope = lab.call("put", b"a", 1)
    lab.one.submit(envelope, lab.now)
    due = lab.one.next_deadline_ms()
    assert due == lab.now + TTL_MS + 1 and lab.one.tick(due - 1) == []
    assert lab.one.tick(due) == [Dropped(envelope.transaction, "proposal_expired")]
    assert lab.one.next_deadline_ms() is None


def test_writers_policy_at_the_door():
    lab = Consortium(rules=policies(writers="'org1.client'"))
    proposal = lab.propose(lab.transaction("put", b"a", 1))
    response = lab.one.simulate(proposal)
    envelope = lab.sign(proposal, [Endorsed(response, endorse(peer_signer("org1"), response), 0)])
    with pytest.raises(Refused, match="certificate_required"):
        lab.one.receive_transaction(envelope, lab.now)


# --- restarts -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite"])
def reopen(request, tmp_path, lab):
    """A function that returns the store, opened anew when asked to."""
    kept = MemoryStore()
    opened = []

    def open_store(*, anew=False):
        if request.param == "memory":
            return kept
        if opened and not anew:
            return opened[0]
        while opened:
            opened.pop().close()
        opened.append(SqliteStore(tmp_path / "peer.db", lab.network.id))
        return opened[-1]

    yield open_store
    while opened:
        opened.pop().close()


def keep(store, effects):
    for effect in effects:
        if isinstance(effect, Save):
            store.save(effect)


def restarted(lab, store, **changes):
    return OrderedLedger(
        lab.network, signer=peer_signer("org1"), config=CONFIG, loaded=store.load(), archive=store, **changes
    )


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 9])
def test_restart_goes_on_where_it_was(lab, reopen, stop):
    """Killed after any block, with and without a snapshot, it has the state, the receipts and the memory of duplicates."""
    ledger = restarted(lab, reopen(anew=True))
    envelopes = []
    for height in range(1, 13):
        envelopes.append(lab.call("increment", b"a"))
        block = lab.cut(envelopes[-1], lab.call("increment", b"a"), envelopes[0])
        lab.deliver(block)
        keep(reopen(), ledger.receive_block(b"x", block, lab.now))
        lab.now += 10
        if height == stop:
            before = ledger.statistics()
            ledger = restarted(lab, reopen(anew=True))
            after = ledger.statistics()
            assert (before.height, before.head) == (after.height, after.head)
    assert (ledger.head_id, ledger.state.root) == (lab.one.head_id, lab.root)
    assert decode_own(int, ledger.state.get(b"cabinet/a")) == 12
    for height in range(1, 13):
        assert ledger.block(height) == lab.one.block(height) and ledger.receipts(height) == lab.one.receipts(height)
    for height, envelope in enumerate(envelopes, 1):
        block, receipt, index = ledger.receipt(transaction_id(envelope.transaction))
        assert (block.header.height, receipt.ok, index) == (height, True, 0)
        assert ledger.proof(receipt.transaction).receipt == receipt
    proposal = lab.propose(lab.transaction("increment", b"a"))
    assert ledger.endorse(proposal, lab.now).response == lab.one.endorse(proposal, lab.now).response
    assert ledger.network is lab.network


def test_transaction_twice_in_a_block_is_kept_where_it_was_valid(lab, reopen):
    ledger = restarted(lab, reopen(anew=True))
    envelope = lab.call("increment", b"a")
    unsigned = Envelope(envelope.transaction, replace(envelope.evidence, signature=bytes(64)))
    for block_of in ((unsigned, envelope, envelope), (envelope,), (unsigned,), (), (), (), ()):
        block = lab.cut(*block_of)
        lab.deliver(block)
        keep(reopen(), ledger.receive_block(b"x", block, lab.now))
    tx = transaction_id(envelope.transaction)
    for _ in range(2):
        block, receipt, index = ledger.receipt(tx)
        assert (block.header.height, index, receipt.ok) == (1, 1, True)
        ledger = restarted(lab, reopen(anew=True))
    assert reopen().locate(tx)[1] == 1


def test_invalid_first_and_valid_later_is_found_valid(lab, reopen):
    ledger = restarted(lab, reopen(anew=True))
    envelope = lab.call("increment", b"a")
    unsigned = Envelope(envelope.transaction, replace(envelope.evidence, signature=bytes(64)))
    for block_of in ((unsigned,), (unsigned,), (envelope,), (envelope,), (), (), (), ()):
        block = lab.cut(*block_of)
        lab.deliver(block)
        keep(reopen(), ledger.receive_block(b"x", block, lab.now))
    tx = transaction_id(envelope.transaction)
    for _ in range(2):
        for one in (ledger, lab.one):
            block, receipt, _ = one.receipt(tx)
            assert (block.header.height, receipt.ok) == (3, True)
        ledger = restarted(lab, reopen(anew=True))


@pytest.fixture
def stored(lab):
    """Seven blocks, a snapshot after the fourth."""
    store = MemoryStore()
    ledger = restarted(lab, store)
    for value in range(7):
        block = lab.cut(lab.call("increment", b"a"), lab.call("put", b"b", value))
        lab.deliver(block)
        keep(store, ledger.receive_block(b"x", block, lab.now))
        lab.now += 10
    loaded = store.load()
    assert len(loaded.headers) == 4 and len(loaded.blocks) == 3
    return loaded


def first_block(loaded, **changes):
    (block, receipts), *others = loaded.blocks
    return dataclasses.replace(loaded, blocks=((replace(block, **changes), receipts), *others))


def false_receipts(loaded):
    (block, receipts), *others = loaded.blocks
    return dataclasses.replace(loaded, blocks=((block, (replace(receipts[0], ok=False), *receipts[1:])), *others))


def other_state(loaded):
    entry = WriteItem(b"cabinet/a", encode(10**6))
    state = loaded.snapshot.apply({entry.key: entry.value}, loaded.snapshot.version(b"cabinet/b"))
    return dataclasses.replace(loaded, snapshot=state)


TAMPERED = {
    "header": lambda one: dataclasses.replace(
        one, headers=(one.headers[0], replace(one.headers[1], time_ms=one.headers[1].time_ms + 1), *one.headers[2:])
    ),
    "header gone": lambda one: dataclasses.replace(one, headers=one.headers[:-1]),
    "headers swapped": lambda one: dataclasses.replace(one, headers=one.headers[::-1]),
    "block gone": lambda one: dataclasses.replace(one, blocks=one.blocks[1:]),
    "last block gone": lambda one: dataclasses.replace(one, blocks=one.blocks[:-1]),
    "transactions gone": lambda one: first_block(one, transactions=(), evidence=()),
    "transactions swapped": lambda one: first_block(one, transactions=one.blocks[0][0].transactions[::-1]),
    "evidence": lambda one: first_block(one, evidence=(b"", b"")),
    "seal gone": lambda one: first_block(one, seal=b""),
    "other seal": lambda one: first_block(one, seal=one.blocks[1][0].seal),
    "receipts": false_receipts,
    "head": lambda one: dataclasses.replace(one, head=bytes(32)),
    "snapshot": other_state,
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampered_store_is_not_opened(lab, stored, what):
    restart = lambda loaded: OrderedLedger(lab.network, signer=peer_signer("org1"), config=CONFIG, loaded=loaded)  # noqa: E731
    assert restart(stored).state.root == lab.root
    with pytest.raises(StoreError):
        restart(TAMPERED[what](stored))


def test_half_of_the_seals_is_not_enough_in_a_store_either():
    lab = Consortium(orderers=3, rules=policies(blocks="OutOf(2, 'org1.orderer', 'org2.orderer', 'org3.orderer')"))
    store = MemoryStore()
    block = lab.cut(lab.call("put", b"a", 1), by=[0, 1])
    keep(store, lab.one.receive_block(b"x", block, lab.now))
    loaded = store.load()
    (((kept, receipts),)) = loaded.blocks
    stripped = dataclasses.replace(loaded, blocks=((lab.sealed_by(kept, [0]), receipts),))
    with pytest.raises(StoreError, match="too few orderers"):
        OrderedLedger(lab.network, loaded=stripped)
    assert OrderedLedger(lab.network, loaded=loaded).head_id == lab.one.head_id


def test_store_of_another_network_is_refused(stored):
    other = Consortium(rules=policies(writers="'org1.client'"))
    with pytest.raises(StoreError):
        OrderedLedger(other.network, loaded=stored)
