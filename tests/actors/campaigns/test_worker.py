"""A worker bids what the contract takes, whatever there is to be sensed, and walks what it bid."""

from collections import Counter
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.campaign_config import CampaignConfig, WalkConfig
from actors.campaigns.worker import COMMIT_MS, CampaignWorker
from chain.contracts.campaign_records import BIDDING, COLLECTION, PUBLISHING
from tests.actors.campaigns import algorithms
from tests.actors.campaigns.square import campaigns, did, square, standing
from tests.actors.simulated import play, simulate
from tests.chain.campaign_town import REQUESTER, WORKERS, Fair
from tests.checkers import of_kind

PHASES_MS = (1_000, 60_000, 60_000, 20_000, 31_000, 20_000)
FAIRS = {
    max_speed: Fair(durations_ms=PHASES_MS, max_speed_mm_s=max_speed).to(PUBLISHING)
    for max_speed in (0, 3_000, 10_000, 2_000_000)
}


@pytest.fixture(scope="module")
def node():
    """A phone's, of a square that has just begun: what it plans does not depend on what happens there."""
    nodes = []

    async def script(swarm):
        nodes.append(swarm.actors["worker-01"].node)
        await trio.lowlevel.checkpoint()

    play(square(), script)
    return nodes[0]


def worker(node, planner="greedy", speed_m_s=10.0, limit_m=400.0) -> CampaignWorker:
    walk = WalkConfig(speed_m_s=speed_m_s, limit_m=limit_m, planner=planner)
    return CampaignWorker(node, CampaignConfig(walk=walk), 0)


# In and around the square, to 1 cm; times in collection and intervals in milliseconds, also odd ones.
tasks = st.lists(
    st.fixed_dictionaries(
        {
            "lat_e7": st.integers(444_900_000, 444_908_990),
            "lon_e7": st.integers(113_400_000, 113_412_610),
            "late_ms": st.integers(0, 30_999),
            "interval_ms": st.sampled_from([1, 2, 333, 5_000, 9_999, 60_000]),
        }
    ),
    min_size=1,
    max_size=12,
)


@given(
    tasks=tasks,
    max_speed=st.sampled_from(sorted(FAIRS)),
    speed=st.sampled_from([1.7, 3.0, 10.0, 333.3, 2_000.0, 10_000.0]),
    limit=st.sampled_from([120.0, 400.0, 1e6]),
    planner=st.sampled_from(["greedy", "improved"]),
)
def test_every_bid_is_taken(node, tasks, max_speed, speed, limit, planner):
    fair = FAIRS[max_speed].copy()
    begin_ms = fair.end_of("selection") + 1
    for number, task in enumerate(tasks):
        there = {key: task[key] for key in ("lat_e7", "lon_e7", "interval_ms")}
        fair.publish(REQUESTER, number, at_ms=begin_ms + task["late_ms"], **there)
    fair.move()
    assert fair.phase == BIDDING
    plan, path = worker(node, planner, speed, limit).plan(fair.standing, list(fair.tasks))
    if not path:
        assert all(second * 1000 > 31_000 - COMMIT_MS - 1_000 for _, second in plan.stops)
        return
    fair.here(WORKERS[0], "bid_path", 0, path)  # fails when it is refused
    (bid,) = fair.bids
    assert bid.path == path
    # Rounding moves nobody by more than a millisecond for each step.
    planned = {fair.tasks[task].number: begin_ms + second * 1000 for task, second in plan.stops}
    assert all(abs(planned[stop.task] - stop.arrival_ms) <= 1 + len(path) for stop in path)
    assert path[-1].arrival_ms <= fair.end_of(COLLECTION) - COMMIT_MS + 1


