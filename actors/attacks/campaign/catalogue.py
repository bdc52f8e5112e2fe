"""All attacks on sensing campaigns, and what each stands for."""

from actors.attacks.campaign.colluding_oracles import COLLUDING_ORACLES
from actors.attacks.campaign.false_disputes import FALSE_DISPUTES
from actors.attacks.campaign.freeloading import FREELOADING
from actors.attacks.campaign.late_oracle import LATE_ORACLE
from actors.attacks.campaign.oracles import LYING_ORACLES
from actors.attacks.campaign.organizers import ORGANIZERS
from actors.attacks.campaign.overbidding import OVERBIDDING
from actors.attacks.campaign.silence import SILENCE
from actors.attacks.campaign.squatting import SQUATTING
from actors.attacks.campaign.withholding import WITHHOLDING
from actors.attacks.campaign.wrong_data import WRONG_DATA

CAMPAIGN_CASES = (
    *FREELOADING,
    *SILENCE,
    *WITHHOLDING,
    *WRONG_DATA,
    *OVERBIDDING,
    *LYING_ORACLES,
    LATE_ORACLE,
    *COLLUDING_ORACLES,
    *ORGANIZERS,
    FALSE_DISPUTES,
    SQUATTING,
)
CAMPAIGN_THREATS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("campaign: worker that freeloads", ("freeloading", "freeloading-disputed")),
    ("campaign: worker that does not deliver", ("no-show", "withheld-reveal")),
    ("campaign: worker that keeps its data", ("withheld-data", "late-data")),
    ("campaign: worker that delivers wrong data", ("wrong-data", "made-up-data")),
    ("campaign: worker that bids what it cannot walk", ("impossible-path", "optimistic-path")),
    (
        "campaign: oracle that lies",
        (
            *("lazy-oracle", "padded-selection", "false-winners", "false-winners-challenged"),
            *("friendly-oracle", "oracle-sybils"),
        ),
    ),
    ("campaign: oracle that is late", ("late-oracle",)),
    ("campaign: oracles that collude", ("false-winners-majority", "friendly-majority")),
    ("campaign: organizer", ("stalling-organizer", "hurrying-organizer", "unpaying-organizer")),
    ("campaign: requester that has its data and will not pay", ("false-disputes",)),
    ("campaign: squatting", ("task-squatting",)),
)
