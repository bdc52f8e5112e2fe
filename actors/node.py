"""One peer of the ledger: overlay and ledger core in one nursery; the only place that knows both.

Whatever comes in (gossip, sync answers, own submissions, mined nonces, time) goes to the core at once, for the core
never waits. Its effects are carried out by one task, in order, so that a block is saved before anybody hears of it.
"""

from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from typing import Any, Protocol

import trio

from actors.alarms import Alarms
from actors.dialects import dialect_of
from actors.gateway import GatewayService
from actors.identity import Identity
from actors.ledger import FoundBlock, Heads, Outcome, Stage
from actors.links import LedgerLinks, LedgerPeers, open_overlay, subscribed
from actors.local_answers import NodeCore, find_block, find_outcome, recent_headers
from actors.messages import GATEWAY, GENESIS, SYNC, blocks_topic, tx_topic
from actors.peering import direct_peers
from actors.ticking import Ticker
from actors.verdicts import KNOWN, Judgement
from actors.world import World
from chain.codec import block_id, decode_block, encode, transaction_id
from chain.contract import event_fields
from chain.errors import InvalidBlockError, MalformedError, Refused
from chain.ledger import (
    Ask,
    Broadcast,
    Committed,
    Disagreed,
    Diverged,
    Dropped,
    Equivocated,
    Finalised,
    Jumped,
    Penalise,
    Reorged,
    Save,
)
from chain.ledgers.ordered.msp import Certificate
from chain.ledgers.ordered.values import Envelope
from chain.ledgers.pow.ledger import PowLedger
from chain.store import Store
from chain.values import Account, Block, BlockId, Header, Transaction, TxId, Value
from net.gossip.events import Message, Verdict
from net.overlay import Delivery, Judge
from net.peer import Address, PeerId
from net.requests import RequestRefused
from net.transport import Transport, TransportError

SYNC_TIMEOUT_S = 10.0
MAX_EFFECTS = 4_096
"""Effects that wait to be carried out; beyond this, gossip is read more slowly."""
MAX_DROPPED = 4_096
"""Dropped transactions whose reason is remembered for who waits for them."""
EVENT_BUFFER = 1_024


class Witness(Protocol):
    """Told of the chain's progress on one node, synchronously; for interfaces, not for the protocol."""

    def begin(self, node: "FullNode") -> None:
        """The node is about to run, with what its store had."""

    def jumped(self, node: "FullNode") -> None:
        """The node took over a later state, and never had the blocks before it."""

    def committed(self, node: "FullNode", found: FoundBlock) -> None:
        """A block joined the best chain, or became final."""


