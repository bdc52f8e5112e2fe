"""How entries get to a quorum, what counts as committed, and how logs that differ become one."""

from dataclasses import replace
from random import Random

import pytest

from chain.errors import Refused, StoreError
from chain.ledgers.ordered.raft.config import RaftConfig
from chain.ledgers.ordered.raft.events import Commit, Install, NotLeaderError, Persist, Send
from chain.ledgers.ordered.raft.messages import (
    Append,
    Appended,
    Configuration,
    Entry,
    HardState,
    InstallSnapshot,
    Rejected,
    Snapshot,
    decode_message,
)
from chain.ledgers.ordered.raft.node import RaftNode
from chain.ledgers.ordered.raft.progress import State
from chain.ledgers.ordered.raft.store import Stored
from tests.chain.ordered.raft.cluster import CONFIG, Cluster, Faults, peer_of
from tests.chain.ordered.raft.test_elections import node_of, sent, tell

ONE, TWO, THREE, FOUR, FIVE = map(peer_of, range(1, 6))
STEADY = Faults(delay_ms=(1, 1))


def spy(cluster, kinds):
    """All messages of these kinds that are sent from now on: (from, to, message)."""
    seen, send = [], cluster.send

    def sending(sender, receiver, message):
        decoded = decode_message(message, limit=100_000)
        if isinstance(decoded, kinds):
            seen.append((sender, receiver, decoded))
        send(sender, receiver, message)

    cluster.send = sending
    return seen


def test_followers_apply_without_waiting_for_a_heartbeat():
    cluster = Cluster(1, 3, config=replace(CONFIG, tick_ms=100), faults=STEADY)
    cluster.elect(ONE)
    cluster.run(20)
    before = cluster.now
    cluster.propose()
    cluster.run(10)
    assert [(at - before, peer) for at, peer, _ in cluster.commits] == [(2, ONE), (3, TWO), (3, THREE)]


def test_a_proposal_takes_six_messages_among_three():
    cluster = Cluster(1, 3, config=replace(CONFIG, tick_ms=1_000), faults=STEADY)
    cluster.elect(ONE)
    cluster.run(20)
    before = cluster.sent
    cluster.do(ONE, "propose_all", [b"a", b"b", b"c", b"d"])
    cluster.run(20)
    assert cluster.sent - before == 6
    assert [effect.data for _, peer, effect in cluster.commits if peer == THREE] == [b"a", b"b", b"c", b"d"]


def test_a_follower_answers_when_it_is_durable_and_a_leader_need_not_wait():
    follower = node_of()
    effects = follower.receive(TWO, encoded(Append(1, 0, 0, 0, (Entry(1, 0, b"x"),))), 0)
    assert [type(effect) for effect in effects if isinstance(effect, Persist | Send)] == [Persist, Send]
    assert effects[0] == Persist(HardState(1, b""), None, 1, (Entry(1, 0, b"x"),))
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    cluster.run(20)
    effects = cluster.node(ONE).propose(b"x", cluster.now)
    assert [type(effect) for effect in effects] == [Send, Send, Persist]


def test_a_leader_of_itself_and_a_learner_saves_its_term_first():
    """It becomes candidate and leader in one call: its entries must not leave before its term is safe."""
    node = node_of(voters=(ONE,))
    node.campaign(0)
    node.add_learner(TWO, 0)
    stored = Stored(HardState(1, ONE), None, node.log.since(1))
    again = node_of(voters=(ONE,), stored=stored)
    effects = again.campaign(0)
    assert isinstance(effects[0], Persist) and effects[0].hard_state == HardState(2, ONE)
    assert any(isinstance(effect, Send) for effect in effects[1:])


def encoded(message):
    from chain.ledgers.ordered.raft.messages import encode_message

    return encode_message(message)


# --- the paper's figures ----------------------------------------------------------------------------------------------

FIGURE_7 = {
    1: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
    2: [1, 1, 1, 4, 4, 5, 5, 6, 6],
    3: [1, 1, 1, 4],
    4: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    5: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    6: [1, 1, 1, 4, 4, 4, 4],
    7: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
}


