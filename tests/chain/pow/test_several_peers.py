"""A joiner asks several peers side by side, each for a bounded amount, and the slowest of them does not set the pace."""

import heapq
from collections import Counter

import pytest

from chain.ledger import Ask, Penalise
from chain.ledgers.pow.catchup import _AHEAD
from chain.ledgers.pow.config import PowConfig
from chain.ledgers.pow.ledger import PowLedger
from chain.sync import MAX_BLOCKS, GetBlocks, GetHeaders, decode_request
from tests.chain.pow.founding import GENESIS_MS, account, found

BLOCKS = 600
PEERS = (b"a", b"b", b"c", b"d")


@pytest.fixture(scope="module")
def full():
    """A ledger with all blocks."""
    network = found(block_interval_ms=1_000, initial_difficulty=1)
    ledger = PowLedger(network, producer=account(1), config=PowConfig(kept_blocks=BLOCKS))
    for number in range(BLOCKS):
        while ledger.head.height == number:
            ledger.mine(1, GENESIS_MS + 1_000 * (number + 1))
    return ledger


class Joiner:
    """Carries a joiner's questions to peers that take their time; notes all that it asks."""

    def __init__(self, full, delays_ms, answer=None):
        self.full = full
        self.delays = delays_ms
        self.answer = answer or (lambda peer, request: full.answer(b"joiner", request))
        self.ledger = PowLedger(full.network, config=PowConfig(snapshot_gap=10**9))
        self.now = self.start = full.head.time_ms
        self.flying = []
        self.asked = []
        self.penalties = []
        self.most_at_once = Counter()
        self.most_held = 0

    def carry(self, effects):
        for effect in effects:
            if isinstance(effect, Penalise):
                self.penalties.append(effect)
            if isinstance(effect, Ask):
                self.asked.append((self.now, effect.peer, decode_request(effect.request), self.ledger.head.height))
                heapq.heappush(self.flying, (self.now + self.delays[effect.peer], len(self.asked), effect))
        flying = Counter(ask.peer for _, _, ask in self.flying)
        self.most_at_once |= flying
        download = self.ledger._catchup._download
        self.most_held = max(self.most_held, len(download.bodies) if download is not None else 0)

    def run(self, limit_ms=10**7):
        for peer in self.delays:
            self.carry(self.ledger.peer_up(peer, self.now))
        while self.ledger.head != self.full.head and self.now < self.start + limit_ms:
            deadline = self.ledger.next_deadline_ms()
            if self.flying and (deadline is None or self.flying[0][0] <= deadline):
                self.now, _, ask = heapq.heappop(self.flying)
                self.carry(self.ledger.answered(ask.peer, ask.request, self.answer(ask.peer, ask.request), self.now))
            else:
                self.now = max(self.now + 1, deadline)
                self.carry(self.ledger.tick(self.now))
        assert self.ledger.head == self.full.head
        assert self.ledger.state.root == self.full.state.root
        return self.now - self.start

    def bodies(self):
        return [(now, peer, request.ids, head) for now, peer, request, head in self.asked if type(request) is GetBlocks]


def test_bodies_come_from_all_and_each_once(full):
    joiner = Joiner(full, dict.fromkeys(PEERS, 50))
    took = joiner.run()
    asked = joiner.bodies()
    ids = [found for _, _, ids, _ in asked for found in ids]
    assert len(ids) == len(set(ids)) == BLOCKS
    share = Counter(peer for _, peer, ids, _ in asked for _ in ids)
    assert set(share) == set(PEERS) and min(share.values()) > BLOCKS // 8
    assert not joiner.penalties
    alone = Joiner(full, {b"a": 50}).run()
    assert took < alone / 2  # three times the links, beside headers from one


def test_questions_are_bounded(full):
    """One at a time of each peer, of bounded size, not far beyond what has been taken in; bodies held likewise."""
    joiner = Joiner(full, {b"a": 50, b"b": 90, b"c": 400, b"d": 1_500})
    joiner.run()
    assert max(joiner.most_at_once.values()) == 1
    heights = {full.header(height).parent: height - 1 for height in range(1, BLOCKS + 1)} | {full.head_id: BLOCKS}
    for _, _, ids, head in joiner.bodies():
        assert len(ids) <= MAX_BLOCKS
        assert max(heights[found] for found in ids) <= head + _AHEAD
    assert joiner.most_held <= _AHEAD


def test_the_slowest_does_not_set_the_pace(full):
    """A peer that takes 25 s for an answer, and never fails: what it was asked for is asked of another after two."""
    fast = Joiner(full, dict.fromkeys((b"a", b"b", b"c"), 50)).run()
    joiner = Joiner(full, {b"a": 50, b"b": 50, b"c": 50, b"slow": 25_000})
    slow_status = joiner.run()
    assert slow_status <= fast  # it was not heard of before all was over
    # Its status comes quickly, its bodies do not.
    joiner = Joiner(full, {b"a": 50, b"b": 50, b"c": 50, b"slow": 50})
    answer = joiner.answer

    def slowly(peer, request):
        joiner.delays[b"slow"] = 25_000
        return answer(peer, request)

    joiner.answer = slowly
    took = joiner.run()
    assert any(peer == b"slow" for _, peer, _, _ in joiner.bodies())
    assert took < fast + 3_000
    assert not joiner.penalties


def test_late_answers_do_no_harm(full):
    """Everybody takes longer than it takes to be asked again: bodies come twice, and are taken once."""
    joiner = Joiner(full, {b"a": 2_600, b"b": 2_500, b"c": 2_400, b"d": 2_300})
    joiner.run()
    ids = [found for _, _, ids, _ in joiner.bodies() for found in ids]
    assert len(set(ids)) == BLOCKS < len(ids)
    assert not joiner.penalties
    assert joiner.most_held <= _AHEAD


def test_who_lacks_bodies_is_not_asked_again_and_again(full):
    """It has headers, as a peer that joined by a state has, and gives no blocks."""
    from chain.sync import Blocks, encode_message

    nothing = encode_message(Blocks(()))

    def answer(peer, request):
        lacking = peer == b"d" and type(decode_request(request)) is GetBlocks
        return nothing if lacking else full.answer(b"joiner", request)

    joiner = Joiner(full, dict.fromkeys(PEERS, 50), answer)
    joiner.run()
    assert Counter(peer for _, peer, _, _ in joiner.bodies())[b"d"] == 1
    assert not joiner.penalties


def test_headers_come_first(full):
    """No body is asked for before the work of the whole branch is known."""
    joiner = Joiner(full, dict.fromkeys(PEERS, 50))
    joiner.run()
    kinds = [type(request) for _, _, request, _ in joiner.asked if type(request) in (GetHeaders, GetBlocks)]
    assert kinds.index(GetBlocks) == kinds.count(GetHeaders) == 2
