import pytest

from chain.store import MemoryStore
from tests.chain.store_conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def open_store(self):
        stores = {}
        return lambda keep_blocks=None: stores.setdefault(keep_blocks, MemoryStore(keep_blocks=keep_blocks))
