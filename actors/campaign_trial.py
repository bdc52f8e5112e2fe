"""A trial of sensing campaigns (`actors.trial`): one organizer, five oracles, three requesters, twelve workers.

Phases are as short as slow blocks let them be, and people fast: a cycle takes less than two minutes. The ledger is either;
the contract and its actors are the same on both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

from actors import trial
from actors.ledger import FoundBlock
from actors.node import FullNode
from actors.scenario import Scenario, convert
from actors.trial import Stage, Turn, play_out
from actors.virtual_time import run_virtual
from chain.codec import decode_own
from chain.contract import purse_key, state_key
from chain.contracts import campaign
from chain.contracts.accounts import balance_of
from chain.contracts.campaign_board import oracle_key
from chain.contracts.campaign_records import Accepted, Chosen
from chain.genesis import LedgerKind
from chain.state import WorldState
from chain.values import Account, TxId

T = TypeVar("T")
WORKERS = 12
ORACLES = 5
REQUESTERS = 3
TASKS = 8
SAMPLES = 6
"""Wanted of each task."""
REWARD = 1_000_000
FUNDS = 100_000_000
DEPOSIT = 500_000
STAKE = 5_000_000
PENALTY = 2_000_000
ORGANIZER = "organizer-01"
SPEED_M_S = 20.0
"""Of workers."""
MAX_SPEED_M_S = 24.0
ORACLE_S = 9.0
# A phase that begins when half of it is over makes a cycle void, so none is so short that one slow block would do it.
PHASES = {
    "registration": 8.0,
    "publishing": 12.0,
    "bidding": 14.0,
    "selection": 30.0,
    "collection": 20.0,
    "submission": 28.0,
    "review": 14.0,
    "grace": 3.0,
}
UNREVIEWED = PHASES | {"review": 0.0}
"""Phases of a campaign in which nobody disputes."""
ORACLE_TERMS = {"selector": "greedy", "seconds": ORACLE_S, "stake": STAKE, "penalty": PENALTY, "challenge_s": 6.0}
"""The paper's algorithm: what is measured does not follow the default."""
FIRST_S = 30.0
CYCLE_S = 125.0
"""More than a cycle takes from one beginning to the next, with a phase or two that somebody else has to move."""


@dataclass(frozen=True, slots=True)
class Plot:
    """What is different from an honest run."""

    ledger: LedgerKind = "pow"
    cycles: int = 1
    turned: Mapping[str, Turn] = field(default_factory=dict)
    """Who is made an adversary, by the name of whose place it takes."""
    terms: Mapping[str, Any] = field(default_factory=dict)
    """Keys of ``[campaign]`` that are changed; tables are replaced whole."""
    contract: ModuleType = campaign
    """What runs as the campaign contract."""
    until: str = "closed"
    """The event after which there is nothing more to see."""


