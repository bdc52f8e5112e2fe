"""What calls cost: Ethereum's schedule as London left it, constant by constant, and the meter that counts it.

A call costs here what the same steps cost a contract on Ethereum, so that costs can be compared with those that papers
report, and a runaway call stops at its limit. Nobody pays for gas: it is a bound, the same on all replicas, and in each
receipt. Sources: the Yellow Paper (G. Wood, *Ethereum: A Secure Decentralised Generalised Transaction Ledger*), appendix G
for fees and E for precompiled contracts, as amended by the EIPs that are named. Storage is `chain.storage_gas`.

Not counted is what a contract does between its steps (stack, memory, control flow): Python is not the EVM. Where that
could grow with the state or the arguments, contracts count it themselves (`Context.compute`, `Context.sha256`).

A call that is refused costs what it had used; one that runs out of gas, all of its limit. Refunds count after the call
alone, and only when it was carried out: while it runs, its limit holds without them.
"""

from typing import Final

from chain.errors import Refused
from chain.values import MAX_ARGS_BYTES

WORD: Final = 32
"""Bytes of the EVM's words: of a storage slot, and of what hashing is charged by."""

TRANSACTION: Final = 21_000
"""G_transaction: signature, nonce, receipt."""
CALL_DATA_ZERO: Final = 4
"""G_txdatazero, of each zero byte of the arguments."""
CALL_DATA: Final = 16
"""G_txdatanonzero, of each other byte (EIP-2028)."""
SELECTOR: Final = 4 * CALL_DATA
"""A method's name. Ethereum's call data begin with four bytes of its hash, however long it is; the contract's name is the
address that a transaction is sent to, which G_transaction includes."""

LOG: Final = 375
"""G_log, of each event."""
LOG_TOPIC: Final = 375
"""G_logtopic. An event has one topic, its name; its fields are data."""
LOG_DATA: Final = 8
"""G_logdata, of each byte of an event's fields."""

KECCAK: Final = 30
"""G_keccak256: what a mapping's slot is found by."""
KECCAK_WORD: Final = 6
"""G_keccak256word."""
SHA256: Final = 60
"""The precompiled contract SHA2-256 (appendix E)."""
SHA256_WORD: Final = 12

LOW: Final = 5
"""G_low: a multiplication, a division, and here any other operation on numbers too."""
VERY_LOW: Final = 3
"""G_verylow: pushing a word of code, which is where Solidity keeps what is fixed when a contract is deployed."""
BLOCK_HASH: Final = 20
"""G_blockhash."""

REFUND_QUOTIENT: Final = 5
"""At most this part of what a call used is refunded (EIP-3529)."""

MAX_TRANSACTION_GAS: Final = 2**24
"""What one call may cost unless genesis says otherwise: 16,777,216 (EIP-7825)."""
MAX_BLOCK_GAS: Final = 30_000_000
"""What the calls of a block may cost together unless genesis says otherwise: Ethereum's limit from 2021 to 2025."""


def words(size: int) -> int:
    """The EVM's words that `size` bytes take."""
    return (size + WORD - 1) // WORD


def intrinsic_gas(args: bytes) -> int:
    """What a call with these encoded arguments costs before its contract does anything."""
    return TRANSACTION + SELECTOR + CALL_DATA * len(args) - (CALL_DATA - CALL_DATA_ZERO) * args.count(0)


def sha256_gas(size: int) -> int:
    """What hashing `size` bytes costs."""
    return SHA256 + SHA256_WORD * words(size)


MIN_TRANSACTION_GAS: Final = 2 * (TRANSACTION + SELECTOR + CALL_DATA * MAX_ARGS_BYTES)
"""Least that a network may let a transaction cost: what comes in must be affordable, and leave something for what is
done with it."""


class Meter:
    """Counts the gas of one transaction up to `limit`."""

    __slots__ = ("limit", "refund", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        """Before refunds."""
        self.refund = 0
        """Of storage that the call cleared or left as it was; what is added for one write may be taken back for the next."""

    def charge(self, amount: int) -> None:
        """Raises Refused (``out_of_gas``) when that is more than is left; then all of it is used."""
        self.used += amount
        if self.used > self.limit:
            self.used = self.limit
            raise Refused("out_of_gas", f"the call needs more than {self.limit}")

    @property
    def spent(self) -> int:
        """What a call that was carried out cost, refunds off."""
        return self.used - min(self.refund, self.used // REFUND_QUOTIENT)
