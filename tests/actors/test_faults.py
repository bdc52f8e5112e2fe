"""Faults strike a running population: who crashes, leaves, is slow or has a wrong clock, and what the others make of it."""

from collections import Counter
from pathlib import Path

import pytest

from actors.checkers import Bounds, check, conflicting_finality, messages_from_nowhere, mistrust
from actors.run import RunPlan, run_plan
from actors.scenario import load
from tests.actors.simulated import play, simulate, small, until
from tests.checkers import of_kind, read_journal, violations, what_went_wrong

BOUNDS = Bounds(settle_ms=30_000)
# Who comes back mines alone until it has found the others: two blocks on top are not enough then.
DEEP = {"ledger__finality_depth": 6}


def fault(at_s, kind, **keys):
    return {"at_s": at_s, "kind": kind, **keys}


@pytest.mark.parametrize("lose_disk", [False, True], ids=["disk kept", "disk lost"])
@pytest.mark.parametrize("name", ["miner-01", "mec-01", "facility-01"])
def test_a_crashed_ledger_node_comes_back(name, lose_disk, tmp_path):
    crash = fault(20, "crash", actors=[name], lose_disk=lose_disk, for_s=5)
    loaded = []

    def watch(swarm):
        lose = swarm.stores.lose
        swarm.stores.lose = lambda member: loaded.append(member.name) or lose(member)

    run = simulate(small(faults=[crash], **DEEP), tmp_path, watch=watch)
    assert what_went_wrong(run.report) == []
    assert check(run.journal, BOUNDS) == []
    mine = [(r["k"], r["t"]) for r in of_kind(run.journal, "up", "down") if r["a"] == name]
    assert [kind for kind, _ in mine] == ["up", "down", "up"]
    assert mine[1][1] == 20_000 and 25_000 <= mine[2][1] < 26_000
    assert of_kind(run.journal, "down")[0]["disk_lost"] is lose_disk
    # A store that was lost is opened anew, empty; what the node then has it got from others.
    assert loaded == [name] * lose_disk
    finals = [r["height"] for r in of_kind(run.journal, "final", "jumped") if r["a"] == name and r["t"] > 25_000]
    assert (min(finals) <= 2) is lose_disk
    heights = {node.name: node.core.final.height for node in run.swarm.full_nodes}
    assert heights[name] >= max(heights.values()) - 2
    assert run.swarm.restarts == {}
    assert run.report["reports"]["confirmed"] >= 3


def test_a_lost_disk_is_gone_from_the_file_system(tmp_path):
    """With stores on disk: who lost its file gets the first block once more, into another one."""
    data, path = tmp_path / "data", tmp_path / "journal.jsonl"
    lost = fault(10, "crash", actors=["mec-01", "miner-01"], for_s=1, lose_disk=True)
    scenario = small(faults=[lost, fault(10, "restart", actors=["miner-02"])], ledger__finality_depth=30)
    seen: list[set[str]] = []
    plan = RunPlan(
        scenario,
        "simulate",
        seconds=20.0,
        data=data,
        journal=path,
        on_progress=lambda _: seen.append({file.name for file in data.glob("*.sqlite")}),
    )
    run_plan(plan)
    assert len(seen[1]) == 4 and seen[-1] == seen[1]
    journal = read_journal(path)
    downs = {r["a"]: r["disk_lost"] for r in of_kind(journal, "down")}
    assert downs == {"mec-01": True, "miner-01": True, "miner-02": False}
    first_blocks = [r for r in of_kind(journal, "block") if r["height"] == 1]
    assert len({r["a"] for r in first_blocks if r["t"] < 10_000}) == 4
    assert {r["a"] for r in first_blocks if r["t"] > 10_000} == {"mec-01", "miner-01"}


