"""GRAFT, PRUNE, backoffs and quotas: one rule a test."""

import pytest

from net.gossip.config import GossipConfig
from net.gossip.events import Fault
from net.gossip.wire import Graft, Prune, Subscription
from tests.net.gossip.by_hand import PEERS, T, faults, heard, say, settled
from tests.net.gossip.simulated import router


def test_heartbeat_fills_the_mesh_to_d() -> None:
    one = settled(20)
    assert len(one.mesh(T)) == 6


def test_heartbeat_prunes_to_d_and_keeps_outbound_members() -> None:
    for seed in range(20):
        one = router(0, seed=seed)
        one.subscribe(T, 0.0)
        for number, peer in enumerate(PEERS[:14]):
            one.link_up(peer, 0.0, outbound=number in (3, 12, 13))
            say(one, peer, 0.1, subscriptions=(Subscription(T, True),), graft=(Graft(T),))
        assert len(one.mesh(T)) == 14  # 12 and the outbound ones among the rest
        effects = one.tick(2.0)
        members = one.mesh(T)
        assert len(members) == 6
        assert len({PEERS[3], PEERS[12], PEERS[13]} & set(members)) >= 2
        for peer in PEERS[:14]:
            assert heard(effects, peer).prune == (() if peer in members else (Prune(T, 60),))
        pruned = next(peer for peer in PEERS[:14] if peer not in members)
        assert faults(say(one, pruned, 30.0, graft=(Graft(T),))) == [(pruned, Fault.GRAFT_IN_BACKOFF)]


def test_graft_above_d_hi_is_answered_with_prune_unless_we_dialled() -> None:
    one = settled(12)
    for peer in PEERS[:12]:
        say(one, peer, 2.1, graft=(Graft(T),))
    assert len(one.mesh(T)) == 12
    one.link_up(PEERS[12], 2.1, outbound=False)
    effects = say(one, PEERS[12], 2.1, graft=(Graft(T),))
    assert heard(effects, PEERS[12]).prune == (Prune(T, 60),)
    assert faults(effects) == []
    one.link_up(PEERS[13], 2.1, outbound=True)
    assert say(one, PEERS[13], 2.1, graft=(Graft(T),)) == []
    assert len(one.mesh(T)) == 13


def test_graft_of_an_unknown_topic_is_ignored() -> None:
    one = settled()
    assert say(one, PEERS[0], 2.1, graft=(Graft("other"),)) == []


@pytest.mark.parametrize("given, length", [(None, 60), (0, 60), (5, 5), (100_000, 3600)])
def test_backoff_of_a_prune_is_honoured(given: int | None, length: int) -> None:
    one = settled(4)
    say(one, PEERS[0], 2.0, prune=(Prune(T, given),))
    assert one.mesh(T) == PEERS[1:4]
    # We graft a heartbeat after the end of it, and not before.
    now = 2.0
    while not (grafted := heard(one.tick(now), PEERS[0]).graft) and now < 5000:
        now = one.next_deadline()
    assert grafted == (Graft(T),)
    assert 2.0 + length + 1 <= now < 2.0 + length + 2


def test_graft_during_backoff_is_refused_and_blamed() -> None:
    one = settled(6)
    say(one, PEERS[0], 2.0, prune=(Prune(T, 20),))
    effects = say(one, PEERS[0], 15.0, graft=(Graft(T),))
    assert heard(effects, PEERS[0]).prune == (Prune(T, 60),)
    assert faults(effects) == [(PEERS[0], Fault.GRAFT_IN_BACKOFF)]
    # The backoff began anew.
    assert faults(say(one, PEERS[0], 74.9, graft=(Graft(T),))) == [(PEERS[0], Fault.GRAFT_IN_BACKOFF)]
    assert say(one, PEERS[0], 74.9 + 60.1, graft=(Graft(T),)) == []
    assert PEERS[0] in one.mesh(T)


def test_graft_that_crossed_our_prune_is_refused_without_blame() -> None:
    one = settled(6)
    one.unsubscribe(T, 3.0)
    one.subscribe(T, 3.1)
    effects = say(one, PEERS[0], 3.2, graft=(Graft(T),))
    assert heard(effects, PEERS[0]).prune == (Prune(T, 60),)
    assert faults(effects) == []


def test_backoff_outlives_the_link() -> None:
    one = settled(6)
    say(one, PEERS[0], 2.0, prune=(Prune(T, 20),))
    one.link_down(PEERS[0], 3.0)
    one.link_up(PEERS[0], 4.0)
    say(one, PEERS[0], 4.0, subscriptions=(Subscription(T, subscribe=True),))
    effects = say(one, PEERS[0], 12.1, graft=(Graft(T),))
    # It may have been restarted, and does not know: told once, it does.
    assert heard(effects, PEERS[0]).prune == (Prune(T, 60),)
    assert faults(effects) == []
    assert PEERS[0] not in one.mesh(T)
    assert faults(say(one, PEERS[0], 30.0, graft=(Graft(T),))) == [(PEERS[0], Fault.GRAFT_IN_BACKOFF)]


