"""Proof of work has neither evidence nor seals: who adds them to a good block answers for it, and hides nothing."""

import pytest
from msgspec.structs import replace

from actors.identity import Identity
from actors.verdicts import judge_block
from chain.codec import block_id, decode_block, encode
from chain.errors import InvalidBlockError
from chain.ledger import Ask, Committed, HeaderStatus, Penalise
from chain.ledgers.pow.ledger import PowLedger
from chain.sync import Blocks, GetBlocks, decode_request, decode_response, encode_message
from chain.transition import apply_block
from net.gossip.events import Message, MessageId, Verdict
from tests.chain.pow.forge import LATER, Forge
from tests.chain.pow.founding import found

REASON = "bad_block: evidence or a seal, which proof of work has none of"
ADDITIONS = {
    "evidence": {"evidence": (b"why",)},
    "evidence of nothing": {"evidence": (b"",)},
    "seal": {"seal": b"who"},
    "both": {"evidence": (b"why",) * 3, "seal": b"who"},
}


@pytest.fixture(scope="module")
def forge():
    forge = Forge(found(initial_difficulty=4, finality_depth=200))
    first = forge.mine(forge.network.id, forge.pay(forge.network.id, 1))
    forge.line(9, first)
    return forge


@pytest.fixture
def blocks(forge):
    """The chain, lowest first."""
    return sorted((block for block in forge.blocks.values() if block.header.height), key=lambda b: b.header.height)


@pytest.fixture(params=ADDITIONS)
def tampered(request):
    """What somebody makes of a good block, under the same id."""

    def add(block):
        changed = replace(block, **ADDITIONS[request.param])
        assert block_id(changed.header) == block_id(block.header)
        assert decode_block(encode(changed)) == changed  # nothing is wrong with its encoding
        return changed

    return add


def judged(block, ledger):
    source = Identity.derive(1, "relay").peer_id
    return judge_block(Message(MessageId(b"id"), source, "/t", encode(block), 1, b""), ledger, LATER)


def test_gossip(forge, blocks, tampered):
    """The judge rejects it, which costs the peer that passed it on; the honest copy is new as before."""
    ledger = PowLedger(forge.network)
    assert judged(tampered(blocks[0]), ledger) == (Verdict.REJECT, REASON)
    assert judged(blocks[0], ledger) == (Verdict.ACCEPT, "")
    with pytest.raises(InvalidBlockError, match=REASON):
        ledger.receive_block(b"relay", tampered(blocks[0]), LATER)
    assert ledger.check_block(blocks[0], LATER) is HeaderStatus.NEW
    effects = ledger.receive_block(b"honest", blocks[0], LATER)
    assert [effect.block for effect in effects if isinstance(effect, Committed)] == [blocks[0]]
    assert judged(tampered(blocks[0]), ledger) == (Verdict.REJECT, REASON)  # also when the good one is known


def test_gossip__before_its_parent(forge, blocks, tampered):
    """What waits for its parent is the honest copy: the other one never took its place."""
    ledger = PowLedger(forge.network)
    with pytest.raises(InvalidBlockError, match=REASON):
        ledger.receive_block(b"relay", tampered(blocks[1]), LATER)
    ledger.receive_block(b"honest", blocks[1], LATER)
    ledger.receive_block(b"honest", blocks[0], LATER)
    assert ledger.block(2) == blocks[1]


@pytest.mark.parametrize("liar", [b"source", b"helper"])
def test_sync(forge, blocks, tampered, liar):
    """Whoever gave the copy is penalised, not whose headers led there; and the bodies come from the other peer."""
    honest = PowLedger(forge.network)
    for block in blocks:
        honest.receive_block(b"x", block, LATER)
    joiner = PowLedger(forge.network)
    given, penalties, waiting = [], [], []

    def carry(effects):
        penalties.extend(effect for effect in effects if isinstance(effect, Penalise))
        waiting.extend(effect for effect in effects if isinstance(effect, Ask))

    def answer(peer, request):
        response = honest.answer(peer, request)
        asked = decode_request(request)
        if not isinstance(asked, GetBlocks) or peer != liar:
            return response
        good = decode_response(asked, response)
        given.append(peer)
        return encode_message(Blocks((*good.blocks[:1], *map(tampered, good.blocks[1:]))))

    def answer_all():
        while waiting:
            ask = waiting.pop(0)
            # The source has headers alone while the helper is the one who lies.
            lacks = ask.peer != liar and not penalties and isinstance(decode_request(ask.request), GetBlocks)
            response = None if lacks else answer(ask.peer, ask.request)
            carry(joiner.answered(ask.peer, ask.request, response, now))

    now = LATER
    carry(joiner.peer_up(b"source", now))
    while waiting and not isinstance(decode_request(waiting[0].request), GetBlocks):
        ask = waiting.pop(0)
        carry(joiner.answered(ask.peer, ask.request, answer(ask.peer, ask.request), now))
    carry(joiner.peer_up(b"helper", now))
    while joiner.head != honest.head and now < LATER + 200_000:
        answer_all()
        now = joiner.next_deadline_ms()
        carry(joiner.tick(now))
    assert given == [liar]
    assert penalties == [Penalise(liar, REASON)]
    assert joiner.head == honest.head
    assert [joiner.block(height) for height in range(1, len(blocks) + 1)] == blocks


def test_apply_block(forge, blocks, tampered):
    def apply(block):
        return apply_block(forge.network, forge.network.state, block, final_ids=lambda _: None)

    with pytest.raises(InvalidBlockError, match=REASON):
        apply(tampered(blocks[0]))
    assert apply(blocks[0]).state.root == blocks[0].header.state_root
