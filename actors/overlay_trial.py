"""One attack on one overlay, in virtual time over the memory network: build the population, publish, attack, measure.

    0 ── boot, links, meshes ── warm_s ── attack: published messages are measured ── attack_s ── not measured ── drain_s

Honest peers are `net.overlay.Overlay`s as everywhere. Config and links are those of the reference evaluation
(gossipsub-hardening): D 8/6/12, degree 20, 25 ms ± 10 %; rate, size of the messages and the numbers of peers are scaled to
one machine. *Defence on* is GossipSub v1.1: scoring with `score_params`, flood publishing, outbound places, and a judge
that ignores what is older than the seen cache remembers. *Off* is v1.0: none of it. *Unscored* is v1.1 without scores.

P3 needs to know the rate of the topic, which a trial does and most topics do not; with no traffic, it would have everybody
leave every mesh. So publishing goes on while the last measured messages arrive.
"""

import math
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import trio
from nacl.signing import SigningKey

from actors.attacks.plan import DEADLINE_S, TOPIC, VALID, Arrival, Attack, Attacker, Outcome, Seat, Waste
from actors.virtual_time import run_virtual
from net.gossip.config import GossipConfig
from net.gossip.events import Message, MessageId, Verdict
from net.gossip.score_book import ScoreBook
from net.gossip.score_params import ScoreParams, TopicScoreParams, decay_over
from net.memory import LinkConditions, MemoryNetwork, MemoryTransport
from net.overlay import Overlay
from net.peer import Address, PeerId
from net.signing import Sign, verify_once
from net.transport import NotConnectedError

DEFENCES = ("on", "off", "unscored")
LINKS = LinkConditions(latency_s=0.025, jitter_s=0.0025)
QUANTUM_S = 0.002
"""Arrivals are rounded up to it: a twelfth of the latency, for a third of the wake-ups."""
REDIAL_S = 0.1
SETTLE_S = 3.0
"""What reaches a peer that starts late is measured from so long after its start."""
STEADY_S = 5.0
"""Meshes that stay whole for so long have recovered."""
_STAMP = struct.Struct(">dI")


@dataclass(frozen=True, slots=True)
class Size:
    """How big a trial is. Times in virtual seconds."""

    honest: int
    attackers: int
    rate: float
    """Honest messages per second, from peers in turn at random."""
    warm_s: float
    attack_s: float
    """Messages published in it are measured."""
    recovery_s: float = 120.0
    """If the attackers left the meshes at some time, the attack goes on until the meshes are whole, at most for so long in
    all: peers that refused one another for lack of room wait out a backoff of a minute."""
    drain_s: float = 6.0
    degree: int = 20
    """Honest links of an honest peer, on average; half of them it dialled."""
    data_bytes: int = 200


QUICK = Size(honest=40, attackers=60, rate=8.0, warm_s=10.0, attack_s=25.0)
FULL = Size(honest=200, attackers=800, rate=8.0, warm_s=15.0, attack_s=60.0)


def score_params(size: Size) -> ScoreParams:
    """Return the parameters for a topic with the trial's rate.

    P3 forgets within 10 s, so its counter settles at 2.7 × a member's rate; a member that brings less than about a
    thirteenth of the topic's messages within half a second of their first copy is short. All of it missing outweighs the
    most that P1 and P2 can give.
    """
    threshold = 0.2 * size.rate
    topic = TopicScoreParams(
        first_deliveries_decay=decay_over(60),
        first_deliveries_cap=20.0,
        mesh_deliveries_weight=-80.0 / threshold**2,
        mesh_deliveries_decay=decay_over(10),
        mesh_deliveries_cap=5 * threshold,
        mesh_deliveries_threshold=threshold,
        mesh_deliveries_window_s=0.5,
        mesh_deliveries_activation_s=5.0,
        mesh_failure_weight=-80.0 / threshold**2,
        mesh_failure_decay=decay_over(600),
    )
    return ScoreParams(topics=((TOPIC, topic),))


