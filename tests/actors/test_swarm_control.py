"""What an interface is shown of a swarm, and what it may do: each method against a real swarm in virtual time."""

from functools import partial

import pytest
import trio

from actors.control import CommandRefusedError, LedgerUnavailableError, UnknownActorError, UnknownRecordError
from actors.scenario import ROLES
from actors.sensing.mobility import Point
from actors.swarm_control import MAX_STREAMS, SwarmControl
from actors.views import actor_id
from chain.contracts.accounts import balance_of
from tests.actors.simulated import play, small, until

# Windows so wide that no gap between blocks that chance allows lets a vote come too late.
QUIET = {
    "reports__per_minute": 1e-6,
    "spatial__vote_window_ms": 12_000,
    "spatial__reveal_window_ms": 12_000,
}


def staged(script, **changes):
    """Play a script that gets the swarm and a control over it."""

    async def act(swarm):
        await script(swarm, SwarmControl(swarm))

    play(small(**QUIET | changes), act)


async def settled(control, report, *statuses):
    """Wait until a report has one of these statuses, as the MEC node sees it; returns it."""
    with trio.fail_after(60):
        while True:
            try:
                shown = await control.report("mec-01", report)
            except UnknownRecordError:
                shown = None
            if shown is not None and shown.status in statuses:
                return shown
            await trio.sleep(0.1)


async def confirmed_report(swarm, control):
    """Have a report submitted and confirmed; returns its id."""
    where = swarm.actors["requester-01"].where()
    submitted = await control.submit_report("requester-01", "fire", where.lat, where.lon)

    await settled(control, submitted.report, "confirmed", "in_review", "closed")
    return submitted.report


def test_the_run_and_its_actors():
    async def script(swarm, control):
        await until(lambda: control.run().final_height > 2)
        run = control.run()
        assert (run.scenario, run.seed, run.world, run.actors) == ("small", 3, "simulate", 14)
        assert run.roles == [("requester", 2), ("worker", 8), ("miner", 2), ("mec", 1), ("facility", 1)]
        assert run.height == run.final_height + run.finality_depth
        assert run.now_ms > run.started_ms
        assert (run.place.lat_min, run.place.lon_max) == (44.4, 11.5)
        assert "fire" in run.report_types
        assert dict(run.reports)["pending"] == 0

        actors = control.actors()
        assert [(a.role, a.name) for a in actors] == sorted(
            ((m.role, m.name) for m in swarm.members), key=lambda a: (ROLES.index(a[0]), a[1])
        )
        for summary in actors:
            actor = swarm.actors[summary.name]
            core = getattr(actor.node, "core", swarm.full_nodes[0].core)
            assert summary.id == actor_id(actor.identity.account) == str(actor.identity.peer_id)
            assert summary.state == "running"
            assert not summary.attended
            assert summary.peers >= 1
            assert summary.balance == balance_of(core.final_state, actor.identity.account)
        await until(lambda: len({node.core.final.height for node in swarm.full_nodes}) == 1)
        assert sum(a.balance for a in control.actors()) == swarm.full_nodes[0].core.final.height * 1_000_000

    staged(script)


def test_one_actor_by_id_or_name():
    async def script(swarm, control):
        worker = swarm.actors["worker-01"]
        await until(lambda: worker.node.mec is not None)
        shown = control.actor(str(worker.identity.peer_id))
        assert shown == control.actor("worker-01")
        assert shown.position == (worker.where().lat, worker.where().lon)
        assert (shown.gateway, shown.summary.ledger_node, shown.can_vote) == ("mec-01", False, True)
        miner = control.actor("miner-01")
        assert (miner.position, miner.gateway, miner.summary.ledger_node, miner.can_vote) == (None, None, True, False)
        assert control.actor("mec-01").position == (
            swarm.actors["mec-01"].where().lat,
            swarm.actors["mec-01"].where().lon,
        )

    staged(script)


def test_unknown_actor__reject():
    async def script(swarm, control):
        for ask in (control.actor, control.ballots):
            with pytest.raises(UnknownActorError, match="nobody"):
                ask("nobody")
        for ask in (
            control.reports, control.blocks, control.mempool, partial(control.report, report="00" * 32),
            partial(control.attend, attended=True), partial(control.block, ref="0"),
            partial(control.vote, report="00" * 32, confirm=True),
            partial(control.submit_report, type_="fire", lat=0, lon=0),
            partial(control.nearby, type_="fire", lat=0, lon=0),
        ):  # fmt: skip
            with pytest.raises(UnknownActorError, match="nobody"):
                await ask("nobody")
        with pytest.raises(UnknownActorError, match="nobody"):
            async with control.updates("nobody"):
                pass

    staged(script)


