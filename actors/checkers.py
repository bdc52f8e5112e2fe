"""What must hold of any run, told from its journal. Each checker returns what it found wrong, in words.

What a fault made impossible is excused: whoever was down, or on the other side of a cut, is owed nothing of the time.
A partition must be shorter than finality for the chain's checkers to hold: halves that finalised different blocks are
two networks for good, and `outlasted_finality` says so.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Record = Mapping[str, Any]
FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a network is held to. The defaults are for GossipSub's default parameters and one-second blocks."""

    delivery_ms: float = 6_000
    """From publishing to delivery; the deadline of the reference evaluation (Vyzovitis et al., 2020)."""
    join_ms: float = 10_000
    """How long after it subscribed an actor may still miss messages."""
    settle_ms: float = 60_000
    """How long the overlay may take after a fault of links began, or ended, to have its meshes again."""
    mesh_low: int = 4
    mesh_high: int = 12
    score: float = -500.0
    """What an honest peer's score with an honest peer stays above: GossipConfig's `gossip_threshold`, below which it is
    neither told nor asked for what it lacks."""
    lag_blocks: int = 8
    """How many final blocks a ledger node may be behind another at the end."""


def check(journal: Sequence[Record], bounds: Bounds, dishonest: Collection[str] = ()) -> list[str]:
    """All checkers of this module; `dishonest` actors are held to nothing."""
    return [
        *undelivered(journal, bounds, dishonest),
        *messages_from_nowhere(journal, dishonest),
        *invalid_messages(journal, dishonest),
        *mesh_degrees(journal, bounds, dishonest),
        *mistrust(journal, bounds, dishonest),
        *outlasted_finality(journal, dishonest),
        *conflicting_finality(journal, dishonest),
        *stragglers(journal, bounds, dishonest),
    ]


# Messages. ----------------------------------------------------------------------------------------------------


def undelivered(journal: Sequence[Record], bounds: Bounds, dishonest: Collection[str] = ()) -> list[str]:
    """Every message of an honest actor reaches every honest subscriber in time, unless a fault of its time excuses it."""
    excuses = _Excuses(journal, bounds)
    delivered: dict[tuple[str, str], float] = {}
    subscribed: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for record in journal:
        match record["k"]:
            case "delivered" | "known":
                delivered.setdefault((record["id"], record["a"]), record["t"])
            case "subscribed":
                subscribed[record["topic"]][record["a"]].append([record["t"], FOREVER])
            case "unsubscribed":
                subscribed[record["topic"]][record["a"]][-1][1] = record["t"]
    end = journal[-1]["t"] if journal else 0
    wrong = []
    for record in journal:
        if record["k"] != "published" or record["a"] in dishonest or record["t"] + bounds.delivery_ms > end:
            continue
        t, source = record["t"], record["a"]
        for target, spans in subscribed[record["topic"]].items():
            owed = any(since + bounds.join_ms <= t and t + bounds.delivery_ms <= until for since, until in spans)
            if not owed or target == source or target in dishonest:
                continue
            took = delivered.get((record["id"], target), FOREVER) - t
            if took > bounds.delivery_ms and not excuses.hold(source, target, t):
                what = "never reached" if took == FOREVER else f"took {took:g} ms to"
                wrong.append(f"{record['id']} of {source} at {t} ms on {record['topic']} {what} {target}")
    return wrong


def messages_from_nowhere(journal: Sequence[Record], dishonest: Collection[str] = ()) -> list[str]:
    """Gossip delivers to an actor only what was published, by another, and once (a restarted actor forgets).

    In a journal that was merged of several processes', the one may come a millisecond after the other.
    """
    published: dict[str, str] = {r["id"]: r["a"] for r in journal if r["k"] == "published"}
    got: dict[str, set[str]] = defaultdict(set)
    wrong = []
    for record in journal:
        actor = record["a"]
        match record["k"]:
            case "up" | "down" | "error":
                got.pop(actor, None)
            case "delivered" if actor not in dishonest:
                if record["id"] not in published:
                    wrong.append(f"{actor} got {record['id']}, which nobody published")
                elif published[record["id"]] == actor:
                    wrong.append(f"{actor} was delivered its own {record['id']}")
                elif record["id"] in got[actor]:
                    wrong.append(f"{actor} got {record['id']} twice")
                got[actor].add(record["id"])
    return wrong


