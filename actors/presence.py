"""Who was where a moment ago, as one MEC node knows it and tells nobody."""

from collections import OrderedDict
from dataclasses import dataclass

from actors.sensing.mobility import Point
from chain.contracts.spatial_records import MAX_CANDIDATES
from chain.values import Account

MAX_PRESENT = 65_536


@dataclass(frozen=True, slots=True)
class _Seen:
    where: Point
    claimed_ms: int
    until_ms: int


class Presence:
    """The latest claim of each worker, for `ttl_ms`. Pure: time comes in."""

    def __init__(self, ttl_ms: int) -> None:
        self._ttl_ms = ttl_ms
        self._seen: OrderedDict[Account, _Seen] = OrderedDict()

    def seen(self, worker: Account, where: Point, claimed_ms: int, now_ms: int) -> int:
        """Take a claim in; returns until when the worker counts as present.

        Raises ValueError for a claim that is older than one we have (a replay).
        """
        before = self._seen.get(worker)
        if before is not None and claimed_ms < before.claimed_ms:
            msg = "an older claim than one that came before"
            raise ValueError(msg)
        until = now_ms + self._ttl_ms
        self._seen[worker] = _Seen(where, claimed_ms, until)
        self._seen.move_to_end(worker)
        while self._seen and (len(self._seen) > MAX_PRESENT or next(iter(self._seen.values())).until_ms < now_ms):
            self._seen.popitem(last=False)
        return until

    def near(self, where: Point, radius_m: float, now_ms: int, *, without: Account) -> list[Account]:
        """Workers present nearer than `radius_m`, sorted; of more than MAX_CANDIDATES the nearest."""
        found = [
            (distance, worker)
            for worker, seen in self._seen.items()
            if seen.until_ms >= now_ms and worker != without and (distance := seen.where.distance_m(where)) < radius_m
        ]
        return sorted(worker for _, worker in sorted(found)[:MAX_CANDIDATES])

    def __len__(self) -> int:
        return len(self._seen)
