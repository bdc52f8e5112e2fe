"""Peers' signed words on what became of a transaction: good ones hold, and nothing in them can be changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chain.codec import encode, transaction_id
from chain.errors import InvalidProofError, MalformedError
from chain.ledgers.ordered.policy import Policy, Principal
from chain.ledgers.ordered.proof import decode_commit_proof, prove, same_outcome, verify_commit
from chain.ledgers.ordered.update import revoke
from tests.chain.ordered.lab import Consortium, peer_signer, signer


@pytest.fixture(scope="module")
def proven():
    """A block of five, one of them invalid, and its proofs by all peers for each place."""
    lab = Consortium()
    calls = [lab.call("increment", b"a"), lab.call("increment", b"a"), *(lab.call("put", b"b", n) for n in range(3))]
    assert lab.commit(*calls).count("VALID") == 4
    ids = [transaction_id(one.transaction) for one in calls]
    return lab, ids, [[peer.proof(tx) for peer in lab.peers.values()] for tx in ids]


def test_proofs_of_a_policys_peers_convince(proven):
    lab, ids, proofs = proven
    policy = Policy.parse(lab.one.channel.policies.endorsement)
    for tx, of_tx in zip(ids, proofs, strict=True):
        said = [verify_commit(proof, config=lab.one.channel, tx=tx, at_ms=lab.now) for proof in of_tx]
        assert said == [Principal(name, "peer") for name in ("org1", "org2", "org3")]
        assert policy.satisfied(said[:2]) and not policy.satisfied(said[:1])
        assert same_outcome(of_tx) and of_tx[0].receipt.ok == (tx != ids[1])
        assert decode_commit_proof(encode(of_tx[0])) == of_tx[0]
    assert not same_outcome([proofs[0][0], proofs[1][0]])


def test_nothing_in_a_proof_can_be_changed(proven):
    lab, ids, proofs = proven
    good, other = proofs[1][0], proofs[2][0]
    for changes in (
        {"receipt": replace(good.receipt, ok=True)},
        {"receipt": replace(good.receipt, result=b"\x01")},
        {"receipt": other.receipt},
        {"transaction": other.transaction},
        {"transaction": replace(good.transaction, signature=bytes(64))},
        {"evidence": other.evidence},
        {"evidence": b""},
        {"transaction_path": other.transaction_path},
        {"receipt_path": other.receipt_path},
        {"transaction_path": other.transaction_path, "receipt_path": other.receipt_path},
        {"receipt_path": replace(good.receipt_path, count=6)},
        {
            "transaction_path": replace(good.transaction_path, count=10**6),
            "receipt_path": replace(good.receipt_path, count=10**6),
        },
        {"receipts_root": bytes(32)},
        {"header": replace(good.header, height=2)},
        {"header": replace(good.header, transactions_root=bytes(32))},
        {"attestation": replace(good.attestation, signature=bytes(64))},
        {"attestation": replace(good.attestation, certificate=peer_signer("org2").certificate)},
        {"attestation": signer("org9", "peer", "x").sign(b"crowdmesh:receipts:1:", bytes(32))},
        {"attestation": lab.one.proof(ids[1]).attestation, "header": replace(good.header, nonce=99)},
    ):
        with pytest.raises(InvalidProofError):
            verify_commit(replace(good, **changes), config=lab.one.channel, tx=ids[1], at_ms=lab.now)
    with pytest.raises(InvalidProofError, match="another transaction"):
        verify_commit(good, config=lab.one.channel, tx=ids[0], at_ms=lab.now)


def test_liar_proves_under_its_own_name_only(proven):
    """A peer may sign false receipts; they carry its signature and do not agree with the others'."""
    lab, ids, proofs = proven
    block, receipts = lab.one.block(1), list(lab.one.receipts(1))
    receipts[1] = replace(receipts[1], ok=True, reason="", detail="")
    lie = prove(block, receipts, 1, peer_signer("org3"))
    assert verify_commit(lie, config=lab.one.channel, tx=ids[1], at_ms=lab.now) == Principal("org3", "peer")
    assert not same_outcome([lie, *proofs[1]])


def test_revoked_and_expired_peers_prove_nothing(proven):
    lab, ids, proofs = proven
    config = revoke(lab.one.channel, peer_signer("org1").certificate)
    with pytest.raises(InvalidProofError, match="certificate_revoked"):
        verify_commit(proofs[0][0], config=config, tx=ids[0], at_ms=lab.now)
    old = prove(lab.one.block(1), lab.one.receipts(1), 0, signer("org1", "peer", "old", until_ms=lab.now - 1))
    with pytest.raises(InvalidProofError, match="certificate_expired"):
        verify_commit(old, config=lab.one.channel, tx=ids[0], at_ms=lab.now)


def test_nothing_is_proven_that_is_not_committed_or_without_a_signer(proven):
    lab, ids, _ = proven
    assert lab.one.proof(bytes(32)) is None
    bare = lab.ledger()
    bare.receive_block(b"x", lab.one.block(1), lab.now)
    assert bare.receipt(ids[0]) is not None and bare.proof(ids[0]) is None
    with pytest.raises(IndexError):
        prove(lab.one.block(1), lab.one.receipts(1), 5, peer_signer("org1"))


@given(st.data())
def test_damaged_proof_proves_nothing_else(proven, data):
    lab, ids, proofs = proven
    good = bytearray(encode(proofs[1][0]))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] ^= data.draw(st.integers(1, 255))
    try:
        proof = decode_commit_proof(bytes(good))
        verify_commit(proof, config=lab.one.channel, tx=ids[1], at_ms=lab.now)
    except (MalformedError, InvalidProofError):
        return
    pytest.fail("a damaged proof was believed")
