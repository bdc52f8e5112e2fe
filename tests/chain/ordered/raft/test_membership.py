"""Who takes part, and how that changes while the rest goes on."""

import pytest

from chain.codec import encode
from chain.errors import MalformedError, Refused
from chain.ledgers.ordered.raft.events import Install, Reconfigured
from chain.ledgers.ordered.raft.membership import Membership, with_learner
from chain.ledgers.ordered.raft.messages import (
    MAX_MEMBERS,
    Append,
    Appended,
    Configuration,
    Entry,
    HardState,
    Kind,
    RequestVote,
    Snapshot,
    Vote,
    check_configuration,
)
from chain.ledgers.ordered.raft.role import Role
from chain.ledgers.ordered.raft.store import Stored
from tests.chain.ordered.raft.cluster import CONFIG, Cluster, Faults, peer_of
from tests.chain.ordered.raft.test_elections import node_of, sent, tell

ONE, TWO, THREE, FOUR, FIVE = map(peer_of, range(1, 6))
STEADY = Faults(delay_ms=(1, 1))
ELECTION_MS = CONFIG.election_ms


def ready(size=3, spares=1):
    cluster = Cluster(1, size, spares=spares, faults=STEADY)
    cluster.elect(ONE)
    cluster.run(20)
    return cluster


def change(cluster, method, peer):
    cluster.do(cluster.leader(), method, peer)
    cluster.run(10)


def test_a_learner_gets_all_and_does_not_count():
    cluster = ready()
    cluster.propose(count=20)
    change(cluster, "add_learner", FOUR)
    cluster.run_until(cluster.level)
    assert cluster.node(FOUR).log.applied == 22
    assert cluster.node(FOUR).configuration == Configuration((ONE, TWO, THREE), (FOUR,))
    assert cluster.of(TWO, Reconfigured) == [Reconfigured(22, Configuration((ONE, TWO, THREE), (FOUR,)))]
    cluster.crash(TWO)
    cluster.crash(THREE)
    index = cluster.propose()
    cluster.run(20)
    assert cluster.node(FOUR).log.last_index == index > cluster.node(ONE).log.commit
    cluster.run(2 * ELECTION_MS)
    assert cluster.reasons(ONE) == ["no_quorum"]
    cluster.run(10 * ELECTION_MS)
    assert cluster.node(FOUR).role is Role.FOLLOWER and cluster.node(FOUR).next_deadline_ms() is None


def test_a_learner_becomes_a_voter_that_counts():
    cluster = ready()
    change(cluster, "add_learner", FOUR)
    cluster.run_until(cluster.level)
    change(cluster, "promote", FOUR)
    assert cluster.node(ONE).configuration == Configuration((ONE, TWO, THREE, FOUR), ())
    cluster.crash(TWO)
    index = cluster.propose()
    cluster.run(20)
    assert cluster.node(ONE).log.commit == index
    cluster.crash(THREE)
    cluster.run(2 * ELECTION_MS)
    assert cluster.reasons(ONE) == ["no_quorum"]  # three of four


def test_a_learner_joins_by_snapshot():
    cluster = ready()
    cluster.propose(count=30)
    cluster.run(20)
    for peer in (ONE, TWO, THREE):
        cluster.carry_out(cluster.hosts[peer], cluster.node(peer).compact(25, b"height 25"))
    change(cluster, "add_learner", FOUR)
    cluster.run_until(cluster.level)
    assert [install.snapshot.index for install in cluster.of(FOUR, Install)] == [25]
    cluster.crash(FOUR)
    cluster.restart(FOUR)
    assert cluster.node(FOUR).configuration.learners == (FOUR,)


def test_a_learner_that_lacks_much_is_not_promoted():
    cluster = ready()
    cluster.crash(FOUR)
    change(cluster, "add_learner", FOUR)
    cluster.propose(count=CONFIG.learner_gap)
    with pytest.raises(Refused, match="learner_behind: it lacks 7 entries, allowed are 5"):
        change(cluster, "promote", FOUR)
    cluster.restart(FOUR)
    cluster.run_until(cluster.level)
    cluster.run(10)
    change(cluster, "promote", FOUR)