def test_figure_7_all_logs_become_the_leaders():
    cluster = Cluster(1, 7, faults=STEADY, logs=FIGURE_7)
    cluster.do(ONE, "campaign")
    cluster.run(5)  # FIVE tells it that term 7 has been
    cluster.elect(ONE)
    assert cluster.node(ONE).term == 8
    cluster.run_until(cluster.level)
    for host in cluster.hosts.values():
        assert [entry.term for entry in host.disk.load().entries] == [*FIGURE_7[1], 8]


def test_figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting():
    """S1 leads again with an entry of term 2 that a majority comes to have: S5 could still overwrite it."""
    cluster = Cluster(1, 5, faults=STEADY, logs={1: [1, 2], 2: [1, 2], 3: [1], 4: [1], 5: [1, 3]})
    cluster.crash(FIVE)
    cluster.do(ONE, "campaign")
    cluster.run_until(lambda: cluster.leader() == ONE)
    leader = cluster.node(ONE)
    term = leader.term
    # THREE gets the old entry alone: what follows it is lost.
    leader_effects = tell_appended(leader, THREE, Rejected(term, 2, 1, 1))
    assert [message.entries[0].term for _, message in leader_effects] == [2]
    for peer in (TWO, THREE):
        tell_appended(leader, peer, Appended(term, 2))
    assert leader.replication.quorum_match() == 2
    assert leader.log.commit == 0
    for peer in (TWO, THREE):
        tell_appended(leader, peer, Appended(term, 3))
    assert leader.log.commit == 3


def tell_appended(node, sender, message):
    return sent(node.receive(sender, encoded(message), node.next_deadline_ms() - 1))


def test_figure_8_what_was_overwritten_was_never_applied():
    cluster = Cluster(1, 5, faults=STEADY, logs={1: [1, 2], 2: [1, 2], 3: [1], 4: [1], 5: [1, 3]})
    cluster.crash(ONE)
    cluster.elect(FIVE)
    cluster.restart(ONE)
    cluster.run_until(cluster.level)
    assert [entry.term for entry in cluster.hosts[ONE].disk.load().entries][:2] == [1, 3]


# --- lost, late, doubled ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "theirs, ours",
    [([1] + [2] * 300, [1] + [3] * 300), ([1] * 300, [1] * 5 + [4] * 295), ([1, 2, 3] + [4] * 200, [1] + [5] * 200)],
    ids=["one term", "longer of the same", "three terms"],
)
def test_a_log_that_differs_is_found_out_in_few_messages(theirs, ours):
    """A hint skips a whole term: a step for each entry would take hundreds."""
    cluster = Cluster(1, 3, faults=STEADY, logs={1: ours, 2: ours, 3: theirs})
    seen = spy(cluster, Rejected)
    cluster.elect(ONE)
    cluster.run_until(cluster.level)
    assert 1 <= len(seen) <= 3


def test_a_lost_message_is_found_out_with_the_next_heartbeat():
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    cluster.run(30)
    cluster.cuts |= {(ONE, TWO), (ONE, THREE)}
    index = cluster.propose(count=3)
    cluster.heal()
    cluster.run(CONFIG.heartbeat_ms + 6)
    assert cluster.node(ONE).log.commit == index and cluster.level()


def test_a_message_that_comes_twice_or_late_changes_nothing():
    node = node_of()
    first = Append(1, 0, 0, 0, (Entry(1, 0, b"a"), Entry(1, 0, b"b")))
    tell(node, TWO, first)
    tell(node, TWO, Append(1, 2, 1, 3, (Entry(1, 0, b"c"), Entry(1, 0, b"d"))))
    assert (node.log.last_index, node.log.commit) == (4, 3)
    assert tell(node, TWO, first) == [(TWO, Appended(1, 3))]
    assert tell(node, TWO, Append(1, 2, 1, 0, (Entry(1, 0, b"c"),))) == [(TWO, Appended(1, 3))]
    assert (node.log.last_index, node.log.commit) == (4, 3)


def test_only_what_was_compared_is_committed():
    """A tail that is not the leader's must not be, though the leader has committed as far (paper, figure 2)."""
    cluster = Cluster(1, 3, logs={1: [1, 2, 2, 2]})
    node = cluster.node(ONE)
    assert tell(node, TWO, Append(3, 1, 1, 3, ())) == [(TWO, Appended(3, 1))]
    assert node.log.commit == 1
    tell(node, TWO, Append(3, 1, 1, 3, (Entry(3, 0, b"x"),)))
    assert (node.log.commit, node.log.last_index) == (2, 2)


