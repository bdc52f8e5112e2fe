"""Blocks in, committed blocks out: judges what orderers sealed, keeps what came too soon, notices forks."""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chain.codec import block_id
from chain.errors import InvalidBlockError
from chain.genesis import Network
from chain.ledger import Equivocated, HeaderStatus, Penalise
from chain.ledgers.ordered.blocks import check_body, check_child, is_sealed, sealed, seals_of
from chain.ledgers.ordered.channel import ChannelConfig, config_of
from chain.ledgers.ordered.history import History
from chain.ledgers.ordered.msp import Signed
from chain.ledgers.ordered.validate import commit
from chain.state import WorldState
from chain.store import Archive
from chain.values import Account, Block, BlockId, Header, Receipt

MAX_WAITING_BLOCKS = 64
MAX_ROOTS = 256
"""Blocks, the latest, after which the state's root is remembered."""


@dataclass(slots=True)
class Taken:
    """What came of taking blocks in, in order."""

    committed: list[tuple[Block, tuple[Receipt, ...], WorldState]] = field(default_factory=list)
    forks: list[Equivocated] = field(default_factory=list)
    strays: list[bytes] = field(default_factory=list)
    """Peers that have a block on top of another head than ours."""
    wrong: list[Penalise] = field(default_factory=list)


