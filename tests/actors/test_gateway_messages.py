"""Requests and answers of a gateway come back as they were; hostile bytes are refused, never a crash."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import gateway_messages as m
from chain.errors import MalformedError
from chain.ledgers.ordered.msp import Certificate
from chain.values import MAX_INT, Account
from tests.strategies import blocks, headers, receipts, transactions

integers = st.integers(-(2**63), 2**63 - 1)
certificates = st.builds(
    Certificate,
    organisation=st.just("org1"),
    role=st.sampled_from(["peer", "client"]),
    account=st.binary(min_size=32, max_size=32).map(Account),
    serial=st.integers(0, MAX_INT),
    not_before_ms=st.integers(0, MAX_INT),
    not_after_ms=st.integers(0, MAX_INT),
    signature=st.binary(min_size=64, max_size=64),
)
requests = st.one_of(
    st.builds(m.Submit, st.binary(max_size=50)),
    st.builds(m.NextNonce, st.binary(max_size=40)),
    st.builds(m.Query, st.text(max_size=9), st.text(max_size=9), st.binary(max_size=20), st.booleans()),
    st.builds(m.Wait, st.binary(max_size=40), st.booleans(), integers),
    st.builds(m.AskHeads),
    st.builds(m.AskBlock, st.binary(max_size=40), integers),
    st.builds(m.AskHeaders, integers, integers),
    st.builds(m.AskWaiting, integers),
    st.builds(m.Endorse, st.binary(max_size=50), st.none() | certificates),
    st.builds(m.SubmitEnvelope, st.binary(max_size=50)),
    st.builds(m.AskMembers),
    st.builds(m.AskWords, st.binary(max_size=40)),
    st.builds(m.AskOrdering),
)
stages = st.sampled_from(["accepted", "included", "final"])
answers = st.one_of(
    st.builds(m.Accepted),
    st.builds(m.Refusal, st.text(max_size=9), st.text(max_size=9)),
    st.builds(m.Number, integers),
    st.builds(m.Result, st.binary(max_size=20)),
    st.builds(m.Found, stages, st.none() | receipts, st.none() | headers, st.binary(max_size=20)),
    st.builds(m.Unknown),
    st.builds(m.HeadsAnswer, headers, headers),
    st.builds(m.BlockAnswer, blocks, st.lists(receipts, max_size=2).map(tuple), st.booleans()),
    st.builds(m.HeadersAnswer, st.lists(st.tuples(headers, integers, integers), max_size=2).map(tuple)),
    st.builds(m.WaitingAnswer, st.lists(transactions, max_size=2).map(tuple)),
    st.builds(m.Prepared, st.binary(max_size=50)),
    st.builds(m.MembersAnswer, st.lists(certificates, max_size=2).map(tuple)),
    st.builds(m.WordsAnswer, st.lists(st.binary(max_size=20), max_size=2).map(tuple)),
    st.builds(m.OrderingAnswer, integers, st.binary(max_size=40)),
)


@given(requests)
def test_requests_come_back(request):
    assert m.decode_request(m.encode_message(request)) == request


@given(answers)
def test_answers_come_back(answer):
    assert m.decode_answer(m.encode_message(answer)) == answer


hostile = st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | integers | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
).map(msgspec.msgpack.encode)


@pytest.mark.parametrize("decode", [m.decode_request, m.decode_answer])
@given(hostile)
def test_any_bytes_are_read_or_refused(decode, raw):
    with suppress(MalformedError):
        m.encode_message(decode(raw))


@pytest.mark.parametrize("decode", [m.decode_request, m.decode_answer])
@given(requests | answers, st.data())
def test_altered_bytes_are_read_or_refused(decode, message, data):
    raw = bytearray(m.encode_message(message))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(MalformedError):
        m.encode_message(decode(bytes(raw)))


@pytest.mark.parametrize(
    "raw",
    [
        b"\x91" * 20_000,  # deep
        b"\x92\xa5query",  # short
        b"\x91\xa5steal",  # unknown
        b"\x92\xa5heads\x00",  # long
        b"\xdd\xff\xff\xff\xff",  # an array of four thousand million
        b"\x91\xa5\xff\xff\xff\xff\xff",  # text that is none
    ],
    ids=["deep", "short", "unknown", "long", "huge", "text"],
)
@pytest.mark.parametrize("decode", [m.decode_request, m.decode_answer])
def test_decode__reject(decode, raw):
    with pytest.raises(MalformedError, match="not a gateway"):
        decode(raw)


def test_decode__reject_oversized():
    with pytest.raises(MalformedError, match="a request of 83457 bytes, allowed are 83456"):
        m.decode_request(bytes(m.MAX_REQUEST_BYTES + 1))
    with pytest.raises(MalformedError, match="an answer of 2097153 bytes, allowed are 2097152"):
        m.decode_answer(bytes(m.MAX_ANSWER_BYTES + 1))