def gossip_config(attack: Attack, defence: str) -> GossipConfig:
    """Return the routers' configuration under a defence."""
    config = GossipConfig(d=8, d_lo=6, d_hi=12, seen_ttl_s=attack.ages_s, opportunistic_graft_beats=15)
    return replace(config, d_out=0, flood_publish=False) if defence == "off" else config


@dataclass
class _Ear:
    """What one honest peer published and heard: a `net.overlay.GossipObserver`."""

    peer: PeerId
    published_at: dict[MessageId, tuple[float, PeerId]]
    """Of all honest peers together: when, and by whom."""
    got: dict[MessageId, float] = field(default_factory=dict)
    """When it was first delivered here."""
    repeats: int = 0

    def published(self, message_id: MessageId, topic: str, now: float) -> None:
        """Note when."""
        del topic
        self.published_at[message_id] = (now, self.peer)

    def delivered(self, message_id: MessageId, topic: str, now: float) -> None:
        """Note when, or that it was not the first time; end the trial if nobody honest published it."""
        del topic
        if message_id not in self.published_at:
            raise RuntimeError("a message that no honest peer published was delivered")
        if message_id in self.got:
            self.repeats += 1
        else:
            self.got[message_id] = now

    def penalised(self, peer: PeerId, reason: str, now: float) -> None:
        """The score knows."""

    def disconnected(self, peer: PeerId, reason: str, now: float) -> None:
        """The traffic shows it."""

    def failed(self, where: str, error: Exception, now: float) -> None:
        """End the trial."""
        del now
        raise RuntimeError(f"{where} has a bug") from error


@dataclass(frozen=True)
class _Honest:
    overlay: Overlay
    ear: _Ear
    dials: Sequence[PeerId]
    starts_s: float
    victim: bool

    @property
    def settled_s(self) -> float:
        return self.starts_s + SETTLE_S


@dataclass
class _Looks:
    """At the meshes, once a second from the begin of the attack."""

    shares: list[float] = field(default_factory=list)
    """Of places that attackers hold."""
    clean_since_s: float | None = None
    lowest: float = 0.0
    """Score of an honest peer with an honest peer."""


def run_trial(attack: Attack, defence: str, size: Size, seed: int) -> Outcome:
    """Run one trial; the same arguments give the same outcome. Raises ValueError for an unknown defence."""
    if defence not in DEFENCES:
        raise ValueError(f"a defence is one of {', '.join(DEFENCES)}, not {defence!r}")
    return run_virtual(_Trial(attack, defence, size, seed).run, seed=seed)


def _identity(kind: str, number: int) -> tuple[PeerId, Sign]:
    """Make the key of a peer; the same in all trials, since a key tells nothing."""
    key = SigningKey(random.Random(f"{kind}/{number}").randbytes(32))
    return PeerId.from_public_key(bytes(key.verify_key)), lambda message: key.sign(message).signature


