"""What peers take for a block: altered, reordered, wrongly sealed, early, gapped and forked ones leave everything as it was."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chain.codec import block_id, decode_block, encode
from chain.errors import InvalidBlockError, MalformedError, Refused
from chain.ledger import Ask, Committed, Equivocated, Finalised, HeaderStatus, Penalise, Save
from chain.ledgers.ordered.blocks import build_block, sealed
from chain.ledgers.ordered.deliver import GetBlocks, GetState, GetStatus, decode_request, decode_response
from chain.ledgers.ordered.replica import MAX_WAITING_BLOCKS
from chain.ledgers.ordered.update import with_batch, with_orderers
from chain.ledgers.ordered.values import SEAL, Batch, decode_envelope, decode_evidence, decode_seal
from tests.chain.ordered.lab import (
    BATCH,
    SKEW_MS,
    Consortium,
    account,
    contents_root,
    orderer_signer,
    peer_signer,
    policies,
    signer,
)

MAJORITY = policies(blocks="OutOf(2, 'org1.orderer', 'org2.orderer', 'org3.orderer')")


@pytest.fixture
def lab():
    return Consortium()


def picture(ledger):
    """Everything that a refused block must not change."""
    return ledger.head_id, ledger.state.root, ledger.statistics(), ledger.next_deadline_ms(), ledger.members()


def refused(lab, block, match):
    before = picture(lab.one)
    with pytest.raises(InvalidBlockError, match=match):
        lab.one.check_block(block, lab.now)
    with pytest.raises(InvalidBlockError, match=match):
        lab.one.receive_block(b"x", block, lab.now)
    assert picture(lab.one) == before


def resealed(lab, header, block):
    return lab.sealed_by(replace(block, header=header), [0])


def test_good_block_is_saved_committed_and_final(lab):
    block = lab.cut(lab.call("put", b"a", 1))
    assert lab.one.check_block(block, lab.now) is HeaderStatus.NEW
    save, committed, finalised = lab.one.receive_block(b"x", block, lab.now)
    assert isinstance(save, Save) and isinstance(committed, Committed) and isinstance(finalised, Finalised)
    assert save.head == lab.one.head_id == block_id(block.header) and save.final_height == 1
    assert lab.one.check_block(block, lab.now) is HeaderStatus.KNOWN
    assert lab.one.receive_block(b"x", block, lab.now) == []


def test_altered_block_is_refused(lab):
    one, two = lab.call("put", b"a", 1), lab.call("put", b"b", 1)
    block = lab.cut(one, two)
    refused(lab, replace(block, transactions=block.transactions[::-1]), "transactions_root")
    refused(
        lab, replace(block, transactions=block.transactions[::-1], evidence=block.evidence[::-1]), "transactions_root"
    )
    refused(lab, replace(block, evidence=block.evidence[::-1]), "transactions_root")
    refused(lab, replace(block, transactions=block.transactions[:1], evidence=block.evidence[:1]), "transactions_root")
    refused(lab, replace(block, evidence=block.evidence[:1]), "pieces of evidence")
    refused(lab, replace(block, transactions=(), evidence=()), "transactions_root")
    changed = replace(block.transactions[0], signature=bytes(64))
    refused(lab, replace(block, transactions=(changed, block.transactions[1])), "transactions_root")
    assert lab.deliver(block) == ["VALID", "VALID"]


def test_header_is_under_the_seal(lab):
    block = lab.cut(lab.call("put", b"a", 1))
    header = block.header
    refused(lab, replace(block, header=replace(header, time_ms=header.time_ms + 1)), "bad_signature")
    refused(lab, replace(block, header=replace(header, nonce=header.nonce + 1)), "bad_signature")
    shorter = replace(block, transactions=(), evidence=(), header=replace(header, transactions_root=bytes(32)))
    refused(lab, shorter, "bad_signature")


def test_header_has_one_shape(lab):
    lab.run("put", b"a", 1)
    block = lab.cut(lab.call("put", b"a", 2))
    header = block.header
    for changes, match in (
        ({"version": 2}, "version"),
        ({"height": 0}, "height"),
        ({"difficulty": 2}, "difficulty"),
        ({"receipts_root": bytes([1]) * 32}, "no receipts"),
        ({"state_root": bytes([1]) * 32}, "no receipts"),
        ({"time_ms": lab.one.head.time_ms}, "not after the parent's"),
        ({"nonce": lab.one.head.nonce}, "log index"),
        ({"producer": account("client 1")}, "no orderer"),
    ):
        refused(lab, resealed(lab, replace(header, **changes), block), match)
    assert lab.deliver(block) == ["VALID"]


def test_seal_is_of_orderers(lab):
    block = lab.cut(lab.call("put", b"a", 1))
    digest = block_id(block.header)
    good = orderer_signer(0).sign(SEAL, digest)
    peer = peer_signer("org1").sign(SEAL, digest)
    other = orderer_signer(1).sign(SEAL, digest)  # a good certificate, and no orderer of the channel
    elsewhere = orderer_signer(0).sign(b"crowdmesh:state:1:", digest)
    expired = signer("org1", "orderer", "orderer 0", until_ms=1).sign(SEAL, digest)
    refused(lab, replace(block, seal=b""), "seal")
    refused(lab, replace(block, seal=encode(())), "seal")
    refused(lab, replace(block, seal=block.seal + b"\x00"), "seal")
    refused(lab, replace(block, seal=encode((good, good))), "signed_twice")
    refused(lab, sealed(block, [peer]), "no orderer")
    refused(lab, sealed(block, [good, peer]), "no orderer")
    refused(lab, sealed(block, [other]), "no orderer")
    refused(lab, sealed(block, [elsewhere]), "bad_signature")
    refused(lab, sealed(block, [replace(good, certificate=orderer_signer(1).certificate)]), "bad_signature")
    refused(lab, sealed(block, [expired]), "certificate_expired")
    assert lab.deliver(block) == ["VALID"]


def test_majority_of_seals_may_come_one_by_one():
    lab = Consortium(orderers=3, rules=MAJORITY)
    block = lab.cut(lab.call("put", b"a", 1), by=[0])
    before = lab.one.head_id
    assert lab.one.receive_block(b"x", block, lab.now) == [] and lab.one.head_id == before
    assert lab.one.receive_block(b"x", block, lab.now) == []  # the same one again is no second
    second = lab.sealed_by(block, [2])
    effects = lab.one.receive_block(b"y", second, lab.now)
    assert [type(one) for one in effects] == [Save, Committed, Finalised]
    kept = lab.one.block(1)
    assert len(decode_seal(kept.seal)) == 2 and effects[0].blocks[0][0] == kept
    # Whoever gets both at once, or the merged block of another peer, has the same.
    for name, copy in (("org2", lab.sealed_by(block, [2, 0])), ("org3", kept)):
        lab.peers[name].receive_block(b"x", copy, lab.now)
        assert lab.peers[name].block(1) == kept


def test_minority_of_seals_is_not_enough_for_ever():
    lab = Consortium(orderers=3, rules=MAJORITY)
    for number in range(MAX_WAITING_BLOCKS + 5):
        block = lab.cut(time_ms=lab.now + number, by=[0])
        # One orderer that signs so many blocks of a height is told of, and changes nothing.
        assert {type(one) for one in lab.one.receive_block(b"x", block, lab.now)} <= {Equivocated}
    assert lab.one.head.height == 0
    good = lab.cut(lab.call("put", b"a", 1), by=[1, 2])
    assert lab.deliver(good) == ["VALID"]


def test_removed_orderer_seals_no_more():
    lab = Consortium(orderers=3)
    remaining = [account("orderer 1"), account("orderer 2")]
    assert lab.reconfigure(with_orderers(lab.one.channel, remaining)) == "VALID"
    envelope = lab.call("put", b"a", 1)
    refused(lab, lab.cut(envelope, by=[0]), "no orderer")
    refused(lab, lab.cut(envelope, by=[0, 1]), "no orderer")
    assert lab.deliver(lab.cut(envelope, by=[1])) == ["VALID"]


def test_orderer_that_is_added_seals_from_the_next_block_on():
    lab = Consortium(orderers=2)
    everybody = [account("orderer 0"), account("orderer 1"), account("orderer 2")]
    refused(lab, lab.cut(lab.call("put", b"a", 1), by=[2]), "no orderer")
    assert lab.reconfigure(with_orderers(lab.one.channel, everybody)) == "VALID"
    assert lab.deliver(lab.cut(lab.call("put", b"a", 1), by=[2])) == ["VALID"]


def test_batch_that_was_cut_before_the_limits_were_lowered_does_not_stop_the_channel(lab):
    config = with_batch(lab.one.channel, replace(BATCH, max_count=1, preferred_bytes=100, absolute_bytes=65_536))
    assert lab.reconfigure(config) == "VALID"
    assert lab.commit(lab.call("put", b"a", 1), lab.call("put", b"b", 1)) == ["VALID", "VALID"]


def test_fork_at_a_known_height_is_told_once(lab):
    lab.run("put", b"a", 1)
    ours = lab.cut(lab.call("put", b"a", 2))
    other = lab.cut(lab.call("put", b"a", 3))
    lab.deliver(ours)
    before = picture(lab.one)
    assert lab.one.check_block(other, lab.now) is HeaderStatus.FORKED
    (told,) = lab.one.receive_block(b"x", other, lab.now)
    assert told == Equivocated(2, lab.one.head_id, block_id(other.header), (account("orderer 0"),))
    assert lab.one.receive_block(b"y", other, lab.now) == []
    assert picture(lab.one) == before
    by_nobody = sealed(other, [peer_signer("org1").sign(SEAL, block_id(other.header))])
    refused(lab, by_nobody, "no orderer")


def test_fork_of_the_one_below_the_head_is_asked_for_and_found():
    """Who has a block on top of another head shows the one that it has beside ours."""
    lab, twin = Consortium(), Consortium()
    lab.run("put", b"a", 1)
    twin.now, twin._chance = lab.now, 77
    twin.run("put", b"a", 2)
    twin.run("put", b"a", 3)
    stray = twin.one.block(2)
    (ask,) = lab.one.receive_block(b"x", stray, lab.now + 100)
    assert ask == Ask(b"x", encode(GetBlocks(1)))
    answer = twin.one.answer(b"y", ask.request)
    effects = lab.one.answered(b"x", ask.request, answer, lab.now + 100)
    assert [type(one) for one in effects] == [Equivocated]  # and nothing is asked again
    assert (effects[0].height, effects[0].other) == (1, block_id(twin.one.block(1).header))
    assert lab.one.head.height == 1


def test_early_and_gapped_blocks_wait_and_duplicates_do_not_matter(lab):
    blocks = []
    for value in range(5):
        lab.run("put", b"a", value)
        blocks.append(lab.one.block(lab.one.head.height))
    late = lab.ledger()
    for block in [*blocks[:0:-1], *blocks[:0:-1]]:
        late.receive_block(b"x", block, lab.now)
        assert late.head.height == 0
    effects = late.receive_block(b"x", blocks[0], lab.now)
    assert [effect.block.header.height for effect in effects if isinstance(effect, Committed)] == [1, 2, 3, 4, 5]
    assert late.state.root == lab.root


def test_false_seal_does_not_push_out_the_good_copy(lab):
    blocks = []
    for value in range(2):
        lab.run("put", b"a", value)
        blocks.append(lab.one.block(lab.one.head.height))
    late = lab.ledger()
    false = replace(blocks[1], seal=encode((peer_signer("org1").sign(SEAL, bytes(32)),)))
    late.receive_block(b"honest", blocks[1], lab.now)
    late.receive_block(b"liar", false, lab.now)
    effects = late.receive_block(b"honest", blocks[0], lab.now)
    assert late.head_id == lab.one.head_id
    assert not [effect for effect in effects if isinstance(effect, Penalise) and effect.peer == b"honest"]


def test_flood_of_early_blocks_does_not_push_out_others(lab):
    blocks = []
    for value in range(3):
        lab.run("put", b"a", value)
        blocks.append(lab.one.block(lab.one.head.height))
    late = lab.ledger()
    late.receive_block(b"honest", blocks[2], lab.now)
    late.receive_block(b"honest", blocks[1], lab.now)
    nobody = orderer_signer(7)
    for number in range(3 * MAX_WAITING_BLOCKS):
        header = replace(blocks[2].header, height=2 + number % 100, nonce=number)
        late.receive_block(b"liar", sealed(replace(blocks[2], header=header), [nobody.sign(SEAL, bytes(32))]), lab.now)
    effects = late.receive_block(b"honest", blocks[0], lab.now)
    assert late.head_id == lab.one.head_id
    assert {one.peer for one in effects if isinstance(one, Penalise)} <= {b"liar"}


def test_block_dated_ahead_waits_for_its_time(lab):
    later = lab.now + SKEW_MS + 500
    block = lab.cut(lab.call("put", b"a", 1), time_ms=later)
    assert lab.one.check_block(block, lab.now) is HeaderStatus.TOO_EARLY
    assert lab.one.receive_block(b"x", block, lab.now) == []
    assert lab.one.head.height == 0 and lab.one.next_deadline_ms() == later - SKEW_MS
    assert lab.one.tick(later - SKEW_MS - 1) == []
    assert [type(one) for one in lab.one.tick(later - SKEW_MS)] == [Save, Committed, Finalised]
    assert lab.one.next_deadline_ms() is None


def test_what_came_of_the_wait_may_be_an_invalid_block(lab):
    """A block that was too far ahead to be judged is judged in its turn, and who sent it is named."""
    lab.run("put", b"a", 1)
    first = lab.one.block(1)
    batch = Batch(lab.now, account("client 1"), (), ())
    wrong = build_block(first.header, block_id(first.header), batch, 9)
    wrong = sealed(wrong, [peer_signer("org1").sign(SEAL, block_id(wrong.header))])
    late = lab.ledger()
    assert late.receive_block(b"liar", wrong, lab.now) == []
    effects = late.receive_block(b"honest", first, lab.now)
    assert [one.peer for one in effects if isinstance(one, Penalise)] == [b"liar"]
    assert late.head.height == 1


# --- hostile bytes ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def valid():
    """Good bytes of everything that comes from strangers, and how it is read."""
    lab = Consortium()
    lab.run("put", b"s/1", 1)
    envelope = lab.call("total_to", b"s/", b"t")
    lab.commit(envelope)
    block = lab.one.block(2)
    asked = [GetStatus(), GetBlocks(1), GetState(1)]
    readers = [
        (encode(envelope), decode_envelope),
        (encode(envelope.evidence), decode_evidence),
        (block.seal, decode_seal),
        (encode(block), decode_block),
        *((encode(request), decode_request) for request in asked),
        *(
            (lab.one.answer(b"x", encode(request)), lambda data, request=request: decode_response(request, data))
            for request in asked
        ),
    ]
    return lab, envelope, readers


@st.composite
def mutations(draw, data):
    """Valid bytes with a few changed, cut off, doubled or added."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case 2:
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case 3:
                data[at:at] = draw(st.binary(min_size=1, max_size=9))
    return bytes(data)