@pytest.mark.parametrize("kind, doors", [("partition", 1), ("heal", 2)])
def test_no_door_past_a_fault_of_links(kind, doors):
    """In real time MEC nodes listen on TCP as well, unless a cut between two of them would then cut nothing."""
    keys = {"groups": [["*"], ["rest"]]} if kind == "partition" else {}
    seen = []

    def look(swarm) -> None:
        seen.append(len(swarm.actors["mec-01"].node.overlay.addresses))
        raise _Seen

    with pytest.raises(ExceptionGroup) as ended:
        run_plan(RunPlan(small(faults=[fault(50, kind, **keys)]), "swarm", seconds=60.0, on_start=look))
    assert ended.group_contains(_Seen)
    assert seen == [doors]


class _Seen(Exception):
    """Enough of that run."""


def test_who_is_down_stays_down_until_restarted(tmp_path):
    faults = [fault(10, "crash", actors=["miner-02", "worker-03"]), fault(30, "restart", actors=["miner-02"])]
    run = simulate(small(faults=faults, **DEEP), tmp_path)
    assert what_went_wrong(run.report) == []
    assert check(run.journal, BOUNDS) == []
    ups = Counter(r["a"] for r in of_kind(run.journal, "up"))
    assert ups["miner-02"] == 2 and ups["worker-03"] == 1
    assert not [r for r in run.journal if r["a"] == "worker-03" and r["t"] > 10_000 and r["k"] == "delivered"]
    assert not [r for r in run.journal if r["a"] == "miner-02" and 10_000 < r["t"] < 30_000 and r["k"] == "delivered"]


def test_restarting_who_runs_is_a_crash_and_a_start(tmp_path):
    run = simulate(small(faults=[fault(20, "restart", actors=["*"])], **DEEP), tmp_path)
    assert what_went_wrong(run.report) == []
    assert set(Counter(r["a"] for r in of_kind(run.journal, "up")).values()) == {2}
    assert {r["t"] for r in of_kind(run.journal, "down")} == {20_000}
    assert run.report["reports"]["confirmed"] >= 1


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_reports_are_confirmed_under_churn(seed, tmp_path):
    """Every actor leaves twice a minute, on average, for five seconds."""
    churn = fault(5, "churn", actors=["*"], leaves_per_minute=2.0, away_s=5.0)
    scenario = small(
        seed=seed, population__miner__count=4, population__mec__count=2, ledger__finality_depth=12, faults=[churn]
    )
    run = simulate(scenario, tmp_path, seconds=120)
    downs = of_kind(run.journal, "down")
    assert len({r["a"] for r in downs}) >= 14
    assert 40 <= len(downs) <= 80
    assert what_went_wrong(run.report) == []
    assert messages_from_nowhere(run.journal) == []
    assert conflicting_finality(run.journal) == []
    assert mistrust(run.journal, BOUNDS) == []
    assert run.report["reports"]["confirmed"] >= 3
    again = simulate(scenario, tmp_path, seconds=120)
    assert again.raw == run.raw


def test_churn_ends_and_everybody_is_back(tmp_path):
    churn = fault(5, "churn", actors=["worker"], leaves_per_minute=6.0, away_s=3.0, for_s=20)
    run = simulate(small(faults=[churn]), tmp_path)
    # Not `violations`: who comes back has forgotten whom it may not graft yet, and is blamed for that.
    assert what_went_wrong(run.report) == []
    assert check(run.journal, BOUNDS) == []
    downs = [r["t"] for r in of_kind(run.journal, "down")]
    assert len(downs) >= 8 and max(downs) <= 25_000
    assert {r["a"] for r in of_kind(run.journal, "down")} <= {f"worker-{n:02}" for n in range(1, 9)}
    ups = Counter(r["a"] for r in of_kind(run.journal, "up"))
    assert all(ups[name] == count + 1 for name, count in Counter(r["a"] for r in of_kind(run.journal, "down")).items())
    assert [r["phase"] for r in of_kind(run.journal, "fault")] == ["begin", "end"]


