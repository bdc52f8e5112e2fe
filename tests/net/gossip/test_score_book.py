"""What the book counts: one rule a test."""

import pytest

from net.gossip.events import Fault, Message
from net.gossip.score import TopicCounters
from net.gossip.score_book import MAX_OUTCOMES, ScoreBook
from net.gossip.score_params import ScoreParams, TopicScoreParams
from net.peer import PeerId
from tests.net.gossip.by_hand import PEERS, T, message
from tests.net.gossip.simulated import identity

A, B, C, D = PEERS[:4]
M1 = message(1).message
TOPIC = TopicScoreParams(
    mesh_deliveries_weight=-1.0,
    mesh_failure_weight=-1.0,
    mesh_deliveries_threshold=4.0,
    mesh_deliveries_cap=5.0,
    mesh_deliveries_window_s=0.5,
    mesh_deliveries_activation_s=10.0,
    first_deliveries_cap=2.0,
)


def book(**params: object) -> ScoreBook:
    one = ScoreBook(ScoreParams(**{"default_topic": TOPIC} | params))  # type: ignore[arg-type]
    for peer in (A, B, C):
        one.link_up(peer, 0.0)
    return one


def counted(one: ScoreBook, peer: PeerId, now: float = 0.0) -> TopicCounters:
    counters = one.counters(peer, now)
    assert counters is not None
    return counters.topics.get(T, TopicCounters(0))


def test_first_delivery_counts_for_the_first_alone_and_copies_for_members() -> None:
    one = book()
    one.grafted(A, T, 0.0)
    one.grafted(B, T, 0.0)
    one.delivered(M1, [A, B, C], 0.1)
    assert [counted(one, peer).first_deliveries for peer in (A, B, C)] == [1.0, 0.0, 0.0]
    assert [counted(one, peer).mesh_deliveries for peer in (A, B, C)] == [1.0, 1.0, 0.0]


def test_copies_count_once_within_the_window() -> None:
    one = book()
    for peer in (A, B, C):
        one.grafted(peer, T, 0.0)
    one.delivered(M1, [A], 0.1)
    for peer, now in ((A, 0.2), (B, 0.6), (B, 0.6), (C, 0.61)):
        assert one.copied(M1, peer, now) is False
    assert [counted(one, peer).mesh_deliveries for peer in (A, B, C)] == [1.0, 1.0, 0.0]


def test_deliveries_are_capped() -> None:
    one = book()
    one.grafted(A, T, 0.0)
    for n in range(9):
        one.delivered(message(n).message, [A], 0.0)
    assert (counted(one, A).first_deliveries, counted(one, A).mesh_deliveries) == (2.0, 5.0)


def test_rejected_message_costs_all_senders_also_late_ones() -> None:
    one = book()
    one.rejected(M1, [A, B], 0.0)
    assert one.copied(M1, C, 50.0) is True
    assert one.copied(message(2).message, C, 50.0) is False
    assert [one.of(peer, 0.0) for peer in (A, B)] == [-1000.0, -1000.0]
    assert one.of(C, 50.0) == -1000.0


def test_leaving_the_mesh_with_a_deficit_sticks() -> None:
    one = book()
    one.grafted(A, T, 0.0)
    one.delivered(M1, [A], 10.0)
    one.pruned(A, T, 11.0)
    have = TOPIC.mesh_deliveries_decay
    assert counted(one, A, 11.0).mesh_failures == pytest.approx((4 - have) ** 2)
    one.grafted(B, T, 0.0)
    one.pruned(B, T, 10.0)  # not active yet
    assert counted(one, B, 11.0).mesh_failures == 0.0


def test_bad_score_survives_the_link_undecayed_and_a_good_one_does_not() -> None:
    one = book(retain_s=100.0)
    one.invalid(T, A, 0.0)
    one.delivered(M1, [B], 0.0)
    assert one.of(B, 0.0) > 0
    for peer in (A, B, C):
        one.link_down(peer, 0.0)
    assert one.retained(99.0) == [A]
    assert one.of(A, 50.0) == 0.0
    for peer in (A, B):
        one.link_up(peer, 99.0)
    assert (one.of(A, 99.0), one.of(B, 99.0)) == (-1000.0, 0.0)
    one.link_down(A, 99.0)
    one.link_up(A, 199.0)
    assert one.of(A, 199.0) == 0.0


def test_saved_up_deliveries_do_not_survive_the_link() -> None:
    one = book()
    one.delivered(M1, [A], 0.0)
    one.invalid(T, A, 0.0)
    one.link_down(A, 0.0)
    one.link_up(A, 0.0)
    assert counted(one, A).first_deliveries == 0.0
    assert one.of(A, 0.0) == -1000.0


def test_retained_peers_are_bounded_oldest_first() -> None:
    one = book(max_retained=2)
    for peer in (A, B, C):
        one.penalise(peer, Fault.MALFORMED, 0.0)
        one.link_down(peer, 0.0)
    assert one.retained(1.0) == [B, C]


def test_colocated_peers_share_the_blame() -> None:
    one = ScoreBook(ScoreParams(colocation_threshold=1, colocation_weight=-10.0))
    changed = [one.link_up(peer, 0.0, group) for peer, group in ((A, "x"), (B, "x"), (C, None))]
    assert changed == [True, True, False]
    assert [one.of(peer, 0.0) for peer in (A, B, C)] == [-10.0, -10.0, 0.0]
    assert one.link_down(B, 1.0)
    assert one.of(A, 1.0) == 0.0


