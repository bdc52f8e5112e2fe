"""Censor: sybils around one peer pass on everything but what it publishes.

Attacked: the target's voice. All sybils dial the target when it starts and fill its mesh; it has two honest links beside.
They are real peers that forward, gossip and answer, except for the target's messages.
Budget: all sybils linked with the target, and 20 other links each so that they can forward in earnest.
Success: more than 1 % of the (message, peer) pairs that have the target at one end lost or later than 1.6 s.
Not tested here: that scores find out. They cannot, for P3 counts messages whosever they are: flood publishing and outbound
mesh places are what helps, and the censors keep their places.
Source: Vyzovitis et al. (2020), censorship; the configuration "censor" of gossipsub-hardening.
"""

from actors.attacks.plan import Attack, Attacker, Layout, Seat, harmed
from actors.attacks.turncoat import Turncoat
from net.gossip.events import Message


def _of_victims(seat: Seat, message: Message) -> bool:
    return message.source in seat.victims


def _turncoat(seat: Seat) -> Attacker:
    return Turncoat(seat, _of_victims)


CENSOR = Attack(
    "censor",
    "> 1 % of the target's messages lost or late",
    _turncoat,
    Layout(victims=0.001, links=4),
    harmed,
    0.01,
)
