"""A friendlier selection: valid, as small as the honest one, and better for friends of those who made it.

Attacked: who is selected and paid. There are often several selections of the same size; an oracle looks for the one in which
its friends win most. No check and no challenge can tell it from a right one.
`friendly-oracle`: two of five; `friendly-majority`: three of them. `oracle-sybils`: one, who registers ten more keys of its own,
and returns what suits it whichever of them is drawn.
Budget: so many oracles; four workers who are friends, and bid as all do. The sybils' stakes.
Success: a result stands that such an oracle made, of those that one was drawn to return.
Defence: three of five drawn oracles must return the same, which the honest do, for their algorithm is agreed on; who returns
something else then pays the penalty. Against sybils: a list of oracles. Off: one oracle is drawn, as in the paper; anybody may be one.
What remains: a majority of oracles has its way, and the honest minority pays the penalty. Where anybody may be an oracle, a
majority costs stakes, which come back: nobody is asked who is behind a key.
Source: spec/campaign.md, "Oracles": one of one (paper), or m of n; on sybils, Douceur, "The Sybil Attack", IPTPS 2002.
"""

from collections.abc import Sequence
from itertools import combinations

import trio

from actors.attacks.campaign.cast import CREDIT, Rules, case, oracle
from actors.attacks.campaign.oracles import LyingOracle, lies_that_stood, oracle_terms
from actors.attacks.campaign.sybils import Alias, fund
from actors.attacks.case import Case, Measured
from actors.campaign_config import CampaignConfig
from actors.campaign_trial import ORACLES, STAKE, Ending, oracles
from actors.node import FullNode
from actors.oracle import Oracle
from chain.contracts.campaign_check import invalid, right_winners
from chain.contracts.campaign_records import Bid, Selection, Task

SYBILS = 10
MASTER = "oracle-01"


class Favourer(LyingOracle):
    """Returns the smallest selection in which friends win most."""

    def lie(self, tasks: Sequence[Task], bids: Sequence[Bid], honest: Selection, friends: Sequence[int]) -> Selection:
        """See `LyingOracle.lie`."""

        def favour(selection: Selection) -> int:
            return sum(place in friends for winners in selection.winners for place in winners)

        others = (
            Selection(paths, right_winners(tasks, bids, paths))
            for paths in combinations(range(len(bids)), len(honest.paths))
        )
        return max(
            [
                honest,
                *(other for other in others if favour(other) > favour(honest) and not invalid(tasks, bids, other)),
            ],
            key=favour,
        )


class Sybil(Favourer):
    """Another key of its master's, on its master's node."""

    def __init__(self, node: FullNode, config: CampaignConfig, place: int) -> None:
        super().__init__(node, config, place)
        self.alias = Alias(node, place)
        self.identity, self.ledger, self._board = self.alias.identity, self.alias.ledger, self.alias.board

    async def live(self, payer: Oracle) -> None:
        """Get a stake, and attend to campaigns until cancelled."""
        await fund(payer, self.alias, STAKE)
        await self._board.watch(self._attend)


class Master(Favourer):
    """Pays the stakes of its sybils, and has them do what it would not do under its own name."""

    def __init__(self, node: FullNode, config: CampaignConfig, place: int) -> None:
        super().__init__(node, config, place)
        self.sybils = [Sybil(node, config, place + number) for number in range(1, 1 + SYBILS)]
        for sybil in self.sybils:
            sybil.lies = self.lies

    def compute(self, tasks: Sequence[Task], bids: Sequence[Bid]) -> Selection:
        """What an honest oracle would."""
        return Oracle.compute(self, tasks, bids)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(super().run)
            task_status.started()
            for sybil in self.sybils:
                nursery.start_soon(sybil.live, self)


def _friendly(name: str, count: int, stands: str = "") -> Case:
    liars = oracles(count)
    return case(
        dict.fromkeys(liars, oracle(Favourer)),
        lambda ending: lies_that_stood(ending, liars),
        on=Rules(oracle_terms(drawn=5, agreeing=3)),
        off=Rules(),
        name=name,
        goal="a selection stands that was made for friends",
        budget=f"{count} of {ORACLES} oracles",
        defence="3 of 5 must return the same; off: 1 of 1",
        source="spec/campaign.md: Oracles",
        stands=stands,
    )


def _sybils(ending: Ending) -> Measured:
    measured = lies_that_stood(ending, [MASTER])
    master = ending.actors[MASTER]
    if not isinstance(master, Master):
        raise TypeError(MASTER)
    sybils = {sybil.identity.account for sybil in master.sybils}
    registered = sum(each["oracle"] in sybils for each in ending.events("registered"))
    gain = ending.gain(MASTER) + sum(ending.worth(each) for each in sybils)
    figures = {
        "sybils registered": float(registered),
        "decided by one": sum(not sybils.isdisjoint(each.oracles) for each in ending.accepted().values())
        / ending.cycles,
        "gained in all, credits": gain / CREDIT,
    }
    return Measured(measured.wins, ending.cycles, figures)


COLLUDING_ORACLES = (
    _friendly("friendly-oracle", 2),
    _friendly(
        "friendly-majority", 3, stands="a majority of oracles has its way: its selection is as valid and as small"
    ),
    case(
        {MASTER: oracle(Master)},
        _sybils,
        on=Rules({"allow_list": True}),
        off=Rules(),
        name="oracle-sybils",
        goal="a selection stands that was made for friends by a key of somebody who has more of them",
        budget=f"one of {ORACLES} oracles, and {SYBILS} further keys with stakes",
        defence="none but listed oracles may register; off: anybody may",
        source="spec/campaign.md: Deployment; Douceur, The Sybil Attack (2002)",
    ),
)
