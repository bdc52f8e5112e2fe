"""All attacks on the chain."""

from actors.attacks.chain.double_spend import MAJORITY
from actors.attacks.chain.flooding import FLOODING
from actors.attacks.chain.malleability import MALLEABILITY
from actors.attacks.chain.quota import QUOTA_EVASION
from actors.attacks.chain.race import RACE
from actors.attacks.chain.rogue_rules import ROGUE_RULES
from actors.attacks.chain.selfish import SELFISH
from actors.attacks.chain.time_jacking import TIME_JACKING

CHAIN_CASES = (
    *SELFISH,
    *MAJORITY,
    *QUOTA_EVASION,
    *TIME_JACKING,
    MALLEABILITY,
    RACE,
    *FLOODING,
    ROGUE_RULES,
)
