"""Calls on an ordered ledger end with a definite answer, from a ledger node and from a phone alike."""

import trio

from tests.actors.consortium import consortium, identity

SHOP = identity("shop").account


def pay(ledger, amount=5, to=SHOP, **how):
    return ledger.call("accounts", "transfer", to, amount, **how)


async def test_a_ledger_node_calls(autojump_clock):
    async with consortium() as it:
        outcome = await pay(it.local(1))
        assert outcome.stage == "final" and outcome.receipt.ok
        assert await it.local(1).query("accounts", "balance", SHOP) == 5
        await trio.sleep(1)
        roots = {node.core.state.root for node in it.nodes.values()}
        assert len(roots) == 1 and {node.core.head.height for node in it.nodes.values()} == {1}


async def test_a_phone_calls(autojump_clock):
    async with consortium() as it:
        phone = await it.light("client-0")
        outcome = await pay(phone)
        assert outcome.stage == "final" and outcome.receipt.ok
        assert await phone.query("accounts", "balance", SHOP) == 5
        assert (await phone.outcome(outcome.transaction)).receipt == outcome.receipt