def test_a_report_from_submission_to_its_end():
    async def script(swarm, control):
        report = await confirmed_report(swarm, control)
        requester, where = swarm.actors["requester-01"], swarm.actors["requester-01"].where()
        shown = await control.report("requester-01", report)
        assert shown.mine and not (await control.report("requester-02", report)).mine
        assert (shown.type, shown.lat, shown.lon) == ("fire", *(x / 1e7 for x in where.e7))
        assert shown.requester == str(requester.identity.peer_id)
        assert len(shown.workers) == shown.votes_confirm >= 2
        assert set(shown.workers) <= {str(a.identity.peer_id) for a in swarm.actors.values() if a.role == "worker"}
        assert [status for status, _ in shown.history][:3] == ["pending", "assigned", "confirmed"]
        times = [at for _, at in shown.history]
        assert times == sorted(times)

        near = await control.nearby("requester-02", "fire", where.lat, where.lon)
        assert [row.id for row in near] == [report]
        assert await control.nearby("requester-02", "waste", where.lat, where.lon) == []
        away = Point(where.lat, where.lon).moved(150, 0)
        assert await control.nearby("requester-02", "fire", away.lat, away.lon) == []

        assert (await settled(control, report, "closed")).outcome == "repaired"

        second = (await control.submit_report("requester-02", "fire", away.lat, away.lon)).report
        await settled(control, second, "pending", "assigned")
        rows = await control.reports("worker-01")
        assert [row.id for row in rows] == [second, report]
        assert [row.id for row in await control.reports("worker-01", limit=1)] == [second]
        assert [row.id for row in await control.reports("worker-01", after=second)] == [report]
        assert [row.id for row in await control.reports("worker-01", status="closed")] == [report]
        assert await control.reports("worker-01", status="rejected") == []
        # Who reported is not told before the tally.
        assert (await control.report("worker-01", second)).requester is None

    staged(script)


def test_unknown_records__reject():
    async def script(swarm, control):
        for report in ("00" * 32, "no hex", "00" * 31, "é" * 64, ""):
            with pytest.raises(UnknownRecordError):
                await control.report("worker-01", report)
            with pytest.raises((UnknownRecordError, CommandRefusedError)):
                await control.vote("worker-01", report, confirm=True)
        for ref in ("999999", "9" * 30, "ff" * 32, "-1", "head", ""):
            with pytest.raises(UnknownRecordError):
                await control.block("worker-01", ref)
        with pytest.raises(UnknownRecordError):
            await control.reports("worker-01", status="lost")
        with pytest.raises(UnknownRecordError):
            await control.reports("worker-01", after="00" * 32)

    staged(script)


def test_blocks_of_ledger_nodes_and_light_actors_are_the_same():
    async def script(swarm, control):
        await until(lambda: control.run().final_height > 5)
        for who in ("worker-01", "mec-01"):
            rows = await control.blocks(who, limit=4)
            head = rows[0].height
            assert [row.height for row in rows] == [head, head - 1, head - 2, head - 3]
            assert [row.final for row in rows] == [False, False, True, True]
            below = await control.blocks(who, before=2, limit=10)
            assert [row.height for row in below] == [1, 0]
            block = await control.block(who, "1")
            assert block.summary.id == below[0].id and block.summary.final
            assert block.parent == below[1].id
            assert block == await control.block(who, block.summary.id)
            assert block.rewards[0][1:] == ("miner", 1_000_000)
            assert (await control.block(who, "0")).rewards == []

    staged(script)


def test_the_mempool_and_the_block_show_a_transaction():
    async def script(swarm, control):
        where = swarm.actors["requester-01"].where()
        submitted = await control.submit_report("requester-01", "fire", where.lat, where.lon)
        (waiting,) = await control.mempool("worker-01")
        assert (waiting.id, waiting.contract, waiting.method, waiting.ok) == (
            submitted.report,
            "spatial",
            "submit",
            None,
        )
        assert [name for name, _ in waiting.arguments] == ["type", "lat_e7", "lon_e7", "time_ms"]
        assert waiting.arguments[0] == ("type", "fire")
        assert waiting.sender == str(swarm.actors["requester-01"].identity.peer_id)
        core = swarm.full_nodes[0].core
        block, _, _ = await until(lambda: core.receipt(bytes.fromhex(submitted.report)))
        shown = await control.block("worker-01", str(block.header.height))
        (done,) = shown.transactions
        assert (done.id, done.ok, done.reason) == (submitted.report, True, "")
        assert done.events[0][0] == "spatial.submitted"
        assert await control.mempool("mec-01") == []

    staged(script)


