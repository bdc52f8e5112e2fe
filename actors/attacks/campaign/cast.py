"""Who takes whose place in a campaign, and how a case is made of that: what the attacks have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

from actors.actor import Actor
from actors.attacks.case import Case, Measured, Size
from actors.campaign_config import CampaignConfig
from actors.campaign_trial import Ending, Plot, play
from actors.campaigns.requester import CampaignRequester
from actors.campaigns.worker import CampaignWorker
from actors.light_node import LightNode
from actors.node import FullNode
from actors.oracle import Oracle
from actors.organizer import Organizer
from actors.population import Member
from actors.requester import Requester
from actors.trial import Turn
from actors.worker import Worker
from chain.contracts import campaign
from chain.genesis import LedgerKind

CREDIT = 1_000_000
"""In micro-credits."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a campaign is run by."""

    terms: Mapping[str, Any] = field(default_factory=dict)
    """Keys of ``[campaign]`` that differ from the trial's; a table differs as a whole."""
    contract: ModuleType = campaign


STANDARD = Rules()


def case(
    turned: Mapping[str, Turn],
    measure: Callable[[Ending], Measured],
    *,
    on: Rules = STANDARD,
    off: Rules,
    cycles: int | None = None,
    until: str = "closed",
    **described: Any,
) -> Case:
    """A case that runs on both ledgers; `described` are its fields. `cycles` as in `Size` unless said, `until` as in `Plot`."""

    def attempt(ledger: LedgerKind, defended: bool, seed: int, size: Size) -> Measured:
        rules = on if defended else off
        plot = Plot(ledger, cycles or size.cycles, turned, rules.terms, rules.contract, until)
        return measure(play(plot, seed))

    return Case(family="campaign", run=partial(attempt, "pow"), ordered=partial(attempt, "ordered"), **described)


def worker(make: Callable[[LightNode, CampaignConfig, int], CampaignWorker]) -> Turn:
    """Have a worker play its part in campaigns otherwise."""

    def turn(actor: Actor, member: Member) -> Actor:
        if not isinstance(actor, Worker):
            raise TypeError(f"{member.name} is no worker")
        actor.campaigner = make(actor.node, actor.world.scenario.campaign, _place(member))
        return actor

    return turn


def requester(make: Callable[[LightNode, CampaignConfig, int, int], CampaignRequester]) -> Turn:
    """Have a requester play its part in campaigns otherwise."""

    def turn(actor: Actor, member: Member) -> Actor:
        if not isinstance(actor, Requester):
            raise TypeError(f"{member.name} is no requester")
        scenario = actor.world.scenario
        actor.campaigner = make(actor.node, scenario.campaign, _place(member), scenario.count("requester"))
        return actor

    return turn


def oracle(make: Callable[[FullNode, CampaignConfig, int], Oracle]) -> Turn:
    """Have an oracle be another."""

    def turn(actor: Actor, member: Member) -> Actor:
        if not isinstance(actor, Oracle):
            raise TypeError(f"{member.name} is no oracle")
        return make(actor.node, actor.world.scenario.campaign, _place(member))

    return turn


def organizer(make: Callable[[FullNode, CampaignConfig], Organizer]) -> Turn:
    """Have an organizer be another."""

    def turn(actor: Actor, member: Member) -> Actor:
        if not isinstance(actor, Organizer):
            raise TypeError(f"{member.name} is no organizer")
        return make(actor.node, actor.world.scenario.campaign)

    return turn


def _place(member: Member) -> int:
    """Among those of its role, from 0 on."""
    return int(member.name.rpartition("-")[2]) - 1


def paid(ending: Ending, names: list[str]) -> Measured:
    """How often workers were paid when they were selected and had won something."""
    rewards = ending.paid(*names)
    figures = {
        "gained by each, credits a cycle": gained(ending, names, len(rewards)),
        "samples a cycle": ending.samples,
    }
    return Measured(sum(map(bool, rewards.values())), len(rewards), figures)


def gained(ending: Ending, names: list[str], times: int) -> float:
    """What some have more than before, by how many times they tried, in credits."""
    return ending.gain(*names) / CREDIT / max(1, times)
