"""What every store must do. A test module subclasses `StoreConformance` and says how to open one."""

import dataclasses

import msgspec
import pytest

from chain.codec import block_id, transaction_id
from chain.errors import StoreError
from chain.ledger import Save
from chain.ledgers.pow.config import PowConfig
from chain.ledgers.pow.ledger import PowLedger
from chain.snapshot import state_chunks
from tests.chain.pow.founding import GENESIS_MS, account, found, transfer

CONFIG = PowConfig(snapshot_interval=4, kept_blocks=2)


def saves_of(effects):
    return [effect for effect in effects if isinstance(effect, Save)]


class Branches:
    """Two miners of one network who do not hear of each other until told; what they want saved."""

    def __init__(self):
        self.network = found(initial_difficulty=2, finality_depth=4)
        self.now = GENESIS_MS
        self.ledgers = [PowLedger(self.network, producer=account(50 + n), config=CONFIG) for n in range(2)]
        self.nonces = [0, 0]
        self.mined = [{}, {}]

    def mine(self, who, blocks=1, pay=True):
        """Mine `blocks` blocks; return their saves."""
        ledger = self.ledgers[who]
        saves = []
        for _ in range(blocks):
            self.now += 10_000
            if pay:
                ledger.submit(transfer(self.network, 1 + who, self.nonces[who]), self.now)
                self.nonces[who] += 1
            height = ledger.head.height
            while ledger.head.height == height:
                saves += saves_of(ledger.mine(1, self.now))
            self.mined[who][height + 1] = saves[-1].blocks[-1][0]
        return saves

    def tell(self, who, start, stop):
        """Give `who` the other's blocks at these heights; return the saves."""
        ledger, blocks = self.ledgers[who], self.mined[1 - who]
        saves = []
        for height in range(start, stop + 1):
            saves += saves_of(ledger.receive_block(b"x", blocks[height], self.now))
        return saves


def dressed(save, sealed):
    """The save, its blocks with evidence and a seal as long as they are high; note them in `sealed` by height."""
    blocks = []
    for block, receipts in save.blocks:
        height = block.header.height
        evidence = tuple(bytes([height, place]) * 400 for place in range(len(block.transactions)))
        sealed[height] = msgspec.structs.replace(block, evidence=evidence, seal=b"seal %02d" % height * 10 * height)
        blocks.append((sealed[height], receipts))
    return dataclasses.replace(save, blocks=tuple(blocks))


