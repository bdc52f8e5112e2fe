"""Who was owed a message and never got it is counted, once, and nothing else is."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.gossip_meter import BINS, HORIZON_MS, MAX_TRACKED, GossipMeter
from actors.identity import Identity
from net.gossip.counters import Counters

PEERS = [Identity.derive(1, str(n)).peer_id for n in range(5)]
T = "/t"


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def meter(now):
    meter = GossipMeter(lambda: now[0])
    for peer in PEERS:
        meter.subscribed(peer, T)
    return meter


def test_all_delivered(meter, now):
    meter.published(PEERS[0], b"m", T)
    for peer in PEERS[1:]:
        now[0] += 0.010
        meter.delivered(peer, b"m")
    figures = meter.figures(settle=True)
    assert (figures.published, figures.delivered, figures.undelivered) == (1, 4, 0)
    assert figures.max_ms == 40.0
    assert figures.p50_ms == pytest.approx(20, abs=0.2)


def test_what_is_missing_counts_after_the_horizon_or_when_settled(meter, now):
    meter.published(PEERS[0], b"m", T)
    meter.delivered(PEERS[1], b"m")
    assert meter.figures().undelivered == 0
    assert meter.figures(settle=True).undelivered == 3
    now[0] = HORIZON_MS / 1000 + 0.001
    meter.published(PEERS[0], b"n", "/elsewhere")
    assert meter.figures().undelivered == meter.figures(settle=True).undelivered == 3


def test_a_publisher_that_does_not_subscribe_is_owed_by_all_subscribers(meter):
    meter.published(Identity.derive(1, "outside").peer_id, b"m", T)
    assert meter.figures(settle=True).undelivered == 5


def test_who_leaves_is_owed_nothing(meter):
    meter.published(PEERS[0], b"m", T)
    for peer in PEERS[1:]:
        meter.unsubscribed(peer, T)
    assert meter.figures(settle=True).undelivered == 0


def test_who_has_got_it_and_leaves_pays_for_nobody_else(meter):
    meter.published(PEERS[0], b"m", T)
    meter.delivered(PEERS[1], b"m")
    meter.unsubscribed(PEERS[1], T)
    meter.unsubscribed(PEERS[0], T)
    assert meter.figures(settle=True).undelivered == 3


def test_who_came_later_and_got_it_pays_for_nobody_else(meter):
    meter.published(PEERS[0], b"m", T)
    late = Identity.derive(1, "late").peer_id
    meter.subscribed(late, T)
    meter.delivered(late, b"m")
    assert meter.figures(settle=True).undelivered == 4


def test_unsubscribing_what_one_never_wanted_changes_nothing(meter):
    meter.published(PEERS[0], b"m", T)
    meter.unsubscribed(Identity.derive(1, "outside").peer_id, T)
    meter.unsubscribed(PEERS[0], "/other")
    assert meter.figures(settle=True).undelivered == 4


def test_very_late_deliveries_count_but_have_no_latency(meter, now):
    meter.published(PEERS[0], b"m", T)
    now[0] = HORIZON_MS / 1000 + 1
    meter.published(PEERS[0], b"n", T)
    meter.delivered(PEERS[1], b"m")
    figures = meter.figures()
    assert figures.delivered == 1
    assert figures.undelivered == 4
    assert figures.max_ms == 0.0


def test_memory_is_bounded(meter):
    for n in range(MAX_TRACKED + 10):
        meter.published(PEERS[0], n.to_bytes(4, "big"), T)
    figures = meter.figures()
    assert figures.published == MAX_TRACKED + 10
    assert figures.undelivered == 10 * 4


@given(st.lists(st.integers(0, 12_000), min_size=1, max_size=60))
def test_percentiles_are_within_a_bin_of_the_exact_ones(delays_ms):
    now = [0.0]
    meter = GossipMeter(lambda: now[0])
    for n, delay in enumerate(delays_ms):
        now[0] = n * 15.0
        meter.published(PEERS[0], bytes([n]), T)
        now[0] += delay / 1000
        meter.delivered(PEERS[1], bytes([n]))
    exact = sorted(min(delay, BINS / 10) for delay in delays_ms)
    figures = meter.figures()
    for share, said in ((0.5, figures.p50_ms), (0.99, figures.p99_ms)):
        rank = max(0, -(-int(share * 1000) * len(exact) // 1000) - 1)
        assert said == pytest.approx(exact[rank], abs=0.21)
    assert figures.max_ms == pytest.approx(max(delays_ms), abs=0.1)


def test_duplicates_are_those_of_all_routers(meter):
    first, second = Counters(), Counters()
    meter.watch(first)
    meter.watch(second)
    first.duplicates, second.duplicates = 2, 3
    assert meter.figures().duplicates == 5


def test_in_any_order_what_is_published_is_delivered_or_undelivered():
    rng = Random(4)
    now = [0.0]
    meter = GossipMeter(lambda: now[0])
    for peer in PEERS:
        meter.subscribed(peer, T)
    delivered = 0
    for n in range(300):
        now[0] += rng.random()
        meter.published(PEERS[0], n.to_bytes(2, "big"), T)
        got = rng.randrange(5)
        delivered += got
        for peer in PEERS[1 : 1 + got]:
            meter.delivered(peer, n.to_bytes(2, "big"))
    figures = meter.figures(settle=True)
    assert figures.delivered == delivered
    assert figures.undelivered == 300 * 4 - delivered
