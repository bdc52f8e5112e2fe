"""Joining by a state: whoever lacks too much, or what nobody has any more, ends where the others are, whatever some peers tell it."""

import dataclasses
from random import Random

import pytest
from msgspec.structs import replace

from chain.codec import block_id, decode_own, encode, transaction_id
from chain.errors import MalformedError, StoreError
from chain.ledger import Committed, Diverged, Dropped, Jumped, Save
from chain.ledgers.ordered.agreement import attest
from chain.ledgers.ordered.deliver import (
    Blocks,
    GetBlocks,
    GetHeaders,
    GetSnapshot,
    GetState,
    GetStatus,
    Headers,
    Snapshot,
    State,
    decode_request,
    decode_response,
)
from chain.ledgers.ordered.ledger import OrderedConfig, OrderedLedger
from chain.ledgers.ordered.update import revoke, with_organisation, without_organisation
from chain.snapshot import state_chunks
from chain.sqlite_store import SqliteStore
from chain.store import MemoryStore
from chain.sync import MAX_HEADERS
from tests.chain.ordered.lab import TTL_MS, Consortium, account, peer_signer
from tests.chain.ordered.wire import Honest, Wire, chain_of

CONFIG = OrderedConfig(status_interval_ms=500, snapshot_interval=16, snapshot_gap=31)
PRUNED = dataclasses.replace(CONFIG, kept_blocks=16)
"""Without an archive, bodies that are no longer kept are gone."""


def filled(lab, calls):
    """Put so much into the state that it takes some chunks."""
    for first in range(0, calls, 4):
        lab.commit(*[lab.call("put_many", 100 * one, 100, 250) for one in range(first, first + 4)])
        lab.now += 10
    return lab


@pytest.fixture(scope="module")
def history():
    lab, blocks = chain_of(100, filled(Consortium(), 28))
    assert len(list(state_chunks(lab.one.state))) == 4
    return lab, blocks


def replica(lab, organisation, blocks, config=CONFIG):
    """A member's peer that has these blocks."""
    ledger = lab.ledger(peer_signer(organisation), config=config)
    for block in blocks:
        ledger.receive_block(b"\xff", block, lab.now)
    return ledger


def meeting(history, servers, *, joiner=None, seed=1, **wire):
    """A joiner, 0, and those it meets, from 1 on: pairs of a kind and an organisation."""
    lab, blocks = history
    joiner = joiner if joiner is not None else lab.ledger(peer_signer("org1"), config=CONFIG)
    nodes = [Honest(joiner), *(kind(replica(lab, name, blocks, PRUNED)) for kind, name in servers)]
    net = Wire(nodes, seed, now_ms=lab.now, **wire)
    net.link({(0, number) for number in range(1, len(nodes))})
    return net


def jumps(wire):
    return [effect.header.height for effect in wire.effects[0] if isinstance(effect, Jumped)]


def check_joined(wire, lab, joiner=None):
    joiner = joiner or wire.nodes[0].ledger
    assert (joiner.head_id, joiner.state.root) == (lab.one.head_id, lab.root)
    assert [joiner.header(height) for height in range(lab.one.head.height + 1)] == [
        lab.one.header(height) for height in range(lab.one.head.height + 1)
    ]


# --- among honest peers ---------------------------------------------------------------------------------------------


def test_who_lacks_too_much_takes_a_state_over(history):
    lab, blocks = history
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3")])
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)
    assert jumps(wire) == [96] and not wire.penalised
    joiner = wire.nodes[0].ledger
    assert joiner.block(96) is None and joiner.block(97) == blocks[96]
    assert joiner.receipt(transaction_id(blocks[0].transactions[0])) is None
    assert [e.block.header.height for e in wire.effects[0] if isinstance(e, Committed)] == list(range(97, 108))
    proposal = lab.propose(lab.transaction("increment", b"a"))
    assert joiner.endorse(proposal, lab.now).response == lab.one.endorse(proposal, lab.now).response
    (save,) = [effect for effect in wire.effects[0] if isinstance(effect, Save) and effect.headers]
    assert len(save.headers) == save.final_height == 96 and save.snapshot.root == lab.ledger_root_at_96
    assert max(wire.asked[0, name] for name in ("GetHeaders", "GetState")) <= 2


