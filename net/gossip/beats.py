"""When a router's heartbeats are, and which is the next that has something to do."""

from math import inf


class Heartbeats:
    """Heartbeats are at `start` + k · `interval`, in seconds; they are numbered by k."""

    __slots__ = ("_interval", "_start", "due")

    def __init__(self, start: float, interval: float) -> None:
        self._start = start
        self._interval = interval
        self.due = inf
        """The first heartbeat that has something to do; infinity when none has."""

    def number(self, now: float) -> int:
        """Number of the last heartbeat at or before `now`; -1 before the first."""
        beat = int((now - self._start) // self._interval)
        # The division may round across the very time that `after` computed.
        if self._start + (beat + 1) * self._interval <= now:
            return beat + 1
        return beat - 1 if self.time(beat) > now else beat

    def time(self, beat: int) -> float:
        """When a heartbeat is."""
        return self._start + beat * self._interval

    def after(self, now: float) -> float:
        """The first heartbeat after `now`, needed or not."""
        return self.time(self.number(now) + 1)

    def want(self, now: float) -> None:
        """The next heartbeat has something to do. One that is due already stays due, however busy we are."""
        if self.due == inf or self.due > now + self._interval:
            self.due = min(self.due, self.after(now))

    def want_from(self, moment: float, now: float) -> None:
        """The first heartbeat at or after `moment` has something to do; infinity: none."""
        if moment != inf:
            at = self.time(self.number(moment))
            at = at if at >= moment else self.after(moment)
            self.due = min(self.due, max(at, self.after(now)))

    def want_multiple(self, every: int, now: float) -> None:
        """The next heartbeat whose number is a multiple of `every` has something to do."""
        beat = self.number(now)
        self.due = min(self.due, self.time(beat + every - beat % every))
