"""Workers that are up to something: what several attacks have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import trio

from actors.actor import Actor
from actors.ledger import GatewayError, OutcomeUnknownError
from actors.messages import Ballot, read
from actors.population import Member
from actors.protocol_trial import ACCOMPLICE, Ending
from actors.sensing.city import Incident
from actors.sensing.mobility import Point
from actors.trial import Turn
from actors.worker import RETRY_S, Worker
from chain.contracts.spatial_records import CONFIRMED
from chain.errors import Refused
from chain.values import TxId
from net.peer import PeerId


@dataclass(slots=True)
class Ring:
    """What accomplices have agreed on: which reports to confirm, whatever is there."""

    targets: set[tuple[str, int, int]] = field(default_factory=set)

    @classmethod
    def about(cls, incidents: "list[Incident]") -> "Ring":
        """A ring that wants these recorded."""
        return cls({(incident.type, *incident.where.e7) for incident in incidents})

    def wants(self, ballot: Ballot) -> bool:
        """Whether a ballot is about one of its reports."""
        return (ballot.type, ballot.lat_e7, ballot.lon_e7) in self.targets


class Partial(Worker, ABC):
    """A worker that makes up its mind about some ballots without a look: see `opinion`."""

    @abstractmethod
    def opinion(self, ballot: Ballot) -> bool | None:
        """What to vote; None to go and look as the honest do."""

    async def _take_ballot(self, peer: PeerId, body: bytes) -> bytes:
        answer = await super()._take_ballot(peer, body)
        ballot = read(Ballot, body)
        task = self.tasks[TxId(ballot.report)]
        opinion = self.opinion(ballot)
        if opinion is not None and task.choice is None:
            task.choice, task.decided_by = opinion, "actor"
            task.changed.set()
        return answer


class HiredVoter(Partial):
    """Confirms what its ring wants, and is honest about the rest."""

    def __init__(self, honest: Worker, home: Point, ring: Ring) -> None:
        super().__init__(honest.node, honest.world.scenario.population.worker, home)
        self.ring = ring

    def opinion(self, ballot: Ballot) -> bool | None:
        """See `Partial.opinion`."""
        return True if self.ring.wants(ballot) else None


def hired(ring: Ring, kind: type[HiredVoter] = HiredVoter) -> Turn:
    """Have a worker join a ring."""

    def turn(actor: Actor, member: Member) -> Actor:
        return kind(*place_of(actor, member), ring)

    return turn


def place_of(actor: Actor, member: Member) -> tuple[Worker, Point]:
    """The worker and the home that an adversary takes over."""
    if not isinstance(actor, Worker) or member.place is None:
        raise TypeError(f"{member.name} is no worker")
    return actor, member.place


async def attempt(worker: Worker, method: str, *args: object) -> str:
    """Call the spatial contract once; returns why it was refused, or nothing."""
    try:
        await worker.ledger.call("spatial", method, *args, stage="included", patience_s=20.0)
    except Refused as refused:
        return refused.reason
    except (GatewayError, OutcomeUnknownError):
        return "unknown"
    return ""


async def insist(worker: Worker, method: str, until_ms: int, *args: object) -> bool:
    """Call until it is included, refused for good, or late; tells whether it was included."""
    while worker.world.clock.now_ms() <= until_ms:
        refused = await attempt(worker, method, *args)
        if refused not in ("unknown", "reveal_too_early"):
            return not refused
        await trio.sleep(RETRY_S)
    return False


def recorded_lies(ending: Ending, requester: str = ACCOMPLICE) -> tuple[int, int]:
    """Of a requester's reports on the ledger, how many were confirmed, and how many there were that are decided."""
    statuses = ending.statuses()
    ends = [statuses[report] for report in ending.submitted(requester)]
    return sum(end == CONFIRMED for end in ends), len(ends)
