"""What makes a light actor believe that an outcome is final; one way for each kind of ledger.

On proof of work an inclusion proof with enough work on top convinces, whoever shows it. On an ordered ledger a proof is
one peer's signed word: it takes as many, of one block and one receipt, as the channel's default endorsement policy
asks for. That many peers could also endorse what they like, so nothing more is trusted than the ledger itself rests on.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import trio

from actors.gateway_messages import (
    WORD_WAIT_MS,
    Answer,
    AskMembers,
    AskWords,
    Found,
    MembersAnswer,
    Query,
    Request,
    Result,
    Wait,
    WordsAnswer,
)
from actors.ledger import GatewayError, Outcome
from chain.codec import block_id, decode, encode
from chain.contract import encode_args
from chain.errors import GenesisError, InvalidProofError, MalformedError, Refused
from chain.genesis import Network
from chain.ledgers.ordered.channel import MAX_CHANNEL_BYTES, ChannelConfig, check_channel
from chain.ledgers.ordered.msp import identities
from chain.ledgers.ordered.policy import Policy, Principal
from chain.ledgers.ordered.proof import CommitProof, decode_commit_proof, verify_commit
from chain.light import decode_proof, verify_inclusion
from chain.values import Account, TxId
from net.peer import PeerId

PROOF_SLACK = 8
WORD_TIMEOUT_S = 5.0
RENEW_MS = 60_000
"""How often gateways are asked for a later configuration: under an old one, members that were since revoked count."""

AskOne = Callable[[PeerId, Request, float], Awaitable[Answer]]
"""Ask one gateway, for so many seconds. Raises GatewayError when there is no readable answer."""


class Belief(Protocol):
    """Judges what gateways say of outcomes."""

    one_denial_suffices: bool
    """Whether a single gateway is believed that a transaction was dropped and will be in no block."""

    async def outcome(self, tx: TxId, peer: PeerId, found: Found) -> Outcome:
        """What to believe of what `peer` found. Raises GatewayError when that is nothing."""


class WorkBelief:
    """Proof of work: an inclusion proof with enough work on top of it."""

    one_denial_suffices = True

    def __init__(self, network: Network) -> None:
        self._network = network
        self._depth = network.genesis.ledger.finality_depth
        # A false proof costs the work of its headers. Difficulty may fall when miners leave, but not to nothing at
        # once: asking for an eighth of what was seen last (at first, of genesis) keeps liars expensive.
        self.work_per_block = network.pow.initial_difficulty // PROOF_SLACK

    async def outcome(self, tx: TxId, peer: PeerId, found: Found) -> Outcome:  # noqa: ARG002 - work has no author
        """See `Belief`."""
        if found.stage != "final":
            return Outcome(tx, found.stage, found.receipt, found.header)
        try:
            proof = decode_proof(found.proof)
            receipt = verify_inclusion(
                proof, chain=self._network.id, depth=self._depth, minimum_work=self._depth * self.work_per_block
            )
        except (MalformedError, InvalidProofError) as error:
            raise GatewayError(f"the gateway's proof does not hold: {error}") from None
        if receipt.transaction != tx:
            raise GatewayError("the gateway proved another transaction")
        # What was proven, not what the transaction's own block claims; and by steps, so that one expensive lie does
        # not make the next ones free.
        proven = sum(header.difficulty for header in proof.above) // max(1, len(proof.above))
        self.work_per_block = max(1, self.work_per_block // 2, proven // PROOF_SLACK)
        return Outcome(tx, "final", receipt, proof.header)


class AttestedBelief:
    """An ordered ledger: the words of peers who satisfy the channel's default endorsement policy.

    The channel's configuration is the one of genesis, until gateways that satisfy the policy of the one that is believed
    name a later one; they are known by the certificates that they show, for links prove whose key the other side has.
    """

    one_denial_suffices = False

    def __init__(
        self, network: Network, ask: AskOne, gateways: Callable[[], Sequence[PeerId]], now_ms: Callable[[], int]
    ) -> None:
        self._network, self._ask, self._gateways, self._now_ms = network, ask, gateways, now_ms
        self.config: ChannelConfig = network.ordered.channel
        self._renew_ms = now_ms() + RENEW_MS

    async def outcome(self, tx: TxId, peer: PeerId, found: Found) -> Outcome:
        """See `Belief`. Asks further gateways for their word, all at once; then `peer` for what others say."""
        if found.stage != "final":
            # A block of this ledger is final, and what a gateway says of one without proof is only its own word.
            return Outcome(tx, found.stage, found.receipt, found.header)
        try:
            proof = decode_commit_proof(found.proof)
        except MalformedError as error:
            raise GatewayError(f"the gateway's proof does not hold: {error}") from None
        if self._now_ms() >= self._renew_ms:
            self._renew_ms = self._now_ms() + RENEW_MS
            await self._renew()
        proofs = [proof]
        believed = self._believed(tx, proofs)
        if believed is None:
            proofs += await self._words(tx, [other for other in self._gateways() if other != peer])
            believed = self._believed(tx, proofs)
        if believed is None:
            proofs += await self._relayed(tx, peer)
            believed = self._believed(tx, proofs)
        if believed is None and await self._renew():
            believed = self._believed(tx, proofs)
        if believed is None:
            raise GatewayError(self._doubt(tx, proofs))
        return Outcome(tx, "final", believed.receipt, believed.header)

    @property
    def _policy(self) -> Policy:
        return Policy.parse(self.config.policies.endorsement)

    def _believed(self, tx: TxId, proofs: Sequence[CommitProof]) -> CommitProof | None:
        """One of the proofs that enough members agree on; None when no outcome has enough of them."""
        groups: dict[bytes, list[CommitProof]] = {}
        for proof in proofs:
            groups.setdefault(encode((block_id(proof.header), proof.receipt)), []).append(proof)
        for group in groups.values():
            if self._policy.satisfied(list(self._members(tx, group).values())):
                return group[0]
        return None

    def _members(self, tx: TxId, proofs: Sequence[CommitProof]) -> dict[bytes, Principal]:
        """Who stands for the proofs that hold, by account."""
        members: dict[bytes, Principal] = {}
        for proof in proofs:
            try:
                member = verify_commit(proof, config=self.config, tx=tx, at_ms=self._now_ms())
            except InvalidProofError:
                continue
            members[proof.attestation.certificate.account] = member
        return members

    def _doubt(self, tx: TxId, proofs: Sequence[CommitProof]) -> str:
        wrong = ""
        for proof in proofs:
            try:
                verify_commit(proof, config=self.config, tx=tx, at_ms=self._now_ms())
            except InvalidProofError as error:
                wrong = f"; a proof does not hold: {error}"
        heard = [f"{member.organisation}.{member.role}" for member in self._members(tx, proofs).values()]
        outcomes = len({encode((block_id(proof.header), proof.receipt)) for proof in proofs})
        apart = f", who tell {outcomes} different outcomes" if outcomes > 1 else ""
        return f"not enough gateways vouch for the outcome: {', '.join(heard) or 'nobody'}{apart}, of {self._policy}{wrong}"

    async def _words(self, tx: TxId, peers: Sequence[PeerId]) -> list[CommitProof]:
        """What other gateways prove of the transaction."""
        found: dict[PeerId, CommitProof] = {}

        async def ask(peer: PeerId) -> None:
            try:
                answer = await self._ask(peer, Wait(tx, final=True, for_ms=WORD_WAIT_MS), WORD_TIMEOUT_S)
                if isinstance(answer, Found) and answer.stage == "final":
                    found[peer] = decode_commit_proof(answer.proof)
            except (GatewayError, MalformedError):
                return

        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(ask, peer)
        return [found[peer] for peer in peers if peer in found]

    async def _relayed(self, tx: TxId, peer: PeerId) -> list[CommitProof]:
        """What others prove, by way of one gateway: they need not know who asks."""
        found: list[CommitProof] = []
        with suppress(GatewayError, MalformedError):
            answer = await self._ask(peer, AskWords(tx), 2 * WORD_TIMEOUT_S)
            if isinstance(answer, WordsAnswer):
                found += [decode_commit_proof(proof) for proof in answer.proofs]
        return found

    async def _renew(self) -> bool:
        """Take a later configuration over when members who satisfy the policy of ours have it. Whether there was one."""
        said: dict[PeerId, tuple[ChannelConfig, Principal]] = {}

        async def ask(peer: PeerId) -> None:
            try:
                query = Query("channel", "config", encode_args(), final=True)
                answer = await self._ask(peer, query, WORD_TIMEOUT_S)
                members = await self._ask(peer, AskMembers(), WORD_TIMEOUT_S)
                if not isinstance(answer, Result) or not isinstance(members, MembersAnswer):
                    return
                config = decode(ChannelConfig, answer.value, limit=MAX_CHANNEL_BYTES)
                check_channel(config)
                own = next(c for c in members.certificates if c.account == peer.public_key)
                said[peer] = config, identities(self.config).principal(own, Account(peer.public_key), self._now_ms())
            except (GatewayError, MalformedError, GenesisError, Refused, StopIteration):
                return

        peers = self._gateways()
        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(ask, peer)
        by_config: dict[ChannelConfig, list[Principal]] = {}
        for peer in peers:
            if peer in said and said[peer][0].sequence > self.config.sequence:
                by_config.setdefault(said[peer][0], []).append(said[peer][1])
        for config, members in by_config.items():
            if self._policy.satisfied(members):
                self.config = config
                return True
        return False
