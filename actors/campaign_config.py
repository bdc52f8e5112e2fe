"""The campaigns of a scenario: their roles, their terms, and what requesters and workers want of them (spec/campaign.md)."""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from actors.section import NotNegative, Section
from actors.sensing.planning import planner
from actors.sensing.selection import selector
from chain.contracts.campaign_board import wrong_term
from chain.contracts.campaign_records import MAX_DRAWN, MAX_ORACLES, MAX_SAMPLES, MAX_TASKS, Terms

Seconds = Annotated[float, Meta(ge=0.001, le=1e6)]
"""The ledger counts milliseconds."""
Metres = Annotated[float, Meta(gt=0, le=1e6)]
Money = Annotated[int, Meta(ge=0, le=10**15)]
"""Micro-credits: what a thousand actors have together is still an integer of the ledger's."""
MetresPerSecond = Annotated[float, Meta(gt=0, le=1e4)]
Algorithm = Annotated[str, Meta(max_length=256)]


class OrganizerConfig(Section, frozen=True):
    """Nodes that deploy a campaign each, and move its phases."""

    count: NotNegative = 0


class OracleConfig(Section, frozen=True):
    """Nodes that compute which paths are selected, and watch each other."""

    count: Annotated[int, Meta(ge=0, le=MAX_ORACLES)] = 0


class PhasesConfig(Section, frozen=True):
    """How long phases take, in seconds."""

    registration: Seconds = 12.0
    publishing: Seconds = 16.0
    bidding: Seconds = 22.0
    selection: Seconds = 30.0
    """For the draw's seed to become final, a result, and the time in which it can be challenged."""
    collection: Seconds = 40.0
    submission: Seconds = 40.0
    """Data first, then the review."""
    review: Annotated[float, Meta(ge=0, le=1e6)] = 18.0
    """Last part of submission: for disputes, then for answers."""
    grace: Annotated[float, Meta(ge=0, le=1e6)] = 3.0
    """How long after a phase its organizer alone may move on. With what oracles and blocks take, less than half of the next."""

    @property
    def collection_after_s(self) -> float:
        """From the beginning of a cycle's publishing until data are collected."""
        return self.publishing + self.bidding + self.selection


class TasksConfig(Section, frozen=True):
    """What requesters publish in each cycle, in the middle of the place."""

    count: Annotated[int, Meta(ge=0, le=MAX_TASKS)] = 10
    """In all; requesters take turns."""
    margin: Annotated[float, Meta(ge=0.0, lt=0.5)] = 0.25
    """Share of the place's width, at the western and at the eastern side, in which there is no task."""
    reward: Annotated[int, Meta(ge=1, le=10**12)] = 1_000_000
    """Micro-credits for each sample."""
    samples: Annotated[int, Meta(ge=1, le=MAX_SAMPLES)] = 3
    """Wanted of each task."""
    best_s: tuple[Annotated[float, Meta(ge=0, le=1e6)], Annotated[float, Meta(ge=0, le=1e6)]] = (10.0, 15.0)
    """Earliest and latest best time of a task, in seconds after collection begins."""
    interval_s: Seconds = 10.0
    """How long before and after that a sample counts."""


class WalkConfig(Section, frozen=True):
    """How workers cross the place: from its western side to its eastern."""

    speed_m_s: MetresPerSecond = 10.0
    limit_m: Metres = 400.0
    """Of the whole way."""
    planner: Algorithm = "greedy"
    """``greedy`` (the paper's), ``improved``, ``exact`` (few tasks), or your own as ``module:function``."""


class OraclesConfig(Section, frozen=True):
    """How a result comes about, and what it costs to return a wrong one or none."""

    selector: Algorithm = "improved"
    """``greedy`` (the paper's; 6 % more paths than needed), ``improved`` (2 %), ``exact`` (needs scipy), or your own as
    ``module:function``. Who returns more paths than another oracle finds can be challenged."""
    drawn: Annotated[int, Meta(ge=1, le=MAX_DRAWN)] = 1
    """n: drawn at once."""
    agreeing: Annotated[int, Meta(ge=1, le=MAX_DRAWN)] = 1
    """m: how many must return the same."""
    draw_delay: Annotated[int, Meta(ge=1, le=1_000)] = 1
    """Blocks after the one that begins the selection whose id seeds the draw."""
    seconds: Seconds = 14.0
    """What drawn oracles have, before others can be drawn."""
    stake: Money = 5_000_000
    penalty: Money = 2_000_000
    check: Literal["on_return", "on_challenge"] = "on_return"
    """Whether the contract checks a result when it is returned, or only when somebody challenges it."""
    challenge_s: Annotated[float, Meta(ge=0, le=1e6)] = 4.0
    """How long a result can be challenged before data are collected."""