@pytest.mark.parametrize(
    "type_, lat, lon, reason",
    [("ufo", 44.5, 11.3, "unknown_type"), ("fire", 95, 11.3, "out_of_range"), ("fire", 0, 0, "out_of_place")],
)
@pytest.mark.parametrize("who", ["requester-01", "worker-01", "mec-01"])
def test_submit__reject(who, type_, lat, lon, reason):
    async def script(swarm, control):
        with pytest.raises(CommandRefusedError) as refused:
            await control.submit_report(who, type_, lat, lon)
        assert refused.value.reason == reason
        assert refused.value.detail

    staged(script)


def test_submit_twice__reject():
    async def script(swarm, control):
        where = swarm.actors["requester-01"].where()
        first = await control.submit_report("requester-01", "fire", where.lat, where.lon)
        with pytest.raises(CommandRefusedError) as refused:
            await control.submit_report("requester-01", "fire", where.lat, where.lon)
        assert (refused.value.reason, refused.value.detail) == ("duplicate_report", first.report)

    staged(script)


def test_nobody_to_ask__reject():
    async def script(swarm, control):
        swarm.actors["worker-01"].ledger._gateways = list
        for ask in (control.reports, control.blocks, control.mempool):
            with pytest.raises(LedgerUnavailableError, match="no gateway answers"):
                await ask("worker-01")
        with pytest.raises(LedgerUnavailableError):
            await control.submit_report("worker-01", "fire", 44.5, 11.3)

    staged(script)


# Votes. --------------------------------------------------------------------------------------------------------------


async def open_ballots(swarm, control):
    """Submit a report and wait for its ballots; returns (report, workers asked)."""
    await until(lambda: len(swarm.actors["mec-01"]._presence) == 8)
    where = swarm.actors["requester-01"].where()
    report = (await control.submit_report("requester-01", "fire", where.lat, where.lon)).report
    workers = [actor for actor in swarm.actors.values() if actor.role == "worker"]
    return report, await until(
        lambda: len(found := [w.name for w in workers if bytes.fromhex(report) in w.tasks]) == 3 and found
    )


SLOW = {"population__worker__look_ms": [3_000, 3_500], "spatial__vote_window_ms": 10_000}


def test_a_humans_vote_replaces_the_actors():
    async def script(swarm, control):
        report, asked = await open_ballots(swarm, control)
        (ballot,) = control.ballots(asked[0])
        assert (ballot.report, ballot.type, ballot.stage, ballot.choice) == (report, "fire", "open", None)
        assert ballot.deadline_ms > control.run().now_ms
        assert ballot.distance_m > 0
        for name in asked[:2]:
            await control.vote(name, report, confirm=False)  # there is a fire; the actors would confirm
            assert control.ballots(name)[0].decided_by == "human"
        shown = await settled(control, report, "confirmed", "rejected", "expired", "closed")
        assert shown.status == "rejected"
        assert (shown.type, shown.lat, shown.workers) == (None, None, [])
        stages = {name: control.ballots(name)[0] for name in asked}
        assert [(b.choice, b.decided_by, b.stage) for b in stages.values()] == [
            (False, "human", "revealed"), (False, "human", "revealed"), (True, "actor", "revealed"),
        ]  # fmt: skip

    staged(script, **SLOW)


def test_an_attended_worker_waits_for_its_human():
    async def script(swarm, control):
        workers = [a.name for a in control.actors() if a.role == "worker"]
        for name in workers:
            await control.attend(name, attended=True)
        assert all(a.attended for a in control.actors() if a.role == "worker")
        report, (patient, prompt, _) = await open_ballots(swarm, control)
        await trio.sleep(5)  # longer than an actor of its own would take
        assert control.ballots(patient)[0].stage == control.ballots(prompt)[0].stage == "open"
        await control.vote(prompt, report, confirm=True)
        await until(lambda: control.ballots(prompt)[0].stage == "committed")
        with pytest.raises(CommandRefusedError) as refused:
            await control.vote(prompt, report, confirm=False)
        assert refused.value.reason == "vote_cast"
        await until(lambda: control.ballots(patient)[0].stage == "missed")
        with pytest.raises(CommandRefusedError) as refused:
            await control.vote(patient, report, confirm=True)
        assert refused.value.reason == "vote_window_closed"
        await until(lambda: control.ballots(prompt)[0].stage == "revealed")
        assert swarm.world.errors == []

    staged(script, **SLOW)


def test_vote__reject_who_is_not_asked():
    async def script(swarm, control):
        report, asked = await open_ballots(swarm, control)
        others = [a.name for a in control.actors() if a.role == "worker" and a.name not in asked]
        with pytest.raises(CommandRefusedError) as refused:
            await control.vote(others[0], report, confirm=True)
        assert refused.value.reason == "no_ballot"
        for name in ("requester-01", "miner-01"):
            with pytest.raises(CommandRefusedError) as refused:
                await control.vote(name, report, confirm=True)
            assert refused.value.reason == "not_a_worker"
        assert control.ballots("miner-01") == []

    staged(script)


