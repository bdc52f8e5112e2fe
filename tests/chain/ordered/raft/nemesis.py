"""Everything that can go wrong at once, from one seed; and then nothing any more."""

from random import Random

from chain.errors import Refused
from chain.ledgers.ordered.raft.role import Role
from tests.chain.ordered.raft.cluster import Cluster, Faults

REPERTOIRE = (
    "crash",
    "crash_leader",
    "part",
    "part",
    "one_way",
    "heal",
    "compact",
    "compact",
    "transfer",
    "change",
    "change",
)
TROUBLE_MS = 8_000
LIVELY_MS = 3_000
"""Thirty election timeouts, after which a healed cluster must have committed and applied everything."""


class Nemesis:
    """A cluster of three or five, clients that propose, and one who makes trouble for `TROUBLE_MS`."""

    def __init__(self, seed):
        rng = Random(seed)
        self.rng = rng
        size = rng.choice((3, 3, 5))
        self.cluster = Cluster(
            seed,
            size,
            spares=2,
            rng=rng,
            faults=Faults(
                drop=rng.choice((0.0, 0.02, 0.1, 0.25)),
                double=rng.choice((0.0, 0.05, 0.2)),
                straggle=rng.choice((0.0, 0.05, 0.2)),
                crash=rng.choice((0.0, 0.0005, 0.004)),
                crash_voting=rng.choice((0.0, 0.1, 0.4)),
                crash_leading=rng.choice((0.0, 0.2, 0.6)),
            ),
        )
        self.refusals = {}
        self.over = False
        self.repertoire = REPERTOIRE + rng.choice(
            ((), ("stand",) * 6, ("strand",) * 3, ("riot",) * 6, ("change",) * 8 + ("strand", "crash_leader") * 2)
        )

    def run(self):
        """Make trouble, heal, and see that everybody comes to the same."""
        cluster, rng = self.cluster, self.rng
        end = TROUBLE_MS
        cluster.later(rng.randint(50, 150), self.load)
        cluster.later(rng.randint(50, 300), self.trouble)
        cluster.run(end)
        self.over = True
        cluster.faults = Faults()
        cluster.heal()
        for peer, host in cluster.hosts.items():
            if host.node is None:
                cluster.restart(peer)
        acknowledged = len(cluster.checker.data)
        cluster.run_until(lambda: self.commits_more_than(acknowledged), LIVELY_MS, 20)
        cluster.run_until(cluster.level, LIVELY_MS, 20)
        return cluster

    def commits_more_than(self, count):
        """Propose, until some of it is committed: a leader that is about to lose its place may lose what it is given."""
        leader = self.cluster.leader()
        if leader is not None:
            self.cluster.proposed += 1
            self.ask(leader, "propose", b"%d" % self.cluster.proposed)
        return len(self.cluster.checker.data) > count

    def ask(self, peer, method, *arguments):
        """Some of what is asked for is refused, as it should be."""
        try:
            self.cluster.do(peer, method, *arguments)
        except Refused as refused:
            self.refusals[refused.reason] = self.refusals.get(refused.reason, 0) + 1

    def load(self):
        if self.over:
            return
        cluster, rng = self.cluster, self.rng
        for peer in cluster.leaders():
            cluster.proposed += 1
            self.ask(peer, "propose", b"%d" % cluster.proposed)
        cluster.later(rng.choice((2, 5, 10, 30)), self.load)

    def trouble(self):
        if self.over:
            return
        cluster, rng = self.cluster, self.rng
        peers = list(cluster.hosts)
        alive = [peer for peer in peers if cluster.node(peer) is not None]
        leader = cluster.leader()
        what = rng.choice(self.repertoire)
        if what == "crash" and alive:
            cluster.kill(rng.choice(alive), 500)
        elif what == "crash_leader" and leader is not None:
            cluster.kill(leader, 500)
        elif what == "strand" and leader is not None:
            # It goes on taking proposals that nobody gets, while those who forgot its lease elect another.
            cluster.isolate(leader)
            for peer in alive:
                if peer != leader:
                    cluster.kill(peer, 20)
            cluster.later(rng.randint(50, 120), cluster.heal)
        elif what == "riot":
            # Nobody remembers a lease, and several stand at once for the same term.
            for peer in alive:
                cluster.kill(peer, 5)
            for peer in rng.sample(peers, 3):
                cluster.later(rng.randint(6, 9), self.stand, peer)
        elif what == "stand":
            for peer in rng.sample(alive, min(len(alive), 2)):
                self.ask(peer, "campaign")
        elif what == "part":
            cluster.isolate(*rng.sample(peers, rng.randint(1, len(peers) // 2)))
            cluster.later(rng.randint(50, 500), cluster.heal)
        elif what == "one_way":
            cluster.cuts.add(tuple(rng.sample(peers, 2)))
        elif what == "heal":
            cluster.heal()
        elif what == "compact" and alive:
            peer = rng.choice(alive)
            applied = cluster.node(peer).log.applied
            index = rng.randint(max(0, applied - 20), applied)
            cluster.carry_out(cluster.hosts[peer], cluster.node(peer).compact(index, b"height %d" % index))
        elif what == "transfer" and leader is not None:
            self.ask(leader, "transfer", rng.choice(peers))
        elif what == "change" and leader is not None:
            for _ in range(rng.choice((1, 1, 3))):
                self.change(leader)
        cluster.later(rng.randint(10, 200), self.trouble)

    def stand(self, peer):
        if self.cluster.node(peer) is not None:
            self.cluster.do(peer, "campaign")

    def change(self, leader):
        """Ask for a change of configuration; some are refused."""
        node, rng = self.cluster.node(leader), self.rng
        if node is None or node.role is not Role.LEADER:
            return
        voters, learners = node.configuration.voters, node.configuration.learners
        choices = [("add_learner", peer) for peer in self.cluster.hosts if peer not in (*voters, *learners)]
        choices += [("promote", peer) for peer in learners] * 3
        if len(voters) > 1:
            choices += [("remove", rng.choice(voters))] * (1 if len(voters) < 4 else 2)
        if choices:
            self.ask(leader, *rng.choice(choices))
