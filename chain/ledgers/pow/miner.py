"""A miner's next block: made of what the mempool offers, made anew on a new head and from time to time.

A template is as of a round moment: it has that time, and what had come by then. It loses nothing against one of a
moment that is not round, and replicas of one process that step at different moments share what they execute.
"""

from dataclasses import dataclass

import msgspec

from chain.codec import header_prefix
from chain.contracts.accounts import nonce_of
from chain.ledgers.pow.mempool import Mempool
from chain.ledgers.pow.mining import grind
from chain.ledgers.pow.replica import Replica
from chain.ledgers.pow.tree import Node
from chain.transition import Applied, assemble
from chain.values import Account, Block


@dataclass(frozen=True, slots=True)
class Found:
    """A block with work, and what it does."""

    block: Block
    applied: Applied


@dataclass(frozen=True, slots=True)
class _Template:
    block: Block
    applied: Applied
    prefix: bytes
    parent: Node
    as_of_ms: int
    """Multiple of how often it is made anew, or its parent's time."""


class Miner:
    """Grinds at a template on the replica's head; the nonce walk goes on when the template changes."""

    def __init__(self, replica: Replica, mempool: Mempool, producer: Account, refresh_ms: int) -> None:
        self._replica = replica
        self._mempool = mempool
        self._producer = producer
        quarter_ms = max(1, replica.rules.block_interval_ms // 4)
        self._empty_ms = min(refresh_ms, quarter_ms)
        # Executing everything again, for one more transaction or just for a fresher time, is worth it only now and
        # then: what comes in between waits for a quarter of a block, on top of the whole one that it waits anyway.
        self._stale_ms = max(refresh_ms, quarter_ms)
        self._template: _Template | None = None
        self._nonce = 0
        self.attempts = 0
        self.mined = 0

    def search(self, attempts: int, now_ms: int) -> tuple[int, Found | None]:
        """Try up to `attempts` nonces; return how many were tried, and the block if one worked.

        Tries none while the quota is used up, or while the chain's own times are too far ahead of `now_ms`.
        """
        template = self._current(now_ms)
        if template is None:
            return 0, None
        start = self._nonce
        nonce = grind(template.prefix, template.block.header.difficulty, start, attempts)
        tried = attempts if nonce is None else nonce - start + 1
        self._nonce += tried
        self.attempts += tried
        if nonce is None:
            return tried, None
        self.mined += 1
        header = msgspec.structs.replace(template.block.header, nonce=nonce)
        return tried, Found(Block(header, template.block.transactions, (), b""), template.applied)

    def _current(self, now_ms: int) -> _Template | None:
        head = self._replica.tree.head
        template = self._template if self._template is not None and self._template.parent is head else None
        step_ms = self._stale_ms if template is not None and template.block.transactions else self._empty_ms
        as_of_ms = now_ms - now_ms % step_ms
        if template is not None and template.as_of_ms >= as_of_ms:
            return template
        # Not before its parent, unless that is ahead of us.
        as_of_ms = max(as_of_ms, min(head.header.time_ms, now_ms))
        self._template = self._make(head, as_of_ms, now_ms)
        return self._template

    def _make(self, head: Node, as_of_ms: int, now_ms: int) -> _Template | None:
        rules = self._replica.rules
        time_ms = max(as_of_ms, head.median_time_past(rules) + 1)
        if head.state is None or not head.may_produce(self._producer, rules) or time_ms > now_ms + rules.max_future_ms:
            return None
        state = head.state
        offered = self._mempool.offer(
            lambda sender: nonce_of(state, sender), rules.max_block_transactions, as_of_ms, self._empty_ms
        )
        last = self._template
        if not offered and last is not None and last.parent is head and not last.block.transactions:
            # What an empty block does depends on its parent alone: only its time is new.
            header = msgspec.structs.replace(last.block.header, time_ms=time_ms)
            return _Template(Block(header, (), (), b""), last.applied, header_prefix(header), head, as_of_ms)
        block, applied = assemble(
            self._replica.network,
            head.header,
            head.id,
            state,
            offered,
            time_ms=time_ms,
            producer=self._producer,
            difficulty=head.child_difficulty(rules),
            final_ids=lambda height: self._replica.final_id(head, height),
        )
        return _Template(block, applied, header_prefix(block.header), head, as_of_ms)
