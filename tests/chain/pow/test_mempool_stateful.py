"""The mempool against a plain list that forgets nothing it should keep and keeps nothing it should forget."""

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain.codec import transaction_id
from chain.errors import Refused
from chain.ledgers.pow.mempool import Mempool, MempoolLimits
from chain.values import Transaction
from tests.chain.pow.founding import account

LIMITS = MempoolLimits(transactions=8, per_sender=4, ttl_ms=1_000)
SENDERS = [account(number) for number in (1, 2, 3)]


def unsigned(sender, nonce, args=b"\x90"):
    return Transaction(bytes(32), sender, nonce, "accounts", "transfer", args, b"")


class MempoolAgainstList(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.pool = Mempool(LIMITS)
        self.waiting = []  # (transaction, arrived_ms), in order
        self.ranks = {}  # by transaction id
        self.next = dict.fromkeys(SENDERS, 0)
        self.now = 0
        self.blocks = []

    def expected_refusal(self, transaction):
        same = [t for t, _ in self.waiting if (t.sender, t.nonce) == (transaction.sender, transaction.nonce)]
        if transaction in same:
            return "already_pending"
        if transaction.nonce < self.next[transaction.sender]:
            return "nonce_too_low"
        if transaction.nonce >= self.next[transaction.sender] + LIMITS.per_sender:
            return "nonce_gap"
        if same:
            return "nonce_taken"
        return "mempool_full" if len(self.waiting) == LIMITS.transactions else None

    @rule(sender=st.sampled_from(SENDERS), ahead=st.integers(-1, 5), kind=st.sampled_from([b"\x90", b"\x91\x01"]))
    def add(self, sender, ahead, kind):
        transaction = unsigned(sender, max(0, self.next[sender] + ahead), kind)
        reason = self.expected_refusal(transaction)
        if reason is None:
            self.pool.add(transaction, self.next[sender], self.now)
            self.waiting.append((transaction, self.now))
            self.ranks[transaction_id(transaction)] = self.now
        else:
            with pytest.raises(Refused) as refusal:
                self.pool.add(transaction, self.next[sender], self.now)
            assert refusal.value.reason == reason

    @rule(count=st.integers(1, 8), ago=st.sampled_from([0, 0, 1, 200]), slot=st.sampled_from([1, 500]))
    def block_of_what_is_offered(self, count, ago, slot):
        offered = self.pool.offer(self.next.__getitem__, count, self.now - ago, slot)
        assert offered == self.expected_offer(count, self.now - ago, slot)
        self.take(offered)

    @rule(sender=st.sampled_from(SENDERS))
    def block_with_a_transaction_from_elsewhere(self, sender):
        self.take([unsigned(sender, self.next[sender], b"\x91\x02")])

    def take(self, block):
        for transaction in block:
            same = [t for t, _ in self.waiting if (t.sender, t.nonce) == (transaction.sender, transaction.nonce)]
            void = self.pool.committed(transaction)
            assert void == (same[0] if same and same[0] != transaction else None)
            self.waiting = [(t, at) for t, at in self.waiting if t not in same]
            self.next[transaction.sender] += 1
        self.blocks.append(block)

    @precondition(lambda self: self.blocks)
    @rule()
    def last_block_is_undone(self):
        block = self.blocks.pop()
        for transaction in block:
            self.next[transaction.sender] -= 1
        lost = self.pool.put_back(block, self.now)
        nonces = {(t.sender, t.nonce) for t, _ in self.waiting}
        returned = []
        for transaction in block:
            room = len(self.waiting) + len(returned) < LIMITS.transactions
            if room and (transaction.sender, transaction.nonce) not in nonces:
                returned.append((transaction, self.now))
                self.ranks[transaction_id(transaction)] = 0
        assert lost == [t for t in block if t not in [r for r, _ in returned]]
        self.waiting = returned + self.waiting

    @rule(sender=st.sampled_from(SENDERS), nonces=st.integers(1, 3))
    def state_jumps(self, sender, nonces):
        self.next[sender] += nonces
        self.blocks = []
        used = [t for t, _ in self.waiting if t.nonce < self.next[t.sender]]
        assert self.pool.drop_used(self.next.__getitem__) == used
        self.waiting = [(t, at) for t, at in self.waiting if t not in used]

    @rule(passed=st.integers(0, 600))
    def time_passes(self, passed):
        self.now += passed
        gone = []
        while self.waiting and self.waiting[0][1] + LIMITS.ttl_ms <= self.now:
            gone.append(self.waiting.pop(0)[0])
        assert self.pool.expire(self.now) == gone

    def expected_offer(self, count, until, slot):
        """Oldest slot first, ids within; each that is next in its sender's order, and at once what had come before."""
        wanted, offered = dict(self.next), []
        ranked = sorted((self.ranks[id_] // slot, id_, t) for t, _ in self.waiting for id_ in [transaction_id(t)])
        waiting = [t for _, id_, t in ranked if self.ranks[id_] <= until]
        for index, transaction in enumerate(waiting):
            if transaction.nonce != wanted[transaction.sender]:
                continue
            earlier = {t.nonce: t for t in waiting[:index] if t.sender == transaction.sender}
            while transaction is not None:
                offered.append(transaction)
                wanted[transaction.sender] += 1
                transaction = earlier.get(wanted[transaction.sender])
        return offered[:count]

    @invariant()
    def same_content(self):
        assert self.pool.first(100) == tuple(t for t, _ in self.waiting)
        assert len(self.pool) == len(self.waiting) <= LIMITS.transactions
        assert all(transaction_id(t) in self.pool and self.pool.get(transaction_id(t)) == t for t, _ in self.waiting)
        first = self.waiting[0][1] + LIMITS.ttl_ms if self.waiting else None
        assert self.pool.next_expiry_ms() == first

    @invariant()
    def pending_is_without_gaps(self):
        for sender in SENDERS:
            mine = {t.nonce: t for t, _ in self.waiting if t.sender == sender}
            run = []
            while self.next[sender] + len(run) in mine:
                run.append(mine[self.next[sender] + len(run)])
            assert self.pool.pending(sender, self.next[sender]) == run


MempoolAgainstList.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestMempool = MempoolAgainstList.TestCase


def test_signature_is_no_part_of_what_waits():
    """The id leaves it out, so one transaction with two signatures waits once."""
    pool = Mempool(LIMITS)
    transaction = unsigned(SENDERS[0], 0)
    pool.add(transaction, 0, 0)
    with pytest.raises(Refused) as refusal:
        pool.add(msgspec.structs.replace(transaction, signature=bytes(64)), 0, 0)
    assert refusal.value.reason == "already_pending"
