"""Where peers can be dialled, as the actors of one process know it. Bounded; who was heard of longest ago goes first.

Three kinds of knowledge: our own actors' addresses are certain; what a ledger node says of itself can be wrong only about
itself; what others say of it comes last, for it may be stale or a lie (the handshake shows whom one has reached).
"""

from collections import OrderedDict
from collections.abc import Sequence

from actors.messages import MAX_ADDRESSES
from net.peer import Address, PeerId

MAX_PEERS = 512
"""Ledger nodes of other processes that are remembered, for each of the two kinds of knowledge."""

MEMORY_PREFIX = "/memory/"


class AddressBook:
    """Only ledger nodes of other processes are in it: nobody needs to dial a stranger's phone."""

    def __init__(self) -> None:
        self._own: dict[PeerId, tuple[Address, ...]] = {}
        self._told: OrderedDict[PeerId, tuple[Address, ...]] = OrderedDict()
        self._heard: OrderedDict[PeerId, tuple[Address, ...]] = OrderedDict()

    def put(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        """`peer` is an actor of this process."""
        self._own[peer] = tuple(addresses)

    def is_own(self, peer: PeerId) -> bool:
        """Whether `peer` is an actor of this process that has been started."""
        return peer in self._own

    def told(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        """`peer` says this of itself. Nothing said takes nothing back."""
        self._note(self._told, peer, addresses)

    def heard(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        """Somebody says this of `peer`."""
        self._note(self._heard, peer, addresses)

    def of(self, peer: PeerId) -> tuple[Address, ...]:
        """Where to dial `peer`, most credible first: at most 2 · MAX_ADDRESSES; empty when nothing is known."""
        if peer in self._own:
            return self._own[peer]
        return tuple(dict.fromkeys((*self._told.get(peer, ()), *self._heard.get(peer, ()))))

    def tellable(self, peer: PeerId, *, neighbour: bool) -> tuple[Address, ...]:
        """What to tell of `peer`: at most MAX_ADDRESSES; memory addresses mean nothing but to a `neighbour`."""
        return tuple(a for a in self.of(peer) if neighbour or not a.startswith(MEMORY_PREFIX))[:MAX_ADDRESSES]

    def others(self) -> Sequence[PeerId]:
        """Ledger nodes of other processes, those whom we spoke with first, each kind latest first."""
        return tuple(p for p in dict.fromkeys((*reversed(self._told), *reversed(self._heard))) if p not in self._own)

    @staticmethod
    def _note(known: OrderedDict[PeerId, tuple[Address, ...]], peer: PeerId, addresses: Sequence[Address]) -> None:
        kept = tuple(a for a in addresses if not a.startswith(MEMORY_PREFIX))[:MAX_ADDRESSES]
        if not kept:
            return
        known[peer] = kept
        known.move_to_end(peer)
        if len(known) > MAX_PEERS:
            known.popitem(last=False)
