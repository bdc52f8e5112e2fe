"""`OrderedLedger`: one peer of an ordered ledger: commits blocks, endorses proposals, answers look-ups.

Fault model: clients and any minority of organisations may lie; what enough endorsers sign is believed. Orderers may
crash; how many of them must sign a block is the channel's `blocks` policy: with one, as Fabric's Raft has it, an orderer
that lies can fork the chain, which is detected and refused by whoever has another block of that height; with a
majority, it cannot.

Every block is final when it is committed. Cost: a block is validated once per replica, or once per process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.codec import block_id, encode
from chain.errors import InvalidBlockError, MalformedError, Refused, StoreError
from chain.genesis import Network
from chain.ledger import (
    Ask,
    Broadcast,
    Committed,
    Dropped,
    Finalised,
    HeaderStatus,
    LedgerEffect,
    Penalise,
    Save,
)
from chain.ledgers.ordered.agreement import Agreement, attest
from chain.ledgers.ordered.blocks import check_body, check_child, is_sealed, seals_of
from chain.ledgers.ordered.channel import ChannelConfig
from chain.ledgers.ordered.deliver import (
    Blocks,
    CatchUp,
    GetBlocks,
    GetState,
    GetStatus,
    State,
    Status,
    decode_request,
    decode_response,
)
from chain.ledgers.ordered.endorse import Signer, check_proposal, endorse, simulate
from chain.ledgers.ordered.intake import check_endorsed, check_envelope
from chain.ledgers.ordered.pool import EnvelopePool, PoolLimits
from chain.ledgers.ordered.proof import CommitProof, prove
from chain.ledgers.ordered.replica import Replica, Taken
from chain.ledgers.ordered.validate import commit
from chain.ledgers.ordered.values import Endorsed, Envelope, Proposal, Response
from chain.state import WorldState
from chain.store import Archive, Loaded
from chain.sync import MAX_BLOCKS, MAX_RESPONSE_BYTES
from chain.values import MAX_DETAIL, Block, BlockId, Header, Receipt, Transaction, TxId

_ROOM = MAX_RESPONSE_BYTES - 4_096


@dataclass(frozen=True, slots=True)
class OrderedConfig:
    """What one replica may choose for itself; all that must be the same everywhere is in `OrderedRules`."""

    pool: PoolLimits = field(default_factory=PoolLimits)
    kept_blocks: int = 1_024
    """Bodies of blocks kept in memory."""
    snapshot_interval: int = 256
    """Blocks between two states that are saved."""
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
        self._agreement = Agreement(lambda height: (self._history.id_at(height), self._replica.root_at(height)))
        self._pool = EnvelopePool(self._config.pool, self._rules.proposal_ttl_ms)
        self._catchup = CatchUp(self._config.status_interval_ms)
        self._statuses: dict[bytes, Status] = {}
        self._saved = 0
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
            effects += self._catchup.go_on(self.head.height)
        return effects

    def _effects(self, taken: Taken) -> list[LedgerEffect]:
        """Turn what happened to the chain into effects, and let the pool follow."""
        effects: list[LedgerEffect] = []
        for block, receipts, state in taken.committed:
            self._count(receipts)
            height = block.header.height
            due = height >= self._saved + self._config.snapshot_interval
            if due:
                self._saved = height
            found = block_id(block.header)
            effects.append(Save((), ((block, receipts),), found, height, state if due else None))
            effects += [Committed(block, receipts), Finalised(block, receipts)]
        return [*effects, *taken.forks, *taken.wrong]

    def _count(self, receipts: tuple[Receipt, ...]) -> None:
        for receipt in receipts:
            code = "VALID" if receipt.ok else receipt.reason.upper()
            self._codes[code] = self._codes.get(code, 0) + 1
            self._pool.remove(receipt.transaction)

    # --- other nodes ----------------------------------------------------------------------------------------------

    def peer_up(self, peer: bytes, now_ms: int) -> Sequence[LedgerEffect]:
        return self._catchup.peer_up(peer, now_ms)

    def peer_down(self, peer: bytes, now_ms: int) -> Sequence[LedgerEffect]:  # noqa: ARG002 - of the seam
        self._catchup.peer_down(peer)
        self._statuses.pop(peer, None)
        return self._catchup.go_on(self.head.height)

    def answer(self, peer: bytes, request: bytes) -> bytes:  # noqa: ARG002 - everybody gets the same
        message = decode_request(request)
        if isinstance(message, GetStatus):
            return encode(self._status())
        if isinstance(message, GetState):
            return encode(self._state_after(message.height))
        blocks: list[Block] = []
        room = _ROOM
        for height in range(message.start, min(message.start + MAX_BLOCKS, self.head.height + 1)):
            body = self._history.body(height)
            room -= len(encode(body[0])) if body is not None else room + 1
            if body is None or room < 0:
                break
            blocks.append(body[0])
        return encode(Blocks(tuple(blocks)))

    def _status(self) -> Status:
        root = self.state.root
        signed = None
        if self._signer is not None and not self._agreement.diverged:
            signed = attest(self._signer, self.head.height, self.head_id, root)
        return Status(
            chain=self.chain,
            height=self.head.height,
            head=self.head_id,
            certificate=self._signer.certificate if self._signer is not None else None,
            state_root=root,
            attestation=signed,
            leader=self.leader,
            orders=self._signer is not None and self._signer.certificate.account in self.channel.orderers,
        )

    def _state_after(self, height: int) -> State:
        found, root = self._history.id_at(height), self._replica.root_at(height)
        if found is None or root is None or self._signer is None or self._agreement.diverged:
            return State(height, bytes(32), bytes(32), None)  # type: ignore[arg-type]
        return State(height, found, root, attest(self._signer, height, found, root))

    def answered(self, peer: bytes, request: bytes, response: bytes | None, now_ms: int) -> Sequence[LedgerEffect]:
        asked = decode_request(request)
        if response is None:
            self._catchup.failed(peer)
            return self._catchup.go_on(self.head.height)
        try:
            answer = decode_response(asked, response)
        except MalformedError as error:
            self._catchup.failed(peer)
            return [Penalise(peer, f"malformed answer: {error}"), *self._catchup.go_on(self.head.height)]
        if isinstance(answer, Status):
            return [*self._heard(peer, answer, now_ms), *self._catchup.go_on(self.head.height)]
        if isinstance(answer, State):
            return self._compare(peer, answer, now_ms)
        self._catchup.done(peer)
        return self._take(peer, answer.blocks, now_ms)

    def _take(self, peer: bytes, blocks: Sequence[Block], now_ms: int) -> list[LedgerEffect]:
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
        if not good or self.head.height == before:
            self._catchup.failed(peer)
        return [*self._effects(taken), *self._catchup.go_on(self.head.height)]

    def _heard(self, peer: bytes, status: Status, now_ms: int) -> list[LedgerEffect]:
        """Take note of how far a peer is, who it is, and whether it has the state that we have."""
        if status.chain != self.chain:
            self._catchup.failed(peer)
            return [Penalise(peer, "it is of another network")]
        self._catchup.has(peer, status.height)
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
            return [Penalise(peer, str(refused))]
        if effects and self._agreement.to_ask(said.height):
            effects += [Ask(other, encode(GetState(said.height))) for other in self._catchup.peers if other != peer]
        return effects

    # --- time -----------------------------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> Sequence[LedgerEffect]:
        late: list[LedgerEffect] = [
            Dropped(envelope.transaction, "proposal_expired") for envelope in self._pool.expire(now_ms)
        ]
        taken = Taken()
        self._replica.take_due(now_ms, taken)
        return [*late, *self._effects(taken), *self._catchup.tick(now_ms)]

    def next_deadline_ms(self) -> int | None:
        times = (self._pool.next_expiry_ms(), self._catchup.next_deadline_ms(), self._replica.next_due_ms())
        return min((time for time in times if time is not None), default=None)

    def _restore(self, loaded: Loaded) -> None:
        """Be where the store was: take headers and snapshot over, commit what is above once more."""
        for header in loaded.headers:
            self._check_stored(header)
            self._history.append_header(header)
        if loaded.snapshot is not None:
            self._replica.state = loaded.snapshot
            self._saved = self.head.height
        for block, receipts in loaded.blocks:
            self._check_stored(block.header)
            try:
                check_body(block)
                if not is_sealed(block, seals_of(block, self.channel), self.channel):
                    raise InvalidBlockError("too few orderers signed it")
            except InvalidBlockError as error:
                raise StoreError(f"the stored block {block.header.height} is invalid: {error}") from None
            applied = commit(self._network, self.state, block)
            if applied.receipts != receipts:
                raise StoreError(f"the stored receipts of block {block.header.height} are not what comes of it")
            self._replica.append(block, applied.receipts, applied.state)
        if self.head_id != loaded.head:
            raise StoreError("the stored head is not the last of the stored blocks")

    def _check_stored(self, header: Header) -> None:
        try:
            check_child(self.head, self.head_id, header)
        except InvalidBlockError as error:
            raise StoreError(f"the stored chain is broken: {error}") from None
