"""What every Raft store must do. A test module subclasses `RaftStoreConformance` and says how to open one."""

from random import Random

import pytest

from chain.codec import encode
from chain.errors import StoreError
from chain.ledgers.ordered.raft.events import Persist
from chain.ledgers.ordered.raft.messages import Configuration, Entry, HardState, Kind, Snapshot
from chain.ledgers.ordered.raft.store import Stored

CONFIGURATION = Configuration((bytes(32), b"\x01" * 32), ())


def entry(term, data=b"x"):
    return Entry(term, 0, data)


def snapshot(index, term=1):
    return Snapshot(index, term, CONFIGURATION, b"height %d" % index)


def saved(hard_state=None, snapshot=None, first=None, entries=()):
    return Persist(hard_state, snapshot, first, tuple(entries))


class RaftStoreConformance:
    """Subclasses define the fixture `open_store`: () → a store, the same one again when called again."""

    def test_nothing_was_kept(self, open_store):
        open_store()
        assert open_store().load() is None

    def test_everything_is_kept(self, open_store):
        store = open_store()
        entries = (
            entry(1, bytes(10_000)),
            Entry(2, Kind.NOOP, b""),
            Entry(2, Kind.CONFIGURATION, encode(CONFIGURATION)),
        )
        store.persist(saved(HardState(2**63 - 1, b"\x01" * 32), None, 1, entries))
        assert open_store().load() == Stored(HardState(2**63 - 1, b"\x01" * 32), None, entries)

    def test_what_is_not_said_stays(self, open_store):
        store = open_store()
        store.persist(saved(HardState(3, b"\x01" * 32)))
        store.persist(saved(None, None, 1, [entry(3)]))
        store.persist(saved(HardState(4, b"")))
        assert open_store().load() == Stored(HardState(4, b""), None, (entry(3),))

    def test_entries_replace_all_from_their_place_on(self, open_store):
        store = open_store()
        store.persist(saved(None, None, 1, [entry(1), entry(1), entry(1)]))
        store.persist(saved(None, None, 2, [entry(2)]))
        assert store.load().entries == (entry(1), entry(2))
        store.persist(saved(None, None, 2, []))
        assert open_store().load().entries == (entry(1),)

    def test_a_snapshot_replaces_entries_up_to_it(self, open_store):
        store = open_store()
        store.persist(saved(None, None, 1, [entry(1, b"%d" % n) for n in range(1, 6)]))
        store.persist(saved(None, snapshot(3)))
        assert store.load().snapshot == snapshot(3)
        assert store.load().entries == (entry(1, b"4"), entry(1, b"5"))
        store.persist(saved(None, None, 6, [entry(2)]))
        assert open_store().load().entries == (entry(1, b"4"), entry(1, b"5"), entry(2))

    def test_a_snapshot_may_replace_the_whole_log(self, open_store):
        store = open_store()
        store.persist(saved(None, None, 1, [entry(1)]))
        store.persist(saved(HardState(5, b""), snapshot(9, 4), 10))
        assert open_store().load() == Stored(HardState(5, b""), snapshot(9, 4), ())
        open_store().persist(saved(None, None, 10, [entry(5)]))
        assert open_store().load().entries == (entry(5),)

    @pytest.mark.parametrize(
        "wrong",
        [
            saved(None, None, 5, [entry(2)]),
            saved(None, None, 2, [entry(2)]),
            saved(None, snapshot(1)),
            saved(None, snapshot(4), 4, [entry(1)]),
            saved(HardState(9, b""), None, None, [entry(2)]),
        ],
        ids=["gap", "compacted", "older snapshot", "below its snapshot", "no place"],
    )
    def test_persist__rejects_what_leaves_a_gap__and_keeps_nothing_of_it(self, open_store, wrong):
        store = open_store()
        store.persist(saved(HardState(1, b""), snapshot(2), 3, [entry(1)]))
        with pytest.raises(StoreError):
            store.persist(wrong)
        assert open_store().load() == Stored(HardState(1, b""), snapshot(2), (entry(1),))

    def test_any_sequence_does_what_a_plain_list_does(self, open_store):
        rng = Random(3)
        store = open_store()
        log, base, term = [], 0, 1
        for _ in range(200):
            first = rng.randint(base + 1, base + len(log) + 1)
            fresh = [entry(term, rng.randbytes(3)) for _ in range(rng.randint(0, 4))]
            log[first - base - 1 :] = fresh
            store.persist(saved(HardState(term, b""), None, first, fresh))
            if log and rng.random() < 0.2:
                keep = rng.randint(1, len(log))
                base, log = base + keep, log[keep:]
                store.persist(saved(None, snapshot(base)))
            if rng.random() < 0.1:
                store = open_store()
            term += rng.random() < 0.3
            assert store.load().entries == tuple(log)
