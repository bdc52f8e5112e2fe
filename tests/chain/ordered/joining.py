"""A replica that joins among peers of all kinds, on a simulated wire."""

import dataclasses
from functools import cache

from chain.codec import encode
from chain.ledger import Jumped
from chain.ledgers.ordered.deliver import (
    decode_response,
)
from chain.ledgers.ordered.ledger import OrderedConfig, OrderedLedger
from chain.snapshot import state_chunks
from tests.chain.ordered.lab import Consortium, peer_signer
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


@cache
def long_chain():
    """A consortium after 107 blocks, whose state takes some chunks, and the blocks. Nobody changes it."""
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


def started(lab, store, config=CONFIG):
    return OrderedLedger(lab.network, signer=peer_signer("org1"), config=config, loaded=store.load(), archive=store)


def ask(ledger, request):
    return decode_response(request, ledger.answer(b"x", encode(request)))