def test_an_entry_that_agrees_cuts_nothing_off():
    cluster = Cluster(1, 3, logs={1: [1, 1, 1]})
    node = cluster.node(ONE)
    same = node.log.since(1)[:1]
    effects = node.receive(TWO, encoded(Append(1, 0, 0, 0, same)), 0)
    assert node.log.last_index == 3 and not any(isinstance(effect, Persist) for effect in effects)


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_messages_are_as_long_as_allowed_and_a_longer_entry_goes_alone():
    config = replace(CONFIG, max_append_bytes=1_000, max_append_entries=5)
    cluster = Cluster(1, 3, config=config, faults=STEADY)
    cluster.elect(ONE)
    cluster.isolate(THREE)
    cluster.run(20)
    for number, size in enumerate([300] * 6 + [5_000] + [1] * 7):
        cluster.do(ONE, "propose", bytes([number]) * size)
    cluster.run(20)
    cluster.heal()
    seen = spy(cluster, Append)
    cluster.run_until(cluster.level)
    batches = [[len(entry.data) for entry in message.entries] for _, to, message in seen if to == THREE]
    assert [batch for batch in batches if batch] == [[300] * 3, [300] * 3, [5_000], [1] * 5, [1] * 2]


def test_a_silent_follower_gets_so_many_messages_and_no_more():
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    cluster.run(20)
    assert cluster.node(ONE).replication.followers[THREE].state is State.REPLICATE
    cluster.cuts.add((THREE, ONE))
    seen = spy(cluster, Append)
    cluster.propose(count=50)
    cluster.run(5)
    assert len([to for _, to, _ in seen if to == THREE]) == CONFIG.max_inflight
    cluster.run(20)
    assert cluster.node(ONE).log.commit == cluster.node(ONE).log.last_index


def test_proposals_wait_for_no_answer():
    cluster = Cluster(1, 3, faults=Faults(delay_ms=(5, 5)))
    cluster.elect(ONE)
    cluster.run(30)
    start = cluster.now
    for _ in range(CONFIG.max_inflight):
        cluster.propose()
        cluster.run(1)
    cluster.run(10)
    assert [at - start for at, peer, _ in cluster.commits if peer == ONE] == [10 + n for n in range(8)]


def full_node(**bounds):
    """A leader whose followers are silent, with one entry in its log."""
    node = node_of(config=replace(CONFIG, **bounds))
    node.campaign(0)
    from chain.ledgers.ordered.raft.messages import Vote

    tell(node, TWO, Vote(1, True, True))
    tell(node, TWO, Vote(1, False, True))
    return node


@pytest.mark.parametrize(
    "bounds, reason",
    [
        ({"max_uncommitted_entries": 3}, "log_full: 3 entries of 80 bytes are not committed"),
        ({"max_uncommitted_bytes": 90}, "log_full: 3 entries of 80 bytes are not committed"),
    ],
)
def test_propose__refuses_when_full(bounds, reason):
    node = full_node(**bounds)
    node.propose(bytes(16), 0)
    node.propose(bytes(16), 0)
    with pytest.raises(Refused, match=reason):
        node.propose(bytes(16), 0)
    assert node.log.last_index == 3
    assert node.propose_all((), 0) == []


def test_propose__accepts_again_when_there_is_room():
    node = full_node(max_uncommitted_entries=2, max_log_entries=4)
    node.propose(b"x", 0)
    with pytest.raises(Refused, match="not committed"):
        node.propose(b"x", 0)
    tell(node, TWO, Appended(1, 2))
    node.propose_all([b"x", b"x"], 0)
    tell(node, TWO, Appended(1, 4))
    with pytest.raises(Refused, match="4 entries of 67 bytes are not compacted"):
        node.propose(b"x", 0)
    node.compact(3, b"")
    node.propose(b"x", 0)


