"""What a network is founded on: every rule and first balance, committed to by the genesis block's id.

The digest of the `Genesis` value is the genesis block's `transactions_root`, so the block's id, which every transaction
names as its `chain`, differs whenever any rule does.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from chain import gas
from chain.codec import block_id, encode
from chain.contract import Registry, state_key
from chain.contracts import accounts, spatial
from chain.contracts.spatial_rules import SpatialRules, check_spatial_rules
from chain.errors import GenesisError
from chain.merkle import EMPTY_ROOT
from chain.state import Version, WorldState
from chain.values import (
    MAX_ARGS_BYTES,
    MAX_BLOCK_BYTES,
    MAX_BLOCK_TRANSACTIONS,
    MAX_INT,
    Account,
    AccountField,
    Block,
    BlockId,
    Header,
    Natural,
    Value,
)

NO_BLOCK = BlockId(bytes(32))
NOBODY = Account(bytes(32))
MIN_TRANSACTION_GAS = 2 * (gas.TRANSACTION + MAX_ARGS_BYTES * gas.BYTE)
"""What comes in must at least be affordable, and leave something for what is done with it."""


class PowRules(Value, frozen=True):
    """Proof of work's parameters; see spec/spatial.md."""

    block_interval_ms: Natural
    finality_depth: Natural
    """Blocks on top of one that is final; 1 or more."""
    retarget_window: Natural
    """Blocks that difficulty is averaged over."""
    initial_difficulty: Natural
    """Expected hashes."""
    max_future_ms: Natural
    """How far a block's time may be ahead of the local clock."""
    median_window: Natural
    """A block's time must exceed the median of this many before it; 11."""
    quota: Natural
    """At most `quota` of the last `quota_window` blocks by one miner; a quota of 0 switches the rule off."""
    quota_window: Natural
    block_reward: Natural
    """Micro-credits."""
    max_block_transactions: Natural
    max_block_bytes: Natural
    max_transaction_gas: Natural
    """What one transaction may cost (`chain.gas`); at least its largest arguments and some work on them."""
    max_block_gas: Natural
    """What the transactions of a block may cost together."""


class Balance(Value, frozen=True):
    account: AccountField
    amount: Natural
    """Micro-credits."""


class Genesis(Value, frozen=True):
    """Everything that must be the same for two nodes to be of one network."""

    network: str
    """1 to 64 characters."""
    time_ms: Natural
    pow: PowRules
    spatial: SpatialRules
    balances: tuple[Balance, ...]
    """Sorted by account, each once."""


def check_genesis(genesis: Genesis) -> None:
    """Raises GenesisError naming the field."""
    rules = genesis.pow
    holders = [balance.account for balance in genesis.balances]
    checks = (
        ("network", 0 < len(genesis.network) <= 64, genesis.network),
        ("pow.block_interval_ms", rules.block_interval_ms > 0, rules.block_interval_ms),
        ("pow.finality_depth", rules.finality_depth >= 1, rules.finality_depth),
        ("pow.retarget_window", rules.retarget_window >= 1, rules.retarget_window),
        ("pow.initial_difficulty", rules.initial_difficulty >= 1, rules.initial_difficulty),
        ("pow.median_window", rules.median_window >= 1, rules.median_window),
        ("pow.quota", rules.quota <= rules.quota_window, rules.quota),
        (
            "pow.max_block_transactions",
            1 <= rules.max_block_transactions <= MAX_BLOCK_TRANSACTIONS,
            rules.max_block_transactions,
        ),
        ("pow.max_block_bytes", 32_768 <= rules.max_block_bytes <= MAX_BLOCK_BYTES, rules.max_block_bytes),
        ("pow.max_transaction_gas", rules.max_transaction_gas >= MIN_TRANSACTION_GAS, rules.max_transaction_gas),
        ("pow.max_block_gas", rules.max_block_gas >= rules.max_transaction_gas, rules.max_block_gas),
        ("balances", holders == sorted(set(holders)), len(holders)),
        ("balances", sum(balance.amount for balance in genesis.balances) <= MAX_INT, "their sum"),
    )
    for name, good, value in checks:
        if not good:
            raise GenesisError(f"{name} is {value!r}")
    check_spatial_rules(genesis.spatial)


def genesis_state(genesis: Genesis) -> WorldState:
    """The world before the first block; every entry has version (0, 0)."""
    balances = accounts.initial_balances((balance.account, balance.amount) for balance in genesis.balances)
    own = {state_key("spatial", key): value for key, value in spatial.initial_entries(genesis.spatial, genesis.time_ms)}
    return WorldState.empty().apply(balances | own, Version(0, 0))


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
    return Block(header, ())


@cache
def standard_registry() -> Registry:
    """The contracts that come with crowdmesh; one object, for replicas share what they execute under the same contracts."""
    return Registry({"accounts": accounts, "spatial": spatial})


@dataclass(frozen=True, slots=True)
class Network:
    """What all replicas agree on before the first block."""

    genesis: Genesis
    registry: Registry
    block: Block
    state: WorldState
    id: BlockId

    @classmethod
    def found(cls, genesis: Genesis, registry: Registry | None = None) -> "Network":
        """Raises GenesisError."""
        check_genesis(genesis)
        state = genesis_state(genesis)
        block = genesis_block(genesis, state)
        return cls(genesis, registry or standard_registry(), block, state, block_id(block.header))
