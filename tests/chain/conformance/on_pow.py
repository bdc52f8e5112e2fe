"""Proof of work under test: a miner whose blocks are no work, and a replica that follows it."""

from collections.abc import Sequence

from chain.codec import block_id, decode_block, transaction_id
from chain.contract import encode_args
from chain.errors import Refused
from chain.keys import sign_transaction
from chain.ledger import Broadcast, LedgerEffect
from chain.ledgers.pow.config import PowConfig
from chain.ledgers.pow.ledger import PowLedger
from chain.state import WorldState
from chain.values import BlockId
from tests.chain.conformance.founding import FOUNDED_MS, IDLE_MS, Founding
from tests.chain.conformance.ledgers import Asked, Outcome
from tests.strategies import account, key, pow_rules

PRODUCER = 999


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