@pytest.fixture(autouse=True, scope="module")
def _known_root(history):
    lab, blocks = history
    lab.ledger_root_at_96 = replica(lab, "org1", blocks[:96]).state.root


def test_who_lacks_little_takes_the_blocks(history):
    lab, blocks = history
    joiner = replica(lab, "org1", blocks[: len(blocks) - 30])
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3")], joiner=joiner)
    for node in list(wire.nodes.values())[1:]:
        node.ledger = replica(lab, "org2", blocks)  # with all bodies
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)
    assert jumps(wire) == []


def test_who_lacks_little_that_nobody_has_takes_a_state_over(history):
    lab, blocks = history
    joiner = replica(lab, "org1", blocks[: len(blocks) - 20])
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3")], joiner=joiner)
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)
    assert jumps(wire) == [96]


def test_one_who_keeps_all_blocks_suffices_to_lose_none(history):
    """Of two who have let them go and one who has not, the last is asked."""
    lab, blocks = history
    joiner = replica(lab, "org1", blocks[: len(blocks) - 20])
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3"), (Honest, "org3")], joiner=joiner)
    wire.nodes[3].ledger = replica(lab, "org3", blocks)
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)
    assert jumps(wire) == []


@pytest.mark.parametrize("seed", range(4))
def test_over_a_wire_that_loses_and_delays(history, seed):
    lab, _ = history
    servers = [(Honest, name) for name in ("org2", "org3", "org2", "org3")]
    wire = meeting(history, servers, seed=seed, lost=0.25, late_ms=900)
    wire.run(lab.now + 90_000)
    check_joined(wire, lab)
    assert jumps(wire) == [96] and not wire.penalised
    before = sum(count for (_, name), count in wire.asked.items() if name != "GetStatus")
    wire.run(wire.now + 30_000)
    assert sum(count for (_, name), count in wire.asked.items() if name != "GetStatus") == before


def test_server_that_goes_away_is_replaced_by_another(history):
    lab, _ = history
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3")], late_ms=100)
    while wire.asked[0, "GetSnapshot"] < 3:
        wire.run(wire.now + 5)
    wire.nodes[1] = wire.nodes[2]  # what is asked of it now is lost with the link
    wire.carry(0, wire.nodes[0].ledger.peer_down(b"\1", wire.now))
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)
    assert jumps(wire) == [96] and not wire.penalised
    assert wire.asked[0, "GetSnapshot"] <= 5  # goes on with what it had


def test_chain_that_grows_meanwhile(history):
    """Servers keep the last two states: one that is fetched while a later one comes is still there."""
    lab, blocks = history
    wire = meeting((lab, blocks[:90]), [(Honest, "org2"), (Honest, "org3")], late_ms=200)
    for number, name in ((1, "org2"), (2, "org3")):
        wire.nodes[number].ledger = replica(lab, name, blocks[:90])
    for place, block in enumerate(blocks[90:]):
        wire.at(wire.now + 100 + 50 * place, wire.gossip, block, 1.0)
    wire.run(lab.now + 20_000)
    check_joined(wire, lab)
    assert jumps(wire) == [80]


# --- liars ----------------------------------------------------------------------------------------------------------


class WrongValue(Honest):
    """Gives a state in which somebody is rich."""

    def answer(self, request):
        answer = super().answer(request)
        asked = decode_request(request)
        if isinstance(asked, GetSnapshot):
            given = decode_response(asked, answer)
            if asked.chunk == 1:
                return encode(replace(given, data=given.data.replace(b"x" * 250, b"x" * 249 + b"y", 1)))
        return answer


class NoChunk(Honest):
    def answer(self, request):
        asked = decode_request(request)
        if isinstance(asked, GetSnapshot) and asked.chunk == 1:
            return encode(Snapshot(2, b"no chunk"))
        return super().answer(request)


class FewerChunks(Honest):
    """Says that there are fewer, and gives the first ones."""

    def answer(self, request):
        asked = decode_request(request)
        answer = super().answer(request)
        return encode(replace(decode_response(asked, answer), count=2)) if isinstance(asked, GetSnapshot) else answer


