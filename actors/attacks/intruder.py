"""An attacker that speaks frames by hand: it links, subscribes and grafts like anybody, and passes nothing on.

What it does beyond that, each attack replaces. It takes the transport's events as they come and sends without waiting, so
a full link costs it frames, as it would anybody.
"""

from collections.abc import Sequence

import trio

from actors.attacks.plan import TOPIC, Attacker, Seat
from net.gossip.wire import Graft, Subscription, encode_control, encode_frame, encode_subscription
from net.peer import Address, PeerId
from net.transport import FrameReceived, LinkDown, LinkUp, NotConnectedError

SUBSCRIBE = encode_subscription(Subscription(TOPIC, subscribe=True))
GRAFT = encode_control(Graft(TOPIC))
STEP_S = 0.25
"""How often most intruders act on their own."""


class Intruder(Attacker):
    """A sybil that takes a place in the mesh and forwards nothing."""

    steps = False
    """Whether `step` does anything."""
    step_s = STEP_S

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.linked: dict[PeerId, None] = {}

    async def run(self) -> None:
        """Link with all targets and go on until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.seat.transport.run)
            for peer, addresses in self.seat.targets:
                nursery.start_soon(self._dial, peer, addresses)
            if self.steps:
                nursery.start_soon(self._act)
            async for event in self.seat.transport.events:
                if isinstance(event, FrameReceived):
                    self.on_frame(event.peer, event.frame)
                elif isinstance(event, LinkUp):
                    self.linked[event.peer] = None
                    self.on_link(event.peer)
                elif isinstance(event, LinkDown):
                    self.linked.pop(event.peer, None)

    async def _dial(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        # A target that is not up yet is tried again, as any peer would.
        while True:
            try:
                await self.seat.transport.dial(peer, addresses)
            except NotConnectedError:
                await trio.sleep(0.1)
            else:
                return

    async def _act(self) -> None:
        now = trio.current_time()
        # Spread over the step, lest all intruders act at the same instant.
        await trio.sleep(max(0.0, self.seat.attack_at_s - now) + self.seat.rng.random() * self.step_s)
        while True:
            self.step(trio.current_time())
            await trio.sleep(self.step_s)

    def send(self, peer: PeerId, frame: bytes) -> None:
        """Send if there is room."""
        self.seat.transport.send_nowait(peer, frame)

    # What attacks replace. -----------------------------------------------------------------------------------------

    def on_link(self, peer: PeerId) -> None:
        """Take a place in the mesh."""
        self.send(peer, encode_frame([SUBSCRIBE], [GRAFT]))

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Swallow it."""

    def step(self, now: float) -> None:
        """Act, every `step_s` seconds from the begin of the attack."""
