"""Every rule of a header and of a block is refused by its name, and a refusal changes nothing."""

import msgspec
import pytest

from chain.codec import block_id
from chain.errors import InvalidBlockError
from chain.ledger import Committed, HeaderStatus
from chain.ledgers.pow.ledger import PowLedger
from chain.ledgers.pow.mining import has_work
from chain.transition import APPLIED
from tests.chain.pow.founding import GENESIS_MS, account, found, transfer

RULES = {"initial_difficulty": 4, "finality_depth": 4, "quota": 2, "quota_window": 4}
MINERS = (11, 12, 13, 11, 12, 13, 11, 13)
"""The last one has two of the last three: a fourth of its own would break the quota."""


class Chain:
    """A replica at height 8, and ways to make the next block."""

    def __init__(self):
        self.network = found(**RULES)
        self.now = GENESIS_MS
        self.ledger = PowLedger(self.network)
        self.blocks = []
        for number in MINERS:
            self.extend(number)

    def miner(self, number):
        ledger = PowLedger(self.network, producer=account(number))
        for block in self.blocks:
            ledger.receive_block(b"x", block, self.now)
        return ledger

    def extend(self, number):
        self.now += 10_000
        self.blocks.append(self.next_block(number))
        self.ledger.receive_block(b"x", self.blocks[-1], self.now)

    def next_block(self, number, transaction=None):
        ledger = self.miner(number)
        if transaction is not None:
            ledger.submit(transaction, self.now)
        height = ledger.head.height
        while ledger.head.height == height:
            assert ledger.mine(1, self.now) or ledger.statistics().attempts
        return ledger.block(height + 1)


@pytest.fixture(scope="module")
def chain():
    return Chain()


def worked(block, **changes):
    """The block with a changed header and the work for it."""
    header = msgspec.structs.replace(block.header, **changes)
    while not has_work(block_id(header), header.difficulty):
        header = msgspec.structs.replace(header, nonce=header.nonce + 1)
    return msgspec.structs.replace(block, header=header)


def without_work(block):
    header = block.header
    while has_work(block_id(header), header.difficulty):
        header = msgspec.structs.replace(header, nonce=header.nonce + 1)
    return msgspec.structs.replace(block, header=header)


BAD_HEADERS = {
    "bad_version": lambda block, _: worked(block, version=2),
    "bad_work": lambda block, _: without_work(block),
    "bad_height": lambda block, _: worked(block, height=block.header.height + 1),
    "bad_difficulty": lambda block, _: worked(block, difficulty=block.header.difficulty + 1),
    "bad_time": lambda block, parent: worked(block, time_ms=parent.time_ms - 50_000),
    "bad_quota": lambda block, _: worked(block, producer=account(13)),
}


@pytest.mark.parametrize("rule", BAD_HEADERS)
def test_check_header__reject(chain, rule):
    block = BAD_HEADERS[rule](chain.next_block(12), chain.ledger.head)
    before = (chain.ledger.statistics(), chain.ledger.state.root)
    for attempt in (chain.ledger.check_header, lambda header, now: chain.ledger.receive_block(b"x", block, now)):
        with pytest.raises(InvalidBlockError) as refusal:
            attempt(block.header, chain.now)
        assert str(refusal.value).startswith(rule)
    assert (chain.ledger.statistics(), chain.ledger.state.root) == before


def test_check_header__difficulty_too_low(chain):
    block = chain.next_block(12)
    with pytest.raises(InvalidBlockError, match="bad_difficulty"):
        chain.ledger.check_header(worked(block, difficulty=1).header, chain.now)


def test_check_header__median_not_previous_time(chain):
    """A time before the parent's is allowed when it is after the median: clocks differ."""
    block = worked(chain.next_block(12), time_ms=chain.ledger.head.time_ms - 5_000)
    assert chain.ledger.check_header(block.header, chain.now) is HeaderStatus.NEW


def test_statuses(chain):
    block = chain.next_block(12)
    check = chain.ledger.check_header
    assert check(block.header, chain.now) is HeaderStatus.NEW
    assert check(chain.ledger.head, chain.now) is HeaderStatus.KNOWN
    assert check(chain.network.block.header, chain.now) is HeaderStatus.KNOWN
    assert check(worked(block, parent=bytes(32)).header, chain.now) is HeaderStatus.UNKNOWN_PARENT
    future = chain.now + chain.network.genesis.ledger.max_future_ms
    assert check(worked(block, time_ms=future).header, chain.now) is HeaderStatus.NEW
    assert check(worked(block, time_ms=future + 1).header, chain.now) is HeaderStatus.TOO_EARLY
    assert check(worked(chain.blocks[3], producer=account(60)).header, chain.now) is HeaderStatus.STALE