@settings(max_examples=300)
@given(st.data())
def test_hostile_bytes_are_malformed_or_mean_what_they_say(valid, data):
    _, _, readers = valid
    good, read = data.draw(st.sampled_from(readers))
    hostile = data.draw(st.one_of(mutations(good), st.binary(max_size=200)))
    try:
        value = read(hostile)
    except MalformedError:
        return
    assert encode(value) == hostile


@settings(max_examples=200)
@given(st.data())
def test_hostile_envelope_changes_nothing(valid, data):
    """Whatever is done to an envelope: it is not read, or refused, by relay and committer alike."""
    lab, envelope, readers = valid
    hostile = data.draw(mutations(readers[0][0]))
    before = picture(lab.one)
    try:
        changed = decode_envelope(hostile)
    except MalformedError:
        return
    if changed == envelope:
        return
    for take in (lab.one.receive_transaction, lab.one.submit):
        with pytest.raises(Refused):
            take(changed, lab.now)
    assert picture(lab.one) == before
    late = lab.ledger()
    late.receive_block(b"x", lab.one.block(1), lab.now)
    root = contents_root(late)
    late.receive_block(b"x", lab.cut(changed, on=late), lab.now)
    assert not late.receipts(2)[0].ok and contents_root(late) == root


@settings(max_examples=200)
@given(st.data())
def test_hostile_evidence_in_a_block_changes_nothing(valid, data):
    lab, envelope, _ = valid
    good = encode(envelope.evidence)
    hostile = data.draw(st.one_of(mutations(good), st.binary(max_size=100)))
    late = lab.ledger()
    late.receive_block(b"x", lab.one.block(1), lab.now)
    root = contents_root(late)
    late.receive_block(b"x", lab.cut_raw([envelope.transaction], [hostile], on=late), lab.now)
    (receipt,) = late.receipts(2)
    assert receipt.ok == (hostile == good) and (contents_root(late) == root or receipt.ok)


@settings(max_examples=200)
@given(st.data())
def test_hostile_block_is_refused_or_the_same(valid, data):
    lab, _, _ = valid
    good = lab.one.block(2)
    hostile = data.draw(mutations(encode(good)))
    late = lab.ledger()
    late.receive_block(b"x", lab.one.block(1), lab.now)
    before = picture(late)
    try:
        block = decode_block(hostile)
        late.receive_block(b"x", block, lab.now)
    except (MalformedError, InvalidBlockError):
        assert picture(late) == before
    else:
        assert block.header.height > 2 or block_id(late.head) == lab.one.head_id or picture(late) == before
