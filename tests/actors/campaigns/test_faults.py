"""Who crashes, is cut off or loses its disk during a campaign: the cycle ends, and who missed no deadline loses nothing."""

from collections import Counter

import pytest
import trio

from chain.contracts.campaign_records import CLOSED, SELECTION
from tests.actors.campaigns.square import (
    CYCLE_S,
    FUNDS,
    PHASES_S,
    campaigns,
    crash,
    did,
    drawn_now,
    organizer,
    square,
    standing,
)
from tests.actors.simulated import play, simulate
from tests.checkers import of_kind, read_journal, what_went_wrong

SECONDS = 10 + CYCLE_S + 5
PUBLISHING, BIDDING, SELECTING, COLLECTING, SUBMITTING, REVIEWING = 11, 21, 31, 53, 85, 95
"""A moment after each phase began, in seconds."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Balances at the end of a cycle in which nothing goes wrong."""
    run = simulate(square(), tmp_path_factory.mktemp("undisturbed"), seconds=SECONDS)
    return campaigns(run.report)[1]


def disturbed(folder, *faults, seconds=SECONDS, **changes):
    run = simulate(square(faults=list(faults), **changes), folder, seconds=seconds)
    assert what_went_wrong(run.report) == []
    cycles, balances, locked = campaigns(run.report)
    assert [(cycle["phase"], cycle["void"], locked) for cycle in cycles] == [("closed", False, 0)]
    return run, cycles[0], balances


@pytest.mark.parametrize(
    "faults",
    [
        [crash("organizer-01", at_s=4, for_s=2, lose_disk=True), crash("organizer-01", at_s=BIDDING + 3, for_s=4)],
        [crash("organizer-01", at_s=at_s, for_s=3) for at_s in (SELECTING, COLLECTING, SUBMITTING)],
    ],
    ids=["early and without its disk", "again and again"],
)
def test_an_organizer_that_was_away_goes_on_with_its_campaign(faults, undisturbed, tmp_path):
    run, _, balances = disturbed(tmp_path, *faults)
    assert did(run.journal)["organizer-01", "deploy"] == 1
    assert balances == undisturbed


@pytest.mark.parametrize(
    "faults",
    [
        [crash("worker", at_s=BIDDING - 5, for_s=5), crash("worker", at_s=COLLECTING + 4, for_s=4)],
        [crash("worker", at_s=SUBMITTING - 4, for_s=3)],
        [crash("worker", at_s=SUBMITTING + 5, for_s=10)],
    ],
    ids=["before the bid and on the way", "between hash and data", "after the data"],
)
def test_workers_that_start_again_open_what_they_committed_to(faults, undisturbed, tmp_path):
    _, cycle, balances = disturbed(tmp_path, *faults)
    assert cycle["committed"] == cycle["submitted"] == cycle["selected"]
    assert balances == undisturbed


def test_requesters_that_forget_everything_find_it_on_the_ledger(undisturbed, tmp_path):
    run, cycle, balances = disturbed(
        tmp_path, crash("requester", at_s=BIDDING - 5, for_s=2), crash("requester", at_s=REVIEWING, for_s=1)
    )
    assert cycle["disputed"] == cycle["answered"] == cycle["rewards"] == 12
    kept = [
        reading for name in ("requester-01", "requester-02") for reading in run.swarm.actors[name].campaigner.readings
    ]
    assert len(kept) == 12
    assert balances == undisturbed


@pytest.mark.parametrize("kind", ["pow", "ordered"])
def test_what_cannot_reach_its_requester_is_handed_over_on_the_ledger(kind, undisturbed, tmp_path):
    """Phones that cannot reach each other at all, for the whole of the cycle."""
    cut = {"kind": "partition", "at_s": 1.0, "groups": [["worker"], ["requester"]]}
    run, cycle, balances = disturbed(tmp_path, cut, ledger__kind=kind)
    assert of_kind(run.journal, "sensed_sent") == []
    assert Counter(record["task"] for record in of_kind(run.journal, "sensed_unsent")).keys() == set(range(6))
    assert cycle["disputed"] == cycle["answered"] == 12
    assert len(of_kind(run.journal, "sensed")) == 12
    assert balances == undisturbed


def test_an_ordered_ledger_without_idle_blocks(tmp_path):
    """The organizer's is the first transaction, and no block tells it that its ledger is where others' are.

    Nor does one come to seed a draw while everybody waits for it: the cycle is void, and costs nobody anything.
    """
    scenario = square(ledger__kind="ordered", ledger__ordered={"batch": {"idle_ms": 0}})
    run = simulate(scenario, tmp_path, seconds=SECONDS)
    assert what_went_wrong(run.report) == []
    ((cycle,), balances, locked) = campaigns(run.report)
    assert (cycle["bids"], cycle["phase"], cycle["void"], locked) == (6, "closed", True, 0)
    assert set(balances.values()) == {FUNDS}


