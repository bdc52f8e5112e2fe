"""The trio shell over a transport and the gossip router: what an actor holds of the network.

One task reads the transport and one keeps the router's time; both call the router, which does not wait, and carry out
its effects at once. A task of its own gets only what may have to wait: a request's handler, hanging up, and control
frames for a peer that has stopped reading.
"""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVarTuple

import trio

from net.backlog import Backlogs, Sent
from net.gossip.config import GossipConfig
from net.gossip.events import (
    Deliver,
    Disconnect,
    Effect,
    Message,
    MessageId,
    Penalise,
    Send,
    Suggest,
    Validate,
    Verdict,
)
from net.gossip.records import MAX_ADDRESSES
from net.gossip.router import GossipRouter
from net.gossip.score_book import Score
from net.peer import Address, PeerId
from net.requests import Handler, RequestDesk
from net.second_wave import SecondWave
from net.signing import Sign, Verify
from net.transport import (
    FrameReceived,
    LinkDown,
    LinkUp,
    RequestReceived,
    Transport,
    TransportEvent,
)

LINK_EVENTS = 256
"""Link events that wait for a reader of `Overlay.links`."""
EVENTS_PER_TURN = 64
"""Transport events handled before other tasks have their turn."""
UNJUDGED = 64
"""Messages that wait for the end of a turn to be judged; with more, they are judged at once. Together they fit into
`GossipConfig.max_pending_bytes`."""

Ts = TypeVarTuple("Ts")
Judge = Callable[[Message], Verdict]
"""What a topic's messages must satisfy. Pure and quick, since it runs between two frames; called once per message."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that the topic's judge accepted."""

    message: Message
    peer: PeerId | None
    """Who brought it; None when we published it ourselves."""
    received_s: float
    """When, on the overlay's clock, in seconds."""


class GossipObserver(Protocol):
    """Told of what happens in an overlay; must be quick and not raise. Times in seconds on the overlay's clock."""

    def published(self, message_id: MessageId, topic: str, now: float) -> None:
        """We published."""

    def delivered(self, message_id: MessageId, topic: str, now: float) -> None:
        """A message of another peer, on a topic of ours, was accepted."""

    def penalised(self, peer: PeerId, reason: str, now: float) -> None:
        """`peer` misbehaved; one of a bounded set of reasons."""

    def disconnected(self, peer: PeerId, reason: str, now: float) -> None:
        """We hung up on `peer`: it cannot be spoken with, or does not read, or there are too many."""

    def failed(self, where: str, error: Exception, now: float) -> None:
        """A judge or handler of ours, named by topic or protocol, has a bug: it raised what it should not."""


@dataclass(slots=True)
class OverlayDrops:
    """What had no room, counted since the overlay was made."""

    payload_frames: int = 0
    """Frames of messages, since the peer's link was full."""
    deliveries: int = 0
    """Messages for a subscriber that does not keep up."""
    link_events: int = 0
    """LinkUp and LinkDown for a reader that does not keep up."""
    stalled_peers: int = 0
    """Links closed because control frames found no room."""


@dataclass(slots=True)
class _Topic:
    judge: Judge
    subscribers: list[trio.MemorySendChannel[Delivery]] = field(default_factory=list)


