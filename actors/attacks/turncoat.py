"""An attacker that is a real peer, overlay and router, but for its judge: what it ignores, it does not pass on."""

from collections.abc import Callable, Sequence

import trio

from actors.attacks.plan import TOPIC, Attacker, Seat
from net.gossip.events import Message, Verdict
from net.gossip.score_book import ScoreBook
from net.overlay import Overlay
from net.peer import Address, PeerId
from net.signing import verify_once
from net.transport import NotConnectedError

Ignores = Callable[[Seat, Message], bool]


class Turncoat(Attacker):
    """Forwards, gossips and keeps scores as all do, except for the messages that `ignores` names."""

    def __init__(self, seat: Seat, ignores: Ignores) -> None:
        self._seat = seat
        self._ignores = ignores

    async def run(self) -> None:
        """Take part until cancelled."""
        seat = self._seat
        overlay = Overlay(
            seat.transport, sign=seat.sign, verify=verify_once, config=seat.config, rng=seat.rng, score=ScoreBook()
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(overlay.run)
            async with overlay.subscribe(TOPIC, self._judge, buffer=0):
                for peer, addresses in seat.targets:
                    nursery.start_soon(self._dial, overlay, peer, addresses)
                await trio.sleep_forever()

    async def _dial(self, overlay: Overlay, peer: PeerId, addresses: Sequence[Address]) -> None:
        while True:
            try:
                await overlay.connect(peer, addresses)
            except NotConnectedError:
                await trio.sleep(0.1)
            else:
                return

    def _judge(self, message: Message) -> Verdict:
        return Verdict.IGNORE if self._ignores(self._seat, message) else Verdict.ACCEPT
