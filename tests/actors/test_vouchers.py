"""A phone's node finds enough ledger nodes of distinct organisations by itself, and the outcome is believed."""

import trio

from actors.light_node import LightNode
from chain.ledgers.ordered.policy import Policy
from tests.actors.consortium import consortium, identity, network

SHOP = identity("shop").account
EVERYBODY = "AND('org1.peer', 'org2.peer', 'org3.peer')"


async def phone(it, name, spare, **how):
    me = identity(name)
    node = LightNode(it.world, name, me, it.memory.attach(me.peer_id), spares=[it.peer(spare).identity.peer_id], **how)
    await it.nursery.start(node.run)
    return node


def vouching(it, node):
    peers = {it.peer(number).identity.peer_id: f"org{number}" for number in (1, 2, 3)}
    return {peers[peer] for peer in node.overlay.peers() if peer in peers}


async def test_a_phone_links_with_as_many_organisations_as_must_vouch(autojump_clock):
    async with consortium() as it:
        node = await phone(it, "client-0", 2)
        assert "org2" in vouching(it, node) and len(vouching(it, node)) == 2
        assert (await node.ledger.call("accounts", "transfer", SHOP, 5)).receipt.ok
    async with consortium(network(endorsement=EVERYBODY)) as it:
        node = await phone(it, "client-0", 1)
        assert len(vouching(it, node)) == 3


async def test_who_is_lost_is_replaced(autojump_clock):
    async with consortium() as it:
        node = await phone(it, "client-0", 1)
        (lost,) = vouching(it, node) - {"org1"}
        await node.overlay.hang_up(it.nodes[f"peer-{lost}"].identity.peer_id)
        await trio.sleep(0.1)
        assert vouching(it, node) == {"org1"}
        await trio.sleep(5)
        assert len(vouching(it, node)) == 2


async def test_one_who_suffices_is_enough(autojump_clock):
    policy = "OR('org1.peer', 'org2.peer', 'org3.peer')"
    assert Policy.parse(policy).fewest({"peer"}) == 1
    async with consortium(network(endorsement=policy)) as it:
        node = await phone(it, "client-0", 3)
        await trio.sleep(5)
        assert vouching(it, node) == {"org3"}
