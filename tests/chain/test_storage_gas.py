"""Storage against the EIPs' own cases, figures by hand, and the rules of the EIPs written down slot by slot."""

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import Refused
from chain.gas import Meter
from chain.storage_gas import LEAST_STEP, StorageMeter
from chain.values import MAX_INT

KEY = b"lab/k"
PLACE = 30 + 6
"""Of a key of one word."""
PUSH = 3
A, B, C = b"a" * 32, b"b" * 32, b"c" * 32
ZERO = bytes(32)

# EIP-3529, "With reduced refunds": (code, used gas, refund, original, values written), all slots warm already.
TABLE = [
    ("60006000556000600055", 212, 0, 0, (0, 0)),
    ("60006000556001600055", 20112, 0, 0, (0, 1)),
    ("60016000556000600055", 20112, 19900, 0, (1, 0)),
    ("60016000556002600055", 20112, 0, 0, (1, 2)),
    ("60016000556001600055", 20112, 0, 0, (1, 1)),
    ("60006000556000600055", 3012, 4800, 1, (0, 0)),
    ("60006000556001600055", 3012, 2800, 1, (0, 1)),
    ("60006000556002600055", 3012, 0, 1, (0, 2)),
    ("60026000556000600055", 3012, 4800, 1, (2, 0)),
    ("60026000556003600055", 3012, 0, 1, (2, 3)),
    ("60026000556001600055", 3012, 2800, 1, (2, 1)),
    ("60026000556002600055", 3012, 0, 1, (2, 2)),
    ("60016000556000600055", 3012, 4800, 1, (1, 0)),
    ("60016000556002600055", 3012, 0, 1, (1, 2)),
    ("60016000556001600055", 212, 0, 1, (1, 1)),
    ("600160005560006000556001600055", 40118, 19900, 0, (1, 0, 1)),
    ("600060005560016000556000600055", 5918, 7600, 1, (0, 1, 0)),
]


class Storage:
    """A state of one's own, and what access to it costs."""

    def __init__(self, **original):
        self.original = {name.encode(): value for name, value in original.items()}
        self.current = dict(self.original)
        self.meter = Meter(MAX_INT)
        self.gas = StorageMeter(self.meter)

    def read(self, key):
        return self._cost(lambda: self.gas.read(key, self.current.get(key)))

    def write(self, key, value):
        cost = self._cost(lambda: self.gas.write(key, self.original.get(key), self.current.get(key), value))
        self.current[key] = value
        return cost

    def step(self, key):
        return self._cost(lambda: self.gas.step(key, self.current.get(key)))

    def begin(self, prefix):
        return self._cost(lambda: self.gas.begin(prefix))

    def _cost(self, access):
        before = self.meter.used
        access()
        return self.meter.used - before


def test_the_table_spells_its_codes():
    """Each write is PUSH1 value, PUSH1 slot, SSTORE: so we take two pushes off the gas for each."""
    for code, _, _, _, written in TABLE:
        assert code == "".join(f"60{value:02x}600055" for value in written)


@pytest.mark.parametrize("absent", [None, ZERO, b"\0"], ids=["absent", "zeros", "zero"])
@pytest.mark.parametrize("code,used,refund,original,written", TABLE)
def test_eip_3529s_table(code, used, refund, original, written, absent):
    """Less the pushes, which the EVM's stack needs and ours does not, and with a key's place, found for each write."""
    values = {0: absent, 1: A, 2: B, 3: C}
    storage = Storage(k=values[original])
    storage.read(b"k")
    cost = sum(storage.write(b"k", values[value]) for value in written)
    assert cost == used + len(written) * (PLACE - 2 * PUSH)
    assert storage.meter.refund == refund