def test_each_new_link_is_forgiven_one_graft_and_none_is_let_in() -> None:
    one = settled(6)
    say(one, PEERS[0], 2.0, prune=(Prune(T, 3000),))
    for n in range(1, 5):
        one.link_down(PEERS[0], 10.0 * n)
        one.link_up(PEERS[0], 10.0 * n + 1)
        effects = say(one, PEERS[0], 10.0 * n + 2, graft=(Graft(T),))
        assert heard(effects, PEERS[0]).prune == (Prune(T, 3000 - 10 * n),)
        assert faults(effects) == []
        effects = say(one, PEERS[0], 10.0 * n + 3, graft=(Graft(T),))
        assert [fault for _, fault in faults(effects)] == [Fault.GRAFT_IN_BACKOFF, Fault.GRAFT_FLOOD]
        assert PEERS[0] not in one.mesh(T)


def test_backoff_that_began_on_the_link_is_known_to_the_peer() -> None:
    one = settled(6)
    one.link_down(PEERS[0], 3.0)
    one.link_up(PEERS[0], 4.0)
    say(one, PEERS[0], 4.0, subscriptions=(Subscription(T, subscribe=True),))
    say(one, PEERS[0], 5.0, graft=(Graft(T),))
    say(one, PEERS[0], 6.0, prune=(Prune(T, 60),))
    assert faults(say(one, PEERS[0], 20.0, graft=(Graft(T),))) == [(PEERS[0], Fault.GRAFT_IN_BACKOFF)]


def test_mesh_that_others_filled_to_the_brim_is_pruned() -> None:
    """At d_hi nobody who dialled us is let in: without that, a mesh that an attacker filled would stay his."""
    one = settled(12)
    for peer in PEERS[:12]:
        say(one, peer, 2.5, graft=(Graft(T),))
    assert len(one.mesh(T)) == 12
    effects = one.tick(one.next_deadline())
    assert len(one.mesh(T)) == 6
    assert sum(bool(heard(effects, peer).prune) for peer in PEERS[:12]) == 6


def test_mesh_that_the_heartbeat_itself_overfilled_is_pruned_at_the_next() -> None:
    one = settled(11, outbound=False)
    for peer in PEERS[:11]:
        say(one, peer, 2.1, graft=(Graft(T),))
    for peer in PEERS[11:13]:
        one.link_up(peer, 2.2, outbound=True)
        say(one, peer, 2.2, subscriptions=(Subscription(T, subscribe=True),))
    due = one.next_deadline()
    one.tick(due)
    assert len(one.mesh(T)) == 13
    assert one.next_deadline() <= due + 1.01
    one.tick(one.next_deadline())
    assert len(one.mesh(T)) == 6
    assert set(PEERS[11:13]) <= set(one.mesh(T))


def test_a_longer_backoff_is_not_cut_short_by_a_shorter_one() -> None:
    one = settled(6)
    say(one, PEERS[0], 2.0, prune=(Prune(T, 100),))
    say(one, PEERS[0], 3.0, prune=(Prune(T, 1),))
    assert faults(say(one, PEERS[0], 101.9, graft=(Graft(T),))) == [(PEERS[0], Fault.GRAFT_IN_BACKOFF)]


def test_backoffs_are_bounded() -> None:
    one = settled(6, config=GossipConfig(max_backoffs=2))
    for number, peer in enumerate(PEERS[:3]):
        say(one, peer, 2.0 + number / 10, prune=(Prune(T, 60),))
    blamed = [faults(say(one, peer, 10.0, graft=(Graft(T),))) for peer in PEERS[:3]]
    assert [bool(one) for one in blamed] == [False, True, True]


def test_outbound_quota_is_filled() -> None:
    one = settled(6, outbound=False)
    assert one.mesh(T) == PEERS[:6]
    for peer in PEERS[6:9]:
        one.link_up(peer, 2.1, outbound=True)
        say(one, peer, 2.1, subscriptions=(Subscription(T, subscribe=True),))
    one.tick(one.next_deadline())
    assert len(set(one.mesh(T)) & set(PEERS[6:9])) == 2
    assert len(one.mesh(T)) == 8


def test_too_few_outbound_peers_are_grafted_once() -> None:
    one = router(0)
    one.subscribe(T, 0.0)
    for peer in PEERS[:6]:
        one.link_up(peer, 0.0, outbound=peer == PEERS[2])
        say(one, peer, 0.1, subscriptions=(Subscription(T, subscribe=True),))
    effects = one.tick(2.0)
    assert one.mesh(T) == PEERS[:6]
    assert [heard(effects, peer).graft for peer in PEERS[:6]] == [(Graft(T),)] * 6
