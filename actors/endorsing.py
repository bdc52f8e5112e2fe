"""Endorsements: serving them to others, and gathering those that a transaction needs (Fabric's gateway and endorser).

A gateway simulates a proposal itself first: what its contract refuses is refused at once, and the response shows whose
endorsements are needed. Those are asked for concurrently; when some fail or differ, others are asked.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from actors.endorsement_round import EndorsementRound, Endorser
from actors.gateway_messages import MAX_WORDS, MAX_WORDS_BYTES, WORD_WAIT_MS, Found, Wait, decode_answer, encode_message
from actors.messages import ENDORSE, GATEWAY, Declined, Granted, read_endorsement, read_proposal
from actors.world import World
from chain.codec import encode
from chain.errors import MalformedError, Refused
from chain.ledgers.ordered.assemble import Agreement, prepare
from chain.ledgers.ordered.endorse import check_proposal
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.msp import Certificate, identities
from chain.ledgers.ordered.policy import Policy
from chain.ledgers.ordered.values import Endorsed, Envelope, Proposal, Response
from chain.values import MAX_DETAIL, Account, Transaction, TxId
from net.overlay import Overlay
from net.peer import PeerId
from net.requests import RequestRefused
from net.transport import TransportError

DEADLINE_S = 5.0
"""For the answers of those who are asked at the same time."""
LEVEL_ATTEMPTS = 6
"""How often a proposal is made when endorsers are not level with each other."""
LEVEL_PAUSE_S = 0.05
"""Before the second time; doubled each time, and chance takes a part of it."""
AT_ONCE = 12
"""Proposals that one endorser is asked at a time; it refuses more than `net.requests.HANDLERS_PER_PEER`."""
PROMPT_S = 1.0
"""Who fails sooner is there, and only busy or on its way: it may be asked again."""
MAX_SUSPECTS = 64
MAX_LANES = 256
PEER = "peer"
"""The role of those who endorse."""

PROVABLE = frozenset({"bad_signature", "other_proposal", "certificate_of_another"})
"""What is wrong with an answer that nobody honest gives."""


class EndorsementDesk:
    """A ledger node's part in endorsing, its own and others' proposals.

    `blame` is told of who answers what nobody honest answers.
    """

    def __init__(
        self, world: World, name: str, core: OrderedLedger, overlay: Overlay, blame: Callable[[PeerId, str], None]
    ) -> None:
        self._world, self._name = world, name
        self._core, self._overlay, self._blame = core, overlay, blame
        self._own = Account(overlay.peer_id.public_key)
        self._rng = world.rng(name, "endorsers")
        self._suspects: dict[Account, None] = {}
        """Who was seen to answer otherwise than enough others: asked last."""
        self._lanes: dict[Account, trio.CapacityLimiter] = {}
        """One for each member that was asked, the latest MAX_LANES."""

    # Serving. -------------------------------------------------------------------------------------------------

    async def serve(self, peer: PeerId, body: bytes) -> bytes:
        """Answer a proposal (protocol `messages.ENDORSE`). Raises RequestRefused for bytes that are none."""
        try:
            proposal = read_proposal(body)
        except MalformedError as error:
            self._blame(peer, f"malformed proposal: {error}")
            raise RequestRefused(str(error)) from None
        await trio.lowlevel.checkpoint()
        try:
            if not self.endorses:
                raise Refused("no_endorser", "this node is no peer of an organisation")
            return encode(Granted(self._core.endorse(proposal, self._world.clock.now_ms())))
        except Refused as refused:
            return encode(Declined(refused.reason, refused.detail[:MAX_DETAIL]))

    @property
    def endorses(self) -> bool:
        """Whether this node is one that is asked."""
        signer = self._core.signer
        return signer is not None and signer.certificate.role == PEER

    # Gathering. -----------------------------------------------------------------------------------------------

    async def prepare(self, transaction: Transaction, creator: Certificate | None) -> Envelope:
        """Have a transaction endorsed; its sender signs the envelope.

        Raises Refused: what the contract or the endorsers' checks say; ``not_enough_endorsers``, naming the policy and
        who is linked; ``endorsements_differ``, naming who differs in what; ``envelope_too_large``.
        """
        for attempt in range(LEVEL_ATTEMPTS):
            if attempt:
                await trio.sleep(LEVEL_PAUSE_S * 2 ** (attempt - 1) * self._rng.uniform(0.5, 1))
            gathered = await self._gather(transaction, creator)
            agreement = gathered.agreement(self._world.clock.now_ms())
            if agreement is not None:
                self._tell(gathered, agreement)
                return prepare(gathered.proposal, agreement)
            if not gathered.may_level():
                break
        raise gathered.refusal(self._world.name_of)

    async def _gather(self, transaction: Transaction, creator: Certificate | None) -> EndorsementRound:
        core, now_ms = self._core, self._world.clock.now_ms()
        proposal = Proposal(transaction, creator, max(now_ms, core.head.time_ms))
        own = self._simulate(proposal, now_ms)
        expected = own.response if isinstance(own, Endorsed) else own
        gathered = EndorsementRound(core.channel, core.state, proposal, self._endorsers(now_ms), expected)
        if isinstance(own, Endorsed):
            gathered.take(Account(own.endorsement.certificate.account), own, now_ms)
        while gathered.agreement(self._world.clock.now_ms()) is None:
            asked = gathered.to_ask()
            if not asked:
                break
            async with trio.open_nursery() as nursery:
                for account in asked:
                    nursery.start_soon(self._ask, gathered, account)
        return gathered

    def _simulate(self, proposal: Proposal, now_ms: int) -> Endorsed | Response:
        """Our own endorsement, or what we would say if it were asked for. Raises Refused."""
        core = self._core
        if self.endorses:
            return core.endorse(proposal, now_ms)
        check_proposal(core.network.ordered, core.chain, core.state, proposal, now_ms)
        return core.simulate(proposal)

    def _endorsers(self, now_ms: int) -> list[Endorser]:
        """Ourselves and linked members that endorse, in an order of chance: it spreads the work. Suspects come last."""
        core = self._core
        known = identities(core.channel)
        others: list[Endorser] = []
        for peer, status in core.members().items():
            account, certificate = Account(PeerId(peer).public_key), status.certificate
            if certificate is None or certificate.role != PEER:
                continue
            with suppress(Refused):
                others.append(Endorser(account, known.principal(certificate, account, now_ms)))
        self._rng.shuffle(others)
        found = sorted(others, key=lambda other: other.account in self._suspects)
        if self.endorses and core.signer is not None:
            own = core.signer.certificate
            account = Account(own.account)
            found.insert(0, Endorser(account, known.principal(own, account, now_ms)))
        return found

    async def words(self, tx: TxId) -> Sequence[bytes]:
        """What others prove of a transaction, encoded: as many as the channel's default policy needs, if they answer.

        For light actors: the proofs are signed, so it does not matter who hands them over.
        """
        others = [one for one in self._endorsers(self._world.clock.now_ms()) if one.account != self._own]
        policy = Policy.parse(self._core.channel.policies.endorsement)
        places = next(policy.choices([one.principal for one in others]), range(len(others)))
        found: dict[Account, bytes] = {}

        async def ask(account: Account) -> None:
            body = encode_message(Wait(tx, final=True, for_ms=WORD_WAIT_MS))
            peer = PeerId.from_public_key(account)
            with suppress(TransportError, MalformedError):
                answer = decode_answer(await self._overlay.request(peer, GATEWAY, body, timeout=DEADLINE_S))
                if isinstance(answer, Found) and answer.stage == "final":
                    found[account] = answer.proof

        async with trio.open_nursery() as nursery:
            for place in places:
                nursery.start_soon(ask, others[place].account)
        said: list[bytes] = []
        room = MAX_WORDS_BYTES
        for account in sorted(found):
            room -= len(found[account]) + 8
            if room >= 0 and len(said) < MAX_WORDS:
                said.append(found[account])
        return said

    async def _ask(self, gathered: EndorsementRound, account: Account) -> None:
        if account not in self._lanes:
            self._lanes[account] = trio.CapacityLimiter(AT_ONCE)
            if len(self._lanes) > MAX_LANES:
                del self._lanes[next(iter(self._lanes))]
        async with self._lanes[account]:
            await self._ask_now(gathered, account)

    async def _ask_now(self, gathered: EndorsementRound, account: Account) -> None:
        peer = PeerId.from_public_key(account)
        began = trio.current_time()
        try:
            body = encode(gathered.proposal)
            answer = read_endorsement(await self._overlay.request(peer, ENDORSE, body, timeout=DEADLINE_S))
            if isinstance(answer, Declined):
                gathered.failed(account, f"{answer.reason}: {answer.detail}", declined=True)
                return
            gathered.take(account, answer.endorsed, self._world.clock.now_ms())
        except TransportError as error:
            prompt = trio.current_time() - began < PROMPT_S
            gathered.failed(account, str(error) or "no answer", declined=prompt)
        except MalformedError as error:
            self._blame(peer, f"malformed endorsement: {error}")
            gathered.failed(account, "a malformed answer")
        except Refused as refused:
            if refused.reason in PROVABLE:
                self._blame(peer, f"endorsement: {refused.reason}")
            gathered.failed(account, str(refused))

    def _tell(self, gathered: EndorsementRound, agreement: Agreement) -> None:
        """Note who read the same as the others and says that something else comes of it."""
        level = {gathered.height_of(Account(signed.certificate.account)) for signed in agreement.endorsements}
        for each in agreement.differing:
            if each.what == "reads":
                continue
            names = [self._world.name_of(account) for account in each.accounts]
            self._world.journal.record(self._name, "endorsement_differs", who=names, what=each.what, height=each.height)
            for account in each.accounts:
                if account == self._own:
                    continue
                self._suspects[account] = None
                if len(self._suspects) > MAX_SUSPECTS:
                    del self._suspects[next(iter(self._suspects))]
                if gathered.height_of(account) in level:
                    self._blame(PeerId.from_public_key(account), f"endorsed other {each.what} than the others")
