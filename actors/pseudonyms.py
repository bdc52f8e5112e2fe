"""Keys for one task each, so that the ledger does not show who does them all (spec spatial: "an identity is a key").

Whoever uses them forfeits what history earns, for each key begins with none, and must ask the MEC node that draws it
alone: that node knows who bears which key, and nobody else does.
"""

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256

from actors.identity import Identity
from chain.values import Account

MAX_OFFERED = 64
"""Keys shown to MEC nodes that may still be drawn."""
MAX_USED = 4_096
"""Keys that served, remembered so that what they earned can be told to their bearer."""


class Pseudonyms:
    """The keys of one actor: derived from its secret, each once.

    `begun_ms` tells this life from earlier ones: an actor that restarts must not use a key again.
    """

    def __init__(self, identity: Identity, begun_ms: int) -> None:
        self._secret = sha256(b"crowdmesh:pseudonyms:1:" + identity.secret + begun_ms.to_bytes(8, "big")).digest()
        self._count = 0
        self._offered: OrderedDict[Account, Identity] = OrderedDict()
        self._used: OrderedDict[Account, Identity] = OrderedDict()

    def fresh(self) -> Identity:
        """Make a key that nobody has seen."""
        made = Identity(sha256(self._secret + self._count.to_bytes(8, "big")).digest())
        self._count += 1
        self._offered[made.account] = made
        if len(self._offered) > MAX_OFFERED:
            self._offered.popitem(last=False)
        return made

    def use(self, account: Account) -> Identity | None:
        """Take an offered key, for good; None when it is not ours, or too old."""
        found = self._offered.pop(account, None) or self._used.get(account)
        if found is not None:
            self._used[account] = found
            if len(self._used) > MAX_USED:
                self._used.popitem(last=False)
        return found

    def used(self) -> Iterator[Account]:
        """Accounts of the keys that served, oldest first."""
        return iter(self._used)
