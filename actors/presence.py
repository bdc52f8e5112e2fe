"""Who was where a moment ago, as one MEC node knows it and tells nobody."""

from collections import OrderedDict
from dataclasses import dataclass

from actors.sensing.mobility import Point
from chain.contracts.spatial_records import MAX_CANDIDATES
from chain.values import Account

MAX_PRESENT = 65_536


@dataclass(frozen=True, slots=True)
class _Seen:
    voter: Account
    where: Point
    claimed_ms: int
    until_ms: int


class Presence:
    """The latest claim of each worker, for `ttl_ms`. Pure: time comes in.

    A worker may want to be drawn as another account than its own, its *voter*, which then serves once.
    """

    def __init__(self, ttl_ms: int) -> None:
        self._ttl_ms = ttl_ms
        self._seen: OrderedDict[Account, _Seen] = OrderedDict()
        self._bearers: dict[Account, Account] = {}
        """Voter → worker, of those that differ, whether or not the voter was drawn."""
        self._spent: OrderedDict[Account, None] = OrderedDict()

    def seen(self, worker: Account, where: Point, claimed_ms: int, now_ms: int, *, voter: Account | None = None) -> int:
        """Take a claim in; returns until when the worker counts as present.

        Raises ValueError for a claim that is older than one we have (a replay), and for a voter that is another worker's
        or that served before.
        """
        voter = worker if voter is None else voter
        if voter != worker and (
            voter in self._spent or voter in self._seen or self._bearers.get(voter, worker) != worker
        ):
            msg = "a voter that served already, or that somebody else claims to be"
            raise ValueError(msg)
        before = self._seen.get(worker)
        if before is not None and claimed_ms < before.claimed_ms:
            msg = "an older claim than one that came before"
            raise ValueError(msg)
        until = now_ms + self._ttl_ms
        if before is not None:
            self._bearers.pop(before.voter, None)
        if voter != worker:
            self._bearers[voter] = worker
        self._seen[worker] = _Seen(voter, where, claimed_ms, until)
        self._seen.move_to_end(worker)
        while self._seen and (len(self._seen) > MAX_PRESENT or next(iter(self._seen.values())).until_ms < now_ms):
            _, gone = self._seen.popitem(last=False)
            self._bearers.pop(gone.voter, None)
        return until

    def bearer(self, voter: Account) -> Account:
        """Return the worker that is present as `voter`."""
        return self._bearers.get(voter, voter)

    def spend(self, voter: Account) -> None:
        """Let a drawn voter that is not its worker's own account serve no more; the worker's next claim names another."""
        if voter in self._bearers:
            self._spent[voter] = None
            if len(self._spent) > MAX_PRESENT:
                self._spent.popitem(last=False)

    def near(self, where: Point, radius_m: float, now_ms: int, *, without: Account) -> list[Account]:
        """Voters of workers present nearer than `radius_m`, sorted; of more than MAX_CANDIDATES the nearest."""
        found = [
            (distance, seen.voter)
            for worker, seen in self._seen.items()
            if seen.until_ms >= now_ms
            and without not in (worker, seen.voter)
            and seen.voter not in self._spent
            and (distance := seen.where.distance_m(where)) < radius_m
        ]
        return sorted(voter for _, voter in sorted(found)[:MAX_CANDIDATES])

    def __len__(self) -> int:
        return len(self._seen)
