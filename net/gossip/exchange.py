"""Peer exchange: signed records of our neighbours, offered with PRUNE, and those that a PRUNE brings.

gossipsub-v1.1.md, "PRUNE Backoff and Peer Exchange". A peer's record comes with the first frame of its link (as
py-libp2p sends it; others skip it), and only records that the peer itself signed are passed on or taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from net.gossip.config import GossipConfig
from net.gossip.events import Suggest
from net.gossip.records import BadRecordError, PeerRecord, open_record, seal_record
from net.gossip.wire import PeerInfo
from net.peer import Address, PeerId
from net.signing import Sign, Verify


@dataclass(slots=True)
class _Known:
    raw: bytes
    record: PeerRecord
    beat: int
    """When a record of this peer was last looked at."""


class PeerExchange:
    """The records of linked peers and our own."""

    def __init__(self, own: PeerId, *, sign: Sign, verify: Verify, config: GossipConfig, rng: Random) -> None:
        self._own = own
        self._sign = sign
        self._verify = verify
        self._config = config
        self._rng = rng
        self._known: dict[PeerId, _Known] = {}
        self.record = b""
        """Our own, signed; empty until we have said where we listen."""

    def announce(self, addresses: Sequence[Address], seq: int) -> None:
        """Make our own record. Raises ValueError for what is no multiaddress."""
        self.record = seal_record(PeerRecord(self._own, seq, tuple(addresses)), self._sign)

    def forget(self, peer: PeerId) -> None:
        """The link is gone."""
        self._known.pop(peer, None)

    def learn(self, peer: PeerId, raw: bytes, beat: int) -> bool:
        """Keep a linked peer's own record; the newest holds, and one a heartbeat is looked at. Returns False for a bad one."""
        known = self._known.get(peer)
        if known is not None and (raw == known.raw or known.beat == beat):
            return True
        try:
            record = open_record(raw, self._verify)
        except BadRecordError:
            return False
        if record.peer != peer:
            return False
        if known is None or record.seq > known.record.seq:
            self._known[peer] = _Known(raw, record, beat)
        else:
            known.beat = beat
        return True

    def offer(self, candidates: list[PeerId]) -> tuple[PeerInfo, ...]:
        """Choose peers to name in a PRUNE, of whom we have a record."""
        able = [peer for peer in candidates if peer in self._known]
        if len(able) > self._config.px_peers:
            able = self._rng.sample(able, self._config.px_peers)
        return tuple(PeerInfo(bytes(peer), self._known[peer].raw) for peer in able)

    def take(self, infos: Sequence[PeerInfo]) -> tuple[list[Suggest], bool]:
        """Check the peers that a PRUNE names, the first `px_peers` of them; those without record are passed over.

        Returns whom to suggest, and whether one of the records was bad.
        """
        found: dict[PeerId, Suggest] = {}
        for info in infos[: self._config.px_peers]:
            if not info.signed_record:
                continue
            try:
                record = open_record(info.signed_record, self._verify)
            except BadRecordError:
                return [], True
            if bytes(record.peer) != info.peer:
                return [], True
            if record.peer != self._own and record.addresses:
                found[record.peer] = Suggest(record.peer, record.addresses)
        return list(found.values()), False
