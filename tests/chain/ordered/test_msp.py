"""A certificate is worth what its organisation signed, for its account, between its dates, until it is revoked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chain.codec import decode, encode
from chain.errors import MalformedError, Refused
from chain.keys import remember_signatures
from chain.ledgers.ordered.msp import (
    CERTIFICATE_DOMAIN,
    MAX_CERTIFICATE_BYTES,
    Certificate,
    Identities,
    Signed,
    check_certificate,
    identities,
    issue,
)
from chain.ledgers.ordered.policy import CERTIFICATE_ROLES, Principal
from chain.ledgers.ordered.update import revoke, with_organisation, without_organisation
from chain.values import MAX_INT
from tests.chain.ordered.membership import (
    NOT_AFTER_MS,
    NOT_BEFORE_MS,
    NOW_MS,
    certificate,
    channel,
    root_key,
)
from tests.strategies import account, key

CONFIG = channel()
PEER = certificate("Oak", "peer", 1)
GOLDEN = (
    # Seven fields; Oak; peer; account; serial 1; dates; signature.
    "97a34f616ba470656572c4204cb5abf6ad79fbf5abbccafcc269d85cd2651ed4b885b5869f241aedf0a5ba2901cf0000"
    "0199c82cc000cf00000199c83c0240c44061fae6607082464a7b6dffd62a5c646377067f227ffe8317e51facebe87727"
    "41751975fd453e5585166c739cdef7c32f575a5faca115c4e879309c51c2bcf603"
)


def reason(config, shown, who=1, at_ms=NOW_MS):
    with pytest.raises(Refused) as refusal:
        check_certificate(config, shown, account(who), at_ms)
    return refusal.value.reason


@pytest.fixture(params=[True, False], ids=["remembering", "anew"])
def _memory(request):
    remember_signatures(request.param)
    yield
    remember_signatures(True)


@pytest.mark.usefixtures("_memory")
@pytest.mark.parametrize("role", CERTIFICATE_ROLES)
def test_a_certificate_says_what_its_account_is(role):
    for _ in range(2):
        shown = certificate("Elm", role, 2)
        assert check_certificate(CONFIG, shown, account(2), NOW_MS) == Principal("Elm", role)


@pytest.mark.usefixtures("_memory")
def test_both_dates_are_included():
    for at_ms in (NOT_BEFORE_MS, NOT_AFTER_MS):
        assert check_certificate(CONFIG, PEER, account(1), at_ms) == Principal("Oak", "peer")
    assert reason(CONFIG, PEER, at_ms=NOT_BEFORE_MS - 1) == "certificate_not_yet_valid"
    assert reason(CONFIG, PEER, at_ms=NOT_AFTER_MS + 1) == "certificate_expired"


@pytest.mark.usefixtures("_memory")
@pytest.mark.parametrize(
    "change, expected",
    [
        ({"organisation": "Yew"}, "unknown_organisation"),
        ({"organisation": "Elm"}, "bad_certificate"),
        ({"role": "boss"}, "unknown_role"),
        ({"role": "member"}, "unknown_role"),
        ({"role": "admin"}, "bad_certificate"),
        ({"account": account(2)}, "certificate_of_another"),
        ({"serial": 2}, "bad_certificate"),
        ({"not_before_ms": NOT_BEFORE_MS - 1}, "bad_certificate"),
        ({"not_after_ms": NOT_AFTER_MS + 1}, "bad_certificate"),
        ({"signature": bytes(64)}, "bad_certificate"),
        ({"signature": PEER.signature[:-1]}, "bad_certificate"),
        ({"signature": b""}, "bad_certificate"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_what_its_organisation_did_not_sign__is_refused(change, expected):
    check_certificate(CONFIG, PEER, account(1), NOW_MS)
    assert reason(CONFIG, replace(PEER, **change)) == expected


def test_an_altered_account_is_refused_to_the_account_it_names():
    assert reason(CONFIG, replace(PEER, account=account(2)), who=2) == "bad_certificate"


@pytest.mark.usefixtures("_memory")
def test_a_certificate_speaks_for_its_account_alone():
    check_certificate(CONFIG, PEER, account(1), NOW_MS)
    assert reason(CONFIG, PEER, who=2) == "certificate_of_another"


def test_members_do_not_make_members():
    by_admin = issue(key(711), "Oak", "peer", account(1), 5, NOT_BEFORE_MS, NOT_AFTER_MS)
    by_others = issue(root_key("Elm"), "Oak", "peer", account(1), 5, NOT_BEFORE_MS, NOT_AFTER_MS)
    assert reason(CONFIG, by_admin) == reason(CONFIG, by_others) == "bad_certificate"


@pytest.mark.usefixtures("_memory")
def test_a_revoked_certificate_is_void_under_the_configuration_that_revokes_it():
    check_certificate(CONFIG, PEER, account(1), NOW_MS)
    later = revoke(CONFIG, PEER)
    assert reason(later, PEER) == "certificate_revoked"
    assert check_certificate(CONFIG, PEER, account(1), NOW_MS) == Principal("Oak", "peer")
    same_serial_elsewhere = certificate("Elm", "peer", 1)
    assert check_certificate(later, same_serial_elsewhere, account(1), NOW_MS) == Principal("Elm", "peer")
    another = certificate("Oak", "peer", 1, serial=2)
    assert check_certificate(later, another, account(1), NOW_MS) == Principal("Oak", "peer")


def test_an_organisation_that_left_takes_its_members_along_and_brings_none_back_that_were_revoked():
    good = certificate("Oak", "peer", 2)
    without = without_organisation(revoke(CONFIG, PEER), "Oak")
    assert reason(without, good, who=2) == "unknown_organisation"
    again = with_organisation(without, "Oak", account(701))
    assert check_certificate(again, good, account(2), NOW_MS) == Principal("Oak", "peer")
    assert reason(again, PEER) == "certificate_revoked"


def test_a_new_root_key_voids_what_the_old_one_signed():
    changed = with_organisation(CONFIG, "Oak", account(799))
    assert reason(changed, PEER) == "bad_certificate"
    anew = issue(key(799), "Oak", "peer", account(1), 1, NOT_BEFORE_MS, NOT_AFTER_MS)
    assert check_certificate(changed, anew, account(1), NOW_MS) == Principal("Oak", "peer")


def test_a_refusal_is_not_remembered_as_a_member():
    forged = replace(PEER, serial=9)
    known = Identities(CONFIG)
    for _ in range(2):
        with pytest.raises(Refused, match="bad_certificate"):
            known.principal(forged, account(1), NOW_MS)


def test_identities_are_kept_for_each_configuration():
    assert identities(CONFIG) is identities(channel()) is not identities(revoke(CONFIG, PEER))


@given(place=st.integers(0, 511))
def test_no_bit_of_a_signature_may_change(place):
    flipped = bytearray(PEER.signature)
    flipped[place // 8] ^= 1 << place % 8
    assert reason(CONFIG, replace(PEER, signature=bytes(flipped))) == "bad_certificate"


@pytest.mark.parametrize(
    "change",
    [
        {"role": "member"},
        {"role": ""},
        {"not_before_ms": NOT_AFTER_MS + 1},
        {"not_before_ms": -1},
    ],
)
def test_certificates_that_cannot_be_are_not_issued(change):
    given_ = {"role": "peer", "not_before_ms": NOT_BEFORE_MS, "not_after_ms": NOT_AFTER_MS} | change
    with pytest.raises(ValueError, match=r"none of|valid from"):
        issue(root_key("Oak"), "Oak", account=account(1), serial=1, **given_)


def test_a_certificate_of_one_millisecond():
    moment = certificate("Oak", "peer", 1, not_before_ms=NOW_MS, not_after_ms=NOW_MS)
    assert check_certificate(CONFIG, moment, account(1), NOW_MS) == Principal("Oak", "peer")
    assert reason(CONFIG, moment, at_ms=NOW_MS + 1) == "certificate_expired"


def test_bytes_of_a_certificate():
    """Golden: what organisations signed must stay signed."""
    data = encode(PEER)
    assert data.hex() == GOLDEN
    assert decode(Certificate, data, limit=MAX_CERTIFICATE_BYTES) == PEER
    assert CERTIFICATE_DOMAIN == b"crowdmesh:certificate:1:"


@pytest.mark.parametrize(
    "change",
    [
        {"organisation": ""},
        {"organisation": "Oak\n"},
        {"organisation": "-Oak"},
        {"organisation": "x" * 33},
        {"role": ""},
        {"role": "x" * 17},
        {"account": bytes(31)},
        {"serial": -1},
        {"not_after_ms": 2**63},
        {"signature": bytes(63)},
    ],
)
def test_what_is_no_certificate__is_malformed(change):
    data = encode(replace(PEER, **change))
    with pytest.raises(MalformedError):
        decode(Certificate, data, limit=MAX_CERTIFICATE_BYTES)


def test_the_longest_certificate_is_as_long_as_said():
    longest = Certificate("x" * 32, "x" * 16, account(1), MAX_INT, MAX_INT, MAX_INT, bytes(64))
    assert len(encode(longest)) == MAX_CERTIFICATE_BYTES
    assert decode(Signed, encode(Signed(longest, bytes(64))), limit=246).certificate == longest


@given(cut=st.integers(0, len(encode(PEER)) - 1), tail=st.binary(min_size=1, max_size=3))
def test_cut_or_lengthened_certificates_are_malformed(cut, tail):
    for damaged in (encode(PEER)[:cut], encode(PEER) + tail):
        with pytest.raises(MalformedError):
            decode(Certificate, damaged, limit=MAX_CERTIFICATE_BYTES)
