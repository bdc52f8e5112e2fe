"""A node that orders: takes envelopes from its ledger's pool, agrees with the other orderers, and makes the blocks.

The core beside the ledger's (`chain.ledgers.ordered.orderer`) does no I/O. Here are its clock, its store, and its words to
the other orderers: requests with an empty answer, several at a time, in batches. One that gets lost is no harm, for Raft
repeats itself.
"""

from collections import deque
from collections.abc import Sequence
from typing import Annotated, ClassVar

import trio
from msgspec import Meta

from actors.identity import Identity
from actors.local_ledger import LocalLedger
from actors.node import FullNode
from actors.sensing.mobility import Point
from actors.ticking import Ticker
from chain.codec import decode, encode
from chain.errors import MalformedError
from chain.ledgers.ordered.consenter import MAX_WORD_BYTES
from chain.ledgers.ordered.orderer import Leads, OrderingEffect, Unusable
from chain.ledgers.ordered.orderer import Orderer as OrdererCore
from chain.ledgers.ordered.raft.events import Persist, Send
from chain.ledgers.ordered.raft.store import RaftStore
from net.peer import PeerId
from net.requests import RequestRefused
from net.transport import TransportError

ORDERING = "/crowdmesh/ordering/1"
MAX_WORDS = 64
"""Messages in one request."""
MAX_BATCH_BYTES = 2 * MAX_WORD_BYTES
MAX_QUEUED = 512
"""Messages that wait for one orderer; beyond, the oldest are lost, which Raft bears."""
SENDERS = 3
"""Requests to one orderer that are under way at a time."""
WORD_TIMEOUT_S = 5.0
STATUS_PAUSE_S = 0.02

Words = Annotated[tuple[Annotated[bytes, Meta(max_length=MAX_WORD_BYTES)], ...], Meta(max_length=MAX_WORDS)]


class Orderer:
    """Runs a ledger node and orders. Closes the node's overlay; bugs of the cores escape `run`.

    `store` is where its votes and its log are, and stays open for the next start.
    """

    role: ClassVar[str] = "orderer"

    def __init__(self, node: FullNode, core: OrdererCore, store: RaftStore) -> None:
        self.world, self.name = node.world, node.name
        self.identity: Identity = node.identity
        self.node = node
        self.ledger = LocalLedger(node, node.identity)
        self.core = core
        self._store = store
        self._mailboxes: dict[bytes, _Mailbox] = {}
        self._ticker = Ticker(core, node.world.clock)
        self._started = False
        node.carry = self._carry
        node.on_moved = self._offer

    def where(self) -> Point | None:
        """Nowhere: what an orderer does has no place."""
        return None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self.node.run)
            async with self.node.overlay.serve(ORDERING, self._hear):
                task_status.started()
                if not self.world.begun.is_set():
                    # Who stands before it knows of the others only disturbs them.
                    await self.world.begun.wait()
                if self._store.load() is None and await self._is_late():
                    self.core.distrust()
                    self.world.journal.record(self.name, "votes_lost")
                self._started = True
                self._feed(self.core.start(self.world.clock.now_ms()))
                await self._keep_time()

    async def _is_late(self) -> bool:
        """Whether the channel has blocks already, as far as enough orderers to elect somebody know.

        Who has no votes and no log is new, like everybody when a channel begins, or has lost its disk.
        """
        ledger = self.core.ledger
        others = [one for one in ledger.channel.orderers if one != self.identity.account]
        while ledger.head.height == 0:
            told = [status for status in ledger.members().values() if status.orders]
            if len(told) >= (len(others) + 1) // 2:
                return any(status.height for status in told)
            await trio.sleep(STATUS_PAUSE_S)
        return True

    # --- into the core ----------------------------------------------------------------------------------------

    def _offer(self) -> None:
        """The ledger's pool or chain has changed."""
        if self._started:
            self._feed(self.core.offer(self.world.clock.now_ms()))

    async def _hear(self, peer: PeerId, body: bytes) -> bytes:
        try:
            words: tuple[bytes, ...] = decode(Words, body, limit=MAX_BATCH_BYTES)
            for word in words if self._started else ():
                self._feed(self.core.receive(peer.public_key, word, self.world.clock.now_ms()))
        except MalformedError as error:
            self.node.blame(peer, f"ordering: {error}")
            raise RequestRefused(str(error)) from None
        await trio.lowlevel.checkpoint()
        return b""

    async def _keep_time(self) -> None:
        while True:
            now_ms = await self._ticker.next_due()
            self._feed(self.core.tick(now_ms))

    # --- out of the core --------------------------------------------------------------------------------------

    def _feed(self, effects: Sequence[OrderingEffect]) -> None:
        self.node.feed(effects)
        self._ticker.look()

    async def _carry(self, effect: object) -> None:
        """Carry out what only orderers do, in order with the rest."""
        match effect:
            case Persist():
                if self.world.may_use_threads and self.world.scenario.ledger.durability == "power":
                    await trio.to_thread.run_sync(self._store.persist, effect)
                else:
                    self._store.persist(effect)
            case Send(peer, message):
                self._mailbox(peer).put(message)
            case Leads(leader, reason):
                self.world.journal.record(
                    self.name, "leader", leader=self.world.name_of(leader) if leader else "", reason=reason
                )
            case Unusable(index, reason):
                self.world.journal.record(self.name, "unusable_entry", index=index, reason=reason)
            case _:
                raise AssertionError(f"nobody carries out {effect!r}")

    def _mailbox(self, peer: bytes) -> "_Mailbox":
        mailbox = self._mailboxes.get(peer)
        if mailbox is None:
            mailbox = self._mailboxes[peer] = _Mailbox()
            for _ in range(SENDERS):
                self._nursery.start_soon(self._send, PeerId.from_public_key(peer), mailbox)
        return mailbox

    async def _send(self, peer: PeerId, mailbox: "_Mailbox") -> None:
        while True:
            words = await mailbox.take()
            try:
                await self.node.overlay.request(peer, ORDERING, encode(words), timeout=WORD_TIMEOUT_S)
            except TransportError:
                await trio.sleep(0.01)  # not linked, or not there: lost


class _Mailbox:
    """Messages for one orderer, oldest first, bounded."""

    def __init__(self) -> None:
        self._words: deque[bytes] = deque(maxlen=MAX_QUEUED)
        self._some = trio.Event()

    def put(self, word: bytes) -> None:
        self._words.append(word)
        self._some.set()

    async def take(self) -> tuple[bytes, ...]:
        """What waits, as much as fits into a request; at least one."""
        while not self._words:
            self._some = trio.Event()
            await self._some.wait()
        words = [self._words.popleft()]
        size = len(words[0])
        while self._words and len(words) < MAX_WORDS and size + len(self._words[0]) <= MAX_WORD_BYTES:
            words.append(self._words.popleft())
            size += len(words[-1])
        return tuple(words)
