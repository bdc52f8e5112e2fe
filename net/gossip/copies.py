"""Who gets a copy of a message that we accepted, and when; and who is told that we need none.

Peers that have a message need no copy. They say so with IDONTWANT (gossipsub-v1.2.md), or by sending one. We say so

    at once, before the judge has spoken       of a long message, to all members but its sender
    when the judge has spoken                  of a message up to `COPY_TELLS_BYTES` when copies are held back
                                               (`net.gossip.second_wave`), to members that get no copy right now

In the second case whoever gets a copy is told by it: on a link that takes no longer for the copy than for the notice,
both are there at the same time. That spares a third of all frames. What comes of peers that take a copy for no
notice is a copy more, which v1.2 allows at any time.
"""

from collections.abc import Collection, Iterable

from net.gossip.config import GossipConfig
from net.gossip.counters import Counters
from net.gossip.events import Effect, Message, MessageId, Send
from net.gossip.neighbours import Neighbours
from net.gossip.outbox import Outbox
from net.gossip.second_wave import SecondWave
from net.gossip.unwanted import Unwanted
from net.gossip.wire import Envelope, IDontWant, encode_control
from net.peer import PeerId

COPY_TELLS_BYTES = 1 << 14
"""A copy of so many bytes takes 13 ms at 10 Mbit/s; a longer one would arrive well after a notice."""


class Copies:
    """Decides for one router. Notices go into its outbox, in front of copies of messages."""

    def __init__(self, config: GossipConfig, neighbours: Neighbours, outbox: Outbox, counters: Counters) -> None:
        self._neighbours = neighbours
        self._outbox = outbox
        self._counters = counters
        self._unwanted = Unwanted(config)
        self._second_wave = SecondWave(config)
        self._staggered = config.stagger_s > 0
        self._least_bytes = config.idontwant_bytes

    def forget(self, peer: PeerId) -> None:
        """The link is gone."""
        self._unwanted.forget(peer)

    def declined(self, peer: PeerId, beat: int, notices: Iterable[IDontWant]) -> None:
        """Take a peer's IDONTWANT."""
        self._unwanted.note(peer, beat, notices)
        if self._second_wave.held:
            for notice in notices:
                for message_id in notice.ids:
                    self._second_wave.has_it(peer, MessageId(message_id))

    def copied(self, peer: PeerId, message_id: MessageId) -> None:
        """A peer sent a message that we have."""
        if self._second_wave.held:
            self._second_wave.has_it(peer, message_id)

    def received(self, sender: PeerId, message: Message, members: list[PeerId]) -> None:
        """We have a message that is to be judged."""
        if len(message.data) >= self._least_bytes and not self._told_by_copies(message):
            self._decline(message, members, (sender,))

    def refused(self, message: Message, members: list[PeerId], senders: Collection[PeerId]) -> None:
        """The judge does not want to have it forwarded."""
        if self._told_by_copies(message):
            self._decline(message, members, senders)

    def forward(
        self, envelope: Envelope, members: list[PeerId], senders: Collection[PeerId], now: float, beat: int
    ) -> list[Effect]:
        """Send an accepted message to the members that are not known to have it, some of them later."""
        message = envelope.message
        others = [peer for peer in members if peer not in senders and peer != message.source]
        served = others
        if self._unwanted.used:
            served = [peer for peer in others if self._unwanted.wants(peer, message.id, beat)]
        if self._staggered and len(message.data) >= self._least_bytes:
            served = self._second_wave.split(envelope, served, now)
            if self._told_by_copies(message):
                self._decline(message, others, served)
        self._counters.forwarded += len(served)
        return [Send(peer, envelope.entry) for peer in served]

    @property
    def next_due(self) -> float:
        """When `due` has something to send."""
        return self._second_wave.next_due

    def due(self, now: float) -> list[Effect]:
        """Send the copies held back that nobody declined meanwhile."""
        copies: list[Effect] = [
            Send(peer, entry) for peer, entry in self._second_wave.take(now) if peer in self._neighbours
        ]
        self._counters.forwarded += len(copies)
        return copies

    def _told_by_copies(self, message: Message) -> bool:
        return self._staggered and self._least_bytes <= len(message.data) <= COPY_TELLS_BYTES

    def _decline(self, message: Message, members: list[PeerId], informed: Collection[PeerId]) -> None:
        """Tell the mesh, but for those that know, that we have this one."""
        encoded = None
        for peer in members:
            if peer not in informed and peer != message.source and self._neighbours[peer].version >= (1, 2):
                encoded = encoded or encode_control(IDontWant((message.id,)))
                self._outbox.control(peer, encoded)
                self._counters.declined += 1