def invalid_messages(journal: Iterable[Record], dishonest: Collection[str] = ()) -> list[str]:
    """No honest actor is delivered what its sender, in a record ``invalid``, says to be against the rules."""
    invalid: set[str] = set()
    wrong = []
    for record in journal:
        if record["k"] == "invalid":
            invalid.add(record["id"])
        elif record["k"] == "delivered" and record["id"] in invalid and record["a"] not in dishonest:
            wrong.append(f"{record['a']} was delivered {record['id']}, which is invalid")
    return wrong


def mesh_degrees(journal: Iterable[Record], bounds: Bounds, dishonest: Collection[str] = ()) -> list[str]:
    """Once links have settled after a fault, each mesh has its size, as far as there are peers for it.

    Whoever came or went, to the run or to a topic, stirs meshes anew: a backoff alone may take as long as a fault's end.
    Whom an actor met since its last look need not be a member yet: grafting waits for the heartbeat.
    """
    wrong = []
    stirred: dict[str, float] = {}
    """When a topic's subscribers last changed."""
    met: dict[tuple[str, str], int] = {}
    """Peers that an actor knew of in a topic when it looked last."""
    on: set[int] = set()
    settled = FOREVER
    """From when on meshes are to be whole: never before there was a fault."""
    for record in journal:
        match record["k"]:
            case "fault" if "groups" in record:
                on.add(record["number"])
            case "fault" if record["phase"] == "end" and record["number"] in on:
                on.remove(record["number"])
                settled = record["t"] + bounds.settle_ms
            case "up" | "down" | "error" if settled < FOREVER:
                settled = max(settled, record["t"] + bounds.settle_ms)
            case "subscribed" | "unsubscribed":
                stirred[record["topic"]] = record["t"]
            case "look" if record["a"] not in dishonest:
                for topic, (degree, known) in record["meshes"].items():
                    low = min(bounds.mesh_low, known, met.get((record["a"], topic), known))
                    met[record["a"], topic] = known
                    quiet = not on and record["t"] >= max(settled, stirred.get(topic, 0) + bounds.settle_ms)
                    if quiet and not low <= degree <= bounds.mesh_high:
                        wrong.append(
                            f"{record['a']} has {degree} members in its mesh of {topic} at {record['t']} ms, and knows {known}"
                        )
    return wrong


def mistrust(journal: Iterable[Record], bounds: Bounds, dishonest: Collection[str] = ()) -> list[str]:
    """No honest actor scores an honest one at or below the threshold; where it does, the lowest score is told."""
    lowest: dict[tuple[str, str], tuple[float, float]] = {}
    for record in journal:
        if record["k"] != "look" or record["a"] in dishonest:
            continue
        for peer, score in record.get("below", {}).items():
            if score <= bounds.score and peer not in dishonest:
                lowest[record["a"], peer] = min(lowest.get((record["a"], peer), (0.0, 0.0)), (score, record["t"]))
    return [f"{actor} scores {peer} {score:g} at {t} ms" for (actor, peer), (score, t) in lowest.items()]


# The chain. ---------------------------------------------------------------------------------------------------


def outlasted_finality(journal: Iterable[Record], dishonest: Collection[str] = ()) -> list[str]:
    """No partition lasts so long that its groups finalise different blocks: they would be two networks for good."""
    cuts: dict[int, dict[str, Any]] = {}
    finals: dict[int, tuple[str, str]] = {}
    depth, end = 0, 0
    for record in journal:
        end = record["t"]
        match record["k"]:
            case "start":
                depth = record["finality_depth"]
            case "fault" if record["fault"] == "partition" and "groups" in record:
                group = {name: place for place, names in enumerate(record["groups"]) for name in names}
                cuts[record["number"]] = {"since": end, "until": None, "group": group, "height": None}
            case "fault" if record["phase"] == "end" and record["number"] in cuts:
                cuts[record["number"]]["until"] = end
            case "final" if cuts and record["a"] not in dishonest:
                first, id_ = finals.setdefault(record["height"], (record["a"], record["id"]))
                for cut in cuts.values() if id_ != record["id"] else ():
                    if cut["height"] is None and cut["group"].get(first) != cut["group"].get(record["a"]):
                        cut["height"] = record["height"]
    return [
        f"groups finalised different blocks at height {cut['height']}: the partition of "
        f"{((end if cut['until'] is None else cut['until']) - cut['since']) / 1000:g} s outlasted finality of {depth} blocks"
        for cut in cuts.values()
        if cut["height"] is not None
    ]


