"""Which addresses not to dial for a while: each that just failed, for twice as long with each further failure."""

from collections import OrderedDict
from dataclasses import dataclass

from net.peer import Address, PeerId

FIRST_S = 0.5
LAST_S = 30.0
"""Below what `net.keeper` waits after as many failures, so that what it dials is really dialled."""
MAX_ADDRESSES = 1024
"""Addresses that are remembered; who failed longest ago is forgotten first."""


@dataclass(slots=True)
class _Failure:
    times: int
    not_before: float


class DialBackoff:
    """Keeps those apart by peer and address: a peer that comes back elsewhere is dialled there at once. Times in s."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[PeerId, Address], _Failure] = OrderedDict()

    def wait_s(self, peer: PeerId, address: Address, now: float) -> float:
        """How long not to dial it; 0.0 when it may be dialled."""
        failure = self._failures.get((peer, address))
        return max(0.0, failure.not_before - now) if failure else 0.0

    def failed(self, peer: PeerId, address: Address, now: float) -> None:
        """It was dialled in vain."""
        known = self._failures.pop((peer, address), None)
        times = known.times if known else 0
        self._failures[peer, address] = _Failure(min(times + 1, 16), now + min(LAST_S, FIRST_S * 2**times))
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def linked(self, peer: PeerId) -> None:
        """There is a link: the peer is back, whichever end dialled."""
        for key in [key for key in self._failures if key[0] == peer]:
            del self._failures[key]
