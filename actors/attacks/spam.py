"""Spam: sybils send messages that are not valid, signed badly or well.

Attacked: the honest peers' CPU, which must check each before it can refuse it. Half of the messages have a bad signature,
half a good one over data that the topic's judge rejects, so that it takes both checks to find out.
Budget: 4 messages a second on each of 20 links per sybil.
Success: in the second half of the attack, more than a tenth of the frames are read, so that they cost a check each. Nothing invalid may be delivered.
Not tested here: CPU seconds, which virtual time makes free; a flood that fills the links themselves.
Source: gossipsub-v1.1.md, P4.
"""

from actors.attacks.intruder import Intruder
from actors.attacks.plan import TOPIC, Attack, Layout, Seat, heeded
from net.gossip.wire import seal, signed_bytes

BAD_SIGNATURE = bytes(64)


class Spammer(Intruder):
    """Sends a fresh invalid message on all links at each step."""

    steps = True

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat)
        self._seqno = 0

    def step(self, now: float) -> None:
        """Make and send one."""
        del now
        self._seqno += 1
        data = b"\x00spam" + self._seqno.to_bytes(8, "big")
        me = self.seat.transport.peer_id
        good = self._seqno % 2
        signature = self.seat.sign(signed_bytes(me, self._seqno, TOPIC, data)) if good else BAD_SIGNATURE
        entry = seal(me, self._seqno, TOPIC, data, signature).entry
        for peer in self.linked:
            self.send(peer, entry)


SPAM = Attack("spam", "> 10 % of the spam is read and checked", Spammer, Layout(), heeded, 0.1)
