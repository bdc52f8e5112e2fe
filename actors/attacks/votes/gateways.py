"""Ledger nodes whose gateway does not pass on what it was given: what they have in common."""

from functools import partial

from actors.identity import Identity
from actors.ledger import Sender
from actors.node import FullNode


def untouched_sender(node: FullNode, identity: Identity) -> Sender:
    """Sign with a key that the node's owner has, and submit past what the node does to the calls of others."""

    async def next_nonce() -> int:
        return node.next_nonce(identity.account)

    return Sender(identity, next_nonce, partial(FullNode.submit, node))
