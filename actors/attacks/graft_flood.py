"""Graft flood: sybils leave the mesh and come back without heeding the backoff.

Attacked: the work of keeping a mesh. Each PRUNE and GRAFT is answered with a PRUNE, and any that gets through displaces
somebody.
Budget: 4 times a second PRUNE and GRAFT on each of 20 links per sybil.
Success: in the second half of the attack, more than a tenth of the frames are read and answered.
Not tested here: a sybil that heeds the backoff but comes back at its very end, for ever; it costs nothing worth a score.
Source: gossipsub-v1.1.md, "Prune Backoff" and P7; go-libp2p-pubsub's GraftFloodThreshold.
"""

from actors.attacks.intruder import GRAFT, Intruder
from actors.attacks.plan import TOPIC, Attack, Layout, heeded
from net.gossip.wire import Prune, encode_control, encode_frame

FLOOD = encode_frame([], [GRAFT, encode_control(Prune(TOPIC, 60))])


class Flooder(Intruder):
    """Leaves and grafts at each step."""

    steps = True

    def step(self, now: float) -> None:
        """Do it on all links."""
        del now
        for peer in self.linked:
            self.send(peer, FLOOD)


GRAFT_FLOOD = Attack("graft-flood", "> 10 % of the grafts are read", Flooder, Layout(), heeded, 0.1)