def test_a_removed_follower_hears_of_it_and_disturbs_nobody():
    cluster = ready()
    change(cluster, "remove", THREE)
    assert cluster.node(ONE).configuration == Configuration((ONE, TWO), ())
    assert cluster.of(THREE, Reconfigured)[-1].configuration == Configuration((ONE, TWO), ())
    term = cluster.node(ONE).term
    cluster.run(20 * ELECTION_MS)
    assert cluster.leaders() == [ONE] and cluster.node(ONE).term == term
    assert cluster.node(THREE).next_deadline_ms() is None


def test_a_removed_follower_that_did_not_hear_of_it_disturbs_nobody_either():
    cluster = ready()
    cluster.isolate(THREE)
    change(cluster, "remove", THREE)
    cluster.heal()
    term = cluster.node(ONE).term
    cluster.run(20 * ELECTION_MS)
    assert cluster.leaders() == [ONE] and cluster.node(ONE).term == term


def test_a_leader_that_removes_itself_leads_until_that_is_committed_and_names_an_heir():
    cluster = ready()
    cluster.do(ONE, "remove", ONE)
    assert cluster.node(ONE).role is Role.LEADER
    took = cluster.run_until(lambda: cluster.leader() in (TWO, THREE))
    assert took <= 10
    assert cluster.reasons(ONE) == ["removed"] and cluster.node(ONE).next_deadline_ms() is None
    cluster.run(5 * ELECTION_MS)
    index = cluster.propose()
    cluster.run(10)
    assert cluster.node(cluster.leader()).log.commit == index


def test_a_leader_that_removes_itself_does_not_count_itself():
    cluster = ready()
    cluster.cuts |= {(TWO, ONE)}
    cluster.do(ONE, "remove", ONE)
    cluster.run(5)
    # It and THREE have it: one of the two voters that are left.
    assert cluster.node(ONE).log.commit < cluster.node(ONE).log.last_index
    cluster.heal()
    cluster.run(30)
    assert cluster.reasons(ONE) == ["removed"]


def test_who_is_being_removed_may_still_stand():
    """Alone it has the entry that removes it: the other cannot be elected against its longer log (thesis 4.2.2)."""
    cluster = ready(size=2, spares=0)
    cluster.isolate(ONE)
    cluster.do(ONE, "remove", ONE)
    cluster.crash(ONE)
    cluster.heal()
    cluster.restart(ONE)
    cluster.run_until(lambda: cluster.leader() == TWO, 20 * ELECTION_MS)
    cluster.run(10)
    assert cluster.node(TWO).configuration == Configuration((TWO,), ())
    assert cluster.node(TWO).log.commit == cluster.node(TWO).log.last_index


def test_one_change_at_a_time():
    cluster = ready(spares=2)
    cluster.cuts |= {(TWO, ONE), (THREE, ONE)}
    cluster.do(ONE, "add_learner", FOUR)
    for method, peer in (("add_learner", FIVE), ("remove", TWO), ("promote", FOUR)):
        with pytest.raises(Refused, match="change_in_progress"):
            cluster.do(ONE, method, peer)
    cluster.heal()
    cluster.run(30)
    change(cluster, "add_learner", FIVE)
    assert cluster.node(ONE).configuration.learners == (FOUR, FIVE)


def test_no_change_before_an_entry_of_the_term_is_committed():
    """Else two leaders could each change the configuration that they began with, and their majorities not overlap."""
    node = node_of()
    node.campaign(0)
    tell(node, TWO, Vote(1, True, True))
    tell(node, TWO, Vote(1, False, True))
    with pytest.raises(Refused, match="not_ready"):
        node.add_learner(FOUR, 0)
    tell(node, TWO, Appended(1, 1))
    node.add_learner(FOUR, 0)


@pytest.mark.parametrize(
    "method, peer, reason",
    [
        ("add_learner", TWO, "already_member"),
        ("promote", TWO, "not_a_learner"),
        ("promote", FOUR, "not_a_learner"),
        ("remove", FOUR, "unknown_peer"),
    ],
)
def test_change__refuses(method, peer, reason):
    cluster = ready()
    last = cluster.node(ONE).log.last_index
    with pytest.raises(Refused, match=reason):
        cluster.do(ONE, method, peer)
    with pytest.raises(Refused, match="not_leader"):
        cluster.do(TWO, method, peer)
    cluster.do(ONE, "transfer", TWO)
    with pytest.raises(Refused, match="transferring"):
        cluster.do(ONE, method, peer)
    assert cluster.node(ONE).log.last_index == last


