"""The ordered ledger under test: four peers of three organisations, and one orderer or three under Raft, in virtual time."""

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from actors.consortium_clients import Call, Clients
from actors.consortium_trial import BATCH, Links, Shape, Trial
from chain.codec import block_id
from chain.contract import Registry
from chain.genesis import Network
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.state import WorldState
from chain.values import BlockId
from tests.chain.conformance.founding import IDLE_MS, Founding
from tests.chain.conformance.ledgers import Asked, Outcome
from tests.strategies import key

SOON_MS = 60_000
"""In which every call ends, however often it has to be made again."""
ATTEMPTS = 60
LEVEL = Links(latency_ms=(1, 1))
"""All messages take as long, so what is asked first comes first in a block."""


class Consortium(Trial):
    """The trial's members on a network that is founded as all are here."""

    def __init__(self, founding: Founding, shape: Shape, links: Links) -> None:
        self._founding = founding
        super().__init__(1, shape, links=links)

    def _found(self, names: Sequence[str], orderers: Sequence[str], registry: Registry | None) -> Network:
        return self._founding.network(super()._found(names, orderers, registry).ordered, "ordered")


class OnOrdered:
    """Calls go through the first peer, are endorsed by peers of two organisations of three, ordered, and validated by all."""

    def __init__(
        self,
        founding: Founding,
        consensus: Literal["solo", "raft"],
        *,
        attempts: int = ATTEMPTS,
        links: Links = LEVEL,
    ) -> None:
        self.name = f"ordered/{consensus}"
        shape = Shape(
            consensus=consensus,
            orderers=1 if consensus == "solo" else 3,
            batch=replace(BATCH, idle_ms=IDLE_MS),
            tick_ms=100,
            customers=0,
        )
        self.trial = Consortium(founding, shape, links)
        self.network = self.trial.network
        self._clients = Clients(self.trial, attempts)
        assert self.trial.run_until(lambda: self.trial.leader is not None, self.now_ms + SOON_MS)

    @property
    def now_ms(self) -> int:
        return self.trial.now_ms

    @property
    def replica(self) -> OrderedLedger:
        """Of the peer that clients ask."""
        return self.trial.peers[0].ledger

    def pass_until(self, time_ms: int) -> None:
        assert time_ms >= self.now_ms, (time_ms, self.now_ms)
        self.trial.run_for(time_ms - self.now_ms)

    def call(self, asked: Asked) -> Outcome:
        (outcome,) = self.call_all([asked])
        return outcome

    def call_all(self, asked: Sequence[Asked]) -> Sequence[Outcome]:
        calls = [self._ask(each) for each in asked]
        assert self.trial.run_until(lambda: all(each.outcome for each in calls), self.now_ms + SOON_MS)
        return [self._read(each) for each in calls]

    def query(self, contract: str, method: str, args: bytes) -> bytes:
        return self.replica.query(contract, method, args)

    def block_id(self, height: int) -> BlockId | None:
        block = self.replica.header(height)
        return None if block is None else block_id(block)

    def state(self) -> WorldState:
        self.trial.run_until(self._level, self.now_ms + SOON_MS)
        assert self._level() and len({member.ledger.state.root for member in self.trial.members.values()}) == 1
        return self.replica.state

    def final_state(self) -> WorldState:
        return self.state()  # what is committed is final

    def _ask(self, asked: Asked) -> Call:
        self.trial.keys[str(asked.who)] = key(asked.who)
        endorsers = [self.trial.peers[place] for place in asked.endorsers]
        return self._clients.call(str(asked.who), asked.contract, asked.method, *asked.args, endorsers=endorsers)

    def _level(self) -> bool:
        return len({member.ledger.head_id for member in self.trial.members.values()}) == 1

    def _read(self, call: Call) -> Outcome:
        if call.outcome != "valid":
            return Outcome(call.outcome)
        assert call.transaction is not None
        found = self.replica.receipt(call.transaction)
        assert found is not None
        return Outcome.read(found[1], found[0].header.height)
