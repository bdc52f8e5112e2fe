"""Orderers that fail, come, go and are revoked, under load."""

from collections.abc import Sequence

import pytest

from actors.consortium_checkers import Watch
from actors.consortium_clients import Call, Clients
from actors.consortium_trial import Member, Shape, Trial
from chain.keys import account_of
from chain.ledgers.ordered.channel import ChannelConfig
from chain.ledgers.ordered.orderer import Leads
from chain.ledgers.ordered.update import revoke, with_orderers
from tests.actors.ordered.outage import kill_leader
from tests.actors.ordered.storm import CONFIG, sealed_by_majority


class Scene:
    """A consortium with transfers under way all the time, once it has a leader."""

    def __init__(self, **shape: object) -> None:
        self.trial = trial = Trial(5, Shape(**shape), config=CONFIG)  # type: ignore[arg-type]
        self.clients = Clients(trial, attempts=1_000)
        self.watch = Watch(trial, self.clients)
        self.loaded = True
        self.lead()
        self._load(0)

    def lead(self) -> None:
        assert self.trial.run_until(lambda: self.trial.leader is not None, self.trial.now_ms + 3_000)

    def _load(self, number: int) -> None:
        trial = self.trial
        if self.loaded:
            sender, to = trial.rng.sample(trial.customers, 2)
            self.clients.call(sender, "accounts", "transfer", account_of(trial.keys[to]), number + 1)
            trial.at(trial.now_ms + 20, self._load, number + 1)

    def configure(self, config: ChannelConfig) -> Call:
        return self.clients.call("customer0", "channel", "update", config, self.trial.consent(config))

    def end(self) -> Sequence[Call]:
        """Returns all calls but configurations."""
        self.loaded = False
        assert self.trial.run_until(lambda: self.watch.settled, self.trial.now_ms + 90_000)
        self.clients.calls = [call for call in self.clients.calls if call.contract == "accounts"]
        self.watch.check_end()
        return self.clients.calls


def voters(member: Member) -> set[bytes]:
    assert member.orderer is not None
    return set(member.orderer._consenter._node.configuration.voters)


@pytest.mark.parametrize("majority_seals", [False, True])
def test_three_of_five_orderers_suffice_and_two_say_that_they_do_not(majority_seals):
    scene = Scene(orderers=5, policies=sealed_by_majority(3) if majority_seals else None)
    trial = scene.trial
    leader = trial.leader
    # The three that stay up are of three organisations, for a majority of these must sign.
    others = [one for one in trial.orderers if one is not leader]
    others.sort(key=lambda one: one.organisation == leader.organisation, reverse=True)
    for one in others[:2]:
        one.crash()
    trial.run_for(300)
    before = len(scene.clients.acknowledged)
    trial.run_for(500)
    assert len(scene.clients.acknowledged) > before + 10

    third = next(one for one in others if one.up)
    third.crash()
    leader.seen.clear()
    trial.run_for(2 * 10 * 20)
    assert Leads(b"", "no_quorum") in leader.seen
    trial.run_for(100)
    before, height = len(scene.clients.acknowledged), leader.ledger.head.height
    trial.run_for(3_000)
    assert trial.leader is None
    assert (len(scene.clients.acknowledged), leader.ledger.head.height) == (before, height)
    assert sum(call.ended_ms is None for call in scene.clients.calls) > 100

    third.start()
    scene.lead()
    for one in others[:2]:
        one.start()
    assert {call.outcome for call in scene.end()} == {"valid"}


