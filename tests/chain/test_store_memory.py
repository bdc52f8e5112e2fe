import pytest

from chain.store import MemoryStore
from tests.chain.store_conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def open_store(self):
        store = MemoryStore()
        return lambda: store
