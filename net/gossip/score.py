"""Where the router asks what it thinks of a peer (gossipsub-v1.1.md, "Peer Scoring")."""

from collections import Counter
from typing import Protocol

from net.peer import PeerId


class Score(Protocol):
    """The router's view of its peers. 0 is neutral, below 0 is not trusted with a place in the mesh.

    The router asks before it reads a frame (graylist), sends an own message, gossips or answers gossip, takes a GRAFT,
    and when it picks whom to keep in a mesh. The thresholds are in `GossipConfig`.
    """

    def of(self, peer: PeerId, now: float) -> float:
        """Return the peer's score at `now` (s)."""

    def penalise(self, peer: PeerId, reason: str, now: float) -> None:
        """Note that `peer` misbehaved; `reason` is one of a bounded set."""


class NoScore:
    """Everybody scores 0 whatever they do; misbehaviour is counted by reason."""

    def __init__(self) -> None:
        self.penalties: Counter[str] = Counter()

    def of(self, peer: PeerId, now: float) -> float:  # noqa: ARG002
        """Return 0."""
        return 0.0

    def penalise(self, peer: PeerId, reason: str, now: float) -> None:  # noqa: ARG002
        """Count the reason."""
        self.penalties[reason] += 1
