"""What one call of a node comes to, put in the order in which it may be carried out."""

from collections.abc import Sequence

from chain.ledgers.ordered.raft.events import Effect, Persist, Send
from chain.ledgers.ordered.raft.log import RaftLog
from chain.ledgers.ordered.raft.messages import HardState, Message, Snapshot, encode_message


class Outbox:
    """Collects effects, and what of the node's state is not durable yet."""

    __slots__ = ("_effects", "_entries", "_first_unsaved", "_hard_state", "_snapshot")

    def __init__(self) -> None:
        self._entries: list[Effect] = []
        self._effects: list[Effect] = []
        self._hard_state: HardState | None = None
        self._snapshot: Snapshot | None = None
        self._first_unsaved: int | None = None

    def add(self, effect: Effect) -> None:
        """Carry this out after what is unsaved is saved."""
        self._effects.append(effect)

    def send(self, peer: bytes, message: Message) -> None:
        """Send this after what is unsaved is saved."""
        self._effects.append(Send(peer, encode_message(message)))

    def send_encoded(self, peer: bytes, message: bytes) -> None:
        """The same for what goes to several peers."""
        self._effects.append(Send(peer, message))

    def send_entries(self, peer: bytes, message: bytes) -> None:
        """Send a leader's entries: they may leave before they are saved here (thesis 10.2.1), its term may not."""
        self._entries.append(Send(peer, message))

    def save_hard_state(self, state: HardState) -> None:
        """The node has a new term or vote."""
        self._hard_state = state

    def save_entries(self, first_index: int) -> None:
        """The log changed from `first_index` on."""
        if self._first_unsaved is None or first_index < self._first_unsaved:
            self._first_unsaved = first_index

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """The log begins with another snapshot."""
        self._snapshot = snapshot

    def flush(self, log: RaftLog) -> Sequence[Effect]:
        """Return the effects in order, and be empty."""
        effects, entries = self._effects, self._entries
        first = self._first_unsaved
        if first is None and self._hard_state is None and self._snapshot is None:
            if not entries:
                if effects:
                    self._effects = []
                return effects
            persist: tuple[Effect, ...] = ()
        else:
            saved = log.since(first) if first is not None else ()
            persist = (Persist(self._hard_state, self._snapshot, first, saved),)
        ordered = [*persist, *entries, *effects] if self._hard_state is not None else [*entries, *persist, *effects]
        self._effects, self._entries = [], []
        self._hard_state = self._snapshot = self._first_unsaved = None
        return ordered