class FullNode:
    """A peer that holds the ledger. `run` closes the overlay, and leaves the store open for the next start.

    Errors of the core are bugs and escape `run`; its owner restarts it with the same store.
    """

    def __init__(
        self,
        world: World,
        name: str,
        identity: Identity,
        transport: Transport,
        core: NodeCore,
        store: Store,
        known: Sequence[PeerId],
    ) -> None:
        """`known` are other ledger nodes that may be dialled; their addresses are in `world.addresses`."""
        self.world = world
        self.name = name
        self.identity = identity
        self.core = core
        direct = direct_peers(world, name, identity.peer_id)
        for peer, address in direct.items():
            if address is not None:
                world.addresses.told(peer, [address])
        self.overlay = open_overlay(world, name, identity, transport, direct=direct)
        self.witnesses: list[Witness] = []
        self.on_moved: Callable[[], None] = lambda: None
        """Called whenever the core's pool or chain may have changed, when the effects of that have been fed."""
        self.carry: Callable[[object], Awaitable[None]] = _unknown
        """Carries out effects that are not a ledger core's, in their place among those that are: see `feed`."""
        self._store = store
        self._alarms = Alarms(world, name, self.overlay)
        self.dialect = dialect_of(
            core, world=world, name=name, overlay=self.overlay, alarms=self._alarms, blame=self.blame
        )
        elsewhere = [peer for peer, address in direct.items() if address is not None]
        self._links = LedgerLinks(
            world,
            name,
            self.overlay,
            [*known, *elsewhere],
            direct=[*direct, *self.dialect.anchors],
            degree=self.dialect.degree,
        )
        self._effects: deque[object] = deque()
        self._work = trio.Event()
        self._done = trio.Event()
        self._moved = trio.Event()
        self._ticker = Ticker(core, world.clock)
        self._dropped: OrderedDict[TxId, Dropped] = OrderedDict()
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started() when gossip and requests are served."""
        topics = self.world.topics
        for witness in self.witnesses:
            witness.begin(self)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self.overlay.run)
            async with AsyncExitStack() as stack:
                transactions = await stack.enter_async_context(
                    self._subscribed(tx_topic(topics), self._judge_transaction)
                )
                blocks = await stack.enter_async_context(self._subscribed(blocks_topic(topics), self._judge_block))
                await stack.enter_async_context(self.overlay.serve(SYNC, self._serve_sync))
                await stack.enter_async_context(self.overlay.serve(GATEWAY, GatewayService(self).handle))
                await stack.enter_async_context(self.overlay.serve(GENESIS, self._serve_genesis))
                for protocol, handler in self.dialect.services.items():
                    await stack.enter_async_context(self.overlay.serve(protocol, handler))
                nursery.start_soon(self._carry_out)
                nursery.start_soon(self._keep_time)
                nursery.start_soon(self._read_transactions, transactions)
                nursery.start_soon(self._read_blocks, blocks)
                await nursery.start(self._links.run, LedgerPeers(self._peer_up, self._peer_down))
                task_status.started()
                await trio.sleep_forever()

    def _subscribed(self, topic: str, judge: Judge) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[Delivery]]:
        return subscribed(self.world, self.overlay, topic, judge, buffer=EVENT_BUFFER)

    # Into the core. -------------------------------------------------------------------------------------------

    @property
    def pow(self) -> PowLedger:
        """The core, on a network of proof of work. Raises TypeError on another one."""
        if not isinstance(self.core, PowLedger):
            raise TypeError(f"{self.name} does not hold a ledger of proof of work")
        return self.core

    def _judge_transaction(self, message: Message) -> Verdict:
        return self._verdict("tx", message, self.dialect.judge_transaction(message, self.world.clock.now_ms()))

    def _judge_block(self, message: Message) -> Verdict:
        return self._verdict("blocks", message, self.dialect.judge_block(message, self.world.clock.now_ms()))

    def _verdict(self, topic: str, message: Message, judgement: Judgement) -> Verdict:
        verdict, reason = judgement
        if judgement == KNOWN:  # not handed over, and still it reached us
            self.world.journal.record(self.name, "known", topic=message.topic, id=message.id[-16:].hex())
        if verdict is Verdict.REJECT:
            self.world.journal.record(self.name, "rejected", topic=topic, reason=reason)
        return verdict

    async def _read_transactions(self, deliveries: trio.MemoryReceiveChannel[Delivery]) -> None:
        async for delivery in deliveries:
            if delivery.peer is None:
                continue
            try:
                self._moves(self.dialect.take(delivery.message.data, self.world.clock.now_ms()))
            except Refused as refused:
                # The pool may be full, or the transaction came with a block first: nobody's fault.
                if refused.reason not in ("nonce_too_low", "already_pending", "duplicate_txid"):
                    self.world.journal.record(self.name, "not_pooled", reason=refused.reason)
            await self._make_room()

    async def _read_blocks(self, deliveries: trio.MemoryReceiveChannel[Delivery]) -> None:
        async for delivery in deliveries:
            if delivery.peer is None:
                continue
            message = delivery.message
            self._receive_block(delivery.peer, decode_block(message.data), publisher=message.source)
            await self._make_room()

    def _receive_block(self, peer: PeerId, block: Block, *, publisher: PeerId) -> None:
        """Import a block whose encoding was checked; a bad one costs its publisher, for only that one has executed it."""
        try:
            self._moves(self.core.receive_block(peer, block, self.world.clock.now_ms()))
        except InvalidBlockError as error:
            self.blame(publisher, str(error))

    def _peer_up(self, peer: PeerId) -> None:
        """`peer` is a ledger node that can be asked."""
        self.feed(self.core.peer_up(peer, self.world.clock.now_ms()))

    def _peer_down(self, peer: PeerId) -> None:
        """The link to `peer` is gone."""
        self.feed(self.core.peer_down(peer, self.world.clock.now_ms()))

    def mine(self, attempts: int) -> None:
        """Try that many nonces."""
        self.feed(self.pow.mine(attempts, self.world.clock.now_ms()))

    async def _keep_time(self) -> None:
        while True:
            now_ms = await self._ticker.next_due()
            self._moves(self.core.tick(now_ms))

    # Out of the core. -----------------------------------------------------------------------------------------

    def feed(self, effects: Iterable[object]) -> None:
        """Have effects carried out after all that were fed before; those that are no `LedgerEffect` go to `carry`.

        For who runs another core on the node's ledger, as an orderer does.
        """
        self._effects.extend(effects)
        if self._effects:
            self._work.set()
        self._ticker.look()

    def _moves(self, effects: Iterable[object]) -> None:
        """Feed what comes of something that may have changed pool or chain."""
        self.feed(effects)
        self.on_moved()

    async def _make_room(self) -> None:
        """Wait while too many effects wait: gossip then backs up in its bounded buffer, and is dropped there."""
        while len(self._effects) > MAX_EFFECTS:
            await self._done.wait()

    async def _carry_out(self) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._effects:
                await self._carry_out_one(self._effects.popleft())
            self._done.set()
            self._done = trio.Event()

    async def _carry_out_one(self, effect: object) -> None:
        journal = self.world.journal
        match effect:
            case Save():
                if self.world.may_use_threads and self.world.scenario.ledger.durability == "power":
                    await trio.to_thread.run_sync(self._store.save, effect)
                else:
                    self._store.save(effect)
            case Broadcast("tx", data):
                await self.overlay.publish(tx_topic(self.world.topics), data)
            case Broadcast(_, data):
                await self.overlay.publish(blocks_topic(self.world.topics), data)
            case Ask(peer, request):
                assert self._nursery is not None  # noqa: S101 - run() made it before anything was fed
                self._nursery.start_soon(self._ask, PeerId(peer), request)
            case Committed(block, receipts):
                journal.record(
                    self.name,
                    "block",
                    height=block.header.height,
                    id=block_id(block.header).hex()[:16],
                    txs=len(receipts),
                )
                self._advance(FoundBlock(block, receipts, final=False))
            case Finalised(block, receipts):
                journal.record(self.name, "final", height=block.header.height, id=block_id(block.header).hex()[:16])
                self._advance(FoundBlock(block, receipts, final=True))
            case Reorged(blocks):
                journal.record(self.name, "reorg", depth=len(blocks), height=blocks[-1].header.height)
            case Jumped(header):
                journal.record(self.name, "jumped", height=header.height)
                for witness in self.witnesses:
                    witness.jumped(self)
                self._wake_waiters()
            case Dropped(transaction, reason):
                journal.record(self.name, "dropped", tx=transaction_id(transaction).hex()[:16], reason=reason)
                self._dropped[transaction_id(transaction)] = effect
                if len(self._dropped) > MAX_DROPPED:
                    self._dropped.popitem(last=False)
                self._wake_waiters()
            case Penalise(peer, reason, knew):
                self.blame(PeerId(peer), reason, knew=knew)
            case Equivocated(height=height) | Disagreed(height=height) | Diverged(height=height):
                self._alarms.sound(effect, self.core.block(height))
            case _:
                await self.carry(effect)

    def _advance(self, found: FoundBlock) -> None:
        for transaction in found.block.transactions:
            self._dropped.pop(transaction_id(transaction), None)
        self._wake_waiters()
        for witness in self.witnesses:
            witness.committed(self, found)

    def _wake_waiters(self) -> None:
        self._moved.set()
        self._moved = trio.Event()

    async def _ask(self, peer: PeerId, request: bytes) -> None:
        try:
            response = await self.overlay.request(peer, SYNC, request, timeout=SYNC_TIMEOUT_S)
        except TransportError:
            response = None
        self._moves(self.core.answered(peer, request, response, self.world.clock.now_ms()))

    async def _serve_sync(self, peer: PeerId, body: bytes) -> bytes:
        try:
            return self.core.answer(peer, body)
        except MalformedError as error:
            self.blame(peer, f"malformed request: {error}")
            raise RequestRefused(str(error)) from None

    async def _serve_genesis(self, peer: PeerId, body: bytes) -> bytes:  # noqa: ARG002 - the same for everybody
        return encode(self.world.genesis)

    def blame(self, peer: PeerId, reason: str, *, knew: bool = True) -> None:
        """`peer` sent something provably wrong: if it must have known, this costs it its place in our meshes."""
        self.world.journal.record(self.name, "penalised", peer=str(peer)[-8:], reason=reason)
        if knew:
            self.overlay.complain(peer)

    # What gateways and local actors ask (see `actors.gateway.LedgerNode`). --------------------------------------

    async def submit(self, transaction: Transaction) -> None:
        """Take a transaction in, rehearsed. Raises Refused."""
        self._moves(self.dialect.submit(transaction, self.world.clock.now_ms()))
        await trio.lowlevel.checkpoint()

    async def submit_envelope(self, envelope: Envelope) -> None:
        """Take an endorsed transaction in. Raises Refused."""
        self._moves(self.dialect.submit_envelope(envelope, self.world.clock.now_ms()))
        await trio.lowlevel.checkpoint()

    async def prepare(self, transaction: Transaction, creator: Certificate | None) -> Envelope:
        """See `LedgerNode`."""
        return await self.dialect.prepare(transaction, creator)

    def next_nonce(self, account: Account) -> int:
        """See `LedgerNode`."""
        return self.dialect.next_nonce(account)

    async def words(self, transaction: TxId) -> Sequence[bytes]:
        """See `LedgerNode`."""
        return await self.dialect.words(transaction)

    def ordering(self) -> tuple[int, bytes]:
        """See `LedgerNode`."""
        return self.dialect.ordering()

    def members(self) -> Sequence[Certificate]:
        """See `LedgerNode`."""
        return self.dialect.members()

    def answer_query(self, contract: str, method: str, args: bytes, *, final: bool) -> bytes:
        """See `LedgerNode`."""
        return self.core.query(contract, method, args, final=final)

    def find(self, transaction: TxId) -> Outcome | None:
        """See `LedgerNode`."""
        return find_outcome(self.core, transaction)

    async def wait_for(self, transaction: TxId, stage: Stage) -> Outcome:
        """See `LedgerNode`."""
        while True:
            outcome = self.find(transaction)
            if outcome is not None and (stage in (outcome.stage, "accepted") or outcome.stage == "final"):
                return outcome
            dropped = self._dropped.get(transaction)
            if outcome is None and dropped is not None and self.dialect.is_gone(dropped.transaction):
                raise Refused(dropped.reason, "the transaction left the mempool")
            await self._moved.wait()

    def proof(self, transaction: TxId) -> Value | None:
        """See `LedgerNode`."""
        return self.core.proof(transaction)

    def found_block(self, ref: BlockId | int) -> FoundBlock | None:
        """See `LedgerNode`."""
        return find_block(self.core, ref)

    def recent_headers(self, before: int | None, limit: int) -> Sequence[tuple[Header, int, int]]:
        """See `LedgerNode`."""
        return recent_headers(self.core, before, limit)

    def waiting(self, limit: int) -> Sequence[Transaction]:
        """See `LedgerNode`."""
        return self.core.pending(limit)

    def local_heads(self) -> Heads:
        """See `LedgerNode`."""
        return Heads(self.core.head, self.core.final)

    def addresses_of(self, peer: PeerId, *, asker: PeerId) -> Sequence[Address]:
        """See `LedgerNode`."""
        return self.world.addresses.tellable(peer, neighbour=self.world.addresses.is_own(asker))

    def meet(self, peers: Sequence[PeerId]) -> None:
        """These are ledger nodes that may be dialled; their addresses are in `world.addresses`."""
        self._links.meet(peers)

    def others(self) -> Sequence[PeerId]:
        """Linked ledger nodes of other processes."""
        return [peer for peer in sorted(self._links.ledger_peers) if not self.world.addresses.is_own(peer)]

    async def next_block(self) -> None:
        """Wait until the chain moves: a block joins it, or becomes final."""
        await self._moved.wait()

    async def final_events(
        self, contract: str, name: str, since: int
    ) -> AsyncGenerator[tuple[int, dict[str, Any]], None]:
        """(height, fields) of a contract's events in final blocks from height `since` on, in order; endless."""
        async with aclosing(self.final_blocks(since)) as blocks:
            async for found in blocks:
                for receipt in found.receipts:
                    for event in receipt.events:
                        if (event.contract, event.name) == (contract, name):
                            yield found.block.header.height, event_fields(event)

    async def final_blocks(self, since: int) -> AsyncGenerator[FoundBlock, None]:
        """Final blocks from height `since` on, each once, in order, as they become final; endless.

        Blocks that this replica never had (it joined by a snapshot) are skipped.
        """
        height = since
        while True:
            moved = self._moved
            while height <= self.core.final.height:
                found = self.found_block(height)
                height += 1
                if found is not None:
                    yield found
            if moved is self._moved:
                await moved.wait()


async def _unknown(effect: object) -> None:
    await trio.lowlevel.checkpoint()
    raise TypeError(f"nobody carries out {type(effect).__name__}")
