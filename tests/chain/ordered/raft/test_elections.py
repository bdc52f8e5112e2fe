"""Who leads: elections with pre-vote, leases and check-quorum, votes that last, and leaders that hand over."""

from random import Random

import pytest

from chain.errors import Refused
from chain.ledgers.ordered.raft.events import BecameLeader, LeaderIs, Send, TransferFailed
from chain.ledgers.ordered.raft.messages import (
    Append,
    Configuration,
    Heartbeat,
    Rejected,
    RequestVote,
    TimeoutNow,
    Vote,
    decode_message,
    encode_message,
)
from chain.ledgers.ordered.raft.node import RaftNode
from chain.ledgers.ordered.raft.role import Role
from tests.chain.ordered.raft.cluster import CONFIG, Cluster, Faults, peer_of

ELECTION_MS = CONFIG.election_ms
ONE, TWO, THREE, FOUR, FIVE = map(peer_of, range(1, 6))
STEADY = Faults(delay_ms=(1, 1))


def node_of(peer=ONE, voters=(ONE, TWO, THREE), stored=None, now_ms=0, config=CONFIG):
    founding = Configuration(tuple(voters), ())
    return RaftNode(peer, founding=founding, stored=stored, config=config, rng=Random(1), now_ms=now_ms)


def tell(node, sender, message, now_ms=0):
    """Give a node a message; return what it sends, decoded."""
    return sent(node.receive(sender, encode_message(message), now_ms))


def sent(effects):
    return [(e.peer, decode_message(e.message, limit=10_000)) for e in effects if isinstance(e, Send)]


def test_one_alone_elects_itself():
    cluster = Cluster(1, 1)
    assert cluster.elect() == ONE
    assert cluster.sent == 0 and cluster.node(ONE).next_deadline_ms() is None
    cluster.propose()
    assert cluster.node(ONE).log.applied == 2


@pytest.mark.parametrize("size", [2, 3, 5, 7])
def test_one_is_elected_and_stays(size):
    cluster = Cluster(size, size, faults=STEADY)
    leader = cluster.elect()
    term = cluster.node(leader).term
    cluster.run(20 * ELECTION_MS)
    assert cluster.leaders() == [leader]
    assert {host.node.leader for host in cluster.hosts.values()} == {leader}
    assert {host.node.term for host in cluster.hosts.values()} == {term}
    assert cluster.of(leader, LeaderIs)[-1] == LeaderIs(leader)


def test_three_of_five_suffice():
    cluster = Cluster(1, 5)
    cluster.crash(FOUR)
    cluster.crash(FIVE)
    cluster.elect()
    index = cluster.propose()
    cluster.run_until(lambda: all(cluster.node(peer).log.applied == index for peer in (ONE, TWO, THREE)))


def test_two_of_five_elect_nobody_and_do_not_raise_their_terms():
    cluster = Cluster(1, 5)
    for peer in (THREE, FOUR, FIVE):
        cluster.crash(peer)
    cluster.run(50 * ELECTION_MS)
    assert cluster.leaders() == [] and cluster.node(ONE).term == cluster.node(TWO).term == 0


def test_a_leader_left_with_two_of_five_says_so_and_stops():
    cluster = Cluster(1, 5, faults=STEADY)
    leader = cluster.elect(ONE)
    cluster.isolate(ONE, TWO)
    cut_at = cluster.now
    index = cluster.propose(ONE)
    cluster.run(ELECTION_MS + 2 * CONFIG.heartbeat_ms)
    assert cluster.reasons(leader) == ["no_quorum"]
    assert max(at for at, _ in cluster.hosts[leader].events) - cut_at <= ELECTION_MS + CONFIG.heartbeat_ms
    assert cluster.node(ONE).leader is None
    with pytest.raises(Refused, match="not_leader"):
        cluster.propose(ONE)
    assert cluster.node(ONE).log.commit < index
    assert cluster.elect() in (THREE, FOUR, FIVE)


def test_a_leader_needs_a_quorum_of_answers_not_of_messages():
    """Its own messages arrive and nothing comes back: nobody else can stand, so it must step down."""
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    cluster.cuts |= {(TWO, ONE), (THREE, ONE)}
    cluster.run(ELECTION_MS + 2 * CONFIG.heartbeat_ms)
    assert cluster.reasons(ONE) == ["no_quorum"]
    assert cluster.elect() in (TWO, THREE)


