"""Members that were away, or lost their disks, when the others let old blocks and old entries of the log go."""

import dataclasses

import pytest

from actors.consortium_checkers import Watch
from actors.consortium_clients import Clients
from actors.consortium_trial import Member, Shape, Trial
from chain.keys import account_of
from chain.ledger import Jumped
from chain.ledgers.ordered import orderer
from chain.store import MemoryStore
from tests.actors.ordered.storm import CONFIG

KEPT = 20
FORGETFUL = dataclasses.replace(CONFIG, kept_blocks=KEPT, snapshot_gap=40)


class Forgetful(Member):
    """Keeps the latest bodies alone."""

    def __init__(self, *args):
        super().__init__(*args)
        self.jumps = []
        self.lose_disk()

    def lose_disk(self):
        """But not votes and log: an orderer that lost those is another one, as Raft has it."""
        self.store = MemoryStore(keep_blocks=KEPT)

    def carry_one(self, effect):
        if isinstance(effect, Jumped):
            self.jumps.append(effect.header.height)
        return super().carry_one(effect)


@pytest.fixture
def scene(monkeypatch):
    monkeypatch.setattr(orderer, "COMPACT_EVERY", 16)
    monkeypatch.setattr(orderer, "KEPT_ENTRIES", 8)
    return Scene


class Scene:
    """A consortium with a transfer every 20 ms."""

    def __init__(self, **shape):
        self.trial = trial = Trial(5, Shape(**shape), config=FORGETFUL, make=Forgetful)
        self.clients = Clients(trial, attempts=1_000)
        self.watch = Watch(trial, self.clients)
        self.loaded = True
        assert trial.run_until(lambda: trial.leader is not None, trial.now_ms + 3_000)
        self._load(0)

    def _load(self, number):
        trial = self.trial
        if self.loaded:
            sender, to = trial.rng.sample(trial.customers, 2)
            self.clients.call(sender, "accounts", "transfer", account_of(trial.keys[to]), number + 1)
            trial.at(trial.now_ms + 20, self._load, number + 1)

    def grow(self, blocks):
        top = max(member.ledger.head.height for member in self.trial.members.values() if member.up)
        assert self.trial.run_until(
            lambda: any(one.up and one.ledger.head.height >= top + blocks for one in self.trial.members.values()),
            self.trial.now_ms + 60_000,
        )

    def end(self):
        self.loaded = False
        assert self.trial.run_until(lambda: self.watch.settled, self.trial.now_ms + 90_000)
        self.watch.check_end()


def heights(scene):
    return {member.ledger.head.height for member in scene.trial.members.values()}


@pytest.mark.parametrize("lose_disk", [False, True], ids=["disk kept", "disk lost"])
@pytest.mark.parametrize("role", ["peer", "orderer"])
def test_who_was_away_too_long_takes_a_state_over(scene, role, lose_disk):
    """An orderer also takes part again, and can lead: its log begins where the others' does."""
    scene = scene()
    trial = scene.trial
    scene.grow(3)
    away = next(one for one in trial.members.values() if one.role == role and one is not trial.leader)
    away.crash()
    scene.grow(70)
    if lose_disk:
        away.lose_disk()
    away.start()
    scene.grow(30)
    assert len(away.jumps) == 1
    if role == "orderer":
        others = [one for one in trial.orderers if one is not away]
        others[0].crash()  # without it there is no quorum any more
        scene.grow(10)
        others[0].start()
        away_leads = lambda: trial.leader is away  # noqa: E731
        for _ in range(12):
            if away_leads():
                break
            leader = trial.leader
            if leader is not None:
                leader.crash()
            trial.run_until(lambda: trial.leader is not None, trial.now_ms + 5_000)
            if leader is not None:
                leader.start()
            trial.run_for(500)
        assert away_leads()
        scene.grow(5)
    scene.end()
    assert len(heights(scene)) == 1
    assert len({member.ledger.state.root for member in trial.members.values()}) == 1


def test_all_jump_that_must_after_a_long_partition(scene):
    """A peer that is only cut off, with gossip coming again before it has caught up."""
    scene = scene()
    trial = scene.trial
    scene.grow(3)
    away = trial.peers[-1]
    trial.cuts = lambda one, other: away.name in (one, other)
    scene.grow(70)
    trial.cuts = lambda _, __: False
    scene.grow(40)
    assert len(away.jumps) == 1
    scene.end()
    assert len(heights(scene)) == 1


def test_solo_orderer_goes_on_after_the_blocks_that_others_gave_it(scene):
    """Its next entry is one after those, whether it made them or has lost its disk."""
    scene = scene(orderers=1, consensus="solo")
    trial = scene.trial
    scene.grow(70)
    scene.loaded = False
    assert trial.run_until(lambda: scene.watch.settled, trial.now_ms + 60_000)
    alone = trial.orderers[0]
    alone.crash()
    alone.lose_disk()
    alone.start()
    trial.run_for(3_000)
    assert len(alone.jumps) == 1 and len(heights(scene)) == 1
    before = len(scene.clients.acknowledged)
    scene.loaded = True
    scene._load(10_000)
    scene.grow(5)
    assert len(scene.clients.acknowledged) > before
    scene.end()
    assert len({member.ledger.state.root for member in trial.members.values()}) == 1
