"""A network is its rules: the genesis id commits to each, and none that cannot be is accepted."""

from hashlib import sha256

import msgpack
import msgspec
import pytest
from msgspec.structs import fields, replace

from chain.codec import decode, encode
from chain.contract import encode_args
from chain.contracts.accounts import balance_of, supply
from chain.contracts.spatial_rules import Box, Founder, SpatialRules
from chain.errors import GenesisError
from chain.gas import MAX_BLOCK_GAS, MAX_TRANSACTION_GAS
from chain.genesis import Balance, Genesis, Network, kind_of, standard_registry
from chain.ledgers.ordered.channel import CHANNEL_KEY, OrderedRules, config_of, found_channel
from chain.ledgers.pow.ledger import PowLedger
from chain.ledgers.pow.parameters import PowRules
from chain.values import MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS, MAX_INT
from tests.strategies import EPOCH_MS, account, genesis, pow_rules, spatial_rules

OTHERS = {
    "types": ("fire",),
    "box": Box(350_000_000, 355_000_000, -811_000_000, -806_000_001),
    "reward": "paper",
    "open_enrolment": True,
    "operators": (),
    "gamma_r_ppm": 200_001,
}


ORDERED = OrderedRules(
    consensus="solo",
    channel=found_channel({"city": account(70), "police": account(71)}, (account(72),)),
    max_skew_ms=2_000,
    proposal_ttl_ms=60_000,
    max_transaction_gas=MAX_TRANSACTION_GAS,
    max_block_gas=MAX_BLOCK_GAS,
    tick_ms=100,
    election_ticks=10,
    heartbeat_ticks=1,
)


def ordered_genesis(rules=ORDERED):
    return replace(genesis(), ledger=rules)


@pytest.mark.parametrize("field", [field.name for field in fields(SpatialRules)])
def test_the_id_commits_to_every_spatial_rule(field):
    rules = spatial_rules()
    other = replace(rules, **{field: OTHERS[field] if field in OTHERS else getattr(rules, field) + 1})
    assert Network.found(genesis(spatial=other)).id != Network.found(genesis()).id


@pytest.mark.parametrize("field", [field.name for field in fields(PowRules)])
def test_the_id_commits_to_every_rule_of_proof_of_work(field):
    rules = pow_rules(quota=1, quota_window=5)
    other = replace(rules, **{field: getattr(rules, field) + 1})
    assert Network.found(genesis(work=other)).id != Network.found(genesis(work=rules)).id


def test_the_same_rules_make_the_same_network():
    one, two = Network.found(genesis()), Network.found(genesis(), standard_registry("pow"))
    assert (one.id, one.state.root, one.block) == (two.id, two.state.root, two.block)
    assert one.block.header.height == 0 and one.block.header.time_ms == EPOCH_MS


def plain(value):
    """Fields in order, all the way down."""
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return [plain(each) for each in msgspec.structs.astuple(value)] if isinstance(value, msgspec.Struct) else value


def test_the_id_can_be_computed_without_us():
    """From the rules as any MessagePack writer writes them; the ledger's begin with its kind."""
    rules = genesis(balances=((3, 7),))
    data = msgpack.packb(["test", EPOCH_MS, ["pow", *plain(rules.ledger)], plain(rules.spatial), [[account(3), 7]]])
    root = sha256(b"crowdmesh:genesis:1:" + data).digest()
    network = Network.found(rules)
    header = [1, 0, bytes(32), EPOCH_MS, root, bytes(32), network.state.root, bytes(32), 1]
    assert network.id == sha256(msgpack.packb(header) + bytes(8)).digest()


def test_first_balances_are_the_first_supply():
    network = Network.found(genesis(balances=((3, 7), (1, 5), (2, 0))))
    assert [balance_of(network.state, account(n)) for n in (1, 2, 3)] == [5, 0, 7]
    assert supply(network.state) == 12