def test_attend__reject_who_decides_nothing():
    async def script(swarm, control):
        for name in ("miner-01", "mec-01", "facility-01"):
            with pytest.raises(CommandRefusedError) as refused:
                await control.attend(name, attended=True)
            assert refused.value.reason == "cannot_be_attended"

    staged(script)


def test_an_attended_requester_reports_nothing_of_its_own():
    async def script(swarm, control):
        await control.attend("requester-01", attended=True)
        await control.attend("requester-02", attended=True)
        await trio.sleep(15)
        assert sum(n for _, n in control.run().reports) == 0
        await control.attend("requester-01", attended=False)
        await until(lambda: sum(n for _, n in control.run().reports))

    staged(script, reports__per_minute=30)


# What happens. -------------------------------------------------------------------------------------------------------


def test_updates_tell_what_happens_to_whom():
    async def script(swarm, control):
        seen, mine = [], []

        async def listen(stream, into):
            async for update in stream.channel:
                into.append(update)

        async with (
            control.updates() as all_of_it,
            control.updates(str(swarm.actors["requester-01"].identity.peer_id)) as own,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen, all_of_it, seen)
                nursery.start_soon(listen, own, mine)
                report = await confirmed_report(swarm, control)
                await control.attend("worker-01", attended=True)
                await control.attend("requester-01", attended=True)
                await trio.sleep(5)
                nursery.cancel_scope.cancel()
            assert all_of_it.dropped == own.dropped == 0
        kinds = {update.kind for update in seen}
        assert kinds == {"block", "report", "reward", "ballot", "actor"}
        heights = [update.data["height"] for update in seen if update.kind == "block"]
        assert len(heights) > 5
        steps = [u.data["event"] for u in seen if u.kind == "report" and u.data["report"] == report]
        assert steps[:2] == ["submitted", "assigned"] and "confirmed" in steps
        assert [u.data["cause"] for u in mine if u.kind == "reward"] == ["requester"]
        assert [u.data["attended"] for u in mine if u.kind == "actor" and "attended" in u.data] == [True]
        assert not [u for u in mine if u.kind == "ballot"]
        assert [u.time_ms for u in seen] == sorted(u.time_ms for u in seen)

    staged(script)


def test_a_slow_reader_loses_the_oldest_and_is_told():
    async def script(swarm, control):
        async with control.updates(buffer=5) as stream, control.updates(buffer=1_000) as quick:
            await until(lambda: stream.dropped >= 3)
            dropped = stream.dropped
            kept = [await stream.channel.receive() for _ in range(7)]  # two are on their way when the buffer fills
            assert quick.dropped == 0
            everything = [await quick.channel.receive() for _ in range(dropped + 7)]
            assert kept[:2] == everything[:2]
            assert kept[2:] == everything[-5:]

    staged(script, reports__per_minute=30)


def test_streams_are_bounded_and_given_back():
    async def script(swarm, control):
        from contextlib import AsyncExitStack

        async with AsyncExitStack() as stack:
            for _ in range(MAX_STREAMS):
                await stack.enter_async_context(control.updates())
            with pytest.raises(LedgerUnavailableError, match="256 browsers"):
                async with control.updates():
                    pass
        async with control.updates():
            pass

    staged(script)


def test_rewards_are_pending_until_final():
    async def script(swarm, control):
        seen_pending = False
        report = None
        where = swarm.actors["requester-01"].where()
        report = (await control.submit_report("requester-01", "fire", where.lat, where.lon)).report
        while True:
            shown = control.actor("requester-01")
            assert shown.pending_reward == sum(entry.amount for entry in shown.rewards if not entry.final)
            # Balances are those of one replica; which rewards are final, of the first to know.
            if swarm.tally.height == swarm.full_nodes[0].core.final.height:
                assert shown.summary.balance == sum(entry.amount for entry in shown.rewards if entry.final)
            if shown.pending_reward:
                seen_pending = True
                assert (shown.rewards[0].cause, shown.rewards[0].report) == ("requester", report)
            elif shown.rewards:
                break
            await trio.sleep(0.1)
        assert seen_pending
        assert len(shown.rewards) == 1

        miner = control.actor("miner-01")
        assert {entry.cause for entry in miner.rewards} == {"miner"}
        assert [entry.height for entry in miner.rewards] == sorted((e.height for e in miner.rewards), reverse=True)
        assert len(miner.rewards) <= 50

    staged(script)
