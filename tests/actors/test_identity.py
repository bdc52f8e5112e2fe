"""An identity is one Ed25519 key, whoever looks at it: libp2p, the ledger, libsodium."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from actors.identity import Identity, seal
from chain.keys import account_of
from net.peer import PeerId

secrets = st.binary(min_size=32, max_size=32)


@given(secrets)
def test_the_peer_id_is_libp2ps_for_the_same_key(secret):
    theirs = ID.from_pubkey(create_new_key_pair(secret).public_key)
    assert Identity(secret).peer_id == theirs.to_bytes()
    assert str(Identity(secret).peer_id) == theirs.to_base58()


@given(secrets)
def test_account_peer_id_and_key_are_one(secret):
    identity = Identity(secret)
    assert identity.account == identity.peer_id.public_key == account_of(identity.key)
    assert PeerId.from_public_key(identity.account) == identity.peer_id


def test_derived_identities_are_pinned():
    """Published runs stay what they were: a change here changes every network."""
    assert Identity.derive(7, "worker-01").secret.hex() == PINNED
    assert Identity.derive(7, "worker-01") == Identity.derive(7, "worker-01")


PINNED = "5baf615a5a5a2e722e7a08964b6edd927129e7716ec9092a30691a35649c0c7d"


@given(st.tuples(st.integers(0), st.text(max_size=8)), st.tuples(st.integers(0), st.text(max_size=8)))
def test_other_seed_or_name_other_identity(one, other):
    assert (Identity.derive(*one) == Identity.derive(*other)) == (one == other)


@given(secrets)
def test_nothing_printed_shows_the_secret(secret):
    identity = Identity(secret)
    for shown in (repr(identity), str(identity), f"{identity}", repr([identity])):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_secret__reject_other_sizes(size):
    with pytest.raises(ValueError, match=f"not {size}"):
        Identity(bytes(size))


@given(secrets, st.binary(max_size=200))
def test_signatures_verify_with_the_account(secret, message):
    identity = Identity(secret)
    VerifyKey(identity.account).verify(message, identity.sign(message))


@given(secrets, st.binary(max_size=500))
def test_a_sealed_box_opens_for_its_recipient(secret, plain):
    identity = Identity(secret)
    sealed = seal(identity.peer_id, plain)
    assert identity.open_sealed(sealed) == plain
    assert len(sealed) == len(plain) + 48


@given(secrets, secrets, st.binary(max_size=50), st.data())
def test_sealed_box__reject_other_recipient_and_any_altered_byte(secret, other, plain, data):
    sealed = bytearray(seal(Identity(secret).peer_id, plain))
    if secret != other:
        with pytest.raises(CryptoError):
            Identity(other).open_sealed(bytes(sealed))
    position = data.draw(st.integers(0, len(sealed) - 1))
    # X25519 ignores the top bit of the ephemeral key, which the nonce covers all the same.
    sealed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CryptoError):
        Identity(secret).open_sealed(bytes(sealed))
