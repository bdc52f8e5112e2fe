"""A peer that holds no ledger: a phone, which asks the MEC node that covers where it is."""

from collections.abc import Sequence

import trio

from actors.enrolment import MAX_OPERATORS
from actors.identity import Identity
from actors.ledger import GatewayError
from actors.light_links import LightLinks
from actors.links import open_overlay
from actors.remote_ledger import RemoteLedger
from actors.sensing.mobility import Point
from actors.vouchers import Vouchers
from actors.world import World
from chain.contracts.spatial_records import Operator
from chain.errors import Refused
from net.peer import Address, PeerId
from net.transport import NotConnectedError, Transport

DIRECTORY_RETRY_S = 1.0
MAX_GATEWAYS = 4
AVOID_S = 30.0
"""How long a MEC node that could not be reached is passed over for the next nearest."""


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
        self._avoid: dict[bytes, float] = {}
        self._spares = tuple(spares)
        self._neighbours = tuple(neighbours)
        self._links = LightLinks(self.overlay, self._link_up)
        self.ledger = RemoteLedger(identity, self.overlay, self._gateways, world)
        self._vouchers = Vouchers(
            self.ledger,
            reach=self.reach,
            linked=self.overlay.peers,
            now_ms=world.clock.now_ms,
            rng=world.rng(name, "vouchers"),
        )

    def ledger_as(self, identity: Identity, mec: PeerId) -> RemoteLedger:
        """Access in the name of another key, by way of `mec` alone: who else was asked could link the two."""
        return RemoteLedger(identity, self.overlay, lambda: [mec] if mec in self.overlay.peers() else [], self.world)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; started() when a first round of dialling is over."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.overlay.run)
            await nursery.start(self._links.run)
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
        """Attach to the nearest MEC node; True when that is another one than before. Equal distances go by account.

        Those that could not be reached lately come last: an operator may be gone and still be in the directory.
        """
        if not self.mec_nodes:
            return False
        now = trio.current_time()
        nearest = min(
            self.mec_nodes,
            key=lambda account: (
                self._avoid.get(account, 0.0) > now,
                self.mec_nodes[account].distance_m(where),
                account,
            ),
        )
        before, self.mec = self.mec, PeerId.from_public_key(nearest)
        if before == self.mec:
            return False
        self._links.wanted_changed()
        return True

    async def reach(self, peer: PeerId) -> None:
        """Bring up a link to a ledger node unless there is one; asks the gateway where it is if need be.

        Raises NotConnectedError, and then passes `peer` over for a while.
        """
        if peer in self.overlay.peers():
            return
        known = self.world.addresses.of(peer)
        if known and await self._dial(peer, known):
            return
        try:
            found = [address for address in await self.ledger.addresses_of(peer) if address not in known]
            self.world.addresses.heard(peer, found)
            await self.overlay.connect(peer, found)
        except (GatewayError, NotConnectedError) as error:
            self._avoid[peer.public_key] = trio.current_time() + AVOID_S
            raise NotConnectedError(str(error)) from None

    async def _dial(self, peer: PeerId, addresses: Sequence[Address]) -> bool:
        try:
            await self.overlay.connect(peer, addresses)
        except NotConnectedError:
            return False
        return True

    async def _link_up(self) -> bool:
        """Dial who is wanted and not there: our MEC node, one spare ledger node, neighbours, those who vouch for outcomes.

        Whether all are there.
        """
        complete = True
        if self.mec is not None:
            try:
                await self.reach(self.mec)
            except NotConnectedError:
                complete = False
        for spare in self._spares:
            if spare in self.overlay.peers() or await self._dial(spare, self.world.addresses.of(spare)):
                break
        else:
            complete = complete and not self._spares
        for neighbour in self._neighbours:
            if neighbour not in self.overlay.peers():
                complete &= await self._dial(neighbour, self.world.addresses.of(neighbour))
        return await self._vouchers.link_up() and complete

    def _gateways(self) -> Sequence[PeerId]:
        """Linked ledger nodes, those of our own process first, of each kind the covering MEC node first; then vouchers."""
        linked = set(self.overlay.peers())
        preferred = [self.mec, *self._spares] if self.mec is not None else list(self._spares)
        preferred.sort(key=lambda peer: not self.world.addresses.is_own(peer))
        nearest = [peer for peer in dict.fromkeys(preferred) if peer in linked][:MAX_GATEWAYS]
        return list(dict.fromkeys((*nearest, *self._vouchers.linked)))
