"""Clients of a consortium in virtual time: they have calls endorsed, submit them, and learn what became of them.

A client goes through a gateway, one of the peers, as Fabric's clients do: endorse, submit, commit status. When it hears
nothing it has the same envelope published again; when its gateway is gone it asks another peer. A conflict is tried
again as a new transaction. So every call ends: committed, refused, or expired for certain.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.consortium_trial import Member, Trial
from chain.codec import encode, transaction_id
from chain.contract import encode_args
from chain.errors import Refused
from chain.keys import sign_transaction
from chain.ledgers.ordered.assemble import agree, check_endorsed, differences, prepare, sign_envelope
from chain.ledgers.ordered.msp import Certificate
from chain.ledgers.ordered.values import CONFLICTS, Endorsed, Envelope, Proposal, made_ms, nonce_at
from chain.values import Block, Receipt, TxId

REMIND_MS = 500
"""After how long without news an envelope is published again."""
PAUSE_MS = 10
"""Mean pause before the second attempt; doubled by each further one, up to 64 times as long."""
_RETRIED = frozenset(code.value for code in CONFLICTS) | {"endorsements_differ"}


@dataclass(slots=True)
class Call:
    """One call of a client, and what became of it."""

    client: str
    contract: str
    method: str
    args: bytes
    gateway: Member
    endorsers: Sequence[Member]
    began_ms: int
    fixed: bool = False
    """Whether these endorsers and no others are to be asked."""
    attempts: int = 0
    envelope: Envelope | None = None
    """Of the latest attempt, once it was endorsed."""
    refusals: dict[str, set[str]] = field(default_factory=dict)
    """By reason: organisations whose peers refused to endorse it."""
    tried: list[TxId] = field(default_factory=list)
    """Ids of all attempts that were endorsed and signed, in order."""
    ended_ms: int | None = None
    outcome: str = ""
    """``valid``, a validation code or a refusal's reason; empty while it is under way."""
    on_end: Callable[["Call"], None] = field(default=lambda _: None)

    @property
    def transaction(self) -> TxId | None:
        """Id of the latest attempt."""
        return None if self.envelope is None else transaction_id(self.envelope.transaction)


