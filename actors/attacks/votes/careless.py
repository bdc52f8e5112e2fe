"""Careless people: workers that vote without looking, and newbies that report the wrong type.

`careless`: 5 of 15 workers confirm whatever they are asked, at once; that pays, since most reports are true. Among the
reports are as many made-up ones, by somebody who hopes for them. Success: a made-up report is confirmed.
Defence: more than half of the group have to confirm. Off: one confirmation is enough.
Theory: with the defence, the hypergeometric probability that three of five are careless; without it, that one is.
What remains: carelessness pays. `pay per ballot` compares what a careless worker gets for a ballot with what one that
looks does; nobody is fined, since a rejected report says nothing about who was wrong.

`wrong-type`: a newbie reports things that are there as things that are not. Success: it is recorded. Defence: workers look
for what was reported, at that place. Off: a contract that records what is submitted, as platforms without a vote do.
Source: spec, "voting without looking", newbies' "wrong type" and "careless votes"; Condorcet (1785).
"""

from math import comb

from actors.actor import Actor
from actors.attacks.case import Case, Measured, Size
from actors.attacks.votes.hired_voters import hypergeometric
from actors.attacks.votes.variants import submit_at_once, tally_one_suffices, variant
from actors.attacks.votes.voters import Partial, place_of, recorded_lies
from actors.messages import Ballot
from actors.population import Member
from actors.protocol_trial import ACCOMPLICE, GROUP, HONEST, WORKERS, Ending, Plot, incidents, play, workers
from actors.sensing.mobility import Point
from actors.worker import Worker
from chain.contracts import spatial

CARELESS = 5


class Careless(Partial):
    """Confirms."""

    def __init__(self, honest: Worker, home: Point) -> None:
        super().__init__(honest.node, honest.world.scenario.population.worker, home)

    def opinion(self, ballot: Ballot) -> bool | None:
        """See `Partial.opinion`."""
        del ballot
        return True


def _turn(actor: Actor, member: Member) -> Actor:
    return Careless(*place_of(actor, member))


def _pay_per_ballot(ending: Ending, names: list[str]) -> float:
    accounts = {ending.account(name) for name in names}
    voted = sum(each["worker"] in accounts for each in ending.events("voted"))
    paid: int = sum(
        amount
        for each in ending.events("confirmed")
        for worker, amount in zip(each["workers"], each["worker_rewards"], strict=True)
        if worker in accounts
    )
    return paid / 1e6 / max(1, voted)


def _vote_blindly(defended: bool, seed: int, size: Size) -> Measured:
    count = size.reports
    reports = {
        ACCOMPLICE: incidents(seed, ACCOMPLICE, count, real=False),
        HONEST: incidents(seed, HONEST, count, real=True),
    }
    contract = spatial if defended else variant(tally=tally_one_suffices)
    ending = play(Plot(reports, turned=dict.fromkeys(workers(CARELESS), _turn), contract=contract), seed)
    confirmed, submitted = recorded_lies(ending)
    true_ones, of = recorded_lies(ending, HONEST)
    careful = workers(WORKERS - CARELESS, first=CARELESS + 1)
    figures = {
        "true reports confirmed": true_ones / max(1, of),
        "pay per ballot, credits, careless": _pay_per_ballot(ending, workers(CARELESS)),
        "pay per ballot, credits, careful": _pay_per_ballot(ending, careful),
    }
    return Measured(confirmed, submitted, figures)


def _report_wrong_type(defended: bool, seed: int, size: Size) -> Measured:
    wrong = incidents(seed, ACCOMPLICE, size.reports, real=False)
    ending = play(Plot({ACCOMPLICE: wrong}, contract=spatial if defended else variant(submit=submit_at_once)), seed)
    return Measured(*recorded_lies(ending))


CARELESSNESS = (
    Case(
        name="careless",
        family="votes",
        goal="a made-up report is confirmed",
        budget=f"{CARELESS} of {WORKERS} workers confirm without a look",
        defence=f"a majority of {GROUP} must confirm; off: one suffices",
        source="malicious worker: voting without looking; newbies: careless votes",
        run=_vote_blindly,
        limit=0.5,
        predicted=(1 - comb(WORKERS - CARELESS, GROUP) / comb(WORKERS, GROUP), hypergeometric(CARELESS)),
    ),
    Case(
        name="wrong-type",
        family="votes",
        goal="a report of the wrong type is recorded as confirmed",
        budget="one requester that knows no better",
        defence="workers look; off: what is submitted counts",
        source="newbies: wrong type",
        run=_report_wrong_type,
    ),
)