def test_check_header__lying_about_its_height(chain):
    """A block that claims to be above the final one but hangs on one below it."""
    block = worked(chain.blocks[4], parent=block_id(chain.blocks[2].header))
    assert block.header.height > chain.ledger.final.height
    with pytest.raises(InvalidBlockError, match="bad_height"):
        chain.ledger.check_header(block.header, chain.now)


def test_check_header__time_is_after_the_median(chain):
    """Of the last eleven, or of all when there are fewer; here nine with genesis."""
    times = sorted(chain.ledger.header(height).time_ms for height in range(9))
    block = chain.next_block(12)
    with pytest.raises(InvalidBlockError, match="bad_time"):
        chain.ledger.check_header(worked(block, time_ms=times[4]).header, chain.now)
    assert chain.ledger.check_header(worked(block, time_ms=times[4] + 1).header, chain.now) is HeaderStatus.NEW


def test_contracts_see_ids_of_final_blocks_only(chain):
    """A child of the head makes the block `finality_depth` below it final, and may use its id as chance."""
    replica = chain.ledger._replica
    head = replica.tree.head
    assert head.height == 8
    for height in range(6):
        assert replica.final_id(head, height) == block_id(chain.ledger.header(height))
    assert [replica.final_id(head, height) for height in (6, 7, 8, 9, 100)] == [None] * 5
    before = replica.tree.get(head.header.parent)
    assert replica.final_id(before, 4) is not None and replica.final_id(before, 5) is None


def test_too_early_is_taken_when_its_time_comes():
    chain = Chain()
    chain.now += 10_000
    block = chain.next_block(12)
    early = block.header.time_ms - chain.network.genesis.ledger.max_future_ms - 5
    assert chain.ledger.receive_block(b"x", block, early) == []
    assert chain.ledger.next_deadline_ms() == early + 5
    assert not any(isinstance(effect, Committed) for effect in chain.ledger.tick(early + 4))
    assert any(isinstance(effect, Committed) for effect in chain.ledger.tick(early + 5))


def test_blocks_in_any_order():
    """A child waits for its parent."""
    chain = Chain()
    late = PowLedger(chain.network)
    for block in reversed(chain.blocks):
        late.receive_block(b"x", block, chain.now)
    assert late.head == chain.ledger.head


def test_receive_block__another_body_does_not_spoil_the_header(chain):
    """Who swaps the body of a good block for another keeps nobody from taking the good one."""
    block = chain.next_block(12, transfer(chain.network, 1, 0))
    fresh = PowLedger(chain.network)
    for known in chain.blocks:
        fresh.receive_block(b"x", known, chain.now)
    with pytest.raises(InvalidBlockError, match="transactions_root"):
        fresh.receive_block(b"x", msgspec.structs.replace(block, transactions=()), chain.now)
    forged = msgspec.structs.replace(block.transactions[0], signature=bytes(64))
    with pytest.raises(InvalidBlockError, match="transactions_root"):
        fresh.receive_block(b"x", msgspec.structs.replace(block, transactions=(forged,)), chain.now)
    fresh.receive_block(b"x", block, chain.now)
    assert fresh.head == block.header


@pytest.mark.parametrize("root", ["state_root", "receipts_root"])
def test_receive_block__reject_wrong_root(chain, root):
    """And the header is known to be bad from then on, and so is nothing built on it."""
    block = worked(chain.next_block(12, transfer(chain.network, 1, 0)), **{root: bytes(32)})
    before = chain.ledger.statistics()
    with pytest.raises(InvalidBlockError, match=root):
        chain.ledger.receive_block(b"x", block, chain.now)
    with pytest.raises(InvalidBlockError, match=root):
        chain.ledger.check_header(block.header, chain.now)
    assert chain.ledger.statistics() == before


def test_quota_stops_a_lone_miner():
    """Two of any four blocks: the third in a row is nobody's to make, and `mine` tries no nonce."""
    network = found(**RULES)
    ledger = PowLedger(network, producer=account(11))
    for turn in range(50):
        ledger.mine(100, GENESIS_MS + 10_000 * turn)
    assert ledger.head.height == 2
    attempts = ledger.statistics().attempts
    ledger.mine(1_000, GENESIS_MS + 1_000_000)
    assert ledger.statistics().attempts == attempts


def test_replicas_agree_with_and_without_shared_execution():
    chain = Chain()
    chain.blocks.append(chain.next_block(12, transfer(chain.network, 1, 0)))
    roots = set()
    for shared in (True, False):
        APPLIED.clear()
        APPLIED.enabled = shared
        try:
            for _ in range(2):
                replica = PowLedger(chain.network)
                for block in chain.blocks:
                    replica.receive_block(b"x", block, chain.now)
                roots.add((replica.head_id, replica.state.root, replica.receipts(9)))
        finally:
            APPLIED.enabled = True
    assert len(roots) == 1