def test_a_node_that_comes_back_disturbs_nobody():
    """It could not be elected while it was away, and so has not raised its term (thesis 9.6)."""
    cluster = Cluster(1, 3, faults=STEADY)
    leader = cluster.elect(ONE)
    term = cluster.node(ONE).term
    cluster.isolate(THREE)
    cluster.run(30 * ELECTION_MS)
    assert cluster.node(THREE).role is Role.PRE_CANDIDATE and cluster.node(THREE).term == term
    cluster.propose(count=3)
    cluster.heal()
    cluster.run(5 * ELECTION_MS)
    assert cluster.leaders() == [leader] and cluster.node(THREE).term == term
    assert cluster.reasons(ONE) == [] and cluster.level()


def test_a_one_way_link_disturbs_nobody():
    """THREE hears no leader and is heard: the others keep to the leader that they hear."""
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    term = cluster.node(ONE).term
    cluster.cuts.add((ONE, THREE))
    cluster.run(30 * ELECTION_MS)
    assert cluster.leaders() == [ONE] and cluster.node(ONE).term == term


@pytest.mark.parametrize(
    "terms, index, term, granted",
    [
        ([1, 2], 2, 2, True),
        ([1, 2], 3, 2, True),
        ([1, 2], 1, 3, True),
        ([1, 2], 1, 2, False),
        ([1, 2], 9, 1, False),
        ([1, 1, 1], 1, 2, True),
    ],
)
@pytest.mark.parametrize("pre", [True, False])
def test_a_vote_needs_a_log_as_good(terms, index, term, granted, pre):
    cluster = Cluster(1, 3, logs={1: terms})
    node = cluster.node(ONE)
    replies = tell(node, TWO, RequestVote(7, pre, False, index, term))
    assert replies == [(TWO, Vote(7 if granted or not pre else max(terms), pre, granted))]


def test_a_vote_lasts_over_a_restart():
    cluster = Cluster(1, 3)
    question = encode_message(RequestVote(1, False, False, 0, 0))
    host = cluster.hosts[ONE]
    for _ in range(2):
        cluster.carry_out(host, host.node.receive(TWO, question, cluster.now))
        cluster.crash(ONE)
        cluster.restart(ONE)
        assert tell(host.node, THREE, RequestVote(1, False, False, 0, 0)) == [(THREE, Vote(1, False, False))]
        # The one who has it may ask again: the answer may have been lost.
        assert tell(host.node, TWO, RequestVote(1, False, False, 0, 0)) == [(TWO, Vote(1, False, True))]


def test_the_vote_is_durable_before_it_is_told():
    effects = node_of().receive(TWO, encode_message(RequestVote(1, False, False, 0, 0)), 0)
    assert [type(effect).__name__ for effect in effects] == ["Persist", "Send"]
    assert (effects[0].hard_state.term, effects[0].hard_state.vote) == (1, TWO)


def test_a_pre_vote_changes_nothing():
    node = node_of()
    before = node.next_deadline_ms()
    assert tell(node, TWO, RequestVote(1, True, False, 0, 0), 50) == [(TWO, Vote(1, True, True))]
    assert tell(node, THREE, RequestVote(1, True, False, 0, 0), 50) == [(THREE, Vote(1, True, True))]
    assert (node.term, node.next_deadline_ms()) == (0, before)


def test_whoever_hears_a_leader_votes_for_nobody_else():
    node = node_of()
    tell(node, TWO, Heartbeat(3, 0), 100)
    assert tell(node, THREE, RequestVote(9, False, False, 5, 3), 100 + ELECTION_MS - 1) == []
    assert (node.term, node.leader) == (3, TWO)
    assert tell(node, THREE, RequestVote(9, False, False, 5, 3), 100 + ELECTION_MS) == [(THREE, Vote(9, False, True))]


def test_the_lease_does_not_hold_against_whom_the_leader_chose():
    node = node_of()
    tell(node, TWO, Heartbeat(3, 0), 100)
    assert tell(node, THREE, RequestVote(4, False, True, 0, 0), 101) == [(THREE, Vote(4, False, True))]


