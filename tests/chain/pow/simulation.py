"""Ledger cores in virtual time: a heap of events, links with latency that can be cut, and a checker at every replica."""

import heapq
from random import Random

from chain.codec import block_id, decode_block, decode_transaction
from chain.errors import InvalidBlockError, Refused
from chain.ledger import Ask, Broadcast, Committed, Dropped, Finalised, HeaderStatus, Jumped, Penalise, Reorged, Save
from chain.ledgers.pow.ledger import PowLedger
from chain.store import MemoryStore
from tests.chain.pow.founding import GENESIS_MS, account

MINE_EVERY_MS = 200


class EffectChecker:
    """What a consumer of effects may rely on: raises AssertionError at the first effect out of order."""

    def __init__(self, network):
        self.chain = {0: network.id}
        self.height = 0
        self.final = 0
        self.saved = set()
        self.reorged = 0

    def check(self, effect):
        if isinstance(effect, Save):
            self.saved.update(block_id(block.header) for block, _ in effect.blocks)
        elif isinstance(effect, Committed):
            header = effect.block.header
            assert header.height == self.height + 1
            assert header.parent == self.chain[self.height]
            assert block_id(header) in self.saved
            assert len(effect.receipts) == len(effect.block.transactions)
            self.height += 1
            self.chain[self.height] = block_id(header)
        elif isinstance(effect, Reorged):
            for block in effect.blocks:
                assert block_id(block.header) == self.chain.pop(self.height)
                self.height -= 1
            self.reorged = max(self.reorged, len(effect.blocks))
            assert self.height >= self.final
        elif isinstance(effect, Finalised):
            self.final += 1
            assert effect.block.header.height == self.final <= self.height
            assert block_id(effect.block.header) == self.chain[self.final]
        elif isinstance(effect, Jumped):
            assert self.height == self.final < effect.header.height
            self.height = self.final = effect.header.height
            self.chain[self.height] = block_id(effect.header)


class SimNode:
    """A replica, its store, and how fast it mines in hashes per second."""

    def __init__(self, world, name, rate, config=None, store=None):
        self.world = world
        self.name = name
        self.rate = rate
        self.store = store or MemoryStore()
        producer = account(1000 + name[0])
        self.ledger = PowLedger(
            world.network, producer=producer, config=config, loaded=self.store.load(), archive=self.store
        )
        self.checker = EffectChecker(world.network)
        self.penalised = []
        self.dropped = []
        self.asked = []
        self.tick_ms = None
        self.behaviour = None
        """(peer, request) → response or None: replaces honest answers."""

    def carry(self, effects):
        for effect in effects:
            self.checker.check(effect)
            if isinstance(effect, Save):
                self.store.save(effect)
            elif isinstance(effect, Broadcast):
                self.world.broadcast(self, effect)
            elif isinstance(effect, Ask):
                self.asked.append(effect)
                self.world.ask(self, effect)
            elif isinstance(effect, Penalise):
                self.penalised.append((effect.peer, effect.reason))
            elif isinstance(effect, Dropped):
                self.dropped.append(effect)
        deadline = self.ledger.next_deadline_ms()
        if deadline is not None and (self.tick_ms is None or deadline < self.tick_ms):
            self.tick_ms = max(deadline, self.world.now)
            self.world.at(self.tick_ms, self.tick, self.tick_ms)

    def tick(self, due):
        if due == self.tick_ms:
            self.tick_ms = None
            self.carry(self.ledger.tick(self.world.now))

    def mine(self):
        if self.rate:
            self.carry(self.ledger.mine(self.rate * MINE_EVERY_MS // 1000, self.world.now))
        self.world.after(MINE_EVERY_MS, self.mine)

    def gossip(self, sender, topic, data):
        now = self.world.now
        try:
            if topic == "tx":
                self.carry(self.ledger.receive_transaction(decode_transaction(data), now))
                return
            block = decode_block(data)
            if self.ledger.check_header(block.header, now) is not HeaderStatus.KNOWN:
                self.carry(self.ledger.receive_block(sender, block, now))
        except Refused as refusal:
            self.dropped.append(refusal)
        except InvalidBlockError as error:
            self.penalised.append((sender, str(error)))

    def answer(self, peer, request):
        return self.behaviour(peer, request) if self.behaviour else self.ledger.answer(peer, request)


class World:
    """Nodes on a full mesh. `groups` of names that cannot reach each other; none means all can."""

    def __init__(self, network, seed=0, latency_ms=(20, 200)):
        self.network = network
        self.rng = Random(seed)
        self.latency_ms = latency_ms
        self.now = GENESIS_MS
        self.nodes = {}
        self.groups = None
        self._heap = []
        self._sequence = 0

    def add(self, name, rate, config=None, store=None, connect=True):
        node = SimNode(self, name, rate, config, store)
        others = list(self.nodes.values())
        self.nodes[name] = node
        self.after(self.rng.randrange(MINE_EVERY_MS), node.mine)
        for other in others if connect else ():
            self.connect(name, other.name)
        return node

    def connect(self, a, b):
        for one, other in ((a, b), (b, a)):
            self.nodes[one].carry(self.nodes[one].ledger.peer_up(other, self.now))

    def at(self, time_ms, function, *args):
        self._sequence += 1
        heapq.heappush(self._heap, (time_ms, self._sequence, function, args))

    def after(self, delay_ms, function, *args):
        self.at(self.now + delay_ms, function, *args)

    def run(self, duration_ms, until=lambda: False):
        end = self.now + duration_ms
        while self._heap and self._heap[0][0] <= end and not until():
            self.now, _, function, args = heapq.heappop(self._heap)
            function(*args)
        if not until():
            self.now = end

    def reach(self, a, b):
        return self.groups is None or any(a in group and b in group for group in self.groups)

    def latency(self):
        return self.rng.randint(*self.latency_ms)

    def broadcast(self, sender, effect):
        for name in sorted(self.nodes):
            if name != sender.name and self.reach(sender.name, name):
                self.after(self.latency(), self.nodes[name].gossip, sender.name, effect.topic, effect.data)

    def ask(self, asker, effect):
        def ask():
            other = self.nodes[effect.peer]
            response = other.answer(asker.name, effect.request) if self.reach(asker.name, effect.peer) else None
            self.after(self.latency() if response is not None else 5_000, answered, response)

        def answered(response):
            asker.carry(asker.ledger.answered(effect.peer, effect.request, response, self.now))

        self.after(self.latency(), ask)

    def submit(self, name, transaction):
        node = self.nodes[name]
        node.carry(node.ledger.submit(transaction, self.now))

    def settle(self, blocks=30):
        """Let everything run until every replica has the same final chain `blocks` further on; fail if it does not."""
        goal = max(node.ledger.final.height for node in self.nodes.values()) + blocks
        interval = self.network.genesis.ledger.block_interval_ms

        def settled():
            return all(node.ledger.final.height >= goal for node in self.nodes.values())

        self.run(interval * blocks * 20, settled)
        assert settled(), {name: node.ledger.statistics() for name, node in self.nodes.items()}
        assert len({node.ledger.header(goal) for node in self.nodes.values()}) == 1
