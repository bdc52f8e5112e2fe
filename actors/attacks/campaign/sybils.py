"""Several keys of one attacker, on one ledger node: what attacks by sybils have in common."""

import trio

from actors.campaigns.board import Board
from actors.identity import Identity
from actors.local_ledger import LocalLedger
from actors.node import FullNode
from actors.oracle import Oracle
from chain.errors import Refused


class Alias:
    """A further key, with its own access to the ledger."""

    def __init__(self, node: FullNode, number: int) -> None:
        self.identity = Identity.derive(node.world.scenario.seed, f"{node.name}/alias/{number}")
        self.ledger = LocalLedger(node, self.identity)
        self.board = Board(node.world, node.name, self.ledger, rest_s=1.0)


async def fund(payer: Oracle, alias: Alias, amount: int) -> None:
    """Have an alias get so many micro-credits."""
    account = alias.identity.account
    rng = payer.world.rng(payer.name, f"fund/{account.hex()}")
    while True:
        try:
            await payer.ledger.call("accounts", "transfer", account, amount, stage="included")
        except Refused:  # an ordered ledger's, for all transfers of one payer change one balance
            await trio.sleep(rng.uniform(0.1, 1.0))
        else:
            return
