"""Lazy gossip: advertise recent messages with IHAVE, ask with IWANT, and remember who promised what.

gossipsub-v1.0.md, "Gossip Propagation"; limits of go-libp2p-pubsub (gossipsub-v1.1.md, "Spam Protection Measures").
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from random import Random

from net.gossip.cache import MessageCache, SeenCache
from net.gossip.config import GossipConfig
from net.gossip.events import MessageId
from net.gossip.wire import MESSAGE_ID_BYTES, Envelope, IHave, IWant
from net.peer import PeerId


@dataclass(slots=True)
class _Budget:
    """What a peer has used up of one heartbeat."""

    beat: int
    ihave_frames: int = 0
    asked: int = 0
    answered: int = 0


class LazyGossip:
    """Answers to IHAVE and IWANT within the limits per heartbeat, and promises. Linked peers only."""

    def __init__(self, seen: SeenCache, cache: MessageCache, config: GossipConfig, rng: Random) -> None:
        self._seen = seen
        self._cache = cache
        self._config = config
        self._rng = rng
        self._budgets: dict[PeerId, _Budget] = {}
        # One message of each IWANT is watched (go): by id, who owes it since when. Oldest first.
        self._promises: dict[tuple[MessageId, PeerId], float] = {}
        self._promised: dict[MessageId, list[PeerId]] = {}

    def forget(self, peer: PeerId) -> None:
        """The link is gone, and with it what the peer owes."""
        self._budgets.pop(peer, None)
        for message_id, debtor in [key for key in self._promises if key[1] == peer]:
            self._release(message_id, debtor)

    def on_ihave(self, peer: PeerId, beat: int, adverts: Iterable[IHave], now: float) -> IWant | None:
        """Choose what to ask `peer` for, of adverts of joined topics."""
        budget = self._budget(peer, beat)
        budget.ihave_frames += 1
        room = self._config.max_ihave_length - budget.asked
        if budget.ihave_frames > self._config.max_ihave_messages or room <= 0:
            return None
        # dict: each id once, in the peer's order. An id of another length is none of a message that we could take.
        unseen = [
            message_id
            for message_id in self._seen.without(dict.fromkeys(one for advert in adverts for one in advert.ids), now)
            if len(message_id) == MESSAGE_ID_BYTES
        ]
        if not unseen:
            return None
        wanted = self._rng.sample(unseen, room) if len(unseen) > room else unseen
        budget.asked += len(wanted)
        watched = self._rng.choice(wanted)
        if (watched, peer) not in self._promises and len(self._promises) < self._config.max_promises:
            self._promises[watched, peer] = now + self._config.iwant_followup_s
            self._promised.setdefault(watched, []).append(peer)
        return IWant(tuple(wanted))

    def on_iwant(self, peer: PeerId, beat: int, requests: Iterable[IWant]) -> list[Envelope]:
        """Return the messages to send, each once; those not held any more are passed over."""
        budget = self._budget(peer, beat)
        found: list[Envelope] = []
        for message_id in dict.fromkeys(message_id for request in requests for message_id in request.ids):
            if budget.answered >= self._config.max_iwant_length:
                break
            budget.answered += 1
            envelope = self._cache.take(message_id, peer, self._config.iwant_retransmissions)
            if envelope is not None:
                found.append(envelope)
        return found

    def arrived(self, message_id: MessageId) -> None:
        """The message came, from whomever: nobody owes it any more."""
        for peer in self._promised.get(message_id, ())[:]:
            self._release(message_id, peer)

    @property
    def next_due(self) -> float:
        """When the next promise falls due, or infinity."""
        return next(iter(self._promises.values()), inf)

    def overdue(self, now: float) -> list[PeerId]:
        """Take out the promises that fell due; their peers, once per broken promise, oldest first."""
        broken: list[PeerId] = []
        while self._promises and self.next_due <= now:
            message_id, peer = next(iter(self._promises))
            self._release(message_id, peer)
            broken.append(peer)
        return broken

    def choose(self, candidates: list[PeerId]) -> list[PeerId]:
        """Pick the peers that get gossip among those outside a mesh; sorted."""
        count = max(self._config.d_lazy, int(self._config.gossip_factor * len(candidates)))
        return candidates if len(candidates) <= count else sorted(self._rng.sample(candidates, count))

    def advertise(self, topic: str, ids: list[MessageId]) -> IHave:
        """Make an IHAVE; of too many ids a sample, drawn anew for each peer so that together they cover more."""
        most = self._config.max_ihave_length
        return IHave(topic, tuple(ids if len(ids) <= most else self._rng.sample(ids, most)))

    def _budget(self, peer: PeerId, beat: int) -> _Budget:
        budget = self._budgets.get(peer)
        if budget is None or budget.beat != beat:
            budget = self._budgets[peer] = _Budget(beat)
        return budget

    def _release(self, message_id: MessageId, peer: PeerId) -> None:
        del self._promises[message_id, peer]
        self._promised[message_id].remove(peer)
        if not self._promised[message_id]:
            del self._promised[message_id]
