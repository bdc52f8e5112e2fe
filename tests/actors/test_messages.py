"""What actors say to each other has one encoding, one reader and one signer; whatever else comes is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.identity import Identity, seal
from actors.messages import (
    MAX_ADDRESS_CHARACTERS,
    MAX_ADDRESSES,
    MAX_MESSAGE_BYTES,
    MAX_PEERS_TOLD,
    Attestation,
    Ballot,
    Claim,
    Hello,
    Known,
    Notice,
    SignedClaim,
    Welcome,
    attest,
    blocks_topic,
    cell_topic,
    is_attested,
    open_claim,
    read,
    seal_claim,
    tx_topic,
)
from actors.sensing.mobility import Point
from chain.codec import encode
from chain.contracts.spatial_records import SALT_BYTES, Ticket
from chain.errors import MalformedError
from chain.merkle import MerklePath

WORKER, MEC, OTHER = (Identity.derive(1, name) for name in ("worker", "mec", "other"))
HERE = Point(44.5, 11.3)
PEER = bytes(MEC.peer_id)
EXAMPLES = [
    Claim(WORKER.account, WORKER.account, MEC.account, 445_000_000, -113_000_000, 5),
    SignedClaim(Claim(WORKER.account, WORKER.account, MEC.account, 1, 2, 3), bytes(64), b""),
    attest(MEC, WORKER.account, 77),
    Ballot(bytes(32), "fire", 1, -2, 3, 4, 5, WORKER.account, Ticket(bytes(SALT_BYTES), MerklePath(0, 3, (bytes(32), bytes(32))))),
    Notice(bytes(32), "pending", "fire", 1, -2, 3),
    Hello(ledger=True, addresses=("/ip4/10.0.0.1/tcp/4001",)),
    Welcome((Known(PEER, ("/ip4/10.0.0.1/tcp/4001",)),)),
]  # fmt: skip


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_messages_come_back(message):
    assert read(type(message), encode(message)) == message


@given(st.sampled_from(EXAMPLES), st.data())
def test_an_altered_message_is_refused_or_another_one(message, data):
    """One encoding a value: no two byte strings are read as the same message."""
    raw = bytearray(encode(message))
    match data.draw(st.sampled_from(["flip", "insert", "delete", "append", "cut"])):
        case "flip":
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        case "insert":
            raw.insert(data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, 255)))
        case "delete":
            del raw[data.draw(st.integers(0, len(raw) - 1))]
        case "append":
            raw += data.draw(st.binary(min_size=1, max_size=5))
        case "cut":
            del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    if bytes(raw) == encode(message):
        return
    try:
        found = read(type(message), bytes(raw))
    except MalformedError:
        return
    assert found != message
    assert encode(found) == bytes(raw)


@given(st.sampled_from([type(message) for message in EXAMPLES]), st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(type_, raw):
    with suppress(MalformedError):
        assert encode(read(type_, raw)) == raw


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_read__reject_oversized(message):
    with pytest.raises(MalformedError, match=f"{MAX_MESSAGE_BYTES + 1} bytes where at most {MAX_MESSAGE_BYTES}"):
        read(type(message), encode(message).ljust(MAX_MESSAGE_BYTES + 1, b"\0"))


@pytest.mark.parametrize(
    "message",
    [
        Hello(ledger=True, addresses=("/x",) * (MAX_ADDRESSES + 1)),
        Hello(ledger=True, addresses=("/" * (MAX_ADDRESS_CHARACTERS + 1),)),
        Welcome((Known(PEER, ()),) * (MAX_PEERS_TOLD + 1)),
        Welcome((Known(PEER[:-1], ()),)),
        replace(EXAMPLES[0], worker=bytes(31)),
        replace(EXAMPLES[2], mec=bytes(33)),
        replace(EXAMPLES[3], report=bytes(31)),
        replace(EXAMPLES[4], report=bytes(33)),
    ],
)
def test_read__reject_out_of_bounds(message):
    with pytest.raises(MalformedError, match="length"):
        read(type(message), encode(message))


def test_topics():
    assert (tx_topic("net"), blocks_topic("net")) == ("/net/tx", "/net/blocks")
    assert cell_topic("net", Point(57.64911, 10.40744)) == "/net/cell/u4pru"


# Presence claims. ----------------------------------------------------------------------------------------------------


def test_a_claim_is_opened_by_the_node_it_is_for():
    sealed = seal_claim(WORKER, MEC.peer_id, HERE, 123)
    assert open_claim(MEC, sealed) == Claim(WORKER.account, WORKER.account, MEC.account, *HERE.e7, 123)
    assert encode(HERE.e7[0]) not in sealed


def signed(claim, by=WORKER, domain=b"crowdmesh:presence:1:"):
    return encode(SignedClaim(claim, by.sign(domain + encode(claim)), b""))


CLAIM = Claim(WORKER.account, WORKER.account, MEC.account, *HERE.e7, 123)


def test_claim__reject_replay_to_another_node():
    """A node that opened a claim cannot pass it on as made for another."""
    claim = open_claim(MEC, seal_claim(WORKER, MEC.peer_id, HERE, 123))
    with pytest.raises(MalformedError, match="meant for another MEC node"):
        open_claim(OTHER, seal(OTHER.peer_id, signed(claim)))
    with pytest.raises(MalformedError, match="cannot open"):
        open_claim(OTHER, seal_claim(WORKER, MEC.peer_id, HERE, 123))


def test_claim__reject_readdressed():
    claim = replace(CLAIM, mec=OTHER.account)
    forged = encode(SignedClaim(claim, WORKER.sign(b"crowdmesh:presence:1:" + encode(CLAIM)), b""))
    with pytest.raises(MalformedError, match="not signed by its worker"):
        open_claim(OTHER, seal(OTHER.peer_id, forged))


@pytest.mark.parametrize(
    "plain",
    [
        signed(CLAIM, by=OTHER),
        signed(CLAIM, domain=b"crowdmesh:attestation:1:"),
        signed(CLAIM, domain=b""),
        encode(SignedClaim(CLAIM, b"", b"")),
        encode(SignedClaim(CLAIM, bytes(64), b"")),
        encode(SignedClaim(replace(CLAIM, worker=bytes(32)), bytes(64), b"")),
        encode(SignedClaim(replace(CLAIM, lat_e7=1), WORKER.sign(b"crowdmesh:presence:1:" + encode(CLAIM)), b"")),
    ],
)
def test_claim__reject_not_signed_by_its_worker(plain):
    with pytest.raises(MalformedError, match="not signed by its worker"):
        open_claim(MEC, seal(MEC.peer_id, plain))


def test_a_claim_may_name_a_voter_of_its_own():
    claim = open_claim(MEC, seal_claim(WORKER, MEC.peer_id, HERE, 123, voter=OTHER))
    assert (claim.worker, claim.voter) == (WORKER.account, OTHER.account)


@pytest.mark.parametrize(
    "voter, signature",
    [
        (OTHER.account, b""),
        (OTHER.account, bytes(64)),
        (OTHER.account, WORKER.sign(b"x")),
        (WORKER.account, WORKER.sign(b"x")),  # nothing is signed twice
    ],
)
def test_claim__reject_not_signed_by_its_voter(voter, signature):
    """Else a worker could have somebody else drawn, and know that it was."""
    claim = replace(CLAIM, voter=voter)
    raw = encode(SignedClaim(claim, WORKER.sign(b"crowdmesh:presence:1:" + encode(claim)), signature))
    with pytest.raises(MalformedError, match="not signed by its voter"):
        open_claim(MEC, seal(MEC.peer_id, raw))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_claim__reject_any_altered_byte(position, flip):
    sealed = bytearray(seal_claim(WORKER, MEC.peer_id, HERE, 123))
    sealed[position % len(sealed)] ^= flip
    with pytest.raises(MalformedError, match="cannot open"):
        open_claim(MEC, bytes(sealed))


@given(st.binary(max_size=200))
def test_claim__reject_any_bytes(raw):
    with pytest.raises(MalformedError):
        open_claim(MEC, raw)
    with pytest.raises(MalformedError):
        open_claim(MEC, seal(MEC.peer_id, raw))


def test_claim__reject_oversized():
    with pytest.raises(MalformedError, match="a presence claim of 8193 bytes"):
        open_claim(MEC, bytes(MAX_MESSAGE_BYTES + 1))


def test_attestations_are_their_nodes_word():
    word = attest(MEC, WORKER.account, 500)
    assert is_attested(word)
    for change in (
        {"until_ms": 501},
        {"worker": OTHER.account},
        {"mec": OTHER.account},
        {"signature": bytes(64)},
        {"signature": b""},
    ):
        assert not is_attested(replace(word, **change))
    assert not is_attested(Attestation(word.worker, OTHER.account, 500, word.signature))
