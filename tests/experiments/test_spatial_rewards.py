"""Gini, payment and expectation by hand; the contract's own code on histories of a few reports."""

from dataclasses import replace
from random import Random

import pytest

from chain.contracts.spatial_records import Content
from chain.contracts.spatial_rules import Box
from chain.geodesy import haversine_mm
from chain.values import Account
from experiments.spatial_rewards import (
    CREDIT,
    READINGS,
    Confirmed,
    Plan,
    expected,
    gini,
    history,
    mean_distance_m,
    pay,
    report,
    rules,
    run,
    stretch,
    table,
)

SMALL = Plan(reports=60, windows=6, requesters=4, workers=8, seeds=2)
HERE, THERE = (444_000_000, 112_000_000), (445_000_000, 112_000_000)
ANNA, BERT, CORA, DORA = (Account(bytes([number]) * 32) for number in range(4))


@pytest.mark.parametrize(
    "amounts,expected_",
    [
        ([5, 5, 5, 5], 0),
        ([0, 0, 0, 8], 0.75),  # one of four has it all
        ([1, 3], 0.25),  # (1·(2-3) + 3·(4-3)) / (2·4)
        ([3, 1, 2], 2 / 9),  # (1·-2 + 2·0 + 3·2) / (3·6)
        ([0, 0], 0),
    ],
)
def test_gini_by_hand(amounts, expected_):
    assert gini(amounts) == pytest.approx(expected_)


def test_payment_by_hand():
    """Anna reports twice, some 11 km apart; Bert and Cora confirm, then Bert and Dora. gamma 0.5 and 0.25."""
    reports = [
        Confirmed(Content(ANNA, "other", *HERE, 0), (BERT, CORA)),
        Confirmed(Content(ANNA, "other", *THERE, 0), (BERT, DORA)),
    ]
    km = haversine_mm(HERE, THERE)
    first, second = pay(rules("paper"), reports, 2)
    assert first.minted == first.supply == 0 and first.gini == 0
    # Anna: 0.5 · 2 · km. Bert: 0.25 · ½ · 2 · km. Nobody else has a history.
    assert second.minted == second.supply == km + km // 4
    assert second.gini == pytest.approx((1 * (km // 4) + 3 * km) / (4 * (km + km // 4)))

    first, second = pay(rules("bounded"), reports, 2)
    assert first.minted == 500_000 + 2 * 250_000
    assert second.minted == 500_000 + 2 * 250_000 + km + km // 4
    assert second.supply == first.minted + second.minted


def test_expectations_by_hand():
    plan = Plan(requesters=2, workers=8, confirmers=(3, 5))
    # Second report, 10 km: with probability ½ it is the requester's second (N (N - 1) = 2), and so it is for a worker.
    assert expected("paper", plan, 2, 10_000) == pytest.approx(10 * (0.5 * 1 + 0.25 * 1) * CREDIT)
    assert expected("paper", plan, 1, 10_000) == 0
    # 0.5 + 4 · 0.25 credits, and 20 · 10 km · (0.5 + 0.25).
    assert expected("bounded", plan, 2, 10_000) == pytest.approx((1.5 + 150) * CREDIT)


def test_mean_distance_is_that_of_a_square():
    """Robbins 1978: 0.5214 sides. A degree of longitude at the equator is one of latitude."""
    square = Box(-500_000, 500_000, -500_000, 500_000)
    assert mean_distance_m(square, Random(1)) == pytest.approx(0.5214 * 11_119.5, rel=0.01)


def test_histories_follow_from_the_seed_and_stay_inside():
    box = rules("paper").box
    reports = history(SMALL, box, Random(1))
    assert reports == history(SMALL, box, Random(1)) != history(SMALL, box, Random(2))
    assert all(box.contains(each.content.lat_e7, each.content.lon_e7) for each in reports)
    assert {len(each.workers) for each in reports} == {3, 4, 5}
    assert all(len(set(each.workers)) == len(each.workers) for each in reports)
    assert len({each.content.requester for each in reports}) == 4


def test_same_seed_same_report():
    assert report(run(SMALL)) == report(run(SMALL)) != report(run(replace(SMALL, seed=9)))


def test_a_report_adds_up_and_paper_inflates():
    found = report(run(SMALL))
    assert [row["last_report"] for row in found["rows"]] == [10, 20, 30, 40, 50, 60]
    for reading in READINGS:
        supply = 0.0
        for row in found["rows"]:
            supply += 10 * row[reading]["per_report"]["mean"]
            assert row[reading]["supply"]["mean"] == pytest.approx(supply)
            assert 0 <= row[reading]["gini"]["mean"] < 1
    last = found["rows"][-1]
    # Two seeds of so few reports are within a fifth of the expectation.
    assert last["paper"]["per_report"]["mean"] == pytest.approx(last["paper"]["expected"], rel=0.2)
    assert last["bounded"]["per_report"]["mean"] < 1.1 * last["bounded"]["expected"]
    assert found["growth"]["paper"] > 1.5 > found["growth"]["bounded"]


def test_windows_need_not_divide_the_history():
    its = rules("bounded")
    reports = history(replace(SMALL, reports=10), its.box, Random(1))
    spans = [stretch(10, 3, place) for place in range(3)]
    assert spans == [(1, 3), (4, 6), (7, 10)]
    for (_, last), window in zip(spans, pay(its, reports, 3), strict=True):
        assert window.supply == pay(its, reports[:last], 1)[0].supply


def test_an_interrupt_keeps_the_seeds_that_are_done():
    def impatient(text):
        raise KeyboardInterrupt(text)

    found = report(run(SMALL, impatient))
    assert found["interrupted"] and found["seeds"] == 1
    assert found["rows"][0]["paper"]["per_report"]["ci95"] is None
    assert "60" in table(found)
