"""A gateway: what a ledger node answers light actors. `actors.remote_ledger` is the side that asks."""

from collections.abc import Sequence
from typing import Protocol

import trio

from actors.gateway_messages import (
    MAX_HEADERS,
    MAX_MEMBERS,
    MAX_WAIT_MS,
    MAX_WAITING,
    Accepted,
    AddressesAnswer,
    Answer,
    AskAddresses,
    AskBlock,
    AskHeaders,
    AskHeads,
    AskMembers,
    AskOrdering,
    AskWaiting,
    AskWords,
    BlockAnswer,
    Endorse,
    Found,
    HeadersAnswer,
    HeadsAnswer,
    MembersAnswer,
    NextNonce,
    Number,
    OrderingAnswer,
    Prepared,
    Query,
    Refusal,
    Request,
    Result,
    Submit,
    SubmitEnvelope,
    Unknown,
    Wait,
    WaitingAnswer,
    WordsAnswer,
    decode_request,
    encode_message,
)
from actors.ledger import FoundBlock, Heads, Outcome, Stage
from chain.codec import decode_transaction, encode
from chain.errors import MalformedError, Refused
from chain.ledgers.ordered.msp import Certificate
from chain.ledgers.ordered.values import Envelope, decode_envelope
from chain.values import ACCOUNT_BYTES, ID_BYTES, Account, BlockId, Header, Transaction, TxId, Value
from net.peer import Address, PeerId
from net.requests import RequestRefused

PROVABLE = ("wrong_chain", "bad_signature", "other_proposal", "signed_twice")
"""Refusals of what nobody honest submits; all others can be bad luck."""


class LedgerNode(Protocol):
    """What a gateway needs of the node it is part of: local answers."""

    async def submit(self, transaction: Transaction) -> None:
        """Raises Refused."""

    async def submit_envelope(self, envelope: Envelope) -> None:
        """On an ordered ledger. Raises Refused."""

    async def prepare(self, transaction: Transaction, creator: Certificate | None) -> Envelope:
        """Have a transaction endorsed, on an ordered ledger. Raises Refused."""

    async def words(self, transaction: TxId) -> Sequence[bytes]:
        """What other peers of an ordered ledger prove of a transaction, encoded: enough of them, if they answer."""

    def ordering(self) -> tuple[int, bytes]:
        """Of how many orderers it hears, and the account of the one that leads; empty when none is known to."""

    def members(self) -> Sequence[Certificate]:
        """Its own certificate and those of linked ledger nodes, on an ordered ledger."""

    def next_nonce(self, account: Account) -> int:
        """What waits in the mempool included. Raises Refused on an ordered ledger."""

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
            case Endorse(raw, creator):
                return Prepared(encode(await node.prepare(decode_transaction(raw), creator)))
            case SubmitEnvelope(raw):
                return await self._order(decode_envelope(raw))
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
            case AskWords(transaction):
                return WordsAnswer(tuple(await node.words(TxId(transaction))))
            case AskMembers():
                return MembersAnswer(tuple(node.members()[:MAX_MEMBERS]))
            case AskOrdering():
                return OrderingAnswer(*node.ordering())
            case AskAddresses(account):
                if len(account) != ACCOUNT_BYTES:
                    msg = f"an account of {len(account)} bytes"
                    raise MalformedError(msg)
                return AddressesAnswer(tuple(node.addresses_of(PeerId.from_public_key(account), asker=peer)))

    async def _order(self, envelope: Envelope) -> Answer:
        try:
            await self._node.submit_envelope(envelope)
        except Refused as refused:
            # It is committed already: whoever sends one twice did not hear that it arrived.
            if refused.reason != "duplicate_txid":
                raise
        return Accepted()

    async def _wait(self, transaction: TxId, stage: Stage, for_ms: int) -> Answer:
        with trio.move_on_after(max(0, min(for_ms, MAX_WAIT_MS)) / 1000):
            return self._found(await self._node.wait_for(transaction, stage))
        outcome = self._node.find(transaction)
        return Unknown() if outcome is None else self._found(outcome)

    def _found(self, outcome: Outcome) -> Found:
        proof = self._node.proof(outcome.transaction) if outcome.stage == "final" else None
        return Found(outcome.stage, outcome.receipt, outcome.header, b"" if proof is None else encode(proof))