@pytest.mark.parametrize(
    "changes",
    [
        {"types": ()},
        {"types": ("pothole", "fire")},
        {"types": ("fire", "fire")},
        {"box": Box(1, 0, 0, 0)},
        {"box": Box(0, 0, 1, 0)},
        {"duplicate_radius_m": 100_001},
        {"report_radius_m": 0},
        {"group_size": 2},
        {"group_size": 17},
        {"min_workers": 0},
        {"draw_delay": 0},
        {"assign_window_ms": 0},
        {"vote_window_ms": 0},
        {"reveal_window_ms": 0},
        {"tally_window_ms": 0},
        {"reward": "generous"},
        {"gamma_r_ppm": 1_000_000},
        {"gamma_w_ppm": 0},
        {"gamma_w_ppm": 200_000},
        {"distance_unit_m": 0},
        {"history_cap": 0},
        {"operators": (Founder("mayor", account(1), 0, 0),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_spatial_rules__reject(changes):
    with pytest.raises(GenesisError, match=f"spatial.{next(iter(changes))} "):
        Network.found(genesis(spatial=spatial_rules(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"block_interval_ms": 0},
        {"finality_depth": 0},
        {"retarget_window": 0},
        {"initial_difficulty": 0},
        {"median_window": 0},
        {"quota": 1},
        {"max_block_transactions": 0},
        {"max_block_transactions": MAX_BLOCK_TRANSACTIONS + 1},
        {"max_block_bytes": 32_767},
        {"max_block_bytes": MAX_BLOCK_BYTES + 1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_rules_of_proof_of_work__reject(changes):
    with pytest.raises(GenesisError, match=f"pow.{next(iter(changes))} "):
        Network.found(genesis(work=pow_rules(**changes)))


def test_a_network_has_one_kind_of_ledger():
    proof_of_work, ordered = Network.found(genesis()), Network.found(ordered_genesis())
    assert (kind_of(proof_of_work.genesis), kind_of(ordered.genesis)) == ("pow", "ordered")
    assert proof_of_work.pow == pow_rules() and ordered.ordered == ORDERED
    with pytest.raises(TypeError):
        _ = proof_of_work.ordered
    with pytest.raises(TypeError):
        PowLedger(ordered)
    assert proof_of_work.registry.contracts == ("accounts", "campaign", "spatial")
    assert ordered.registry.contracts == ("accounts", "campaign", "channel", "spatial")
    assert CHANNEL_KEY not in proof_of_work.state


def test_an_ordered_network_begins_with_its_channel():
    network = Network.found(ordered_genesis())
    assert config_of(network.state) == ORDERED.channel
    data = network.registry.query(network.state, "channel", "config", encode_args(), time_ms=EPOCH_MS)
    assert network.registry.result("channel", "config", data) == ORDERED.channel
    assert (network.block.header.difficulty, network.block.transactions) == (1, ())
    data = encode(network.genesis)
    assert decode(Genesis, data, limit=len(data)) == network.genesis


@pytest.mark.parametrize("name", [field.name for field in fields(OrderedRules)])
def test_the_id_commits_to_every_rule_of_an_ordered_ledger(name):
    value = getattr(ORDERED, name)
    others = {
        "consensus": "raft",
        "channel": replace(ORDERED.channel, batch=replace(ORDERED.channel.batch, max_count=3)),
    }
    other = replace(ORDERED, **{name: others[name] if name in others else value + 1})
    assert Network.found(ordered_genesis(other)).id != Network.found(ordered_genesis()).id


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"consensus": "pbft"}, "ordered.consensus"),
        ({"channel": replace(ORDERED.channel, sequence=1)}, "ordered.channel.sequence"),
        ({"channel": replace(ORDERED.channel, orderers=())}, "channel.orderers"),
    ],
)
def test_rules_of_an_ordered_ledger__reject(changes, field):
    with pytest.raises(GenesisError, match=f"{field} "):
        Network.found(ordered_genesis(replace(ORDERED, **changes)))


@pytest.mark.parametrize(
    "balances",
    [
        (Balance(account(1), 1), Balance(account(1), 1)),
        tuple(Balance(holder, 1) for holder in sorted((account(1), account(2)), reverse=True)),
        tuple(Balance(holder, MAX_INT) for holder in sorted((account(1), account(2)))),
    ],
    ids=["twice", "unsorted", "too much"],
)
def test_balances__reject(balances):
    with pytest.raises(GenesisError, match="balances"):
        Network.found(replace(genesis(), balances=balances))


def test_a_network_has_a_name():
    with pytest.raises(GenesisError, match="network"):
        Network.found(replace(genesis(), network=""))
