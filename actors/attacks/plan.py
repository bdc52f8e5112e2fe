"""What an attack on the overlay is made of: who takes part, what they do, and what counts as harm."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from enum import Enum

from net.gossip.config import GossipConfig
from net.peer import Address, PeerId
from net.signing import Sign
from net.transport import Transport

TOPIC = "/crowdmesh/trial/1"
VALID = b"\x01"
"""Data that begins so passes the honest judge; all else is REJECT."""
DEADLINE_S = 1.6
"""A message later than that is harmed; the bound of the reference evaluation's hardened runs."""


class Arrival(Enum):
    """When the attackers come."""

    BOOT = "with the network, before anybody has a mesh; the attack begins at once"
    COVERT = "with the network, but the attack begins once the honest meshes are warm"
    ATTACK = "once the honest meshes are warm"


@dataclass(frozen=True, slots=True)
class Layout:
    """Who is linked with whom, and when."""

    arrival: Arrival = Arrival.ATTACK
    victims: float = 0.0
    """Share of honest peers that are singled out, at least one if above 0. They start when the attack begins."""
    victim_links: int = 2
    """Honest links of a victim beyond the victims themselves: the attacker has poisoned its address book or used up its
    room for links, as in the eclipse literature, but missed these."""
    honest_dial_attackers: bool = False
    """Honest peers find their peers in an address book in which attackers are as frequent as they are in the world."""
    links: int = 20
    """Honest peers that an attacker dials beside the victims, of whom it dials all."""


@dataclass(frozen=True, slots=True)
class Waste:
    """What attackers made honest peers do, counted over some time."""

    frames: int = 0
    """Sent by attackers."""
    unread: int = 0
    """Of these, not read since their sender was graylisted."""
    wanted: int = 0
    """Ids that honest peers asked for, because of somebody's IHAVE."""
    offered: int = 0
    """Ids that attackers advertised without having anything."""
    drawn: int = 0
    """Copies of messages that attackers were given, where they count them."""
    messages: int = 0
    """Honest messages published meanwhile."""

    def since(self, earlier: "Waste") -> "Waste":
        """Return what came after `earlier`."""
        return Waste(*(mine - its for mine, its in zip(astuple(self), astuple(earlier), strict=True)))

    @property
    def heeded(self) -> float:
        """Share of the attackers' frames that somebody read."""
        return max(0.0, 1 - self.unread / max(1, self.frames))  # some were sent before, and are read after


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one trial measured. Times in seconds; pairs are (honest message, honest peer) within the attack's scope."""

    pairs: int
    undelivered: int
    late: int
    """Delivered, but after DEADLINE_S."""
    p99_s: float
    max_s: float
    repeats: int
    """Deliveries of a message to a peer that had it before."""
    messages: int
    """Honest messages published while measured."""
    attackers: int
    attacker_links: int
    waste: "Waste"
    """In the second half of the attack: a defence may take its time to react."""
    mesh_share_peak: float
    mesh_share_later: float = 0.0
    """The most from `recovered_s` on: those who have done nothing wrong yet may take places that are to spare, until they
    are found out. Without recovery, the peak."""
    mesh_share_end: float = 0.0
    """Places in honest meshes that attackers held, of all places, when the trial ended."""
    recovered_s: float | None = None
    """After the attack's begin, until attackers had been put out and the honest meshes served: attackers held less than 1 %
    of all places for 5 s on end, and from then to the end of the trial never a third again, while each honest mesh had at
    least D_lo honest members (or half of its peer's honest links, if that is fewer: not every neighbour of a peer with few
    links has room for it) and at most D_hi members in all. The share says little of a single victim, one of many peers; its
    members do. None: not by the end."""
    clean_s: float | None = None
    """The same, but until no honest mesh had any attacker any more, to the end of the trial."""
    honest_score_min: float = 0.0
    """Lowest score that an honest peer had with an honest peer; 0 without scoring."""

    @property
    def harmed(self) -> float:
        """Share of pairs lost or late."""
        return (self.undelivered + self.late) / max(1, self.pairs)


@dataclass(frozen=True, slots=True)
class Seat:
    """What an attacker has: a place on the network, its own key, and knowledge that anybody can get."""

    transport: Transport
    sign: Sign
    rng: random.Random
    config: GossipConfig
    targets: Sequence[tuple[PeerId, Sequence[Address]]]
    victims: frozenset[PeerId]
    attack_at_s: float
    """On trio's clock, when to show one's colours."""


class Attacker(ABC):
    """Runs until cancelled; counts for the record what it offered and drew, as in `Waste`."""

    offered = 0
    drawn = 0

    @abstractmethod
    async def run(self) -> None:
        """Attack."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One line of the table."""

    name: str
    goal: str
    """What success is, in words; the number is `limit`."""
    seat: Callable[[Seat], Attacker]
    layout: Layout
    harm: Callable[[Outcome], float]
    limit: float
    """The attack succeeded when its harm is above."""
    ages_s: float = 120.0
    """`GossipConfig.seen_ttl_s` of all peers."""


def harmed(outcome: Outcome) -> float:
    """Share of messages lost or late."""
    return outcome.harmed


def heeded(outcome: Outcome) -> float:
    """Share of the attackers' frames that cost somebody more than a look at the sender."""
    return outcome.waste.heeded