class EndlessChunks(Honest):
    """Gives the same again and again."""

    def answer(self, request):
        asked = decode_request(request)
        if isinstance(asked, GetSnapshot):
            good = decode_response(asked, super().answer(encode(GetSnapshot(asked.height, 0))))
            return encode(replace(good, count=4_096))
        return super().answer(request)


class ChangingCount(Honest):
    def answer(self, request):
        asked = decode_request(request)
        answer = super().answer(request)
        if isinstance(asked, GetSnapshot):
            return encode(replace(decode_response(asked, answer), count=4 + asked.chunk))
        return answer


class NoLonger(Honest):
    """Attests the state and does not keep it."""

    def answer(self, request):
        return encode(Snapshot(0, b"")) if isinstance(decode_request(request), GetSnapshot) else super().answer(request)


class SilentOnStates(Honest):
    def answer(self, request):
        return None if isinstance(decode_request(request), GetSnapshot | GetHeaders) else super().answer(request)


class Babbler(Honest):
    def answer(self, request):
        return b"\x93what?" if isinstance(decode_request(request), GetSnapshot) else super().answer(request)


class WrongHeaders(Honest):
    """Changes one in the middle."""

    def answer(self, request):
        asked = decode_request(request)
        answer = super().answer(request)
        if isinstance(asked, GetHeaders):
            headers = list(decode_response(asked, answer).headers)
            headers[40] = replace(headers[40], time_ms=headers[40].time_ms + 1)
            return encode(Headers(tuple(headers)))
        return answer


class OtherHeaders(Honest):
    """Gives those of other heights, and too few."""

    def answer(self, request):
        asked = decode_request(request)
        return super().answer(encode(GetHeaders(asked.start + 20)) if isinstance(asked, GetHeaders) else request)


class WrongRoot(Honest):
    """Attests a state that is not, and gives that one."""

    def answer(self, request):
        asked = decode_request(request)
        answer = super().answer(request)
        if isinstance(asked, GetState):
            said = decode_response(asked, answer)
            root, signs = bytes(32), self.ledger.signer
            return encode(State(said.height, said.head, root, attest(signs, said.height, said.head, root)))
        return answer


class Boaster(Honest):
    """Says that it keeps a state far ahead, and attests that there."""

    def answer(self, request):
        asked = decode_request(request)
        answer = super().answer(request)
        if isinstance(asked, GetStatus):
            return encode(replace(decode_response(asked, answer), height=10**6, snapshot=10**6, attestation=None))
        if isinstance(asked, GetState) and asked.height == 10**6:
            head = root = bytes(32)
            return encode(State(asked.height, head, root, attest(self.ledger.signer, asked.height, head, root)))
        return encode(Blocks(())) if isinstance(asked, GetBlocks) else answer


PROVEN = {WrongValue, NoChunk, FewerChunks, ChangingCount, Babbler, WrongHeaders}
UNPROVEN = {NoLonger, SilentOnStates, OtherHeaders, WrongRoot, Boaster}


@pytest.mark.parametrize("kind", sorted(PROVEN | UNPROVEN, key=lambda kind: kind.__name__))
def test_liars_are_found_and_cost_little(history, kind):
    """Two of one organisation, asked first. Whose lie is proven is penalised; nobody honest ever is."""
    lab, _ = history
    wire = meeting(history, [(kind, "org3"), (kind, "org3"), (Honest, "org1"), (Honest, "org2")])
    wire.run(lab.now + 30_000)
    check_joined(wire, lab)
    assert jumps(wire) == [96]
    assert not wire.penalised[3] and not wire.penalised[4]
    assert bool(wire.penalised) is (kind in PROVEN)
    assert wire.asked[0, "GetSnapshot"] <= 4 + 4 * 4
    assert wire.asked[0, "GetState"] <= 4 * 6 + 2 * 60  # a boaster costs a round each time it boasts


def test_state_that_never_ends_is_given_up_at_the_bound(history, monkeypatch):
    """The bound is 4,096 chunks; here 64 will do, for none of this depends on how many."""
    monkeypatch.setattr(EndlessChunks, "answer", _few_endless(EndlessChunks.answer))
    lab, _ = history
    wire = meeting(history, [(EndlessChunks, "org3"), (Honest, "org1"), (Honest, "org2")], late_ms=5)
    wire.run(lab.now + 30_000)
    check_joined(wire, lab)
    assert wire.penalised[1] == 1 and not wire.penalised[2] and not wire.penalised[3]
    with pytest.raises(MalformedError):
        decode_response(GetSnapshot(96, 0), encode((4, 4_097, b"")))


