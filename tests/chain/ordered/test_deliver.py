"""Catching up, on a simulated wire that loses and delays, with peers that lie: all get there, and nobody asks without end."""

from collections import Counter

import pytest
from msgspec.structs import replace

from chain.codec import encode
from chain.errors import MalformedError
from chain.ledgers.ordered.catchup import CatchUp
from chain.ledgers.ordered.deliver import (
    Blocks,
    GetBlocks,
    GetState,
    GetStatus,
    State,
    decode_request,
    decode_response,
)
from chain.ledgers.ordered.ledger import OrderedConfig
from chain.sync import MAX_BLOCKS
from tests.chain.ordered.lab import Consortium
from tests.chain.ordered.wire import Honest, Wire, chain_of

INTERVAL_MS = 1_000
CONFIG = OrderedConfig(status_interval_ms=INTERVAL_MS)


class Boaster(Honest):
    """Says that it has more, and has not."""

    def answer(self, request):
        answer = super().answer(request)
        if isinstance(decode_request(request), GetStatus):
            return encode(replace(decode_response(GetStatus(), answer), height=10**6, attestation=None))
        return encode(Blocks(()))


class Silent(Boaster):
    """The same, and takes all the time that there is to say nothing."""

    def answer(self, request):
        return super().answer(request) if isinstance(decode_request(request), GetStatus) else None


class Forger(Boaster):
    """Sends blocks that it made up from good ones."""

    def answer(self, request):
        asked = decode_request(request)
        if isinstance(asked, GetBlocks):
            good = decode_response(asked, Honest.answer(self, request)).blocks
            bad = tuple(replace(one, header=replace(one.header, time_ms=one.header.time_ms + 1)) for one in good)
            return encode(Blocks(bad))
        return super().answer(request)


class Repeater(Boaster):
    """Sends what everybody has."""

    def answer(self, request):
        if isinstance(decode_request(request), GetBlocks):
            return Honest.answer(self, encode(GetBlocks(1)))
        return super().answer(request)


class Babbler(Boaster):
    def answer(self, request):
        return b"\x93what?" if isinstance(decode_request(request), GetBlocks) else super().answer(request)


@pytest.fixture(scope="module")
def history():
    return chain_of(150)


def joined(lab, count, kinds=()):
    nodes = [Honest(lab.ledger(config=CONFIG)) for _ in range(count)]
    return nodes + [kind(lab.ledger(config=CONFIG)) for kind in kinds]


def asked_for_blocks(wire, who):
    return wire.asked[who, "GetBlocks"]


@pytest.mark.parametrize("seed", range(6))
def test_all_catch_up_over_a_wire_that_loses_and_delays(history, seed):
    lab, blocks = history
    nodes = joined(lab, 5)
    wire = Wire(nodes, seed, lost=0.3, late_ms=800, now_ms=lab.now)
    wire.link()
    for place, block in enumerate(blocks):
        wire.at(lab.now + place * 100, wire.gossip, block, 0.5)
    end = lab.now + len(blocks) * 100
    wire.run(end + 60_000)
    assert {node.ledger.head_id for node in nodes} == {lab.one.head_id}
    assert {node.ledger.state.root for node in nodes} == {lab.root}
    seconds = (end + 60_000 - lab.now) // 1000
    for who in range(5):
        assert wire.asked[who, "GetStatus"] <= seconds + 10
        assert asked_for_blocks(wire, who) <= len(blocks)  # not more than there were blocks
        assert bool(asked_for_blocks(wire, who)) == (who > 0)
    before = dict(wire.asked)
    wire.run(wire.now + 60_000)
    assert all(asked_for_blocks(wire, who) == before.get((who, "GetBlocks"), 0) for who in range(5))


@pytest.mark.parametrize("kind", [Boaster, Silent, Forger, Repeater, Babbler])
def test_liar_costs_little(history, kind):
    lab, blocks = history
    nodes = joined(lab, 3, [kind, kind])
    for liar in nodes[3:]:
        for block in blocks:
            liar.ledger.receive_block(b"x", block, lab.now)
    for block in blocks:
        nodes[0].ledger.receive_block(b"x", block, lab.now)
    wire = Wire(nodes, 1, now_ms=lab.now)
    wire.link()
    # Each liar costs one time out a turn of the status, 4 s; it takes 150 / 32 answers of one who is honest.
    wire.run(lab.now + 40_000)
    assert {node.ledger.head_id for node in nodes} == {lab.one.head_id}
    for who in (1, 2):
        assert asked_for_blocks(wire, who) <= 5 + 2 * 12 + 4
        assert wire.asked[who, "GetStatus"] <= 40 + 4
    if kind in (Forger, Babbler):
        assert wire.penalised[3] and wire.penalised[4]
    assert not wire.penalised[0] and not wire.penalised[1]