def conflicting_finality(journal: Iterable[Record], dishonest: Collection[str] = ()) -> list[str]:
    """One final block a height, whoever says so; and each node finalises height after height."""
    ids: dict[int, str] = {}
    last: dict[str, int] = {}
    wrong = []
    for record in journal:
        actor, kind = record["a"], record["k"]
        if kind in ("up", "down", "jumped"):
            last.pop(actor, None)  # a new life may begin anywhere
        elif kind == "final" and actor not in dishonest:
            height, id_ = record["height"], record["id"]
            if ids.setdefault(height, id_) != id_:
                wrong.append(f"{actor} finalised {id_} at height {height}, another node {ids[height]}")
            if height != last.get(actor, height - 1) + 1:
                wrong.append(f"{actor} finalised height {height} after {last[actor]}")
            last[actor] = height
    return wrong


def stragglers(journal: Iterable[Record], bounds: Bounds, dishonest: Collection[str] = ()) -> list[str]:
    """At the end, every ledger node that is up is about as far as the others. What it jumped to counts as final."""
    final: dict[str, int] = {}
    down: set[str] = set()
    for record in journal:
        actor = record["a"]
        match record["k"]:
            case "final" | "jumped" if actor not in dishonest:
                final[actor] = record["height"]
            case "down" | "error":
                down.add(actor)
            case "up":
                down.discard(actor)
    best = max(final.values(), default=0)
    return [
        f"{actor} is at final block {height}, another node at {best}"
        for actor, height in sorted(final.items())
        if actor not in down and height < best - bounds.lag_blocks
    ]


# Excuses. -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _LinkFault:
    kind: str
    group: dict[str, int]
    among: bool
    """Whether it is between groups; else it is on all links of those struck."""
    since: float
    until: float = FOREVER

    def excuses(self, source: str, target: str, t: float, bounds: Bounds) -> bool:
        """Whether a message published at `t` may be late or lost."""
        a, b = self.group.get(source), self.group.get(target)
        if a is None and b is None:
            return False
        if self.since - bounds.delivery_ms < t < self.since + bounds.settle_ms:
            return True  # links of a mesh may be among those that died
        apart = a != b and a is not None and b is not None if self.among else True
        return apart and self.since <= t < self.until + bounds.settle_ms


@dataclass(slots=True)
class _Life:
    """When an actor went down and came up, alternately: times."""

    downs: list[float] = field(default_factory=list)
    ups: list[float] = field(default_factory=list)

    def excuses(self, t: float, bounds: Bounds) -> bool:
        """Whether it went down soon after `t`, or had not been up for long."""
        nearest = bisect_right(self.downs, t + bounds.delivery_ms)
        if not nearest:
            return False
        up = next((up for up in self.ups if up > self.downs[nearest - 1]), FOREVER)
        return t < up + bounds.join_ms


class _Excuses:
    """The faults in a journal, and whom they excuse from what."""

    def __init__(self, journal: Iterable[Record], bounds: Bounds) -> None:
        self._bounds = bounds
        self._links: dict[int, _LinkFault] = {}
        self._lives: dict[str, _Life] = defaultdict(_Life)
        for record in journal:
            match record["k"]:
                case "fault" if "groups" in record:
                    group = {name: place for place, names in enumerate(record["groups"]) for name in names}
                    among = len(record["groups"]) > 1
                    self._links[record["number"]] = _LinkFault(record["fault"], group, among, record["t"])
                case "fault" if record["phase"] == "end" and record["number"] in self._links:
                    self._links[record["number"]].until = record["t"]
                case "down" | "error":
                    self._lives[record["a"]].downs.append(record["t"])
                case "up" if record["a"] in self._lives:
                    self._lives[record["a"]].ups.append(record["t"])

    def hold(self, source: str, target: str, t: float) -> bool:
        """Whether what `source` published at `t` (ms) need not have reached `target`."""
        if any(actor in self._lives and self._lives[actor].excuses(t, self._bounds) for actor in (source, target)):
            return True
        return any(link.excuses(source, target, t, self._bounds) for link in self._links.values())
