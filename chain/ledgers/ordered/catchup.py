"""Catching up by blocks: how far others are, who is asked for what is missing, and when."""

from collections import Counter

from chain.codec import encode
from chain.ledger import Ask
from chain.ledgers.ordered.deliver import GetBlocks, GetStatus

_SILENT = 3
"""After so many requests in a row without a good answer, a peer is not taken to have what it says."""


class CatchUp:
    """Knows how far others say they are, and asks one of them at a time for what is missing."""

    def __init__(self, interval_ms: int) -> None:
        """`interval_ms`: how often a peer, in turn, is asked for its status."""
        self._interval_ms = interval_ms
        self._claims: dict[bytes, int] = {}
        """Linked ledger nodes, and the height that they are known to have."""
        self._said: dict[bytes, tuple[int, int]] = {}
        """By peer: how far it is, and its oldest block, as it last said; or what turned out when it was asked."""
        self._silent: Counter[bytes] = Counter()
        """Requests in a row that a peer has not answered well."""
        self._asked: bytes | None = None
        """Whom we wait for to send blocks."""
        self._turn = 0
        """Of those who are ahead; the other, of all, counts on its own, lest some are never asked how far they are."""
        self._status_turn = 0
        self._next_ms: int | None = None

    @property
    def peers(self) -> tuple[bytes, ...]:
        """Linked ledger nodes, sorted."""
        return tuple(sorted(self._claims))

    def claim(self, peer: bytes) -> int:
        """How far `peer` is, as it says."""
        return self._claims.get(peer, 0)

    def peer_up(self, peer: bytes, now_ms: int) -> list[Ask]:
        self._claims.setdefault(peer, 0)
        if self._next_ms is None:
            self._next_ms = now_ms + self._interval_ms
        return [Ask(peer, encode(GetStatus()))]

    def peer_down(self, peer: bytes) -> None:
        self._claims.pop(peer, None)
        self._said.pop(peer, None)
        self._silent.pop(peer, None)
        if self._asked == peer:
            self._asked = None
        if not self._claims:
            self._next_ms = None

    def has(self, peer: bytes, height: int) -> None:
        """`peer` sent a block of that height, or said that it has it."""
        if peer in self._claims:
            self._claims[peer] = max(self._claims[peer], height)

    def says(self, peer: bytes, height: int, oldest: int) -> None:
        """`peer` says that it has the blocks from `oldest` to `height`."""
        self.has(peer, height)
        if peer in self._claims:
            self._said[peer] = (height, oldest)

    def obtainable(self, height: int) -> bool:
        """Whether somebody may have the block of that height: says so, and was not found to lie; or has yet to speak."""
        for peer in self._claims:
            last, oldest = self._said.get(peer, (height, 0))
            if oldest <= height <= last and self._silent[peer] < (_SILENT if peer in self._said else 1):
                return True
        return False

    def lacks(self, peer: bytes, height: int) -> None:
        """`peer` was asked for the block of that height, and has not given it."""
        said = self._said.get(peer, (0, 0))
        if said[0] >= height:
            self._said[peer] = (said[0], height + 1)
        self.failed(peer)

    def failed(self, peer: bytes) -> None:
        """`peer` did not answer, or not well: it is believed again when it next says how far it is."""
        if peer in self._claims:
            self._claims[peer] = 0
            self._silent[peer] += 1
        self._release(peer)

    def done(self, peer: bytes) -> None:
        """`peer` has answered a request for blocks, and well."""
        self._silent.pop(peer, None)
        self._release(peer)

    def _release(self, peer: bytes) -> None:
        if self._asked == peer:
            self._asked = None

    def go_on(self, height: int) -> list[Ask]:
        """Ask for what comes after `height`, unless somebody is asked already or nobody has it."""
        if self._asked is not None:
            return []
        ahead = [peer for peer in sorted(self._claims) if self._claims[peer] > height and self._keeps(peer, height + 1)]
        if not ahead:
            return []
        self._turn += 1
        self._asked = ahead[self._turn % len(ahead)]
        return [Ask(self._asked, encode(GetBlocks(height + 1)))]

    def _keeps(self, peer: bytes, height: int) -> bool:
        return self._said.get(peer, (0, 0))[1] <= height

    def tick(self, now_ms: int) -> list[Ask]:
        if self._next_ms is None or now_ms < self._next_ms:
            return []
        self._next_ms = now_ms + self._interval_ms
        peers = sorted(self._claims)
        self._status_turn += 1
        return [Ask(peers[self._status_turn % len(peers)], encode(GetStatus()))]

    def next_deadline_ms(self) -> int | None:
        return self._next_ms
