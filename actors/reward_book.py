"""Who was paid what, from blocks as they come: pending while a block can still be replaced, then for good."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice

from actors.control import RewardEntry
from actors.ledger import FoundBlock
from actors.views import payments
from chain.values import Account

MAX_REWARDS = 50
"""Remembered of each account."""


class RewardBook:
    """Rewards since this process began; `block_reward` in micro-credits."""

    def __init__(self, block_reward: int) -> None:
        self._block_reward = block_reward
        self._final: dict[Account, deque[RewardEntry]] = {}
        self._pending: dict[int, Sequence[tuple[Account, RewardEntry]]] = {}
        self._final_height = 0

    def joined(self, found: FoundBlock) -> Sequence[tuple[Account, RewardEntry]]:
        """A block joined the best chain, perhaps in place of another of its height. Returns what it pays."""
        entries = self._entries(found)
        if found.block.header.height > self._final_height:
            self._pending[found.block.header.height] = entries
        return entries

    def finalised(self, found: FoundBlock) -> None:
        """A block became final. Replicas that are later than the first one may say so again."""
        height = found.block.header.height
        if height <= self._final_height:
            return
        self._final_height = height
        for account, entry in self._entries(found):
            self._final.setdefault(account, deque(maxlen=MAX_REWARDS)).append(replace(entry, final=True))
        self._drop_pending()

    def jumped(self, final_height: int) -> None:
        """All up to this height is settled, and was never seen."""
        self._final_height = max(self._final_height, final_height)
        self._drop_pending()

    def pending_of(self, accounts: Collection[Account]) -> Sequence[RewardEntry]:
        """What an actor's accounts are paid in blocks that are not final, latest first."""
        return [
            entry
            for height in sorted(self._pending, reverse=True)
            for who, entry in self._pending[height]
            if who in accounts
        ]

    def of(self, accounts: Collection[Account]) -> Sequence[RewardEntry]:
        """The last rewards of an actor's accounts, latest first, at most MAX_REWARDS."""
        final = sorted(
            (entry for account in accounts for entry in self._final.get(account, ())),
            key=lambda entry: entry.height,
            reverse=True,
        )
        return list(islice((*self.pending_of(accounts), *final), MAX_REWARDS))

    def _drop_pending(self) -> None:
        for height in [height for height in self._pending if height <= self._final_height]:
            del self._pending[height]

    def _entries(self, found: FoundBlock) -> Sequence[tuple[Account, RewardEntry]]:
        header = found.block.header
        return [
            (
                paid.account,
                RewardEntry(
                    header.height,
                    header.time_ms,
                    paid.amount,
                    paid.cause,
                    paid.report,
                    final=False,
                    campaign=paid.campaign,
                ),
            )
            for paid in payments(found, self._block_reward)
        ]
