"""All attacks on an ordered ledger."""

from actors.attacks.ordered.altered_store import ALTERED_STORE
from actors.attacks.ordered.endorsers import ENDORSERS
from actors.attacks.ordered.lazy_endorser import LAZY
from actors.attacks.ordered.lying_orderer import LYING_ORDERERS
from actors.attacks.ordered.outsider import OUTSIDER
from actors.attacks.ordered.stale_certificates import STALE
from actors.attacks.ordered.withholding import WITHHOLDING

ORDERED_CASES = (
    *ENDORSERS,
    *LAZY,
    *LYING_ORDERERS,
    *WITHHOLDING,
    ALTERED_STORE,
    *STALE,
    OUTSIDER,
)
