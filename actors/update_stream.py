"""Updates for browsers: each has a bounded stream of its own, and a slow one loses the oldest."""

from collections import deque

import trio

from actors.control import Update


class BoundedStream:
    """One browser's updates; implements `UpdateStream`. `actor` None: those of the whole run."""

    def __init__(self, actor: str | None, buffer: int) -> None:
        self.actor = actor
        self.dropped = 0
        self._waiting: deque[Update] = deque()
        self._buffer = buffer
        self._send, self.channel = trio.open_memory_channel[Update](1)
        self._wake = trio.Event()

    def put(self, update: Update) -> None:
        """Never waits."""
        if len(self._waiting) >= self._buffer:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(update)
        self._wake.set()

    async def pump(self) -> None:
        """Move updates into the channel as fast as the browser reads them."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._waiting:
                await self._send.send(self._waiting.popleft())
