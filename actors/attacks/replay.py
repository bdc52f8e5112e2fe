"""Replay: sybils keep honest messages and send them again once the others have forgotten their ids.

Attacked: at-most-once delivery. A signature never expires and the seen cache does (here after 5 s, so that a short trial
shows it; the default is 120 s), so a router takes the copy for news, delivers it, and rewards who brought it.
Budget: a few messages a second per sybil, on 20 links each.
Success: more than 1 % as many repeated deliveries as there are (message, honest peer) pairs.
Not tested here: that scores help. They cannot, for nothing is wrong with the bytes: the defence is the topic's judge, which
ignores what is older than the seen cache remembers, by the time that the message carries.
Source: gossipsub-v1.1.md (seen cache); go-libp2p-pubsub's BasicSeqnoValidator addresses the same.
"""

from collections import deque

from actors.attacks.intruder import Intruder
from actors.attacks.plan import Attack, Layout, Outcome, Seat
from net.gossip.wire import decode
from net.peer import PeerId

SEEN_TTL_S = 5.0
KEEP = 64
"""Messages held."""


class Replayer(Intruder):
    """Sends the oldest message it holds."""

    steps = True

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat)
        self._fresh: list[bytes] = []
        self._held: deque[tuple[float, bytes]] = deque(maxlen=KEEP)

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Keep some."""
        del peer
        if len(self._fresh) < 2:
            self._fresh += [envelope.entry for envelope in decode(frame).publish]

    def step(self, now: float) -> None:
        """Replay what the others have forgotten."""
        self._held += [(now + SEEN_TTL_S + 2.0, entry) for entry in self._fresh]
        self._fresh.clear()
        if self._held and self._held[0][0] <= now:
            entry = self._held.popleft()[1]
            for peer in self.linked:
                self.send(peer, entry)


def _repeats(outcome: Outcome) -> float:
    return outcome.repeats / max(1, outcome.pairs)


REPLAY = Attack("replay", "> 1 % delivered again", Replayer, Layout(), _repeats, 0.01, ages_s=SEEN_TTL_S)
