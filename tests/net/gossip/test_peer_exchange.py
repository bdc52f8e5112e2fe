"""Signed peer records, against py-libp2p's, and their way through PRUNE."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import Ed25519PrivateKey
from libp2p.peer.envelope import consume_envelope
from libp2p.peer.envelope import seal_record as stock_seal
from libp2p.peer.id import ID
from libp2p.peer.peer_record import PeerRecord as StockRecord
from multiaddr import Multiaddr

from net.gossip.config import GossipConfig
from net.gossip.events import Effect, Fault, Suggest
from net.gossip.records import MAX_RECORD_BYTES, BadRecordError, PeerRecord, open_record, seal_record
from net.gossip.router import GossipRouter
from net.gossip.score_book import ScoreBook
from net.gossip.wire import Graft, PeerInfo, Prune, Subscription, encode_record, tlv
from net.peer import Address, PeerId
from net.signing import verify
from tests.net.gossip.by_hand import PEERS, T, faults, heard, say, settled, told
from tests.net.gossip.simulated import Network, identity, key, router

ADDRESSES = (Address("/ip4/192.0.2.7/tcp/4001"), Address("/memory/7"), Address("/ip6/2001:db8::1/udp/1/quic-v1"))
NUMBERS = {identity(n): n for n in range(40)}


def record(peer: PeerId, *, seq: int = 1, addresses: tuple[Address, ...] = ADDRESSES) -> bytes:
    signer = key(NUMBERS[peer])
    return seal_record(PeerRecord(peer, seq, addresses), lambda data: signer.sign(data).signature)


def test_stock_reads_our_record() -> None:
    _, stock = consume_envelope(record(PEERS[0], seq=5), "libp2p-peer-record")
    assert stock.peer_id.to_bytes() == bytes(PEERS[0])
    assert stock.seq == 5
    assert [str(address) for address in stock.addrs] == list(ADDRESSES)


def test_we_read_a_stock_record() -> None:
    secret = Ed25519PrivateKey.from_bytes(bytes(key(3)))
    stock = StockRecord(ID(bytes(identity(3))), [Multiaddr(address) for address in ADDRESSES], 9)
    raw = stock_seal(stock, secret).marshal_envelope()
    assert open_record(raw, verify) == PeerRecord(identity(3), 9, ADDRESSES)


def test_open_undoes_seal() -> None:
    assert open_record(record(PEERS[0]), verify) == PeerRecord(PEERS[0], 1, ADDRESSES)


def damaged(*, key_of: PeerId | None = None, payload_type: bytes = b"\x03\x01", flip: int = 0) -> bytes:
    """A record of PEERS[0], signed by itself but for what is asked."""
    signer = key_of or PEERS[0]
    payload = tlv(0x0A, PEERS[0]) + b"\x10\x01"
    signed = b"".join(bytes((len(part),)) + part for part in (b"libp2p-peer-record", payload_type, payload))
    signature = bytearray(key(NUMBERS[signer]).sign(signed).signature)
    signature[0] ^= flip
    return tlv(0x0A, signer[2:]) + tlv(0x12, payload_type) + tlv(0x1A, payload) + tlv(0x2A, bytes(signature))


@pytest.mark.parametrize(
    "raw, reason",
    [
        (damaged(flip=1), "bad signature"),
        (damaged(key_of=PEERS[1]), "not signed by its peer"),
        (damaged(payload_type=b"\x03\x02"), "no peer record"),
        (b"", "no peer record"),
        (b"\x0a\x05", "no protobuf"),
        (tlv(0x12, b"\x03\x01") + tlv(0x1A, b""), "not of an Ed25519 peer"),
        (bytes(MAX_RECORD_BYTES + 1), "too long"),
    ],
)
def test_bad_record__reject(raw: bytes, reason: str) -> None:
    with pytest.raises(BadRecordError, match=reason):
        open_record(raw, verify)
    assert open_record(damaged(), verify) == PeerRecord(PEERS[0], 1, ())


@given(st.data())
def test_mutated_record_is_refused_or_says_the_same(data: st.DataObject) -> None:
    raw = bytearray(record(PEERS[0]))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(len(raw) // 2, len(raw)))]
    with suppress(BadRecordError):
        assert open_record(bytes(raw), verify) == PeerRecord(PEERS[0], 1, ADDRESSES)


def test_too_many_addresses_or_none_that_are__reject() -> None:
    with pytest.raises(ValueError, match="more than fit"):
        record(PEERS[0], addresses=tuple(Address(f"/memory/{n}") for n in range(17)))
    with pytest.raises(ValueError, match="not a multiaddress"):
        record(PEERS[0], addresses=(Address("memory 7"),))


# --- at the router


def pruner(*, scores: Callable[[PeerId], float] = lambda _: 0.0) -> GossipRouter:
    """A router that names peers; all 20 neighbours have told where they listen."""
    one = settled(20, config=GossipConfig(offer_px=True, px_peers=8), score=ScoreBook(application=scores))
    for peer in PEERS[:20]:
        one.receive(peer, encode_record(record(peer)), 2.0)
    return one


def test_own_record_goes_to_present_and_future_links() -> None:
    one = settled(2)
    effects = one.announce(ADDRESSES, 3.0)
    assert told(effects) == PEERS[:2]
    raw = heard(one.link_up(PEERS[2], 3.0), PEERS[2]).sender_record
    assert raw == heard(effects, PEERS[0]).sender_record
    assert open_record(raw, verify) == PeerRecord(one.peer_id, 3_000_000_000, ADDRESSES)


def test_over_subscribed_mesh_names_peers_to_those_it_prunes() -> None:
    one = pruner()
    for peer in PEERS[:20]:
        say(one, peer, 2.1, graft=(Graft(T),))
    effects = one.tick(one.next_deadline())
    assert len(one.mesh(T)) == 6
    for peer in set(PEERS[:20]) - set(one.mesh(T)):
        (prune,) = heard(effects, peer).prune
        assert len(prune.peers) == 8
        named = [open_record(info.signed_record, verify).peer for info in prune.peers]
        assert named == [info.peer for info in prune.peers]
        assert peer not in named


def test_distrusted_peers_are_neither_named_nor_told_names() -> None:
    bad = set(PEERS[:10])
    one = pruner(scores=lambda peer: -1.0 if peer in bad else 0.0)
    effects = one.unsubscribe(T, 2.5)
    named = {info.peer for peer in told(effects) for prune in heard(effects, peer).prune for info in prune.peers}
    assert named
    assert named.isdisjoint(bad)
    one.subscribe(T, 100.0)
    assert heard(say(one, PEERS[0], 100.1, graft=(Graft(T),)), PEERS[0]).prune == (Prune(T, 60),)


def test_graft_in_backoff_is_told_no_names() -> None:
    one = pruner()
    say(one, PEERS[0], 2.5, prune=(Prune(T),))
    assert heard(say(one, PEERS[0], 20.0, graft=(Graft(T),)), PEERS[0]).prune == (Prune(T, 60),)


def taken(infos: tuple[PeerInfo, ...], *, score: float = 1000.0) -> tuple[GossipRouter, list[Effect]]:
    one = settled(6, score=ScoreBook(application=lambda peer: score if peer == PEERS[0] else 0.0))
    return one, say(one, PEERS[0], 2.1, prune=(Prune(T, 60, infos),))


def info(peer: PeerId, **change: int) -> PeerInfo:
    return PeerInfo(bytes(peer), record(peer, **change))  # type: ignore[arg-type]


def test_peers_named_by_the_trusted_are_suggested() -> None:
    one, effects = taken((info(PEERS[20]), info(PEERS[1]), PeerInfo(bytes(PEERS[22]), b""), info(identity(0))))
    # Not who is linked already, nor who gave no record, nor ourselves.
    assert effects == [Suggest(PEERS[20], ADDRESSES)]
    assert PEERS[0] not in one.mesh(T)


def test_peers_named_by_others_are_not_even_looked_at() -> None:
    _, effects = taken((PeerInfo(bytes(PEERS[20]), b"rubbish"), info(PEERS[21])), score=999.0)
    assert effects == []


@pytest.mark.parametrize(
    "forged",
    [
        PeerInfo(bytes(PEERS[20]), record(PEERS[21])),
        PeerInfo(b"", record(PEERS[21])),
        PeerInfo(bytes(PEERS[0]), damaged(flip=1)),
        PeerInfo(bytes(PEERS[0]), damaged(key_of=PEERS[1])),
        PeerInfo(bytes(PEERS[20]), b"rubbish"),
    ],
)
def test_forged_record__reject_all_and_blame(forged: PeerInfo) -> None:
    _, effects = taken((info(PEERS[22]), forged))
    assert faults(effects) == [(PEERS[0], Fault.BAD_RECORD)]
    assert not any(isinstance(effect, Suggest) for effect in effects)


def test_suggestions_are_bounded() -> None:
    _, effects = taken(tuple(info(peer) for peer in PEERS[8:30]))
    assert [effect.peer for effect in effects if isinstance(effect, Suggest)] == PEERS[8:24]


def test_own_record_must_be_the_senders() -> None:
    one = settled()
    assert faults(one.receive(PEERS[0], encode_record(record(PEERS[1])), 3.0)) == [(PEERS[0], Fault.BAD_RECORD)]
    assert faults(one.receive(PEERS[0], encode_record(b"x"), 4.0)) == [(PEERS[0], Fault.BAD_RECORD)]
    assert one.receive(PEERS[0], encode_record(record(PEERS[0])), 5.0) == []


def test_the_newest_record_is_the_one_passed_on() -> None:
    one = settled(3, config=GossipConfig(offer_px=True))
    for beat, seq in enumerate((5, 7, 6)):
        one.receive(PEERS[1], encode_record(record(PEERS[1], seq=seq)), 3.0 + beat)
    (prune,) = heard(one.unsubscribe(T, 9.0), PEERS[0]).prune
    assert [open_record(one.signed_record, verify).seq for one in prune.peers] == [7]


def test_newcomer_at_a_full_bootstrap_peer_finds_others() -> None:
    """Star: all know the bootstrap peer alone. Those it prunes are told of the others."""
    bootstrap = identity(0)
    config = GossipConfig(offer_px=True)
    network = Network(
        30, config=config, score=lambda _: ScoreBook(application=lambda peer: 1000.0 if peer == bootstrap else 0.0)
    )
    for n, peer in enumerate(network.ids):
        network.carry_out(peer, network.routers[peer].announce((Address(f"/memory/{n + 1}"),), 0.0))
    for peer in network.ids[1:]:
        network.connect(peer, bootstrap)
    network.subscribe(T)
    network.run(5)
    told_to = {peer for peer, _ in network.suggestions}
    assert len(told_to) > 15
    for peer, suggestion in network.suggestions:
        assert suggestion.addresses == (Address(f"/memory/{network.ids.index(suggestion.peer) + 1}"),)
        network.connect(peer, suggestion.peer)
    network.run(5)
    assert all(len(network.routers[peer].mesh(T)) >= 4 for peer in told_to)


def test_record_is_looked_at_once_a_heartbeat() -> None:
    checks = []

    def counting(public_key: bytes, signature: bytes, data: bytes) -> bool:
        checks.append(1)
        return verify(public_key, signature, data)

    one = router(0, verify=counting)
    one.link_up(PEERS[0], 0.0)
    beat = one.next_heartbeat(5.0)
    say(one, PEERS[0], beat, subscriptions=(Subscription(T, subscribe=True),))
    for n in range(20):
        one.receive(PEERS[0], encode_record(record(PEERS[0], seq=100 + n)), beat + 0.01 * n)
    assert len(checks) == 1
