"""Messages that peers told us not to send: IDONTWANT (gossipsub-v1.2.md)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from net.gossip.config import GossipConfig
from net.gossip.events import MessageId
from net.gossip.wire import MESSAGE_ID_BYTES, IDontWant
from net.peer import PeerId


@dataclass(slots=True)
class _Notices:
    """What one peer does not want: ids and the heartbeat of the notice, oldest first."""

    beat: int
    heeded: int = 0
    ids: dict[bytes, int] = field(default_factory=dict)


class Unwanted:
    """Per linked peer, the ids of the last `idontwant_beats` heartbeats, `max_idontwant_length` of each at most."""

    def __init__(self, config: GossipConfig) -> None:
        self._config = config
        self._notices: dict[PeerId, _Notices] = {}
        self.used = False
        """Whether anybody ever sent a notice: most routers need not look."""

    def forget(self, peer: PeerId) -> None:
        """The link is gone."""
        self._notices.pop(peer, None)

    def count(self, peer: PeerId) -> int:
        """Ids remembered of a peer."""
        notices = self._notices.get(peer)
        return 0 if notices is None else len(notices.ids)

    def note(self, peer: PeerId, beat: int, notices: Iterable[IDontWant]) -> None:
        """Take notices; what exceeds the bounds, or is no id that we could send, is ignored."""
        self.used = True
        mine = self._notices.get(peer)
        if mine is None:
            mine = self._notices[peer] = _Notices(beat)
        if mine.beat != beat:
            mine.beat, mine.heeded = beat, 0
            while mine.ids and self._old(next(iter(mine.ids.values())), beat):
                del mine.ids[next(iter(mine.ids))]
        for message_id in (message_id for notice in notices for message_id in notice.ids):
            if mine.heeded >= self._config.max_idontwant_length:
                return
            if len(message_id) == MESSAGE_ID_BYTES:
                mine.heeded += 1
                mine.ids.pop(message_id, None)
                mine.ids[message_id] = beat

    def wants(self, peer: PeerId, message_id: MessageId, beat: int) -> bool:
        """Tell whether the peer may be sent the message."""
        notices = self._notices.get(peer)
        if notices is None:
            return True
        noted = notices.ids.get(message_id)
        return noted is None or self._old(noted, beat)

    def _old(self, noted: int, beat: int) -> bool:
        return noted <= beat - self._config.idontwant_beats
