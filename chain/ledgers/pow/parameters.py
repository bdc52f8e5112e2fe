"""What all replicas of a proof-of-work network agree on."""

from chain.errors import GenesisError
from chain.gas import MIN_TRANSACTION_GAS
from chain.values import MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS, Natural, Value


class PowRules(Value, frozen=True, tag="pow"):
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


def check_pow_rules(rules: PowRules) -> None:
    """Raises GenesisError naming the field."""
    checks = (
        ("block_interval_ms", rules.block_interval_ms > 0, rules.block_interval_ms),
        ("finality_depth", rules.finality_depth >= 1, rules.finality_depth),
        ("retarget_window", rules.retarget_window >= 1, rules.retarget_window),
        ("initial_difficulty", rules.initial_difficulty >= 1, rules.initial_difficulty),
        ("median_window", rules.median_window >= 1, rules.median_window),
        ("quota", rules.quota <= rules.quota_window, rules.quota),
        (
            "max_block_transactions",
            1 <= rules.max_block_transactions <= MAX_BLOCK_TRANSACTIONS,
            rules.max_block_transactions,
        ),
        ("max_block_bytes", 32_768 <= rules.max_block_bytes <= MAX_BLOCK_BYTES, rules.max_block_bytes),
        ("max_transaction_gas", rules.max_transaction_gas >= MIN_TRANSACTION_GAS, rules.max_transaction_gas),
        ("max_block_gas", rules.max_block_gas >= rules.max_transaction_gas, rules.max_block_gas),
    )
    for name, good, value in checks:
        if not good:
            raise GenesisError(f"pow.{name} is {value!r}")
