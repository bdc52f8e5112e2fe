"""Six replicas that hear of the same blocks in any order end with one head and one state, shared work or not.

Branches are of any shape, up to the finality depth: a replica that made one of two branches final keeps to it, which
`test_network` shows. Blocks come early, late, twice or before their parents, clocks differ, and replicas restart.
"""

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chain.codec import transaction_id
from chain.contracts.accounts import supply
from chain.errors import Refused
from chain.ledger import HeaderStatus, Save
from chain.ledgers.pow.config import PowConfig
from chain.ledgers.pow.ledger import PowLedger
from chain.store import MemoryStore
from chain.transition import APPLIED, BEGINNINGS
from tests.chain.pow.forge import Forge
from tests.chain.pow.founding import GENESIS_MS, found, transfer
from tests.chain.pow.simulation import EffectChecker

DEPTH = 8
REPLICAS = range(6)
SHARING = range(3)
"""These take what another replica of the process found; the others do all their work."""
SKEW_MS = (0, 40_000, -40_000, 0, 20_000, -20_000)
CONFIG = PowConfig(snapshot_interval=4)


class AnyOrder(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        APPLIED.clear()
        BEGINNINGS.clear()
        self.network = found(people=6, initial_difficulty=4, finality_depth=DEPTH)
        self.forge = Forge(self.network)
        self.base = self.network.id
        self.made = []
        self.now = GENESIS_MS
        self.stores = [MemoryStore() for _ in REPLICAS]
        self.ledgers = [self.start(number) for number in REPLICAS]
        self.checkers = [EffectChecker(self.network) for _ in REPLICAS]
        self.told = [set() for _ in REPLICAS]

    def start(self, number):
        store = self.stores[number]
        return PowLedger(self.network, config=CONFIG, loaded=store.load(), archive=store)

    def clock(self, number):
        return self.now + SKEW_MS[number]

    def carry(self, number, step, *args):
        """One step of a replica, with the memory on or off as it is for this one."""
        APPLIED.enabled = number in SHARING
        try:
            effects = step(*args, self.clock(number))
        finally:
            APPLIED.enabled = True
        for effect in effects:
            self.checkers[number].check(effect)
            if isinstance(effect, Save):
                self.stores[number].save(effect)

    def tell(self, number, block_id):
        ledger, block = self.ledgers[number], self.forge.blocks[block_id]
        if ledger.check_header(block.header, self.clock(number)) is not HeaderStatus.KNOWN:
            self.carry(number, ledger.receive_block, b"peer", block)
        self.told[number].add(block_id)

    # --- what happens ---------------------------------------------------------------------------------------------

    @initialize(branches=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), min_size=1, max_size=4))
    def some_branches(self, branches):
        for back, length in branches:
            for step in range(length):
                self.mine(back if not step else 0, sender=0, after_s=10, conflict=False)

    @rule(
        back=st.integers(0, 12),
        sender=st.integers(0, 6),
        after_s=st.sampled_from([10, 12, 5, 40, -20]),
        conflict=st.booleans(),
    )
    def mine(self, back, sender, after_s, conflict):
        """On any block so far, with a payment, or one that spends the same nonce otherwise on another branch."""
        parent = self.made[max(0, len(self.made) - 1 - back)] if self.made else self.base
        if self.forge.height(parent) >= self.forge.height(self.base) + DEPTH:
            return
        payments = [self.forge.pay(parent, sender, amount=1 + conflict)] if sender else []
        self.made.append(self.forge.mine(parent, *payments, after_ms=after_s * 1_000, producer=50 + sender))

    @rule(number=st.sampled_from(REPLICAS), back=st.integers(0, 20))
    def one_hears_of_a_block(self, number, back):
        if self.made:
            self.tell(number, self.made[max(0, len(self.made) - 1 - back)])

    @rule(chance=st.randoms(use_true_random=False))
    def all_hear_of_much(self, chance):
        for number in chance.sample(REPLICAS, 6):
            for block_id in chance.sample(self.made, len(self.made) // 2):
                self.tell(number, block_id)

    @rule(passed_s=st.integers(1, 60))
    def time_passes(self, passed_s):
        self.now += passed_s * 1_000
        for number in REPLICAS:
            self.carry(number, self.ledgers[number].tick)

    @rule(number=st.sampled_from(REPLICAS), sender=st.integers(1, 6), ahead=st.integers(0, 2))
    def a_payment_waits(self, number, sender, ahead):
        ledger = self.ledgers[number]
        nonce = ledger.next_nonce(self.sender(sender)) + ahead
        reason = ""
        try:
            ledger.receive_transaction(transfer(self.network, sender, nonce), self.clock(number))
        except Refused as refusal:
            reason = refusal.reason
        assert reason in ("", "nonce_taken", "already_pending")

    def sender(self, number):
        return transfer(self.network, number, 0).sender

    @rule(number=st.sampled_from(REPLICAS))
    def one_restarts(self, number):
        head, root = self.ledgers[number].head_id, self.ledgers[number].state.root
        self.ledgers[number] = self.start(number)
        assert (self.ledgers[number].head_id, self.ledgers[number].state.root) == (head, root)
        check, now = self.ledgers[number].check_header, self.clock(number)
        known = {b for b in self.told[number] if check(self.forge.blocks[b].header, now) is HeaderStatus.KNOWN}
        self.told[number] = known  # what waited for its parent or its time is forgotten

    @rule(chance=st.randoms(use_true_random=False))
    def all_settles(self, chance):
        """Everybody hears of everything that is missing, and of one block more, for equals are kept apart until then."""
        self.now = max(self.now, *(self.forge.blocks[b].header.time_ms for b in [*self.made, self.base])) + 40_000
        for number in REPLICAS:
            self.carry(number, self.ledgers[number].tick)
            for block_id in chance.sample(self.made, len(self.made)):
                self.tell(number, block_id)
        best = max((self.forge.work(block_id) for block_id in self.made), default=self.forge.work(self.base))
        assert {self.forge.work(ledger.head_id) for ledger in self.ledgers} == {best}
        tip = next(b for b in [*self.made, self.base] if self.forge.work(b) == best)
        # Ever more until all of the base is final everywhere: the next branches begin there.
        above = self.forge.line(DEPTH + 1, tip)
        self.now = max(self.now, self.forge.blocks[above[-1]].header.time_ms)
        for number in REPLICAS:
            for block_id in chance.sample(above, len(above)):
                self.tell(number, block_id)
        self.agree(above[-1])
        self.base, self.made = above[-1], []
        self.told = [set() for _ in REPLICAS]

    def agree(self, head):
        ledgers = self.ledgers
        assert {ledger.head_id for ledger in ledgers} == {head}
        assert {ledger.state.root for ledger in ledgers} == {self.forge.state(head).root}
        assert len({ledger.final for ledger in ledgers}) == len({ledger.final_state.root for ledger in ledgers}) == 1
        states = [dict(ledger.state.scan(b"")) for ledger in ledgers]
        assert all(state == states[0] for state in states)
        for height in range(ledgers[0].head.height + 1):
            assert len({(ledger.header(height), ledger.receipts(height)) for ledger in ledgers}) == 1
        self.nothing_waits_that_is_in_the_chain()
        minted = ledgers[0].head.height * self.network.genesis.ledger.block_reward
        assert supply(ledgers[0].state) == supply(self.network.state) + minted

    def teardown(self):
        self.all_settles(Random(len(self.made)))

    # --- what holds all the time ----------------------------------------------------------------------------------

    @invariant()
    def each_is_on_the_heaviest_of_what_it_can_judge(self):
        limit = self.network.genesis.ledger.max_future_ms
        for number in REPLICAS:
            judged = {self.base}
            for block_id in self.made:  # parents first
                header = self.forge.blocks[block_id].header
                early = header.time_ms > self.clock(number) + limit
                if block_id in self.told[number] and header.parent in judged and not early:
                    judged.add(block_id)
            best = max(self.forge.work(block_id) for block_id in judged)
            assert self.forge.work(self.ledgers[number].head_id) == best

    @invariant()
    def nothing_waits_that_is_in_the_chain(self):
        for ledger in self.ledgers:
            assert not any(ledger.receipt(transaction_id(waiting)) for waiting in ledger.pending())


AnyOrder.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestAnyOrder = AnyOrder.TestCase
