"""The cutter against Fabric's rules written down the slow way, and the bounds of what waits."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chain.codec import encode, transaction_id
from chain.errors import Refused
from chain.ledgers.ordered.channel import DEFAULT_BATCH, BatchLimits
from chain.ledgers.ordered.cut import Cutter, largest_message
from chain.ledgers.ordered.pool import EnvelopePool, PoolLimits, Waiting
from chain.ledgers.ordered.values import nonce_at
from chain.values import Account
from tests.chain.ordered.lab import TTL_MS, Consortium, account
from tests.strategies import EPOCH_MS

LIMITS = BatchLimits(max_count=4, preferred_bytes=1_000, absolute_bytes=65_536, timeout_ms=50, idle_ms=0)
_ENVELOPE = Consortium().call("put", b"a", 1)
_CHANGE = replace(_ENVELOPE, transaction=replace(_ENVELOPE.transaction, contract="channel"))


MAX_GAS = 100


def message(serial, size, *, gas=0, changes=False):
    return Waiting(serial, _CHANGE if changes else _ENVELOPE, b"", size, gas)


@dataclass(frozen=True)
class Arrival:
    after_ms: int
    size: int
    gas: int
    changes: bool


arrivals = st.lists(
    st.builds(
        Arrival,
        st.integers(0, 60),
        st.one_of(st.integers(1, 1_500), st.sampled_from([999, 1_000, 1_001, 40_960])),
        st.one_of(st.integers(0, 50), st.sampled_from([0, MAX_GAS])),
        st.sampled_from([False] * 6 + [True]),
    ),
    max_size=30,
)


def slowly(limits, arrivals):
    """Batches as (ms, sizes): for each message, first what time cuts, then what its size or gas cuts, then what count cuts."""
    batches, pending, gas, since, now = [], [], [], None, 0

    def flush():
        nonlocal pending, gas, since
        if pending:
            batches.append((now, pending))
        pending, gas, since = [], [], None

    for arrival in [*arrivals, Arrival(10_000, 0, 0, False)]:
        arrives = now + arrival.after_ms
        if pending and since + limits.timeout_ms <= arrives:
            now = since + limits.timeout_ms
            flush()
        now = arrives
        if not arrival.size:
            continue
        if arrival.size > limits.preferred_bytes or arrival.changes:
            flush()
            batches.append((now, [arrival.size]))
            continue
        if sum(pending) + arrival.size > limits.preferred_bytes or sum(gas) + arrival.gas > MAX_GAS:
            flush()
        if not pending:
            since = now
        pending.append(arrival.size)
        gas.append(arrival.gas)
        if len(pending) == limits.max_count:
            flush()
    return batches


@given(st.integers(1, 5), st.sampled_from([300, 1_000]), arrivals)
def test_cuts_where_the_rules_say(count, preferred, arrivals):
    limits = replace(LIMITS, max_count=count, preferred_bytes=preferred)
    cutter = Cutter(limits, MAX_GAS)
    batches, now = [], 0
    for serial, arrival in enumerate(arrivals):
        arrives = now + arrival.after_ms
        if (due := cutter.due_ms()) is not None and due <= arrives:
            batches.append((due, cutter.flush()))
        now = arrives
        come = message(serial, arrival.size, gas=arrival.gas, changes=arrival.changes)
        batches += [(now, one) for one in cutter.add(come, now)]
    if (due := cutter.due_ms()) is not None:
        batches.append((due, cutter.flush()))
    assert [(when, [one.size for one in batch]) for when, batch in batches] == slowly(limits, arrivals)
    assert [one.serial for _, batch in batches for one in batch] == list(range(len(arrivals)))
    assert all(sum(one.gas for one in batch) <= MAX_GAS for _, batch in batches)
    assert len(cutter) == 0 and cutter.due_ms() is None and cutter.flush() == []


def test_preferred_size_leaves_room_for_the_seal():
    limits = replace(DEFAULT_BATCH, preferred_bytes=65_536, absolute_bytes=65_536)
    cutter = Cutter(limits, MAX_GAS)
    assert largest_message(limits) < 65_536
    assert cutter.add(message(0, largest_message(limits)), 0) == []
    assert [len(batch) for batch in cutter.add(message(1, 1), 0)] == [1]
    assert [len(batch) for batch in cutter.add(message(2, largest_message(limits) + 1), 0)] == [1, 1]


# --- the pool -----------------------------------------------------------------------------------------------------


def envelope_of(who, number=0, made=EPOCH_MS):
    transaction = replace(_ENVELOPE.transaction, sender=Account(account(who)), nonce=nonce_at(made, number))
    return replace(_ENVELOPE, transaction=transaction)


def test_pool_is_bounded_by_number_and_sender_and_bytes():
    pool = EnvelopePool(PoolLimits(count=3, per_sender=2), TTL_MS)
    for number in range(2):
        pool.add(envelope_of("a", number))
    with pytest.raises(Refused, match="pool_full"):
        pool.add(envelope_of("a", 2))
    with pytest.raises(Refused, match="already_pending"):
        pool.add(envelope_of("a", 1))
    pool.add(envelope_of("b"))
    with pytest.raises(Refused, match="pool_full"):
        pool.add(envelope_of("c"))
    assert len(pool) == 3
    size = len(encode(_ENVELOPE.transaction)) + len(encode(_ENVELOPE.evidence))
    small = EnvelopePool(PoolLimits(bytes=2 * size + 1), TTL_MS)
    for number in range(2):
        small.add(envelope_of("a", number))
    with pytest.raises(Refused, match="pool_full"):
        small.add(envelope_of("b"))
    small.remove(transaction_id(envelope_of("a", 0).transaction))
    small.add(envelope_of("b"))


def test_pool_gives_back_what_is_removed_and_expires():
    pool = EnvelopePool(PoolLimits(count=2, per_sender=1), TTL_MS)
    one, two = envelope_of("a", made=EPOCH_MS), envelope_of("b", made=EPOCH_MS + 10)
    pool.add(one)
    waiting = pool.add(two)
    assert [entry.serial for entry in pool] == [1, 2] and waiting.evidence == encode(two.evidence)
    assert pool.next_expiry_ms() == EPOCH_MS + TTL_MS + 1
    assert pool.expire(EPOCH_MS + TTL_MS) == []
    assert pool.expire(EPOCH_MS + TTL_MS + 1) == [one]
    assert pool.get(transaction_id(two.transaction)) == two
    assert pool.remove(transaction_id(two.transaction)) == two
    assert pool.remove(transaction_id(two.transaction)) is None
    assert len(pool) == 0 and pool.next_expiry_ms() is None
    assert pool.add(one).serial == 3
    pool.add(two)


def test_pool_is_woken_by_whatever_expires_first():
    """Also when what was made first came last."""
    pool = EnvelopePool(PoolLimits(), TTL_MS)
    pool.add(envelope_of("a", made=EPOCH_MS + 500))
    pool.add(envelope_of("b", made=EPOCH_MS))
    when = pool.next_expiry_ms()
    pool.expire(when)
    assert when <= EPOCH_MS + 500 + TTL_MS + 1
    assert [entry.envelope for entry in pool] == [] or pool.next_expiry_ms() > when
