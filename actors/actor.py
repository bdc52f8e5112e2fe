"""What every actor is: a name, a role, an identity, a node, and a life that its supervisor starts again."""

from typing import ClassVar, Protocol

import trio

from actors.identity import Identity
from actors.ledger import Ledger
from actors.light_node import LightNode
from actors.node import FullNode
from actors.sensing.mobility import Point
from actors.world import World


class Actor(Protocol):
    """A participant. `run` is its whole life: it returns never, ends by cancellation, and raises only for bugs."""

    role: ClassVar[str]
    world: World
    name: str
    identity: Identity

    @property
    def node(self) -> FullNode | LightNode:
        """Its place in the network."""

    @property
    def ledger(self) -> Ledger:
        """Its access to the ledger."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """started() when others can reach it."""

    def where(self) -> Point | None:
        """Where it is; None for who has no place."""
