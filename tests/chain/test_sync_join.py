"""A late joiner ends where the others are, by bodies or by a state, whatever one of its peers tells it."""

import msgspec
import pytest

from chain.codec import block_id, encode, transaction_id
from chain.ledger import Jumped
from chain.ledgers.pow.config import PowConfig
from chain.ledgers.pow.mining import has_work
from chain.snapshot import state_chunks, state_of
from chain.state import Version
from chain.sync import (
    Blocks,
    GetBlocks,
    GetHeaders,
    GetPending,
    GetSnapshot,
    GetStatus,
    Headers,
    Pending,
    Snapshot,
    Status,
    decode_request,
    decode_response,
    encode_message,
)
from tests.chain.pow.founding import account, found, transfer
from tests.chain.pow.simulation import World

LIAR = b"\0"
JOINER = b"\x63"
BY_BODIES = PowConfig(snapshot_interval=16, snapshot_gap=10_000)
BY_STATE = PowConfig(snapshot_interval=16, snapshot_gap=20)


def grown(blocks, config, seed=0):
    """Three replicas with `blocks` final blocks and some payments."""
    network = found(block_interval_ms=1_000, initial_difficulty=16)
    world = World(network, seed)
    for number in range(3):
        world.add(bytes([number]), rate=10, config=config)
    for nonce in range(20):
        world.at(world.now + 2_000 * nonce, world.submit, b"\1", transfer(network, 1, nonce))
    world.settle(blocks)
    return world


class Log(list):
    """Effects of one node, beside what the simulation does with them."""

    def __init__(self, node):
        self.carry = node.carry
        node.carry = self.note

    def note(self, effects):
        self.extend(effects)
        self.carry(effects)


def join(world, config):
    """Add a replica that meets `LIAR` first, so that this is its source."""
    joiner = world.add(JOINER, rate=0, config=config, connect=False)
    log = Log(joiner)
    for delay_ms, name in ((0, LIAR), (1_000, b"\1"), (1_000, b"\2")):
        world.after(delay_ms, world.connect, JOINER, name)
    world.run(200_000, lambda: joiner.ledger.head == world.nodes[b"\1"].ledger.head)
    assert joiner.ledger.head == world.nodes[b"\1"].ledger.head
    assert joiner.ledger.state.root == world.nodes[b"\1"].ledger.state.root
    return joiner, log


def test_join_by_bodies():
    world = grown(90, BY_BODIES)
    joiner, log = join(world, BY_BODIES)
    assert not any(isinstance(effect, Jumped) for effect in log)
    assert joiner.ledger.block(1) == world.nodes[LIAR].ledger.block(1)
    world.settle(10)
    assert not joiner.penalised


def test_join_by_state():
    world = grown(90, BY_STATE)
    joiner, log = join(world, BY_STATE)
    jump = next(effect for effect in log if isinstance(effect, Jumped))
    assert jump.header.height >= 64
    assert joiner.ledger.header(1) == world.nodes[LIAR].ledger.header(1)
    assert joiner.ledger.block(1) is None  # only its header came
    world.settle(10)
    assert not joiner.penalised
    restarted = world.add(b"\x64", rate=0, config=BY_STATE, store=joiner.store, connect=False)
    assert restarted.ledger.head == joiner.ledger.head
    assert restarted.ledger.state.root == joiner.ledger.state.root


def test_join_by_state__joiner_returns_after_having_been_behind():
    """It had blocks of its own, not final yet, which the state replaces."""
    network = found(block_interval_ms=1_000, initial_difficulty=16)
    world = World(network, 3)
    for number in range(2):
        world.add(bytes([number]), rate=10, config=BY_STATE)
    late = world.add(JOINER, rate=5, config=BY_STATE)
    world.groups = ([b"\0", b"\1"], [JOINER])
    payment = transfer(network, 3, 0)
    world.submit(JOINER, payment)
    world.run(30_000, lambda: late.ledger.head.height >= 3)
    assert late.ledger.receipt(transaction_id(payment)) is not None
    assert late.ledger.final.height == 0
    late.rate = 0
    void, good = transfer(network, 4, 0), transfer(network, 5, 0)
    world.submit(JOINER, void)
    world.submit(JOINER, good)
    world.submit(b"\0", transfer(network, 4, 0, amount=2))
    world.run(100_000, lambda: world.nodes[b"\1"].ledger.final.height > 80)
    world.groups = None
    log = Log(late)
    world.settle(30)  # it may jump over the first ten, and what waited goes into a block after that
    assert any(isinstance(effect, Jumped) for effect in log)
    assert [(dropped.transaction, dropped.reason) for dropped in late.dropped] == [(void, "outcome_unknown")]
    assert all(node.ledger.receipt(transaction_id(good)) for node in world.nodes.values())
    assert all(node.ledger.receipt(transaction_id(payment)) for node in world.nodes.values())  # waited again


