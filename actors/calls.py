"""How a call becomes a transaction and an outcome, on either kind of ledger; the same at a ledger node and at a phone.

On proof of work an account's transactions follow each other (`SequencedCalls`). On an ordered ledger endorsers say first
what a call would do, and what they read may have changed when it is committed: then it is made again (`EndorsedCalls`).
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any, Protocol

import trio

from actors.identity import Identity
from actors.ledger import GatewayError, Outcome, OutcomeUnknownError, Sender, Stage
from actors.world import World
from chain.codec import transaction_id
from chain.contract import encode_args
from chain.errors import Refused
from chain.keys import sign_transaction
from chain.ledgers.ordered.assemble import sign_envelope
from chain.ledgers.ordered.channel import ANYONE, ChannelConfig
from chain.ledgers.ordered.msp import Certificate
from chain.ledgers.ordered.values import CONFLICTS, NONCE_RANDOM_BITS, Envelope, nonce_at
from chain.values import BlockId, Transaction, TxId

MAX_ATTEMPTS = 16
"""Transactions that one call may come to, when what they read keeps changing."""
FIRST_BACKOFF_S = 0.05
"""Before the second one; the bound doubles with each, and chance takes a part of it."""
MAX_BACKOFF_S = 2.0
REMIND_S = 5.0
"""After how long without an outcome an envelope is handed over again, lest it got lost; each time after twice as long."""
EXPLAIN_S = 3.0
"""How long to look for the reason why nothing is known of a transaction."""

_CONFLICTS = frozenset(code.value for code in CONFLICTS)

Note = Callable[[str], None]
"""Told what went wrong while waiting, for those who wait in vain."""
AwaitStage = Callable[[TxId, Stage, Note], Awaitable[Outcome]]
"""Wait until a transaction is that far. Raises Refused when it never will be."""


class Calls(Protocol):
    """One account's calls."""

    async def call(
        self, contract: str, method: str, args: tuple[Any, ...], *, stage: Stage, patience_s: float
    ) -> Outcome:
        """See `actors.ledger.Ledger.call`."""


def definite(outcome: Outcome) -> Outcome:
    """The outcome of a call that its block took. Raises Refused when it did not."""
    if outcome.receipt is not None and not outcome.receipt.ok:
        raise Refused(outcome.receipt.reason, outcome.receipt.detail)
    return outcome


class SequencedCalls:
    """Calls with consecutive nonces."""

    def __init__(self, chain: BlockId, sender: Sender, await_stage: AwaitStage) -> None:
        self._chain, self._sender, self._await_stage = chain, sender, await_stage

    async def call(
        self, contract: str, method: str, args: tuple[Any, ...], *, stage: Stage, patience_s: float
    ) -> Outcome:
        """See `Calls`."""
        tx = transaction_id(await self._sender.send(self._chain, contract, method, args))
        if stage == "accepted":
            return Outcome(tx, "accepted", None, None)
        notes: list[str] = []
        with trio.move_on_after(patience_s):
            return definite(await self._await_stage(tx, stage, notes.append))
        raise OutcomeUnknownError(tx, _in_vain(contract, method, stage, patience_s, notes))


