"""Campaigns behind the user interface's seam, against a real swarm in virtual time: a cycle with a human's part in it."""

from functools import partial

import pytest
import trio

from actors.control import CommandRefusedError, UnknownActorError, UnknownRecordError
from actors.swarm_control import SwarmControl
from chain.contracts.accounts import balance_of
from tests.actors.simulated import play, small

FUNDS = 100_000_000
SQUARE = {
    "systems": ["campaign"],
    "place__name": "Square",
    "place__lat_min": 44.49,
    "place__lat_max": 44.490899,
    "place__lon_min": 11.34,
    "place__lon_max": 11.341261,
    "population__organizer__count": 1,
    "population__oracle__count": 2,
    "population__requester__count": 2,
    "population__worker__count": 4,
    "population__facility__count": 0,
    "campaign__cycles": 1,
    "campaign__funds": FUNDS,
    "campaign__tasks__count": 3,
    "campaign__tasks__samples": 4,
}
"""Four samples of each task, and four workers: all of them are selected."""
FAR = 44.55
"""Some 6 km to the north: nobody who walks there is in time."""


async def reach(campaigns, actor, phase):
    """Wait until the only campaign is in a phase; returns its line."""
    with trio.fail_after(120):
        while True:
            rows = await campaigns.campaigns(actor)
            if rows and rows[0].phase == phase:
                return rows[0]
            await trio.sleep(0.25)


async def refusal(command):
    with pytest.raises(CommandRefusedError) as caught:
        await command()
    return caught.value


async def publish(campaigns, line, view, actor, **changes):
    collection = next(phase for phase in view.phases if phase.name == "collection")
    task = {"lat": FAR, "lon": 11.34, "reward": 2_000_000, "samples": 1, "interval_ms": 5_000}
    task["time_ms"] = collection.starts_ms + 15_000
    return await campaigns.publish_task(actor, line.id, **task | changes)


async def watch_updates(control, seen):
    async with control.updates() as stream:
        async for update in stream.channel:
            if update.kind == "campaign":
                seen.append(update.data)


async def publish_by_hand(control, line, view):
    """Two tasks of two people at once, and what is refused; returns the numbers."""
    campaigns, numbers = control.campaigning, []

    async def one(actor):
        numbers.append(await publish(campaigns, line, view, actor))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, "requester-01")
        nursery.start_soon(one, "worker-04")
    for changes, reason in (
        ({"reward": FUNDS}, "insufficient_balance"),
        ({"time_ms": 5}, "time_out_of_collection"),
        ({"samples": 99}, "bad_samples"),
    ):
        refused = await refusal(partial(publish, campaigns, line, view, "requester-01", **changes))
        assert refused.reason == reason and refused.detail
    refused = await refusal(partial(campaigns.bid, "worker-01", line.id))
    assert refused.reason == "wrong_phase"
    return sorted(numbers)


async def bid_by_hand(control, line, far):
    """A path past all that is near, after all that is refused."""
    campaigns = control.campaigning
    near = sorted(task.number for task in (await campaigns.campaign("worker-01", line.id)).tasks if task.lat < FAR)
    assert len(near) == 3
    refused = await refusal(partial(campaigns.plan, "miner-01", line.id))
    assert refused.reason == "not_a_worker" and "miner-01 is a miner" in refused.detail
    refused = await refusal(partial(campaigns.plan, "worker-01", line.id, [64]))
    assert (refused.reason, refused.detail) == ("unknown_task", "64")
    refused = await refusal(partial(campaigns.plan, "worker-01", line.id, [far]))
    assert refused.reason == "cannot_walk" and "within reach together: none" in refused.detail
    refused = await refusal(partial(campaigns.bid, "worker-01", line.id, [*near, far]))
    assert refused.reason == "cannot_walk"
    assert f"no way leads to {far} in time" in refused.detail
    assert f"within reach together: {', '.join(map(str, near))}" in refused.detail
    plan = await campaigns.plan("worker-01", line.id, [*near, far])
    assert (sorted(stop.task for stop in plan.path), list(plan.left_out)) == (near, [far])
    assert [stop.arrival_ms for stop in plan.path] == sorted(stop.arrival_ms for stop in plan.path)
    assert plan.departs_ms <= plan.path[0].arrival_ms and plan.distance_m > 100
    bids = (await campaigns.campaign("worker-01", line.id)).bids
    assert not any(bid.mine for bid in bids), "nothing is sent by planning, and who is attended waits for its human"
    made = await campaigns.bid("worker-01", line.id, near)
    assert made.path == plan.path, "what is bid is what was planned"
    refused = await refusal(partial(campaigns.bid, "worker-01", line.id))
    assert refused.reason == "bid_twice"
    view = await campaigns.campaign("worker-01", line.id)
    (mine,) = [bid for bid in view.bids if bid.mine]
    assert (mine.path, mine.stage, mine.deposit, mine.earned) == (plan.path, "bid", 500_000, 0)


def check_selection(view, far):
    """All paths are taken, by the oracle that was drawn."""
    assert (view.result.paths, list(view.result.uncovered)) == (4, far)
    assert {bid.stage for bid in view.bids} == {"selected"}
    assert {(len(bid.wins), bid.earned) for bid in view.bids} == {(3, 3_000_000)}
    assert [oracle.stake for oracle in view.oracles] == [5_000_000] * 2
    assert {(oracle.drawn, oracle.returned) for oracle in view.oracles} == {(True, True), (False, False)}
    assert [oracle.account for oracle in view.oracles if oracle.returned] == list(view.result.oracles)
    for task in view.tasks:
        assert (task.selected, len(task.winners), task.paid) == ((0, 0, None) if task.number in far else (4, 4, None))
        best = {bid.worker: stop.quality for bid in view.bids for stop in bid.path if stop.task == task.number}
        assert list(task.winners) == sorted(task.winners, key=lambda worker: -best[worker])


