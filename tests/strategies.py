"""Small networks, keys and values for tests; Hypothesis strategies for what travels and is stored."""

from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace
from nacl.signing import SigningKey

from chain.contracts.spatial_rules import Box, Founder, SpatialRules
from chain.gas import MAX_BLOCK_GAS, MAX_TRANSACTION_GAS
from chain.genesis import Balance, Genesis
from chain.keys import account_of
from chain.ledgers.pow.parameters import PowRules
from chain.values import MAX_INT, Account, Block, BlockId, Event, Header, Receipt, Transaction, TxId

EPOCH_MS = 1_760_000_000_000
"""When test networks are founded."""


def key(number: int) -> SigningKey:
    """The same signing key for the same number, always."""
    return SigningKey(number.to_bytes(32, "big"))


def account(number: int) -> Account:
    return account_of(key(number))


MEC = 900
FACILITY = 901

CHARLOTTE = Box(350_000_000, 355_000_000, -811_000_000, -806_000_000)


def spatial_rules(**changes: Any) -> SpatialRules:
    """Groups of 3, windows of 10 s, a MEC node and a facility."""
    rules = SpatialRules(
        types=("fire", "pothole"),
        box=CHARLOTTE,
        duplicate_radius_m=100,
        duplicate_window_ms=3_600_000,
        report_radius_m=2_000,
        group_size=3,
        min_workers=3,
        draw_delay=1,
        assign_window_ms=60_000,
        vote_window_ms=10_000,
        reveal_window_ms=10_000,
        tally_window_ms=10_000,
        max_report_age_ms=600_000,
        max_report_ahead_ms=10_000,
        reward="bounded",
        gamma_r_ppm=200_000,
        gamma_w_ppm=100_000,
        base_requester=1_000_000,
        base_worker=500_000,
        distance_unit_m=1_000,
        history_cap=4,
        open_enrolment=False,
        operators=(
            Founder("mec", account(MEC), 352_200_000, -808_400_000),
            Founder("facility", account(FACILITY), 352_300_000, -808_300_000),
        ),
    )
    return replace(rules, **changes)


def pow_rules(**changes: Any) -> PowRules:
    """One-second blocks that are final two deep, at a difficulty that a test can mine."""
    rules = PowRules(
        block_interval_ms=1_000,
        finality_depth=2,
        retarget_window=10,
        initial_difficulty=4,
        max_future_ms=5_000,
        median_window=11,
        quota=0,
        quota_window=0,
        block_reward=5_000_000,
        max_block_transactions=200,
        max_block_bytes=256 * 1024,
        max_transaction_gas=MAX_TRANSACTION_GAS,
        max_block_gas=MAX_BLOCK_GAS,
    )
    return replace(rules, **changes)


def genesis(
    *, spatial: SpatialRules | None = None, work: PowRules | None = None, balances: tuple[tuple[int, int], ...] = ()
) -> Genesis:
    """A test network; `balances` are (key number, micro-credits)."""
    held = sorted((account(number), amount) for number, amount in balances)
    return Genesis(
        network="test",
        time_ms=EPOCH_MS,
        ledger=work or pow_rules(),
        spatial=spatial or spatial_rules(),
        balances=tuple(Balance(holder, amount) for holder, amount in held),
    )


naturals = st.integers(0, MAX_INT)
hashes = st.binary(min_size=32, max_size=32)
names = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True)

transactions = st.builds(
    Transaction,
    chain=hashes.map(BlockId),
    sender=hashes.map(Account),
    nonce=naturals,
    contract=names,
    method=names,
    args=st.binary(max_size=300),
    signature=st.binary(min_size=64, max_size=64),
)
headers = st.builds(
    Header,
    version=naturals,
    height=naturals,
    parent=hashes.map(BlockId),
    time_ms=naturals,
    transactions_root=hashes,
    receipts_root=hashes,
    state_root=hashes,
    producer=hashes.map(Account),
    difficulty=st.integers(1, MAX_INT),
    nonce=naturals,
)
blocks = st.builds(
    Block,
    header=headers,
    transactions=st.lists(transactions, max_size=3).map(tuple),
    evidence=st.lists(st.binary(max_size=100), max_size=3).map(tuple),
    seal=st.binary(max_size=100),
)
events = st.builds(Event, contract=names, name=names, data=st.binary(max_size=50))
receipts = st.builds(
    Receipt,
    transaction=hashes.map(TxId),
    ok=st.booleans(),
    reason=st.text(max_size=20),
    detail=st.text(max_size=50),
    result=st.binary(max_size=50),
    gas=naturals,
    events=st.lists(events, max_size=3).map(tuple),
)
points = st.tuples(st.integers(-900_000_000, 900_000_000), st.integers(-1_800_000_000, 1_800_000_000))
