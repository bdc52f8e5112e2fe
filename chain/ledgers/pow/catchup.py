"""Catching up with the network: who has more work, which headers lead there, and where the bodies come from.

One download at a time. Its *source*, a peer that claims more work than ours, gives the headers; each is checked at
once (work, retarget, time, quota), so the branch is known to be heavy before a body is asked for. A replica far
behind then takes the state after one of the source's final blocks, in chunks from the source alone, so that a wrong
one has one culprit. Bodies come from all peers side by side; a header's root says whether a body is the right one.

    idle ──a status with more work──▶ headers ──▶ snapshot ──▶ blocks ──▶ idle, and ask the source again
                                         └────────────────────────▲

One request is in flight per peer. Bodies that hold up the others for a while are asked of somebody else as well, so the
slowest peer does not set the pace. A peer that fails is left alone for a while, twice as long each time; after a few
failures in a row of the source the download is given up, and another source is found. A provable lie is penalised, and
the peer is not asked again until it comes up anew. Now and then some peer is asked where it is, and if it is no further
than we are, for the transactions that wait there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from chain.codec import block_id
from chain.errors import InvalidBlockError, MalformedError
from chain.ledger import Ask, Penalise
from chain.ledgers.pow.replica import Replica
from chain.ledgers.pow.rules import check_alone, check_bare, check_child
from chain.ledgers.pow.tree import Node
from chain.merkle import transactions_root
from chain.snapshot import state_of
from chain.state import WorldState
from chain.sync import (
    MAX_BLOCKS,
    MAX_HEADERS,
    MAX_SNAPSHOT_CHUNKS,
    Blocks,
    GetBlocks,
    GetHeaders,
    GetPending,
    GetSnapshot,
    GetStatus,
    Headers,
    Pending,
    Request,
    Response,
    Snapshot,
    Status,
    decode_response,
    encode_message,
)
from chain.values import Block, BlockId, Transaction

_MAX_PEERS = 256
_MAX_DOWNLOAD = 1 << 18
"""Headers of one download, about 1 kB each. They are real: none can be made without work and time (`difficulty`)."""
_AHEAD = 8 * MAX_BLOCKS
"""Bodies asked for or held beyond the next one."""
_TIMEOUT_MS = 30_000
"""After this an owner that never reported on an `Ask` is taken to have failed."""
_STALL_MS = 2_000
"""After this the bodies that are next are asked of another peer too."""
_FAILURES = 3
_BACKOFF_MS = 1_000
_MAX_BACKOFF_MS = 60_000
_MIN_POLL_MS = 5_000

CatchUpEffect = Ask | Penalise


@dataclass(slots=True)
class _Peer:
    status: Status | None = None
    asked: Request | None = None
    asked_ms: int = 0
    failures: int = 0
    retry_ms: int = 0
    shunned: bool = False
    lacks: bool = False
    """Had none of the bodies it was asked for in this download, or did not answer."""


@dataclass(slots=True)
class _Download:
    source: bytes
    claimed: int
    """Work that the source claims."""
    snapshot: BlockId
    nodes: list[Node] = field(default_factory=list)
    complete: bool = False
    """All headers are here."""
    chunks: list[bytes] = field(default_factory=list)
    snapshot_at: int | None = None
    """Index in `nodes` of the block whose state is being fetched."""
    bodies: dict[BlockId, Block] = field(default_factory=dict)
    asked: dict[BlockId, bytes] = field(default_factory=dict)
    taken: int = 0
    """Nodes whose bodies were handed over."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A verified state after the last of `nodes`, which lead on from the final block."""

    nodes: list[Node]
    state: WorldState


