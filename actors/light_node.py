"""A peer that holds no ledger: a phone, which asks the MEC node that covers where it is."""

from collections.abc import Sequence

import trio

from actors.gateway import RemoteLedger
from actors.identity import Identity
from actors.ledger import GatewayError
from actors.links import keep_linked, open_overlay
from actors.sensing.mobility import Point
from actors.world import World
from chain.contracts.spatial_records import Operator
from chain.errors import Refused
from net.peer import PeerId
from net.transport import Transport

DIRECTORY_RETRY_S = 1.0
MAX_GATEWAYS = 4
MAX_OPERATORS = 500


class LightNode:
    """Overlay and remote ledger of a light actor. `run` closes the overlay.

    `spares` are ledger nodes to start with and to fall back on; `neighbours` other light actors to link with.
    """

    def __init__(
        self,
        world: World,
        name: str,
        identity: Identity,
        transport: Transport,
        *,
        spares: Sequence[PeerId],
        neighbours: Sequence[PeerId] = (),
    ) -> None:
        self.world = world
        self.name = name
        self.identity = identity
        self.overlay = open_overlay(world, name, identity, transport)
        self.mec: PeerId | None = None
        """The MEC node that covers where we are, once known."""
        self.mec_nodes: dict[bytes, Point] = {}
        """Account to place of every enrolled MEC node."""
        self._spares = tuple(spares)
        self._neighbours = tuple(neighbours)
        self.ledger = RemoteLedger(identity, self.overlay, self._gateways, world)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; started() when a first round of dialling is over."""
        dialled = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.overlay.run)
            nursery.start_soon(keep_linked, self.world, self.overlay, self._wanted_links, dialled)
            await dialled.wait()
            task_status.started()
            await trio.sleep_forever()

    async def learn_mec_nodes(self) -> None:
        """Ask for the directory of MEC nodes until somebody answers."""
        while True:
            try:
                found: Sequence[Operator] = await self.ledger.query("spatial", "operators", "mec", MAX_OPERATORS, None)
            except (GatewayError, Refused):
                await trio.sleep(DIRECTORY_RETRY_S)
                continue
            self.mec_nodes = {bytes(o.account): Point.from_e7(o.lat_e7, o.lon_e7) for o in found}
            return

    def move_to(self, where: Point) -> bool:
        """Attach to the nearest MEC node; True when that is another one than before. Equal distances go by account."""
        if not self.mec_nodes:
            return False
        nearest = min(self.mec_nodes, key=lambda account: (self.mec_nodes[account].distance_m(where), account))
        before, self.mec = self.mec, PeerId.from_public_key(nearest)
        return before != self.mec

    def _wanted_links(self) -> Sequence[PeerId]:
        wanted = [self.mec] if self.mec is not None else []
        return [*wanted, *self._spares[:1], *self._neighbours]

    def _gateways(self) -> Sequence[PeerId]:
        """Linked ledger nodes, the covering MEC node first."""
        linked = set(self.overlay.peers())
        preferred = [self.mec, *self._spares] if self.mec is not None else list(self._spares)
        return [peer for peer in dict.fromkeys(preferred) if peer in linked][:MAX_GATEWAYS]