def test_only_liars_to_ask_and_still_no_busy_loop(history):
    lab, _ = history
    nodes = joined(lab, 1, [Boaster, Repeater, Babbler, Forger])
    wire = Wire(nodes, 1, now_ms=lab.now, late_ms=2)
    wire.link()
    wire.run(lab.now + 60_000)
    assert nodes[0].ledger.head.height == 0
    assert asked_for_blocks(wire, 0) <= 60 + 2 * 4


def test_peer_that_was_away_catches_up_and_so_does_who_hears_of_a_gap(history):
    lab, blocks = history
    nodes = joined(lab, 4)
    for node in nodes[:3]:
        for block in blocks[:100]:
            node.ledger.receive_block(b"x", block, lab.now)
    wire = Wire(nodes, 3, now_ms=lab.now)
    wire.link({(0, 1), (1, 2), (2, 3)})
    wire.run(lab.now + 10_000)
    assert nodes[3].ledger.head.height == 100
    for one, other in ((2, 3), (3, 2)):
        nodes[one].ledger.peer_down(bytes([other]), wire.now)
    for block in blocks[100:149]:
        for node in nodes[:3]:
            wire.carry(nodes.index(node), node.ledger.receive_block(b"x", block, wire.now))
    wire.run(wire.now + 10_000)
    assert nodes[3].ledger.head.height == 100
    wire.carry(3, nodes[3].ledger.peer_up(bytes([2]), wire.now))
    wire.carry(3, nodes[3].ledger.receive_block(bytes([2]), blocks[149], wire.now))
    assert wire.asked[3, "GetBlocks"] > 0
    wire.run(wire.now + 3_000)
    assert nodes[3].ledger.head_id == lab.one.head_id


def test_answers_are_bounded_and_in_order(history):
    lab, blocks = history
    ask = lambda start: decode_response(GetBlocks(0), lab.one.answer(b"x", encode(GetBlocks(start)))).blocks  # noqa: E731
    assert ask(1) == tuple(blocks[:MAX_BLOCKS])
    assert ask(149) == tuple(blocks[148:])
    assert ask(151) == ask(2**63 - 1) == ()
    with pytest.raises(MalformedError):
        lab.one.answer(b"x", b"\x92\x07\x01")
    with pytest.raises(MalformedError, match="does not answer"):
        decode_response(GetStatus(), lab.one.answer(b"x", encode(GetBlocks(1))))


def test_answer_fits_a_frame_however_large_the_blocks():
    lab = Consortium()
    for _ in range(4):
        lab.commit(*[lab.call("put_many", 100 * one, 100, 250) for one in range(8)])
        lab.now += 10
    answer = lab.one.answer(b"x", encode(GetBlocks(1)))
    assert len(decode_response(GetBlocks(1), answer).blocks) == 2


def test_state_after_an_old_block_is_attested_while_it_is_known(history):
    lab, _ = history
    known = decode_response(GetState(5), lab.one.answer(b"x", encode(GetState(5))))
    assert known.attestation is not None and known.height == 5
    for height in (151, 2**63 - 1):
        unknown = decode_response(GetState(height), lab.one.answer(b"x", encode(GetState(height))))
        assert unknown == State(height, bytes(32), bytes(32), None)


def test_statuses_are_asked_in_turn_whatever_else_is_asked():
    catchup = CatchUp(1_000)
    for peer in (b"a", b"b"):
        catchup.peer_up(peer, 0)
    turns = []
    for second in range(1, 7):
        catchup.has(b"a", second)
        for ask in catchup.go_on(second - 1):
            catchup.done(ask.peer)
        turns += [ask.peer for ask in catchup.tick(second * 1_000)]
    assert Counter(turns) == {b"a": 3, b"b": 3}
    for peer in (b"a", b"b"):
        catchup.peer_down(peer)
    assert catchup.next_deadline_ms() is None and catchup.tick(10**6) == [] and catchup.peers == ()