def test_a_fault_does_not_wake_whom_another_keeps_down(tmp_path):
    faults = [
        fault(5, "churn", actors=["worker-01"], leaves_per_minute=60.0, away_s=0.5, for_s=30),
        fault(10, "crash", actors=["worker-01"], for_s=15),
    ]
    run = simulate(small(faults=faults), tmp_path, seconds=30)
    assert not [r for r in run.journal if r["a"] == "worker-01" and 10_100 < r["t"] < 25_000]
    assert [r for r in run.journal if r["a"] == "worker-01" and r["t"] >= 25_000]


def test_skewed_clocks_are_theirs_alone():
    faults = [
        fault(10, "skew", actors=["miner-01"], skew_ms=3_000),
        fault(10, "skew", actors=["worker-02"], skew_ms=-4_000, for_s=5),
    ]

    async def script(swarm):
        clocks = {name: actor.node.world.clock for name, actor in swarm.actors.items()}
        run_clock, began = swarm.world.clock, swarm.world.started_ms
        assert {clock.now_ms() - run_clock.now_ms() for clock in clocks.values()} == {0}
        await run_clock.sleep_until_ms(began + 11_000)
        ahead = {name: clock.now_ms() - run_clock.now_ms() for name, clock in clocks.items()}
        assert ahead.pop("miner-01") == 3_000 and ahead.pop("worker-02") == -4_000
        assert set(ahead.values()) == {0}
        assert clocks["worker-02"].now_s() == run_clock.now_s()  # timers go on
        await run_clock.sleep_until_ms(began + 16_000)
        assert clocks["worker-02"].now_ms() == run_clock.now_ms()
        # A clock is its machine's: who crashes comes back with it.
        swarm.stop("miner-01")
        swarm.start("miner-01")
        await until(lambda: swarm.states["miner-01"] == "running")
        assert swarm.actors["miner-01"].node.world.clock.now_ms() == run_clock.now_ms() + 3_000

    play(small(faults=faults), script)


def test_blocks_have_the_time_of_their_miners_clock(tmp_path):
    skew = fault(20, "skew", actors=["miner"], skew_ms=5_000)
    run = simulate(small(faults=[skew]), tmp_path, seconds=40)
    assert violations(run.report, run.journal) == []
    core, began_ms = run.swarm.full_nodes[0].core, run.swarm.world.started_ms
    seen_ms = {}
    for record in of_kind(run.journal, "block"):
        seen_ms.setdefault(record["height"], record["t"])
    mined = {height: t for height, t in seen_ms.items() if t > 22_000 and height <= core.final.height}
    assert len(mined) > 5
    assert all(core.header(height).time_ms - began_ms > t + 3_000 for height, t in mined.items())


def test_too_far_ahead_is_not_believed(tmp_path):
    """A miner whose clock is further ahead than the rules allow is on a chain of its own; the others go on without it."""
    skew = fault(15, "skew", actors=["miner-02"], skew_ms=60_000)
    run = simulate(small(ledger__max_future_ms=5_000, faults=[skew], **DEEP), tmp_path)
    assert check(run.journal, BOUNDS, dishonest={"miner-02"}) == []
    assert conflicting_finality(run.journal)
    honest = [node for node in run.swarm.full_nodes if node.name != "miner-02"]
    assert min(node.core.final.height for node in honest) >= 15
    assert max(node.core.head.time_ms for node in honest) <= run.swarm.world.started_ms + 60_000 + 5_000


@pytest.mark.parametrize("kind", ["clog", "hold"])
def test_slow_or_held_workers_do_not_stop_the_others(kind, tmp_path):
    """Four of eight workers are as good as cut off for half a minute; then they take part again."""
    fault_ = fault(15, kind, actors=["worker:50%"], for_s=30, **({"bytes_per_s": 20} if kind == "clog" else {}))
    run = simulate(small(faults=[fault_], population__worker__count=12), tmp_path, seconds=100)
    assert what_went_wrong(run.report) == []
    assert check(run.journal, BOUNDS) == []
    struck = set(of_kind(run.journal, "fault")[0]["groups"][0])
    assert len(struck) == 6
    during = [r for r in of_kind(run.journal, "voted") if 20_000 < r["t"] < 45_000]
    assert during and not [r for r in during if r["a"] in struck]
    assert [r for r in of_kind(run.journal, "voted") if r["a"] in struck and r["t"] > 45_000]
    assert run.report["reports"]["confirmed"] >= 3


