"""What comes before its parent or its time waits, in bounded room, and is taken in when it can be."""

from random import Random

import pytest

from chain.codec import block_id
from chain.ledger import Committed, Penalise
from chain.ledgers.pow.ledger import PowLedger
from chain.ledgers.pow.orphans import MAX_ORPHAN_BYTES, MAX_ORPHANS, MAX_PER_PEER, Orphans
from chain.transition import APPLIED
from chain.values import Block, Header, Transaction
from tests.chain.pow.forge import LATER, Forge
from tests.chain.pow.founding import GENESIS_MS, found


@pytest.fixture(scope="module")
def forge():
    return Forge(found(initial_difficulty=4, finality_depth=200))


@pytest.fixture(scope="module")
def line(forge):
    """A chain of blocks, lowest first, and one more than may wait."""
    return [forge.blocks[found] for found in forge.line(MAX_ORPHANS + 1)]


def orphan(number, height=9, parent=None, size=0):
    zero = bytes(32)
    header = Header(1, height, parent or number.to_bytes(32, "big"), 0, zero, zero, zero, zero, 1, number)
    filler = Transaction(zero, zero, 0, "a", "b", bytes(size), bytes(64))
    return Block(header, (filler,) if size else (), (), b"")


def kept(pool):
    return [waiting.block.header.nonce for waiting in pool]


def test_pool__is_bounded_and_lets_the_oldest_of_the_greediest_go():
    pool = Orphans()
    for number in range(3 * MAX_ORPHANS):
        block = orphan(number)
        pool.keep(block_id(block.header), block, bytes([number % 5]))
    assert len(pool) == MAX_ORPHANS
    assert min(kept(pool)) >= 2 * MAX_ORPHANS - 5


def test_pool__one_peer_pushes_out_its_own_only():
    pool = Orphans()
    for number in range(10):
        pool.keep(block_id(orphan(number).header), orphan(number), b"honest")
    for number in range(100, 1_000):
        pool.keep(block_id(orphan(number).header), orphan(number), b"flood")
    assert kept(pool)[:10] == list(range(10))
    assert len(pool) == 10 + MAX_PER_PEER


def test_pool__a_crowd_of_peers_leaves_a_small_one_its_place():
    pool = Orphans()
    for number in range(10):
        pool.keep(block_id(orphan(number).header), orphan(number), b"honest")
    for number in range(100, 1_000):
        pool.keep(block_id(orphan(number).header), orphan(number), bytes([number % 8]))
    assert kept(pool)[:10] == list(range(10))
    assert len(pool) == MAX_ORPHANS


def test_pool__is_bounded_in_bytes():
    pool = Orphans()
    size = MAX_ORPHAN_BYTES // 20
    for number in range(60):
        pool.keep(block_id(orphan(number, size=size).header), orphan(number, size=size), bytes([number % 7]))
    assert len(pool) == 19
    assert min(kept(pool)) >= 30  # the newest


def test_pool__finds_children_and_forgets_all_of_what_left():
    pool, parent = Orphans(), b"\7" * 32
    blocks = [orphan(number, parent=parent) for number in range(5)]
    for block in [*blocks, *blocks]:
        pool.keep(block_id(block.header), block, b"peer")
    assert [waiting.block for waiting in pool.children(parent)] == blocks
    for waiting in pool:
        pool.remove(waiting.id)
        pool.remove(waiting.id)
    assert not len(pool) and pool.children(parent) == []
    assert not pool._children and not pool._of_peer and pool._bytes == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_chain_in_any_order_is_taken_in(forge, line, seed):
    """From peers of which none sends more than it may have waiting."""
    blocks = line[:MAX_ORPHANS]
    ledger = PowLedger(forge.network)
    for number, block in enumerate(Random(seed).sample(blocks, len(blocks))):
        ledger.receive_block(bytes([number % 4]), block, LATER)
    assert ledger.head == blocks[-1].header
    assert not len(ledger._replica._orphans)


def test_a_whole_pool_in_reverse(forge, line):
    ledger = PowLedger(forge.network)
    for number, block in enumerate(reversed(line[1:MAX_ORPHANS])):
        assert ledger.receive_block(bytes([number % 4]), block, LATER) == []
    effects = ledger.receive_block(b"x", line[0], LATER)
    committed = [effect.block for effect in effects if isinstance(effect, Committed)]
    assert committed == line[:MAX_ORPHANS]


def test_what_cannot_be_of_use_is_not_kept(forge, line):
    """Too far above, too far ahead, too cheap."""
    ledger = PowLedger(forge.network)
    pool = ledger._replica._orphans
    far = forge.blocks[forge.mine(block_id(line[-1].header))]
    future = GENESIS_MS + 2 * ledger.network.genesis.ledger.max_future_ms
    near = forge.blocks[forge.mine(forge.network.id, time_ms=future)]
    beyond = forge.blocks[forge.mine(forge.network.id, time_ms=future + 1)]
    ledger.receive_block(b"x", far, LATER)
    ledger.receive_block(b"x", beyond, GENESIS_MS)
    assert len(pool) == 0
    ledger.receive_block(b"x", near, GENESIS_MS)
    assert block_id(near.header) in pool
    ledger.receive_block(b"x", line[-1], LATER)
    assert block_id(line[-1].header) not in pool  # 129 above
    ledger.receive_block(b"x", line[-2], LATER)
    assert block_id(line[-2].header) in pool


def test_cheap_blocks_do_not_wait():
    dear = Forge(found(initial_difficulty=64, finality_depth=200))
    ledger = PowLedger(dear.network)
    first = dear.mine(dear.network.id)
    ledger.receive_block(b"x", dear.blocks[first], LATER)
    assert ledger.head.difficulty == 64
    for difficulty, waits in ((3, False), (4, True)):
        cheap = dear.blocks[dear.mine(first, parent=bytes(32), difficulty=difficulty)]
        ledger.receive_block(b"x", cheap, LATER)
        assert (block_id(cheap.header) in ledger._replica._orphans) == waits


def test_who_sent_a_waiting_block_answers_for_it(forge):
    """It could not be judged when it came; when it can, its sender is penalised, not who sent the parent."""
    ledger = PowLedger(forge.network)
    first = forge.mine(forge.network.id, producer=60)
    bad = forge.blocks[forge.mine(first, state_root=bytes(32))]
    after = forge.blocks[forge.mine(first)]
    assert ledger.receive_block(b"liar", bad, LATER) == []
    assert ledger.receive_block(b"honest", after, LATER) == []
    APPLIED.clear()
    effects = ledger.receive_block(b"other", forge.blocks[first], LATER)
    (penalty,) = [effect for effect in effects if isinstance(effect, Penalise)]
    assert penalty.peer == b"liar" and "state_root" in penalty.reason
    assert ledger.head == after.header


def test_what_is_too_late_is_forgotten():
    """An orphan at a height that is final by now."""
    forge = Forge(found(initial_difficulty=4, finality_depth=3))
    side = forge.mine(forge.mine(forge.network.id, producer=60), producer=61)
    line = forge.line(6)
    ledger = PowLedger(forge.network)
    ledger.receive_block(b"x", forge.blocks[side], LATER)
    assert side in ledger._replica._orphans
    for number, found_id in enumerate(line, start=1):
        ledger.receive_block(b"x", forge.blocks[found_id], LATER)
        assert (side in ledger._replica._orphans) == (number < 5)  # then height 2 is final
