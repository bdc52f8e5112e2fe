"""What a run tells of its campaigns: line by line while it goes on, in a few words at its end, and in its report."""

import json
from io import StringIO

import pytest

from actors.campaigns.tally import CampaignTally
from actors.run import RunPlan, run_plan
from actors.standing import Standing, together
from actors.terminal import Terminal, voice
from chain.values import TxId
from tests.actors.campaigns.square import CYCLE_S, square

ONE, OTHER = TxId(b"\1" * 32), TxId(b"\2" * 32)


def told(scenario, seconds):
    """What a terminal that nobody rewrites shows, and the report."""
    out = StringIO()
    terminal = Terminal(out)
    plan = RunPlan(scenario, "simulate", seconds=seconds, progress_s=5.0, **voice(terminal))
    terminal.introduce(plan)
    report = run_plan(plan)
    terminal.summary(report)
    return out.getvalue().splitlines(), report


@pytest.fixture(scope="module")
def cycle():
    return told(square(), 10 + CYCLE_S + 5)


def test_progress_says_where_the_campaign_is(cycle):
    lines, report = cycle
    progress = [line.partition("  campaign: ")[2] for line in lines if "  campaign: " in line]
    phases = [line.split()[2] for line in progress]
    assert list(dict.fromkeys(phases)) == [
        *("registration", "publishing", "bidding", "selection", "collection", "submission"),
        *(phase for phase in ("ended", "closed") if phase in phases),
    ]
    (counted,) = report["campaigns"]["cycles"]
    assert f"cycle 1 submission (6 tasks, 6 bids, {counted['selected']} selected" in "\n".join(progress)
    assert not any("reports:" in line for line in lines if "campaign: " in line)


def test_the_summary_has_a_line_for_each_cycle(cycle):
    lines, report = cycle
    (counted,) = report["campaigns"]["cycles"]
    numbers = (
        f"6 tasks, 6 bids, {counted['selected']} selected, {counted['submitted']} submitted, 12 rewards, 0 disputed"
    )
    (line,) = [line for line in lines if line.startswith("campaign ")]
    assert line == f"campaign {counted['campaign'][:8]} cycle 1, closed: {numbers}"


def test_the_report_is_json(cycle):
    _, report = cycle
    assert json.loads(json.dumps(report))["campaigns"] == report["campaigns"]
    assert list(report["campaigns"]) == ["cycles", "balances", "locked"]


def test_who_cannot_pay_is_told_once():
    lines, report = told(square(campaign__funds=0), 40)
    poor = [line for line in lines if "no money" in line]
    assert poor == ["campaign organizer-01: no money for an organizer's bond: 3 credits are needed, 0 are there"]
    assert report["campaigns"]["cycles"] == []


def test_workers_and_requesters_without_money_sit_a_cycle_out():
    """What organizers lock they have; nobody else has enough."""
    scenario = square(
        campaign__funds=400_000,
        campaign__bond=400_000,
        campaign__bounty=0,
        campaign__oracles={"stake": 0, "penalty": 0, "seconds": 8.0},
    )
    lines, report = told(scenario, 60)
    (counted,) = report["campaigns"]["cycles"]
    assert (counted["tasks"], counted["bids"]) == (0, 0)
    poor = [line.partition(": ")[2] for line in lines if "no money" in line]
    assert set(poor) == {
        "no money for 3 of 3 tasks: 2 credits are needed, 0.4 are there",
        "no money for the deposit of a bid: 0.5 credits are needed, 0.4 are there",
    }


def test_what_several_processes_tell_together():
    """Where the furthest has the campaign; and of a poor actor, whichever process it is in."""
    counts = {"elapsed_ms": 0, "running": 1, "actors": 1, "replicas": 1, "height": 9, "statuses": (), "activity": {}}
    behind = Standing(final_height=4, campaigns="cycle 1 bidding", errors=0, poor="worker-01: no money", **counts)
    ahead = Standing(final_height=7, campaigns="cycle 1 selection", errors=0, poor="", **counts)
    both = together([behind, ahead])
    assert (both.campaigns, both.poor) == ("cycle 1 selection", "worker-01: no money")


# Counting. ----------------------------------------------------------------------------------------------------


def test_cycles_are_counted_apart():
    tally = CampaignTally()
    assert (tally.line(), tally.report()) == ("", [])
    for name, fields in (
        ("registration_started", {"campaign": ONE, "cycle": 0, "void": False}),
        ("registered", {"campaign": ONE, "oracle": b""}),
        ("registration_started", {"campaign": OTHER, "cycle": 0, "void": False}),
        ("published", {"campaign": ONE, "cycle": 0}),
        ("published", {"campaign": OTHER, "cycle": 0}),
        ("published", {"campaign": ONE, "cycle": 0}),
        ("bid", {"campaign": ONE, "cycle": 0}),
        ("selected", {"campaign": ONE, "cycle": 0, "workers": (b"", b"")}),
        ("selected", {"campaign": ONE, "cycle": 0, "workers": (b"",)}),
        ("rewarded", {"campaign": ONE, "cycle": 0, "amount": 5}),
        ("rewarded", {"campaign": ONE, "cycle": 0, "amount": 7}),
        ("forfeited", {"campaign": ONE, "cycle": 0, "amount": 3}),
        ("ended", {"campaign": ONE, "cycle": 0, "void": True}),
        ("settled", {"campaign": ONE, "cycle": 0}),
        ("publishing_started", {"campaign": ONE, "cycle": 1, "void": False}),
    ):
        tally.count(name, fields)
    one, other, again = tally.report()
    assert (one["campaign"], one["cycle"], one["phase"], one["void"], one["settled"]) == (
        ONE.hex(),
        0,
        "ended",
        True,
        True,
    )
    assert (one["tasks"], one["bids"], one["selected"], one["rewards"]) == (2, 1, 1, 2)
    assert (one["rewarded_micro"], one["forfeited_micro"], one["unspent_micro"]) == (12, 3, 0)
    assert (other["campaign"], other["tasks"], other["phase"]) == (OTHER.hex(), 1, "registration")
    assert (again["campaign"], again["cycle"], again["tasks"], again["void"]) == (ONE.hex(), 1, 0, False)
    assert tally.line() == "cycle 2 publishing"
