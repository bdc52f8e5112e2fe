"""A cluster in virtual time: nodes, their disks and owners, and a network that drops, delays, doubles and cuts.

Everything comes from one seed. Nothing is checked here but safety after each step (`checker`); tests decide what happens.
"""

from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

from chain.ledgers.ordered.raft.config import RaftConfig
from chain.ledgers.ordered.raft.events import (
    BecameLeader,
    Commit,
    Install,
    Persist,
    Send,
    SteppedDown,
)
from chain.ledgers.ordered.raft.messages import Configuration, Entry, HardState
from chain.ledgers.ordered.raft.node import RaftNode
from chain.ledgers.ordered.raft.role import Role
from chain.ledgers.ordered.raft.store import MemoryRaftStore
from tests.chain.ordered.raft.checker import Checker

CONFIG = RaftConfig(
    tick_ms=10,
    election_ticks=10,
    heartbeat_ticks=1,
    max_append_bytes=80,  # four entries
    max_inflight=8,
    max_uncommitted_entries=100,
    learner_gap=5,
)


def peer_of(number):
    return bytes([number]) * 32


@dataclass
class Faults:
    """Chances per message, delays in milliseconds, and the chance per step that a node dies in its midst."""

    drop: float = 0.0
    double: float = 0.0
    straggle: float = 0.0  # delayed by up to `straggle_ms`, so that others overtake it
    delay_ms: tuple = (1, 4)
    straggle_ms: int = 150
    crash: float = 0.0
    crash_voting: float = 0.0  # the same for steps that save a vote or a term; it is back at once
    crash_leading: float = 0.0  # that a leader dies soon after it was elected; it is back soon


class Disk(MemoryRaftStore):
    """Lets checks look at its end without reading all of it."""

    def last(self):
        snapshot = self._snapshot
        index, term = (snapshot.index, snapshot.term) if snapshot is not None else (0, 0)
        return index + len(self._entries), self._entries[-1].term if self._entries else term


class Host:
    """One node with what survives its death: its disk, and how far its owner has applied."""

    def __init__(self, peer):
        self.peer = peer
        self.disk = Disk()
        self.node = None
        self.applied = 0
        self.checked = 0  # up to where its commitments were compared
        self.tick_at = None
        self.events = []  # (time, effect) but for Persist, Send, Commit


