"""The two sides of a gateway: a ledger node that answers light actors, and a light actor's `Ledger` that asks.

A light actor trusts its gateway for queries, but not for outcomes: what is called final comes with an inclusion
proof and headers, which are checked (`chain.light`). It moves on to the next gateway when one fails.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

import trio

from actors.gateway_messages import (
    MAX_HEADERS,
    MAX_WAIT_MS,
    MAX_WAITING,
    Accepted,
    AddressesAnswer,
    Answer,
    AskAddresses,
    AskBlock,
    AskHeaders,
    AskHeads,
    AskWaiting,
    BlockAnswer,
    Found,
    HeadersAnswer,
    HeadsAnswer,
    NextNonce,
    Number,
    Query,
    Refusal,
    Request,
    Result,
    Submit,
    Unknown,
    Wait,
    WaitingAnswer,
    decode_answer,
    decode_request,
    encode_message,
)
from actors.identity import Identity
from actors.ledger import FoundBlock, GatewayError, Heads, Outcome, OutcomeUnknownError, Sender, Stage
from actors.messages import GATEWAY
from actors.world import World
from chain.codec import decode_transaction, encode, transaction_id
from chain.contract import encode_args
from chain.errors import InvalidProofError, MalformedError, Refused
from chain.light import decode_proof, verify_inclusion
from chain.values import ACCOUNT_BYTES, ID_BYTES, Account, BlockId, Header, Transaction, TxId, Value
from net.overlay import Overlay
from net.peer import Address, PeerId
from net.requests import RequestRefused
from net.transport import TransportError

ROUND_TRIP_S = 10.0
RETRY_S = 0.5
PROOF_SLACK = 8
Checked = TypeVar("Checked")

PROVABLE = ("wrong_chain", "bad_signature")
"""Refusals of what nobody honest submits; all others can be bad luck."""


class LedgerNode(Protocol):
    """What a gateway needs of the node it is part of: local answers."""

    async def submit(self, transaction: Transaction) -> None:
        """Raises Refused."""

    def next_nonce(self, account: Account) -> int:
        """What waits in the mempool included."""

    def answer_query(self, contract: str, method: str, args: bytes, *, final: bool) -> bytes:
        """Raises Refused."""

    def find(self, transaction: TxId) -> Outcome | None:
        """Where a transaction stands."""

    async def wait_for(self, transaction: TxId, stage: Stage) -> Outcome:
        """Wait until it is that far. Raises Refused when it was dropped."""

    def proof(self, transaction: TxId) -> Value | None:
        """For a transaction that is final: see `chain.ledger.LedgerCore.proof`."""

    def found_block(self, ref: BlockId | int) -> FoundBlock | None:
        """A block of the best chain."""

    def recent_headers(self, before: int | None, limit: int) -> Sequence[tuple[Header, int, int]]:
        """(header, transactions, bytes), highest first."""

    def waiting(self, limit: int) -> Sequence[Transaction]:
        """What is in the mempool."""

    def local_heads(self) -> Heads:
        """Head and final."""

    def addresses_of(self, peer: PeerId, *, asker: PeerId) -> Sequence[Address]:
        """Where `asker` can dial the ledger node `peer`: at most MAX_ADDRESSES."""

    def blame(self, peer: PeerId, reason: str) -> None:
        """`peer` sent what nobody honest sends."""


class GatewayService:
    """Answers light actors from a ledger node."""

    def __init__(self, node: LedgerNode) -> None:
        self._node = node

    async def handle(self, peer: PeerId, body: bytes) -> bytes:
        """One request to one answer. Raises RequestRefused for bytes that are no request."""
        try:
            request = decode_request(body)
            answer = await self._answer(peer, request)
        except MalformedError as error:
            self._node.blame(peer, f"malformed request: {error}")
            raise RequestRefused(str(error)) from None
        except Refused as refused:
            if refused.reason in PROVABLE:
                self._node.blame(peer, refused.reason)
            answer = Refusal(refused.reason, refused.detail)
        return encode_message(answer)

    async def _answer(self, peer: PeerId, request: Request) -> Answer:
        node = self._node
        match request:
            case Submit(raw):
                await node.submit(decode_transaction(raw))
                return Accepted()
            case NextNonce(account):
                if len(account) != ACCOUNT_BYTES:
                    msg = f"an account of {len(account)} bytes"
                    raise MalformedError(msg)
                return Number(node.next_nonce(Account(account)))
            case Query(contract, method, args, final):
                return Result(node.answer_query(contract, method, args, final=final))
            case Wait(transaction, final, for_ms):
                return await self._wait(TxId(transaction), "final" if final else "included", for_ms)
            case AskHeads():
                heads = node.local_heads()
                return HeadsAnswer(heads.head, heads.final)
            case AskBlock(id_, height):
                found = node.found_block(BlockId(id_) if len(id_) == ID_BYTES else height)
                return Unknown() if found is None else BlockAnswer(found.block, found.receipts, found.final)
            case AskHeaders(before, limit):
                rows = node.recent_headers(None if before < 0 else before, max(1, min(MAX_HEADERS, limit)))
                return HeadersAnswer(tuple(rows))
            case AskWaiting(limit):
                return WaitingAnswer(tuple(node.waiting(max(1, min(MAX_WAITING, limit)))))
            case AskAddresses(account):
                if len(account) != ACCOUNT_BYTES:
                    msg = f"an account of {len(account)} bytes"
                    raise MalformedError(msg)
                return AddressesAnswer(tuple(node.addresses_of(PeerId.from_public_key(account), asker=peer)))

    async def _wait(self, transaction: TxId, stage: Stage, for_ms: int) -> Answer:
        with trio.move_on_after(max(0, min(for_ms, MAX_WAIT_MS)) / 1000):
            return self._found(await self._node.wait_for(transaction, stage))
        outcome = self._node.find(transaction)
        return Unknown() if outcome is None else self._found(outcome)

    def _found(self, outcome: Outcome) -> Found:
        proof = self._node.proof(outcome.transaction) if outcome.stage == "final" else None
        return Found(outcome.stage, outcome.receipt, outcome.header, b"" if proof is None else encode(proof))


class RemoteLedger:
    """A light actor's ledger: asks the first of `gateways` that answers. Implements `actors.ledger.Ledger`.

    `gateways` gives the peers to ask, best first, at each call, so that it may change as the actor moves.
    """

    def __init__(
        self,
        identity: Identity,
        overlay: Overlay,
        gateways: Callable[[], Sequence[PeerId]],
        world: World,
    ) -> None:
        self.identity = identity
        self._overlay = overlay
        self._gateways = gateways
        self._network = world.network
        self._depth = world.genesis.ledger.finality_depth
        # A false proof costs the work of its headers. Difficulty may fall when miners leave, but not to nothing at
        # once: asking for an eighth of what was seen last (at first, of genesis) keeps liars expensive.
        self._work_per_block = world.network.pow.initial_difficulty // PROOF_SLACK
        self._sender = Sender(identity, self._next_nonce, self._submit)

    async def call(
        self, contract: str, method: str, *args: Any, stage: Stage = "final", patience_s: float = 120.0
    ) -> Outcome:
        """See `actors.ledger.Ledger.call`."""
        transaction = await self._sender.send(self._network.id, contract, method, args)
        tx_id = transaction_id(transaction)
        if stage == "accepted":
            return Outcome(tx_id, "accepted", None, None)
        outcome = None
        with trio.move_on_after(patience_s):
            outcome = await self._await_stage(tx_id, stage)
        if outcome is None:
            raise OutcomeUnknownError(tx_id, f"{contract}.{method} is not {stage} after {patience_s:g} s")
        if outcome.receipt is not None and not outcome.receipt.ok:
            raise Refused(outcome.receipt.reason, outcome.receipt.detail)
        return outcome

    async def _await_stage(self, tx_id: TxId, stage: Stage) -> Outcome:
        wait = Wait(tx_id, stage == "final", MAX_WAIT_MS)
        while True:
            try:
                answer = await self._ask_checked(wait, partial(self._read_found, tx_id), MAX_WAIT_MS / 1000 + 10)
            except GatewayError:
                answer = Unknown()
            if isinstance(answer, Refusal):
                raise Refused(answer.reason, answer.detail)
            if isinstance(answer, Outcome) and answer.stage in ("final", stage):
                return answer
            await trio.sleep(RETRY_S)

    def _read_found(self, tx_id: TxId, answer: Answer) -> Outcome | Answer:
        return self._checked(tx_id, answer) if isinstance(answer, Found) else answer

    def _checked(self, tx_id: TxId, found: Found) -> Outcome:
        """Believe a final outcome only with its proof. Raises GatewayError when the gateway lied."""
        if found.stage != "final":
            return Outcome(tx_id, found.stage, found.receipt, found.header)
        try:
            proof = decode_proof(found.proof)
            receipt = verify_inclusion(
                proof, chain=self._network.id, depth=self._depth, minimum_work=self._depth * self._work_per_block
            )
        except (MalformedError, InvalidProofError) as error:
            msg = f"the gateway's proof does not hold: {error}"
            raise GatewayError(msg) from None
        if receipt.transaction != tx_id:
            msg = "the gateway proved another transaction"
            raise GatewayError(msg)
        # What was proven, not what the transaction's own block claims; and by steps, so that one expensive lie does
        # not make the next ones free.
        proven = sum(header.difficulty for header in proof.above) // max(1, len(proof.above))
        self._work_per_block = max(1, self._work_per_block // 2, proven // PROOF_SLACK)
        return Outcome(tx_id, "final", receipt, proof.header)

    async def query(self, contract: str, method: str, *args: Any, at: Literal["head", "final"] = "head") -> Any:
        """See `actors.ledger.Ledger.query`."""

        def read(answer: Answer) -> Any:
            if isinstance(answer, Result):
                return self._network.registry.result(contract, method, answer.value)
            raise _unexpected(answer)

        return await self._ask_checked(Query(contract, method, encode_args(*args), at == "final"), read)

    async def addresses_of(self, peer: PeerId) -> Sequence[Address]:
        """Where a ledger node can be dialled, as the gateway says. Raises GatewayError."""
        answer = await self._ask(AskAddresses(peer.public_key))
        if isinstance(answer, AddressesAnswer):
            return [Address(address) for address in answer.addresses]
        raise GatewayError(str(_unexpected(answer)))

    async def heads(self) -> Heads:
        """See `actors.ledger.Ledger.heads`."""
        answer = await self._ask(AskHeads())
        if isinstance(answer, HeadsAnswer):
            return Heads(answer.head, answer.final)
        raise _unexpected(answer)

    async def block(self, ref: BlockId | int) -> FoundBlock | None:
        """See `actors.ledger.Ledger.block`."""
        answer = await self._ask(AskBlock(b"", ref) if isinstance(ref, int) else AskBlock(ref, -1))
        if isinstance(answer, BlockAnswer):
            return FoundBlock(answer.block, answer.receipts, answer.final)
        if isinstance(answer, Unknown):
            return None
        raise _unexpected(answer)

    async def headers(self, before: int | None, limit: int) -> Sequence[tuple[Header, int, int]]:
        """See `actors.ledger.Ledger.headers`."""
        answer = await self._ask(AskHeaders(-1 if before is None else before, limit))
        if isinstance(answer, HeadersAnswer):
            return answer.rows
        raise _unexpected(answer)

    async def waiting(self, limit: int) -> Sequence[Transaction]:
        """See `actors.ledger.Ledger.waiting`."""
        answer = await self._ask(AskWaiting(limit))
        if isinstance(answer, WaitingAnswer):
            return answer.transactions
        raise _unexpected(answer)

    async def outcome(self, transaction: TxId) -> Outcome | None:
        """See `actors.ledger.Ledger.outcome`."""
        wait = Wait(transaction, final=False, for_ms=0)
        answer = await self._ask_checked(wait, partial(self._read_found, transaction))
        if isinstance(answer, Outcome):
            return answer
        if isinstance(answer, Unknown):
            return None
        raise _unexpected(answer)

    async def _next_nonce(self) -> int:
        answer = await self._ask(NextNonce(self.identity.account))
        if isinstance(answer, Number):
            return answer.value
        raise _unexpected(answer)

    async def _submit(self, transaction: Transaction) -> None:
        answer = await self._ask(Submit(encode(transaction)))
        if not isinstance(answer, Accepted):
            raise _unexpected(answer)

    async def _ask(self, request: Request) -> Answer:
        """Ask one gateway after the other. Raises GatewayError when none gives a readable answer."""
        return await self._ask_checked(request, lambda answer: answer)

    async def _ask_checked(
        self, request: Request, read: Callable[[Answer], Checked], timeout: float = ROUND_TRIP_S
    ) -> Checked:
        """The first answer that `read` takes: a gateway for which it raises GatewayError or MalformedError has failed."""
        body = encode_message(request)
        failures = []
        for peer in self._gateways():
            try:
                return read(decode_answer(await self._overlay.request(peer, GATEWAY, body, timeout=timeout)))
            except (TransportError, MalformedError, GatewayError) as error:
                failures.append(f"{peer!r}: {error}")
        msg = "no gateway answers: " + ("; ".join(failures) or "no link to any")
        raise GatewayError(msg)


def _unexpected(answer: Answer) -> Exception:
    if isinstance(answer, Refusal):
        return Refused(answer.reason, answer.detail)
    return GatewayError(f"the gateway answered {type(answer).__name__}")
