"""A MEC node knows who was there a moment ago, from the latest claim of each, and no more than it can hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.identity import Identity
from actors.presence import Presence
from actors.sensing.mobility import Point
from chain.contracts.spatial_records import MAX_CANDIDATES

WORKERS = sorted(Identity.derive(1, f"worker-{n}").account for n in range(6))
NOBODY = Identity.derive(1, "nobody").account
HERE = Point(44.5, 11.3)
TTL = 1_000


def test_who_is_near_is_there_until_its_time_is_over():
    presence = Presence(TTL)
    assert presence.seen(WORKERS[0], HERE, 5_000, 5_010) == 6_010
    assert presence.near(HERE, 100, 6_010, without=NOBODY) == [WORKERS[0]]
    assert presence.near(HERE, 100, 6_011, without=NOBODY) == []
    assert presence.near(HERE.moved(101, 0), 100, 6_000, without=NOBODY) == []
    assert presence.near(HERE, 100, 6_000, without=WORKERS[0]) == []


def test_the_latest_claim_counts():
    presence = Presence(TTL)
    away = HERE.moved(1_000, 0)
    presence.seen(WORKERS[0], HERE, 5_000, 5_000)
    presence.seen(WORKERS[0], away, 5_001, 5_001)
    assert presence.near(HERE, 100, 5_002, without=NOBODY) == []
    assert presence.near(away, 100, 5_002, without=NOBODY) == [WORKERS[0]]
    assert len(presence) == 1


def test_seen__reject_replay_of_an_older_claim():
    presence = Presence(TTL)
    presence.seen(WORKERS[0], HERE, 5_000, 5_000)
    with pytest.raises(ValueError, match="an older claim"):
        presence.seen(WORKERS[0], HERE.moved(500, 0), 4_999, 5_001)
    assert presence.near(HERE, 100, 6_000, without=NOBODY) == [WORKERS[0]]


def test_of_too_many_the_nearest_are_candidates_sorted():
    presence = Presence(TTL)
    crowd = [Identity.derive(2, str(n)).account for n in range(MAX_CANDIDATES + 20)]
    for n, worker in enumerate(crowd):
        presence.seen(worker, HERE.moved(n, 0), 0, 0)
    assert presence.near(HERE, 10_000, 1, without=NOBODY) == sorted(crowd[:MAX_CANDIDATES])


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("actors.presence.MAX_PRESENT", 3)
    presence = Presence(TTL)
    for n, worker in enumerate(WORKERS):
        presence.seen(worker, HERE, n, n)
    assert presence.near(HERE, 100, 10, without=NOBODY) == WORKERS[3:]


steps = st.lists(
    st.tuples(st.sampled_from(WORKERS), st.integers(0, 3_000), st.integers(0, 400), st.integers(0, 300)), max_size=40
)


@given(steps)
def test_as_a_plain_table_of_latest_claims(said):
    presence, table, now = Presence(TTL), {}, 0
    for worker, metres, later, lag in said:
        now += later
        where, claimed = HERE.moved(metres, 0), now - lag
        before = table.get(worker)
        # A worker that is forgotten may say anything; one that is remembered, nothing older.
        if before and before[2] >= now and claimed < before[1]:
            with pytest.raises(ValueError):
                presence.seen(worker, where, claimed, now)
            continue
        try:
            presence.seen(worker, where, claimed, now)
        except ValueError:
            assert before and claimed < before[1]
            continue
        table[worker] = (where, claimed, now + TTL)
        expected = sorted(w for w, (at, _, until) in table.items() if until >= now and at.distance_m(HERE) < 1_500)
        assert presence.near(HERE, 1_500, now, without=NOBODY) == expected


ALIASES = [Identity.derive(3, f"alias-{n}").account for n in range(4)]


def test_a_worker_is_drawn_as_its_voter_and_excluded_as_either():
    presence = Presence(TTL)
    presence.seen(WORKERS[0], HERE, 0, 0, voter=ALIASES[0])
    assert presence.near(HERE, 100, 1, without=NOBODY) == [ALIASES[0]]
    assert presence.near(HERE, 100, 1, without=WORKERS[0]) == presence.near(HERE, 100, 1, without=ALIASES[0]) == []
    assert presence.bearer(ALIASES[0]) == WORKERS[0]
    assert presence.bearer(WORKERS[1]) == WORKERS[1]


def test_a_voter_serves_once_and_its_worker_goes_on_as_another():
    presence = Presence(TTL)
    presence.seen(WORKERS[0], HERE, 0, 0, voter=ALIASES[0])
    presence.seen(WORKERS[1], HERE, 0, 0)
    presence.spend(ALIASES[0])
    presence.spend(WORKERS[1])  # its own account serves as often as it is drawn
    assert presence.near(HERE, 100, 1, without=NOBODY) == [WORKERS[1]]
    with pytest.raises(ValueError, match="served already"):
        presence.seen(WORKERS[0], HERE, 2, 2, voter=ALIASES[0])
    presence.seen(WORKERS[0], HERE, 2, 2, voter=ALIASES[1])
    assert presence.near(HERE, 100, 3, without=NOBODY) == sorted([ALIASES[1], WORKERS[1]])
    assert presence.bearer(ALIASES[1]) == WORKERS[0]


def test_seen__reject_a_voter_of_somebody_else():
    presence = Presence(TTL)
    presence.seen(WORKERS[0], HERE, 0, 0, voter=ALIASES[0])
    for voter in (ALIASES[0], WORKERS[0]):
        with pytest.raises(ValueError, match="somebody else"):
            presence.seen(WORKERS[1], HERE, 0, 0, voter=voter)
    assert len(presence) == 1
