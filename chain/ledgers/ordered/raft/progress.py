"""What a leader knows of one follower, and how much it sends it.

PROBE      where the logs meet is unknown: one message with entries at a time, until one is answered or a heartbeat is
REPLICATE  they meet: entries are sent as they come, `max_inflight` messages ahead of the answers
SNAPSHOT   entries that it needs are compacted: nothing until the snapshot is in place, or seems lost
"""

from collections import deque
from enum import Enum


class State(Enum):
    """How a follower gets entries."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Progress:
    """One follower. `match` is durable there and as here; `next` is sent next."""

    __slots__ = (
        "heard_ms",
        "inflight",
        "match",
        "max_inflight",
        "next",
        "probing",
        "snapshot_index",
        "snapshot_ms",
        "state",
        "told",
    )

    def __init__(self, last_index: int, max_inflight: int, now_ms: int) -> None:
        self.state = State.PROBE
        self.match = 0
        self.next = last_index + 1
        self.heard_ms = now_ms
        """When it last answered anything of this term; at first, when this was made."""
        self.max_inflight = max_inflight
        self.inflight: deque[int] = deque()
        """Last indexes of messages that are unanswered, rising."""
        self.probing = False
        """A probe is under way."""
        self.told = 0
        """The highest commit index that it was told of; what was told may have been lost."""
        self.snapshot_index = 0
        self.snapshot_ms = 0
        """Which snapshot it was sent, and when."""

    @property
    def paused(self) -> bool:
        """Whether entries have to wait."""
        if self.state is State.REPLICATE:
            return len(self.inflight) >= self.max_inflight
        return self.probing or self.state is State.SNAPSHOT

    def sent(self, count: int) -> None:
        """`count` entries from `next` on were sent."""
        if self.state is not State.REPLICATE:
            self.probing = True
        elif count:
            self.next += count
            self.inflight.append(self.next - 1)

    def sent_snapshot(self, index: int, now_ms: int) -> None:
        """A snapshot was sent instead."""
        self._become(State.SNAPSHOT)
        self.snapshot_index, self.snapshot_ms = index, now_ms

    def appended(self, index: int) -> bool:
        """It has all up to `index`. Return whether that is news."""
        news = index > self.match
        if news:
            self.match = index
            self.next = max(self.next, index + 1)
        if self.state is State.REPLICATE:
            inflight = self.inflight
            while inflight and inflight[0] <= index:
                inflight.popleft()
        elif self.state is State.PROBE or self.match >= self.snapshot_index:
            # An answer to an older message says where the logs meet as well.
            self._become(State.REPLICATE)
            self.next = self.match + 1
        return news

    def rejected(self, index: int, guess: int) -> bool:
        """It did not take what follows `index`; the logs may meet at `guess`. Return False for old news."""
        if self.state is State.REPLICATE:
            if index <= self.match:
                return False
            # Messages were lost, or came in another order: what it acknowledged is certain.
            self._become(State.PROBE)
            self.next = self.match + 1
            return True
        # Of what it acknowledged there is nothing before to try: the same would be refused again, without pause.
        if self.state is State.SNAPSHOT or self.next - 1 != index or index <= self.match:
            return False
        self.next = max(min(index, guess + 1), self.match + 1)
        self.probing = False
        return True

    def retry_snapshot(self) -> None:
        """The snapshot seems lost: find out where it is."""
        self._become(State.PROBE)
        self.next = self.match + 1

    def _become(self, state: State) -> None:
        self.state = state
        self.probing = False
        self.inflight.clear()