def test_restart_in_the_middle_of_everything():
    world = grown(40, BY_BODIES)
    node = world.nodes[b"\1"]
    again = world.add(b"\x65", rate=0, config=BY_BODIES, store=node.store, connect=False)
    assert again.ledger.head_id == node.ledger.head_id
    assert again.ledger.final == node.ledger.final
    assert again.ledger.state.root == node.ledger.state.root
    heights = range(1, node.ledger.head.height + 1)
    assert [again.ledger.receipts(height) for height in heights] == [node.ledger.receipts(height) for height in heights]


def alter_chunk(request, response):
    """Gives the liar an hour's rent more in one state entry."""
    if not isinstance(request, GetSnapshot) or not response.data:
        return response
    state = state_of([response.data])
    key = b"accounts/balance/" + account(1)
    data = next(iter(state_chunks(state.apply({key: encode(10**12)}, Version(1, 0)))))
    return Snapshot(response.count, data)


def alter_version(request, response):
    """All values are right, one entry was written earlier than it was."""
    if not isinstance(request, GetSnapshot) or not response.data:
        return response
    state = state_of([response.data])
    key, entry = next(iter(state.scan(b"accounts/")))
    data = next(iter(state_chunks(state.apply({key: entry.value}, Version(0, 7)))))
    return Snapshot(response.count, data)


def more_chunks_without_end(request, response):
    return Snapshot(4_096, b"\x90") if isinstance(request, GetSnapshot) else response


def fewer_chunks(request, response):
    return Snapshot(1, b"\x90") if isinstance(request, GetSnapshot) else response


def headers_without_work(request, response):
    """All is well but the last one's nonce."""
    if not isinstance(request, GetHeaders) or not response.headers:
        return response
    last = response.headers[-1]
    while has_work(block_id(last), last.difficulty):
        last = msgspec.structs.replace(last, nonce=last.nonce + 1)
    return Headers((*response.headers[:-1], last))


def headers_of_low_difficulty(request, response):
    """A whole chain whose work is real, and too little."""
    if not isinstance(request, GetHeaders):
        return response
    cheap = []
    for header in response.headers:
        parent = block_id(cheap[-1]) if cheap else header.parent
        cheap.append(msgspec.structs.replace(header, difficulty=1, parent=parent))
    return Headers(tuple(cheap))


def headers_with_a_gap(request, response):
    return Headers(response.headers[1:]) if isinstance(request, GetHeaders) else response


def other_bodies(request, response):
    if not isinstance(request, GetBlocks):
        return response
    return Blocks(tuple(msgspec.structs.replace(block, transactions=()) for block in response.blocks))


def other_blocks(request, response):
    return Blocks(response.blocks[::-1]) if isinstance(request, GetBlocks) else response


def work_it_has_not(request, response):
    if isinstance(request, GetStatus):
        return msgspec.structs.replace(response, work=2**60, height=10**6)
    return response


def another_network(request, response):
    return msgspec.structs.replace(response, chain=bytes(32)) if isinstance(request, GetStatus) else response


def another_answer(request, response):
    return Blocks(()) if isinstance(request, GetHeaders) else response


LIES = {
    alter_chunk: (BY_STATE, "bad_snapshot"),
    alter_version: (BY_STATE, "bad_snapshot"),
    fewer_chunks: (BY_STATE, "bad_snapshot"),
    headers_without_work: (BY_BODIES, "bad_work"),
    headers_of_low_difficulty: (BY_BODIES, "bad_difficulty"),
    headers_with_a_gap: (BY_BODIES, "bad_headers"),
    other_bodies: (BY_BODIES, "bad_blocks"),
    other_blocks: (BY_BODIES, "bad_blocks"),
    work_it_has_not: (BY_BODIES, "false_status"),
    another_network: (BY_BODIES, "wrong_chain"),
    another_answer: (BY_BODIES, "Blocks does not answer GetHeaders"),
}


