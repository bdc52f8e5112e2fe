"""A node that mines: grinds its hash rate's share of nonces at a steady pace, in real and in virtual time."""

from typing import ClassVar

import trio

from actors.identity import Identity
from actors.local_ledger import LocalLedger
from actors.node import FullNode
from actors.scenario import MinerConfig
from actors.sensing.mobility import Point

PACE_S = 0.02
"""Steps end at multiples of it, so that several miners of a process share a wake-up."""


class Miner:
    """Runs a ledger node and mines on its head. Closes the node's overlay; bugs of the core escape `run`.

    One that joined a network mines only after it has caught up, and while it hears of a ledger node of another process.
    """

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
        if not self.world.begun.is_set():
            # Who mines before it knows of the others has a chain of its own, and soon takes it for final.
            await self.world.begun.wait()
        await trio.sleep(rng.uniform(0, step_s))
        owed, last, level = 0.0, trio.current_time(), False
        while True:
            due = trio.current_time() + step_s * rng.uniform(0.5, 1.5)
            await trio.sleep_until(due - due % -PACE_S)
            now = trio.current_time()
            # A process that was busy does not catch up on more than a second: its hash rate is real.
            owed += self._config.hash_rate * min(1.0, now - last)
            last = now
            if self.world.joined:
                # Who mines before it has caught up, or cut off from those who founded the network, soon takes a chain
                # of its own for final, which no later link mends.
                others = self.node.others()
                level = bool(others) and (level or self.node.pow.is_level(others))
                if not level:
                    owed = 0.0
                    continue
            attempts = int(owed)
            owed -= attempts
            if attempts:
                self.node.mine(attempts)
