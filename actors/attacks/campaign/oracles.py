"""Oracles that return what they like: nobody, all of their friends, or friends as winners.

Attacked: who is selected, and who is paid. `lazy-oracle` returns that nobody is selected, which costs no work.
`padded-selection` adds its friends' paths to those that are needed: a valid result, in which friends win what others would have.
`false-winners` names its friends the winners wherever they go. In `false-winners-challenged` the contract does not look at what is
returned, and in `false-winners-majority` most oracles agree on it besides.
Budget: three of five oracles; four workers who are friends, and bid as all do.
Success: a result stands that such an oracle made up, of those that one was drawn to return.
Defence: what is returned is checked (coverage, and who wins); a valid result of more paths than another, and one that nobody
checked and is not valid, is overturned by whoever shows that, who gets the penalty. Off: a contract that does not look, and
nobody has time to challenge.
What remains: an oracle whose result is refused is late, and everybody waits until others are drawn; so many liars make a cycle
void often (`void` in the figures), for the price of their penalties. Valid results of the same size are `colluding_oracles`.
What cannot be tested here: whether anybody would look. The honest oracles do, each time, for the penalty.
Source: spec/campaign.md, "Oracles"; `chain.contracts.campaign_check`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from actors.attacks.campaign.cast import Rules, case, gained, oracle
from actors.attacks.case import Case, Measured
from actors.campaign_config import CampaignConfig
from actors.campaign_trial import ORACLE_TERMS, ORACLES, Ending, oracles, workers
from actors.node import FullNode
from actors.oracle import Oracle
from chain.contracts.campaign_check import right_winners
from chain.contracts.campaign_records import Bid, Selection, Standing, Task
from chain.values import Account

LIARS = oracles(3)
FRIENDS = workers(4)


class LyingOracle(Oracle, ABC):
    """Returns something else where that is of use, and lets others do so."""

    def __init__(self, node: FullNode, config: CampaignConfig, place: int) -> None:
        super().__init__(node, config, place)
        self.lies: set[Selection] = set()
        """What it had to return, and was not what an honest oracle would."""

    def compute(self, tasks: Sequence[Task], bids: Sequence[Bid]) -> Selection:
        """See `Oracle.compute`."""
        honest = super().compute(tasks, bids)
        names = self.world.names
        friends = [place for place, bid in enumerate(bids) if names.get(bid.worker) in FRIENDS]
        lie = self.lie(tasks, bids, honest, friends)
        if lie != honest:
            self.lies.add(lie)
        return lie

    @abstractmethod
    def lie(self, tasks: Sequence[Task], bids: Sequence[Bid], honest: Selection, friends: Sequence[int]) -> Selection:
        """What to return; `friends` are places among the bids."""

    async def _review(self, standing: Standing, accepted: Selection) -> None:
        """Challenge nobody."""


class Lazy(LyingOracle):
    """Selects nobody."""

    def lie(self, tasks: Sequence[Task], bids: Sequence[Bid], honest: Selection, friends: Sequence[int]) -> Selection:
        """See `LyingOracle.lie`."""
        del bids, honest, friends
        return Selection((), ((),) * len(tasks))


class Padder(LyingOracle):
    """Selects all friends besides."""

    def lie(self, tasks: Sequence[Task], bids: Sequence[Bid], honest: Selection, friends: Sequence[int]) -> Selection:
        """See `LyingOracle.lie`."""
        paths = tuple(sorted({*honest.paths, *friends}))
        return Selection(paths, right_winners(tasks, bids, paths))


class Nepotist(LyingOracle):
    """Names selected friends the best wherever they go."""

    def lie(self, tasks: Sequence[Task], bids: Sequence[Bid], honest: Selection, friends: Sequence[int]) -> Selection:
        """See `LyingOracle.lie`."""
        winners = []
        for task, best in zip(tasks, honest.winners, strict=True):
            there = [
                place
                for place in friends
                if place in honest.paths and any(stop.task == task.number for stop in bids[place].path)
            ]
            winners.append(tuple([*there, *(place for place in best if place not in there)][: task.samples]))
        return Selection(honest.paths, tuple(winners))


def lies_that_stood(ending: Ending, liars: Sequence[str]) -> Measured:
    """How many lies of these oracles stood in the end, of all that they had to return."""
    lies = {lie for name in liars if isinstance(actor := ending.actors[name], LyingOracle) for lie in actor.lies}
    stood = {accepted.selection for accepted in ending.accepted().values()}
    friends: set[Account] = {ending.account(name) for name in FRIENDS}
    figures = {
        "gained by each oracle, credits a cycle": gained(ending, list(liars), len(liars) * ending.cycles),
        "friends selected a cycle": sum(key[1] in friends for key in ending.chosen()) / ending.cycles,
        "void": ending.void,
    }
    return Measured(len(lies & stood), len(lies), figures)


def oracle_terms(**changed: Any) -> Mapping[str, Any]:
    """``[campaign.oracles]`` with some keys changed."""
    return {"oracles": {**ORACLE_TERMS, **changed}}


def _case(name: str, kind: type[LyingOracle], on: Rules, off: Rules, defence: str) -> Case:
    return case(
        dict.fromkeys(LIARS, oracle(kind)),
        lambda ending: lies_that_stood(ending, LIARS),
        on=on,
        off=off,
        name=name,
        goal="a result stands that an oracle made up",
        budget=f"{len(LIARS)} of {ORACLES} oracles, one of whom is drawn or is not",
        defence=defence,
        source="spec/campaign.md: Oracles",
    )


_UNSEEN = Rules(oracle_terms(check="on_challenge", challenge_s=0.0))
_CHALLENGED = Rules(oracle_terms(check="on_challenge"))

LYING_ORACLES = (
    _case("lazy-oracle", Lazy, Rules(), _UNSEEN, "results are checked when returned; off: nobody looks"),
    _case(
        "padded-selection",
        Padder,
        Rules(),
        Rules(oracle_terms(challenge_s=0.0)),
        "results can be challenged by smaller ones; off: nobody has time to",
    ),
    _case("false-winners", Nepotist, Rules(), _UNSEEN, "results are checked when returned; off: nobody looks"),
    _case("false-winners-challenged", Nepotist, _CHALLENGED, _UNSEEN, "results can be challenged; off: nobody looks"),
    _case(
        "false-winners-majority",
        Nepotist,
        Rules(oracle_terms(check="on_challenge", drawn=5, agreeing=3)),
        Rules(oracle_terms(check="on_challenge", drawn=5, agreeing=3, challenge_s=0.0)),
        "the minority can challenge what 3 of 5 agreed on; off: it cannot",
    ),
)
