"""Covert flash: sybils behave well for as long as it takes to be trusted, then all fall silent at once.

Attacked: the trust that scores express. The sybils are real peers from the start: forward, gossip, earn P1 and P2, and hold
mesh places as good as any. When the attack begins they pass nothing on any more, neither in the mesh nor by gossip.
Budget: 1.5 (quick) or 4 (full) sybils per honest peer, 20 links each, and their bandwidth for the warm-up.
Success: more than 1 % of all (message, honest peer) pairs lost or later than 1.6 s.
Not tested here: a warm-up of hours; P1 and P2 are capped, so it would buy no more.
Source: Vyzovitis et al. (2020), "Covert flash attack".
"""

import trio

from actors.attacks.plan import Arrival, Attack, Attacker, Layout, Seat, harmed
from actors.attacks.turncoat import Turncoat
from net.gossip.events import Message


def _after_the_flash(seat: Seat, message: Message) -> bool:
    del message
    return trio.current_time() >= seat.attack_at_s


def _turncoat(seat: Seat) -> Attacker:
    return Turncoat(seat, _after_the_flash)


COVERT_FLASH = Attack(
    "covert-flash",
    "> 1 % of messages lost or late",
    _turncoat,
    Layout(arrival=Arrival.COVERT),
    harmed,
    0.01,
)
