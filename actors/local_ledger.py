"""A ledger node's own access to the ledger."""

from collections.abc import Sequence
from typing import Any, Literal

import trio

from actors.calls import Calls, EndorsedCalls, Note, SequencedCalls, ordering_trouble, shown_by
from actors.identity import Identity
from actors.ledger import FoundBlock, Heads, Outcome, Sender, Stage
from actors.node import FullNode
from chain.contract import encode_args
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.pow.ledger import PowLedger
from chain.values import BlockId, Header, Transaction, TxId


class LocalLedger:
    """A ledger node's own access: implements `actors.ledger.Ledger` and asks nobody, but for endorsements."""

    def __init__(self, node: FullNode, identity: Identity) -> None:
        self.identity = identity
        self._node = node
        self._calls = self._calls_on(node.core)

    def _calls_on(self, core: PowLedger | OrderedLedger) -> Calls:
        node = self._node
        match core:
            case PowLedger():
                return SequencedCalls(core.chain, Sender(self.identity, self._next_nonce, node.submit), self._wait)
            case OrderedLedger():
                return EndorsedCalls(
                    node.world,
                    self.identity,
                    creator=lambda: shown_by(node.world, self.identity, core.channel),
                    prepare=node.prepare,
                    submit=node.submit_envelope,
                    await_stage=self._wait,
                    explain=self._explain,
                )

    async def _wait(self, transaction: TxId, stage: Stage, note: Note) -> Outcome:  # noqa: ARG002 - nothing can fail
        return await self._node.wait_for(transaction, stage)

    async def _explain(self) -> str:
        await trio.lowlevel.checkpoint()
        return ordering_trouble(*self._node.ordering())

    async def _next_nonce(self) -> int:
        return self._node.next_nonce(self.identity.account)

    async def call(
        self, contract: str, method: str, *args: Any, stage: Stage = "final", patience_s: float = 120.0
    ) -> Outcome:
        """See `actors.ledger.Ledger.call`."""
        return await self._calls.call(contract, method, args, stage=stage, patience_s=patience_s)

    async def query(self, contract: str, method: str, *args: Any, at: Literal["head", "final"] = "head") -> Any:
        """See `actors.ledger.Ledger.query`."""
        await trio.lowlevel.checkpoint()
        result = self._node.answer_query(contract, method, encode_args(*args), final=at == "final")
        return self._node.world.network.registry.result(contract, method, result)

    async def heads(self) -> Heads:
        """See `actors.ledger.Ledger.heads`."""
        await trio.lowlevel.checkpoint()
        return self._node.local_heads()

    async def block(self, ref: BlockId | int) -> FoundBlock | None:
        """See `actors.ledger.Ledger.block`."""
        await trio.lowlevel.checkpoint()
        return self._node.found_block(ref)

    async def headers(self, before: int | None, limit: int) -> Sequence[tuple[Header, int, int]]:
        """See `actors.ledger.Ledger.headers`."""
        await trio.lowlevel.checkpoint()
        return self._node.recent_headers(before, limit)

    async def waiting(self, limit: int) -> Sequence[Transaction]:
        """See `actors.ledger.Ledger.waiting`."""
        await trio.lowlevel.checkpoint()
        return self._node.waiting(limit)

    async def outcome(self, transaction: TxId) -> Outcome | None:
        """See `actors.ledger.Ledger.outcome`."""
        await trio.lowlevel.checkpoint()
        return self._node.find(transaction)
