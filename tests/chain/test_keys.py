"""Only the sender signs for the sender, and for one network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chain.codec import transaction_id
from chain.errors import Refused
from chain.keys import DOMAIN, check_transaction, has_valid_signature, remember_signatures, sign_transaction
from chain.values import BlockId
from tests.strategies import account, key

CHAIN = BlockId(b"\x01" * 32)
GOOD = sign_transaction(key(1), CHAIN, 0, "accounts", "transfer", b"\x90")


@pytest.fixture(params=[True, False], ids=["remembering", "anew"])
def _memory(request):
    remember_signatures(request.param)
    yield
    remember_signatures(True)


@pytest.mark.usefixtures("_memory")
def test_a_signed_transaction_passes():
    check_transaction(GOOD, CHAIN)
    check_transaction(GOOD, CHAIN)


@pytest.mark.usefixtures("_memory")
@pytest.mark.parametrize(
    "change",
    [
        {"nonce": 1},
        {"contract": "spatial"},
        {"method": "burn"},
        {"args": b"\x91\x01"},
        {"sender": account(2)},
        {"signature": bytes(64)},
        {"signature": GOOD.signature[:-1]},
        {"signature": key(1).sign(transaction_id(GOOD)).signature},
        {"signature": key(2).sign(DOMAIN + transaction_id(GOOD)).signature},
        {"sender": bytes(32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_forgeries__reject_bad_signature(change):
    with pytest.raises(Refused) as refusal:
        check_transaction(replace(GOOD, **change), CHAIN)
    assert refusal.value.reason == "bad_signature"


def test_another_network__reject_wrong_chain():
    with pytest.raises(Refused) as refusal:
        check_transaction(GOOD, BlockId(bytes(32)))
    assert refusal.value.reason == "wrong_chain"


@given(place=st.integers(0, 511))
def test_no_bit_of_a_signature_may_change(place):
    flipped = bytearray(GOOD.signature)
    flipped[place // 8] ^= 1 << place % 8
    assert not has_valid_signature(replace(GOOD, signature=bytes(flipped)))
