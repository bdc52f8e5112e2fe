"""Joining by a state: what is kept of it over restarts, and what is served to others."""

import dataclasses

import pytest

from chain.codec import block_id, decode_own, encode
from chain.errors import MalformedError, StoreError
from chain.ledger import Save
from chain.ledgers.ordered.agreement import attest
from chain.ledgers.ordered.deliver import (
    GetHeaders,
    GetSnapshot,
    GetState,
    GetStatus,
    Snapshot,
    State,
    decode_response,
)
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.sqlite_store import SqliteStore
from chain.store import MemoryStore
from chain.sync import MAX_HEADERS
from tests.chain.ordered.joining import (
    CONFIG,
    PRUNED,
    ask,
    check_joined,
    long_chain,
    meeting,
    replica,
    started,
)
from tests.chain.ordered.lab import peer_signer
from tests.chain.ordered.wire import Honest, chain_of


@pytest.fixture
def history():
    return long_chain()


# --- stores ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite"])
def reopen(request, tmp_path, history):
    """A function that returns the store, opened anew."""
    kept, opened = MemoryStore(keep_blocks=4), []

    def open_store():
        if request.param == "memory":
            return kept
        while opened:
            opened.pop().close()
        opened.append(SqliteStore(tmp_path / "peer.db", history[0].network.id, keep_blocks=4))
        return opened[-1]

    yield open_store
    while opened:
        opened.pop().close()


class Kept:
    """Carries saves out, each before what comes after it."""

    def __init__(self, wire, store):
        self.wire, self.store, self.saved = wire, store, 0

    def catch_up(self):
        effects = self.wire.effects[0]
        for effect in effects[self.saved :]:
            if isinstance(effect, Save):
                self.store.save(effect)
        self.saved = len(effects)


@pytest.mark.parametrize("begun", [0, 20])
def test_killed_at_any_time_it_joins_all_the_same(history, reopen, begun):
    """With nothing, or with blocks; every 60 ms, in the midst of statuses, words, chunks, headers and blocks."""
    lab, blocks = history
    store = reopen()
    if begun:
        ledger = started(lab, store)
        for block in blocks[:begun]:
            for effect in ledger.receive_block(b"\xff", block, lab.now):
                if isinstance(effect, Save):
                    store.save(effect)
    servers = [(Honest, "org2"), (Honest, "org3")]
    for patience_ms in range(0, 1_200, 60):
        joiner = started(lab, reopen())
        wire = meeting(history, servers, joiner=joiner, seed=patience_ms, late_ms=30)
        kept = Kept(wire, reopen_same(joiner))
        wire.run(lab.now + patience_ms)
        kept.catch_up()
    check_joined(wire, lab, joiner)
    last = started(lab, reopen())
    check_joined(wire, lab, last)
    assert last.block(begun or 1) is None and last.block(107) == blocks[106]
    status = decode_response(GetStatus(), last.answer(b"x", encode(GetStatus())))
    assert (status.snapshot, status.oldest) == (96, 97)
    # Who joined by it serves it to the next one, after a restart too.
    wire = meeting(history, servers[:1], joiner=lab.ledger(peer_signer("org3"), config=CONFIG))
    wire.nodes[2] = Honest(last)
    for one, other in ((0, 2), (2, 0)):
        wire.effects.setdefault(one, [])
        wire.carry(one, wire.nodes[one].ledger.peer_up(bytes([other]), wire.now))
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)


def reopen_same(ledger):
    return ledger._history._archive


def test_store_that_was_tampered_with_after_a_jump_is_not_opened(history):
    lab, _ = history
    store = MemoryStore()
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3")], joiner=started(lab, store))
    kept = Kept(wire, store)
    wire.run(lab.now + 5_000)
    kept.catch_up()
    assert started(lab, store).state.root == lab.root
    loaded = store.load()
    for changes in ({"headers": loaded.headers[1:]}, {"headers": loaded.headers[:-1]}, {"blocks": loaded.blocks[1:]}):
        with pytest.raises(StoreError):
            OrderedLedger(lab.network, loaded=dataclasses.replace(loaded, **changes))


# --- serving --------------------------------------------------------------------------------------------------------


def test_what_is_served_is_bounded(history):
    lab, blocks = history
    ledger = replica(lab, "org2", blocks, PRUNED)
    status = ask(ledger, GetStatus())
    assert (status.height, status.oldest, status.snapshot) == (107, 92, 96)
    assert ask(ledger, GetHeaders(2**63 - 1)).headers == () == ask(ledger, GetHeaders(108)).headers
    assert [one.height for one in ask(ledger, GetHeaders(100)).headers] == list(range(100, 108))
    for height, chunks in ((96, 4), (80, 4), (64, 0), (95, 0), (107, 0), (2**63 - 1, 0)):
        assert ask(ledger, GetSnapshot(height, 0)).count == chunks
    assert ask(ledger, GetSnapshot(96, 4)) == ask(ledger, GetSnapshot(96, 2**63 - 1)) == Snapshot(4, b"")
    with pytest.raises(MalformedError, match="does not answer"):
        decode_response(GetStatus(), ledger.answer(b"x", encode(GetSnapshot(96, 0))))


def test_headers_come_in_bulk():
    lab, _ = chain_of(MAX_HEADERS + 40)
    headers = ask(lab.one, GetHeaders(1)).headers
    assert [one.height for one in headers] == list(range(1, MAX_HEADERS + 1))
    wire = meeting((lab, [lab.one.block(height) for height in range(1, MAX_HEADERS + 41)]), [(Honest, "org2"), (Honest, "org3")])  # fmt: skip
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)
    assert wire.asked[0, "GetHeaders"] == 2


def test_who_does_not_believe_itself_serves_no_state(history):
    lab, blocks = history
    ledger = replica(lab, "org2", blocks)
    head = lab.one.header(96)
    for name in ("org1", "org3"):
        signed = attest(peer_signer(name), 96, block_id(head), bytes(32))
        said = State(96, block_id(head), bytes(32), signed)
        ledger.answered(name.encode(), encode(GetState(96)), encode(said), lab.now)
    assert ledger.diverged
    assert ask(ledger, GetStatus()).snapshot == 0 and ask(ledger, GetSnapshot(96, 0)) == Snapshot(0, b"")
    assert ask(ledger, GetState(96)).attestation is None


def test_attested_heights_are_those_that_are_served_too(history):
    """Longer than roots of late blocks are remembered; and after a restart, when none of them are."""
    lab, blocks = history
    store = MemoryStore()
    ledger = started(lab, store)
    for block in blocks:
        for effect in ledger.receive_block(b"\xff", block, lab.now):
            if isinstance(effect, Save):
                store.save(effect)
    again = started(lab, store)
    assert ask(again, GetState(96)).attestation is not None and ask(again, GetState(95)).attestation is None
    assert ask(again, GetState(96)) == ask(ledger, GetState(96))
    assert decode_own(int, again.state.get(b"cabinet/a")) == 90
