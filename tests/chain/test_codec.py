"""One encoding per value, and nothing else is accepted."""

from hashlib import sha256

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.codec import (
    block_id,
    decode,
    decode_block,
    decode_transaction,
    encode,
    header_prefix,
    transaction_id,
)
from chain.contracts.spatial_records import Opening, Report, Ticket
from chain.errors import MalformedError
from chain.genesis import Genesis
from chain.values import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_TRANSACTIONS,
    MAX_EVIDENCE_BYTES,
    MAX_SEAL_BYTES,
    MAX_TRANSACTION_BYTES,
    Block,
    Event,
    Header,
    Receipt,
    Transaction,
)
from tests.strategies import account, blocks, genesis, headers, receipts, transactions

LIMIT = 1_000_000
SAMPLE = Event("spatial", "voted", b"\x90")


@given(value=st.one_of(transactions, headers, blocks, receipts))
def test_every_value_survives_its_encoding(value):
    assert decode(type(value), encode(value), limit=LIMIT) == value


def test_genesis_survives_its_encoding():
    assert decode(Genesis, encode(genesis()), limit=LIMIT) == genesis()


@given(value=st.one_of(transactions, blocks, receipts), data=st.data())
def test_one_encoding_per_value__mutated_bytes(value, data):
    """Changed bytes are malformed, or the one encoding of another value."""
    mutated = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        action = data.draw(st.sampled_from(["set", "insert", "delete"]))
        byte = data.draw(st.one_of(st.integers(0, 255), st.sampled_from([0xC0, 0xC4, 0xCB, 0xCC, 0xCF, 0xD9, 0xDC])))
        if action == "set":
            mutated[place] = byte
        elif action == "insert":
            mutated.insert(place, byte)
        elif len(mutated) > 1:
            del mutated[place]
    try:
        found = decode(type(value), bytes(mutated), limit=LIMIT)
    except MalformedError:
        return
    assert encode(found) == bytes(mutated)


@given(
    junk=st.binary(max_size=200), type_=st.sampled_from([Transaction, Block, Header, Receipt, Ticket, Opening, Report])
)
def test_junk_is_malformed_or_canonical(junk, type_):
    try:
        found = decode(type_, junk, limit=LIMIT)
    except MalformedError:
        return
    assert encode(found) == junk


@pytest.mark.parametrize(
    "type_,data,why",
    [
        (int, b"\xcc\x07", "8-bit form of a fixint"),
        (int, b"\xcd\x00\xff", "16-bit form of 255"),
        (int, b"\xcf" + bytes(7) + b"\x01", "64-bit form of 1"),
        (int, b"\xd0\x07", "signed form of a natural"),
        (int, b"\xcb" + bytes(8), "float for an integer"),
        (int, b"\x01\x01", "trailing byte"),
        (int, b"", "nothing"),
        (bool, b"\x01", "integer for a boolean"),
        (int, b"\xc3", "boolean for an integer"),
        (bytes, b"\xa1a", "text for bytes"),
        (bytes, b"\xc5\x00\x01a", "16-bit length of one byte"),
        (str, b"\xd9\x01a", "8-bit length of a short text"),
        (str, b"\xa1\xff", "not UTF-8"),
        (tuple[int, ...], b"\xdc\x00\x01\x01", "16-bit length of one element"),
        (tuple[int, int], b"\x91\x01", "an element too few"),
        (tuple[int, int], b"\x93\x01\x01\x01", "an element too many"),
        (Event, msgpack.packb({"contract": "a", "name": "b", "data": b""}), "a map for an array"),
        (Event, msgpack.packb(["spatial", "voted", b"\x90", 1]), "a field too many"),
        (Event, msgpack.packb(["spatial", "voted"]), "a field too few"),
        (Event, msgpack.packb(["Spatial", "voted", b""]), "a name in capitals"),
        (object, b"\x91" * 100_000, "deep nesting"),
    ],
)  # fmt: skip
def test_every_other_form__reject(type_, data, why):
    with pytest.raises(MalformedError):
        decode(type_, data, limit=LIMIT)


def test_an_independent_reader_sees_the_same():
    assert msgpack.unpackb(encode(SAMPLE)) == ["spatial", "voted", b"\x90"]
    assert decode(Event, msgpack.packb(["spatial", "voted", b"\x90"]), limit=100) == SAMPLE


@given(transaction=transactions)
def test_size_is_bounded(transaction):
    data = encode(transaction)
    with pytest.raises(MalformedError, match="at most"):
        decode(Transaction, data, limit=len(data) - 1)
    assert decode_transaction(data) == transaction


def test_too_large_is_refused_before_it_is_parsed():
    with pytest.raises(MalformedError, match="at most"):
        decode_transaction(bytes(MAX_TRANSACTION_BYTES + 1))
    with pytest.raises(MalformedError, match="at most"):
        decode_block(bytes(MAX_BLOCK_BYTES + 1))


@pytest.mark.parametrize(
    "field,value",
    [
        ("chain", bytes(31)),
        ("sender", bytes(33)),
        ("nonce", -1),
        ("nonce", 2**63),
        ("contract", ""),
        ("method", "m" * 33),
        ("args", bytes(16_385)),
        ("signature", b""),
    ],
)
def test_field_bounds__reject(field, value):
    good = Transaction(bytes(32), account(1), 0, "spatial", "vote", b"\x90", bytes(64))
    bad = msgspec.structs.replace(good, **{field: value})
    with pytest.raises(MalformedError):
        decode(Transaction, encode(bad), limit=LIMIT)


@pytest.mark.parametrize(
    "field,value",
    [
        ("evidence", (bytes(MAX_EVIDENCE_BYTES + 1),)),
        ("evidence", (b"",) * (MAX_BLOCK_TRANSACTIONS + 1)),
        ("seal", bytes(MAX_SEAL_BYTES + 1)),
    ],
)
@given(block=blocks)
def test_bounds_of_evidence_and_seal__reject(field, value, block):
    bad = msgspec.structs.replace(block, **{field: value})
    with pytest.raises(MalformedError, match="of length <="):
        decode_block(encode(bad))
    at_the_bound = value[:-1] if field == "seal" else value[1:] or (value[0][:-1],)
    good = msgspec.structs.replace(block, **{field: at_the_bound})
    assert decode_block(encode(good)) == good


@given(transaction=transactions, other=st.binary(min_size=64, max_size=64))
def test_a_transaction_id_ignores_the_signature_alone(transaction, other):
    renewed = msgspec.structs.replace(transaction, signature=other)
    assert transaction_id(renewed) == transaction_id(transaction)
    for field in ("chain", "sender", "contract", "method", "args"):
        changed = msgspec.structs.replace(transaction, **{field: getattr(transaction, field)[:-1]})
        assert changed == transaction or transaction_id(changed) != transaction_id(transaction)


@given(header=headers)
def test_a_block_id_is_the_prefix_and_the_nonce(header):
    assert block_id(header) == sha256(header_prefix(header) + header.nonce.to_bytes(8, "big")).digest()
    renewed = msgspec.structs.replace(header, nonce=header.nonce ^ 1)
    assert header_prefix(renewed) == header_prefix(header) and block_id(renewed) != block_id(header)
    shape = msgpack.unpackb(header_prefix(header))
    assert shape == msgpack.unpackb(encode(header))[:-1]
