"""Eclipse: cut one peer, or a region, off from the rest by standing around it.

Attacked: what reaches the victims and what they publish. The victims start, or restart, when the attack begins; all sybils
dial them at once and graft, filling the mesh to d_hi before honest peers can. The attacker has seen to it that a victim
has but two honest links (poisoned address book, places used up). In a region, a twentieth of all, victims also have links
with one another.
Budget: all sybils on the victims, every one linked with each.
Success: more than 1 % of the (message, peer) pairs that have a victim at one end lost or later than 1.6 s.
Not tested here: how address books are poisoned; a victim without any honest link, which no gossip protocol can save.
Source: Vyzovitis et al. (2020), "Eclipse attack"; Heilman et al., Eclipse Attacks on Bitcoin's Peer-to-Peer Network (2015).
"""

from actors.attacks.intruder import Intruder
from actors.attacks.plan import Attack, Layout, harmed

ECLIPSE = Attack(
    "eclipse", "> 1 % of the target's messages lost or late", Intruder, Layout(victims=0.001, links=0), harmed, 0.01
)
ECLIPSE_REGION = Attack(
    "eclipse-region",
    "> 1 % of the region's messages lost or late",
    Intruder,
    Layout(victims=0.05, links=0),
    harmed,
    0.01,
)
