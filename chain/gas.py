"""What calls cost, so that no block takes longer to check than a block may.

Contracts are ours and always end, but what one does grows with its arguments and with what it finds in the state: so
what is metered is bytes that come in, entries read, passed over and written, and events. One unit is about a 25th of a
microsecond of one core at 2.5 GHz. Nobody pays for gas: it is a bound, the same on all replicas, and in each receipt.
"""

from chain.errors import Refused
from chain.values import MAX_ARGS_BYTES

TRANSACTION = 1_000
"""Signature, nonce, receipt."""
READ = 20
SCAN_STEP = 400
"""With what contracts do to what they find: mostly a distance on the sphere."""
WRITE = 300
"""An entry's old and new share of the state's digest."""
EVENT = 50
BYTE = 1
"""Of arguments, of values read and written, and of events."""
MIN_TRANSACTION_GAS = 2 * (TRANSACTION + MAX_ARGS_BYTES * BYTE)
"""Least that a network may let a transaction cost: what comes in must be affordable, and leave something for what is
done with it."""


class Meter:
    """Counts the gas of one transaction up to `limit`."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def charge(self, amount: int) -> None:
        """Raises Refused (``out_of_gas``) when that is more than is left; then all of it is used."""
        self.used += amount
        if self.used > self.limit:
            self.used = self.limit
            raise Refused("out_of_gas", f"the call needs more than {self.limit}")
