"""Cold boot: the network starts among sybils, so that nobody has a mesh or a score to defend yet.

Attacked: the first meshes. Sybils come up at the same time as the honest peers and dial 20 of them each; they graft and pass
nothing on. In the poisoned form, which goes beyond the reference, they are in the address books too: honest peers dial
sybils in proportion, which takes most of their honest links away, and outbound places go to sybils as well.
Budget: 1.5 (quick) or 4 (full) sybils per honest peer.
Success: more than 1 % of all (message, honest peer) pairs lost or later than 1.6 s.
In the poisoned form some messages are lost with the defence on too, in the first seconds: until P3 counts, meshes are all
sybils, and over so few honest links gossip takes several heartbeats. Peers with one or two honest links may lose messages
for longer.
Not tested here: P6; a directory that lists sybils only.
Source: Vyzovitis et al. (2020), "Cold boot attack".
"""

from actors.attacks.intruder import Intruder
from actors.attacks.plan import Arrival, Attack, Layout, harmed

_GOAL = "> 1 % of messages lost or late"

COLD_BOOT = Attack("cold-boot", _GOAL, Intruder, Layout(arrival=Arrival.BOOT), harmed, 0.01)
POISONED_BOOT = Attack(
    "poisoned-boot", _GOAL, Intruder, Layout(arrival=Arrival.BOOT, honest_dial_attackers=True), harmed, 0.01
)