class StoreConformance:
    """Subclasses define the fixture `open_store`: (keep_blocks=None) → a store, the same one again when called again."""

    @pytest.fixture
    def branches(self):
        return Branches()

    def test_empty(self, open_store):
        store = open_store()
        assert store.load() is None
        assert store.header(1) is None and store.block_at(1) is None
        assert store.locate(bytes(32)) is None and store.block(bytes(32)) is None
        assert store.events() == []

    def test_saved_is_found(self, open_store, branches):
        store = open_store()
        for save in branches.mine(0, 3):
            store.save(save)
        ledger = branches.ledgers[0]
        for height in range(1, 4):
            block, receipts = ledger.block(height), ledger.receipts(height)
            stored = store.block_at(height)
            assert (stored.block, stored.receipts) == (block, receipts)
            assert store.block(block_id(block.header)) == stored
            assert store.header(height) == block.header
            assert store.locate(transaction_id(block.transactions[0])) == (block_id(block.header), 0)
        assert store.block_at(0) is None and store.block_at(4) is None

    def test_saving_twice_changes_nothing(self, open_store, branches):
        store = open_store()
        saves = branches.mine(0, 3)
        for save in [*saves, saves[-1]]:
            store.save(save)
        assert [block.header.height for block, _ in store.load().blocks] == [1, 2, 3]
        assert len(store.events()) == 3

    def test_look_ups_follow_the_best_chain(self, open_store, branches):
        store = open_store()
        for save in branches.mine(0, 2):
            store.save(save)
        lost = branches.ledgers[0].block(2)
        branches.mine(1, 4)
        for save in branches.tell(0, 1, 4):
            store.save(save)
        ledger = branches.ledgers[0]
        assert ledger.head_id == branches.ledgers[1].head_id
        assert store.block(block_id(lost.header)) is None
        assert store.locate(transaction_id(lost.transactions[0])) is None
        assert [store.block_at(height).block for height in range(1, 5)] == [ledger.block(h) for h in range(1, 5)]
        assert [event.height for event in store.events()] == [1, 2, 3, 4]
        loaded = store.load()
        assert len(loaded.blocks) == 6 and loaded.head == ledger.head_id  # the lost branch may come back yet

    def test_lost_branches_are_forgotten_when_final(self, open_store, branches):
        store = open_store()
        for save in branches.mine(0, 2):
            store.save(save)
        branches.mine(1, 5)
        saves = branches.tell(0, 1, 5)
        branches.mine(1, 3)
        for save in saves + branches.tell(0, 6, 8):
            store.save(save)
        loaded = store.load()
        best = [branches.mined[1][height] for height in range(1, 9)]
        assert loaded.final_height == 4
        assert [header.height for header in loaded.headers] == [1, 2, 3, 4]
        assert [block for block, _ in loaded.blocks] == best[4:]
        assert store.block_at(1).block == best[0]

    def test_load_gives_the_last_snapshot(self, open_store, branches):
        store = open_store()
        for save in branches.mine(0, 11):
            store.save(save)
        loaded = store.load()
        assert loaded.headers == tuple(branches.ledgers[0].header(height) for height in range(1, 5))
        assert loaded.snapshot.root == branches.ledgers[0].header(4).state_root
        assert [block.header.height for block, _ in loaded.blocks] == list(range(5, 12))
        assert loaded.final_height == 7

    @pytest.mark.parametrize("blocks", [1, 5, 23])
    def test_restart_is_where_it_was(self, open_store, branches, blocks):
        store = open_store()
        branches.mine(1, 2)
        for save in branches.mine(0, blocks) + branches.tell(0, 1, 2):
            store.save(save)
        before = branches.ledgers[0]
        store = open_store()
        again = PowLedger(branches.network, config=CONFIG, loaded=store.load(), archive=store)
        assert again.head_id == before.head_id
        assert again.final == before.final
        assert again.state.root == before.state.root
        assert list(state_chunks(again.final_state)) == list(state_chunks(before.final_state))
        for height in range(1, before.head.height + 1):
            block, receipts = again.block(height), again.receipts(height)
            assert block in (branches.mined[0].get(height), branches.mined[1].get(height))
            assert again.receipt(transaction_id(block.transactions[0])) == (block, receipts[0], 0)

    def test_restarted_twin_behaves_the_same(self, open_store, branches):
        """What follows a restart is what would have followed without it."""
        store = open_store()
        for save in branches.mine(0, 9):
            store.save(save)
        again = PowLedger(branches.network, config=CONFIG, loaded=store.load(), archive=store)
        branches.mine(0, 9)
        for height in range(10, 19):
            again.receive_block(b"x", branches.mined[0][height], branches.now)
        assert again.head_id == branches.ledgers[0].head_id
        assert again.final_state.root == branches.ledgers[0].final_state.root

    @pytest.mark.parametrize("keep, gone", [(0, 8), (2, 8), (3, 7), (9, 1), (50, 0)])
    def test_pruning_leaves_headers_alone(self, open_store, branches, keep, gone):
        """14 blocks, 10 of them final, the state of block 8 is kept: what is above it stays for the next start."""
        store = open_store(keep_blocks=keep)
        for save in branches.mine(0, 14):
            store.save(save)
        ledger = branches.ledgers[0]
        assert (store.load().final_height, len(store.load().headers)) == (10, 8)
        assert [store.header(height) for height in range(1, 15)] == [ledger.header(height) for height in range(1, 15)]
        assert [h for h in range(1, 15) if store.block_at(h) is not None] == list(range(gone + 1, 15))
        assert [event.height for event in store.events()] == list(range(gone + 1, 15))
        for height in range(1, 15):
            block = branches.mined[0][height]
            found = None if height <= gone else (block_id(block.header), 0)
            assert store.locate(transaction_id(block.transactions[0])) == found
            assert (store.block(block_id(block.header)) is None) == (found is None)

    def test_restart_after_pruning_is_where_it_was(self, open_store, branches):
        store = open_store(keep_blocks=0)
        for save in branches.mine(0, 14):
            store.save(save)
        store = open_store(keep_blocks=0)
        again = PowLedger(branches.network, config=CONFIG, loaded=store.load(), archive=store)
        assert again.head_id == branches.ledgers[0].head_id
        assert again.final_state.root == branches.ledgers[0].final_state.root
        assert again.block(3) is None and again.header(3) == branches.mined[0][3].header

    def test_evidence_and_seal_are_kept(self, open_store, branches):
        """A store does not judge: other ledgers than this suite's have both."""
        store = open_store()
        sealed = {}
        for save in branches.mine(0, 6):
            store.save(dressed(save, sealed))
        store = open_store()
        assert len(sealed) == 6
        for height, block in sealed.items():
            assert store.block_at(height).block == store.block(block_id(block.header)).block == block
            assert (len(block.evidence), len(block.seal)) == (1, 70 * height)
        loaded = store.load()
        assert [header.height for header in loaded.headers] == []
        assert [block for block, _ in loaded.blocks] == list(sealed.values())

    @pytest.mark.parametrize("keep, gone", [(0, 8), (3, 7)])
    def test_pruning_drops_evidence_and_seal(self, open_store, branches, keep, gone):
        store = open_store(keep_blocks=keep)
        sealed = {}
        for save in branches.mine(0, 14):
            store.save(dressed(save, sealed))
        store = open_store(keep_blocks=keep)
        assert [store.header(height) for height in sealed] == [block.header for block in sealed.values()]
        kept = [stored.block for height in range(1, 15) if (stored := store.block_at(height)) is not None]
        assert kept == [sealed[height] for height in range(gone + 1, 15)]
        assert [block for block, _ in store.load().blocks] == [sealed[height] for height in range(9, 15)]

    def test_events_are_filtered_and_paged(self, open_store, branches):
        store = open_store()
        for save in branches.mine(0, 5):
            store.save(save)
        everything = store.events(limit=1_000)
        assert [(event.height, event.index, event.position) for event in everything] == [(h, 0, 0) for h in range(1, 6)]
        assert everything[0].transaction == transaction_id(branches.ledgers[0].block(1).transactions[0])
        assert store.events(contract="accounts", name="transferred") == everything
        assert store.events(name="transferred", since_height=4) == everything[3:]
        assert store.events(limit=2) == everything[:2]
        assert store.events(contract="spatial") == [] and store.events(name="nothing") == []
        for limit in (0, 1_001):
            with pytest.raises(StoreError):
                store.events(limit=limit)
