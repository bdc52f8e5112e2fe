"""Where one block ends and the next begins: by count, bytes and time, as Fabric's block cutter does it, and by gas.

The gas that endorsed responses state is counted as bytes are; none states more than a block may have (`intake`). A message larger than the preferred size flushes what waits and goes alone; so does a change of the channel's
configuration, for what follows it is judged by the new one. The timer starts at the first message that waits.
"""

from chain.ledgers.ordered.channel import BatchLimits
from chain.ledgers.ordered.pool import Waiting
from chain.values import MAX_SEAL_BYTES

CHANNEL = "channel"
"""The contract whose calls go alone."""
OVERHEAD = MAX_SEAL_BYTES + 16_384
"""What a block is longer than its messages: header, seal, and a few bytes for each of at most 1,000 messages."""


def largest_message(limits: BatchLimits) -> int:
    """The most bytes that a transaction with its evidence may have."""
    return limits.absolute_bytes - OVERHEAD


class Cutter:
    """Gathers messages; hands over batches as they become due."""

    def __init__(self, limits: BatchLimits, max_gas: int) -> None:
        """`max_gas` is what the calls of a block may cost together."""
        self.limits = limits
        """May be set anew: they hold from the next message on."""
        self._max_gas = max_gas
        self._pending: list[Waiting] = []
        self._bytes = self._gas = 0
        self._since_ms: int | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, message: Waiting, now_ms: int) -> list[list[Waiting]]:
        """Batches that are complete now, in order; of none, one or two."""
        batches: list[list[Waiting]] = []
        preferred = min(self.limits.preferred_bytes, largest_message(self.limits))
        alone = message.size > preferred or message.envelope.transaction.contract == CHANNEL
        full = self._bytes + message.size > preferred or self._gas + message.gas > self._max_gas
        if self._pending and (alone or full):
            batches.append(self.flush())
        if alone:
            return [*batches, [message]]
        if not self._pending:
            self._since_ms = now_ms
        self._pending.append(message)
        self._bytes += message.size
        self._gas += message.gas
        if len(self._pending) >= self.limits.max_count:
            batches.append(self.flush())
        return batches

    def flush(self) -> list[Waiting]:
        """Everything that waits, as one batch."""
        batch, self._pending, self._bytes, self._gas, self._since_ms = self._pending, [], 0, 0, None
        return batch

    def due_ms(self) -> int | None:
        """When what waits is to be flushed."""
        return None if self._since_ms is None else self._since_ms + self.limits.timeout_ms
