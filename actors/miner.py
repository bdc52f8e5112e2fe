"""A node that mines: grinds its hash rate's share of nonces at a steady pace, in real and in virtual time."""

from typing import ClassVar

import trio

from actors.identity import Identity
from actors.node import FullNode, LocalLedger
from actors.scenario import MinerConfig
from actors.sensing.mobility import Point


class Miner:
    """Runs a ledger node and mines on its head. Closes the node's overlay; bugs of the core escape `run`."""

    role: ClassVar[str] = "miner"

    def __init__(self, node: FullNode, config: MinerConfig) -> None:
        self.world, self.name = node.world, node.name
        self.identity: Identity = node.identity
        self.node = node
        self.ledger = LocalLedger(node, node.identity)
        self._config = config

    def where(self) -> Point | None:
        """Nowhere: what a miner does has no place."""
        return None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.node.run)
            task_status.started()
            await self._mine()

    async def _mine(self) -> None:
        # Two miners whose steps keep falling together would find blocks at one instant again and again, and their fork
        # grow deeper than chance allows: so each step has a length of its own.
        step_s = self._config.step_ms / 1000
        rng = self.world.rng(self.name, "mining")
        await trio.sleep(rng.uniform(0, step_s))
        owed, last = 0.0, trio.current_time()
        while True:
            await trio.sleep(step_s * rng.uniform(0.5, 1.5))
            now = trio.current_time()
            # A process that was busy does not catch up on more than a second: its hash rate is real.
            owed += self._config.hash_rate * min(1.0, now - last)
            last = now
            attempts = int(owed)
            owed -= attempts
            if attempts:
                self.node.mine(attempts)