@pytest.mark.parametrize("kind", ["clog", "hold"])
@pytest.mark.parametrize("groups", [False, True], ids=["of actors", "between groups"])
def test_one_way_the_struck_still_hear(kind, groups, tmp_path):
    """Nobody hears a miner, which hears everybody: it does not notice, and its blocks come when the fault is over."""
    whom = {"groups": [["miner-02"], ["rest"]]} if groups else {"actors": ["miner-02"]}
    fault_ = fault(20, kind, one_way=True, for_s=10, **whom, **({"bytes_per_s": 5} if kind == "clog" else {}))
    run = simulate(small(faults=[fault_], **DEEP), tmp_path)
    assert what_went_wrong(run.report) == []
    assert check(run.journal, BOUNDS) == []
    source = {r["id"]: r["a"] for r in of_kind(run.journal, "published")}
    during = [r for r in of_kind(run.journal, "delivered") if 20_100 < r["t"] < 30_000]
    assert not [r for r in during if source[r["id"]] == "miner-02"]
    assert len([r for r in during if r["a"] == "miner-02"]) >= 5
    assert [r for r in of_kind(run.journal, "published") if r["a"] == "miner-02" and 21_000 < r["t"] < 29_000]
    assert [r for r in of_kind(run.journal, "delivered") if source[r["id"]] == "miner-02" and r["t"] > 30_000]


