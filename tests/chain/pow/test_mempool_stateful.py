"""The mempool against a plain list that forgets nothing it should keep and keeps nothing it should forget."""

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain.codec import transaction_id
from chain.errors import Refused
from chain.ledgers.pow.mempool import SLOT_BYTES, Left, Mempool, MempoolLimits
from chain.values import MAX_ARGS_BYTES, Transaction
from tests.chain.pow.founding import account

LIMITS = MempoolLimits(transactions=8, newcomers=5, per_sender=4, ttl_ms=1_000, replace_after_ms=300)
SENDERS = [account(number) for number in (1, 2, 3, 4)]
LARGE = bytes(SLOT_BYTES)


def unsigned(sender, nonce, args=b"\x90"):
    return Transaction(bytes(32), sender, nonce, "accounts", "transfer", args, b"")


def size(transactions):
    return sum(2 if transaction.args == LARGE else 1 for transaction in transactions)


class MempoolAgainstList(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.pool = Mempool(LIMITS)
        self.waiting = []  # (transaction, arrived_ms), in order
        self.ranks = {}  # by transaction id
        self.next = dict.fromkeys(SENDERS, 0)
        self.new = dict.fromkeys(SENDERS, False)  # of those who have something in the pool
        self.now = 0
        self.blocks = []

    def of(self, sender):
        return [t for t, _ in self.waiting if t.sender == sender]

    def refusal(self, transaction):
        """Why it is refused whatever room there is."""
        same = [(t, at) for t, at in self.waiting if (t.sender, t.nonce) == (transaction.sender, transaction.nonce)]
        if transaction in [t for t, _ in same]:
            return "already_pending"
        if transaction.nonce < self.next[transaction.sender]:
            return "nonce_too_low"
        if transaction.nonce >= self.next[transaction.sender] + LIMITS.per_sender:
            return "nonce_gap"
        if same and self.now < same[0][1] + LIMITS.replace_after_ms:
            return "nonce_taken"
        return None

    def outcomes(self, transaction):
        """What may come of it, searched anew: what leaves, or None when there is no room."""
        sender = transaction.sender
        is_new = self.new[sender] if self.of(sender) else self.next[sender] == 0
        replaced = [t for t in self.of(sender) if t.nonce == transaction.nonce]
        added = size([transaction]) - size(replaced)
        total = size(t for t, _ in self.waiting)
        of_new = size(t for t, _ in self.waiting if self.new[t.sender])
        over, over_new = total + added - LIMITS.transactions, of_new + added - LIMITS.newcomers
        over_new = over_new if is_new else 0
        leaving = [Left(t, "replaced") for t in replaced]
        if max(over, over_new) <= 0:
            return [leaving]
        crowd = [who for who in SENDERS if self.of(who) and (self.new[who] or over_new <= 0)]
        most = max(size(self.of(who)) for who in crowd)
        return [
            self.evicted(who, max(over, over_new), size(self.of(sender)) + added, leaving)
            for who in crowd
            if size(self.of(who)) == most
        ]

    def evicted(self, who, needed, newcomer_holds, leaving):
        mine = sorted(self.of(who), key=lambda t: t.nonce)
        victims = []
        while size(victims) < needed:
            if not mine:
                return None
            victims.append(mine.pop())
            if size(mine) < newcomer_holds:
                return None
        return leaving + [Left(t, "evicted") for t in victims]

    @rule(
        sender=st.sampled_from(SENDERS),
        ahead=st.integers(-1, 5),
        kind=st.sampled_from([b"\x90", b"\x91\x01", LARGE]),
    )
    def add(self, sender, ahead, kind):
        transaction = unsigned(sender, max(0, self.next[sender] + ahead), kind)
        reason = self.refusal(transaction)
        outcomes = [None] if reason else self.outcomes(transaction)
        was_new = self.new[sender] if self.of(sender) else self.next[sender] == 0
        try:
            left = self.pool.add(transaction, self.next[sender], self.now)
        except Refused as refusal:
            found, left = refusal.reason, None
        else:
            found = None
        assert left in outcomes
        assert found == (None if left is not None else reason or "mempool_full")
        if left is not None:
            self.waiting = [(t, at) for t, at in self.waiting if t not in [gone for gone, _ in left]]
            self.waiting.append((transaction, self.now))
            self.ranks[transaction_id(transaction)] = self.now
            self.new[sender] = was_new

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
            self.new[transaction.sender] = False
        self.blocks.append(block)

    @precondition(lambda self: self.blocks)
    @rule()
    def last_block_is_undone(self):
        block = self.blocks.pop()
        for transaction in block:
            self.next[transaction.sender] -= 1
        nonces = {(t.sender, t.nonce) for t, _ in self.waiting}
        taken = [t for t in block if (t.sender, t.nonce) in nonces]
        returned = [t for t in block if t not in taken]
        for transaction in returned:
            self.ranks[transaction_id(transaction)] = 0
            if not self.of(transaction.sender):
                self.new[transaction.sender] = False
        self.waiting = [(t, self.now) for t in returned] + self.waiting
        left = self.pool.put_back(block, self.now)
        assert [t for t, reason in left if reason == "nonce_taken"] == taken
        for transaction, reason in left[len(taken) :]:
            most = max(size(self.of(who)) for who in SENDERS)
            mine = self.of(transaction.sender)
            assert size(t for t, _ in self.waiting) > LIMITS.transactions and reason == "evicted"
            assert size(mine) == most and transaction.nonce == max(t.nonce for t in mine)
            self.waiting = [(t, at) for t, at in self.waiting if t != transaction]

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
        assert len(self.pool) == len(self.waiting)
        assert size(t for t, _ in self.waiting) <= LIMITS.transactions
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


def fill(pool, senders, each, next_nonce=1):
    for sender in senders:
        for nonce in range(each):
            pool.add(unsigned(sender, next_nonce + nonce), next_nonce, 0)


def refusal(pool, transaction, next_nonce, now_ms=0):
    with pytest.raises(Refused) as refused:
        pool.check(transaction, next_nonce, now_ms)
    return refused.value.reason


def test_a_flood_from_one_key_makes_room_for_others():
    """Sixty-four a key in a full pool: each newcomer takes one place from who has most, down to equal shares."""
    limits = MempoolLimits(transactions=256, newcomers=256)
    pool = Mempool(limits)
    fill(pool, [account(number) for number in range(4)], 64)
    guests = [account(number) for number in range(100, 151)]
    for guest in guests:
        (left,) = pool.add(unsigned(guest, 1), 1, 0)
        assert left.reason == "evicted" and left.transaction.sender not in guests
    held = {number: len(pool.pending(account(number), 1)) for number in range(4)}
    assert sum(held.values()) == 256 - 51
    assert max(held.values()) - min(held.values()) <= 1  # and each still begins with its next nonce
    assert refusal(pool, unsigned(account(0), 1 + held[0]), 1) == "mempool_full"


def test_a_crowd_of_new_keys_shuts_nobody_out():
    """Half of the pool is all that keys get which no block knows: who has had one in a block comes in as before."""
    pool = Mempool(MempoolLimits(transactions=200, newcomers=100))
    fill(pool, [account(number) for number in range(1_000, 1_100)], 1, next_nonce=0)
    assert refusal(pool, unsigned(account(2_000), 0), 0) == "mempool_full"
    assert pool.add(unsigned(account(1), 7), 7, 0) == []
    # And one of the crowd that gets into a block leaves its place to another.
    pool.committed(unsigned(account(1_000), 0))
    assert pool.add(unsigned(account(2_000), 0), 0, 0) == []


def test_replacing_again_and_again_gains_no_turn():
    """Only what has waited is replaced, and what replaces it goes to the end."""
    pool = Mempool(MempoolLimits(replace_after_ms=1_000))
    first, other = unsigned(SENDERS[0], 0), unsigned(SENDERS[1], 0)
    pool.add(first, 0, 0)
    pool.add(other, 0, 10)
    second = unsigned(SENDERS[0], 0, b"\x91\x01")
    assert refusal(pool, second, 0, 999) == "nonce_taken"
    assert pool.add(second, 0, 1_000) == [(first, "replaced")]
    assert pool.offer(lambda _: 0, 10, 2_000, 1) == [other, second]
    assert refusal(pool, first, 0, 1_999) == "nonce_taken"


def test_what_the_pool_holds_is_bounded_in_bytes_too():
    """Arguments of 16 KiB take nine places."""
    pool = Mempool(MempoolLimits(transactions=90, newcomers=90))
    largest = bytes(MAX_ARGS_BYTES)
    for number in range(10):
        pool.add(unsigned(account(number), 1, largest), 1, 0)
    assert refusal(pool, unsigned(account(10), 1), 1) == "mempool_full"


def test_signature_is_no_part_of_what_waits():
    """The id leaves it out, so one transaction with two signatures waits once."""
    pool = Mempool(LIMITS)
    transaction = unsigned(SENDERS[0], 0)
    pool.add(transaction, 0, 0)
    with pytest.raises(Refused) as refusal:
        pool.add(msgspec.structs.replace(transaction, signature=bytes(64)), 0, 0)
    assert refusal.value.reason == "already_pending"