class EndorsedCalls:
    """Calls that are endorsed, then ordered; those that conflict are made anew, with jittered exponential backoff.

    `prepare` has a transaction endorsed and gives the unsigned envelope (raises Refused or GatewayError: nothing was
    ordered then); `submit` hands a signed one over (raises Refused; GatewayError when it may have arrived). `explain`
    says what is known to be wrong with ordering, empty if nothing is. `creator` is shown with each proposal. To submit an
    envelope twice is to submit it once.
    """

    def __init__(
        self,
        world: World,
        identity: Identity,
        *,
        creator: Callable[[], Certificate | None],
        prepare: Callable[[Transaction, Certificate | None], Awaitable[Envelope]],
        submit: Callable[[Envelope], Awaitable[None]],
        await_stage: AwaitStage,
        explain: Callable[[], Awaitable[str]],
    ) -> None:
        self._world, self._identity = world, identity
        self._creator, self._prepare, self._submit = creator, prepare, submit
        self._await_stage, self._explain = await_stage, explain
        self._rng: Random = world.rng(identity.account.hex(), "calls")

    async def call(
        self, contract: str, method: str, args: tuple[Any, ...], *, stage: Stage, patience_s: float
    ) -> Outcome:
        """See `Calls`. After a stage of ``accepted`` nobody watches, and nothing is made again."""
        what, encoded = f"{contract}.{method}", encode_args(*args)
        deadline = trio.current_time() + patience_s
        for attempt in range(1, MAX_ATTEMPTS + 1):
            envelope = None
            with trio.move_on_at(deadline):
                envelope = await self._endorsed(contract, method, encoded)
            if envelope is None:
                raise Refused(
                    "deadline_exceeded", f"{what} was not endorsed in {patience_s:g} s; nothing was submitted"
                )
            tx = transaction_id(envelope.transaction)
            notes: list[str] = []
            await self._hand_over(tx, envelope, stage, notes)
            if stage == "accepted":
                return Outcome(tx, "accepted", None, None)
            outcome = None
            with trio.move_on_at(deadline):
                outcome = await self._outcome(envelope, tx, stage, notes)
            if outcome is None:
                with trio.move_on_after(EXPLAIN_S):
                    notes.append(await self._explain())
                raise OutcomeUnknownError(tx, _in_vain(contract, method, stage, patience_s, notes))
            receipt = outcome.receipt
            if receipt is None or receipt.reason not in _CONFLICTS:
                return definite(outcome)
            pause = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2**attempt) * self._rng.uniform(0.25, 1)
            if attempt == MAX_ATTEMPTS or trio.current_time() + pause >= deadline:
                raise Refused(receipt.reason, f"{receipt.detail} (the last of {attempt} attempts)")
            self._world.journal.record(
                self._world.name_of(self._identity.account),
                "conflict_retried",
                tx=tx.hex()[:16],
                reason=receipt.reason,
                attempt=attempt,
            )
            await trio.sleep(pause)
        raise AssertionError  # the last attempt returned or raised

    async def _endorsed(self, contract: str, method: str, args: bytes) -> Envelope:
        chance = self._rng.getrandbits(NONCE_RANDOM_BITS)
        nonce = nonce_at(self._world.clock.now_ms(), chance)
        key = self._identity.key
        transaction = sign_transaction(key, self._world.network.id, nonce, contract, method, args)
        try:
            return sign_envelope(key, await self._prepare(transaction, self._creator()))
        except Refused as refused:
            # The channel asks for what it did not ask for when we last heard of it.
            certificate = self._world.certificates.get(self._identity.account)
            if refused.reason != "certificate_required" or certificate is None:
                raise
        return sign_envelope(key, await self._prepare(transaction, certificate))

    async def _outcome(self, envelope: Envelope, tx: TxId, stage: Stage, notes: list[str]) -> Outcome:
        pause_s = REMIND_S
        while True:
            try:
                with trio.move_on_after(pause_s):
                    return await self._await_stage(tx, stage, notes.append)
            except Refused as refused:
                if refused.reason == "outcome_unknown":
                    raise OutcomeUnknownError(tx, "it may be in a block that the ledger node never had") from None
                raise
            with suppress(Refused, GatewayError):
                await self._submit(envelope)
            pause_s *= 2

    async def _hand_over(self, tx: TxId, envelope: Envelope, stage: Stage, notes: list[str]) -> None:
        try:
            await self._submit(envelope)
        except GatewayError as error:
            # It may have arrived all the same: who waits for the outcome will see.
            if stage == "accepted":
                raise OutcomeUnknownError(tx, f"nobody confirmed having taken it: {error}") from None
            notes.append(f"nobody confirmed having taken it: {error}")


def _in_vain(contract: str, method: str, stage: Stage, patience_s: float, notes: list[str]) -> str:
    """What is not known, and the latest of what went wrong."""
    known = [note for note in notes if note]
    return "; ".join(
        [f"{contract}.{method} is not {stage} after {patience_s:g} s", *dict.fromkeys(known[:1] + known[-2:])]
    )


def shown_by(world: World, identity: Identity, config: ChannelConfig) -> Certificate | None:
    """The certificate that an actor shows with a proposal: none where anyone may write, lest everybody learns who it is."""
    return None if config.policies.writers == ANYONE else world.certificates.get(identity.account)


def ordering_trouble(orderers: int, leader: bytes) -> str:
    """What a ledger node that hears of so many orderers says of ordering; empty when nothing seems to be wrong."""
    if not orderers:
        return "no orderer is linked"
    return "" if leader else f"no orderer leads, as far as {orderers} of them say"
