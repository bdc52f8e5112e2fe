"""Who stands when, and who votes for whom: timers, ballots and the rule for votes. All times in milliseconds."""

from random import Random

from chain.ledgers.ordered.raft.config import RaftConfig


class ElectionTimer:
    """When to stand. It starts anew whenever a leader or a candidate worth a vote is heard."""

    __slots__ = ("_config", "_excused", "_rng", "_since_ms", "_timeout_ms")

    def __init__(self, config: RaftConfig, rng: Random, now_ms: int) -> None:
        self._config = config
        self._rng = rng
        self._excused = False
        self.draw(now_ms)

    @property
    def deadline_ms(self) -> int:
        """When to stand if nothing is heard until then."""
        return self._since_ms + self._timeout_ms

    def draw(self, now_ms: int) -> None:
        """Start with a new timeout of one to two election timeouts: who draws the shortest stands alone, mostly."""
        election_ms = self._config.election_ms
        self._timeout_ms = election_ms + self._rng.randrange(election_ms)
        self._since_ms = now_ms

    def draw_retry(self, now_ms: int) -> None:
        """The same after an election that nobody won, of half to a whole one: the leader is gone for long enough."""
        half = max(1, self._config.election_ms // 2)
        self._timeout_ms = half + self._rng.randrange(half)
        self._since_ms = now_ms

    def hasten(self, now_ms: int) -> None:
        """Stand within a tick and a quarter of an election timeout: somebody stood who has less of the log.

        It may be elected by others in that tick. Else all would wait for the rest of a timeout, with the leader gone.
        """
        soon_ms = now_ms + self._config.tick_ms + self._rng.randrange(max(1, self._config.election_ms // 4))
        if soon_ms < self.deadline_ms:
            self._since_ms = soon_ms - self._timeout_ms

    def restart(self, now_ms: int) -> None:
        """Start anew with the same timeout."""
        self._since_ms = now_ms
        self._excused = False

    def leader_is_fresh(self, now_ms: int) -> bool:
        """Whether the leader, if there is one, was heard within the least timeout: its lease is respected."""
        return now_ms - self._since_ms < self._config.election_ms

    def due(self, now_ms: int) -> bool:
        """Whether to stand now.

        A node that is ticked long after it asked to be did not run, and what the leader said meanwhile may wait to be
        received: once, it gets another tick to find out.
        """
        late = now_ms - self.deadline_ms
        if late < 0:
            return False
        if late > self._config.tick_ms and not self._excused:
            self._excused = True
            self._since_ms = now_ms + self._config.tick_ms - self._timeout_ms
            return False
        self._excused = False
        return True


class Ballot:
    """The answers to one call for votes."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: dict[bytes, bool] = {}

    def record(self, peer: bytes, granted: bool) -> None:
        """Only a peer's first answer counts."""
        self._answers.setdefault(peer, granted)

    def result(self, voters: tuple[bytes, ...], quorum: int) -> bool | None:
        """True: won. False: it cannot be won any more. None: open."""
        granted = sum(1 for voter in voters if self._answers.get(voter, False))
        if granted >= quorum:
            return True
        refused = sum(1 for voter in voters if not self._answers.get(voter, True))
        return False if len(voters) - refused < quorum else None