def test_a_leader_of_the_past_is_told():
    """Else one that was away with a later term could not come back: nobody there would know that term (etcd)."""
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.crash(THREE)
    cluster.elect(ONE)
    old = cluster.node(ONE).term
    cluster.write(cluster.hosts[THREE], [old + 5])
    cluster.restart(THREE)
    assert tell(cluster.node(THREE), ONE, Heartbeat(old, 0)) == [(ONE, Rejected(old + 5, 0, 0, 0))]
    cluster.run_until(lambda: cluster.reasons(ONE) == ["higher_term"])
    cluster.elect()
    cluster.run_until(cluster.level)


def test_candidates_who_tie_are_told_apart_by_chance():
    """All stand at once, again and again until one does so alone; no term has two leaders (the checker looks)."""
    for seed in range(30):
        cluster = Cluster(seed, 5, faults=STEADY)
        for peer in cluster.hosts:
            cluster.do(peer, "campaign")
        assert cluster.run_until(lambda: cluster.leader() is not None) <= 3 * ELECTION_MS  # noqa: B023


def test_of_two_who_ask_at_the_same_time_one_gives_way():
    """Each would get the other's pre-vote, stand, and vote for itself."""
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.crash(THREE)
    cluster.do(ONE, "campaign")
    cluster.do(TWO, "campaign")
    cluster.run(10)
    assert cluster.leaders() == [TWO] and cluster.node(TWO).term == 1


def test_who_gives_way_to_nobody_stands_again():
    """A pre-candidate that cannot win keeps others from winning for a tick alone: here FIVE hears THREE and nobody else."""
    cluster = Cluster(1, 5, faults=STEADY)
    for peer in (ONE, TWO):
        cluster.crash(peer)
    cluster.cuts |= {(FIVE, FOUR), (FOUR, FIVE)}
    cluster.do(FIVE, "campaign")
    assert cluster.run_until(lambda: cluster.leader() == THREE) <= 20 * ELECTION_MS


def test_who_has_more_of_the_log_stands_soon_after_one_who_has_less():
    cluster = Cluster(1, 3, faults=STEADY, logs={1: [1], 2: [1, 1], 3: [1, 1]})
    cluster.do(ONE, "campaign")
    took = cluster.run_until(lambda: cluster.leader() in (TWO, THREE))
    assert took <= CONFIG.tick_ms + ELECTION_MS // 4 + 10


def test_only_a_candidate_counts_votes():
    node = node_of()
    tell(node, TWO, Vote(0, False, False))
    assert node.role is Role.FOLLOWER
    node.campaign(0)
    assert node.role is Role.PRE_CANDIDATE
    # Refusals by all: it gives up until its timer ends.
    tell(node, TWO, Vote(0, True, False))
    tell(node, THREE, Vote(0, True, False))
    assert node.role is Role.FOLLOWER and node.next_deadline_ms() is not None


def test_two_answers_of_one_voter_are_one():
    node = node_of(voters=(ONE, TWO, THREE, FOUR, FIVE))
    node.campaign(0)
    tell(node, TWO, Vote(1, True, True))
    tell(node, TWO, Vote(1, True, True))
    assert node.role is Role.PRE_CANDIDATE
    assert [message for _, message in tell(node, THREE, Vote(1, True, True))] == [
        RequestVote(1, False, False, 0, 0)
    ] * 4


def test_votes_of_strangers_do_not_count():
    node = node_of()
    node.campaign(0)
    tell(node, FOUR, Vote(1, True, True))
    assert node.role is Role.PRE_CANDIDATE


def test_a_node_that_could_not_run_first_looks_what_has_arrived():
    """Ticked long after its deadline, it gets one tick to hear the leader; and then stands."""
    node = node_of()
    late = node.next_deadline_ms() + 5 * CONFIG.tick_ms
    assert node.tick(late) == []
    assert node.next_deadline_ms() == late + CONFIG.tick_ms
    assert [type(message) for _, message in sent(node.tick(late + CONFIG.tick_ms))] == [RequestVote] * 2
    node = node_of()
    late = node.next_deadline_ms() + 5 * CONFIG.tick_ms
    node.tick(late)
    assert sent(node.tick(late + 9 * CONFIG.tick_ms)) != []


def test_a_leader_that_could_not_run_looks_too():
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    node = cluster.node(ONE)
    late = cluster.now + 20 * ELECTION_MS
    assert [type(message) for _, message in sent(node.tick(late))] == [Heartbeat] * 2
    for _ in range(CONFIG.election_ticks + 1):
        late += CONFIG.heartbeat_ms
        effects = node.tick(late)
    assert node.role is Role.FOLLOWER and sent(effects) == []


