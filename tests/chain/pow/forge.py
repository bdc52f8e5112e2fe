"""Blocks on any parent, mined and executed as a miner there would: for tests that need branches of their choice."""

from msgspec.structs import replace

from chain.codec import block_id, header_prefix
from chain.contracts.accounts import nonce_of
from chain.ledgers.pow.mining import grind
from chain.ledgers.pow.replica import Imported, Replica
from chain.transition import assemble
from tests.chain.pow.founding import GENESIS_MS, account, transfer

LATER = GENESIS_MS + 10**12


class Forge:
    """Has all blocks that it made. Its clock is far ahead, so no time is too early for it."""

    def __init__(self, network):
        self.network = network
        self.replica = Replica(network)
        self.blocks = {network.id: network.block}

    def node(self, found):
        return self.replica.tree.get(found)

    def state(self, found):
        return self.node(found).state

    def height(self, found):
        return self.blocks[found].header.height

    def work(self, found):
        return self.node(found).work

    def pay(self, parent, sender, to=99, amount=1):
        """A payment that may come next after `parent`."""
        return transfer(self.network, sender, nonce_of(self.state(parent), account(sender)), to, amount)

    def mine(self, parent, /, *transactions, after_ms=10_000, producer=50, **changes):
        """Make a block; return its id. It holds all of `transactions`; `changes` are made to its header."""
        node = self.node(parent)
        rules = self.replica.rules
        block, _ = assemble(
            self.network,
            node.header,
            parent,
            node.state,
            transactions,
            time_ms=max(node.header.time_ms + after_ms, node.median_time_past(rules) + 1),
            producer=account(producer),
            difficulty=node.child_difficulty(rules),
            final_ids=lambda height: self.replica.final_id(node, height),
        )
        assert block.transactions == transactions
        header = replace(block.header, **changes)
        header = replace(header, nonce=grind(header_prefix(header), header.difficulty, 0, 2**32))
        made = replace(block, header=header)
        found = block_id(header)
        self.blocks[found] = made
        if not changes:
            self.replica.take(b"forge", made, LATER, Imported())
        return found

    def line(self, count, parent=None, **options):
        """Mine so many blocks on top of each other; return their ids."""
        ids = []
        for _ in range(count):
            parent = self.mine(parent or self.network.id, **options)
            ids.append(parent)
        return ids
