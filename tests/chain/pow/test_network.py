"""Replicas that hear of each other late, or not at all for a while, end with one chain; what was final stays."""

import pytest

from chain.contracts.accounts import balance_of, supply
from tests.chain.pow.founding import account, found, transfer
from tests.chain.pow.simulation import World


@pytest.mark.parametrize("seed", range(3))
def test_miners_converge(seed):
    network = found()
    world = World(network, seed, latency_ms=(50, 2_500))
    for number in range(5):
        world.add(bytes([number]), rate=20)
    for nonce in range(20):
        for sender in (1, 2, 3):
            world.at(world.now + 3_000 * nonce, world.submit, bytes([sender]), transfer(network, sender, nonce))
    world.run(70_000)
    world.settle(20)
    balances = {balance_of(node.ledger.final_state, account(99)) for node in world.nodes.values()}
    assert balances == {60}
    for node in world.nodes.values():
        state = node.ledger.state
        assert supply(state) == 10 * 10**9 + node.ledger.head.height * network.genesis.ledger.block_reward


@pytest.mark.parametrize("seed", range(3))
def test_partition_shorter_than_finality_heals(seed):
    """The lighter side reorganises; its transactions wait again and end up in the chain."""
    network = found(finality_depth=30)
    world = World(network, seed)
    names = [bytes([number]) for number in range(5)]
    for name in names:
        world.add(name, rate=20)
    world.settle(5)
    world.groups = (names[:2], names[2:])
    world.run(1_000)
    world.submit(names[0], transfer(network, 1, 0, amount=7))
    world.submit(names[4], transfer(network, 2, 0, amount=8))
    world.run(150_000)
    assert balance_of(world.nodes[names[0]].ledger.state, account(99)) == 7
    assert balance_of(world.nodes[names[4]].ledger.state, account(99)) == 8
    world.groups = None
    world.settle(40)
    assert max(node.checker.reorged for node in world.nodes.values()) > 2
    assert {balance_of(node.ledger.final_state, account(99)) for node in world.nodes.values()} == {15}
    assert not any(node.penalised for node in world.nodes.values())


def test_partition_longer_than_finality_stays_two_networks():
    """No heavier chain undoes a final block, and nobody is penalised for having been away."""
    network = found(finality_depth=4)
    world = World(network, 1)
    small, large = world.add(b"\0", rate=20), world.add(b"\1", rate=60)
    world.settle(5)
    world.groups = ([b"\0"], [b"\1"])
    forked = small.ledger.head.height
    world.run(600_000)
    final = small.ledger.final
    assert final.height > forked
    world.groups = None
    world.run(600_000)
    assert small.ledger.header(final.height) == final
    assert large.ledger.header(final.height) != final
    assert large.ledger.statistics().work > small.ledger.statistics().work
    assert not small.penalised and not large.penalised


@pytest.mark.parametrize("after", [20, 2_000], ids=["power_divided_by_10", "power_times_10"])
def test_interval_returns_after_hash_power_changed_tenfold(after):
    """Real hashes: a hundred blocks after forty, for the change to be digested, keep the interval."""
    network = found(initial_difficulty=2_000)
    world = World(network, 5)
    node = world.add(b"\0", rate=200)
    world.run(10_000 * 60)
    node.rate = after
    height = node.ledger.head.height
    world.run(10_000 * 400, lambda: node.ledger.head.height >= height + 40)
    assert node.ledger.head.height >= height + 40
    height, start = node.ledger.head.height, world.now
    world.run(10_000 * 100)
    interval = (world.now - start) / (node.ledger.head.height - height)
    assert 7_500 < interval < 13_000