def test_heal_and_release_end_what_is_theirs(tmp_path):
    faults = [
        fault(10, "partition", groups=[["facility"], ["rest"]]),
        fault(10, "hold", actors=["worker-01"]),
        fault(12, "clog", actors=["worker-02"], for_s=100),
        fault(14, "heal"),
        fault(16, "release"),
    ]
    run = simulate(small(faults=faults), tmp_path, seconds=20)
    told = [(r["t"] // 1000, r["number"], r["fault"], r["phase"]) for r in of_kind(run.journal, "fault")]
    assert told == [
        (10, 0, "partition", "begin"), (10, 1, "hold", "begin"), (12, 2, "clog", "begin"),
        (14, 3, "heal", "begin"), (14, 0, "partition", "end"), (14, 2, "clog", "end"),
        (16, 4, "release", "begin"), (16, 1, "hold", "end"),
    ]  # fmt: skip


def test_one_way_partitions_are_noticed_by_both_sides(tmp_path):
    cut = fault(10, "partition", groups=[["facility"], ["rest"]], one_way=True, for_s=30)
    run = simulate(small(faults=[cut], **DEEP), tmp_path, seconds=100)
    assert what_went_wrong(run.report) == []
    assert check(run.journal, BOUNDS) == []
    hers = [r["t"] for r in of_kind(run.journal, "delivered") if r["a"] == "facility-01"]
    assert [t for t in hers if 10_000 < t < 20_000]  # she still hears
    assert not [t for t in hers if 26_000 < t < 40_000]
    assert [t for t in hers if t > 60_000]


def test_distance_makes_latency(tmp_path):
    """A whole country instead of a town: those far apart hear each other later, as their places say."""
    place = {"lat_min": 40, "lat_max": 48, "lon_min": 0, "lon_max": 12}
    scenario = {
        "place": place,
        "reports__hot_spot_radius_m": 300_000,
        "population__mec__count": 3,
        "network__jitter_ms": 0,
    }
    near = simulate(small(**scenario), tmp_path, seconds=20).report["gossip"]
    far = simulate(small(**scenario, network__latency_per_km_ms=0.2), tmp_path, seconds=20).report["gossip"]
    assert near["undelivered"] == far["undelivered"] == 0
    assert far["p99_ms"] > near["p99_ms"] + 10


def test_handling_costs_time(tmp_path):
    free = simulate(small(network__jitter_ms=0), tmp_path, seconds=20).report["gossip"]
    dear = simulate(small(network__jitter_ms=0, network__handling_ms=20), tmp_path, seconds=20).report["gossip"]
    # Links take 25 ms, rounded up to a quantum.
    assert free["p50_ms"] < 27
    assert dear["p50_ms"] >= 25 + 20
    assert dear["delivered"] > 50


def test_duplicates_and_disorder_are_the_routers_to_bear(tmp_path):
    scenario = small(network__duplication=0.2, network__reordering=0.2, **DEEP)
    run = simulate(scenario, tmp_path)
    assert what_went_wrong(run.report) == []
    assert messages_from_nowhere(run.journal) == []
    assert run.report["reports"]["confirmed"] >= 3


@pytest.mark.slow
def test_the_shipped_partition_heals(tmp_path):
    run = simulate(load(Path(__file__).parents[2] / "scenarios" / "partition.toml"), tmp_path, seconds=200.0)
    assert what_went_wrong(run.report) == []
    assert check(run.journal, Bounds()) == []
    assert run.report["reports"]["confirmed"] >= 3


def test_faults_and_peerings_of_another_ledger_strike_nobody(tmp_path):
    """One scenario runs on both ledgers: here nobody orders or endorses, and the miner that is named is struck all the same."""
    scenario = small(
        faults=[fault(1, "crash", actors=["orderer", "endorser:50%", "miner-01"], for_s=1)],
        network__direct=["endorser-01", "mec-01", "miner-02"],
    )
    run = simulate(scenario, tmp_path, seconds=5.0)
    assert what_went_wrong(run.report) == []
    assert {record["a"] for record in of_kind(run.journal, "down")} == {"miner-01"}


@pytest.mark.parametrize(
    "lose_disk", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["disk lost", "disk kept"]
)
def test_an_ordered_peer_that_was_away_too_long_takes_a_state_over(lose_disk, tmp_path):
    """It lacks so many blocks that it does not ask for them; some of them nobody keeps any more."""
    away = fault(5, "crash", actors=["mec-01"], lose_disk=lose_disk, for_s=35)
    scenario = small(
        faults=[away],
        population={
            "requester": {"count": 2},
            "worker": {"count": 8, "accuracy": 1.0, "roam_m": 500, "look_ms": [100, 500]},
            "miner": {"count": 0},
            "mec": {"count": 1},
            "facility": {"count": 1, "review_ms": [500, 1000]},
            "endorser": {"count": 3},
            "orderer": {"count": 1},
        },
        ledger={
            "kind": "ordered",
            "keep_blocks": 1_024,
            "ordered": {"consensus": "solo", "batch": {"idle_ms": 25, "timeout_ms": 20}},
        },
    )
    run = simulate(scenario, tmp_path, seconds=60.0)
    assert what_went_wrong(run.report) == []
    assert check(run.journal, BOUNDS) == []
    (jumped,) = of_kind(run.journal, "jumped")
    assert jumped["a"] == "mec-01" and jumped["height"] % 256 == 0 and 40_000 <= jumped["t"] < 50_000
    nodes = {node.name: node for node in run.swarm.full_nodes}
    mec, other = nodes["mec-01"].core, nodes["endorser-01"].core
    assert abs(mec.head.height - other.head.height) <= 4
    assert mec.block(jumped["height"]) is None and mec.block(jumped["height"] + 1) is not None
    assert other.block(1) is None  # let go of
    assert mec.header(1) == other.header(1)
    after = [r for r in of_kind(run.journal, "final") if r["a"] == "mec-01" and r["t"] > jumped["t"]]
    assert after[0]["height"] == jumped["height"] + 1
    assert [r for r in of_kind(run.journal, "delivered") if r["a"] == "mec-01" and r["t"] > 50_000]
    assert run.report["reports"]["confirmed"] >= 3
    assert of_kind(run.journal, "penalised") == []
