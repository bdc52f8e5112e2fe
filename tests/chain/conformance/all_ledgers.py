"""Every ledger that there is, by name; the first is the one that others are compared with."""

from collections.abc import Callable

from tests.chain.conformance.founding import Founding
from tests.chain.conformance.ledgers import LedgerUnderTest
from tests.chain.conformance.on_ordered import OnOrdered
from tests.chain.conformance.on_pow import OnPow

LEDGERS: dict[str, Callable[[Founding], LedgerUnderTest]] = {
    "pow": OnPow,
    "pow, by gossip": lambda founding: OnPow(founding, rehearsed=False),
    "ordered/solo": lambda founding: OnOrdered(founding, "solo"),
    "ordered/raft": lambda founding: OnOrdered(founding, "raft"),
}