def test_application_has_its_say_and_is_asked_again() -> None:
    opinions = {A: -5.0}
    one = ScoreBook(application=lambda peer: opinions.get(peer, 0.0))
    one.link_up(A, 0.0)
    assert (one.at_least(A, -5.0, 0.1), one.at_least(A, -4.9, 0.1)) == (True, False)
    opinions[A] = -7.0
    one.rescore()
    assert not one.at_least(A, -5.0, 0.2)


def test_complaints_are_capped_and_decay() -> None:
    one = book(complaint_weight=-10.0, complaints_cap=3.0, complaints_decay=0.5)
    for n in range(1, 6):
        one.complain(A, 0.0)
        assert one.of(A, 0.5) == -10.0 * min(n, 3)
    assert not one.at_least(A, 0.0, 0.5)
    assert [one.of(A, float(n)) for n in (1, 2)] == [-15.0, -7.5]
    assert one.outlook(A, 2.0) == (-7.5, 0.0)
    assert one.at_least(A, 0.0, 20.0)


def test_complaint_reaches_a_peer_that_has_hung_up_and_one_that_comes_later() -> None:
    one = book(complaint_weight=-10.0, max_retained=2)
    one.link_down(A, 0.0)
    one.complain(A, 1.0)
    one.complain(D, 1.0)
    one.complain(D, 2.0)
    assert one.of(A, 2.0) == one.of(D, 2.0) == 0.0
    assert one.retained(2.0) == [A, D]
    for peer in (A, D):
        one.link_up(peer, 100.0)
    assert [one.of(A, 100.0), one.of(D, 100.0)] == [-10.0, -20.0]
    one.link_down(D, 100.0)
    assert one.retained(100.0) == [D]


def test_complaints_of_strangers_are_bounded() -> None:
    one = book(max_retained=2)
    for n in range(200, 210):
        one.complain(identity(n), 0.0)
    assert one.retained(0.0) == [identity(208), identity(209)]
    assert book(max_retained=0).retained(0.0) == []


@pytest.mark.parametrize(
    "group, exempt",
    [
        ("127.0.0.1/32", True),
        ("10.1.2.3/32", True),
        ("172.31.0.1/32", True),
        ("172.32.0.1/32", False),
        ("192.168.7.7/32", True),
        ("169.254.1.1/32", True),
        ("::/64", True),
        ("fe80::/64", True),
        ("fd00:1:2:3::/64", True),
        ("203.0.113.7/32", False),
        ("2001:db8:1:2::/64", False),
        ("host", False),
    ],
)
def test_many_peers_of_a_private_network_are_no_offence(group: str, exempt: bool) -> None:
    one = ScoreBook()
    peers = [identity(n) for n in range(300, 364)]
    for peer in peers:
        one.link_up(peer, 0.0, group)
    surplus = len(peers) - one.params.colocation_threshold
    assert {one.of(peer, 0.0) for peer in peers} == {0.0 if exempt else -100.0 * surplus**2}


def test_exemption_is_configurable() -> None:
    one = ScoreBook(ScoreParams(colocation_threshold=1, colocation_exempt=("203.0.113.0/24",)))
    for peer, group in ((A, "203.0.113.7/32"), (B, "203.0.113.7/32"), (C, "10.0.0.1/32"), (D, "10.0.0.1/32")):
        one.link_up(peer, 0.0, group)
    assert [one.of(peer, 0.0) for peer in (A, B, C, D)] == [0.0, 0.0, -100.0, -100.0]
    with pytest.raises(ValueError, match="colocation_exempt"):
        ScoreParams(colocation_exempt=("10.0.0.0/33",))


def test_misdeeds_are_forgiven_up_to_the_threshold_and_count_squared_beyond() -> None:
    one = book(behaviour_threshold=1.0, behaviour_weight=-2.0)
    one.penalise(A, Fault.BROKEN_PROMISE, 0.0)
    assert one.of(A, 0.0) == 0.0
    one.penalise(A, Fault.GRAFT_FLOOD, 0.0)
    one.penalise(A, Fault.GRAFT_IN_BACKOFF, 0.0)
    assert one.of(A, 0.0) == -8.0
    one.penalise(A, Fault.REJECTED, 0.0)  # counts as an invalid message, not here
    assert one.of(A, 0.0) == -8.0


def test_quick_answer_is_the_exact_one() -> None:
    one = book()
    one.grafted(A, T, 0.0)
    for step in range(400):
        now = step / 10
        if step == 150:
            one.pruned(A, T, now)
        if step == 250:
            one.penalise(A, Fault.MALFORMED, now)
        for threshold in (-100.0, -16.0, -1.0, 0.0, 0.001, 1.0):
            assert one.at_least(A, threshold, now) == (one.of(A, now) >= threshold)


def test_what_is_remembered_of_messages_is_bounded() -> None:
    one = book()
    first = Message(M1.id, M1.source, T, b"", 1, b"")
    one.rejected(first, [], 0.0)
    for n in range(MAX_OUTCOMES):
        one.rejected(Message(b"%d" % n, M1.source, T, b"", n, b""), [], 0.0)  # type: ignore[arg-type]
    assert one.copied(first, A, 0.0) is False


def test_strangers_score_zero_and_cannot_be_blamed() -> None:
    one = book()
    stranger = PEERS[9]
    one.penalise(stranger, Fault.MALFORMED, 0.0)
    one.invalid(T, stranger, 0.0)
    assert one.of(stranger, 0.0) == 0.0
    assert one.counters(stranger, 0.0) is None
    assert one.link_down(stranger, 0.0) is False