def test_one_requester_publishes_and_disputes_all(tmp_path):
    """More than could be done one after the other, each in a block of its own."""
    cut = {"kind": "partition", "at_s": 1.0, "groups": [["worker"], ["requester"]]}
    tasks = {"count": 16, "samples": 2, "interval_s": 6.0}
    _, cycle, balances = disturbed(tmp_path, cut, population__requester__count=1, campaign__tasks=tasks)
    assert cycle["tasks"] == 16
    assert cycle["disputed"] == cycle["answered"] == cycle["rewards"] >= 24
    assert balances["requester-01"] == FUNDS - cycle["rewarded_micro"]


@pytest.mark.slow
def test_lossy_links(undisturbed, tmp_path):
    _, _, balances = disturbed(
        tmp_path,
        seconds=SECONDS + 130,
        network__loss=0.03,
        network__jitter_ms=20.0,
        ledger__finality_depth=5,
        campaign__phases=PHASES_S | {"publishing": 30.0, "bidding": 40.0, "collection": 50.0, "submission": 54.0},
    )
    assert balances == undisturbed


@pytest.mark.parametrize("at_s", [pytest.param(BIDDING - 6, marks=pytest.mark.slow), SELECTING + 1])
def test_ledger_nodes_that_were_cut_off_for_some_seconds(at_s, undisturbed, tmp_path):
    cut = {"kind": "partition", "at_s": at_s, "groups": [["organizer", "oracle"], ["rest"]], "for_s": 2.5}
    _, _, balances = disturbed(tmp_path, cut, ledger__finality_depth=5, campaign__oracles__seconds=12.0)
    assert balances == undisturbed


@pytest.mark.parametrize("kind", ["pow", "ordered"])
def test_a_dead_organizers_phases_are_moved_by_oracles_who_are_paid_for_it(kind, undisturbed, tmp_path):
    """From publishing on, but for the payments: it is back for these."""
    run, _, balances = disturbed(
        tmp_path,
        crash("organizer-01", at_s=PUBLISHING + 3, for_s=118),
        seconds=SECONDS + 30,
        ledger__kind=kind,
        campaign__phases=PHASES_S | {"bidding": 16.0, "submission": 32.0},
    )
    moved = {name: count for (name, method), count in did(run.journal).items() if method == "advance"}
    assert moved.pop("organizer-01") == 1
    assert sum(moved.values()) == 5
    oracles = {name for name in balances if name.startswith("oracle")}
    assert {name: (balances[name] - FUNDS) // 500_000 for name in oracles if balances[name] != FUNDS} == moved
    assert balances["organizer-01"] == FUNDS - 5 * 500_000
    others = balances.keys() - {*oracles, "organizer-01"}
    assert {name: balances[name] for name in others} == {name: undisturbed[name] for name in others}


@pytest.mark.parametrize("kind", ["pow", "ordered"])
def test_a_drawn_oracle_that_is_down_is_replaced_and_fined(kind, undisturbed, tmp_path):
    struck, ended = [], {}

    async def script(swarm):
        ledger = organizer(swarm).ledger
        while not struck:
            found = await standing(swarm)
            if found is not None and found.campaign.phase == SELECTION:
                made = await ledger.query("campaign", "draw", found.campaign.id)
                struck.extend(drawn_now(swarm, found, made) or ())
            await trio.sleep(0.02)
        swarm.stop(struck[0])
        await trio.sleep(40)
        swarm.start(struck[0])
        await trio.sleep(55)
        assert (await standing(swarm)).campaign.phase == CLOSED
        for member in swarm.members:
            ended[member.name] = await ledger.query("accounts", "balance", member.identity.account)

    journal = tmp_path / "journal.jsonl"
    play(square(ledger__kind=kind, campaign__phases__selection=26.0), script, journal=journal)
    done = did(read_journal(journal))
    replacers = [name for name, method in done if method == "replace_oracle"]
    (returner,) = [name for name, method in done if method == "return_selection"]
    assert len(struck) == len(replacers) == 1
    assert returner != struck[0] and replacers[0] != struck[0]
    expected = undisturbed | {struck[0]: FUNDS - 2_000_000, replacers[0]: FUNDS + 2_000_000}
    assert {name: ended[name] for name in expected} == expected
