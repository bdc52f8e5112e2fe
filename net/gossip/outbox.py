"""Frames under way to several peers: what one call produces for a peer leaves as one frame."""

from net.gossip.events import Effect, Send
from net.gossip.wire import encode_frame
from net.peer import PeerId

_CONTROL_HEADER_BYTES = 6
"""Tag and length around the control entries of a frame."""


class Outbox:
    """Collects encoded entries per peer; `flush` packs them into frames of at most `max_frame_bytes`.

    Entries are bytes, so that one that goes to many peers is encoded once.
    """

    __slots__ = ("_control", "_entries", "_framed", "_max_frame_bytes")

    def __init__(self, max_frame_bytes: int) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._entries: dict[PeerId, list[tuple[bytes, bool]]] = {}
        self._control: dict[PeerId, list[bytes]] = {}
        self._framed = (b"", b"")  # the last control entry that was a frame by itself, and that frame

    @property
    def waiting(self) -> bool:
        """Whether there is anything to flush."""
        return bool(self._control or self._entries)

    def message(self, peer: PeerId, entry: bytes) -> None:
        """Add an encoded message."""
        self._entries.setdefault(peer, []).append((entry, False))

    def subscription(self, peer: PeerId, entry: bytes) -> None:
        """Add an encoded subscription."""
        self._entries.setdefault(peer, []).append((entry, True))

    def control(self, peer: PeerId, entry: bytes) -> None:
        """Add an encoded control entry."""
        self._control.setdefault(peer, []).append(entry)

    def flush(self) -> list[Effect]:
        """Return the frames, by peer in the order in which the peers were first named; the outbox is empty then."""
        sends: list[Effect] = []
        if not self._entries and not self._control:
            return sends
        for peer in dict.fromkeys((*self._entries, *self._control)) if self._entries else self._control:
            sends += self._frames(peer, self._entries.get(peer, []), self._control.get(peer, []))
        self._entries.clear()
        self._control.clear()
        return sends

    def _frames(self, peer: PeerId, entries: list[tuple[bytes, bool]], control: list[bytes]) -> list[Send]:
        """Pack subscriptions, then control entries, then messages: a peer that is slow gets first what it must not miss."""
        # The very bytes for all peers that get them: no work to encode, and little to decode in the same process.
        if len(entries) == 1 and not control:
            return [Send(peer, entries[0][0], entries[0][1])]
        if len(control) == 1 and not entries:
            if self._framed[0] is not control[0]:
                self._framed = (control[0], encode_frame([], control))
            return [Send(peer, self._framed[1], control=True)]
        sends: list[Send] = []
        plain: list[bytes] = []
        controls: list[bytes] = []
        room = self._max_frame_bytes - _CONTROL_HEADER_BYTES
        urgent = False
        ordered = (
            *((entry, True, plain) for entry, announces in entries if announces),
            *((entry, True, controls) for entry in control),
            *((entry, False, plain) for entry, announces in entries if not announces),
        )
        for piece, is_urgent, place in ordered:
            if len(piece) > room and (plain or controls):
                sends.append(Send(peer, encode_frame(plain, controls), urgent))
                plain.clear()
                controls.clear()
                urgent = False
                room = self._max_frame_bytes - _CONTROL_HEADER_BYTES
            place.append(piece)
            urgent = urgent or is_urgent
            room -= len(piece)
        sends.append(Send(peer, encode_frame(plain, controls), urgent))
        return sends
