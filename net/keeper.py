"""Keeps a peer connected: dials known peers while there are too few links, and again when they come back."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import trio

from net.overlay import Overlay
from net.peer import Address, PeerId
from net.transport import LinkUp, NotConnectedError

MAX_KNOWN = 1024
"""Peers that a keeper knows; the one that failed most often makes room for a new one."""
FIRST_BACKOFF_S = 1.0
"""After the first failure; doubled by each further one, and each time multiplied by a draw from 0.5 to 1."""
MAX_BACKOFF_S = 120.0
STEADY_S = 10.0
"""A link that lasted less counts as a failure: somebody without room hangs up on us again and again."""
DIAL_TIMEOUT_S = 20.0


@dataclass(slots=True)
class _Known:
    """A peer, and what became of dialling it. Times on trio's clock."""

    addresses: tuple[Address, ...]
    failures: int = 0
    not_before: float = 0.0
    linked_at: float = 0.0


class ConnectionKeeper:
    """Holds an overlay's number of links between `min_degree` and `max_degree`, as far as the known peers allow.

    Below `min_degree`, dials known peers, chosen at random. Besides, dials again whom it had dialled and lost after a
    while, the latest `min_degree` of them: two halves that a cut separated would else each be content with itself for
    good. Above `max_degree`, hangs up on the newest links that the other side dialled, then on the newest of ours. Links
    with `direct` peers are always wanted, as soon as their addresses are known (`add`). `run` must be running.
    """

    def __init__(
        self,
        overlay: Overlay,
        *,
        min_degree: int,
        max_degree: int,
        rng: random.Random,
        direct: Collection[PeerId] = (),
    ) -> None:
        if not 0 <= min_degree <= max_degree:
            raise ValueError(f"0 <= min_degree <= max_degree does not hold: {min_degree}, {max_degree}")
        self._overlay = overlay
        self._min_degree = min_degree
        self._max_degree = max_degree
        self._rng = rng
        self._direct = frozenset(direct)
        self._known: dict[PeerId, _Known] = {}
        self._inbound: dict[PeerId, None] = {}  # links that others dialled, oldest first
        self._outbound: dict[PeerId, None] = {}
        self._dialling: dict[PeerId, None] = {}
        self._lost: dict[PeerId, None] = {}  # links of ours that went down without our hanging up, oldest first
        self._changed = trio.Event()
        overlay.suggest_to(self.add)

    @property
    def known(self) -> Sequence[PeerId]:
        """Peers that we may dial, sorted."""
        return sorted(self._known)

    def add(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        """Learn of a peer, or of its new addresses; ourselves are passed over."""
        if peer == self._overlay.peer_id or not addresses:
            return
        if known := self._known.get(peer):
            known.addresses = tuple(addresses)
        else:
            if len(self._known) >= MAX_KNOWN:
                del self._known[max(self._known, key=lambda p: (p not in self._direct, self._known[p].failures, p))]
            self._known[peer] = _Known(tuple(addresses))
        self._changed.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the links until cancelled, or until the overlay has ended."""
        async with self._overlay.links() as events, trio.open_nursery() as nursery:
            # Those linked before us count as theirs: hang up on them first.
            self._inbound = dict.fromkeys(self._overlay.peers())
            nursery.start_soon(self._keep, nursery)
            task_status.started()
            async for event in events:
                if isinstance(event, LinkUp):
                    self._link_up(event.peer, outbound=event.outbound)
                else:
                    self._link_down(event.peer)
                self._changed.set()
            nursery.cancel_scope.cancel()

    def _link_up(self, peer: PeerId, *, outbound: bool) -> None:
        self._inbound.pop(peer, None)
        self._lost.pop(peer, None)
        (self._outbound if outbound else self._inbound)[peer] = None
        if known := self._known.get(peer):
            known.linked_at = trio.current_time()

    def _link_down(self, peer: PeerId) -> None:
        self._inbound.pop(peer, None)
        ours = peer in self._outbound
        self._outbound.pop(peer, None)
        if known := self._known.get(peer):
            if trio.current_time() - known.linked_at < STEADY_S:
                self._put_off(known)
                return
            known.failures = 0
            if ours:
                self._lost[peer] = None
                if len(self._lost) > self._min_degree:
                    del self._lost[next(iter(self._lost))]

    async def _keep(self, nursery: trio.Nursery) -> None:
        while True:
            self._changed = trio.Event()
            surplus = len(self._overlay.peers()) - self._max_degree
            if surplus > 0:
                newest = (*reversed(self._inbound), *reversed(self._outbound))
                for peer in [peer for peer in newest if peer not in self._direct][:surplus]:
                    self._outbound.pop(peer, None)
                    await self._overlay.hang_up(peer)
            candidates, next_ready = self._candidates()
            direct = [peer for peer in candidates if peer in self._direct]
            self._start_dialling(direct, nursery)
            ready = [peer for peer in candidates if peer not in self._direct]
            missed = [peer for peer in ready if peer in self._lost] if self._wanted() <= 0 else []
            chosen = missed or self._rng.sample(ready, min(max(0, self._wanted()), len(ready)))
            self._start_dialling(chosen, nursery)
            incomplete = self._wanted() > 0 or self._lost or not self._direct.issubset(self._overlay.peers())
            with trio.move_on_at(next_ready if incomplete else float("inf")):
                await self._changed.wait()

    def _start_dialling(self, peers: list[PeerId], nursery: trio.Nursery) -> None:
        for peer in peers:
            self._dialling[peer] = None
            nursery.start_soon(self._dial, peer, self._known[peer])

    def _wanted(self) -> int:
        """How many links are missing, those that are being dialled counted as there."""
        return self._min_degree - len(self._overlay.peers()) - len(self._dialling)

    def _candidates(self) -> tuple[list[PeerId], float]:
        """Peers that may be dialled now, sorted, and when the first of the others may be."""
        now, busy = trio.current_time(), {*self._overlay.peers(), *self._dialling}
        free = sorted(peer for peer in self._known if peer not in busy)
        ready = [peer for peer in free if self._known[peer].not_before <= now]
        later = [self._known[peer].not_before for peer in free if self._known[peer].not_before > now]
        return ready, min(later, default=float("inf"))

    async def _dial(self, peer: PeerId, known: _Known) -> None:
        try:
            with trio.fail_after(DIAL_TIMEOUT_S):
                await self._overlay.connect(peer, known.addresses)
            # It may be down again before we hear that it was up; then `_link_down` has the say.
            known.not_before = trio.current_time() + FIRST_BACKOFF_S
        except (NotConnectedError, trio.TooSlowError):
            self._put_off(known)
        finally:
            del self._dialling[peer]
            self._changed.set()

    def _put_off(self, known: _Known) -> None:
        backoff = min(FIRST_BACKOFF_S * 2**known.failures, MAX_BACKOFF_S)
        known.failures = min(known.failures + 1, 30)
        known.not_before = trio.current_time() + backoff * self._rng.uniform(0.5, 1)