class _Trial:
    def __init__(self, attack: Attack, defence: str, size: Size, seed: int) -> None:
        self._attack, self._size, self._seed = attack, size, seed
        self._defended = defence != "off"
        self._scored = defence == "on"
        self._config = gossip_config(attack, defence)
        self._params = score_params(size)
        self._rng = random.Random(f"{seed}/{attack.name}")
        self._network = MemoryNetwork(rng=random.Random(f"{seed}/network"), conditions=LINKS, quantum_s=QUANTUM_S)
        self._published: dict[MessageId, tuple[float, PeerId]] = {}
        self._honest: list[_Honest] = []
        self._transports: dict[PeerId, MemoryTransport] = {}
        self._seats: list[Seat] = []
        self._attackers: list[Attacker] = []
        self._looks = _Looks()
        self._wasted: list[Waste] = []

    async def run(self) -> Outcome:
        """Do all of it."""
        size, arrival, start = self._size, self._attack.layout.arrival, trio.current_time()
        begin = start + (SETTLE_S if arrival is Arrival.BOOT else size.warm_s)
        over = begin + size.attack_s
        self._populate(start, begin)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._network.run)
            if arrival is not Arrival.ATTACK:
                self._unleash(nursery)
            for honest in self._honest:
                nursery.start_soon(self._live, honest)
            nursery.start_soon(self._publish, start + 2.0)
            await trio.sleep_until(begin)
            if arrival is Arrival.ATTACK:
                self._unleash(nursery)
            for until in ((begin + over) / 2, over):
                while trio.current_time() < until:
                    await trio.sleep(1.0)
                    self._look(trio.current_time())
                self._wasted.append(self._waste())
            await trio.sleep(size.drain_s)
            outcome = self._measure(begin, over)
            while self._mending(trio.current_time()) and trio.current_time() < begin + size.recovery_s:
                await trio.sleep(1.0)
                self._look(trio.current_time())
            nursery.cancel_scope.cancel()
        since, shares = self._looks.clean_since_s, self._looks.shares
        return replace(
            outcome,
            mesh_share_end=shares[-1],
            recovered_s=None if since is None else since - begin,
            honest_score_min=self._looks.lowest,
        )

    def _mending(self, now: float) -> bool:
        """Tell whether it is worth waiting: the defence works, but the meshes have not been whole for long."""
        since = self._looks.clean_since_s
        return not min(self._looks.shares) and (since is None or now < since + STEADY_S)

    # Who is there. --------------------------------------------------------------------------------------------

    def _populate(self, start: float, begin: float) -> None:
        size, layout, rng = self._size, self._attack.layout, self._rng
        good = [_identity("honest", n) for n in range(size.honest)]
        evil = [_identity("attacker", n) for n in range(size.attackers)]
        for peer, _ in good + evil:
            self._transports[peer] = self._network.attach(peer)
        members = [peer for peer, _ in good]
        victims = max(1, round(layout.victims * size.honest)) if layout.victims else 0
        inside, outside = members[:victims], members[victims:]
        book = outside + [peer for peer, _ in evil] if layout.honest_dial_attackers else outside
        for peer, sign in good:
            victim = peer in inside
            if victim:
                dials = [other for other in inside if other < peer] + rng.sample(outside, layout.victim_links)
            else:
                others = [other for other in book if other != peer]
                dials = rng.sample(others, min(size.degree // 2, len(others)))
            ear = _Ear(peer, self._published)
            overlay = Overlay(
                self._transports[peer],
                sign=sign,
                verify=verify_once,
                config=self._config,
                rng=random.Random(f"{self._seed}/{peer}"),
                observer=ear,
                score=ScoreBook(self._params) if self._scored else None,
            )
            self._honest.append(_Honest(overlay, ear, dials, begin if victim else start, victim))
        for peer, sign in evil:
            targets = inside + rng.sample(outside, min(layout.links, len(outside)))
            addressed = [(target, self._transports[target].addresses) for target in targets]
            mine = random.Random(f"{self._seed}/{peer}")
            self._seats.append(
                Seat(self._transports[peer], sign, mine, self._config, addressed, frozenset(inside), begin)
            )

    async def _live(self, honest: _Honest) -> None:
        await trio.sleep_until(honest.starts_s)
        overlay = honest.overlay
        async with trio.open_nursery() as nursery:
            await nursery.start(overlay.run)
            # Nobody reads the subscription: the observer sees what is delivered.
            async with overlay.subscribe(TOPIC, self._judge, buffer=0):
                for peer in honest.dials:
                    nursery.start_soon(dial, overlay, peer, self._transports[peer].addresses)
                await trio.sleep_forever()

    def _unleash(self, nursery: trio.Nursery) -> None:
        for seat in self._seats:
            attacker = self._attack.seat(seat)
            self._attackers.append(attacker)
            nursery.start_soon(attacker.run)

    async def _publish(self, at: float) -> None:
        """Publish at an even rate; with victims, every second message is of one of theirs once they are settled."""
        for number in count():
            await trio.sleep_until(at + number / self._size.rate)
            now = trio.current_time()
            settled = [one for one in self._honest if one.starts_s + 1.0 <= now]
            victims = [one for one in settled if one.victim]
            source = self._rng.choice(victims if victims and number % 2 else settled)
            stamp = VALID + _STAMP.pack(now, number)
            await source.overlay.publish(TOPIC, stamp + bytes(max(0, self._size.data_bytes - len(stamp))))

    def _judge(self, message: Message) -> Verdict:
        """The topic's rule: REJECT what is malformed; IGNORE what may have been forgotten, unless defenceless."""
        data = message.data
        if not data.startswith(VALID) or len(data) < 1 + _STAMP.size:
            return Verdict.REJECT
        published = float(_STAMP.unpack_from(data, 1)[0])
        too_old = self._defended and trio.current_time() - published > self._attack.ages_s
        return Verdict.IGNORE if too_old else Verdict.ACCEPT

    # What becomes of it. --------------------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        config, looks = self._config, self._looks
        good = {one.overlay.peer_id: one for one in self._honest}
        places = held = 0
        clean = True
        for one in self._honest:
            router = one.overlay.router
            mesh = router.mesh(TOPIC)
            attackers = sum(member not in good for member in mesh)
            places, held = places + len(mesh), held + attackers
            known = [peer for peer in router.peers if peer in good]
            clean = clean and not attackers and min(config.d_lo, len(known)) <= len(mesh) <= config.d_hi
            if self._scored:
                looks.lowest = min(looks.lowest, *(router.score(peer, now) for peer in known), 0.0)
        looks.shares.append(held / max(1, places))
        if not clean:
            looks.clean_since_s = None
        elif looks.clean_since_s is None:
            looks.clean_since_s = now

    def _waste(self) -> Waste:
        counters = [one.overlay.router.counters for one in self._honest]
        return Waste(
            frames=sum(self._network.traffic(seat.transport.peer_id).frames_sent for seat in self._seats),
            unread=sum(each.graylisted for each in counters),
            wanted=sum(each.wanted for each in counters),
            offered=sum(attacker.offered for attacker in self._attackers),
            drawn=sum(attacker.drawn for attacker in self._attackers),
            messages=sum(each.published for each in counters),
        )

    def _measure(self, begin: float, over: float) -> Outcome:
        delays: list[float] = []
        pairs = messages = 0
        settled = {one.overlay.peer_id: one for one in self._honest}
        some_victims = any(one.victim for one in self._honest)
        for message_id, (at, source) in self._published.items():
            if not begin <= at < over:
                continue
            messages += 1
            for one in self._honest:
                author = settled[source]
                in_scope = not some_victims or one.victim or author.victim
                if one is author or not in_scope or at < max(one.settled_s, author.settled_s):
                    continue
                pairs += 1
                if message_id in one.ear.got:
                    delays.append(one.ear.got[message_id] - at)
        delays.sort()
        return Outcome(
            pairs=pairs,
            undelivered=pairs - len(delays),
            late=sum(delay > DEADLINE_S for delay in delays),
            p99_s=delays[math.ceil(0.99 * len(delays)) - 1] if delays else math.inf,
            max_s=delays[-1] if delays else math.inf,
            repeats=sum(one.ear.repeats for one in self._honest),
            messages=messages,
            attackers=len(self._seats),
            attacker_links=sum(len(seat.targets) for seat in self._seats),
            waste=self._wasted[1].since(self._wasted[0]),
            mesh_share_peak=max(self._looks.shares),
        )


async def dial(overlay: Overlay, peer: PeerId, addresses: Sequence[Address]) -> None:
    """Bring up a link, however often it takes: the peer may not have started."""
    while True:
        try:
            await overlay.connect(peer, addresses)
        except NotConnectedError:
            await trio.sleep(REDIAL_S)
        else:
            return
