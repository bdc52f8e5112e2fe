"""A storm over a consortium: what may fail fails, at random, under load; then all is well again and must be settled."""

from collections.abc import Callable
from random import Random

from msgspec.structs import replace

from actors.consortium_checkers import Watch
from actors.consortium_clients import Clients
from actors.consortium_trial import Links, Member, Shape, Trial
from chain.keys import account_of
from chain.ledgers.ordered.channel import default_policies
from chain.ledgers.ordered.ledger import OrderedConfig
from chain.ledgers.ordered.policy import majority

CALM_MS = 120_000
"""How long after the storm all calls must have ended at the latest."""
CONFIG = OrderedConfig(status_interval_ms=500, snapshot_interval=16)


def sealed_by_majority(trial_organisations: int) -> object:
    """Default policies, but that a majority of organisations' orderers seal each block."""
    names = {f"org{number}": bytes(32) for number in range(1, trial_organisations + 1)}
    return replace(default_policies(names), blocks=majority(tuple(names), "orderer"))


class Storm:
    """Faults drawn from a seed. `links`, `partitions` and `crashes` may be switched off."""

    def __init__(
        self,
        seed: int,
        *,
        orderers: int = 3,
        majority_seals: bool = False,
        duration_ms: int = 4_000,
        calls: int = 150,
        make: Callable[[Trial, str, str, str], Member] = Member,
        consensus: str = "raft",
        crash_every_ms: int = 400,
        away_ms: int = 2_000,
    ) -> None:
        self.rng = rng = Random(f"{seed}/storm")
        spread = rng.choice((2, 10, 40))
        links = Links((1, spread), loss=rng.choice((0, 0.02, 0.15)), duplication=rng.choice((0, 0.05, 0.3)))
        self.trial = trial = Trial(
            seed,
            Shape(
                orderers=orderers,
                customers=12,
                consensus=consensus,
                policies=sealed_by_majority(3) if majority_seals else None,
            ),
            links=links,
            config=CONFIG,
            make=make,
        )
        self.clients = Clients(trial, attempts=1_000)
        self.watch = Watch(trial, self.clients)
        self.away_ms = away_ms
        self.crashes = 0
        """That were arranged."""
        self.kills = 0
        """That came about."""
        self.end_ms = trial.now_ms + duration_ms
        for _ in range(calls):
            trial.at(trial.now_ms + rng.randrange(duration_ms), self._call)
        trial.at(trial.now_ms + rng.randrange(1_000), self._partition)
        time_ms = trial.now_ms
        while (time_ms := time_ms + rng.randrange(1, 2 * crash_every_ms)) < self.end_ms:
            trial.at(time_ms, self._crash)

    def _call(self) -> None:
        rng, trial = self.rng, self.trial
        hot = rng.random() < 0.3
        sender = trial.customers[0] if hot else rng.choice(trial.customers)
        to = rng.choice([name for name in trial.customers if name != sender])
        self.clients.call(sender, "accounts", "transfer", account_of(trial.keys[to]), rng.randrange(1, 1_000))

    def _crash(self) -> None:
        """Somebody, more often the leader than others, dies after one of its next effects."""
        rng, trial = self.rng, self.trial
        up = [member for member in trial.members.values() if member.up and member.dies_after is None]
        if not up:
            return
        member = trial.leader if trial.leader in up and rng.random() < 0.3 else rng.choice(up)
        assert member is not None
        member.dies_after = rng.randrange(12)
        self.crashes += 1
        trial.at(trial.now_ms + rng.randrange(20, self.away_ms), self._restart, member)

    def _restart(self, member: Member) -> None:
        if not member.up:
            self.kills += 1
            member.start()
        else:
            member.dies_after = None

    def _partition(self) -> None:
        """Some members hear nothing of the others, in both directions or in one."""
        rng, trial = self.rng, self.trial
        if trial.now_ms >= self.end_ms:
            return
        names = [member.name for member in trial.members.values()]
        apart = set(rng.sample(names, rng.randrange(1, len(names) // 2 + 1)))
        one_way = rng.random() < 0.3
        trial.cuts = lambda one, other: (
            (one in apart) > (other in apart) if one_way else (one in apart) != (other in apart)
        )
        trial.at(trial.now_ms + rng.randrange(50, 1_500), self._join)

    def _join(self) -> None:
        self.trial.cuts = lambda _, __: False
        self.trial.at(self.trial.now_ms + self.rng.randrange(50, 1_000), self._partition)

    def heal(self) -> None:
        """Everybody comes up again, and all links are good."""
        trial = self.trial
        trial.links = Links()
        trial.cuts = lambda _, __: False
        for member in trial.members.values():
            self._restart(member)

    def run(self) -> None:
        """Raises BrokenError."""
        trial = self.trial
        trial.run_until(lambda: False, self.end_ms)
        trial.now_ms = self.end_ms
        self.heal()
        trial.run_until(lambda: self.watch.settled, trial.now_ms + CALM_MS)
        self.watch.check_end()