class CampaignConfig(Section, frozen=True):
    """One campaign for each organizer."""

    cycles: NotNegative = 0
    """After so many it is closed; 0: it goes on."""
    funds: Money = 100_000_000
    """Micro-credits that each organizer, oracle, requester and worker has to begin with."""
    deposit: Money = 500_000
    """Of a worker with its bid."""
    bond: Money = 3_000_000
    """Of an organizer."""
    bounty: Money = 500_000
    """Out of the bond, to whoever else moves a stalled phase."""
    max_speed_m_s: Annotated[float, Meta(ge=0, le=1e6)] = 12.0
    """Paths that need a higher speed are refused; 0: none is."""
    allow_list: bool = False
    """Whether none but the population's own oracles may register."""
    phases: PhasesConfig = PhasesConfig()
    tasks: TasksConfig = TasksConfig()
    walk: WalkConfig = WalkConfig()
    oracles: OraclesConfig = OraclesConfig()

    def terms(self, oracles: tuple[bytes, ...] = ()) -> Terms:
        """What an organizer deploys; `oracles` are the accounts of the population's own."""
        phases = self.phases
        return Terms(
            durations_ms=(
                _ms(phases.registration),
                _ms(phases.publishing),
                _ms(phases.bidding),
                _ms(phases.selection),
                _ms(phases.collection),
                _ms(phases.submission),
            ),
            review_ms=_ms(phases.review),
            grace_ms=_ms(phases.grace),
            deposit=self.deposit,
            stake=self.oracles.stake,
            penalty=self.oracles.penalty,
            bond=self.bond,
            bounty=self.bounty,
            oracle_ms=_ms(self.oracles.seconds),
            draw_delay=self.oracles.draw_delay,
            drawn=self.oracles.drawn,
            agreeing=self.oracles.agreeing,
            check=self.oracles.check,
            challenge_ms=_ms(self.oracles.challenge_s),
            max_speed_mm_s=round(self.max_speed_m_s * 1000),
            oracles=tuple(sorted(oracles)) if self.allow_list else (),  # type: ignore[arg-type] # a NewType of bytes
        )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def campaign_problems(campaign: CampaignConfig, organizers: int, oracles: int, requesters: int) -> Iterator[str]:
    """What does not fit together, each beginning with the key."""
    tasks, phases = campaign.tasks, campaign.phases
    if not organizers:
        yield "population.organizer.count: 0, a campaign needs one"
    if oracles < campaign.oracles.agreeing:
        yield f"population.oracle.count: {oracles}, campaign.oracles.agreeing {campaign.oracles.agreeing} are needed"
    if tasks.count and not requesters:
        yield "population.requester.count: 0, somebody must publish campaign.tasks.count"
    if campaign.oracles.agreeing > campaign.oracles.drawn:
        yield f"campaign.oracles.agreeing: {campaign.oracles.agreeing} exceeds drawn {campaign.oracles.drawn}"
    if campaign.oracles.penalty > campaign.oracles.stake:
        yield f"campaign.oracles.penalty: {campaign.oracles.penalty} exceeds stake {campaign.oracles.stake}"
    if campaign.bounty > campaign.bond:
        yield f"campaign.bounty: {campaign.bounty} exceeds bond {campaign.bond}"
    if phases.review >= phases.submission:
        yield f"campaign.phases.review: {phases.review} leaves nothing of submission {phases.submission}"
    earliest, latest = tasks.best_s
    if earliest > latest:
        yield f"campaign.tasks.best_s: the earliest, {earliest}, exceeds the latest, {latest}"
    if latest >= phases.collection:
        yield f"campaign.tasks.best_s: {latest} is after the end of collection {phases.collection}"
    wrong = wrong_term(campaign.terms())
    for name, key in (("grace_ms", "campaign.phases.grace"), ("challenge_ms", "campaign.oracles.challenge_s")):
        if wrong == name:
            yield f"{key}: a phase that is moved on so late would be half over when it begins, and void"
    for key, find, name in (
        ("campaign.walk.planner", planner, campaign.walk.planner),
        ("campaign.oracles.selector", selector, campaign.oracles.selector),
    ):
        try:
            find(name)
        except ValueError as error:
            yield f"{key}: {error}"
