"""What the networks of all ledgers are founded on alike: the same people, balances, rules, contracts and gas."""

from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

from msgspec.structs import replace

from actors.clock import SIMULATION_EPOCH_MS
from chain.contract import Registry
from chain.contracts import accounts, campaign, channel, spatial
from chain.contracts.spatial_rules import SpatialRules
from chain.gas import MAX_TRANSACTION_GAS
from chain.genesis import Balance, Genesis, LedgerKind, LedgerRules, Network
from chain.values import MAX_INT
from tests.chain import lab
from tests.strategies import account, spatial_rules

FOUNDED_MS = SIMULATION_EPOCH_MS
IDLE_MS = 2_000
"""Without calls, a block comes this often."""
GAS = MAX_TRANSACTION_GAS
"""What one call may cost."""
CREDIT = 1_000_000
PEOPLE = tuple(range(1, 13))
"""Have a credit each."""
HOARDER = 20
"""Has all the rest that there can be: whatever is minted is too much for it."""


@dataclass(frozen=True)
class Founding:
    """Changes of the spatial rules."""

    spatial: dict[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> SpatialRules:
        return spatial_rules(**self.spatial)

    def network(self, ledger: LedgerRules, kind: LedgerKind) -> Network:
        held = {account(number): CREDIT for number in PEOPLE}
        held[account(HOARDER)] = MAX_INT - CREDIT * len(PEOPLE)
        return Network.found(
            Genesis(
                network="conformance",
                time_ms=FOUNDED_MS,
                ledger=replace(ledger, max_transaction_gas=GAS),
                spatial=self.rules,
                balances=tuple(Balance(who, amount) for who, amount in sorted(held.items())),
            ),
            contracts(kind),
        )


@cache
def contracts(kind: LedgerKind) -> Registry:
    """The project's contracts, and the laboratory, which does whatever a contract may do."""
    modules: dict[str, ModuleType] = {"accounts": accounts, "campaign": campaign, "spatial": spatial, "lab": lab}
    return Registry(modules | ({"channel": channel} if kind == "ordered" else {}))
