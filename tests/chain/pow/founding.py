"""Small networks to test on, and people with money in them."""

from functools import cache

import msgspec
from nacl.signing import SigningKey

from chain.contract import encode_args
from chain.contracts.spatial_rules import Box, SpatialRules
from chain.gas import MAX_BLOCK_GAS, MAX_TRANSACTION_GAS
from chain.genesis import Balance, Genesis, Network
from chain.keys import account_of, sign_transaction
from chain.ledgers.pow.parameters import PowRules
from chain.values import Account, Transaction

GENESIS_MS = 1_700_000_000_000
SPATIAL = SpatialRules(
    types=("fire", "pothole"),
    box=Box(0, 10_000_000, 0, 10_000_000),
    duplicate_radius_m=50,
    duplicate_window_ms=600_000,
    report_radius_m=1_000,
    group_size=3,
    min_workers=1,
    draw_delay=1,
    assign_window_ms=600_000,
    vote_window_ms=60_000,
    reveal_window_ms=60_000,
    tally_window_ms=600_000,
    max_report_age_ms=600_000,
    max_report_ahead_ms=600_000,
    reward="bounded",
    gamma_r_ppm=500_000,
    gamma_w_ppm=250_000,
    base_requester=1_000,
    base_worker=1_000,
    distance_unit_m=1_000,
    history_cap=8,
    open_enrolment=True,
    operators=(),
)
POW = PowRules(
    block_interval_ms=10_000,
    finality_depth=6,
    retarget_window=30,
    initial_difficulty=64,
    max_future_ms=60_000,
    median_window=11,
    quota=0,
    quota_window=0,
    block_reward=1_000_000,
    max_block_transactions=200,
    max_block_bytes=256 * 1024,
    max_transaction_gas=MAX_TRANSACTION_GAS,
    max_block_gas=MAX_BLOCK_GAS,
)


@cache
def key(number: int) -> SigningKey:
    """A key pair that is the same in every run."""
    return SigningKey(number.to_bytes(32, "big"))


def account(number: int) -> Account:
    return account_of(key(number))


@cache
def found(people: int = 10, name: str = "test", **pow_rules: int) -> Network:
    """A network in which accounts 1 to `people` have 1,000 credits each."""
    balances = sorted((Balance(account(n), 1_000_000_000) for n in range(1, people + 1)), key=lambda b: b.account)
    rules = msgspec.structs.replace(POW, **pow_rules)
    return Network.found(
        Genesis(network=name, time_ms=GENESIS_MS, ledger=rules, spatial=SPATIAL, balances=tuple(balances))
    )


def transfer(network: Network, sender: int, nonce: int, to: int = 99, amount: int = 1) -> Transaction:
    """A signed payment between numbered accounts."""
    args = encode_args(account(to), amount)
    return sign_transaction(key(sender), network.id, nonce, "accounts", "transfer", args)
