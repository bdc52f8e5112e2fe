"""Merkle roots and paths, against RFC 6962's recursive definition."""

from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from chain.codec import encode
from chain.merkle import EMPTY_ROOT, MerklePath, merkle_path, merkle_root, merkle_verify, transactions_root
from tests.strategies import transactions

leaf_lists = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def rfc6962(leaves):
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + rfc6962(leaves[:split]) + rfc6962(leaves[split:])).digest()


@given(leaves=leaf_lists)
def test_root_follows_the_definition(leaves):
    assert merkle_root(leaves) == rfc6962(leaves)


def test_root_of_nothing_is_zero():
    assert merkle_root([]) == EMPTY_ROOT


@given(leaves=leaf_lists, data=st.data())
def test_a_path_proves_its_leaf_and_no_other(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, root = merkle_path(leaves, index), merkle_root(leaves)
    assert merkle_verify(root, leaves[index], path)
    assert not merkle_verify(root, leaves[index] + b"x", path)
    assert not merkle_verify(bytes(32), leaves[index], path)
    assert not merkle_verify(root, leaves[index], replace(path, siblings=(*path.siblings, bytes(32))))
    if path.siblings:
        assert not merkle_verify(root, leaves[index], replace(path, siblings=path.siblings[:-1]))
        assert not merkle_verify(root, leaves[index], replace(path, siblings=(bytes(32), *path.siblings[1:])))


@given(leaves=leaf_lists, data=st.data())
def test_another_place_needs_the_same_leaf(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    other = data.draw(st.integers(0, len(leaves) - 1))
    moved = replace(merkle_path(leaves, index), index=other)
    assert not merkle_verify(merkle_root(leaves), leaves[index], moved) or leaves[other] == leaves[index]


def test_doubling_the_last_leaf_changes_the_root():
    """CVE-2012-2459 must not be possible."""
    assert merkle_root([b"a", b"b", b"c"]) != merkle_root([b"a", b"b", b"c", b"c"])


def test_a_node_is_no_leaf():
    leaves = [b"a", b"b"]
    node = sha256(b"\x00a").digest() + sha256(b"\x00b").digest()
    assert merkle_root([node]) != merkle_root(leaves)


def test_places_outside_the_tree__reject():
    with pytest.raises(IndexError):
        merkle_path([b"a"], 1)
    assert not merkle_verify(merkle_root([b"a"]), b"a", MerklePath(1, 1, ()))
    assert not merkle_verify(merkle_root([b"a"]), b"a", MerklePath(0, 0, ()))


@given(given=st.lists(transactions, min_size=1, max_size=5), data=st.data())
def test_transactions_root__covers_evidence(given, data):
    """A leaf is a transaction with what follows it; without evidence, the transaction alone."""
    evidence = data.draw(st.lists(st.binary(min_size=1, max_size=8), min_size=len(given), max_size=len(given)))
    assert transactions_root(given) == transactions_root(given, ()) == rfc6962([encode(each) for each in given])
    whole = transactions_root(given, evidence)
    assert whole == rfc6962([encode(each) + item for each, item in zip(given, evidence, strict=True)])
    for place in range(len(given)):
        other = [item + b"x" if place == index else item for index, item in enumerate(evidence)]
        assert transactions_root(given, other) != whole


@given(given=st.lists(transactions, max_size=3), items=st.integers(1, 4))
def test_transactions_root__refuses_evidence_of_more_or_fewer(given, items):
    assume(items != len(given))
    with pytest.raises(ValueError, match="argument 2"):
        transactions_root(given, [b"x"] * items)
