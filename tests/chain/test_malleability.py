"""A third party that relays a transaction can change neither its id nor how often it counts."""

import msgpack
import pytest
from msgspec.structs import replace
from nacl.bindings import crypto_core_ed25519_scalar_add

from chain.codec import decode_transaction, encode, transaction_id
from chain.errors import MalformedError, Refused
from chain.keys import check_transaction
from chain.ledger import Committed
from chain.ledgers.pow.ledger import PowLedger
from tests.chain.pow.forge import LATER, Forge
from tests.chain.pow.founding import GENESIS_MS, account, found, transfer

NETWORK = found(initial_difficulty=2)
GOOD = transfer(NETWORK, 2, 0, amount=5)
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of Ed25519's base point."""


def with_higher_s(signature):
    """The other number that satisfies the equation of a signature, for those who do not compare it with the order."""
    s = int.from_bytes(signature[32:], "little") + ORDER
    return signature[:32] + s.to_bytes(32, "little")


def other_encodings(transaction):
    """Bytes that a lenient decoder reads as the same transaction."""
    data = encode(transaction)
    fields = msgpack.unpackb(data)
    yield "trailing byte", data + b"\0"
    yield "array of 16 bits", b"\xdc" + (data[0] & 0x0F).to_bytes(2, "big") + data[1:]
    yield "bytes of 16 bits", data.replace(b"\xc4\x20" + fields[0], b"\xc5\x00\x20" + fields[0], 1)
    nonce = 1 + 2 * 34
    yield "nonce of 8 bits", data[:nonce] + b"\xcc" + data[nonce:]
    yield "text of 8 bits", data.replace(b"\xa8accounts", b"\xd9\x08accounts", 1)
    yield "bytes as text", data.replace(b"\xc4\x40" + fields[-1], b"\xd9\x40" + fields[-1], 1)
    yield "one field more", bytes([data[0] + 1]) + data[1:] + b"\xc0"


@pytest.mark.parametrize("how", [name for name, _ in other_encodings(GOOD)])
def test_another_encoding__refused(how):
    data = dict(other_encodings(GOOD))[how]
    assert data != encode(GOOD)
    with pytest.raises(MalformedError):
        decode_transaction(data)


@pytest.mark.parametrize(
    "signature",
    [
        with_higher_s(GOOD.signature),
        bytes(32) + GOOD.signature[32:],
        GOOD.signature[:32] + bytes(32),
        crypto_core_ed25519_scalar_add(GOOD.signature[:32], bytes(32)) + GOOD.signature[32:],
    ],
    ids=["s above the order", "no R", "no s", "R reduced"],
)
def test_another_signature__refused_under_the_same_id(signature):
    changed = replace(GOOD, signature=signature)
    assert transaction_id(changed) == transaction_id(GOOD)
    with pytest.raises(Refused, match="bad_signature"):
        check_transaction(changed, NETWORK.id)
    ledger = PowLedger(NETWORK)
    with pytest.raises(Refused, match="bad_signature"):
        ledger.receive_transaction(changed, GENESIS_MS)
    ledger.receive_transaction(GOOD, GENESIS_MS)  # the refused one is not remembered in its place


@pytest.mark.parametrize("field", [name for name in GOOD.__struct_fields__ if name != "signature"])
def test_another_content_has_another_id_and_no_signature(field):
    other = {
        "chain": bytes(32),
        "sender": account(3),
        "nonce": 1,
        "contract": "spatial",
        "method": "submit",
        "args": b"",
    }
    changed = replace(GOOD, **{field: other[field]})
    assert transaction_id(changed) != transaction_id(GOOD)
    with pytest.raises(Refused):
        check_transaction(changed, NETWORK.id)


def test_no_branch_pays_twice():
    """The same transaction in two blocks of a branch breaks the order of nonces; in two branches, one of them counts."""
    forge = Forge(NETWORK)
    first = forge.mine(NETWORK.id, GOOD)
    second = forge.mine(NETWORK.id, GOOD, producer=60)
    heavier = forge.mine(second)
    ledger = PowLedger(NETWORK)
    effects = [
        e for found_id in (first, second, heavier) for e in ledger.receive_block(b"x", forge.blocks[found_id], LATER)
    ]
    assert [e.block for e in effects if isinstance(e, Committed)] == [forge.blocks[i] for i in (first, second, heavier)]
    assert ledger.receipt(transaction_id(GOOD))[0] == forge.blocks[second]
    assert ledger.pending() == ()
    with pytest.raises(AssertionError):  # a maker of blocks leaves it out
        forge.mine(heavier, GOOD)
