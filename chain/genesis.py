"""What a network is founded on: every rule and first balance, committed to by the genesis block's id.

The digest of the `Genesis` value is the genesis block's `transactions_root`, so the block's id, which every transaction
names as its `chain`, differs whenever any rule does.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Literal

from chain.codec import block_id, encode
from chain.contract import Registry
from chain.contracts import accounts, campaign, channel, spatial
from chain.contracts.spatial_rules import SpatialRules, check_spatial_rules
from chain.errors import GenesisError
from chain.ledgers.ordered.channel import OrderedRules, channel_entries, check_ordered_rules
from chain.ledgers.pow.parameters import PowRules, check_pow_rules
from chain.merkle import EMPTY_ROOT
from chain.state import Version, WorldState
from chain.values import MAX_INT, Account, AccountField, Block, BlockId, Header, Natural, Value

NO_BLOCK = BlockId(bytes(32))
NOBODY = Account(bytes(32))
LedgerKind = Literal["pow", "ordered"]
LedgerRules = PowRules | OrderedRules


class Balance(Value, frozen=True):
    account: AccountField
    amount: Natural
    """Micro-credits."""


class Genesis(Value, frozen=True):
    """Everything that must be the same for two nodes to be of one network."""

    network: str
    """1 to 64 characters."""
    time_ms: Natural
    ledger: LedgerRules
    """Which ledger it is, and that ledger's rules."""
    spatial: SpatialRules
    balances: tuple[Balance, ...]
    """Sorted by account, each once."""


def kind_of(genesis: Genesis) -> LedgerKind:
    """Which ledger the network has."""
    match genesis.ledger:
        case PowRules():
            return "pow"
        case OrderedRules():
            return "ordered"


def check_genesis(genesis: Genesis) -> None:
    """Raises GenesisError naming the field."""
    holders = [balance.account for balance in genesis.balances]
    checks = (
        ("network", 0 < len(genesis.network) <= 64, genesis.network),
        ("balances", holders == sorted(set(holders)), len(holders)),
        ("balances", sum(balance.amount for balance in genesis.balances) <= MAX_INT, "their sum"),
    )
    for name, good, value in checks:
        if not good:
            raise GenesisError(f"{name} is {value!r}")
    match genesis.ledger:
        case PowRules() as rules:
            check_pow_rules(rules)
        case OrderedRules() as rules:
            check_ordered_rules(rules)
    check_spatial_rules(genesis.spatial)


def genesis_state(genesis: Genesis) -> WorldState:
    """The world before the first block; every entry has version (0, 0)."""
    balances = accounts.initial_balances((balance.account, balance.amount) for balance in genesis.balances)
    own = spatial.initial_entries(genesis.spatial, genesis.time_ms)
    config = channel_entries(genesis.ledger.channel) if isinstance(genesis.ledger, OrderedRules) else {}
    return WorldState.empty().apply(balances | own | config, Version(0, 0))


def genesis_block(genesis: Genesis, state: WorldState) -> Block:
    """The block at height 0: nobody's, without transactions or work."""
    header = Header(
        version=1,
        height=0,
        parent=NO_BLOCK,
        time_ms=genesis.time_ms,
        transactions_root=sha256(b"crowdmesh:genesis:1:" + encode(genesis)).digest(),
        receipts_root=EMPTY_ROOT,
        state_root=state.root,
        producer=NOBODY,
        difficulty=1,
        nonce=0,
    )
    return Block(header, (), (), b"")


@cache
def standard_registry(kind: LedgerKind) -> Registry:
    """The contracts that come with crowdmesh, on a ledger of that kind.

    One object, for replicas share what they execute under the same contracts.
    """
    own = {"channel": channel} if kind == "ordered" else {}
    return Registry({"accounts": accounts, "campaign": campaign, "spatial": spatial} | own)


@dataclass(frozen=True, slots=True)
class Network:
    """What all replicas agree on before the first block."""

    genesis: Genesis
    registry: Registry
    block: Block
    state: WorldState
    id: BlockId

    @property
    def pow(self) -> PowRules:
        """Proof of work's rules. Raises TypeError on another kind of network."""
        rules = self.genesis.ledger
        if not isinstance(rules, PowRules):
            raise TypeError(f"{self.genesis.network} is no network of proof of work")
        return rules

    @property
    def ordered(self) -> OrderedRules:
        """An ordered ledger's rules. Raises TypeError on another kind of network."""
        rules = self.genesis.ledger
        if not isinstance(rules, OrderedRules):
            raise TypeError(f"{self.genesis.network} is no network with an ordered ledger")
        return rules

    @classmethod
    def found(cls, genesis: Genesis, registry: Registry | None = None) -> "Network":
        """Raises GenesisError."""
        check_genesis(genesis)
        state = genesis_state(genesis)
        block = genesis_block(genesis, state)
        return cls(genesis, registry or standard_registry(kind_of(genesis)), block, state, block_id(block.header))