@pytest.mark.parametrize("size,slots", [(1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (1_000, 32)])
def test_slots_of_a_value(size, slots):
    storage = Storage(k=b"x" * size)
    assert storage.read(b"k") == PLACE + 2_100 * slots
    assert storage.read(b"k") == PLACE + 100 * slots
    assert storage.write(b"n", b"x" * size) == PLACE + (2_100 + 20_000) * slots
    assert storage.write(b"k", b"y" * size) == PLACE + 2_900 * slots
    assert storage.write(b"k", b"y" * size) == PLACE + 100 * slots
    assert storage.meter.refund == 0


@pytest.mark.parametrize("size,words", [(1, 1), (32, 1), (33, 2), (49, 2), (64, 2), (79, 3)])
def test_places_of_keys(size, words):
    """49 bytes is a balance's: two words, as Solidity hashes for a mapping of addresses."""
    storage = Storage()
    assert storage.read(b"k" * size) == 30 + 6 * words + 2_100
    assert storage.write(b"k" * size, None) == 30 + 6 * words + 100


def test_a_record_is_published_changed_in_part_and_cleared():
    """Three slots: new, then one of them changed, then all gone."""
    storage = Storage()
    assert storage.write(KEY, A + B + b"c") == PLACE + 3 * 22_100
    later = Storage(**{"lab/k": A + B + b"c"})
    assert later.read(KEY) == PLACE + 3 * 2_100
    assert later.write(KEY, A + C + b"c") == PLACE + 2_900 + 2 * 100
    assert later.meter.refund == 0
    gone = Storage(**{"lab/k": A + B + b"c"})
    assert gone.write(KEY, None) == PLACE + 3 * (2_100 + 2_900)
    assert gone.meter.refund == 3 * 4_800


def test_a_list_that_grows():
    """What is appended takes room in the last slot first; what is before it costs its look."""
    storage = Storage(**{"lab/k": A + b"b" * 20})
    assert storage.write(KEY, A + b"b" * 32 + b"c" * 8) == PLACE + (2_100 + 100) + (2_100 + 2_900) + (2_100 + 20_000)
    assert storage.write(KEY, A) == PLACE + 3 * 100
    assert storage.meter.refund == 4_800 + 19_900  # the second slot was there before the call, the third was not


def test_a_slot_of_zeros_is_none():
    storage = Storage(k=A + ZERO + C)
    assert storage.write(b"n", A + ZERO + C) == PLACE + 3 * 2_100 + 2 * 20_000 + 100
    assert storage.write(b"k", None) == PLACE + 3 * 2_100 + 2 * 2_900 + 100
    assert storage.meter.refund == 2 * 4_800


def test_a_scan_reads_an_array_of_keys():
    storage = Storage(**{"lab/1": A, "lab/2": A + B})
    assert storage.begin(b"lab/") == PLACE + 2_100
    assert storage.step(b"lab/1") == 2_100 + PLACE + 2_100
    assert storage.step(b"lab/2") == 2_100 + PLACE + 2 * 2_100
    assert storage.begin(b"lab/") == PLACE + 100
    assert storage.step(b"lab/1") == 100 + PLACE + 100 == LEAST_STEP
    assert storage.step(b"lab/" + b"3" * 60) == 2 * 2_100 + 42 + 2_100  # written in this call, say
    assert storage.read(b"lab/1") == PLACE + 100


class Evm:
    """SLOAD and SSTORE as EIP-2200, 2929 and 3529 say it, for one slot at a time."""

    def __init__(self):
        self.accessed, self.gas, self.refund = set(), 0, 0

    def sload(self, place):
        self.gas += 100 if place in self.accessed else 2_100
        self.accessed.add(place)

    def sstore(self, place, original, current, new):
        if place not in self.accessed:
            self.gas += 2_100
            self.accessed.add(place)
        if current == new:
            self.gas += 100
        elif original == current:
            if original == ZERO:
                self.gas += 20_000
            else:
                self.gas += 5_000 - 2_100
                if new == ZERO:
                    self.refund += 4_800
        else:
            self.gas += 100
            if original != ZERO:
                if current == ZERO:
                    self.refund -= 4_800
                elif new == ZERO:
                    self.refund += 4_800
            if original == new:
                self.refund += 20_000 - 100 if original == ZERO else 5_000 - 2_100 - 100


def cut(value, count):
    """The first slots of a value."""
    return [(value or b"")[32 * place : 32 * place + 32].ljust(32, b"\0") for place in range(count)]


def slots(value):
    return max(1, -(-len(value or b"") // 32))


KEYS = st.sampled_from([b"lab/1", b"lab/2", b"lab/" + b"3" * 60])
VALUES = st.one_of(
    st.none(),
    st.lists(st.sampled_from([ZERO, A, B]), min_size=1, max_size=3).map(b"".join),
    st.sampled_from([b"\0", b"a", A + b"\0", A + b"b", bytes(40)]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), KEYS),
        st.tuples(st.just("write"), KEYS, VALUES),
        st.tuples(st.just("step"), KEYS),
        st.tuples(st.just("begin"), st.sampled_from([b"lab/", b"lab/1"])),
    ),
    max_size=12,
)


@given(st.dictionaries(KEYS, VALUES), STEPS)
def test_as_the_eips_say_slot_by_slot(original, steps):
    storage, evm = Storage(), Evm()
    storage.original, storage.current = original, dict(original)
    for what, key, *value in steps:
        now = storage.current.get(key)
        words = -(-len(key) // 32)
        if what in ("step", "begin"):
            for place in range(words if what == "step" else 1):
                evm.sload((what, key, place))
        evm.gas += 30 + 6 * words
        if what == "write":
            count = max(slots(now), slots(value[0]))
            parts = (cut(each, count) for each in (original.get(key), now, value[0]))
            for place, (was, old, new) in enumerate(zip(*parts, strict=True)):
                evm.sstore((key, place), was, old, new)
        elif what != "begin":
            for place in range(slots(now)):
                evm.sload((key, place))
        getattr(storage, what)(key, *value)
        assert (storage.meter.used, storage.meter.refund) == (evm.gas, evm.refund)
    assert storage.meter.refund >= 0
    assert storage.meter.used - storage.meter.spent <= storage.meter.used / 5


@given(VALUES, VALUES, st.sampled_from(["read", "step", "write"]))
def test_warm_is_never_dearer_than_cold(original, new, what):
    value = (new,) if what == "write" else ()
    cold, warm = Storage(), Storage()
    for storage in (cold, warm):
        storage.original, storage.current = {KEY: original}, {KEY: original}
    warm.step(KEY)
    assert getattr(warm, what)(KEY, *value) <= getattr(cold, what)(KEY, *value)


@given(st.dictionaries(KEYS, VALUES), STEPS, st.integers(0, 60_000))
def test_never_more_than_the_limit(original, steps, limit):
    storage = Storage()
    storage.original, storage.current = original, dict(original)
    for what, key, *value in steps:
        getattr(storage, what)(key, *value)
    needed = storage.meter.used
    bounded = Storage()
    bounded.original, bounded.current = original, dict(original)
    bounded.meter.limit = limit
    with pytest.raises(Refused, match=f"out_of_gas.* {limit}$") if needed > limit else nullcontext():
        for what, key, *value in steps:
            getattr(bounded, what)(key, *value)
    assert bounded.meter.used == min(needed, limit)
    assert needed > limit or bounded.meter.spent == storage.meter.spent