@pytest.mark.parametrize("planner", algorithms.PLANNERS, ids=lambda planner: planner.__name__)
def test_a_plan_that_is_not_sound__reject(node, planner):
    fair = FAIRS[0].copy()
    for number, east in ((0, 2_000), (1, 9_000)):
        fair.publish(REQUESTER, number, lat_e7=444_904_000, lon_e7=113_400_000 + east)
    with pytest.raises(ValueError, match=r"."):
        worker(node, f"{algorithms.HERE}:{planner.__name__}").plan(fair.standing, list(fair.tasks))


def test_a_scenarios_own_planner(tmp_path):
    """It visits one task where the greedy one visits several."""
    run = simulate(square(campaign__walk__planner=f"{algorithms.HERE}:nearest"), tmp_path, seconds=33)
    assert run.report["errors"] == []
    ((cycle,), _, _) = campaigns(run.report)
    assert (cycle["tasks"], cycle["bids"]) == (6, 6)
    bids = [record for record in of_kind(run.journal, "campaign") if record["did"] == "bid_path"]
    assert len(bids) == 6


def test_a_planner_that_fails_is_named_and_its_workers_go_on(tmp_path):
    run = simulate(
        square(campaign__walk__planner=f"{algorithms.HERE}:failing", campaign__cycles=2), tmp_path, seconds=160
    )
    errors = run.report["errors"]
    assert len(errors) == 12  # each worker, once a cycle
    assert {error.partition(": ")[2] for error in errors} == {"campaign.walk.planner: ZeroDivisionError: no way"}
    assert run.swarm.restarts == {}
    cycles, _, _ = campaigns(run.report)
    assert [(cycle["bids"], cycle["selected"]) for cycle in cycles] == [(0, 0), (0, 0)]
    assert len(of_kind(run.journal, "campaign_idle")) == 12


def test_nobody_walks_for_two_campaigns_at_once(tmp_path):
    run = simulate(square(population__organizer__count=2), tmp_path, seconds=33)
    cycles, _, _ = campaigns(run.report)
    assert [cycle["tasks"] for cycle in cycles] == [6, 6]
    bids = Counter({who: n for (who, method), n in did(run.journal).items() if method == "bid_path"})
    assert set(bids.values()) == {1} and len(bids) == sum(cycle["bids"] for cycle in cycles) == 6


def test_selected_workers_are_where_they_said(tmp_path):
    """Along the whole of their ways, and never faster than they walk."""
    seen: dict[str, list[tuple[int, object]]] = {}
    stops = []

    async def script(swarm):
        await trio.sleep(56)
        found = await standing(swarm)
        assert found.campaign.phase == COLLECTION
        ledger = swarm.actors["organizer-01"].ledger
        tasks = {t.number: t for t in await ledger.query("campaign", "tasks", found.campaign.id, 0)}
        bids = {b.worker: b for b in await ledger.query("campaign", "bids", found.campaign.id, 0)}
        for row in await ledger.query("campaign", "progress", found.campaign.id, 0):
            name = swarm.world.name_of(row.worker)
            stops.extend((name, stop.arrival_ms, tasks[stop.task]) for stop in bids[row.worker].path)
        while swarm.world.clock.now_ms() < found.ends_ms[4] - 2_000:
            for name in {name for name, _, _ in stops}:
                if swarm.actors[name].campaigner.where() is not None:
                    seen.setdefault(name, []).append((swarm.world.clock.now_ms(), swarm.actors[name].where()))
            await trio.sleep(0.1)

    play(square(), script)
    assert len(seen) > 1 and len(stops) > 6
    for name, arrival_ms, task in stops:
        at_ms, here = min(seen[name], key=lambda look: abs(look[0] - arrival_ms))
        lat, lon = task.lat_e7 / 1e7, task.lon_e7 / 1e7
        assert abs(at_ms - arrival_ms) <= 100
        assert here.distance_m(type(here)(lat, lon)) <= 10.0 * abs(at_ms - arrival_ms) / 1000 + 0.1
    for looks in seen.values():
        assert len(looks) > 100
        for (before_ms, one), (after_ms, other) in pairwise(looks):
            assert one.distance_m(other) <= 10.2 * (after_ms - before_ms) / 1000
