"""One router whose peers are spoken for by hand: what tests of single rules share."""

from collections.abc import Collection

from net.gossip import wire
from net.gossip.config import GossipConfig
from net.gossip.events import Effect, Penalise, Send, Validate, Verdict
from net.gossip.router import GossipRouter
from net.gossip.score_book import Score
from net.gossip.wire import Envelope, Rpc, Subscription
from net.peer import PeerId
from tests.net.gossip.simulated import identity, key, router

T = "/test/topic"
ME = identity(0)
PEERS = sorted(identity(n) for n in range(1, 31))
AUTHOR = identity(100)


def message(seqno: int, data: bytes = b"data", topic: str = T) -> Envelope:
    signature = key(100).sign(wire.signed_bytes(AUTHOR, seqno, topic, data)).signature
    return wire.seal(AUTHOR, seqno, topic, data, signature)


def say(one: GossipRouter, peer: PeerId, now: float, **parts: tuple[object, ...]) -> list[Effect]:
    return one.receive(peer, wire.encode(Rpc(**parts)), now)  # type: ignore[arg-type]


def heard(effects: list[Effect], peer: PeerId) -> Rpc:
    """What `peer` gets told, in one frame at most."""
    frames = [effect.frame for effect in effects if isinstance(effect, Send) and effect.peer == peer]
    assert len(frames) <= 1
    return wire.decode(frames[0]) if frames else Rpc()


def told(effects: list[Effect]) -> list[PeerId]:
    return [effect.peer for effect in effects if isinstance(effect, Send)]


def faults(effects: list[Effect]) -> list[tuple[PeerId, str]]:
    return [(effect.peer, effect.reason) for effect in effects if isinstance(effect, Penalise)]


def settled(
    peers: int = 6,
    *,
    config: GossipConfig | None = None,
    outbound: bool = True,
    seed: int = 0,
    score: Score | None = None,
    version: tuple[int, int] = (1, 1),
    group: str | None = None,
    direct: Collection[PeerId] = (),
) -> GossipRouter:
    """A router at time 2.0, joined to T with `peers` linked subscribers, after its heartbeat."""
    one = router(0, config, seed=seed, score=score, direct=direct)
    one.subscribe(T, 0.0)
    for peer in PEERS[:peers]:
        one.link_up(peer, 0.0, outbound=outbound, version=version, group=group)
        say(one, peer, 0.1, subscriptions=(Subscription(T, subscribe=True),))
    one.tick(2.0)
    return one


def accept(one: GossipRouter, peer: PeerId, envelope: Envelope, now: float) -> list[Effect]:
    assert one.receive(peer, envelope.entry, now) == [Validate(peer, envelope.message)]
    return one.verdict(envelope.message.id, Verdict.ACCEPT, now)
