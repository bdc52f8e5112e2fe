"""One attack on one overlay, in virtual time over the memory network: build the population, publish, attack, measure.

    0 ── boot, links, meshes ── warm_s ── attack: published messages are measured ── attack_s ── not measured ── drain_s

Honest peers are `net.overlay.Overlay`s as everywhere. Config and links are those of the reference evaluation
(gossipsub-hardening): D 8/6/12, degree 20, 25 ms ± 10 %; D_score and D_out are those that Filecoin's Lotus has with D = 8.
*Defence on* is GossipSub v1.1: scoring with `score_params`, flood publishing, outbound places, and a judge that ignores
what is older than the seen cache remembers. *Off* is v1.0: none of it. *Unscored* is v1.1 without scores.

Scaled to one machine are the numbers of peers, 200 and 800 instead of 1,000 and 4,000, and the load, 8 messages/s of 200
bytes instead of 120 of 2 KiB: a trial takes CPU time in proportion to its messages. The memory network's links have no
bandwidth to fill, P3's threshold is in proportion to the rate, and latencies come from hops and heartbeats, so that a
greater load (`launch.py attack --rate --data-bytes`) should change little; a smaller one leaves P3 more to chance.

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
SETTLE_S = 1.5
"""What reaches a peer, and what it says, is measured from so long after its start: it has had a heartbeat, but P3 has not
yet put out anybody, so that a boot among attackers is measured before the defence has done its work."""
STEADY_S = 70.0
"""Meshes without attackers for so long stay so: those that were put out have had their minute of backoff, and did not get
back in."""
FEW, FEW_S = 0.01, 5.0
"""Attackers that hold less of all places in honest meshes for so long have been put out; see `Outcome.recovered_s`."""
SPARE = 1 / 3
"""Of places, those between D and D_hi: attackers that hold more than that again are back."""
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
    """With scores, the attack goes on for so long in all, unless the meshes are clean for `STEADY_S` before: those whom the
    defence put out try again after their backoffs. Without scores nobody is put out, and the trial ends with the drain."""
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
    most that P1 and P2 can give. New members have two seconds, 16 messages: what a network that boots among sybils suffers,
    it suffers until then. An honest peer that all but starves there may be taken for silent (`Outcome.honest_score_min`).
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
        mesh_deliveries_activation_s=2.0,
        mesh_failure_weight=-80.0 / threshold**2,
        mesh_failure_decay=decay_over(600),
    )
    return ScoreParams(topics=((TOPIC, topic),))


def gossip_config(attack: Attack, defence: str) -> GossipConfig:
    """Return the routers' configuration under a defence.

    D_score and D_out are those of Lotus for D = 8. Who fails P3 altogether gets no more gossip: it would be wasted.
    """
    config = GossipConfig(
        d=8,
        d_lo=6,
        d_hi=12,
        d_score=6,
        d_out=3,
        seen_ttl_s=attack.ages_s,
        opportunistic_graft_beats=15,
        gossip_threshold=-40.0,
    )
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

    shares: list[tuple[float, float]] = field(default_factory=list)
    """When, and of all places how many attackers held then."""
    served_since_s: float | None = None
    """Since when all meshes have had enough honest members."""
    few_since_s: float | None = None
    """Since when attackers have held few places; once they have for `FEW_S`, up to `SPARE` of them is still few."""
    clean_since_s: float | None = None
    """Since when attackers have held none, and meshes were served."""
    lowest: float = 0.0
    """Score of an honest peer with an honest peer."""

    @property
    def recovered_at_s(self) -> float | None:
        """When `Outcome.recovered_s` was; None if it was not."""
        now = self.shares[-1][0]
        if self.served_since_s is None or self.few_since_s is None or self.few_since_s > now - FEW_S:
            return None
        return max(self.served_since_s, self.few_since_s)

    def share_from(self, at: float) -> float:
        """Return the most that attackers held from then on."""
        return max((share for when, share in self.shares if when >= at), default=0.0)

    def note(self, now: float, share: float, *, served: bool) -> None:
        """Take a look's result."""
        self.shares.append((now, share))
        self.served_since_s = _since(self.served_since_s, now, holds=served)
        self.clean_since_s = _since(self.clean_since_s, now, holds=served and not share)
        few = share < FEW or (self.few_since_s is not None and self.few_since_s <= now - FEW_S and share <= SPARE)
        self.few_since_s = _since(self.few_since_s, now, holds=few)


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
            nursery.start_soon(self._publish, start + 1.0)
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
        looks = self._looks
        recovered, clean = looks.recovered_at_s, looks.clean_since_s
        return replace(
            outcome,
            mesh_share_later=looks.share_from(begin if recovered is None else recovered),
            mesh_share_end=looks.shares[-1][1],
            recovered_s=None if recovered is None else recovered - begin,
            clean_s=None if clean is None else clean - begin,
            honest_score_min=looks.lowest,
        )

    def _mending(self, now: float) -> bool:
        """Tell whether the meshes may still change: there are scores, and attackers left too late to have stayed away."""
        since = self._looks.clean_since_s
        return self._scored and (since is None or now < since + STEADY_S)

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
        served = True
        for one in self._honest:
            router = one.overlay.router
            mesh = router.mesh(TOPIC)
            attackers = sum(member not in good for member in mesh)
            places, held = places + len(mesh), held + attackers
            known = [peer for peer in router.peers if peer in good]
            wanted = min(config.d_lo, (len(known) + 1) // 2)
            served = served and wanted <= len(mesh) - attackers and len(mesh) <= config.d_hi
            if self._scored:
                looks.lowest = min(looks.lowest, *(router.score(peer, now) for peer in known), 0.0)
        looks.note(now, held / max(1, places), served=served)

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
            mesh_share_peak=self._looks.share_from(begin),
        )


def _since(since: float | None, now: float, *, holds: bool) -> float | None:
    """Return since when a condition holds without a break."""
    return (now if since is None else since) if holds else None


async def dial(overlay: Overlay, peer: PeerId, addresses: Sequence[Address]) -> None:
    """Bring up a link, however often it takes: the peer may not have started."""
    while True:
        try:
            await overlay.connect(peer, addresses)
        except NotConnectedError:
            await trio.sleep(REDIAL_S)
        else:
            return
