"""All attacks by name."""

from actors.attacks.censor import CENSOR
from actors.attacks.cold_boot import COLD_BOOT, POISONED_BOOT
from actors.attacks.covert_flash import COVERT_FLASH
from actors.attacks.degrade import DEGRADE
from actors.attacks.eclipse import ECLIPSE, ECLIPSE_REGION
from actors.attacks.graft_flood import GRAFT_FLOOD
from actors.attacks.ihave_spam import IHAVE_SPAM
from actors.attacks.iwant_spam import IWANT_SPAM
from actors.attacks.plan import Attack
from actors.attacks.replay import REPLAY
from actors.attacks.spam import SPAM
from actors.attacks.sybil import SYBIL

ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        SYBIL,
        ECLIPSE,
        ECLIPSE_REGION,
        COLD_BOOT,
        POISONED_BOOT,
        COVERT_FLASH,
        CENSOR,
        DEGRADE,
        SPAM,
        IHAVE_SPAM,
        IWANT_SPAM,
        GRAFT_FLOOD,
        REPLAY,
    )
}
