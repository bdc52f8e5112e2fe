"""Sybil: many peers of one owner take places in the meshes of a running network and pass nothing on.

Attacked: how fast and how surely messages spread. Each sybil dials 20 honest peers once their meshes are warm, subscribes,
grafts, and swallows what it gets; no gossip either.
Budget: 1.5 (quick) or 4 (full) sybils per honest peer, 20 links each, no address of their own to hide.
Success: more than 1 % of all (message, honest peer) pairs lost or later than 1.6 s.
Not tested here: P6, since memory links have no IP addresses; a sybil that forwards just enough to please P3.
Source: Vyzovitis et al., GossipSub: Attack-Resilient Message Propagation (2020), "Sybil attack".
"""

from actors.attacks.intruder import Intruder
from actors.attacks.plan import Attack, Layout, harmed

SYBIL = Attack("sybil", "> 1 % of messages lost or late", Intruder, Layout(), harmed, 0.01)