class CatchUp:
    """Asks; hands over jumps and blocks, in order, to whoever calls `jump` and `blocks`."""

    def __init__(self, replica: Replica, snapshot_gap: int) -> None:
        self._replica = replica
        self._snapshot_gap = snapshot_gap
        self._poll_ms = max(_MIN_POLL_MS, 4 * replica.rules.block_interval_ms)
        self._peers: dict[bytes, _Peer] = {}
        self._download: _Download | None = None
        self._jump: Jump | None = None
        self._blocks: list[Block] = []
        self._transactions: list[Transaction] = []
        self._next_poll_ms: int | None = None
        self._polled = b""
        self._seen_ms = 0

    @property
    def source(self) -> bytes | None:
        """The peer that gives the headers of the running download."""
        return self._download.source if self._download is not None else None

    def is_level(self, peers: Iterable[bytes]) -> bool:
        """Whether one of these peers said how far it is, and none that did is ahead of us."""
        found = [known.status for peer in peers if (known := self._peers.get(peer)) is not None and not known.shunned]
        works = [status.work for status in found if status is not None]
        return self._download is None and bool(works) and max(works) <= self._replica.tree.head.work

    # --- events ---------------------------------------------------------------------------------------------------

    def peer_up(self, peer: bytes, now_ms: int) -> list[CatchUpEffect]:
        if peer in self._peers or len(self._peers) >= _MAX_PEERS:
            return []
        self._peers[peer] = _Peer()
        if self._next_poll_ms is None:
            self._next_poll_ms = now_ms + self._poll_ms
        return [self._ask(peer, GetStatus(), now_ms)]

    def peer_down(self, peer: bytes, now_ms: int) -> list[CatchUpEffect]:
        gone = self._peers.pop(peer, None)
        if gone is not None:
            self._release(peer)
            if self.source == peer:
                self._stop()
        if not self._peers:
            self._next_poll_ms = None
        return self.proceed(now_ms)

    def behind(self, peer: bytes, now_ms: int) -> list[CatchUpEffect]:
        """`peer` gave us a block whose parent we lack: ask where it is, unless a download is under way."""
        if self._download is not None:
            return []
        asked = peer if self._idle(peer, now_ms) else self._next_idle(now_ms)
        return [self._ask(asked, GetStatus(), now_ms)] if asked is not None else []

    def answered(self, peer: bytes, request: bytes, response: bytes | None, now_ms: int) -> list[CatchUpEffect]:
        known = self._peers.get(peer)
        if known is None or known.asked is None or encode_message(known.asked) != request:
            return []  # answers something asked before the peer went down, or before it timed out
        asked, known.asked = known.asked, None
        if response is None:
            return self._failed(peer, known, now_ms)
        try:
            answer = decode_response(asked, response)
            known.failures = 0
            effects = self._take(peer, known, asked, answer, now_ms)
        except (MalformedError, InvalidBlockError) as error:
            return self._punish(peer, str(error)) + self.proceed(now_ms)
        return effects + self.proceed(now_ms)

    def tick(self, now_ms: int) -> list[CatchUpEffect]:
        effects: list[CatchUpEffect] = []
        for peer in sorted(self._peers):
            known = self._peers[peer]
            if known.asked is not None and known.asked_ms + _TIMEOUT_MS <= now_ms:
                known.asked = None
                effects += self._failed(peer, known, now_ms)
        if self._next_poll_ms is not None and self._next_poll_ms <= now_ms:
            self._next_poll_ms = now_ms + self._poll_ms
            polled = self._next_idle(now_ms)
            if polled is not None:
                self._polled = polled
                effects.append(self._ask(polled, GetStatus(), now_ms))
        return effects + self.proceed(now_ms)

    def next_deadline_ms(self) -> int | None:
        deadlines = [known.asked_ms + _TIMEOUT_MS for known in self._peers.values() if known.asked is not None]
        if self._download is not None:
            # Whoever may be asked again by now was considered when something last happened.
            stalls = [self._peers[peer].asked_ms + _STALL_MS for peer in self._download.asked.values()]
            deadlines += [stall for stall in stalls if stall > self._seen_ms]
            deadlines += [known.retry_ms for known in self._peers.values() if known.retry_ms > self._seen_ms]
        if self._next_poll_ms is not None:
            deadlines.append(self._next_poll_ms)
        return min(deadlines, default=None)

    # --- what the ledger takes ------------------------------------------------------------------------------------

    def take_jump(self) -> Jump | None:
        """Hand a verified state over, once."""
        jump, self._jump = self._jump, None
        return jump

    def take_blocks(self) -> list[Block]:
        """Hand over the next bodies, each a child of a known block, once."""
        blocks, self._blocks = self._blocks, []
        return blocks

    def take_transactions(self) -> list[Transaction]:
        """Hand over transactions that wait elsewhere, once; of the answer that just came."""
        transactions, self._transactions = self._transactions, []
        return transactions

    def refuse(self, reason: str) -> list[CatchUpEffect]:
        """A block that was handed over is invalid: its headers came from the source, which vouched for it."""
        return self._punish(self.source, reason) if self.source is not None else []

    def give_up(self) -> None:
        """The branch no longer fits our tree."""
        self._stop()

    # --- answers --------------------------------------------------------------------------------------------------

    def _take(self, peer: bytes, known: _Peer, asked: Request, answer: Response, now_ms: int) -> list[CatchUpEffect]:
        if isinstance(answer, Status):
            return self._take_status(peer, known, answer, now_ms)
        if isinstance(answer, Pending):
            self._transactions.extend(answer.transactions)
            return []
        if isinstance(answer, Blocks) and isinstance(asked, GetBlocks):
            return self._take_bodies(peer, known, asked, answer)
        download = self._download
        if download is None or download.source != peer:
            return []
        if isinstance(answer, Headers):
            self._take_headers(download, known, answer, now_ms)
        elif isinstance(answer, Snapshot) and isinstance(asked, GetSnapshot):
            self._take_chunk(download, asked, answer)
            if self._download is None:
                return [self._ask(peer, GetStatus(), now_ms)]
        return []

    def _take_status(self, peer: bytes, known: _Peer, status: Status, now_ms: int) -> list[CatchUpEffect]:
        if status.chain != self._replica.network.id:
            return self._punish(peer, "wrong_chain: of another network")
        known.status = status
        if status.pending and status.work <= self._replica.tree.head.work:
            return [self._ask(peer, GetPending(), now_ms)]
        return []

    def _take_headers(self, download: _Download, known: _Peer, answer: Headers, now_ms: int) -> None:
        """Extend the download's branch. Raises InvalidBlockError, MalformedError."""
        tree, rules = self._replica.tree, self._replica.rules
        before = download.nodes[-1].work if download.nodes else 0
        if answer.headers:
            self._turn_back(download, answer.headers[0].parent)
        for header in answer.headers:
            found = block_id(header)
            parent = download.nodes[-1] if download.nodes else tree.get(header.parent)
            if not download.nodes and tree.get(found) is not None:
                continue
            if parent is None or header.parent != parent.id:
                raise MalformedError("bad_headers: they do not follow what was asked for")
            if not download.nodes and parent.height < tree.final.height:
                # Nobody's lie: we were apart for longer than finality bears.
                known.shunned = True
                self._stop()
                return
            check_alone(header)
            check_child(parent, header, rules)
            if header.time_ms > now_ms + rules.max_future_ms:
                download.claimed = 0  # the rest may be as good as claimed
                download.complete = True
                break
            download.nodes.append(Node(header, found, parent))
        if before and answer.headers and (not download.nodes or download.nodes[-1].work <= before):
            raise MalformedError("bad_headers: no more work than before")
        if len(download.nodes) >= _MAX_DOWNLOAD:
            download.claimed = 0
            download.complete = True
        if len(answer.headers) < MAX_HEADERS or not download.nodes:
            download.complete = True
        if download.complete:
            self._judge_branch(download, known)

    def _turn_back(self, download: _Download, parent: BlockId) -> None:
        """Drop the headers that the source's chain has left since it gave them."""
        while download.nodes and download.nodes[-1].id != parent:
            download.nodes.pop()

    def _judge_branch(self, download: _Download, known: _Peer) -> None:
        """All headers are here: are they worth their bodies, and is there a state to start from?"""
        tree = self._replica.tree
        work = download.nodes[-1].work if download.nodes else tree.head.work
        known.status = None  # it has been used; ask again for a newer one
        if work < download.claimed:
            raise MalformedError("false_status: the headers have less work than was claimed")
        if work <= tree.head.work:
            self._stop()
            return
        deep = len(download.nodes) - self._replica.rules.finality_depth
        for index, node in enumerate(download.nodes[: max(0, deep)]):
            if node.id == download.snapshot and index >= self._snapshot_gap:
                download.snapshot_at = index

    def _take_chunk(self, download: _Download, asked: GetSnapshot, answer: Snapshot) -> None:
        """Keep a chunk; put the state together when it was the last. Raises MalformedError."""
        if download.snapshot_at is None or asked.chunk != len(download.chunks):
            return
        if answer.count == 0:
            self._stop()  # too old by now; the next status names a newer one
            return
        if not asked.chunk < answer.count <= MAX_SNAPSHOT_CHUNKS:
            raise MalformedError("bad_snapshot: there are fewer chunks than before")
        download.chunks.append(answer.data)
        if len(download.chunks) < answer.count:
            return
        node = download.nodes[download.snapshot_at]
        state = state_of(download.chunks)
        if state.root != node.header.state_root:
            raise MalformedError("bad_snapshot: the state does not fit the header")
        tree = self._replica.tree
        first = download.nodes[0].parent
        if first is None or tree.get(first.id) is not first or first.height < tree.final.height:
            self._stop()
            return
        below = [after for after in first.back() if after.height > tree.final.height]
        self._jump = Jump([*reversed(below), *download.nodes[: download.snapshot_at + 1]], state)
        download.taken = download.snapshot_at + 1
        download.snapshot_at = None
        download.chunks = []

    def _take_bodies(self, peer: bytes, known: _Peer, asked: GetBlocks, answer: Blocks) -> list[CatchUpEffect]:
        download = self._download
        # What another peer is asked for by now is taken from either; what either gave already is not taken again.
        awaited = set(download.asked) if download is not None else set()
        self._release(peer)
        if download is None:
            return []
        if not answer.blocks:
            known.lacks = True
            if download.source == peer:
                self._stop()
            return []
        if len(answer.blocks) > len(asked.ids):
            raise MalformedError("bad_blocks: more than was asked for")
        for wanted, block in zip(asked.ids, answer.blocks, strict=False):
            check_bare(block)
            fits = transactions_root(block.transactions) == block.header.transactions_root
            if block_id(block.header) != wanted or not fits:
                raise MalformedError("bad_blocks: not what was asked for")
            if wanted in awaited:
                download.bodies[BlockId(wanted)] = block
                download.asked.pop(BlockId(wanted), None)
        return []

    # --- questions ------------------------------------------------------------------------------------------------

    def proceed(self, now_ms: int) -> list[CatchUpEffect]:
        """Ask what is to be asked next."""
        self._seen_ms = now_ms
        if self._download is None:
            self._start(now_ms)
        download = self._download
        if download is None:
            return []
        source_idle = self._idle(download.source, now_ms)
        if not download.complete:
            return [self._ask(download.source, self._next_headers(download), now_ms)] if source_idle else []
        if download.snapshot_at is not None:
            wanted = GetSnapshot(download.snapshot, len(download.chunks))
            return [self._ask(download.source, wanted, now_ms)] if source_idle else []
        return self._hand_over(download, now_ms)

    def _start(self, now_ms: int) -> None:
        """Begin with the idle peer that claims most work, if that is more than ours."""
        best: tuple[int, bytes, Status] | None = None
        for peer in sorted(self._peers):
            status = self._peers[peer].status
            if status is not None and self._idle(peer, now_ms) and (best is None or status.work > best[0]):
                best = (status.work, peer, status)
        if best is None or best[0] <= self._replica.tree.head.work:
            return
        for known in self._peers.values():
            known.lacks = False
        self._download = _Download(source=best[1], claimed=best[0], snapshot=best[2].snapshot)

    def _next_headers(self, download: _Download) -> GetHeaders:
        """Headers after the last one; the source may meanwhile have left some of those before it."""
        tree = self._replica.tree
        base = download.nodes[0].parent if download.nodes else None
        branch = download.nodes or tree.above_final()
        locator: list[bytes] = []
        at, step = len(branch) - 1, 1
        while at >= 0:
            locator.append(branch[at].id)
            step = step * 2 if len(locator) > 8 else 1
            at -= step
        return GetHeaders((*locator, *([base.id] if base is not None else []), tree.final.id))

    def _hand_over(self, download: _Download, now_ms: int) -> list[CatchUpEffect]:
        """Pass on the bodies that are next, and ask for more."""
        nodes = download.nodes
        while download.taken < len(nodes) and nodes[download.taken].id in download.bodies:
            self._blocks.append(download.bodies.pop(nodes[download.taken].id))
            download.taken += 1
        effects: list[CatchUpEffect] = []
        if self._blocks:
            return effects  # they may turn out to be invalid; the ledger comes back when it has taken them
        if download.taken == len(nodes):
            source = download.source
            self._stop()
            return [self._ask(source, GetStatus(), now_ms)] if self._idle(source, now_ms) else []
        window = nodes[download.taken : download.taken + _AHEAD]
        missing = [n.id for n in window if n.id not in download.bodies and n.id not in download.asked]
        missing = self._stalled(download, window, now_ms) + missing
        # The source first: it has them all.
        for peer in sorted(self._peers, key=lambda peer: (peer != download.source, peer)):
            if not missing:
                break
            usable = peer == download.source or not self._peers[peer].lacks
            if usable and self._idle(peer, now_ms):
                batch, missing = missing[:MAX_BLOCKS], missing[MAX_BLOCKS:]
                download.asked.update((found, peer) for found in batch)
                effects.append(self._ask(peer, GetBlocks(tuple(batch)), now_ms))
        return effects

    def _stalled(self, download: _Download, window: list[Node], now_ms: int) -> list[BlockId]:
        """The next bodies, when the peer that was asked for them keeps all others waiting."""
        whom = download.asked.get(window[0].id)
        if whom is None or self._peers[whom].asked_ms + _STALL_MS > now_ms:
            return []
        return [node.id for node in window if download.asked.get(node.id) == whom]

    # --- peers ----------------------------------------------------------------------------------------------------

    def _idle(self, peer: bytes, now_ms: int) -> bool:
        known = self._peers.get(peer)
        return known is not None and not known.shunned and known.asked is None and known.retry_ms <= now_ms

    def _next_idle(self, now_ms: int) -> bytes | None:
        """The idle peer after the one that was polled last, in turn."""
        idle = [peer for peer in sorted(self._peers) if self._idle(peer, now_ms)]
        return next((peer for peer in idle if peer > self._polled), idle[0] if idle else None)

    def _ask(self, peer: bytes, request: Request, now_ms: int) -> Ask:
        known = self._peers[peer]
        known.asked = request
        known.asked_ms = now_ms
        return Ask(peer, encode_message(request))

    def _failed(self, peer: bytes, known: _Peer, now_ms: int) -> list[CatchUpEffect]:
        known.failures += 1
        known.lacks = True
        known.retry_ms = now_ms + min(_MAX_BACKOFF_MS, _BACKOFF_MS << min(known.failures, 16))
        self._release(peer)
        if self.source == peer and known.failures >= _FAILURES:
            known.status = None
            self._stop()
        return self.proceed(now_ms)

    def _punish(self, peer: bytes, reason: str) -> list[CatchUpEffect]:
        known = self._peers.get(peer)
        if known is not None:
            known.shunned = True
            known.status = None
        self._release(peer)
        if self.source == peer:
            self._stop()
        return [Penalise(peer, reason)]

    def _release(self, peer: bytes) -> None:
        """Let others be asked for the bodies that `peer` was asked for."""
        if self._download is not None:
            asked = self._download.asked
            self._download.asked = {found: whom for found, whom in asked.items() if whom != peer}

    def _stop(self) -> None:
        self._download = None
        self._blocks = []
        self._jump = None
