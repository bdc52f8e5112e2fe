"""Late oracles: whoever is drawn returns nothing.

Attacked: the cycle, which is void without a result. An oracle that was drawn lets its time pass.
Budget: two of five oracles, and their penalties.
Success: a cycle is void for which one of them was drawn. The attack stands when more of them are than not.
Defence: who is late pays the penalty to whoever has others drawn, and is passed over in that cycle. Off: a contract in which
who was drawn stays drawn.
What theory says: a selection phase has room for so many draws as its organizer gave it, here two. A cycle is void when both of
the late are drawn for it, one after the other.
What remains: the time until others are drawn, and such cycles, for the price of the penalties.
Source: spec/campaign.md, "late oracle: penalty, another is drawn".
"""

from actors.attacks.campaign.cast import Rules, case, gained, oracle
from actors.attacks.campaign.variants import never_replace_oracle, variant
from actors.attacks.case import Measured
from actors.campaign_config import CampaignConfig
from actors.campaign_trial import ORACLES, Ending, oracles
from actors.node import FullNode
from actors.oracle import Oracle
from chain.contracts.campaign_queries import Drawn
from chain.contracts.campaign_records import Standing

LATE = oracles(2)


class LateOracle(Oracle):
    """Serves campaigns but when it is drawn."""

    def __init__(self, node: FullNode, config: CampaignConfig, place: int) -> None:
        super().__init__(node, config, place)
        self.missed: set[int] = set()
        """Cycles for which it was drawn."""

    async def _is_drawn(self, standing: Standing, drawn: Drawn) -> bool:
        if await super()._is_drawn(standing, drawn):
            self.missed.add(standing.campaign.cycle)
        return False


def _void(ending: Ending) -> Measured:
    missed = {cycle for name in LATE if isinstance(actor := ending.actors[name], LateOracle) for cycle in actor.missed}
    void = missed - {each["cycle"] for each in ending.events("ended") if not each["void"]}
    figures = {
        "gained by each, credits a cycle": gained(ending, LATE, len(LATE) * ending.cycles),
        "draws a cycle": 1 + len(ending.events("replaced")) / ending.cycles,
    }
    return Measured(len(void), len(missed), figures)


LATE_ORACLE = case(
    dict.fromkeys(LATE, oracle(LateOracle)),
    _void,
    off=Rules(contract=variant(replace_oracle=never_replace_oracle)),
    name="late-oracle",
    goal="a cycle is void for which a late oracle was drawn",
    budget=f"{len(LATE)} of {ORACLES} oracles",
    defence="others are drawn, at the late one's cost; off: never",
    source="spec/campaign.md: Selection",
    limit=0.5,
    predicted=(1.0, (len(LATE) - 1) / (ORACLES - 1)),
)
