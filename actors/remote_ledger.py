"""A light actor's `Ledger`: asks gateways, one after the other when one fails.

A light actor trusts its gateway for queries, but not for outcomes: what is called final comes with a proof, and what
convinces is the ledger's kind's (`actors.belief`).
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import trio

from actors.belief import AttestedBelief, Belief, WorkBelief
from actors.calls import Calls, EndorsedCalls, Note, SequencedCalls, ordering_trouble, shown_by
from actors.gateway_messages import (
    MAX_WAIT_MS,
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
    decode_answer,
    encode_message,
)
from actors.identity import Identity
from actors.ledger import FoundBlock, GatewayError, Heads, Outcome, Sender, Stage
from actors.messages import GATEWAY
from actors.world import World
from chain.codec import encode
from chain.contract import encode_args
from chain.errors import MalformedError, Refused
from chain.ledgers.ordered.channel import ChannelConfig, OrderedRules
from chain.ledgers.ordered.msp import Certificate
from chain.ledgers.ordered.values import Envelope, decode_envelope, proposal_digest, proposal_of
from chain.ledgers.pow.parameters import PowRules
from chain.values import BlockId, Header, Transaction, TxId
from net.overlay import Overlay
from net.peer import Address, PeerId
from net.transport import TransportError

ROUND_TRIP_S = 10.0
ENDORSE_TIMEOUT_S = 30.0
"""A gateway may have to ask endorsers in several rounds, each with a deadline."""
RETRY_S = 0.5
AT_ONCE = 8
"""Transactions that gateways are asked to have endorsed at a time, for these refuse too many requests of one peer."""
GATHERING = frozenset({"not_enough_endorsers", "endorsements_differ", "replica_diverged"})
"""Refusals for which another gateway, with other links, may be of help."""
Checked = TypeVar("Checked")


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
        self._endorsing = trio.CapacityLimiter(AT_ONCE)
        self._belief, self._calls = self._ways(world)

    def _ways(self, world: World) -> tuple[Belief, Calls]:
        """How this kind of ledger is believed and called."""
        match world.genesis.ledger:
            case PowRules():
                sender = Sender(self.identity, self._next_nonce, self._submit)
                return WorkBelief(self._network), SequencedCalls(self._network.id, sender, self._await_stage)
            case OrderedRules():
                belief = AttestedBelief(self._network, self._ask_one, self._gateways, world.clock.now_ms)
                calls = EndorsedCalls(
                    world,
                    self.identity,
                    creator=lambda: shown_by(world, self.identity, belief.config),
                    prepare=self._prepare,
                    submit=self._submit_envelope,
                    await_stage=self._await_stage,
                    explain=self._explain,
                )
                return belief, calls

    async def call(
        self, contract: str, method: str, *args: Any, stage: Stage = "final", patience_s: float = 120.0
    ) -> Outcome:
        """See `actors.ledger.Ledger.call`."""
        return await self._calls.call(contract, method, args, stage=stage, patience_s=patience_s)

    async def _await_stage(self, tx_id: TxId, stage: Stage, note: Note) -> Outcome:
        wait = Wait(tx_id, stage == "final", MAX_WAIT_MS)
        while True:
            denials: list[Refusal] = []
            answer: Outcome | Answer = Unknown()
            try:
                read = partial(self._read_found, tx_id, denials)
                answer = await self._ask_checked(wait, read, MAX_WAIT_MS / 1000 + 10)
            except GatewayError as error:
                note(str(error))
                if denials and len(denials) == len(self._gateways()):
                    answer = denials[0]
            if isinstance(answer, Refusal):
                raise Refused(answer.reason, answer.detail)
            if isinstance(answer, Outcome) and answer.stage in ("final", stage):
                return answer
            await trio.sleep(RETRY_S)

    async def _read_found(self, tx_id: TxId, denials: list[Refusal], peer: PeerId, answer: Answer) -> Outcome | Answer:
        if isinstance(answer, Refusal) and not self._belief.one_denial_suffices:
            denials.append(answer)
            raise GatewayError(f"it says {answer.reason}")
        return await self._belief.outcome(tx_id, peer, answer) if isinstance(answer, Found) else answer

    async def query(self, contract: str, method: str, *args: Any, at: Literal["head", "final"] = "head") -> Any:
        """See `actors.ledger.Ledger.query`."""

        async def read(_: PeerId, answer: Answer) -> Any:
            await trio.lowlevel.checkpoint()
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
        answer = await self._ask_checked(wait, partial(self._read_found, transaction, []))
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

    # An ordered ledger's calls. ----------------------------------------------------------------------------------

    async def _prepare(self, transaction: Transaction, creator: Certificate | None) -> Envelope:
        """Have a gateway gather endorsements; the next one, when one cannot. Raises Refused or GatewayError."""
        refusals: list[Refused] = []

        async def read(_: PeerId, answer: Answer) -> Envelope:
            await trio.lowlevel.checkpoint()
            if isinstance(answer, Refusal) and answer.reason in GATHERING:
                refusals.append(Refused(answer.reason, answer.detail))
                raise GatewayError(answer.reason)
            if not isinstance(answer, Prepared):
                raise _unexpected(answer)
            return _own(transaction, creator, decode_envelope(answer.envelope))

        try:
            async with self._endorsing:
                return await self._ask_checked(Endorse(encode(transaction), creator), read, ENDORSE_TIMEOUT_S)
        except GatewayError:
            if refusals:
                raise refusals[-1] from None
            raise

    async def _submit_envelope(self, envelope: Envelope) -> None:
        answer = await self._ask(SubmitEnvelope(encode(envelope)))
        if not isinstance(answer, Accepted):
            raise _unexpected(answer)

    async def _explain(self) -> str:
        try:
            answer = await self._ask(AskOrdering())
        except GatewayError as error:
            return str(error)
        return ordering_trouble(answer.orderers, answer.leader) if isinstance(answer, OrderingAnswer) else ""

    @property
    def channel(self) -> ChannelConfig | None:
        """The configuration that is believed in, on an ordered ledger."""
        return self._belief.config if isinstance(self._belief, AttestedBelief) else None

    async def members(self) -> Sequence[Certificate]:
        """Certificates of ledger nodes that a gateway of an ordered ledger is linked with, unchecked. Raises GatewayError."""
        answer = await self._ask(AskMembers())
        if isinstance(answer, MembersAnswer):
            return answer.certificates
        raise GatewayError(str(_unexpected(answer)))

    # Asking. -----------------------------------------------------------------------------------------------------

    async def _ask(self, request: Request) -> Answer:
        """Ask one gateway after the other. Raises GatewayError when none gives a readable answer."""
        return await self._ask_checked(request, _as_it_is)

    async def _ask_checked(
        self, request: Request, read: Callable[[PeerId, Answer], Awaitable[Checked]], timeout: float = ROUND_TRIP_S
    ) -> Checked:
        """The first answer that `read` takes: a gateway for which it raises GatewayError or MalformedError has failed."""
        failures = []
        for peer in self._gateways():
            try:
                return await read(peer, await self._ask_one(peer, request, timeout))
            except (MalformedError, GatewayError) as error:
                failures.append(f"{peer!r}: {error}")
        msg = "no gateway answers: " + ("; ".join(failures) or "no link to any")
        raise GatewayError(msg)

    async def _ask_one(self, peer: PeerId, request: Request, timeout: float) -> Answer:
        """Raises GatewayError."""
        try:
            answer = await self._overlay.request(peer, GATEWAY, encode_message(request), timeout=timeout)
            return decode_answer(answer)
        except (TransportError, MalformedError) as error:
            raise GatewayError(str(error)) from None


async def _as_it_is(_: PeerId, answer: Answer) -> Answer:
    await trio.lowlevel.checkpoint()
    return answer


def _own(transaction: Transaction, creator: Certificate | None, envelope: Envelope) -> Envelope:
    """The envelope, if it is for that very transaction: else we would sign what we never asked for. Raises GatewayError."""
    evidence = envelope.evidence
    if envelope.transaction != transaction or evidence.creator != creator:
        raise GatewayError("the gateway prepared another transaction")
    if evidence.response.proposal != proposal_digest(proposal_of(envelope)):
        raise GatewayError("the gateway prepared the response to another proposal")
    return envelope


def _unexpected(answer: Answer) -> Exception:
    if isinstance(answer, Refusal):
        return Refused(answer.reason, answer.detail)
    return GatewayError(f"the gateway answered {type(answer).__name__}")
