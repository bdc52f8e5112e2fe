"""A simulated wire among replicas of a consortium, which loses and delays; and what is asked on it."""

import heapq
from collections import Counter
from random import Random

from chain.ledger import Ask, Penalise
from chain.ledgers.ordered.deliver import decode_request
from tests.chain.ordered.lab import Consortium

TIMEOUT_MS = 3_000


class Honest:
    """A replica and what it is asked."""

    def __init__(self, ledger):
        self.ledger = ledger

    def answer(self, request):
        return self.ledger.answer(b"x", request)


class Wire:
    """Requests and gossip among peers that are all linked; the clock jumps."""

    def __init__(self, nodes, seed, *, lost=0.0, late_ms=200, now_ms=0):
        self.nodes = dict(enumerate(nodes))
        self.now = now_ms
        self.rng = Random(seed)
        self.lost, self.late_ms = lost, late_ms
        self.queue = []
        self.asked = Counter()
        self.penalised = Counter()
        self.reasons = []
        self.effects = {who: [] for who in self.nodes}
        self._number = 0

    def at(self, when, what, *args):
        self._number += 1
        heapq.heappush(self.queue, (when, self._number, what, args))

    def link(self, pairs=None):
        for one in self.nodes:
            for other in self.nodes:
                if one != other and (pairs is None or (one, other) in pairs or (other, one) in pairs):
                    self.carry(one, self.nodes[one].ledger.peer_up(bytes([other]), self.now))

    def carry(self, who, effects):
        for effect in effects:
            self.effects[who].append(effect)
            if isinstance(effect, Ask):
                self.asked[who, type(decode_request(effect.request)).__name__] += 1
                self.at(self.now + self.rng.randint(1, 20), self.ask, who, effect.peer[0], effect.request)
            elif isinstance(effect, Penalise):
                self.penalised[effect.peer[0]] += 1
                self.reasons.append(effect.reason)

    def ask(self, who, other, request):
        answer = None if self.rng.random() < self.lost else self.nodes[other].answer(request)
        when = self.now + (TIMEOUT_MS if answer is None else self.rng.randint(1, self.late_ms))
        self.at(when, self.answered, who, other, request, answer)

    def answered(self, who, other, request, answer):
        self.carry(who, self.nodes[who].ledger.answered(bytes([other]), request, answer, self.now))

    def gossip(self, block, chance):
        """The first, whose orderer made it, gets the block; each other one gets it or not."""
        for who, node in self.nodes.items():
            if who == 0 or self.rng.random() < chance:
                self.carry(who, node.ledger.receive_block(b"\xff", block, self.now))

    def run(self, until_ms):
        while True:
            due = [(node.ledger.next_deadline_ms(), who) for who, node in self.nodes.items()]
            tick = min(((when, who) for when, who in due if when is not None), default=(until_ms + 1, -1))
            event = self.queue[0][0] if self.queue else until_ms + 1
            if min(tick[0], event) > until_ms:
                self.now = until_ms
                return
            if event <= tick[0]:
                self.now, _, what, args = heapq.heappop(self.queue)
                what(*args)
            else:
                self.now = max(self.now, tick[0])
                self.carry(tick[1], self.nodes[tick[1]].ledger.tick(self.now))


def chain_of(count, lab=None):
    """A consortium after that many blocks, and the blocks."""
    lab = lab or Consortium()
    for value in range(count):
        lab.commit(*[lab.call("put", b"a", value)] if value % 10 == 0 else [])
        lab.now += 10
    return lab, [lab.one.block(height) for height in range(1, lab.one.head.height + 1)]