def test_propose__refuses_bytes_that_are_not_compacted():
    node = full_node(max_uncommitted_bytes=50, max_entry_bytes=30, max_log_bytes=100)
    for index in (1, 2, 3):
        tell(node, TWO, Appended(1, index))
        if index < 3:
            node.propose(bytes(20), 0)
    with pytest.raises(Refused, match="log_full: 3 entries of 88 bytes are not compacted"):
        node.propose(bytes(20), 0)


def test_one_proposal_above_the_bound_on_bytes_passes_when_nothing_waits():
    node = full_node(max_uncommitted_bytes=10)
    tell(node, TWO, Appended(1, 1))
    node.propose(bytes(100), 0)
    with pytest.raises(Refused, match="log_full"):
        node.propose(b"", 0)


def test_propose__refuses_what_is_too_long_and_who_does_not_lead():
    node = full_node(max_entry_bytes=10)
    with pytest.raises(Refused, match="too_long"):
        node.propose_all([b"x", bytes(11)], 0)
    assert node.log.last_index == 1
    follower = node_of()
    with pytest.raises(NotLeaderError) as refused:
        follower.propose(b"x", 0)
    assert refused.value.leader is None and refused.value.reason == "not_leader"


def test_a_follower_whose_log_is_full_takes_more_when_its_owner_compacts():
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    cluster.run(20)
    cluster.crash(THREE)
    cluster.config = replace(CONFIG, max_log_entries=10, max_uncommitted_entries=5)
    cluster.restart(THREE)
    cluster.propose(count=16)
    cluster.run(100)
    assert cluster.node(THREE).log.last_index == cluster.node(THREE).log.applied == 10
    before = cluster.sent
    cluster.run(100)
    assert cluster.sent - before < 100  # it is asked at heartbeats, and not as fast as the network carries
    compact(cluster, THREE, 10)
    cluster.run_until(cluster.level)
    assert cluster.of(THREE, Install) == []


def test_a_follower_takes_what_fits_in_bytes():
    node = node_of(config=replace(CONFIG, max_log_bytes=100, max_uncommitted_bytes=50, max_entry_bytes=30))
    entries = tuple(Entry(1, 0, bytes(24)) for _ in range(4))
    assert tell(node, TWO, Append(1, 0, 0, 4, entries)) == [(TWO, Appended(1, 2))]
    assert tell(node, TWO, Append(1, 2, 1, 4, entries[2:])) == []
    node.compact(2, b"")
    assert tell(node, TWO, Append(1, 2, 1, 4, entries[2:])) == [(TWO, Appended(1, 4))]


@pytest.mark.parametrize(
    "wrong",
    [
        {"tick_ms": 0},
        {"heartbeat_ticks": 10},
        {"max_append_entries": 5_000},
        {"max_entry_bytes": 2**30},
        {"max_log_entries": 10},
        {"max_log_bytes": 2**26},
    ],
)
def test_config__rejects_what_cannot_work(wrong):
    with pytest.raises(ValueError, match=r"allowed are|must be"):
        RaftConfig(**wrong)


# --- snapshots and restarts -------------------------------------------------------------------------------------------


def compact(cluster, peer, index):
    cluster.carry_out(cluster.hosts[peer], cluster.node(peer).compact(index, b"height %d" % index))


def behind(seed=1, **options):
    """A cluster whose third lacks entries that the others have compacted."""
    cluster = Cluster(seed, 3, faults=STEADY, **options)
    cluster.elect(ONE)
    cluster.isolate(THREE)
    cluster.propose(count=30)
    cluster.run(30)
    for peer in (ONE, TWO):
        compact(cluster, peer, 20)
    return cluster


def test_a_follower_that_is_too_far_behind_gets_a_snapshot_and_then_the_rest():
    cluster = behind()
    cluster.heal()
    cluster.run_until(cluster.level)
    snapshot = Snapshot(20, 1, cluster.founding, b"height 20")
    assert cluster.of(THREE, Install) == [Install(snapshot)]
    assert [effect.index for _, peer, effect in cluster.commits if peer == THREE] == list(range(21, 32))
    assert cluster.hosts[THREE].disk.load().snapshot == snapshot


