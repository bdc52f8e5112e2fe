"""The leader killed under load: how long nothing is committed, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from actors.consortium_checkers import Watch
from actors.consortium_clients import Clients
from actors.consortium_trial import Member, Shape, Trial
from chain.keys import account_of
from chain.ledgers.ordered.orderer import Leads, OrderingEffect
from chain.values import Block, Receipt


@dataclass(frozen=True, slots=True)
class Outage:
    """Times in ticks from the leader's death on."""

    detected: float
    """Until another orderer gives it up and asks for votes."""
    elected: float
    """Until another leads."""
    served: float
    """Until any peer commits a block that another has cut."""


class Noting(Member):
    """Notes when it hears of leaders."""

    def __init__(self, trial: Trial, name: str, organisation: str, role: str) -> None:
        super().__init__(trial, name, organisation, role)
        self.news: list[tuple[int, bytes]] = []

    def carry_one(self, effect: OrderingEffect) -> bool:
        if isinstance(effect, Leads):
            self.news.append((self.trial.now_ms, effect.leader))
        return super().carry_one(effect)


def kill_leader(seed: int, shape: Shape) -> Outage:
    """Raises BrokenError when a call is lost, applied twice or never ends, and TimeoutError without service."""
    rng = Random(f"{seed}/outage")
    trial = Trial(seed, shape, make=Noting)
    clients = Clients(trial, attempts=1_000)
    watch = Watch(trial, clients)
    served: list[tuple[int, bytes]] = []
    told = trial.on_commit

    def note(member: Member, block: Block, receipts: Sequence[Receipt]) -> None:
        served.append((trial.now_ms, block.header.producer))
        told(member, block, receipts)

    trial.on_commit = note
    assert trial.run_until(lambda: trial.leader is not None, trial.now_ms + 60 * shape.tick_ms * shape.election_ticks)
    load_ms = 4 * shape.tick_ms * shape.election_ticks + 500
    count = 80
    for number in range(count):
        sender, to = rng.sample(trial.customers, 2)
        amount = number + 1
        trial.at(
            trial.now_ms + number * load_ms // count,
            lambda sender=sender, to=to, amount=amount: clients.call(
                sender, "accounts", "transfer", account_of(trial.keys[to]), amount
            ),
        )
    trial.run_for(rng.randrange(200, 400))
    dead = trial.leader
    assert dead is not None
    dead.dies_after = rng.randrange(12)
    assert trial.run_until(lambda: not dead.up, trial.now_ms + 1_000)
    killed_ms = trial.now_ms
    back = trial.run_until(
        lambda: bool(served) and served[-1][1] != dead.account and served[-1][0] > killed_ms, killed_ms + load_ms
    )
    if not back:
        raise TimeoutError("no service")
    served_ms = trial.now_ms
    dead.start()
    trial.run_for(load_ms)
    trial.run_until(lambda: watch.settled, trial.now_ms + 90_000)
    watch.check_end()
    assert len(clients.acknowledged) == len(clients.calls) == count
    others = [one for one in trial.orderers if one is not dead]
    after = [(time_ms - killed_ms, leader) for one in others for time_ms, leader in one.news if time_ms > killed_ms]
    return Outage(
        detected=min(time_ms for time_ms, leader in after if not leader) / shape.tick_ms,
        elected=min(time_ms for time_ms, leader in after if leader) / shape.tick_ms,
        served=(served_ms - killed_ms) / shape.tick_ms,
    )