def _few_endless(answer):
    def given(self, request):
        asked, found = decode_request(request), answer(self, request)
        return encode(replace(decode_response(asked, found), count=64)) if isinstance(asked, GetSnapshot) else found

    return given


def test_liar_whose_chunk_is_among_others_is_found(history):
    """Its first answers are good ones of a peer that then goes away. Who is asked next depends on who spoke first."""
    lab, _ = history
    found = 0
    for seed in range(6):
        servers = [(Honest, "org1"), (WrongValue, "org3"), (Honest, "org2")]
        wire = meeting(history, servers, seed=seed, late_ms=100)
        while wire.asked[0, "GetSnapshot"] < 2:
            wire.run(wire.now + 5)
        wire.carry(0, wire.nodes[0].ledger.peer_down(b"\1", wire.now))
        wire.run(lab.now + 20_000)
        check_joined(wire, lab)
        assert jumps(wire) == [96]
        assert wire.penalised[2] <= 1 and not wire.penalised[1] and not wire.penalised[3]
        found += wire.penalised[2]
    assert found


def test_too_few_who_attest_are_not_believed(history):
    """One honest member and two liars of one organisation: blocks that were let go cannot be had, and none is made up."""
    lab, _ = history
    wire = meeting(history, [(Honest, "org2"), (WrongRoot, "org3"), (WrongRoot, "org3")])
    wire.run(lab.now + 20_000)
    assert wire.nodes[0].ledger.head.height == 0 and jumps(wire) == []
    assert wire.asked[0, "GetSnapshot"] == wire.asked[0, "GetHeaders"] == 0
    assert wire.asked[0, "GetState"] <= 3 * (2 * 20 + 3)
    wire.nodes[3] = Honest(replica(lab, "org1", history[1], PRUNED))
    wire.run(wire.now + 10_000)
    check_joined(wire, lab)


def test_who_followed_a_lying_orderer_says_so(history):
    """Its head is not on the way to the attested block; it does not believe itself any more, and does not jump."""
    lab, blocks = history
    forked = replica(lab, "org1", blocks[:20])
    other = lab.cut(time_ms=forked.head.time_ms + 7, on=forked)
    forked.receive_block(b"\xff", other, lab.now)
    wire = meeting(history, [(Honest, "org2"), (Honest, "org3")], joiner=forked)
    wire.run(lab.now + 10_000)
    assert any(isinstance(effect, Diverged) for effect in wire.effects[0])
    assert forked.diverged and forked.head.height == 21 and jumps(wire) == []


# --- who is a member ------------------------------------------------------------------------------------------------


def test_members_are_who_the_joiner_knows_of():
    """Who slept through the change of most organisations cannot tell who speaks for the channel, and blames nobody."""
    lab = Consortium()
    lab.run("put", b"a", 1)
    late, slept = lab.ledger(peer_signer("org1"), config=CONFIG), lab.ledger(peer_signer("org1"), config=CONFIG)
    config = with_organisation(lab.one.channel, "org4", account("root of org4"))
    assert lab.reconfigure(config) == "VALID"
    lab.peers["org4"] = replica(lab, "org4", [lab.one.block(height) for height in (1, 2)])
    for height in (1, 2):
        late.receive_block(b"\xff", lab.one.block(height), lab.now)
    proposal = lab.propose(lab.update(without_organisation(config, "org3"), admins=("org1", "org2", "org3")))
    assert lab.commit(lab.sign(proposal, lab.ask(proposal, by=("org1", "org2", "org4")))) == ["VALID"]
    _, blocks = chain_of(90, lab)
    servers = [(Honest, "org1"), (Honest, "org4")]
    for joiner in (late, slept):
        height = joiner.head.height
        wire = meeting((lab, blocks), servers, joiner=joiner)
        wire.run(lab.now + 10_000)
        assert joiner.head.height == height and not wire.penalised
    # With org2, enough of those speak whom each of them knows.
    for joiner in (late, slept):
        wire = meeting((lab, blocks), [*servers, (Honest, "org2")], joiner=joiner)
        wire.run(lab.now + 10_000)
        check_joined(wire, lab)
        assert joiner.channel == lab.one.channel


