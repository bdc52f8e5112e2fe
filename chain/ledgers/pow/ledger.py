"""`PowLedger`: one replica of a proof-of-work ledger, miner included.

Fault model: any number of malicious peers, and less than half of the hash power with them; messages between honest
miners arrive well within a block interval most of the time. Under it a block `finality_depth` deep stays, and
`Finalised` says so. What cannot be helped: see `chain.ledgers.pow.tree` on partitions longer than that.

Cost: a block is executed once per replica, or once per process with `chain.transition`'s memory. Headers of the whole
chain stay in memory (about 1 kB a block), bodies and states only near the head; older bodies come from the archive.
"""

from collections.abc import Iterable, Sequence

from chain.codec import block_id, encode, transaction_id
from chain.contracts.accounts import nonce_of
from chain.errors import InvalidBlockError, Refused, StoreError
from chain.genesis import Network
from chain.keys import check_transaction
from chain.ledger import (
    Broadcast,
    Committed,
    Dropped,
    Finalised,
    HeaderStatus,
    Jumped,
    LedgerEffect,
    Penalise,
    Reorged,
    Save,
)
from chain.ledgers.pow.catchup import CatchUp, Jump
from chain.ledgers.pow.config import PowConfig, Statistics
from chain.ledgers.pow.history import History
from chain.ledgers.pow.mempool import Left, Mempool
from chain.ledgers.pow.miner import Miner
from chain.ledgers.pow.replica import Imported, Replica
from chain.ledgers.pow.serving import Server
from chain.ledgers.pow.tree import Change, Node
from chain.light import InclusionProof
from chain.state import WorldState
from chain.store import Archive, Loaded
from chain.sync import decode_request, encode_message
from chain.transition import execute
from chain.values import Account, Block, BlockId, Header, Receipt, Transaction, TxId

_MAX_REHEARSED = 1_024


