"""IHAVE spam: sybils advertise messages that do not exist, so that honest peers ask for them in vain.

Attacked: bandwidth and memory of the askers, and their patience: an id asked for is one not asked for elsewhere in some
implementations (here everybody who advertises it is asked).
Budget: 4 IHAVE of IDS invented ids a second on each of 20 links per sybil, well within the limits of a heartbeat.
Success: more than a fifth of the ids advertised in the second half of the attack are asked for.
Not tested here: ids of real messages advertised ahead of time.
Source: gossipsub-v1.1.md, "Spam Protection Measures" and P7.
"""

from actors.attacks.intruder import Intruder
from actors.attacks.plan import TOPIC, Attack, Layout, Outcome
from net.gossip.wire import MESSAGE_ID_BYTES, IHave, encode_control, encode_frame

IDS = 8


class Boaster(Intruder):
    """Advertises what nobody has."""

    steps = True

    def step(self, now: float) -> None:
        """Invent and advertise, other ids to each."""
        del now
        for peer in self.linked:
            ids = tuple(self.seat.rng.randbytes(MESSAGE_ID_BYTES) for _ in range(IDS))
            self.offered += len(ids)
            self.send(peer, encode_frame([], [encode_control(IHave(TOPIC, ids))]))


def _asked(outcome: Outcome) -> float:
    return outcome.waste.wanted / max(1, outcome.waste.offered)


IHAVE_SPAM = Attack("ihave-spam", "> 20 % of the invented ids are asked for", Boaster, Layout(), _asked, 0.2)
