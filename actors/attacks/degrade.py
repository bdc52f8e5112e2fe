"""Degrade: sybils pass everything on, but late.

Attacked: latency. The sybils come with the network, hold mesh places, and forward each message after HOLD_S, when it is of
no use to anybody; there is nothing that could be called a loss.
Budget: 1.5 (quick) or 4 (full) sybils per honest peer, 20 links each.
Success: more than 1 % of all (message, honest peer) pairs lost or later than 1.6 s.
Not tested here: a hold just below P3's window, which costs the network less than the window and is not punished.
Source: the configuration "degrade" of gossipsub-hardening.
"""

from collections import deque

from actors.attacks.intruder import Intruder
from actors.attacks.plan import Arrival, Attack, Layout, Seat, harmed
from net.gossip.wire import decode
from net.peer import PeerId

HOLD_S = 3.0
"""Longer than P3's window and the deadline."""
REMEMBERED = 4096
"""Ids that a sybil knows it has forwarded."""


class Dawdler(Intruder):
    """Forwards late."""

    steps = True

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat)
        self._fresh: list[tuple[bytes, PeerId]] = []
        self._held: deque[tuple[float, bytes, PeerId]] = deque()
        self._known: dict[bytes, None] = {}

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Keep each message once."""
        for envelope in decode(frame).publish:
            if envelope.message.id not in self._known:
                self._known[envelope.message.id] = None
                if len(self._known) > REMEMBERED:
                    del self._known[next(iter(self._known))]
                self._fresh.append((envelope.entry, peer))

    def step(self, now: float) -> None:
        """Send what has been held long enough, to all but whom it came from."""
        self._held += [(now + HOLD_S, entry, source) for entry, source in self._fresh]
        self._fresh.clear()
        while self._held and self._held[0][0] <= now:
            _, entry, source = self._held.popleft()
            for peer in self.linked:
                if peer != source:
                    self.send(peer, entry)


DEGRADE = Attack(
    "degrade",
    "> 1 % of messages lost or late",
    Dawdler,
    Layout(arrival=Arrival.BOOT),
    harmed,
    0.01,
)