class Replica:
    """The chain and the state after it. Knows neither pool nor peers' progress."""

    def __init__(self, network: Network, archive: Archive | None, kept: int) -> None:
        self.network = network
        self.history = History(network, archive, kept)
        self.state = network.state
        self._rules = network.ordered
        self._early: OrderedDict[tuple[BlockId, bytes], Block] = OrderedDict()
        """By id and who sent it, for the seal that another sent may be false: blocks that cannot be committed yet, because
        one before is missing, or their time has not come."""
        self._told: OrderedDict[BlockId, None] = OrderedDict()
        """Forks that were reported."""
        self._sealing: dict[BlockId, dict[bytes, Signed]] = {}
        """Who has signed which block after the head, while not enough orderers have signed one: each of them one."""
        self._roots: OrderedDict[int, bytes] = OrderedDict()

    @property
    def head(self) -> Header:
        return self.history.head

    @property
    def channel(self) -> ChannelConfig:
        """The channel's configuration after the head."""
        return config_of(self.state)

    def root_at(self, height: int) -> bytes | None:
        """Root of the state after one of the latest blocks."""
        return self.state.root if height == self.head.height else self._roots.get(height)

    def check_block(self, block: Block, now_ms: int) -> HeaderStatus:
        """Judge a block without changing anything. Raises InvalidBlockError naming the broken rule."""
        header = block.header
        known = self.history.id_at(header.height)
        if known == block_id(header):
            return HeaderStatus.KNOWN
        check_body(block, self._rules)
        if header.height > self.head.height + 1:
            return HeaderStatus.UNKNOWN_PARENT  # by then the channel may have other orderers
        seals_of(block, self.channel)
        if known is not None or (header.height == self.head.height + 1 and header.parent != self.history.head_id):
            return HeaderStatus.FORKED
        check_child(self.head, self.history.head_id, header)
        if header.time_ms > now_ms + self._rules.max_skew_ms:
            return HeaderStatus.TOO_EARLY
        return HeaderStatus.NEW

    def take(self, peer: bytes, block: Block, now_ms: int, taken: Taken) -> HeaderStatus:
        """Take a block in, and those that waited for it. Raises InvalidBlockError; nothing has changed then."""
        status = self._take_one(peer, block, now_ms, taken)
        if status is HeaderStatus.NEW:
            self.take_due(now_ms, taken)
        return status

    def take_due(self, now_ms: int, taken: Taken) -> None:
        """Commit what waited, as far as it follows the head and its time has come."""
        going = True
        while going:
            before = self.head.height
            for (found, peer), block in list(self._early.items()):
                if block.header.height > self.head.height + 1:
                    continue
                self._early.pop((found, peer), None)
                try:
                    self._take_one(peer, block, now_ms, taken)
                except InvalidBlockError as error:
                    taken.wrong.append(Penalise(peer, str(error)))
            going = self.head.height > before

    def next_due_ms(self) -> int | None:
        """When the next block that was too early can be taken."""
        times = [
            block.header.time_ms - self._rules.max_skew_ms
            for block in self._early.values()
            if block.header.height == self.head.height + 1
        ]
        return min(times, default=None)

    def append(self, block: Block, receipts: tuple[Receipt, ...], state: WorldState) -> None:
        """Make a block that was committed, now or before a restart, the head."""
        self.history.append(block, receipts)
        self.state = state
        self._sealing.clear()
        self._roots[block.header.height] = state.root
        if len(self._roots) > MAX_ROOTS:
            self._roots.popitem(last=False)

    def jump(self, headers: Sequence[Header], state: WorldState) -> None:
        """Go on from the state after the last of these headers, which lead on from the head."""
        for header in headers:
            self.history.skip(header)
        self.state = state
        self._sealing.clear()
        self._roots.clear()
        self._roots[self.head.height] = state.root

    def _take_one(self, peer: bytes, block: Block, now_ms: int, taken: Taken) -> HeaderStatus:
        status = self.check_block(block, now_ms)
        match status:
            case HeaderStatus.NEW:
                self._commit(block, taken)
            case HeaderStatus.UNKNOWN_PARENT | HeaderStatus.TOO_EARLY:
                self._wait(peer, block)
            case HeaderStatus.FORKED:
                self._fork(peer, block, taken)
        return status

    def _wait(self, peer: bytes, block: Block) -> None:
        """Keep a block for later, unless it is too far ahead; when there are too many, who sent most loses its oldest."""
        if block.header.height > self.head.height + MAX_WAITING_BLOCKS:
            return
        self._early[block_id(block.header), peer] = block
        if len(self._early) > MAX_WAITING_BLOCKS:
            sent = Counter(sender for _, sender in self._early)
            most = max(sent.values())
            del self._early[next(key for key in self._early if sent[key[1]] == most)]

    def _commit(self, block: Block, taken: Taken) -> None:
        """Commit a block that follows the head, when enough orderers signed it; else remember who did."""
        config = self.channel
        seals = seals_of(block, config)
        found = block_id(block.header)
        if not is_sealed(block, seals, config):
            block = self._gather(found, block, seals, taken)
            if not is_sealed(block, seals_of(block, config), config):
                return
        for other, signed in self._sealing.items():
            if other != found:
                self._accuse(block.header.height, found, other, signed, taken)
        applied = commit(self.network, self.state, block)
        self.append(block, applied.receipts, applied.state)
        taken.committed.append((block, applied.receipts, applied.state))

    def _gather(self, found: BlockId, block: Block, seals: Sequence[Signed], taken: Taken) -> Block:
        """The block with all signatures that were heard. Of a signer the last block counts, so liars crowd out nobody."""
        for one in seals:
            account = one.certificate.account
            for other, signed in list(self._sealing.items()):
                if other != found and account in signed:
                    del signed[account]
                    if not signed:
                        del self._sealing[other]
                    self._accuse(block.header.height, other, found, [account], taken)
        signed = self._sealing.setdefault(found, {})
        signed |= {one.certificate.account: one for one in seals}
        return sealed(block, signed.values())

    def _accuse(self, height: int, ours: BlockId, other: BlockId, signers: Iterable[bytes], taken: Taken) -> None:
        """Tell once of another block than ours."""
        if other in self._told:
            return
        self._told[other] = None
        if len(self._told) > MAX_WAITING_BLOCKS:
            self._told.popitem(last=False)
        taken.forks.append(Equivocated(height, ours, other, tuple(Account(one) for one in sorted(signers))))

    def _fork(self, peer: bytes, block: Block, taken: Taken) -> None:
        """Another block than ours, or on top of one, signed by orderers of ours: at least one of them signed two."""
        header = block.header
        ours = self.history.id_at(header.height)
        if ours is None:
            taken.strays.append(peer)
            return
        signers = (one.certificate.account for one in seals_of(block, self.channel))
        self._accuse(header.height, ours, block_id(header), signers, taken)
