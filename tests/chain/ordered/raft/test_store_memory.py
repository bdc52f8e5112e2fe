import pytest

from chain.ledgers.ordered.raft.store import MemoryRaftStore
from tests.chain.ordered.raft.store_conformance import RaftStoreConformance


class TestMemoryRaftStore(RaftStoreConformance):
    @pytest.fixture
    def open_store(self):
        store = MemoryRaftStore()
        return lambda: store
