"""The score function against sums done by hand, and its looks ahead against looking at every step."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.gossip.score import PeerCounters, TopicCounters, outlook_of, score_of, settled, steady_until
from net.gossip.score_params import ScoreParams, TopicScoreParams, decay_over

T = "t"
# Round numbers: halves are exact.
TOPIC = TopicScoreParams(
    weight=0.5,
    time_in_mesh_weight=2.0,
    time_in_mesh_quantum_s=10.0,
    time_in_mesh_cap=4.0,
    first_deliveries_weight=3.0,
    first_deliveries_decay=0.5,
    first_deliveries_cap=50.0,
    mesh_deliveries_weight=-1.0,
    mesh_deliveries_decay=0.5,
    mesh_deliveries_cap=20.0,
    mesh_deliveries_threshold=8.0,
    mesh_deliveries_activation_s=30.0,
    mesh_failure_weight=-2.0,
    mesh_failure_decay=0.5,
    invalid_weight=-4.0,
    invalid_decay=0.5,
)
PARAMS = ScoreParams(
    default_topic=TOPIC,
    topic_cap=0.0,
    application_weight=10.0,
    colocation_weight=-5.0,
    colocation_threshold=2,
    behaviour_weight=-7.0,
    behaviour_threshold=1.0,
    behaviour_decay=0.5,
    complaint_weight=-2.0,
    complaints_decay=0.5,
)


def topic(**counted: float | None) -> PeerCounters:
    return PeerCounters(100, {T: TopicCounters(100, **counted)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "counters, now, score",
    [
        # P1: nothing before the first quantum, 2 per 10 s, 4 quanta at most; half of it is the topic's weight.
        (topic(mesh_since=100.0), 109.9, 0.0),
        (topic(mesh_since=100.0), 110.0, 1.0),
        (topic(mesh_since=95.0), 125.0, 3.0),
        (topic(mesh_since=100.0, mesh_deliveries=1e9), 1e3, 4.0 - 32.0),  # P3 is active and its counter gone
        (topic(), 500.0, 0.0),
        # P2: halved each second; below 0.01 it is 0.
        (topic(first_deliveries=8.0), 100.9, 12.0),
        (topic(first_deliveries=8.0), 103.0, 1.5),
        (topic(first_deliveries=8.0), 109.0, 0.5 * 3 * 8 / 512),
        (topic(first_deliveries=8.0), 110.0, 0.0),
        # P3: a member of more than 30 s, 8 deliveries wanted.
        (topic(mesh_since=70.0, mesh_deliveries=8.0), 100.0, 3.0),
        (topic(mesh_since=69.0, mesh_deliveries=5.0), 100.0, 0.5 * (3 * 2 - 9)),
        (topic(mesh_since=69.0, mesh_deliveries=8.0), 101.0, 0.5 * (3 * 2 - 16)),
        (topic(mesh_deliveries=0.0), 200.0, 0.0),
        # P3b.
        (topic(mesh_failures=16.0), 100.0, -16.0),
        (topic(mesh_failures=16.0), 102.0, -4.0),
        # P4: squared after it decayed.
        (topic(invalid=3.0), 100.0, -18.0),
        (topic(invalid=4.0), 101.0, -8.0),
        # P5.
        (PeerCounters(100, application=-1.5), 100.0, -15.0),
        # P6: the second peer of a group is free, the fourth is two too many.
        (PeerCounters(100, colocated=2), 100.0, 0.0),
        (PeerCounters(100, colocated=4), 100.0, -20.0),
        # P7: one is forgiven.
        (PeerCounters(100, misdeeds=1.0), 100.0, 0.0),
        (PeerCounters(100, misdeeds=4.0), 100.0, -63.0),
        (PeerCounters(100, misdeeds=4.0), 101.0, -7.0),
        # P5: complaints decay.
        (PeerCounters(100, complaints=2.0), 100.0, -40.0),
        (PeerCounters(100, complaints=2.0), 101.0, -20.0),
        (PeerCounters(100, complaints=2.0, application=0.5), 102.0, -10.0 + 5.0),
        # All together, in two topics.
        (
            PeerCounters(
                100,
                {"a": TopicCounters(100, first_deliveries=2.0), "b": TopicCounters(99, invalid=2.0)},
                misdeeds=3.0,
                application=1.0,
                colocated=3,
            ),
            100.0,
            3.0 - 2.0 + 10.0 - 5.0 - 28.0,
        ),
    ],
)
def test_score_by_hand(counters: PeerCounters, now: float, score: float) -> None:
    before = repr(counters)
    assert score_of(counters, PARAMS, now) == pytest.approx(score, abs=1e-12)
    assert repr(counters) == before
    assert score_of(settled(counters, PARAMS, now), PARAMS, now) == pytest.approx(score, abs=1e-12)


def test_topics_together_are_capped_and_what_speaks_against_a_peer_is_not() -> None:
    params = ScoreParams(default_topic=TOPIC, topic_cap=5.0, application_weight=1.0)
    counters = topic(first_deliveries=50.0)
    counters.application = 2.0
    assert score_of(counters, params, 100.0) == 7.0
    assert score_of(topic(invalid=10.0), params, 100.0) == -200.0


def test_the_first_prefix_counts_and_topics_without_parameters_do_not() -> None:
    blocks = TopicScoreParams(first_deliveries_weight=7.0)
    params = ScoreParams(topics=[("/n/blocks", blocks), ("/n/", TOPIC)], default_topic=None)
    assert [params.of_topic(name) for name in ("/n/blocks", "/n/tx", "/m/tx")] == [blocks, TOPIC, None]
    counters = PeerCounters(0, {"/m/tx": TopicCounters(0, invalid=9.0), "/n/blocks": TopicCounters(0, None, 1.0)})
    assert score_of(counters, params, 0.0) == 7.0


def test_decay_over_is_the_time_to_zero() -> None:
    factor = decay_over(600, interval_s=2.0, to_zero=0.01)
    assert factor**300 == pytest.approx(0.01)
    with pytest.raises(ValueError, match="must hold"):
        decay_over(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": -1.0},
        {"time_in_mesh_weight": -1.0},
        {"time_in_mesh_quantum_s": 0.0},
        {"first_deliveries_weight": -1.0},
        {"first_deliveries_decay": 1.0},
        {"mesh_deliveries_weight": 1.0},
        {"mesh_deliveries_threshold": 21.0},
        {"mesh_deliveries_window_s": -1.0},
        {"mesh_deliveries_activation_s": 0.5},
        {"mesh_failure_weight": 1.0},
        {"invalid_weight": 1.0},
        {"invalid_decay": 0.0},
    ],
)
def test_contradictory_topic_parameters__reject(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        TopicScoreParams(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"topic_cap": -1.0},
        {"application_weight": -1.0},
        {"colocation_weight": 1.0},
        {"colocation_threshold": 0},
        {"behaviour_weight": 1.0},
        {"behaviour_threshold": -1.0},
        {"behaviour_decay": 1.5},
        {"decay_interval_s": 0.0},
        {"decay_to_zero": 1.0},
        {"retain_s": -1.0},
        {"max_retained": -1},
    ],
)
def test_contradictory_parameters__reject(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        ScoreParams(**wrong)  # type: ignore[arg-type]


COUNTERS = st.builds(
    PeerCounters,
    step=st.just(100),
    topics=st.dictionaries(
        st.sampled_from("ab"),
        st.builds(
            TopicCounters,
            step=st.integers(90, 100),
            mesh_since=st.none() | st.floats(50, 100),
            first_deliveries=st.floats(0, 50),
            mesh_deliveries=st.floats(0, 20),
            mesh_failures=st.floats(0, 50),
            invalid=st.floats(0, 3),
        ),
    ),
    misdeeds=st.floats(0, 3),
    application=st.floats(-2, 20),
    colocated=st.integers(1, 4),
)


@given(COUNTERS)
def test_time_alone_stays_within_the_outlook(counters: PeerCounters) -> None:
    low, high = outlook_of(counters, PARAMS, 100.0)
    steady = steady_until(counters, PARAMS, 100.0)
    assert (steady == inf) >= (low >= 0)
    for second in range(80):
        score = score_of(counters, PARAMS, 100.0 + second)
        assert low - 1e-9 <= score <= high + 1e-9
        assert score > -1e-9 or 100.0 + second >= steady


@given(COUNTERS, st.integers(0, 30), st.integers(0, 30))
def test_settling_on_the_way_changes_nothing(counters: PeerCounters, first: int, second: int) -> None:
    halfway = settled(counters, PARAMS, 100.0 + first)
    then = 100.0 + first + second
    # What drops to zero at the way's end rather than in between is below the least that counts.
    assert score_of(halfway, PARAMS, then) == pytest.approx(score_of(counters, PARAMS, then), abs=1e-6)
