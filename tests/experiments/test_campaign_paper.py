"""The paper's setting: what is drawn, what a campaign comes to, and what a report says of many."""

from collections import Counter
from random import Random

import pytest

from actors.scenario import ScenarioError
from actors.sensing.planning import greedy
from experiments import campaign_paper
from experiments.campaign_paper import Plan, report, run, table
from experiments.campaign_setting import Setting, bid, draw, play, qualities, settle

FEW = Plan(seeds=3)


@pytest.mark.parametrize("reading, height", [("strip", (0, 100)), ("square", (25, 75))])
def test_what_is_drawn_is_as_published(reading, height):
    campaign = draw(Setting(reading=reading), Random(1))
    low, high = height
    assert len(campaign.places) == len(campaign.times_ms) == 10
    assert all(25 <= x <= 75 and low <= y <= high for x, y in campaign.places)
    assert all(100_000 <= time <= 150_000 for time in campaign.times_ms)
    assert [(start[0], end[0]) for start, end in campaign.ends] == [(0, 100)] * 15
    problem = campaign.problems()[14]
    assert (problem.speed_m_s, problem.limit_m, problem.intervals_s) == (1, 400, (100,) * 10)
    assert problem.times_s[3] == campaign.times_ms[3] / 1000


def test_rewards_by_hand():
    """Three samples of the first task and one of the second: 2 is too far from the first, and wins the second."""
    paths = [((0, 90),), ((0, 105), (1, 190)), ((0, 80), (1, 205)), ((0, 110),)]
    assert settle([100, 200], [3, 1], paths, [0, 1, 2, 3], 5) == (((1, 0, 3), (2,)), {0: 5, 1: 5, 2: 5, 3: 5})


def test_a_campaign_adds_up():
    campaign = draw(Setting(), Random(2))
    outcome = play(campaign, greedy, Random(2))
    wins = Counter(worker for won in outcome.winners for worker in won)

    assert dict(outcome.rewards) == {worker: wins[worker] for worker, _ in sorted(outcome.rounds)}
    assert sum(outcome.rewards.values()) + sum(outcome.uncovered.values()) == 30
    assert sum(samples for _, samples in outcome.rounds) == sum(outcome.rewards.values())
    for task, (won, quality) in enumerate(zip(outcome.winners, qualities(campaign, outcome), strict=True)):
        arrivals = [dict(bid(outcome.plans[worker]))[task] for worker in won]
        exact = [1 - abs(arrival - campaign.times_ms[task]) / 100_000 for arrival in arrivals]
        assert quality == pytest.approx(exact, abs=1e-6)
        assert quality == sorted(quality, reverse=True)


def test_same_seed_same_report():
    assert report(run(FEW)) == report(run(FEW))
    assert report(run(FEW))["campaign"] != report(run(Plan(seed=2, seeds=1)))["campaign"]


def test_a_report_adds_up():
    found = report(run(FEW))
    assert [row["reading"] for row in found["rows"]] == ["strip", "square"]
    for row in found["rows"]:
        for key in ("tasks_per_path", "selected", "rewards", "uncovered"):
            shares = {int(number): share for number, share in row[key]["shares"].items()}
            assert sum(shares.values()) == pytest.approx(1)
            assert sum(number * share for number, share in shares.items()) == pytest.approx(row[key]["mean"])
            assert (min(shares), max(shares)) == (row[key]["least"], row[key]["most"])
        assert row["rewards"]["mean"] + row["uncovered"]["mean"] == pytest.approx(30)
        assert 100 <= row["path_m"]["least"] <= row["path_m"]["most"] <= 400


def test_more_is_done_by_better_planners():
    greedy_row, better_row = (report(run(Plan(planner=name, seeds=3)))["rows"][0] for name in ("greedy", "improved"))
    assert better_row["tasks_per_path"]["mean"] > greedy_row["tasks_per_path"]["mean"]


def test_ones_own_planner():
    """Nobody visits anything: nothing is selected and nothing paid."""
    found = report(run(Plan(planner="tests.actors.sensing.plans:lazy_planner", seeds=2)))
    assert found["rows"][0]["selected"]["most"] == 0
    assert found["rows"][0]["uncovered"]["mean"] == 30
    assert "30" in table(found)


@pytest.mark.parametrize(
    "planner, message",
    [
        ("quick", "--planner: 'quick' is no planner: one of greedy, improved, exact"),
        ("tests.actors.sensing.plans:hasty_planner", "worker 0 is not sound: task 0 is performed at 0 s"),
    ],
)
def test_planners_that_are_none__are_refused(planner, message):
    with pytest.raises(ScenarioError, match=message):
        run(Plan(planner=planner, seeds=1))


def test_an_interrupt_keeps_the_seeds_that_are_done(monkeypatch):
    played = campaign_paper.play
    campaigns = []

    def impatient(campaign, planner, rng):
        campaigns.append(campaign)
        if len(campaigns) == 4:
            raise KeyboardInterrupt
        return played(campaign, planner, rng)

    monkeypatch.setattr(campaign_paper, "play", impatient)
    found = report(run(FEW))
    assert found["interrupted"] and found["seeds"] == 1
    monkeypatch.undo()
    assert found["rows"] == report(run(Plan(seeds=1)))["rows"]


def test_interrupted_before_the_first_seed(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(campaign_paper, "draw", interrupt)
    found = report(run(FEW))
    assert found["rows"] == [] and found["campaign"] is None
    assert table(found) == "no seed was done"


def test_the_table_has_the_published_figures_beside_ours():
    text = table(report(run(FEW)))
    assert "5 to 9" in text
    assert "selected, round by round: " in text
    for heading in ("worker  path, m  reward", "winners, best first", "strip", "square"):
        assert heading in text