async def check_end(control, swarm, line, far):
    """All is paid out, the pages tell where each micro-credit is, and balances agree."""
    campaigns = control.campaigning
    with trio.fail_after(60):
        while True:
            view = await campaigns.campaign("requester-01", line.id)
            totals = {(purse.purse, kind): amount for purse in view.purses for kind, amount in purse.paid}
            # What is held a gateway tells, what was paid the book: one may have the last blocks before the other.
            if totals.get(("oracle", "returned"), 0) == 10_000_000 and not any(purse.held for purse in view.purses):
                break
            await trio.sleep(0.25)
    assert view.summary.phase == "closed" and view.summary.settled and not view.summary.void
    assert [phase.standing for phase in view.phases] == ["over"] * 6
    assert totals == {
        ("task", "rewarded"): 12_000_000,
        ("task", "unspent"): 4_000_000,
        ("bid", "returned"): 2_000_000,
        ("bond", "returned"): 3_000_000,
        ("oracle", "returned"): 10_000_000,
    }
    assert all(purse.locked == purse.held + sum(amount for _, amount in purse.paid) for purse in view.purses)
    assert {task.paid for task in view.tasks} == {0, 4_000_000}
    assert {bid.stage for bid in view.bids} == {"paid"}
    assert view.oracles == [], "they took their stakes back"
    spent = {flow.task: (flow.source, flow.target) for flow in view.flows if flow.kind == "unspent"}
    assert sorted(spent) == far
    assert {source for source, _ in spent.values()} == {target for _, target in spent.values()}
    assert sum(task.mine for task in view.tasks) == sum(
        task.requester == control.actor("requester-01").summary.id for task in view.tasks
    )

    worker = control.actor("worker-01")
    earned = next(bid.earned for bid in view.bids if bid.worker == worker.summary.id)
    assert earned == 3_000_000
    assert {(entry.cause, entry.campaign, entry.report, entry.final) for entry in worker.rewards} == {
        ("campaign", line.id, None, True)
    }
    assert sum(entry.amount for entry in worker.rewards) == earned, "a deposit that comes back is no reward"
    core = swarm.full_nodes[0].core
    assert balance_of(core.final_state, swarm.actors["worker-01"].identity.account) == FUNDS + earned
    block = await control.block("miner-01", str(worker.rewards[0].height))
    assert (worker.summary.id, "campaign", worker.rewards[0].amount) in block.rewards


def test_a_cycle_with_a_human_in_it():
    async def script(swarm):
        control = SwarmControl(swarm)
        campaigns, seen = control.campaigning, []
        assert campaigns.count() == 0 == control.run().campaigns
        assert await campaigns.campaigns("worker-01") == []
        await control.attend("worker-01", attended=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_updates, control, seen)
            line = await reach(campaigns, "requester-01", "publishing")
            view = await campaigns.campaign("requester-01", line.id)
            assert (view.terms.stake, view.terms.max_speed_m_s) == (5_000_000, 12.0)
            assert [phase.standing for phase in view.phases] == ["over", "now", *["to_come"] * 4]
            assert view.summary.ends_ms == view.phases[1].ends_ms == view.phases[2].starts_ms - 1
            assert control.run().campaigns == 1
            far = await publish_by_hand(control, line, view)
            assert len(set(far)) == 2
            await reach(campaigns, "worker-01", "bidding")
            await bid_by_hand(control, line, far[0])
            await reach(campaigns, "worker-01", "collection")
            check_selection(await campaigns.campaign("worker-01", line.id), far)
            await reach(campaigns, "worker-01", "closed")
            await check_end(control, swarm, line, far)
            nursery.cancel_scope.cancel()
        assert {data["campaign"] for data in seen} == {line.id}
        begun = [data["phase"] for data in seen if data["phase"]]
        assert list(dict.fromkeys(begun)) == [
            "registration", "publishing", "bidding", "selection", "collection", "submission", "done", "closed",
        ]  # fmt: skip
        assert {"published", "bid", "selected", "rewarded"} <= {data["event"] for data in seen}
        assert swarm.world.errors == []

    play(small(**SQUARE), script)


def test_what_does_not_exist__reject():
    async def script(swarm):
        campaigns = SwarmControl(swarm).campaigning
        task = {"lat": 0, "lon": 0, "reward": 1, "samples": 1, "time_ms": 1, "interval_ms": 1}
        for ask in (campaigns.campaign, campaigns.plan, campaigns.bid, partial(campaigns.publish_task, **task)):
            for unknown in ("00" * 32, "xyz", ""):
                with pytest.raises(UnknownRecordError):
                    await ask("worker-01", unknown)
            with pytest.raises(UnknownActorError, match="nobody"):
                await ask("nobody", "00" * 32)
        with pytest.raises(UnknownRecordError):
            await campaigns.campaigns("worker-01", after="00" * 32)
        with pytest.raises(UnknownActorError):
            await campaigns.campaigns("nobody")
        assert await campaigns.campaigns("miner-01") == [], "a run without campaigns"

    play(small(), script)