def test_a_snapshot_that_is_lost_is_sent_again():
    cluster = behind()
    send = cluster.send
    lost = []

    def losing(sender, receiver, message):
        if isinstance(decode_message(message, limit=10_000), InstallSnapshot) and len(lost) < 2:
            lost.append(receiver)
        else:
            send(sender, receiver, message)

    cluster.send = losing
    cluster.heal()
    cluster.run_until(cluster.level)
    assert lost == [THREE, THREE]


def test_a_snapshot_of_what_is_here_installs_nothing():
    cluster = Cluster(1, 3, logs={1: [1, 1, 1, 2]})
    node = cluster.node(ONE)
    snapshot = Snapshot(3, 1, cluster.founding, b"x")
    effects = node.receive(TWO, encoded(InstallSnapshot(2, snapshot)), 0)
    assert [effect.index for effect in effects if isinstance(effect, Commit)] == [1, 2, 3]
    assert sent(effects) == [(TWO, Appended(2, 3))] and node.log.last_index == 4
    assert tell(node, TWO, InstallSnapshot(2, Snapshot(2, 1, cluster.founding, b"x"))) == [(TWO, Appended(2, 3))]


def test_a_snapshot_drops_a_log_that_differs():
    cluster = Cluster(1, 3, logs={1: [1, 1, 1, 1]})
    host = cluster.hosts[ONE]
    snapshot = Snapshot(3, 2, cluster.founding, b"x")
    cluster.carry_out(host, host.node.receive(TWO, encoded(InstallSnapshot(2, snapshot)), 0))
    assert (host.node.log.last_index, host.node.log.last_term) == (3, 2)
    assert host.disk.load() == Stored(HardState(2, b""), snapshot, ())


def test_an_owner_that_died_before_it_installed_is_asked_again():
    founding = Configuration((ONE, TWO, THREE), ())
    snapshot = Snapshot(20, 1, founding, b"height 20")
    node = node_of(stored=Stored(HardState(1, b""), snapshot, ()))
    assert node.start(0) == [Install(snapshot)]
    assert node.log.applied == 20


def test_compaction_keeps_what_others_lack_and_a_restart_finds_it():
    cluster = behind()
    assert cluster.node(ONE).log.snapshot.index == 20 and len(cluster.node(ONE).log) == 11
    compact(cluster, ONE, 10)  # begins later already
    assert cluster.node(ONE).log.snapshot.index == 20
    cluster.crash(ONE)
    cluster.heal()
    cluster.restart(ONE)
    assert len(cluster.node(ONE).log) == 11
    cluster.elect()
    cluster.run_until(cluster.level)


def test_compact__rejects_what_is_not_applied_or_too_long():
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    cluster.run(20)
    with pytest.raises(ValueError, match="not applied"):
        cluster.node(ONE).compact(cluster.node(ONE).log.applied + 1, b"")
    with pytest.raises(ValueError, match="bytes"):
        cluster.node(ONE).compact(1, bytes(CONFIG.max_snapshot_bytes + 1))


def test_a_restarted_node_gives_its_owner_what_it_has_not_applied():
    cluster = Cluster(1, 3, faults=STEADY)
    cluster.elect(ONE)
    index = cluster.propose(count=5)
    cluster.run(50)
    cluster.crash(TWO)
    cluster.commits.clear()
    cluster.start(TWO, applied=3)
    cluster.run(30)
    assert [effect.index for _, peer, effect in cluster.commits if peer == TWO] == list(range(4, index + 1))


@pytest.mark.parametrize(
    "stored, applied",
    [
        (Stored(HardState(1, b""), None, (Entry(1, 0, b""),)), 2),
        (Stored(HardState(1, b""), None, (Entry(2, 0, b""),)), 0),
        (Stored(HardState(2, b""), None, (Entry(2, 0, b""), Entry(1, 0, b""))), 0),
        (Stored(HardState(2, b""), None, (Entry(2, 2, b"?"),)), 0),
        (None, 1),
    ],
    ids=["applied more", "term below the log's", "falling terms", "bad configuration", "applied without a log"],
)
def test_start__rejects_what_does_not_fit(stored, applied):
    with pytest.raises(StoreError):
        RaftNode(
            ONE,
            founding=Configuration((ONE,), ()),
            stored=stored,
            applied=applied,
            config=CONFIG,
            rng=Random(1),
            now_ms=0,
        )