def lying(world, lie):
    liar = world.nodes[LIAR]

    def answer(peer, request):
        asked = decode_request(request)
        return encode_message(lie(asked, decode_response(asked, liar.ledger.answer(peer, request))))

    liar.behaviour = answer


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_join__survives_a_liar(lie):
    config, reason = LIES[lie]
    world = grown(60, config)
    lying(world, lie)
    joiner, _ = join(world, config)
    assert {peer for peer, _ in joiner.penalised} == {LIAR}
    assert all(why.startswith(reason) for _, why in joiner.penalised), joiner.penalised


@pytest.mark.parametrize("config", [BY_BODIES, BY_STATE], ids=["bodies", "state"])
@pytest.mark.parametrize("silent_on", [GetStatus, GetHeaders, GetBlocks, GetSnapshot])
def test_join__survives_a_silent_peer(silent_on, config):
    """Nobody is penalised for silence: it proves nothing."""
    world = grown(60, config)
    liar = world.nodes[LIAR]
    liar.behaviour = lambda peer, request: (
        None if isinstance(decode_request(request), silent_on) else liar.ledger.answer(peer, request)
    )
    joiner, _ = join(world, config)
    assert not joiner.penalised


def test_join__noise_is_penalised():
    world = grown(30, BY_BODIES)
    world.nodes[LIAR].behaviour = lambda *_: b"\xc1\xff"
    joiner, _ = join(world, BY_BODIES)
    assert {peer for peer, _ in joiner.penalised} == {LIAR}


def test_join__endless_snapshot_is_bounded():
    """Chunks without end cost the liar its place after MAX_SNAPSHOT_CHUNKS at most."""
    world = grown(60, BY_STATE)
    lying(world, more_chunks_without_end)
    world.latency_ms = (1, 1)
    joiner, _ = join(world, BY_STATE)
    assert joiner.penalised == [(LIAR, joiner.penalised[0][1])]


def test_answer__is_bounded_and_strict():
    from chain.errors import MalformedError

    world = grown(30, BY_BODIES)
    ledger = world.nodes[b"\1"].ledger
    status = decode_response(GetStatus(), ledger.answer(b"x", encode_message(GetStatus())))
    assert isinstance(status, Status) and status.head == ledger.head_id
    for noise in (b"", b"\x90", b"\x91\x09", encode_message(GetStatus()) + b"\0", b"\xff" * 5_000):
        with pytest.raises(MalformedError):
            ledger.answer(b"x", noise)


def test_join__learns_what_waits():
    """Gossip tells nothing to those who come later: a new miner mines what was submitted before."""
    network = found(block_interval_ms=1_000, initial_difficulty=16)
    world = World(network)
    world.add(b"\0", rate=0)
    for nonce in range(3):
        world.submit(b"\0", transfer(network, 1, nonce))
    world.run(5_000)
    miner = world.add(b"\1", rate=10)
    world.run(30_000)
    mined = [miner.ledger.block(height) for height in range(1, miner.ledger.head.height + 1)]
    # The first may be found before it has heard of them.
    assert [transaction.nonce for block in mined[:2] for transaction in block.transactions] == [0, 1, 2]
    assert world.nodes[b"\0"].ledger.statistics().pending == 0


def test_join__forged_pending_is_penalised():
    network = found(block_interval_ms=1_000, initial_difficulty=16)
    world = World(network)
    liar = world.add(LIAR, rate=0)
    world.submit(LIAR, transfer(network, 1, 0))

    def forge(request, response):
        if not isinstance(request, GetPending):
            return response
        return Pending(tuple(msgspec.structs.replace(tx, signature=bytes(64)) for tx in response.transactions))

    lying(world, forge)
    joiner = world.add(JOINER, rate=0)
    world.run(5_000)
    assert joiner.penalised == [(liar.name, "bad_signature")]
    assert joiner.ledger.statistics().pending == 0
