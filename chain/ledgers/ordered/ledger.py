"""`OrderedLedger`: one peer of an ordered ledger: commits blocks, endorses proposals, answers look-ups.

Fault model: clients and any minority of organisations may lie; what enough endorsers sign is believed. Orderers may
crash; how many of them must sign a block is the channel's `blocks` policy: with one, as Fabric's Raft has it, an orderer
that lies can fork the chain, which is detected and refused by whoever has another block of that height; with a
majority, it cannot.

Every block is final when it is committed. Cost: a block is validated once per replica, or once per process.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.codec import block_id, encode, transaction_id
from chain.errors import InvalidBlockError, MalformedError, Refused, StoreError
from chain.genesis import Network
from chain.ledger import (
    Ask,
    Broadcast,
    Committed,
    Dropped,
    Finalised,
    HeaderStatus,
    Jumped,
    LedgerEffect,
    Penalise,
    Save,
)
from chain.ledgers.ordered.agreement import Agreement
from chain.ledgers.ordered.blocks import check_body, check_child, is_sealed, seals_of
from chain.ledgers.ordered.catchup import CatchUp
from chain.ledgers.ordered.channel import ChannelConfig
from chain.ledgers.ordered.deliver import (
    Blocks,
    GetBlocks,
    GetState,
    GetStatus,
    Headers,
    Request,
    Snapshot,
    State,
    Status,
    decode_request,
    decode_response,
)
from chain.ledgers.ordered.endorse import Signer, check_proposal, endorse, simulate
from chain.ledgers.ordered.intake import check_endorsed, check_envelope
from chain.ledgers.ordered.joining import Joining, Jump
from chain.ledgers.ordered.pool import EnvelopePool, PoolLimits
from chain.ledgers.ordered.proof import CommitProof, prove
from chain.ledgers.ordered.replica import Replica, Taken
from chain.ledgers.ordered.serving import Server
from chain.ledgers.ordered.validate import commit
from chain.ledgers.ordered.values import Endorsed, Envelope, Proposal, Response, made_ms
from chain.state import WorldState
from chain.store import Archive, Loaded
from chain.values import MAX_DETAIL, Block, BlockId, Header, Receipt, Transaction, TxId

_EXPIRED = 1_024


@dataclass(frozen=True, slots=True)
class OrderedConfig:
    """What one replica may choose for itself; all that must be the same everywhere is in `OrderedRules`."""

    pool: PoolLimits = field(default_factory=PoolLimits)
    kept_blocks: int = 1_024
    """Bodies of blocks kept in memory."""
    snapshot_interval: int = 256
    """Blocks between two states that are saved and kept for others. Those of the channel's members should have the same,
    for a state is believed when enough of them remember it: the latest 256 are remembered anyway."""
    snapshot_gap: int = 512
    """Blocks that a replica lacks at least to take a state over, as long as others have those blocks."""
    status_interval_ms: int = 2_000
    """How often one peer, in turn, is asked how far it is and what state it has."""


@dataclass(frozen=True, slots=True)
class OrderedStatistics:
    """What one replica has seen and done, for people."""

    height: int
    head: BlockId
    final_height: int
    pending: int
    endorsed: int
    """Proposals simulated and signed here, since the start."""
    codes: dict[str, int]
    """Transactions committed here since the start, by validation code (upper case)."""


class OrderedLedger:
    """A `chain.ledger.LedgerCore`, and what endorsers, orderers, gateways and the web ask of it besides."""

    def __init__(
        self,
        network: Network,
        *,
        signer: Signer | None = None,
        config: OrderedConfig | None = None,
        loaded: Loaded | None = None,
        archive: Archive | None = None,
    ) -> None:
        """Start at genesis, or where the store that gave `loaded` was.

        Without a `signer` it commits, but neither endorses nor attests. Raises StoreError when `loaded` does not belong
        to `network`.
        """
        self._network = network
        self._rules = network.ordered
        self._signer = signer
        self._config = config or OrderedConfig()
        self._replica = Replica(network, archive, self._config.kept_blocks)
        self._history = self._replica.history
        self._agreement = Agreement(lambda height: (self._history.id_at(height), self._server.root_at(height)))
        self._server = Server(self._replica, signer, lambda: not self._agreement.diverged)
        self._pool = EnvelopePool(self._config.pool, self._rules.proposal_ttl_ms)
        self._catchup = CatchUp(self._config.status_interval_ms)
        self._joining = Joining(self._replica, self._catchup, self._config.snapshot_gap)
        self._statuses: dict[bytes, Status] = {}
        self._expired: deque[Transaction] = deque(maxlen=_EXPIRED)
        """That were dropped from the pool by our clock; lately."""
        self._endorsed = 0
        self._codes: dict[str, int] = {}
        self.leader = b""
        """Account of the orderer that leads; told by the ordering core beside this one, when there is one."""
        if loaded is not None:
            self._restore(loaded)

    # --- what it is -----------------------------------------------------------------------------------------------

    @property
    def chain(self) -> BlockId:
        """Id of the genesis block: what transactions are signed for."""
        return self._network.id

    @property
    def network(self) -> Network:
        return self._network

    @property
    def head(self) -> Header:
        return self._history.head

    @property
    def head_id(self) -> BlockId:
        return self._history.head_id

    @property
    def final(self) -> Header:
        return self._history.head

    @property
    def state(self) -> WorldState:
        return self._replica.state

    @property
    def final_state(self) -> WorldState:
        return self._replica.state

    @property
    def channel(self) -> ChannelConfig:
        """The channel's configuration after the head."""
        return self._replica.channel

    @property
    def pool(self) -> EnvelopePool:
        """What waits to be ordered."""
        return self._pool

    @property
    def signer(self) -> Signer | None:
        return self._signer

    @property
    def diverged(self) -> str:
        """Why this replica must not be believed any more; empty while it may."""
        return self._agreement.diverged

    def statistics(self) -> OrderedStatistics:
        return OrderedStatistics(
            self.head.height, self.head_id, self.head.height, len(self._pool), self._endorsed, dict(self._codes)
        )

    def members(self) -> dict[bytes, Status]:
        """Linked ledger nodes by peer, sorted, and what they last said of themselves."""
        return {peer: self._statuses[peer] for peer in self._catchup.peers if peer in self._statuses}

    # --- look-ups -------------------------------------------------------------------------------------------------

    def block(self, ref: BlockId | int) -> Block | None:
        """Return a block by id or height; None when it is not there or its body is gone."""
        body = self._history.body(ref)
        return body[0] if body is not None else None

    def header(self, ref: BlockId | int) -> Header | None:
        """Return a header by id or height, genesis included."""
        return self._history.header(ref)

    def receipts(self, ref: BlockId | int) -> tuple[Receipt, ...] | None:
        """Return the receipts of a block, in block order."""
        body = self._history.body(ref)
        return body[1] if body is not None else None

    def receipt(self, tx_id: TxId) -> tuple[Block, Receipt, int] | None:
        """Return where a transaction is: block, receipt, index in the block. A valid one, when there are two of an id."""
        return self._history.receipt(tx_id)

    def proof(self, tx_id: TxId) -> CommitProof | None:
        """Return this peer's signed word on what became of a transaction; None until it is committed, or without signer."""
        found = self._history.receipt(tx_id)
        body = self._history.body(found[0].header.height) if found is not None else None
        if found is None or body is None or self._signer is None or self._agreement.diverged:
            return None
        return prove(body[0], body[1], found[2], self._signer)

    def is_final(self, block_id: BlockId) -> bool:
        return self._history.header(block_id) is not None

    def pending(self, limit: int = 100) -> tuple[Transaction, ...]:
        """Return the first `limit` transactions that wait, in order of arrival."""
        return tuple(waiting.envelope.transaction for waiting, _ in zip(self._pool, range(limit), strict=False))

    def pending_transaction(self, tx_id: TxId) -> Transaction | None:
        """Return a transaction that waits."""
        envelope = self._pool.get(tx_id)
        return envelope.transaction if envelope is not None else None

    def query(self, contract: str, method: str, args: bytes, *, final: bool = False) -> bytes:  # noqa: ARG002 - one state
        """Answer a contract's query (Fabric's *evaluate*). Raises Refused, as `endorse.simulate` does."""
        try:
            return self._network.registry.query(self.state, contract, method, args, time_ms=self.head.time_ms)
        except Refused:
            raise
        except Exception as error:
            raise Refused("contract_failed", f"{type(error).__name__}: {error}"[:MAX_DETAIL]) from error

    # --- endorsing ------------------------------------------------------------------------------------------------

    def endorse(self, proposal: Proposal, now_ms: int) -> Endorsed:
        """Simulate a proposal on the committed state and sign what it would do.

        Raises Refused: ``no_endorser``, ``replica_diverged``, what `check_proposal` says, or what its contract says.
        """
        if self._signer is None:
            raise Refused("no_endorser", "this node has no certificate")
        if self._agreement.diverged:
            raise Refused("replica_diverged", self._agreement.diverged)
        check_proposal(self._rules, self.chain, self.state, proposal, now_ms)
        response = self.simulate(proposal)
        self._endorsed += 1
        return Endorsed(response, endorse(self._signer, response), self.head.height)

    def simulate(self, proposal: Proposal) -> Response:
        """What a proposal would do now, unsigned and unchecked. Raises Refused for what its contract refuses."""
        return simulate(
            self._network.registry,
            self.state,
            proposal,
            gas_limit=self._rules.max_transaction_gas,
            final_ids=self._history.id_at,
        )

    # --- transactions ---------------------------------------------------------------------------------------------

    def check_envelope(self, envelope: Envelope, now_ms: int) -> None:
        """What a relay or an orderer can see wrong with an envelope. Raises Refused, as `intake.check_envelope` says."""
        check_envelope(self._rules, self.chain, self.state, envelope, now_ms)

    def submit(self, envelope: Envelope, now_ms: int) -> Sequence[LedgerEffect]:
        """Take an envelope from an own client. Raises Refused: as `receive_transaction`, ``endorsement_policy_failure``."""
        self.check_envelope(envelope, now_ms)
        check_endorsed(self.state, envelope, now_ms)
        self._pool.add(envelope)
        return [Broadcast("tx", encode(envelope))]

    def receive_transaction(self, envelope: Envelope, now_ms: int) -> Sequence[LedgerEffect]:
        """Take a gossiped envelope. Raises Refused: as `check_envelope`, ``already_pending``, ``pool_full``."""
        self.check_envelope(envelope, now_ms)
        self._pool.add(envelope)
        return []

    # --- blocks ---------------------------------------------------------------------------------------------------

    def check_block(self, block: Block, now_ms: int) -> HeaderStatus:
        """Judge a block for gossip without changing anything. Raises InvalidBlockError naming the broken rule."""
        return self._replica.check_block(block, now_ms)

    def receive_block(self, peer: bytes, block: Block, now_ms: int) -> Sequence[LedgerEffect]:
        """Take a block, sealed by orderers. Raises InvalidBlockError; nothing has changed then."""
        taken = Taken()
        status = self._replica.take(peer, block, now_ms, taken)
        self._catchup.has(peer, block.header.height)
        effects = self._effects(taken)
        for stray in taken.strays:
            self._catchup.failed(stray)
            # It can show us the block that it has beside our head, and so who signed two.
            effects.append(Ask(stray, encode(GetBlocks(max(1, self.head.height)))))
        if status is HeaderStatus.UNKNOWN_PARENT:
            effects += self._go_on(now_ms)
        return effects

    def _effects(self, taken: Taken) -> list[LedgerEffect]:
        """Turn what happened to the chain into effects, and let the pool follow."""
        effects: list[LedgerEffect] = []
        for block, receipts, state in taken.committed:
            self._count(receipts)
            height = block.header.height
            due = self._keep(height, state)
            found = block_id(block.header)
            effects.append(Save((), ((block, receipts),), found, height, state if due else None))
            effects += [Committed(block, receipts), Finalised(block, receipts)]
        return [*effects, *taken.forks, *taken.wrong]

    def _keep(self, height: int, state: WorldState) -> bool:
        """Whether it is time to keep a state, the same for all, so that enough can attest the one that some serve."""
        due = height % self._config.snapshot_interval == 0
        if due:
            self._server.keep(height, state)
        return due

    def _count(self, receipts: tuple[Receipt, ...]) -> None:
        for receipt in receipts:
            code = "VALID" if receipt.ok else receipt.reason.upper()
            self._codes[code] = self._codes.get(code, 0) + 1
            self._pool.remove(receipt.transaction)

    # --- other nodes ----------------------------------------------------------------------------------------------

    def peer_up(self, peer: bytes, now_ms: int) -> Sequence[LedgerEffect]:
        return self._catchup.peer_up(peer, now_ms)

    def peer_down(self, peer: bytes, now_ms: int) -> Sequence[LedgerEffect]:
        self._catchup.peer_down(peer)
        self._joining.peer_down(peer)
        self._statuses.pop(peer, None)
        return self._go_on(now_ms)

    def answer(self, peer: bytes, request: bytes) -> bytes:  # noqa: ARG002 - everybody gets the same
        return encode(self._server.answer(decode_request(request), self.leader))

    def answered(self, peer: bytes, request: bytes, response: bytes | None, now_ms: int) -> Sequence[LedgerEffect]:
        asked = decode_request(request)
        if response is None:
            self._failed(peer, asked)
            return self._go_on(now_ms)
        try:
            answer = decode_response(asked, response)
        except MalformedError as error:
            self._failed(peer, asked)
            return [*self._joining.lied(peer, f"malformed answer: {error}"), *self._go_on(now_ms)]
        effects: list[LedgerEffect] = []
        match answer:
            case Status():
                effects += self._heard(peer, answer, now_ms)
            case State():
                effects += self._compare(peer, answer, now_ms)
                self._joining.heard(peer, answer, now_ms)
            case Blocks(blocks):
                effects += self._take(peer, asked, blocks, now_ms)
            case Headers() | Snapshot():
                effects += self._joining.took(peer, asked, answer)
        return [*effects, *self._go_on(now_ms)]

    def _failed(self, peer: bytes, asked: Request) -> None:
        if isinstance(asked, GetStatus | GetBlocks):
            self._catchup.failed(peer)
        self._joining.failed(peer, asked)

    def _go_on(self, now_ms: int) -> list[LedgerEffect]:
        """Ask for what is missing: a state, when it is far ahead and attested, else blocks."""
        effects: list[LedgerEffect] = [*self._joining.proceed(now_ms)]
        jump = self._joining.take_jump()
        if jump is not None:
            effects += self._jump(jump, now_ms)
        if not self._joining.active:
            effects += self._catchup.go_on(self.head.height)
        return effects

    def _jump(self, jump: Jump, now_ms: int) -> list[LedgerEffect]:
        """Go on from an attested state far ahead, if our head is on the way there."""
        parent, parent_id = self.head, self.head_id
        try:
            for header in jump.headers:
                check_child(parent, parent_id, header)
                parent, parent_id = header, block_id(header)
        except InvalidBlockError as error:
            return self._agreement.outvoted(parent.height, f"members attest a chain that is not ours: {error}")
        # What our clock said had expired may be in a block that never was here, as may be what waits.
        ttl_ms, seen_ms = self._rules.proposal_ttl_ms, self.head.time_ms
        gone = [
            one for one in self._expired if made_ms(one) + ttl_ms >= seen_ms and not self.receipt(transaction_id(one))
        ]
        self._expired.clear()
        self._replica.jump(jump.headers, jump.state)
        self._server.keep(parent.height, jump.state)
        effects: list[LedgerEffect] = [Save(jump.headers, (), parent_id, parent.height, jump.state), Jumped(parent)]
        gone += [envelope.transaction for envelope in self._pool.forget(jump.state, parent.time_ms)]
        effects += [Dropped(transaction, "outcome_unknown") for transaction in gone]
        taken = Taken()
        self._replica.take_due(now_ms, taken)
        return [*effects, *self._effects(taken)]

    def _take(self, peer: bytes, asked: Request, blocks: Sequence[Block], now_ms: int) -> list[LedgerEffect]:
        """Take blocks that were asked for. Who has none of them is not asked again until it says how far it is."""
        taken = Taken()
        before = self.head.height
        good = True
        for block in blocks:
            try:
                self._replica.take(peer, block, now_ms, taken)
            except InvalidBlockError as error:
                good = False
                taken.wrong.append(Penalise(peer, str(error)))
                break
        if not blocks and asked == GetBlocks(before + 1):
            self._catchup.lacks(peer, before + 1)
        elif not good or self.head.height == before:
            self._catchup.failed(peer)
        else:
            self._catchup.done(peer)
        return self._effects(taken)

    def _heard(self, peer: bytes, status: Status, now_ms: int) -> list[LedgerEffect]:
        """Take note of how far a peer is, who it is, and whether it has the state that we have."""
        if status.chain != self.chain:
            self._catchup.failed(peer)
            return [Penalise(peer, "it is of another network")]
        self._catchup.says(peer, status.height, status.oldest)
        self._joining.offered(peer, status.snapshot)
        if peer in self._catchup.peers:
            self._statuses[peer] = status
        return self._compare(peer, status, now_ms)

    def _compare(self, peer: bytes, said: Status | State, now_ms: int) -> list[LedgerEffect]:
        """Compare a state that a peer attests with ours; ask all about that block when it is another."""
        if said.attestation is None:
            return []
        try:
            effects = self._agreement.hear(
                self.channel, said.height, BlockId(said.head), said.state_root, said.attestation, now_ms
            )
        except Refused as refused:
            # Of a later state, it may be a word of an organisation that we do not know of yet.
            return [Penalise(peer, str(refused))] if said.height <= self.head.height else []
        if effects and self._agreement.to_ask(said.height):
            effects += [Ask(other, encode(GetState(said.height))) for other in self._catchup.peers if other != peer]
        return effects

    # --- time -----------------------------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> Sequence[LedgerEffect]:
        expired = [envelope.transaction for envelope in self._pool.expire(now_ms)]
        self._expired.extend(expired)
        late: list[LedgerEffect] = [Dropped(transaction, "proposal_expired") for transaction in expired]
        taken = Taken()
        self._replica.take_due(now_ms, taken)
        return [*late, *self._effects(taken), *self._catchup.tick(now_ms), *self._go_on(now_ms)]

    def next_deadline_ms(self) -> int | None:
        parts = (self._catchup.next_deadline_ms(), self._joining.next_deadline_ms(), self._replica.next_due_ms())
        times = (self._pool.next_expiry_ms(), *parts)
        return min((time for time in times if time is not None), default=None)

    def _restore(self, loaded: Loaded) -> None:
        """Be where the store was: take headers and snapshot over, commit what is above once more."""
        for header in loaded.headers:
            self._check_stored(header)
            self._history.append_header(header)
        if loaded.snapshot is not None:
            self._replica.state = loaded.snapshot
            self._history.seek_oldest()
            self._server.keep(self.head.height, loaded.snapshot)
        for block, receipts in loaded.blocks:
            self._check_stored(block.header)
            try:
                check_body(block, self._rules)
                if not is_sealed(block, seals_of(block, self.channel), self.channel):
                    raise InvalidBlockError("too few orderers signed it")
            except InvalidBlockError as error:
                raise StoreError(f"the stored block {block.header.height} is invalid: {error}") from None
            applied = commit(self._network, self.state, block)
            if applied.receipts != receipts:
                raise StoreError(f"the stored receipts of block {block.header.height} are not what comes of it")
            self._replica.append(block, applied.receipts, applied.state)
            self._keep(block.header.height, applied.state)
        if self.head_id != loaded.head:
            raise StoreError("the stored head is not the last of the stored blocks")

    def _check_stored(self, header: Header) -> None:
        try:
            check_child(self.head, self.head_id, header)
        except InvalidBlockError as error:
            raise StoreError(f"the stored chain is broken: {error}") from None
