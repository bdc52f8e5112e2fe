"""`LedgerUnderTest`: what a script needs of a ledger, and the real thing behind it: proof of work, and orderers, solo or Raft.

A call is made at a time, which is what its contract sees: on proof of work its block is mined then, on an ordered ledger it
is proposed then. Between calls time passes as it does for actors: a block comes now and then, without anybody's call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chain.codec import encode
from chain.genesis import Network
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.pow.ledger import PowLedger
from chain.state import WorldState
from chain.values import BlockId, Event, Receipt, TxId

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