class Cluster:
    """Hosts 1 to `size` are the founders, `spares` more wait to be added. All are started, some with `logs`: terms by number."""

    def __init__(self, seed, size=3, *, spares=0, config=CONFIG, faults=None, rng=None, logs=None):
        self.rng = rng or Random(seed)
        self.config = config
        self.faults = faults or Faults()
        self.now = 0
        self.checker = Checker()
        self.founding = Configuration(tuple(peer_of(n) for n in range(1, size + 1)), ())
        self.hosts = {peer_of(n): Host(peer_of(n)) for n in range(1, size + spares + 1)}
        self.cuts = set()  # (from, to)
        self.queue = []
        self.serial = 0
        self.proposed = 0
        self.sent = 0
        self.commits = []  # (time, peer, Commit)
        for number, terms in (logs or {}).items():
            self.write(self.hosts[peer_of(number)], terms)
        for peer in self.hosts:
            self.start(peer)

    def write(self, host, terms):
        """Put entries of these terms on a disk, as leaders of theirs would have written them."""
        entries = tuple(Entry(term, 0, b"%d of %d" % (index, term)) for index, term in enumerate(terms, 1))
        persist = Persist(HardState(max(terms), b""), None, 1, entries)
        host.disk.persist(persist)
        self.checker.persisted(host.peer, persist, 0)

    # --- life and death

    def start(self, peer, applied=None):
        host = self.hosts[peer]
        if applied is not None:
            host.applied = applied
        host.node = RaftNode(
            peer,
            founding=self.founding,
            stored=host.disk.load(),
            applied=host.applied,
            config=self.config,
            rng=Random(self.rng.getrandbits(64)),
            now_ms=self.now,
        )
        host.checked = 0
        host.tick_at = None
        self.carry_out(host, host.node.start(self.now))

    def crash(self, peer):
        self.hosts[peer].node = None

    def kill(self, peer, back_ms):
        """Crash a node, and restart it within `back_ms`."""
        self.crash(peer)
        self.later(self.rng.randint(1, back_ms), self.revive, peer)

    def revive(self, peer):
        if self.hosts[peer].node is None:
            self.restart(peer)

    def restart(self, peer):
        """Its owner may have lost some of what it applied since the snapshot."""
        host = self.hosts[peer]
        stored = host.disk.load()
        base = stored.snapshot.index if stored is not None and stored.snapshot is not None else 0
        back = self.rng.random() < 0.5 and host.applied > base
        self.start(peer, self.rng.randint(base, host.applied) if back else host.applied)

    # --- steps

    def carry_out(self, host, effects):
        node, checker, faults = host.node, self.checker, self.faults
        saves = any(type(effect) is Persist for effect in effects)
        if not saves:
            self.look(host)
        dies, back_ms = len(effects) + 1, 400
        if faults.crash and effects and self.rng.random() < faults.crash:
            dies = self.rng.randrange(len(effects) + 1)
        if faults.crash_voting and saves and any(type(e) is Persist and e.hard_state is not None for e in effects):
            if self.rng.random() < faults.crash_voting:
                dies, back_ms = self.rng.randint(1, len(effects)), 3
        for place, effect in enumerate(effects):
            if place == dies:
                break
            kind = type(effect)
            if kind is Send:
                self.send(host.peer, effect.peer, effect.message)
            elif kind is Persist:
                host.disk.persist(effect)
                self.look(host)  # not before: who is a quorum alone commits what it is about to save
                first = effect.first_index
                checker.persisted(host.peer, effect, node.log.term(first - 1) if first is not None else None)
            elif kind is Commit:
                checker.applied(effect, host.applied)
                host.applied = effect.index
                self.commits.append((self.now, host.peer, effect))
            else:
                host.events.append((self.now, effect))
                if kind is Install:
                    host.applied = max(host.applied, effect.snapshot.index)
                elif kind is BecameLeader:
                    checker.became_leader(host.peer, effect.term, node.log)
                    if self.rng.random() < faults.crash_leading:
                        self.later(self.rng.randint(0, 12), self.kill, host.peer, 40)
        if dies <= len(effects):
            self.kill(host.peer, back_ms)
            return
        checker.same_on_disk(node.log, host.disk)
        self.schedule(host)

    def look(self, host):
        self.checker.holds_committed(host.node.log, host.checked)
        host.checked = host.node.log.commit

    def schedule(self, host):
        deadline = host.node.next_deadline_ms()
        if deadline is not None and (host.tick_at is None or deadline < host.tick_at):
            host.tick_at = deadline
            self.later(max(0, deadline - self.now), self._tick, host, host.node)

    def _tick(self, host, node):
        if host.node is not node:
            return
        deadline = node.next_deadline_ms()
        host.tick_at = None
        if deadline is not None and deadline <= self.now:
            self.carry_out(host, node.tick(self.now))
        else:
            self.schedule(host)

    def later(self, delay_ms, action, *arguments):
        self.serial += 1
        heappush(self.queue, (self.now + delay_ms, self.serial, action, arguments))

    def send(self, sender, receiver, message):
        self.sent += 1
        faults, rng = self.faults, self.rng
        if (sender, receiver) in self.cuts or (faults.drop and rng.random() < faults.drop):
            return
        low, high = faults.delay_ms
        delay = low + int(rng.random() * (high - low + 1))
        if faults.straggle and rng.random() < faults.straggle:
            delay += int(rng.random() * faults.straggle_ms)
        self.later(delay, self._deliver, sender, receiver, message)
        if faults.double and rng.random() < faults.double:
            self.later(delay + int(rng.random() * faults.straggle_ms), self._deliver, sender, receiver, message)

    def _deliver(self, sender, receiver, message):
        host = self.hosts.get(receiver)
        if host is None or host.node is None or (sender, receiver) in self.cuts:
            return
        self.carry_out(host, host.node.receive(sender, message, self.now))

    def do(self, peer, method, *arguments):
        """Call a method of a node and carry out what it returns."""
        host = self.hosts[peer]
        self.carry_out(host, getattr(host.node, method)(*arguments, self.now))

    def run(self, for_ms):
        """Let virtual time pass."""
        end = self.now + for_ms
        queue = self.queue
        while queue and queue[0][0] <= end:
            self.now, _, action, arguments = heappop(queue)
            action(*arguments)
        self.now = end

    def run_until(self, condition, most_ms=60_000, step_ms=1):
        """Let time pass until `condition()`; return how much did."""
        start = self.now
        while not condition():
            assert self.now - start < most_ms, f"not within {most_ms} ms"
            self.run(step_ms)
        return self.now - start

    # --- the network

    def isolate(self, *peers):
        """Cut these off from all others, and leave them each other."""
        for inside in peers:
            for outside in self.hosts:
                if outside not in peers:
                    self.cuts |= {(inside, outside), (outside, inside)}

    def heal(self):
        self.cuts.clear()

    # --- what can be seen

    def node(self, peer):
        return self.hosts[peer].node

    def leaders(self):
        """Who believe to lead."""
        return [peer for peer, host in self.hosts.items() if host.node is not None and host.node.role is Role.LEADER]

    def leader(self):
        """Who leads the latest term; None when nobody does."""
        return max(self.leaders(), key=lambda peer: self.node(peer).term, default=None)

    def elect(self, peer=None):
        """Run until somebody leads, `peer` if given, and has committed the first entry of its term."""
        if peer is not None:
            self.do(peer, "campaign")

        def ready():
            leader = self.leader()
            log = self.node(leader).log if leader is not None else None
            return log is not None and log.term(log.commit) == self.node(leader).term

        self.run_until(ready)
        assert peer in (None, self.leader())
        return self.leader()

    def propose(self, peer=None, count=1):
        """Propose `count` entries that nobody proposed before; return the index of the last."""
        peer = peer or self.leader()
        for _ in range(count):
            self.proposed += 1
            self.do(peer, "propose", b"%d" % self.proposed)
        return self.node(peer).log.last_index if self.node(peer) is not None else None

    def of(self, peer, kind):
        """The events of a kind at one node, oldest first."""
        return [event for _, event in self.hosts[peer].events if isinstance(event, kind)]

    def reasons(self, peer):
        return [event.reason for event in self.of(peer, SteppedDown)]

    def level(self, peers=None):
        """Whether these nodes (all members) have applied all that the leader has."""
        leader = self.leader()
        if leader is None:
            return False
        last = self.node(leader).log.last_index
        members = peers or (*self.node(leader).configuration.voters, *self.node(leader).configuration.learners)
        return all(self.node(peer) is not None and self.node(peer).log.applied == last for peer in members)
