"""`LedgerUnderTest`: what a script needs of a ledger, and the real thing behind it: proof of work, and orderers, solo or Raft.

A call is made at a time, which is what its contract sees: on proof of work its block is mined then, on an ordered ledger it
is proposed then. Between calls time passes as it does for actors: a block comes now and then, without anybody's call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chain.codec import block_id, decode_block, encode, transaction_id
from chain.contract import encode_args
from chain.errors import Refused
from chain.keys import sign_transaction
from chain.ledger import Broadcast, LedgerEffect
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.pow.config import PowConfig
from chain.ledgers.pow.ledger import PowLedger
from chain.genesis import Network
from chain.state import WorldState
from chain.values import BlockId, Event, Receipt, TxId
from tests.chain.conformance.founding import FOUNDED_MS, IDLE_MS, Founding
from tests.strategies import account, key, pow_rules

PRODUCER = 999
_NIL = encode(None)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that somebody makes."""

    who: int
    contract: str
    method: str
    args: tuple[object, ...]
    endorsers: tuple[int, ...] = (0, 1)
    """Whose peers are asked on an ordered ledger: by the places of their organisations."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call."""

    reason: str
    """Empty when it was carried out."""
    transaction: TxId | None = None
    result: bytes = _NIL
    gas: int = 0
    events: tuple[Event, ...] = ()
    height: int = 0
    """Of its block; 0 when it was refused before it came into one."""

    @classmethod
    def read(cls, receipt: Receipt, height: int) -> "Outcome":
        return cls(receipt.reason, receipt.transaction, receipt.result, receipt.gas, receipt.events, height)


class LedgerUnderTest(Protocol):
    """One network, from its founding on."""

    @property
    def name(self) -> str:
        """For whoever reads of a failure."""

    @property
    def network(self) -> Network: ...

    @property
    def now_ms(self) -> int: ...

    @property
    def replica(self) -> PowLedger | OrderedLedger:
        """One that holds what all have."""

    def pass_until(self, time_ms: int) -> None:
        """Let time pass. Raises AssertionError when it is later already."""

    def call(self, asked: Asked) -> Outcome:
        """Make a call now, and see what becomes of it."""

    def call_all(self, asked: Sequence[Asked]) -> Sequence[Outcome]:
        """Make all these calls now, none waiting for another, and see what becomes of them.

        What met a conflict is made again, until it is carried out or refused.
        """

    def query(self, contract: str, method: str, args: bytes) -> bytes:
        """What a node answers. Raises Refused."""

    def block_id(self, height: int) -> BlockId | None:
        """Id of a final block that the next call can look up; None while there is none."""

    def state(self) -> WorldState:
        """What replicas agree on now. Raises AssertionError when they do not."""

    def final_state(self) -> WorldState:
        """The same once everything that was carried out is final."""


class OnPow:
    """A miner at difficulty 1 and a replica that follows it; what is asked is read off the replica.

    With `rehearsed` False, calls come by gossip: whatever is refused is so by its receipt in a block.
    """

    def __init__(self, founding: Founding, *, rehearsed: bool = True) -> None:
        self.name = "pow" if rehearsed else "pow, by gossip"
        # Blocks never come faster than this interval, so difficulty stays where it is: no work but one hash a block.
        rules = pow_rules(block_interval_ms=4, initial_difficulty=1, block_reward=0, max_future_ms=600_000)
        self.network = founding.network(rules, "pow")
        self.miner = PowLedger(self.network, producer=account(PRODUCER), config=PowConfig(template_refresh_ms=1))
        self.replica = PowLedger(self.network)
        self.now_ms = FOUNDED_MS
        self._block_ms = FOUNDED_MS
        self._rehearsed = rehearsed

    def pass_until(self, time_ms: int) -> None:
        assert time_ms >= self.now_ms, (time_ms, self.now_ms)
        while self._block_ms + IDLE_MS <= time_ms:
            self.now_ms = self._block_ms + IDLE_MS
            self._mine()
        self.now_ms = time_ms

    def call(self, asked: Asked) -> Outcome:
        return self.call_all([asked])[0]

    def call_all(self, asked: Sequence[Asked]) -> Sequence[Outcome]:
        outcomes = [self._submit(each) for each in asked]
        if any(not outcome.reason for outcome in outcomes):
            self._mine()
        assert not self.miner.pending(), "all of them fit into a block"
        return [self._read(outcome) for outcome in outcomes]

    def query(self, contract: str, method: str, args: bytes) -> bytes:
        return self.replica.query(contract, method, args)

    def block_id(self, height: int) -> BlockId | None:
        if not 0 <= height <= self.replica.head.height + 1 - self.network.pow.finality_depth:
            return None
        block = self.replica.block(height)
        return self.network.id if height == 0 or block is None else block_id(block.header)

    def state(self) -> WorldState:
        assert self.replica.state.root == self.miner.state.root
        return self.replica.state

    def final_state(self) -> WorldState:
        head = self.replica.head.height
        while self.replica.final.height < head:
            self.pass_until(self._block_ms + IDLE_MS)
        return self.replica.final_state

    def _submit(self, asked: Asked) -> Outcome:
        nonce = self.miner.next_nonce(account(asked.who))
        transaction = sign_transaction(
            key(asked.who), self.network.id, nonce, asked.contract, asked.method, encode_args(*asked.args)
        )
        try:
            if self._rehearsed:
                self._carry(self.miner.submit(transaction, self.now_ms))
            else:
                self._carry(self.miner.receive_transaction(transaction, self.now_ms))
        except Refused as refused:
            return Outcome(refused.reason)
        return Outcome("", transaction_id(transaction))

    def _mine(self) -> None:
        self._carry(self.miner.mine(1, self.now_ms))
        self._block_ms = self.now_ms
        head = self.replica.head
        assert (head.time_ms, head.difficulty) == (self.now_ms, 1)
        assert self.replica.head_id == self.miner.head_id

    def _carry(self, effects: Sequence[LedgerEffect]) -> None:
        """To the replica goes what goes to everybody."""
        for effect in effects:
            if isinstance(effect, Broadcast) and effect.topic == "blocks":
                self.replica.receive_block(b"miner", decode_block(effect.data), self.now_ms)

    def _read(self, outcome: Outcome) -> Outcome:
        if outcome.transaction is None:
            return outcome
        found = self.replica.receipt(outcome.transaction)
        assert found is not None
        return Outcome.read(found[1], found[0].header.height)
