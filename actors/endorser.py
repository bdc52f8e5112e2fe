"""A peer that does nothing but hold the ledger and endorse: what an organisation that reports nothing brings along."""

from typing import ClassVar

import trio

from actors.identity import Identity
from actors.local_ledger import LocalLedger
from actors.node import FullNode
from actors.sensing.mobility import Point


class Endorser:
    """Runs a ledger node of an ordered network. Closes the node's overlay; bugs of the core escape `run`.

    The node endorses what gateways ask it to, if it has a peer's certificate; without one it commits and no more.
    """

    role: ClassVar[str] = "endorser"

    def __init__(self, node: FullNode) -> None:
        self.world, self.name = node.world, node.name
        self.identity: Identity = node.identity
        self.node = node
        self.ledger = LocalLedger(node, node.identity)

    def where(self) -> Point | None:
        """Nowhere: what an endorser does has no place."""
        return None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.node.run)
            task_status.started()