@dataclass(slots=True)
class Ending(trial.Ending):
    """What became of the cycles."""

    last: WorldState | None = None
    until: str = "closed"

    def committed(self, node: FullNode, found: FoundBlock) -> None:
        """See `actors.node.Witness`."""
        trial.Ending.committed(self, node, found)
        if found.final:
            self.last = node.core.final_state
            if any(event.name == self.until for receipt in found.receipts for event in receipt.events):
                self.over.set()

    @property
    def state(self) -> WorldState:
        """After the last final block."""
        if self.last is None:
            raise LookupError("nothing is final")
        return self.last

    def gain(self, *names: str) -> int:
        """What some have more than they began with, in micro-credits, an oracle's stake counted; negative when less."""
        return sum(self.worth(self.account(name)) - FUNDS for name in names)

    def worth(self, account: Account) -> int:
        """What an account has, an oracle's stake counted, in micro-credits."""
        campaigns = [TxId(each["campaign"]) for each in self.events("registration_started")]
        stakes = [self.state.get(purse_key("campaign", oracle_key(each, account))) for each in campaigns]
        return balance_of(self.state, account) + sum(decode_own(int, held) for held in stakes if held is not None)

    def chosen(self) -> dict[tuple[int, Account], Chosen]:
        """The workers that stood selected in the end, by cycle and account."""
        return {(cycle, Account(rest)): found for cycle, rest, found in self.records(b"chosen/", Chosen)}

    def accepted(self) -> dict[int, Accepted]:
        """The results that stood in the end, by cycle."""
        return {cycle: found for cycle, _, found in self.records(b"accepted/", Accepted)}

    def records(self, kind: bytes, type_: type[T]) -> Iterator[tuple[int, bytes, T]]:
        """The contract's records of a kind (`chain.contracts.campaign_board`): their cycle, the rest of their key, and they."""
        prefix = state_key("campaign", kind)
        for key, entry in self.state.scan(prefix):
            rest = key[len(prefix) + 32 :]
            yield int.from_bytes(rest[:4], "big"), rest[4:], decode_own(type_, entry.value)

    def paid(self, *workers: str) -> dict[tuple[int, Account], int]:
        """How many rewards some workers got, by cycle and account; only where they were selected and won something."""
        accounts = {self.account(name) for name in workers}
        rewards = [(each["cycle"], each["worker"]) for each in self.events("rewarded")]
        return {key: rewards.count(key) for key, chosen in self.chosen().items() if key[1] in accounts and chosen.wins}

    @property
    def cycles(self) -> int:
        """That began, or were to."""
        return max(1, len(self.events("publishing_started")))

    @property
    def void(self) -> float:
        """Share of the cycles that came to nothing; those that never ended are of these."""
        return 1 - sum(not each["void"] for each in self.events("ended")) / self.cycles

    @property
    def samples(self) -> float:
        """Samples that were paid for, in a cycle; wanted are TASKS * SAMPLES."""
        return len(self.events("rewarded")) / self.cycles


def scenario_of(plot: Plot, seed: int) -> Scenario:
    """The population and its terms."""
    return convert(
        {
            "name": "trial",
            "seed": seed,
            "systems": ["campaign"],
            "place": {"name": "square", "lat_min": 44.49, "lat_max": 44.490899, "lon_min": 11.34, "lon_max": 11.341261},
            "population": {
                "requester": {"count": REQUESTERS},
                "worker": {"count": WORKERS},
                "organizer": {"count": 1},
                "oracle": {"count": ORACLES},
                "miner": {"count": 3, "hash_rate": 40, "step_ms": 250},
                "orderer": {"count": 1},
                "endorser": {"count": 0},
                "mec": {"count": 1},
                "facility": {"count": 0},
            },
            "campaign": {
                "cycles": plot.cycles,
                "funds": FUNDS,
                "deposit": DEPOSIT,
                "max_speed_m_s": MAX_SPEED_M_S,
                "phases": PHASES,
                "tasks": {
                    "count": TASKS,
                    "reward": REWARD,
                    "samples": SAMPLES,
                    "best_s": [5.0, 7.5],
                    "interval_s": 5.0,
                },
                "walk": {"speed_m_s": SPEED_M_S},
                "oracles": ORACLE_TERMS,
                **plot.terms,
            },
            "ledger": {"kind": plot.ledger, "finality_depth": 4, "block_interval_ms": 500},
            "network": {"heartbeat_ms": 5_000, "quantum_ms": 10.0, "degree": 3},
        }
    )


def workers(count: int) -> list[str]:
    """Names of the first so many."""
    return [f"worker-{number:02}" for number in range(1, count + 1)]


def oracles(count: int) -> list[str]:
    """Names of the first so many."""
    return [f"oracle-{number:02}" for number in range(1, count + 1)]


def play(plot: Plot, seed: int) -> Ending:
    """Run a plot to its end. The same arguments give the same ending."""
    return run_virtual(_play, plot, seed, seed=seed)


async def _play(plot: Plot, seed: int) -> Ending:
    stage = Stage(scenario=scenario_of(plot, seed), name="campaign", contract=plot.contract, turned=plot.turned)
    return await play_out(stage, FIRST_S + CYCLE_S * plot.cycles, partial(Ending, until=plot.until))