class Overlay:
    """One peer's place in the gossip network. `run` must be running for anything to reach others.

    `clock` gives seconds and never goes back; None stands for trio's clock, which only does within one process: message
    ids come from it, and a peer that restarts with an earlier one is not heard until the others forgot its old ids.
    `sign` and `verify` are Ed25519 for the transport's peer id. `score` is the router's view of its peers: a `ScoreBook`
    of this overlay alone, or None to think nothing of anybody. `direct` are explicit peers, which get all messages and are
    never scored; their owners must have agreed, and somebody must dial them. The overlay is used once: after `run` has
    ended, so have all subscriptions.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        sign: Sign,
        verify: Verify,
        config: GossipConfig,
        rng: random.Random,
        clock: Callable[[], float] | None = None,
        observer: GossipObserver | None = None,
        score: Score | None = None,
        direct: Collection[PeerId] = (),
    ) -> None:
        self._transport = transport
        self._clock = clock or trio.current_time
        self._observer = observer
        self._router = GossipRouter(
            transport.peer_id,
            sign=sign,
            verify=verify,
            config=config,
            rng=rng,
            now=self._clock(),
            score=score,
            direct=direct,
        )
        self._started = False
        self._nursery: trio.Nursery | None = None  # while running
        self._topics: dict[str, _Topic] = {}
        self._watchers: list[trio.MemorySendChannel[LinkUp | LinkDown]] = []
        self._backlogs = Backlogs(transport)
        self._unjudged: list[Message] = []  # of this turn
        self._second_wave = SecondWave(config)
        self._desk = RequestDesk(self._report)
        self._suggest: Callable[[PeerId, Sequence[Address]], None] | None = None
        self._wake_at = float("inf")
        self._alarm = trio.Event()
        self.drops = OverlayDrops()

    @property
    def peer_id(self) -> PeerId:
        """Who we are."""
        return self._transport.peer_id

    @property
    def addresses(self) -> Sequence[Address]:
        """Where others can dial us, once `run` has started."""
        return self._transport.addresses

    @property
    def requests_turned_away(self) -> int:
        """Requests of others refused as busy, or not answered at all, so far."""
        return self._desk.turned_away

    @property
    def router(self) -> GossipRouter:
        """The router, to look at; whoever calls what changes it loses the effects."""
        return self._router

    def peers(self) -> Sequence[PeerId]:
        """Peers with a link that is up, sorted."""
        return self._transport.peers()

    def scores(self) -> dict[PeerId, float]:
        """The scores of all peers with a link, by peer, sorted; 0 is neutral, below 0 not trusted."""
        now = self._clock()
        return {peer: self._router.score(peer, now) for peer in self._router.peers}

    def rescore(self) -> None:
        """Say that the application's opinion, which the score asks for, has changed."""
        self._router.rescore(self._clock())
        self._rearm()

    def complain(self, peer: PeerId) -> None:
        """Say that `peer`, linked or not, was caught at what nobody honest does: it loses its place, for a while."""
        self._router.complain(peer, self._clock())
        self._rearm()

    def suggest_to(self, suggest: Callable[[PeerId, Sequence[Address]], None]) -> None:
        """Have peers that trusted peers name to us (peer exchange) told to `suggest`, a `ConnectionKeeper`'s `add`, say.

        It must be quick and bounded; one at a time, the last one given holds.
        """
        self._suggest = suggest

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the transport and the router until cancelled; once (else RuntimeError).

        Ends all subscriptions and cancels all handlers on the way out. Errors of the transport and of the router escape.
        """
        if self._started:
            raise RuntimeError("an overlay runs once; make another")
        try:
            async with trio.open_nursery() as nursery:
                self._started = True
                self._nursery = nursery
                try:
                    await nursery.start(self._transport.run)
                    self._announce()
                    nursery.start_soon(self._keep_time)
                    task_status.started()
                    await self._pump()
                    nursery.cancel_scope.cancel()  # the transport has closed
                finally:
                    # Here, not below: others run between the nursery's closing and the end of its block.
                    self._nursery = None
        finally:
            for topic in self._topics.values():
                for subscriber in topic.subscribers:
                    subscriber.close()
            for watcher in self._watchers:
                watcher.close()

    def _announce(self) -> None:
        """Let our neighbours know where we listen, so that they can name us to others."""
        addresses, now = self._transport.addresses[:MAX_ADDRESSES], self._clock()
        if addresses:
            try:
                self._apply(self._router.announce(addresses, now), now)
            except ValueError as error:
                self._report("addresses", error)  # we can do without, since nobody needs to name us

    def _check_open(self) -> None:
        if self._started and self._nursery is None:
            raise trio.ClosedResourceError("the overlay's run has ended")

    # Gossip. --------------------------------------------------------------------------------------------------

    async def publish(self, topic: str, data: bytes) -> MessageId:
        """Sign and send a message, also to our own subscribers of the topic. Returning does not mean delivered.

        Raises ValueError for data longer than `GossipConfig.max_message_bytes`, and trio.ClosedResourceError after the
        end of `run`.
        """
        await trio.lowlevel.checkpoint()
        self._check_open()
        now = self._clock()
        message_id, effects = self._router.publish(topic, data, now)
        if self._observer is not None:
            self._observer.published(message_id, topic, now)
        self._apply(effects, now)
        self._rearm()
        return message_id

    @asynccontextmanager
    async def subscribe(
        self, topic: str, judge: Judge, *, buffer: int = 256
    ) -> AsyncGenerator[trio.MemoryReceiveChannel[Delivery], None]:
        """Receive a topic's messages while in the context; what exceeds `buffer` messages is dropped and counted.

        A topic may have several subscribers, but one judge: raises ValueError for a second one. A judge that raises is
        reported to the observer, and the message is ignored. Raises trio.ClosedResourceError after the end of `run`.
        """
        self._check_open()
        entry = self._topics.get(topic)
        if entry is not None and entry.judge != judge:
            raise ValueError(f"topic {topic} has another judge already")
        send, receive = trio.open_memory_channel[Delivery](buffer)
        if entry is None:
            now = self._clock()
            self._apply(self._router.subscribe(topic, now), now)
            entry = self._topics[topic] = _Topic(judge)
            self._rearm()
        entry.subscribers.append(send)
        try:
            yield receive
        finally:
            receive.close()
            send.close()
            entry.subscribers.remove(send)
            if not entry.subscribers:
                del self._topics[topic]
                now = self._clock()
                self._apply(self._router.unsubscribe(topic, now), now)
                self._rearm()

    # Requests. ------------------------------------------------------------------------------------------------

    async def request(self, peer: PeerId, protocol: str, body: bytes, *, timeout: float) -> bytes:
        """Ask a linked peer, for at most `timeout` seconds.

        Raises RequestFailedError, NotConnectedError or FrameTooLargeError, as `net.transport.Transport.request`.
        """
        return await self._transport.request(peer, protocol, body, timeout=timeout)

    def serve(self, protocol: str, handler: Handler) -> AbstractAsyncContextManager[None]:
        """Answer requests while in the context; leaving it cancels the handlers under way. One handler a protocol.

        A handler that raises anything but `RequestRefused` is reported to the observer, and the request is refused.
        """
        return self._desk.serve(protocol, handler)

    # Links. ---------------------------------------------------------------------------------------------------

    async def connect(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        """Bring up a link unless there is one. Raises NotConnectedError."""
        await self._transport.dial(peer, addresses)

    async def hang_up(self, peer: PeerId) -> None:
        """Close the link to `peer`, if there is one."""
        await self._transport.hang_up(peer)

    @asynccontextmanager
    async def links(self) -> AsyncGenerator[trio.MemoryReceiveChannel[LinkUp | LinkDown], None]:
        """Receive link events while in the context. `peers` has the truth for whoever missed some (`drops`).

        Raises trio.ClosedResourceError after the end of `run`.
        """
        self._check_open()
        send, receive = trio.open_memory_channel[LinkUp | LinkDown](LINK_EVENTS)
        self._watchers.append(send)
        try:
            yield receive
        finally:
            receive.close()
            send.close()
            self._watchers.remove(send)

    # The two tasks. -------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Hand what the transport brings to the router, in turns of what is there already.

        New messages are judged, hence forwarded, at the end of a turn: whoever sent a copy in the same turn, or declined
        one, then needs none.
        """
        events = self._transport.events
        async for event in events:
            now = self._clock()
            self._handle(event, now)
            for _ in range(EVENTS_PER_TURN - 1):
                try:
                    event = events.receive_nowait()
                except (trio.WouldBlock, trio.EndOfChannel):
                    break  # `async for` finds out which
                self._handle(event, now)
            self._judge_new(now)
            self._rearm()

    async def _keep_time(self) -> None:
        """Tick the router when it wants to be."""
        while True:
            self._wake_at = self._next_deadline()
            self._alarm = trio.Event()
            with trio.move_on_after(max(0.0, self._wake_at - self._clock())):
                await self._alarm.wait()
            now = self._clock()
            if self._router.next_deadline() <= now:
                self._apply(self._router.tick(now), now)
            for held in self._second_wave.take(now):
                if self._router.still_wanted(held.send.peer, held.message_id, now):
                    self._send(held.send, now)

    def _next_deadline(self) -> float:
        return min(self._router.next_deadline(), self._second_wave.next_due)

    def _rearm(self) -> None:
        """Wake the timekeeper if the router wants a tick earlier than it did."""
        if self._next_deadline() < self._wake_at:
            self._alarm.set()

    def _handle(self, event: TransportEvent, now: float) -> None:
        if type(event) is FrameReceived:
            effects = self._router.receive(event.peer, event.frame, now)
            if effects:
                self._apply(effects, now)
                if len(self._unjudged) >= UNJUDGED:
                    self._judge_new(now)
        elif isinstance(event, LinkUp):
            link = self._router.link_up(
                event.peer, now, outbound=event.outbound, version=event.version, group=event.group
            )
            self._apply(link, now)
            self._tell_watchers(event)
        elif isinstance(event, LinkDown):
            self._backlogs.forget(event.peer)
            self._apply(self._router.link_down(event.peer, now), now)
            self._tell_watchers(event)
        elif isinstance(event, RequestReceived):
            if self._nursery is not None:
                self._desk.admit(event, self._nursery)

    # Effects. -------------------------------------------------------------------------------------------------

    def _apply(self, effects: list[Effect], now: float) -> None:
        """Carry out the router's effects, in order."""
        for effect in effects:
            if type(effect) is Send:
                self._send(effect, now)
            elif isinstance(effect, Validate):
                self._unjudged.append(effect.message)
            elif isinstance(effect, Deliver):
                self._deliver(effect, now)
            elif isinstance(effect, Penalise):
                if self._observer is not None:
                    self._observer.penalised(effect.peer, effect.reason, now)
            elif isinstance(effect, Disconnect):
                self._disconnect(effect.peer, effect.reason, now)
            elif isinstance(effect, Suggest) and self._suggest is not None:
                self._suggest(effect.peer, effect.addresses)

    def _send(self, effect: Send, now: float) -> None:
        match self._backlogs.send(effect):
            case Sent.FIRST:
                self._start(self._backlogs.drain, effect.peer)
            case Sent.DROPPED:
                self.drops.payload_frames += 1
            case Sent.STALLED:
                self.drops.stalled_peers += 1
                self._disconnect(effect.peer, "does not read", now)

    def _judge_new(self, now: float) -> None:
        if self._unjudged:
            unjudged, self._unjudged = self._unjudged, []
            for message in unjudged:
                effects = self._router.verdict(message.id, self._judge(message), now)
                if effects and type(effects[0]) is Deliver:
                    self._deliver(effects[0], now)
                    sends = [effect for effect in effects if type(effect) is Send]
                    for send in self._second_wave.split(message, sends, now):
                        self._send(send, now)
                else:
                    self._apply(effects, now)

    def _judge(self, message: Message) -> Verdict:
        entry = self._topics.get(message.topic)
        if entry is None:
            return Verdict.IGNORE  # unsubscribed meanwhile
        try:
            return entry.judge(message)
        except Exception as error:  # noqa: BLE001 - a remote message must not be able to stop us
            self._report(message.topic, error)
            return Verdict.IGNORE

    def _deliver(self, effect: Deliver, now: float) -> None:
        message = effect.message
        if self._observer is not None and effect.peer is not None:
            self._observer.delivered(message.id, message.topic, now)
        entry = self._topics.get(message.topic)
        if entry is None:
            return
        delivery = Delivery(message, effect.peer, now)
        for subscriber in entry.subscribers:
            try:
                subscriber.send_nowait(delivery)
            except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
                self.drops.deliveries += 1

    def _disconnect(self, peer: PeerId, reason: str, now: float) -> None:
        if self._observer is not None:
            self._observer.disconnected(peer, reason, now)
        self._start(self._transport.hang_up, peer)

    def _report(self, where: str, error: Exception) -> None:
        if self._observer is not None:
            self._observer.failed(where, error, self._clock())

    def _tell_watchers(self, event: LinkUp | LinkDown) -> None:
        for watcher in self._watchers:
            try:
                watcher.send_nowait(event)
            except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
                self.drops.link_events += 1

    def _start(self, function: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Start what may have to wait. Before and after the run there are no links to do it on."""
        if self._nursery is not None:
            self._nursery.start_soon(function, *args)