def test_change__refuses_to_remove_the_last_voter():
    cluster = Cluster(1, 1)
    cluster.elect(ONE)
    with pytest.raises(Refused, match="last_voter"):
        cluster.do(ONE, "remove", ONE)


def test_change__refuses_more_members_than_allowed():
    full = Configuration(tuple(peer_of(n) for n in range(MAX_MEMBERS)), ())
    with pytest.raises(Refused, match="too_many_members"):
        with_learner(full, peer_of(200))


def test_a_configuration_goes_with_the_entry_that_had_it():
    """It is in force from the log, so it is undone when a later leader overwrites it."""
    cluster = ready()
    cluster.isolate(ONE)
    cluster.do(ONE, "remove", THREE)
    assert cluster.node(ONE).configuration.voters == (ONE, TWO)
    cluster.run_until(lambda: cluster.leader() in (TWO, THREE))
    cluster.heal()
    cluster.run_until(cluster.level)
    assert {host.node.configuration for host in list(cluster.hosts.values())[:3]} == {cluster.founding}


def test_whoever_waits_to_be_told_votes_and_does_not_stand():
    """A learner may have been made a voter without knowing it yet."""
    node = node_of(FOUR, voters=())
    assert node.next_deadline_ms() is None and node.campaign(0) == []
    assert tell(node, ONE, RequestVote(3, False, False, 0, 0)) == [(ONE, Vote(3, False, True))]


def test_the_whole_cluster_is_replaced_while_it_works():
    cluster = Cluster(3, 3, spares=3, faults=STEADY)
    cluster.elect(ONE)
    for old, new in ((ONE, FOUR), (TWO, FIVE), (THREE, peer_of(6))):
        for method, peer in (("add_learner", new), ("promote", new), ("remove", old)):

            def changed(method=method, peer=peer):
                try:
                    cluster.do(cluster.leader(), method, peer)
                except Refused:
                    return False
                return True

            cluster.run_until(lambda: cluster.leader() is not None)
            cluster.run_until(changed)
            cluster.run_until(lambda: cluster.leader() is not None and cluster.level())
            cluster.propose(count=3)
    for peer in (ONE, TWO, THREE):
        cluster.crash(peer)
    cluster.run(20)
    index = cluster.propose()
    cluster.run(20)
    assert cluster.node(cluster.leader()).log.commit == index
    assert cluster.node(cluster.leader()).configuration.voters == (FOUR, FIVE, peer_of(6))
    assert len(cluster.checker.data) == 9 * 3 + 1


def test_membership_follows_a_log():
    def entry(*voters):
        return Entry(1, Kind.CONFIGURATION, encode(Configuration(tuple(voters), ())))

    start = Configuration((ONE,), ())
    membership = Membership(Snapshot(5, 1, start, b""), [entry(ONE, TWO), Entry(1, 0, b""), entry(ONE, TWO, THREE)])
    assert [len(membership.at(index).voters) for index in (5, 6, 7, 8, 9)] == [1, 2, 2, 3, 3]
    assert (membership.index, membership.quorum) == (8, 2)
    membership.compact(7)
    assert [len(membership.at(index).voters) for index in (7, 8)] == [2, 3]
    membership.truncate(8)
    assert (membership.latest.voters, membership.quorum) == ((ONE, TWO), 2)


@pytest.mark.parametrize(
    "configuration",
    [
        Configuration((TWO, ONE), ()),
        Configuration((ONE,), (TWO, ONE)),
        Configuration((ONE, ONE), ()),
        Configuration((ONE,), (FIVE, FOUR)),
        Configuration(tuple(peer_of(n) for n in range(40)), tuple(peer_of(n) for n in range(40, 80))),
    ],
    ids=["unsorted", "in both", "twice", "unsorted learners", "too many"],
)
def test_configuration__rejects(configuration):
    with pytest.raises(MalformedError):
        check_configuration(configuration)


def test_a_restart_finds_the_configuration_in_the_log():
    configuration = Configuration((ONE, TWO), ())
    entry = Entry(1, Kind.CONFIGURATION, encode(configuration))
    node = node_of(stored=Stored(HardState(1, b""), None, (entry,)))
    assert node.configuration == configuration
    assert [to for to, _ in sent(node.campaign(0))] == [TWO]
    tell(node, TWO, Append(2, 0, 0, 0, (Entry(2, 0, b""),)))
    assert node.configuration.voters == (ONE, TWO, THREE)
