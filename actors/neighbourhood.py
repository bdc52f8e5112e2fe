"""An edge node as the hub of its cells: it hears the news of every cell in which one of its workers is.

A cell's topic is heard by the few who are there, and they need not be linked with each other; all of them are linked
with the MEC node that covers them. Where a cell lies between several MEC nodes, their links with each other join it.
"""

from collections.abc import Container

import trio

from actors.enrolment import MAX_OPERATORS
from actors.light_links import LightLinks
from actors.links import subscribed
from actors.local_ledger import LocalLedger
from actors.messages import cell_topic
from actors.node import FullNode
from actors.sensing.mobility import Point
from actors.verdicts import judge_notice
from chain.contract import state_key
from chain.contracts.spatial_board import operator_key
from chain.contracts.spatial_records import Operator
from chain.values import Account
from net.gossip.events import Message, Verdict
from net.peer import PeerId
from net.transport import NotConnectedError

MAX_CELLS = 1_024
"""Cells whose news one MEC node passes on: a worker in yet another one gets what the links happen to give."""
NEAREST = 6
"""Other MEC nodes that one keeps links with."""
DIRECTORY_INTERVAL_S = 60.0


class _Enrolled(Container[bytes]):
    """The MEC nodes on the ledger, asked one by one."""

    def __init__(self, node: FullNode) -> None:
        self._node = node

    def __contains__(self, account: object) -> bool:
        return (
            isinstance(account, bytes)
            and state_key("spatial", operator_key("mec", Account(account))) in self._node.core.state
        )


class Neighbourhood:
    """Subscribes to the topics of cells for as long as somebody is present there. `run` must be running."""

    def __init__(self, node: FullNode, ledger: LocalLedger, site: Point) -> None:
        self._node, self._ledger, self._site = node, ledger, site
        self._enrolled = _Enrolled(node)
        self._until_ms: dict[str, int] = {}
        self._nursery: trio.Nursery | None = None
        self._near: list[PeerId] = []
        self._links = LightLinks(node.overlay, self._link_up)

    @property
    def cells(self) -> int:
        """How many cells' news is heard now."""
        return len(self._until_ms)

    def present(self, where: Point, until_ms: int) -> None:
        """Somebody is at `where` until then: hear, and so pass on, that cell's news."""
        topic = cell_topic(self._node.world.topics, where)
        if topic in self._until_ms:
            self._until_ms[topic] = max(until_ms, self._until_ms[topic])
        elif self._nursery is not None and len(self._until_ms) < MAX_CELLS:
            self._until_ms[topic] = until_ms
            self._nursery.start_soon(self._hear, topic)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep links with the nearest MEC nodes, and subscriptions, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._links.run)
            task_status.started()
            while True:
                await self._look_around()
                await trio.sleep(DIRECTORY_INTERVAL_S)

    async def _hear(self, topic: str) -> None:
        """Be in a cell's mesh. What is said there is for our workers: we only pass it on."""
        clock = self._node.world.clock
        async with subscribed(self._node.world, self._node.overlay, topic, self._judge) as deliveries:
            while (left_ms := self._until_ms[topic] - clock.now_ms()) > 0:
                with trio.move_on_after(left_ms / 1000):
                    async for _ in deliveries:
                        pass
                    return  # the overlay has ended
            del self._until_ms[topic]

    def _judge(self, message: Message) -> Verdict:
        topics = self._node.world.topics
        return judge_notice(
            message,
            message.topic,
            self._enrolled,
            lambda lat_e7, lon_e7: cell_topic(topics, Point.from_e7(lat_e7, lon_e7)),
        )[0]

    async def _look_around(self) -> None:
        """Learn which MEC nodes are nearest."""
        found: tuple[Operator, ...] = await self._ledger.query("spatial", "operators", "mec", MAX_OPERATORS, None)
        others = [o for o in found if o.account != self._ledger.identity.account]
        others.sort(key=lambda o: (Point.from_e7(o.lat_e7, o.lon_e7).distance_m(self._site), o.account))
        near = [PeerId.from_public_key(o.account) for o in others[:NEAREST]]
        if near != self._near:
            self._near = near
            self._links.wanted_changed()

    async def _link_up(self) -> bool:
        """Dial those of the nearest whose address is known; who is not there (yet) is tried again next time."""
        addresses = self._node.world.addresses
        for peer in self._near:
            if peer not in self._node.overlay.peers() and addresses.of(peer):
                try:
                    await self._node.overlay.connect(peer, addresses.of(peer))
                except NotConnectedError:
                    continue
        return True
