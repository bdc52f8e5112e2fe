"""What access to the state costs: Ethereum's storage slots, word by word.

- An entry's value lies in slots of 32 bytes, one behind the other, the last one filled up with zeros; at least one slot,
  also of an entry that is not there. What is not there is zero, and so is a slot that holds nothing but zeros.
- Reading costs by slot: cold when the call has not accessed it yet, warm from then on (EIP-2929).
- Writing costs by slot too, by what it holds, held before the call, and is to hold (EIP-2200, as EIP-2929 and EIP-3529
  amend it). All slots of the old and the new value are written, those that stay as they are as well. The stipend rule of
  EIP-2200 has no place here: no call is made with a stipend.
- An entry is found by its key as a mapping's slot is, by hashing what says which mapping and where in it: the whole key,
  contract's name and prefix included. Every access pays for that, as Solidity's code does: the EVM remembers slots, not
  hashes.
- A scan goes through an array of keys, as a contract would have to keep one. It reads the array's length when it begins
  and the slots of each key, then the entry. What it costs to keep such an array is not counted.

`tests/chain/test_gas.py` has the EIPs' own table of cases.
"""

from typing import Final

from chain.gas import KECCAK, KECCAK_WORD, WORD, Meter, words

COLD: Final = 2_100
"""COLD_SLOAD_COST (EIP-2929): a slot's first access in a call, to read it; to write it, on top of what writing costs."""
WARM: Final = 100
"""WARM_STORAGE_READ_COST (EIP-2929): reading a slot again, and writing what is there or what this call changed before."""
SET: Final = 20_000
"""SSTORE_SET_GAS (EIP-2200): from zero."""
RESET: Final = 5_000 - COLD
"""SSTORE_RESET_GAS (EIP-2929): from anything else."""
CLEAR_REFUND: Final = 4_800
"""SSTORE_CLEARS_SCHEDULE (EIP-3529)."""

LEAST_STEP: Final = 2 * WARM + KECCAK + KECCAK_WORD
"""The least that a scan pays for an entry: a key and a value of one slot each, both warm."""

_ZERO: Final = bytes(WORD)


class StorageMeter:
    """Charges one call's meter for its access to the state, and remembers which slots are warm.

    Keys are whole ones; None is a value that is not there. All methods raise Refused (``out_of_gas``).
    """

    __slots__ = ("_begun", "_charge", "_listed", "_meter", "_warm")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._charge = meter.charge
        self._warm: dict[bytes, int] = {}
        """How many slots of an entry are warm: always its first ones."""
        self._begun: set[bytes] = set()
        """Prefixes whose array's length is warm."""
        self._listed: set[bytes] = set()
        """Keys whose own slots in such an array are."""

    def read(self, key: bytes, value: bytes | None) -> None:
        """The call reads an entry."""
        slots = (len(value) + 31) // WORD if value else 1
        cost = KECCAK + KECCAK_WORD * ((len(key) + 31) // WORD) + WARM * slots
        if (warm := self._warm.get(key, 0)) < slots:
            self._warm[key] = slots
            cost += (COLD - WARM) * (slots - warm)
        self._charge(cost)

    def write(self, key: bytes, original: bytes | None, current: bytes | None, new: bytes | None) -> None:
        """The call puts `new` in place of `current`; `original` was there before the call."""
        old, new = current or b"", new or b""
        size = max(len(new), len(old))
        slots = (size + 31) // WORD or 1
        cost = KECCAK + KECCAK_WORD * ((len(key) + 31) // WORD)
        if (warm := self._warm.get(key, 0)) < slots:
            self._warm[key] = slots
            cost += COLD * (slots - warm)
        if old == new:
            cost += WARM * slots
        elif (old and new) or current != original:
            cost += self._change(original or b"", old, new, slots)
        elif new:
            filled = _filled(new)
            cost += SET * filled + WARM * (slots - filled)
        else:
            filled = _filled(old)
            cost += RESET * filled + WARM * (slots - filled)
            self._meter.refund += CLEAR_REFUND * filled
        self._charge(cost)

    def begin(self, prefix: bytes) -> None:
        """The call begins to scan what has a prefix."""
        self._charge(_place(prefix) + (WARM if prefix in self._begun else COLD))
        self._begun.add(prefix)

    def step(self, key: bytes, value: bytes | None) -> None:
        """The scan comes to an entry."""
        self._charge((WARM if key in self._listed else COLD) * words(len(key)))
        self._listed.add(key)
        self.read(key, value)

    def _change(self, original: bytes, old: bytes, new: bytes, slots: int) -> int:
        """What it costs to write slot by slot; adds what is refunded. EIP-2200 calls the three original, current and new."""
        cost, refund = 0, 0
        for at in range(0, WORD * slots, WORD):
            # Without the zeros at their end, slots are equal when they are, and empty when they are zero.
            now, then = old[at : at + WORD].rstrip(b"\0"), new[at : at + WORD].rstrip(b"\0")
            if now == then:
                cost += WARM
                continue
            was = original[at : at + WORD].rstrip(b"\0")
            if was == now:
                cost += RESET if was else SET
            else:
                cost += WARM
                if was == then:
                    refund += (RESET if was else SET) - WARM
            if was:
                refund += CLEAR_REFUND * ((not then) - (not now))
        self._meter.refund += refund
        return cost


def _place(key: bytes) -> int:
    """What finding an entry's first slot costs."""
    return KECCAK + KECCAK_WORD * words(len(key))


def _filled(value: bytes) -> int:
    """Slots of a value that are not zero."""
    slots = words(len(value))
    if _ZERO not in value and value[WORD * (slots - 1) :].rstrip(b"\0"):
        return slots
    return sum(bool(value[at : at + WORD].rstrip(b"\0")) for at in range(0, len(value), WORD))
