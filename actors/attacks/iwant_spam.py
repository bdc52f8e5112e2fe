"""IWANT spam: sybils ask for every message again and again, from everybody.

Attacked: the upload of honest peers, by amplification: an id costs 48 bytes, the message many times that.
Budget: all ids of the last seconds, once a second on each of 20 links per sybil.
Success: each attacker's link draws more than RETRANSMISSIONS + 1 copies of an honest message (one through the mesh).
Not tested here: that scores punish it. They do not (nor do go's): what bounds it is the number of times a message is
given to one peer, and ids answered per heartbeat, which hold with the defence off too. So this should fail either way.
Source: gossipsub-v1.1.md, "Spam Protection Measures"; `GossipConfig.iwant_retransmissions`.
"""

from actors.attacks.intruder import Intruder
from actors.attacks.plan import Attack, Layout, Outcome, Seat
from net.gossip.wire import IWant, decode, encode_control, encode_frame
from net.peer import PeerId

RETRANSMISSIONS = 3
RECENT = 24
"""Ids asked for at a time: those of the last three seconds."""


class Beggar(Intruder):
    """Remembers all ids it hears of and asks for them everywhere."""

    steps = True
    step_s = 1.0

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat)
        self._ids: dict[bytes, None] = {}

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Note ids of messages and of gossip."""
        del peer
        rpc = decode(frame)
        self.drawn += len(rpc.publish)
        for envelope in rpc.publish:
            self._ids[bytes(envelope.message.id)] = None
        for advert in rpc.ihave:
            self._ids.update(dict.fromkeys(advert.ids))
        while len(self._ids) > RECENT:
            del self._ids[next(iter(self._ids))]

    def step(self, now: float) -> None:
        """Ask."""
        del now
        if self._ids:
            frame = encode_frame([], [encode_control(IWant(tuple(self._ids)))])
            for peer in self.linked:
                self.send(peer, frame)


def _copies(outcome: Outcome) -> float:
    return outcome.waste.drawn / max(1, outcome.waste.messages * outcome.attacker_links)


IWANT_SPAM = Attack(
    "iwant-spam",
    f"> {RETRANSMISSIONS + 1} copies of a message per link",
    Beggar,
    Layout(),
    _copies,
    RETRANSMISSIONS + 1.0,
)