def test_deadlines_are_computed_and_nobody_ticks_at_rest():
    cluster = Cluster(1, 3, spares=1, faults=STEADY)
    cluster.elect(ONE)
    cluster.run(100)
    assert cluster.node(ONE).next_deadline_ms() - cluster.now <= CONFIG.heartbeat_ms
    for peer in (TWO, THREE):
        # Heard a heartbeat ago at most.
        assert cluster.node(peer).next_deadline_ms() - cluster.now > ELECTION_MS - 2 * CONFIG.heartbeat_ms
    assert cluster.node(FOUR).next_deadline_ms() is None


def test_the_clock_may_stand_still_and_not_go_back():
    node = node_of()
    tell(node, TWO, Heartbeat(1, 0), 1_000)
    deadline = node.next_deadline_ms()
    tell(node, TWO, Heartbeat(1, 0), 500)
    assert node.next_deadline_ms() == deadline


# --- leader transfer ------------------------------------------------------------------------------------------------


def test_transfer_to_who_is_level():
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    cluster.run(20)
    cluster.do(ONE, "transfer", TWO)
    took = cluster.run_until(lambda: cluster.leader() == TWO)
    assert took <= 5  # messages, and no timeout
    cluster.run(20)
    assert cluster.reasons(ONE) == ["transferred"] and cluster.node(ONE).leader == TWO
    cluster.propose(TWO)


def test_transfer_to_who_lacks_entries():
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    cluster.isolate(THREE)
    cluster.propose(ONE, 50)
    cluster.run(50)
    cluster.heal()
    cluster.do(ONE, "transfer", THREE)
    with pytest.raises(Refused, match="transferring"):
        cluster.propose(ONE)
    with pytest.raises(Refused, match="transferring"):
        cluster.do(ONE, "transfer", TWO)
    cluster.run_until(lambda: cluster.leader() == THREE, ELECTION_MS)
    cluster.run(50)
    assert cluster.level() and cluster.node(THREE).log.applied >= 51


def test_transfer_to_who_is_gone_fails_and_the_leader_goes_on():
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    cluster.crash(THREE)
    cluster.do(ONE, "transfer", THREE)
    cluster.run(ELECTION_MS + 2 * CONFIG.heartbeat_ms)
    assert cluster.of(ONE, TransferFailed) == [TransferFailed(THREE)]
    index = cluster.propose(ONE)
    cluster.run(10)
    assert cluster.node(ONE).log.commit == index


def test_a_lost_request_to_take_over_is_repeated():
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    cluster.run(20)
    cluster.cuts.add((ONE, TWO))
    cluster.do(ONE, "transfer", TWO)
    cluster.run(5)
    cluster.heal()
    assert cluster.run_until(lambda: cluster.leader() == TWO) <= 3 * CONFIG.heartbeat_ms


def test_transfer__refuses_who_cannot_lead():
    cluster = Cluster(1, 3, spares=1)
    cluster.elect(ONE)
    cluster.run(20)
    for peer in (ONE, FOUR):
        with pytest.raises(Refused, match="not_a_voter"):
            cluster.do(ONE, "transfer", peer)
    with pytest.raises(Refused, match="not_leader") as refused:
        cluster.do(TWO, "transfer", THREE)
    assert refused.value.leader == ONE


def test_who_is_no_voter_does_not_take_over():
    node = node_of(FOUR)
    assert tell(node, ONE, TimeoutNow(3)) == []
    assert node.role is Role.FOLLOWER


def test_terms_and_leaders_are_told_in_order():
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    cluster.do(ONE, "transfer", TWO)
    cluster.run(50)
    told = [event for _, event in cluster.hosts[ONE].events if isinstance(event, LeaderIs | BecameLeader)]
    assert told == [LeaderIs(ONE), BecameLeader(1), LeaderIs(None), LeaderIs(TWO)]
    assert [event for _, event in cluster.hosts[THREE].events][-3:] == [LeaderIs(ONE), LeaderIs(None), LeaderIs(TWO)]


def test_an_append_makes_a_candidate_follow():
    node = node_of()
    node.campaign(0)
    tell(node, TWO, Vote(1, True, True))
    assert node.role is Role.CANDIDATE
    tell(node, THREE, Append(1, 0, 0, 0, ()))
    assert (node.role, node.leader) == (Role.FOLLOWER, THREE)
