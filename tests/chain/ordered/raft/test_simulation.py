"""Clusters under everything at once: safety after each step (`checker`), and liveness once it ends (`nemesis`)."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from chain.errors import Refused
from chain.ledgers.ordered.raft.events import Install, Reconfigured, SteppedDown, TransferFailed
from tests.chain.ordered.raft.cluster import CONFIG, Cluster, Faults
from tests.chain.ordered.raft.nemesis import Nemesis

ROOT = Path(__file__).resolve().parents[4]


def test_nothing_breaks():
    check(range(1_000, 1_030))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 1_000, 100))
def test_nothing_breaks_in_a_thousand_runs(first):
    check(range(first, first + 100))


def check(seeds):
    leaders = committed = 0
    seen = set()
    for seed in seeds:
        try:
            cluster = Nemesis(seed).run()
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        leaders += len(cluster.checker.leaders)
        committed += len(cluster.checker.data)
        events = [event for host in cluster.hosts.values() for _, event in host.events]
        seen |= {type(event) for event in events} | {event.reason for event in events if isinstance(event, SteppedDown)}
    # Much must have happened, or it proves little.
    assert leaders > 4 * len(seeds) and committed > 50 * len(seeds)
    assert seen >= {Install, Reconfigured, TransferFailed, "no_quorum", "higher_term", "transferred", "removed"}


def fingerprint(seed):
    cluster = Nemesis(seed).run()
    told = [(at, peer, effect.index, effect.term, effect.data) for at, peer, effect in cluster.commits]
    return hashlib.sha256(repr((cluster.now, cluster.sent, told)).encode()).hexdigest()


def test_a_seed_gives_the_same_run_in_every_process():
    code = "import sys; from tests.chain.ordered.raft.test_simulation import fingerprint; print(fingerprint(7))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(hash_seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in (1, 2)
    }
    assert found == {fingerprint(7)}


class Death:
    """A leader dies under load; everybody proposes wherever they hear that somebody leads."""

    def __init__(self, seed, size, config=CONFIG):
        rng = Random(seed)
        self.cluster = cluster = Cluster(seed, size, config=config, faults=Faults(delay_ms=(1, 3)), rng=rng)
        leader = cluster.elect()
        self.acknowledged = {}  # data → index, as the leader that proposed it told its client
        self.proposed = {}
        self.over = False
        cluster.later(0, self.load)
        cluster.run(200 + rng.randrange(config.election_ms))
        self.note()
        cluster.crash(leader)
        before = len(cluster.commits)
        proposals = set(self.proposed)

        def served():
            return any(effect.data not in proposals for _, _, effect in cluster.commits[before:])

        self.away_ms = cluster.run_until(served)
        cluster.run(200)
        self.note()
        self.over = True
        cluster.restart(leader)
        cluster.run_until(cluster.level)

    def load(self):
        cluster = self.cluster
        if self.over:
            return
        leader = cluster.leader()
        if leader is not None:
            data = b"%d" % len(self.proposed)
            try:
                cluster.do(leader, "propose", data)
            except Refused:
                pass
            else:
                self.proposed[data] = leader
        cluster.later(2, self.load)

    def note(self):
        for _, peer, effect in self.cluster.commits:
            if self.proposed.get(effect.data) == peer:
                self.acknowledged[effect.data] = effect.index

    def lost(self):
        """What was acknowledged and is not where it was on all nodes."""
        return [data for data, index in self.acknowledged.items() if self.cluster.checker.data.get(data) != index]


@pytest.mark.parametrize("seeds", [range(20), pytest.param(range(20, 200), marks=pytest.mark.slow)], ids=str)
def test_a_leader_dies_under_load(seeds):
    """Nothing acknowledged is lost or applied twice, and service is back within two and a half election timeouts."""
    for seed in seeds:
        death = Death(seed, (3, 5)[seed % 2])
        assert len(death.acknowledged) > 100 and death.lost() == []
        for peer in death.cluster.hosts:
            applied = [effect.data for _, who, effect in death.cluster.commits if who == peer]
            assert len(set(applied)) >= len(death.acknowledged)
        assert death.away_ms <= 2.5 * CONFIG.election_ms