class PowLedger:
    """A `chain.ledger.LedgerCore`, and what miners, gateways and the web ask of it besides."""

    def __init__(
        self,
        network: Network,
        *,
        producer: Account | None = None,
        config: PowConfig | None = None,
        loaded: Loaded | None = None,
        archive: Archive | None = None,
    ) -> None:
        """Start at genesis, or where the store that gave `loaded` was.

        `producer` receives the rewards of blocks mined here; without one `mine` may not be called. `archive` is asked
        for blocks that are no longer in memory. Raises StoreError when `loaded` does not belong to `network`.
        """
        self._config = config or PowConfig()
        self._replica = Replica(network)
        self._tree = self._replica.tree
        self._history = History(self._tree, archive, self._config.kept_blocks)
        self._mempool = Mempool(self._config.mempool)
        self._miner = (
            Miner(self._replica, self._mempool, producer, self._config.template_refresh_ms)
            if producer is not None
            else None
        )
        self._rehearsed: dict[Account, tuple[int, WorldState]] = {}
        self._server = Server(self._tree, self._history, self._mempool)
        self._catchup = CatchUp(self._replica, self._config.snapshot_gap)
        self._reorganisations = 0
        self._deepest = 0
        self._stale = 0
        if loaded is not None:
            self._restore(loaded)

    # --- what it is -----------------------------------------------------------------------------------------------

    @property
    def chain(self) -> BlockId:
        """Id of the genesis block: what transactions are signed for."""
        return self._replica.network.id

    @property
    def network(self) -> Network:
        return self._replica.network

    @property
    def head(self) -> Header:
        return self._tree.head.header

    @property
    def head_id(self) -> BlockId:
        return self._tree.head.id

    @property
    def final(self) -> Header:
        return self._tree.final.header

    @property
    def state(self) -> WorldState:
        return _state_of(self._tree.head)

    @property
    def final_state(self) -> WorldState:
        return _state_of(self._tree.final)

    def statistics(self) -> Statistics:
        head = self._tree.head
        return Statistics(
            height=head.height,
            head=head.id,
            final_height=self._tree.final.height,
            difficulty=head.child_difficulty(self._replica.rules),
            work=head.work,
            live_blocks=self._tree.live_count,
            pending=len(self._mempool),
            mined=self._miner.mined if self._miner is not None else 0,
            attempts=self._miner.attempts if self._miner is not None else 0,
            reorganisations=self._reorganisations,
            deepest_reorganisation=self._deepest,
            stale=self._stale,
        )

    # --- look-ups -------------------------------------------------------------------------------------------------

    def block(self, ref: BlockId | int) -> Block | None:
        """Return a block of the best chain by id or height; None when it is not there or its body is gone."""
        return self._history.block(ref)

    def header(self, ref: BlockId | int) -> Header | None:
        """Return a header of the best chain by id or height, genesis included."""
        return self._history.header(ref)

    def receipts(self, ref: BlockId | int) -> tuple[Receipt, ...] | None:
        """Return the receipts of a block of the best chain, in block order."""
        return self._history.receipts(ref)

    def receipt(self, tx_id: TxId) -> tuple[Block, Receipt, int] | None:
        """Return where the best chain has a transaction: block, receipt, index in the block."""
        return self._history.receipt(tx_id)

    def proof(self, tx_id: TxId) -> InclusionProof | None:
        """Return the proof that a *final* block holds a transaction and its receipt; None until it is final."""
        return self._history.proof(tx_id, self._replica.rules.finality_depth)

    def is_final(self, block_id: BlockId) -> bool:
        node = self._tree.get(block_id)
        return node is not None and node.height <= self._tree.final.height and self._tree.on_best_chain(node)

    def pending(self, limit: int = 100) -> tuple[Transaction, ...]:
        """Return the first `limit` transactions that wait, in order of arrival."""
        return self._mempool.first(limit)

    def pending_transaction(self, tx_id: TxId) -> Transaction | None:
        """Return a transaction that waits."""
        return self._mempool.get(tx_id)

    def next_nonce(self, account: Account) -> int:
        """Return the nonce that the account's next transaction must have, those that wait counted."""
        nonce = nonce_of(self.state, account)
        return nonce + len(self._mempool.pending(account, nonce))

    def query(self, contract: str, method: str, args: bytes, *, final: bool = False) -> bytes:
        """Answer a contract's query after the head, or after the last final block. Raises Refused."""
        node = self._tree.final if final else self._tree.head
        registry = self._replica.network.registry
        return registry.query(_state_of(node), contract, method, args, time_ms=node.header.time_ms)

    # --- transactions ---------------------------------------------------------------------------------------------

    def rehearse(self, transaction: Transaction, now_ms: int) -> Receipt:
        """Execute a transaction after its sender's waiting ones, as the next block might; change nothing.

        Raises Refused: wrong_chain, bad_signature, nonce_too_low, nonce_gap. A contract's refusal is in the receipt.
        """
        check_transaction(transaction, self.chain)
        return self._rehearse(transaction, now_ms)[0]

    def submit(self, transaction: Transaction, now_ms: int) -> Sequence[LedgerEffect]:
        """Take a transaction from an own client, rehearsed on the head's state.

        Raises Refused: already_pending, nonce_too_low, nonce_gap, nonce_taken, mempool_full, wrong_chain,
        bad_signature, or what its contract says.
        """
        self._mempool.check(transaction, nonce_of(self.state, transaction.sender), now_ms)
        check_transaction(transaction, self.chain)
        receipt, state = self._rehearse(transaction, now_ms)
        if not receipt.ok:
            raise Refused(receipt.reason, receipt.detail)
        left = self._mempool.add(transaction, nonce_of(self.state, transaction.sender), now_ms)
        if len(self._rehearsed) >= _MAX_REHEARSED:
            self._rehearsed.clear()
        self._rehearsed[transaction.sender] = (transaction.nonce + 1, state)
        return [Broadcast("tx", encode(transaction)), *self._dropped(left)]

    def receive_transaction(self, transaction: Transaction, now_ms: int) -> Sequence[LedgerEffect]:
        """Take a gossiped transaction without rehearsing it: whoever submitted it did, and a block tells for good.

        Raises Refused: wrong_chain, already_pending, nonce_too_low, nonce_gap, nonce_taken, mempool_full, bad_signature.
        """
        self._mempool.check(transaction, nonce_of(self.state, transaction.sender), now_ms)
        check_transaction(transaction, self.chain)
        return self._dropped(self._mempool.add(transaction, nonce_of(self.state, transaction.sender), now_ms))

    def _dropped(self, left: list[Left]) -> list[LedgerEffect]:
        for transaction, _ in left:
            self._rehearsed.pop(transaction.sender, None)
        return [Dropped(transaction, reason) for transaction, reason in left]

    def _rehearse(self, transaction: Transaction, now_ms: int) -> tuple[Receipt, WorldState]:
        sender = transaction.sender
        nonce, state = self._rehearsed.get(sender) or (nonce_of(self.state, sender), self.state)
        if transaction.nonce < nonce:  # in place of one that waits
            nonce, state = nonce_of(self.state, sender), self.state
        for waiting in self._mempool.pending(sender, nonce):
            if nonce == transaction.nonce:
                break
            state, _ = self._execute(state, waiting, now_ms)
            nonce += 1
        if transaction.nonce < nonce:
            raise Refused("nonce_too_low", f"{transaction.nonce}, the next one is {nonce}")
        if transaction.nonce > nonce:
            raise Refused("nonce_gap", f"{transaction.nonce}, the next one is {nonce}")
        state, receipt = self._execute(state, transaction, now_ms)
        return receipt, state

    def _execute(self, state: WorldState, transaction: Transaction, now_ms: int) -> tuple[WorldState, Receipt]:
        head = self._tree.head
        return execute(
            self._replica.network.registry,
            state,
            transaction,
            height=head.height + 1,
            index=0,
            time_ms=max(now_ms, head.median_time_past(self._replica.rules) + 1),
            gas_limit=self._replica.rules.max_transaction_gas,
            final_ids=lambda height: self._replica.final_id(head, height),
        )

    # --- blocks ---------------------------------------------------------------------------------------------------

    def check_header(self, header: Header, now_ms: int) -> HeaderStatus:
        """Judge a header without changing anything. Raises InvalidBlockError naming the broken rule."""
        return self._replica.check_header(header, now_ms)

    def check_block(self, block: Block, now_ms: int) -> HeaderStatus:
        return self._replica.check_block(block, now_ms)

    def receive_block(self, peer: bytes, block: Block, now_ms: int) -> Sequence[LedgerEffect]:
        imported = Imported()
        status = self._replica.take(peer, block, now_ms, imported)
        if status is HeaderStatus.STALE:
            self._stale += 1
        effects = self._effects(imported, now_ms)
        if status is HeaderStatus.UNKNOWN_PARENT:
            effects += self._catchup.behind(peer, now_ms)
        return effects

    def mine(self, attempts: int, now_ms: int) -> Sequence[LedgerEffect]:
        """Try `attempts` nonces for the next block.

        Does nothing while the miner's quota is used up. Raises ValueError without a `producer`.
        """
        if self._miner is None:
            raise ValueError("a ledger without a producer cannot mine")
        effects: list[LedgerEffect] = []
        while attempts > 0:
            tried, found = self._miner.search(attempts, now_ms)
            if found is None:
                break
            attempts -= tried
            imported = Imported()
            self._replica.add_own(found.block, found.applied, imported)
            save, *others = self._effects(imported, now_ms)
            effects += [save, Broadcast("blocks", encode(found.block)), *others]
        return effects

    def _effects(self, imported: Imported, now_ms: int) -> list[LedgerEffect]:
        """Turn what happened to the tree into effects, and let mempool and history follow."""
        after: list[LedgerEffect] = []
        for change in imported.changes:
            after += self._follow(change, now_ms)
        after += [Penalise(peer, reason, knew=False) for peer, reason in imported.wrong]
        if not imported.nodes:
            return after
        return [self._save(imported.nodes), *after]

    def _save(self, nodes: list[Node], headers: tuple[Header, ...] = ()) -> Save:
        final = self._tree.final
        due = bool(headers) or final.height >= self._server.last_snapshot.height + self._config.snapshot_interval
        if due:
            self._server.keep(final)
        return Save(
            headers=headers,
            blocks=tuple((node.block, node.receipts or ()) for node in nodes if node.block is not None),
            head=self._tree.head.id,
            final_height=final.height,
            snapshot=final.state if due else None,
        )

    def _follow(self, change: Change, now_ms: int) -> list[LedgerEffect]:
        effects: list[LedgerEffect] = []
        if change.left:
            self._reorganisations += 1
            self._deepest = max(self._deepest, len(change.left))
            effects.append(Reorged(tuple(_body_of(node) for node in change.left)))
        self._rehearsed.clear()
        self._settle(change)
        taken = set()
        for node in change.joined:
            block = _body_of(node)
            effects.append(Committed(block, node.receipts or ()))
            for transaction in block.transactions:
                taken.add(transaction_id(transaction))
                void = self._mempool.committed(transaction)
                if void is not None:
                    effects.append(Dropped(void, "nonce_too_low"))
        effects += self._put_back(change.left, taken, now_ms, "nonce_too_low")
        effects += [Finalised(_body_of(node), node.receipts or ()) for node in change.final]
        self._history.finalise(change.final)
        return effects

    def _settle(self, change: Change) -> None:
        """Follow the best chain, and let go of what final blocks no longer need."""
        self._history.follow(change)
        for node in change.final:
            if node.parent is not None and not self._server.keeps(node.parent):
                node.parent.state = None

    def _put_back(self, left: Sequence[Node], taken: set[TxId], now_ms: int, if_used: str) -> list[LedgerEffect]:
        """Let transactions of blocks that left the best chain wait again, but for those `taken` by others.

        One whose nonce is used by now is dropped for the reason `if_used`.
        """
        effects: list[LedgerEffect] = []
        waiting = []
        for node in reversed(left):
            for transaction in _body_of(node).transactions:
                if transaction_id(transaction) in taken:
                    continue
                if transaction.nonce < nonce_of(self.state, transaction.sender):
                    effects.append(Dropped(transaction, if_used))
                else:
                    waiting.append(transaction)
        return effects + self._dropped(self._mempool.put_back(waiting, now_ms))

    # --- other nodes ----------------------------------------------------------------------------------------------

    def peer_up(self, peer: bytes, now_ms: int) -> Sequence[LedgerEffect]:
        return self._catchup.peer_up(peer, now_ms)

    def peer_down(self, peer: bytes, now_ms: int) -> Sequence[LedgerEffect]:
        return [*self._catchup.peer_down(peer, now_ms), *self._catch_up(now_ms)]

    def is_level(self, peers: Iterable[bytes]) -> bool:
        """Whether one of these peers said how far it is, and none that did is ahead of us."""
        return self._catchup.is_level(peers)

    def answer(self, peer: bytes, request: bytes) -> bytes:  # noqa: ARG002 - everybody gets the same
        return encode_message(self._server.answer(decode_request(request)))

    def answered(self, peer: bytes, request: bytes, response: bytes | None, now_ms: int) -> Sequence[LedgerEffect]:
        effects: list[LedgerEffect] = [*self._catchup.answered(peer, request, response, now_ms)]
        for transaction in self._catchup.take_transactions():
            try:
                self.receive_transaction(transaction, now_ms)
            except Refused as refusal:
                if refusal.reason in ("wrong_chain", "bad_signature"):
                    effects.append(Penalise(peer, refusal.reason))
                    break
        return effects + self._catch_up(now_ms)

    def _catch_up(self, now_ms: int) -> list[LedgerEffect]:
        """Take in what the download handed over, and let it go on."""
        effects: list[LedgerEffect] = []
        while True:
            jump = self._catchup.take_jump()
            if jump is not None:
                effects += self._jump(jump, now_ms)
            blocks = self._catchup.take_blocks()
            if not blocks:
                return effects
            effects += self._import(blocks, now_ms)
            effects += self._catchup.proceed(now_ms)

    def _import(self, blocks: list[Block], now_ms: int) -> list[LedgerEffect]:
        imported = Imported()
        verdict: list[LedgerEffect] = []
        for block in blocks:
            try:
                status = self._replica.take(self._catchup.source or b"", block, now_ms, imported)
            except InvalidBlockError as error:
                verdict += self._catchup.refuse(str(error))
                break
            if status in (HeaderStatus.STALE, HeaderStatus.UNKNOWN_PARENT):
                self._catchup.give_up()
                break
        return self._effects(imported, now_ms) + verdict

    def _jump(self, jump: Jump, now_ms: int) -> list[LedgerEffect]:
        """Go on from a state far ahead."""
        old = self._tree.final
        left = self._replica.jump(jump.nodes, jump.state)
        if not self._server.keeps(old):
            old.state = None
        self._rehearsed.clear()
        self._history.follow(Change(left, tuple(jump.nodes), ()))
        self._history.finalise(jump.nodes)
        effects: list[LedgerEffect] = [self._save([], tuple(node.header for node in jump.nodes))]
        if left:
            effects.append(Reorged(tuple(_body_of(node) for node in left)))
        effects.append(Jumped(jump.nodes[-1].header))
        # Who used these nonces is in blocks that were never here: it may have been these very transactions.
        used = self._mempool.drop_used(lambda sender: nonce_of(self.state, sender))
        effects += [Dropped(transaction, "outcome_unknown") for transaction in used]
        there = {transaction_id(t) for node in jump.nodes if node.block is not None for t in node.block.transactions}
        effects += self._put_back(left, there, now_ms, "outcome_unknown")
        return effects

    def _restore(self, loaded: Loaded) -> None:
        """Be where the store was: take headers and snapshot over, execute what is above once more."""
        tree = self._tree
        chain: list[Node] = []
        for header in loaded.headers:
            chain.append(Node(header, block_id(header), chain[-1] if chain else tree.final))
        if loaded.snapshot is not None:
            if not chain or chain[0].header.parent != self.chain:
                raise StoreError("the stored headers do not lead to this network's genesis")
            if loaded.snapshot.root != chain[-1].header.state_root:
                raise StoreError(f"the stored state is not the one after block {chain[-1].height}")
            self._replica.jump(chain, loaded.snapshot)
            self._server.keep(chain[-1])
        imported = Imported()
        try:
            for block, _ in loaded.blocks:
                self._replica.restore(block, imported)
        except InvalidBlockError as error:
            raise StoreError(f"a stored block is invalid: {error}") from error
        head = tree.get(loaded.head)
        if head is None:
            raise StoreError("the stored head is not among the stored blocks")
        if head is not tree.head:
            imported.changes.append(tree.switch(head))
        for change in imported.changes:
            self._settle(change)
            self._history.finalise(change.final)

    # --- time -----------------------------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> Sequence[LedgerEffect]:
        late: list[LedgerEffect] = [Dropped(transaction, "expired") for transaction in self._mempool.expire(now_ms)]
        if late:
            self._rehearsed.clear()
        imported = Imported()
        self._replica.take_due(now_ms, imported)
        asked = self._catchup.tick(now_ms)
        return [*late, *self._effects(imported, now_ms), *asked, *self._catch_up(now_ms)]

    def next_deadline_ms(self) -> int | None:
        deadlines = (self._mempool.next_expiry_ms(), self._replica.next_due_ms(), self._catchup.next_deadline_ms())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)


def _state_of(node: Node) -> WorldState:
    if node.state is None:
        raise AssertionError("head and final block have a state")
    return node.state


def _body_of(node: Node) -> Block:
    if node.block is None:
        raise AssertionError("blocks above the final one have a body")
    return node.block
