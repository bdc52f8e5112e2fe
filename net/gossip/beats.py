"""When a router's heartbeats are, and which is the next that has something to do."""

from math import inf


class Heartbeats:
    """Heartbeats are at `start` + k · `interval`, in seconds; they are numbered by k."""

    __slots__ = ("_from", "_interval", "_number", "_start", "_until", "due")

    def __init__(self, start: float, interval: float) -> None:
        self._start = start
        self._interval = interval
        self._number, self._from, self._until = -1, inf, inf  # the last answer of `number`, and when it holds
        self.due = inf
        """The first heartbeat that has something to do; infinity when none has."""

    def number(self, now: float) -> int:
        """Number of the last heartbeat at or before `now`; -1 before the first."""
        if self._from <= now < self._until:
            return self._number
        beat = int((now - self._start) // self._interval)
        # The division may round across the very time that `after` computed.
        if self.time(beat + 1) <= now:
            beat += 1
        elif self.time(beat) > now:
            beat -= 1
        self._number, self._from, self._until = beat, self.time(beat), self.time(beat + 1)
        return beat

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