class Clients:
    """All clients of a trial. `attempts` is how often a call is made at most when it meets conflicts."""

    def __init__(self, trial: Trial, attempts: int = 1, creators: Mapping[str, Certificate] | None = None) -> None:
        """`creators` are certificates by client, for channels on which not everybody may write."""
        self._trial = trial
        self._attempts = attempts
        self._creators = creators or {}
        self._waiting: dict[TxId, Call] = {}
        self.calls: list[Call] = []
        self.codes: Counter[str] = Counter()
        """Of transactions, by the names of their validation codes, as calls met them."""
        trial.on_commit = self._committed

    @property
    def acknowledged(self) -> Sequence[Call]:
        """Calls that were told that they are valid."""
        return [call for call in self.calls if call.outcome == "valid"]

    def call(
        self,
        client: str,
        contract: str,
        method: str,
        *args: Any,
        endorsers: Sequence[Member] = (),
        on_end: Callable[[Call], None] = lambda _: None,
    ) -> Call:
        """Make a call by the first of `endorsers`; it goes on in time.

        Unless told, those are peers of two organisations, others than at first when some of those do not answer.
        """
        asked = tuple(endorsers) or tuple(self._trial.peers[:2])
        now_ms = self._trial.now_ms
        call = Call(
            client, contract, method, encode_args(*args), asked[0], asked, now_ms, fixed=bool(endorsers), on_end=on_end
        )
        self.calls.append(call)
        self._attempt(call)
        return call

    # --- endorse ----------------------------------------------------------------------------------------------

    def _attempt(self, call: Call) -> None:
        trial = self._trial
        call.attempts += 1
        call.envelope = None
        attempt = call.attempts
        trial.at(trial.now_ms + REMIND_MS, self._unanswered, call, attempt)
        if not call.gateway.up:
            return
        nonce = nonce_at(trial.now_ms, trial.rng.getrandbits(20))
        key = trial.keys[call.client]
        transaction = sign_transaction(key, trial.network.id, nonce, call.contract, call.method, call.args)
        proposal = Proposal(transaction, self._creators.get(call.client), trial.now_ms)
        answers: dict[bytes, Endorsed] = {}

        def take(by: Member, answer: Endorsed | Refused) -> None:
            if call.attempts != attempt or call.ended_ms is not None or call.envelope is not None:
                return
            if isinstance(answer, Refused):
                self._refused(call, by, answer)
                return
            # The first of each, for the network may double a question or an answer.
            answers.setdefault(answer.endorsement.certificate.account, answer)
            if len(answers) == len(call.endorsers):
                self._submit(call, proposal, tuple(answers.values()))

        for endorser in call.endorsers:
            if endorser is call.gateway:
                answer = endorser.ask_endorsement(proposal)
                if answer is not None:
                    take(endorser, answer)
            else:
                trial.deliver(call.gateway, endorser.account, lambda to: self._answer(to, call, proposal, take))

    def _answer(
        self, to: Member, call: Call, proposal: Proposal, take: Callable[[Member, Endorsed | Refused], None]
    ) -> None:
        answer = to.ask_endorsement(proposal)
        if answer is not None:
            self._trial.deliver(to, call.gateway.account, lambda _: take(to, answer))

    def _refused(self, call: Call, by: Member, refused: Refused) -> None:
        """One endorser alone may lie: a refusal stands when another organisation says the same, or nobody else is asked."""
        call.refusals.setdefault(refused.reason, set()).add(by.organisation)
        if call.fixed or len(call.refusals[refused.reason]) > 1:
            self._end(call, refused.reason)
            return
        self._ask_others(call)
        self._again(call, refused.reason, at_once=True)

    def _unanswered(self, call: Call, attempt: int) -> None:
        """Endorsers did not answer in time: ask again, nothing was ordered."""
        if call.attempts != attempt or call.envelope is not None or call.ended_ms is not None:
            return
        self._ask_others(call)
        self._attempt(call)

    def _ask_others(self, call: Call) -> None:
        """Next time, ask peers of two organisations that are up, at random, when there are so many."""
        up = [peer for peer in self._trial.peers if peer.up]
        self._trial.rng.shuffle(up)
        chosen = list({peer.organisation: peer for peer in up}.values())[:2]
        if len(chosen) == 2 and not call.fixed:
            call.endorsers = chosen
            call.gateway = chosen[0]

    # --- submit -----------------------------------------------------------------------------------------------

    def _submit(self, call: Call, proposal: Proposal, answers: Sequence[Endorsed]) -> None:
        trial, ledger = self._trial, call.gateway.ledger
        try:
            for answer in answers:
                check_endorsed(ledger.channel, proposal, answer, trial.now_ms)
            agreement = agree(ledger.channel, ledger.state, proposal, answers, trial.now_ms)
            if agreement is None and differences(answers):
                self._ask_others(call)
                self._again(call, "endorsements_differ")
                return
            if agreement is None:  # they are of one mind, and not those whom a policy asks for
                self._end(call, "not_enough_endorsers")
                return
            call.envelope = sign_envelope(trial.keys[call.client], prepare(proposal, agreement))
            call.tried.append(transaction_id(proposal.transaction))
            self._waiting[call.tried[-1]] = call
            call.gateway.submit(call.envelope)
        except Refused as refused:
            self._end(call, refused.reason)
            return
        trial.at(trial.now_ms + REMIND_MS, self._remind, call, call.attempts)

    def _remind(self, call: Call, attempt: int) -> None:
        """No news: ask a peer that is up what became of it, and have it published again."""
        trial, envelope = self._trial, call.envelope
        if call.attempts != attempt or call.ended_ms is not None or envelope is None:
            return
        up = [peer for peer in trial.peers if peer.up]
        if up:
            call.gateway = call.gateway if call.gateway.up else up[trial.rng.randrange(len(up))]
            found = call.gateway.ledger.receipt(transaction_id(envelope.transaction))
            if found is not None:
                self._told(call, found[1])
                return
            head_ms = call.gateway.ledger.head.time_ms
            if head_ms > made_ms(envelope.transaction) + trial.network.ordered.proposal_ttl_ms:
                self._end(call, "proposal_expired")
                return
            call.gateway.publish("tx", encode(envelope))
        trial.at(trial.now_ms + REMIND_MS, self._remind, call, attempt)

    # --- commit status ----------------------------------------------------------------------------------------

    def _committed(self, member: Member, block: Block, receipts: Sequence[Receipt]) -> None:  # noqa: ARG002 - told so
        for receipt in receipts:
            call = self._waiting.get(receipt.transaction)
            if call is not None and call.gateway is member:
                # Of a copy that is a duplicate, what became of the first counts; before a crash, nobody may have been told.
                found = member.ledger.receipt(receipt.transaction)
                self._told(call, found[1] if found is not None else receipt)

    def _told(self, call: Call, receipt: Receipt) -> None:
        if receipt.transaction != call.transaction or self._waiting.pop(receipt.transaction, None) is None:
            return
        reason = "valid" if receipt.ok else receipt.reason
        self.codes[reason.upper()] += 1
        if reason in _RETRIED:
            self._again(call, reason)
        else:
            self._end(call, reason)

    def _again(self, call: Call, why: str, *, at_once: bool = False) -> None:
        """`at_once` does not count: nothing was ordered."""
        if call.attempts >= self._attempts + 8 * at_once:
            self._end(call, why)
            return
        pause_ms = self._trial.rng.randint(1, 2 * PAUSE_MS * 2 ** min(6, call.attempts - 1))
        self._trial.at(self._trial.now_ms + pause_ms, self._retry, call, call.attempts)

    def _retry(self, call: Call, attempt: int) -> None:
        """Unless it was made again meanwhile, for want of answers."""
        if call.attempts == attempt and call.ended_ms is None:
            self._attempt(call)

    def _end(self, call: Call, outcome: str) -> None:
        if call.ended_ms is None:
            call.ended_ms, call.outcome = self._trial.now_ms, outcome
            call.on_end(call)
