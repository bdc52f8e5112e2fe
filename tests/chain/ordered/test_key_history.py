"""The history of a key: every valid write, latest first, and nothing of what failed."""

import pytest

from chain.codec import encode
from chain.contract import state_key
from chain.ledger import Save
from chain.ledgers.ordered.key_history import key_history
from chain.ledgers.ordered.ledger import OrderedConfig
from chain.store import MemoryStore
from tests.chain.ordered.lab import Consortium, peer_signer

KEY = state_key("cabinet", b"a")


@pytest.fixture
def lab():
    lab = Consortium()
    stale = lab.call("increment", b"a")
    lab.run("put", b"a", 1)
    assert lab.commit(stale, lab.call("put", b"b", 7)) == ["MVCC_READ_CONFLICT", "VALID"]
    lab.run("put", b"a", 2)
    lab.run("delete", b"a")
    lab.run("put", b"a", 3)
    return lab


def test_every_valid_write_latest_first(lab):
    found = list(key_history(lab.one, KEY, limit=10))
    assert [write.value for write in found] == [encode(3), None, encode(2), encode(1)]
    assert found[0].version == lab.one.state.version(KEY)
    for write in found:
        block, receipt, index = lab.one.receipt(write.transaction)
        assert receipt.ok and (block.header.height, index) == write.version
        assert block.header.time_ms == write.time_ms


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_no_more_than_asked_for(lab, limit):
    assert len(list(key_history(lab.one, KEY, limit=limit))) == limit


def test_no_further_back_than_asked_for(lab):
    assert [write.value for write in key_history(lab.one, KEY, limit=10, blocks=2)] == [encode(3), None]


def test_a_key_that_nobody_wrote_has_none(lab):
    assert list(key_history(lab.one, state_key("cabinet", b"never"), limit=10)) == []


def test_older_bodies_come_from_the_archive(lab):
    """A replica that keeps few blocks in memory tells the same."""
    store = MemoryStore()
    few = lab.ledger(peer_signer("org1"), archive=store, config=OrderedConfig(kept_blocks=1))
    for height in range(1, lab.one.head.height + 1):
        for effect in few.receive_block(b"x", lab.one.block(height), lab.now):
            if isinstance(effect, Save):
                store.save(effect)
    assert list(key_history(few, KEY, limit=10)) == list(key_history(lab.one, KEY, limit=10))