def test_a_fourth_orderer_joins_and_the_leader_is_removed_under_load():
    scene = Scene()
    trial, first = scene.trial, scene.trial.leader
    config = first.ledger.channel
    fourth = trial.admit("orderer4", "org1", "orderer")
    call = scene.configure(with_orderers(config, [*config.orderers, fourth.account]))
    assert trial.run_until(lambda: fourth.account in voters(first), trial.now_ms + 3_000)
    assert call.outcome == "valid"

    config = first.ledger.channel
    scene.configure(with_orderers(config, [one for one in config.orderers if one != first.account]))
    assert trial.run_until(lambda: trial.leader not in {None, first}, trial.now_ms + 3_000)
    assert trial.run_until(lambda: first.account not in voters(trial.leader), trial.now_ms + 3_000)
    # The newcomer counts: with it, two of three suffice.
    gone = next(one for one in trial.orderers if one not in {first, fourth, trial.leader})
    gone.crash()
    trial.run_for(500)
    before = len(scene.clients.acknowledged)
    trial.run_for(500)
    assert len(scene.clients.acknowledged) > before + 10
    gone.start()
    assert {call.outcome for call in scene.end()} == {"valid"}
    # Nothing that it cut after it was removed is in the chain.
    late = [first.ledger.header(height) for height in range(first.ledger.head.height - 10, first.ledger.head.height)]
    assert all(header.producer != first.account for header in late)


def test_an_orderer_that_does_not_come_up_does_not_count():
    scene = Scene()
    trial, leader = scene.trial, scene.trial.leader
    config = leader.ledger.channel
    fourth = trial.admit("orderer4", "org1", "orderer")
    fourth.crash()
    scene.configure(with_orderers(config, [*config.orderers, fourth.account]))
    trial.run_for(1_000)
    next(one for one in trial.orderers if one not in {leader, fourth}).crash()
    trial.run_for(500)
    # Two of three; two of four would be no majority.
    before = len(scene.clients.acknowledged)
    trial.run_for(500)
    assert len(scene.clients.acknowledged) > before + 10
    for one in trial.orderers:
        if not one.up:
            one.start()
    assert trial.run_until(lambda: fourth.account in voters(leader), trial.now_ms + 3_000)
    assert {call.outcome for call in scene.end()} == {"valid"}


@pytest.mark.parametrize("majority_seals", [False, True])
def test_a_leader_whose_certificate_is_revoked_lets_another_lead(majority_seals):
    scene = Scene(orderers=4, policies=sealed_by_majority(3) if majority_seals else None)
    trial, leader = scene.trial, scene.trial.leader
    scene.configure(revoke(leader.ledger.channel, leader.signer.certificate))
    assert trial.run_until(lambda: trial.leader not in {None, leader}, trial.now_ms + 3_000)
    trial.run_for(500)
    before = len(scene.clients.acknowledged)
    trial.run_for(500)
    assert len(scene.clients.acknowledged) > before + 10
    # It still votes; its ledger follows.
    assert {call.outcome for call in scene.end()} == {"valid"}
    assert leader.ledger.head.producer != leader.account


def test_what_a_revoked_peer_endorses_counts_no_more():
    scene = Scene()
    trial = scene.trial
    bad, good, other = trial.peers[:3]
    config = bad.ledger.channel
    call = scene.configure(revoke(config, bad.signer.certificate))
    assert trial.run_until(lambda: call.outcome == "valid", trial.now_ms + 3_000)
    trial.run_for(100)
    late = scene.clients.call(
        "customer1", "accounts", "transfer", account_of(trial.keys["customer2"]), 7, endorsers=[good, bad]
    )
    honest = scene.clients.call(
        "customer1", "accounts", "transfer", account_of(trial.keys["customer2"]), 9, endorsers=[good, other]
    )
    trial.run_for(2_000)
    assert late.outcome == "certificate_revoked"
    assert honest.outcome == "valid"
    # Calls on their way when it was revoked end, in a block or before; the others are told at once.
    assert {call.outcome for call in scene.end()} <= {"valid", "certificate_revoked", "endorsement_policy_failure"}


@pytest.mark.parametrize("seed", range(5))
def test_a_leader_killed_under_load_is_replaced_and_nothing_is_lost(seed):
    outage = kill_leader(seed, Shape(tick_ms=50, election_ticks=5, heartbeat_ticks=1))
    assert outage.detected <= outage.elected <= outage.served
    assert outage.served <= 16, "twice the election timeout, a split vote and a block"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_a_leader_killed_under_load_with_200_seeds(part):
    for seed in range(50 * part, 50 * part + 50):
        kill_leader(seed, Shape(tick_ms=20, election_ticks=10, heartbeat_ticks=1))
