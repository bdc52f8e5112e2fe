"""Messages that await their verdict."""

from dataclasses import dataclass

from net.gossip.config import GossipConfig
from net.gossip.events import MessageId
from net.gossip.wire import Envelope
from net.peer import PeerId


@dataclass(slots=True)
class PendingMessage:
    """A message that awaits its verdict, and who sent it: the first sender first."""

    envelope: Envelope
    senders: dict[PeerId, None]


class PendingMessages:
    """At most `max_pending_messages` of them, and `max_pending_bytes` together."""

    __slots__ = ("_bytes", "_config", "messages")

    def __init__(self, config: GossipConfig) -> None:
        self._config = config
        self.messages: dict[MessageId, PendingMessage] = {}
        """By id, to be read."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.messages)

    def room_for(self, envelope: Envelope) -> bool:
        """Tell whether it may be added."""
        return (
            envelope.message.id not in self.messages  # forgotten by the seen cache before its verdict came
            and len(self.messages) < self._config.max_pending_messages
            and self._bytes + len(envelope.entry) <= self._config.max_pending_bytes
        )

    def add(self, envelope: Envelope, sender: PeerId) -> None:
        """Add a message that there is room for."""
        self.messages[envelope.message.id] = PendingMessage(envelope, {sender: None})
        self._bytes += len(envelope.entry)

    def pop(self, message_id: MessageId) -> PendingMessage:
        """Take a message out. Raises LookupError when it awaits no verdict (any more)."""
        pending = self.messages.pop(message_id, None)
        if pending is None:
            raise LookupError(f"no message {message_id.hex()} awaits a verdict")
        self._bytes -= len(pending.envelope.entry)
        return pending
