"""Voting from afar: a ring that is 20 km away votes on what nobody of it can see.

Attacked: "workers near the report". Nine of 15 workers, a ring, live far off. In `afar` they say where they are, as the
honest do; in `afar-lying` they tell the MEC node that they are where the people live.
Budget: 9 of 15 workers, none of them there.
Success: a made-up report is confirmed. The attack stands when more of them are than not.
Defence: only workers whose attested distance to the report is below 3 km can be drawn. Off: there is no such limit.
What remains: a MEC node attests what it is told. The claim is signed, sealed to this node, fresh, and no older than one
that came before; nobody can claim for somebody else, from a recording, or to two nodes with one message. That a phone is
where it says would take a radio that hears it, or neighbours that do, and the simulated one has neither: so an
attestation here means "somebody who wants to be drawn there", and `afar-lying` succeeds as often as a ring that is there.
Source: spec, "voting from afar (location spoofing)"; "Assign".
"""

from functools import partial

from actors.actor import Actor
from actors.attacks.case import Case, Measured, Size
from actors.attacks.votes.hired_voters import hypergeometric
from actors.attacks.votes.voters import HiredVoter, Ring, place_of, recorded_lies
from actors.population import Member
from actors.protocol_trial import ACCOMPLICE, RADIUS_M, WORKERS, Plot, incidents, play, workers
from actors.sensing.mobility import Point
from actors.trial import Turn
from actors.worker import Worker

RING = 9
AWAY_M = 20_000
ANYWHERE_M = 1_000_000


class FarAway(HiredVoter):
    """Votes for its ring, from somewhere else; says so."""

    def __init__(self, honest: Worker, home: Point, ring: Ring) -> None:
        super().__init__(honest, home, ring)
        self._away = home.moved(AWAY_M, 0)

    def where(self) -> Point:
        """Where it really is."""
        return self._away


class Spoofer(FarAway):
    """Claims to be where it would live."""

    def __init__(self, honest: Worker, home: Point, ring: Ring) -> None:
        super().__init__(honest, home, ring)
        self._claimed = home

    async def _claim_presence(self, where: Point) -> bool:
        del where
        return await super()._claim_presence(self._claimed)


def _turn(kind: type[FarAway], ring: Ring) -> Turn:
    def turn(actor: Actor, member: Member) -> Actor:
        return kind(*place_of(actor, member), ring)

    return turn


def _vote_from_afar(kind: type[FarAway], defended: bool, seed: int, size: Size) -> Measured:
    lies = incidents(seed, ACCOMPLICE, size.reports, real=False)
    plot = Plot(
        {ACCOMPLICE: lies},
        turned=dict.fromkeys(workers(RING), _turn(kind, Ring.about(lies))),
        rules={"report_radius_m": RADIUS_M if defended else ANYWHERE_M},
    )
    return Measured(*recorded_lies(play(plot, seed)))


def _case(name: str, kind: type[FarAway], claims: str, stands: str = "") -> Case:
    theory = hypergeometric(RING)
    return Case(
        name=name,
        family="votes",
        goal="a made-up report is confirmed",
        budget=f"{RING} of {WORKERS} workers, {AWAY_M // 1000} km away, {claims}",
        defence=f"attested presence within {RADIUS_M // 1000} km; off: from anywhere",
        source="malicious worker: voting from afar",
        run=partial(_vote_from_afar, kind),
        limit=0.5,
        predicted=(theory, theory if stands else 0.0),
        stands=stands,
    )


LOCATION = (
    _case("afar", FarAway, "saying so"),
    _case("afar-lying", Spoofer, "claiming to be near", stands="a MEC node attests what it is told"),
)