def test_who_was_revoked_meanwhile_still_counts_for_who_slept():
    lab = Consortium()
    assert lab.reconfigure(revoke(lab.one.channel, peer_signer("org2").certificate)) == "VALID"
    for _ in range(60):
        lab.now += 10
        lab.commit()
    blocks = [lab.one.block(height) for height in range(1, 62)]
    wire = meeting((lab, blocks), [(Honest, "org1"), (Honest, "org2")])
    wire.run(lab.now + 5_000)
    check_joined(wire, lab)


# --- transactions that wait -----------------------------------------------------------------------------------------


def test_what_became_of_transactions_in_skipped_blocks_is_unknown():
    lab = Consortium()
    joiner = lab.ledger(peer_signer("org1"), config=CONFIG)
    old, used = lab.call("put", b"old", 1), None
    joiner.receive_transaction(old, lab.now)
    lab.commit(old)
    lab.now += TTL_MS
    used, waits = lab.call("put", b"b", 1), lab.call("put", b"c", 1)
    for envelope in (used, waits):
        joiner.receive_transaction(envelope, lab.now)
    lab.commit(used)
    _, blocks = chain_of(60, lab)
    wire = meeting((lab, blocks), [(Honest, "org2"), (Honest, "org3")], joiner=joiner, late_ms=5)
    wire.run(lab.now + 400)
    check_joined(wire, lab)
    dropped = [(effect.transaction, effect.reason) for effect in wire.effects[0] if isinstance(effect, Dropped)]
    assert dropped == [
        (old.transaction, "proposal_expired"),  # says the clock, before anything was heard of the others
        (old.transaction, "outcome_unknown"),
        (used.transaction, "outcome_unknown"),
    ]
    assert joiner.pending() == (waits.transaction,)
    lab.peers["joiner"] = joiner
    lab.now = max(lab.now, lab.one.head.time_ms)
    assert lab.commit(waits) == ["VALID"] and joiner.pending() == () and joiner.state.root == lab.root


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


def started(lab, store, config=CONFIG):
    return OrderedLedger(lab.network, signer=peer_signer("org1"), config=config, loaded=store.load(), archive=store)


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


# --- the same as who executed it all ----------------------------------------------------------------------------------

CALLS = [
    ("increment", b"a"),
    ("put", b"b", 7),
    ("delete", b"b"),
    ("copy", b"a", b"c"),
    ("total_to", b"many", b"t"),
    ("guard", b"g", "'org3.peer'"),
    ("guard", b"g", None),
]


@pytest.mark.parametrize("seed", range(12))
def test_who_jumped_is_as_who_executed_all(seed):
    """Calls of all kinds, in conflict and repeated; then both commit what comes after, also what an old id forbids."""
    rng = Random(seed)
    lab = Consortium()
    for _ in range(48):
        envelopes = [lab.call(*rng.choice(CALLS)) for _ in range(rng.randrange(3))]
        lab.commit(*envelopes, *rng.sample(envelopes, rng.randrange(len(envelopes) + 1)))
        lab.now += rng.choice([10, 10, TTL_MS // 4])
    blocks = [lab.one.block(height) for height in range(1, 49)]
    height = rng.randrange(34, 48)
    wire = meeting((lab, blocks[:height]), [(Honest, "org2"), (Honest, "org3")])
    wire.run(lab.now + 5_000)
    joiner = wire.nodes[0].ledger
    assert jumps(wire) == [32] and joiner.head.height == height
    for block in blocks[height:]:
        joiner.receive_block(b"\xff", block, lab.now)
    check_joined(wire, lab)
    assert [joiner.receipts(number) for number in range(33, 49)] == [lab.one.receipts(n) for n in range(33, 49)]
    assert list(joiner.state.scan(b"")) == list(lab.one.state.scan(b""))
    assert all(joiner.is_final(block_id(lab.one.header(number))) for number in range(49))


# --- serving --------------------------------------------------------------------------------------------------------


def ask(ledger, request):
    return decode_response(request, ledger.answer(b"x", encode(request)))


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
