"""The one clock of a run: an epoch plus trio's time, so that it is virtual where trio's is."""

import time

import trio

SIMULATION_EPOCH_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: when every simulation starts, so that a replay has the same timestamps."""


class Clock:
    """Milliseconds since the Unix epoch that never run backwards, counted from `epoch_ms` at construction.

    Must be made inside ``trio.run``. `skew_ms` shifts what this actor believes the time to be; who sets it to less makes
    that time run backwards, once.
    """

    __slots__ = ("_epoch_ms", "_origin", "skew_ms")

    def __init__(self, epoch_ms: int, *, skew_ms: int = 0) -> None:
        self._epoch_ms = epoch_ms
        self._origin = trio.current_time()
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        """The actor's time in milliseconds."""
        return self._epoch_ms + self.skew_ms + round((trio.current_time() - self._origin) * 1000)

    def now_s(self) -> float:
        """The run's time in seconds, unrounded and without skew, as timers count it.

        Message numbers that are made of it stay new after a restart.
        """
        return self._epoch_ms / 1000 + trio.current_time() - self._origin

    def another(self) -> "Clock":
        """A clock of the same run that can be skewed by itself."""
        clock = Clock(self._epoch_ms, skew_ms=self.skew_ms)
        clock._origin = self._origin
        return clock

    async def sleep_until_ms(self, when_ms: int) -> None:
        """Sleep until `now_ms()` is at least `when_ms`; checkpoints also when that is past."""
        await trio.sleep(max(0.0, (when_ms - self.now_ms()) / 1000))


class Stopwatch:
    """How long a run took the machine: wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def wall_s(self) -> float:
        """Seconds on the wall."""
        return time.perf_counter() - self._wall

    @property
    def cpu_s(self) -> float:
        """Seconds of this process's CPU, all threads."""
        return time.process_time() - self._cpu


def wall_clock_ms() -> int:
    """The machine's time: read once, when a run in real time starts."""
    return time.time_ns() // 1_000_000
