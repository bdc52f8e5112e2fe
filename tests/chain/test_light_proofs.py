"""A phone believes a proof exactly when nobody touched it."""

import msgspec
import pytest

from chain.codec import encode, transaction_id
from chain.errors import InvalidProofError, MalformedError
from chain.ledgers.pow.ledger import PowLedger
from chain.light import decode_proof, verify_inclusion
from tests.chain.pow.founding import GENESIS_MS, account, found, transfer

DEPTH = 3


@pytest.fixture(scope="module")
def ledger():
    """Five payments in block 1, with enough blocks on top."""
    network = found(finality_depth=DEPTH, initial_difficulty=20_000)
    ledger = PowLedger(network, producer=account(1))
    now = GENESIS_MS
    for sender in range(2, 7):
        ledger.submit(transfer(network, sender, 0), now)
    for _ in range(DEPTH + 1):
        height, now = ledger.head.height, now + 10_000
        while ledger.head.height == height:
            ledger.mine(1_000, now)
    return ledger


def verify(ledger, proof, **changes):
    return verify_inclusion(proof, **{"chain": ledger.chain, "depth": DEPTH, "minimum_work": 50_000} | changes)


def test_good_proofs_pass(ledger):
    block = ledger.block(1)
    assert len(block.transactions) == 5
    for transaction in block.transactions:
        proof = decode_proof(encode(ledger.proof(transaction_id(transaction))))
        receipt = verify(ledger, proof)
        assert receipt == ledger.receipt(transaction_id(transaction))[1]
        assert receipt.ok


def test_every_mutated_byte_is_noticed(ledger):
    data = encode(ledger.proof(transaction_id(ledger.block(1).transactions[2])))
    for position in range(len(data)):
        for flip in (0x01, 0x80):
            changed = bytearray(data)
            changed[position] ^= flip
            with pytest.raises((MalformedError, InvalidProofError)):
                verify(ledger, decode_proof(bytes(changed)))


def test_no_proof_before_it_is_final():
    network = found(finality_depth=DEPTH, initial_difficulty=2)
    ledger = PowLedger(network, producer=account(1))
    payment = transfer(network, 2, 0)
    ledger.submit(payment, GENESIS_MS)
    now = GENESIS_MS
    for height in range(1, DEPTH + 2):
        assert ledger.proof(transaction_id(payment)) is None
        now += 10_000
        while ledger.head.height < height:
            ledger.mine(1, now)
    assert ledger.proof(transaction_id(payment)) is not None
    assert ledger.proof(bytes(32)) is None


REFUSED = {
    "wrong_chain": ({"chain": bytes(32)}, {}),
    "headers follow": ({"depth": DEPTH + 1}, {}),
    "of work follow": ({"minimum_work": 10**6}, {}),
    "another transaction": ({}, {"receipt": lambda p: msgspec.structs.replace(p.receipt, transaction=bytes(32))}),
    "receipt is not in": ({}, {"receipt": lambda p: msgspec.structs.replace(p.receipt, ok=False)}),
    "does not follow": ({}, {"above": lambda p: p.above[::-1]}),
    "same place": ({}, {"receipt_path": lambda p: msgspec.structs.replace(p.receipt_path, index=0)}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_verify__reject(ledger, message):
    asked, changes = REFUSED[message]
    proof = ledger.proof(transaction_id(ledger.block(1).transactions[2]))
    proof = msgspec.structs.replace(proof, **{name: change(proof) for name, change in changes.items()})
    with pytest.raises(InvalidProofError, match=message):
        verify(ledger, proof, **asked)
