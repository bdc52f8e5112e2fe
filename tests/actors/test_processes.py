"""One population in several processes: who is where, one report of it all, and what happens when one of them dies."""

import json
import os
import signal
import time
from hashlib import sha256
from itertools import islice
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from actors.gossip_meter import BINS, histogram, percentile_ms
from actors.outcome import DECIDED
from actors.population import LEDGER_ROLES, build_city, build_members, scaled
from actors.process_messages import MAX_MESSAGE_BYTES, TO_PARENT, TO_PROCESS, Failed, Outcome, Pages, Pipe, PipeError
from actors.process_report import disagreements, one_report
from actors.process_share import deal, split_incidents
from actors.run import RunPlan, _dealer
from actors.scenario import Scenario, ScenarioError
from tests.actors.processes import TOWN, Process

SCENARIO = scaled(Scenario(), 67)
CITY = build_city(SCENARIO, None)
EVERYBODY = build_members(SCENARIO, CITY)


# Who is where. ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_each_process_has_its_share_of_each_role_and_a_ledger_node(processes):
    shares = deal(EVERYBODY, processes)

    assert sorted(m.name for share in shares for m in share) == sorted(m.name for m in EVERYBODY)
    assert all(any(m.role in LEDGER_ROLES for m in share) for share in shares)
    for role in ("requester", "worker", "miner"):
        counts = [sum(m.role == role for m in share) for share in shares]
        assert max(counts) - min(counts) <= 1


def test_most_phones_are_where_their_nearest_mec_node_is():
    shares = deal(EVERYBODY, 2)
    hubs = [m for m in EVERYBODY if m.role == "mec"]
    phones = [(m, i) for i, share in enumerate(shares) for m in share if m.role not in LEDGER_ROLES]

    near = [min(hubs, key=lambda hub: hub.place.distance_m(m.place)) in shares[i] for m, i in phones]

    assert sum(near) > len(near) / 2


def test_more_processes_than_ledger_nodes__reject():
    with pytest.raises(ScenarioError, match=r"--processes 50: the population has \d+ ledger nodes"):
        deal(EVERYBODY, 50)


def test_incidents_are_those_of_one_process():
    plan = RunPlan(scenario=SCENARIO, kind="swarm")
    names = [m.name for m in EVERYBODY if m.role == "requester"]
    whole = {name: list(islice(_dealer(plan, CITY)(i, len(names)), 5)) for i, name in enumerate(names)}
    shares = deal(EVERYBODY, 3)

    split = {}
    for share in shares:
        ours, elsewhere = split_incidents(_dealer(plan, CITY), EVERYBODY, share)
        mine = [m.name for m in share if m.role == "requester"]
        split |= {name: list(islice(ours(i, len(mine)), 5)) for i, name in enumerate(mine)}
        others = [list(islice(incidents, 5)) for incidents in elsewhere]
        assert others == [whole[name] for name in names if name not in mine]

    assert split == whole


# One report. --------------------------------------------------------------------------------------------------


def outcome(final_ids: dict[int, bytes], *, counted: int = 0, submitted: int = 0, **changes) -> Outcome:
    report = {
        "actors": 5,
        "replicas": 2,
        "cpu_s": 1.5,
        "reports": {"submitted": submitted, **dict.fromkeys(DECIDED, 0), "duplicates_refused": 1, "rows_refused": 0},
        "chain": {"final_height": counted},
        "activity": {"reported": 3, "voted": 1},
        "replicas_agree": True,
        "supply_conserved": True,
        "gossip": {"published": 1, "delivered": 4, "duplicates": 2, "undelivered": 0, "max_ms": 7.0},
        "journal_records": 10,
        "journal_sha256": "ab",
        "errors": [],
    } | changes
    return Outcome(report=report, counted=counted, final_ids=final_ids, latencies=((10, 3), (20, 1)))


def merged(*outcomes: Outcome, **changes):
    arguments = {
        "actors": 10,
        "processes": len(outcomes),
        "rows_refused": 4,
        "virtual_s": 9.0,
        "wall_s": 9.0,
        "cpu_s": 0.5,
        "journal_sha256": None,
        "errors": [],
    } | changes
    return one_report(dict(enumerate(outcomes)), {}, **arguments)


def test_what_is_on_the_ledger_counts_once_and_what_people_did_adds_up():
    chain = {height: bytes([height]) * 32 for height in range(1, 9)}
    behind = {height: chain[height] for height in range(1, 6)}

    report = merged(outcome(behind, counted=5, submitted=7), outcome(chain, counted=8, submitted=9))

    assert report["reports"]["submitted"] == 9
    assert report["reports"]["duplicates_refused"] == 2
    assert report["reports"]["rows_refused"] == 4
    assert report["activity"] == {"reported": 6, "voted": 2}
    assert (report["replicas"], report["actors"], report["cpu_s"]) == (4, 10, 3.5)
    assert report["gossip"]["delivered"] == 8
    assert report["gossip"]["p99_ms"] == 2.0
    assert report["replicas_agree"] is True
    assert report["errors"] == []


def test_campaigns_are_those_of_the_process_that_is_furthest():
    final = {1: b"\1" * 32}
    told = [{"cycles": [], "balances": {"worker-01": balance}, "locked": 0} for balance in (1, 2)]

    report = merged(outcome(final, counted=2, campaigns=told[0]), outcome(final, counted=1, campaigns=told[1]))

    assert report["campaigns"] == told[0]


def test_processes_with_different_final_blocks_do_not_agree():
    one = {1: b"\1" * 32, 2: b"\2" * 32}
    report = merged(outcome(one, counted=2), outcome(one | {2: b"\3" * 32}, counted=2))

    assert report["replicas_agree"] is False
    assert report["errors"] == ["processes 1 and 2 have different final blocks at height 2"]


def test_processes_without_a_common_final_block_cannot_be_said_to_agree():
    assert disagreements({0: outcome({1: b"\1" * 32}), 1: outcome({2: b"\2" * 32})}) == [
        "processes 1 and 2 have no final block in common"
    ]


def test_one_that_has_no_final_block_yet_disagrees_with_nobody():
    assert disagreements({0: outcome({1: b"\1" * 32}), 1: outcome({})}) == []


def test_merged_percentiles_are_those_of_all_deliveries():
    bins = histogram([(5, 99), (BINS, 1), (5, 0)])
    assert (percentile_ms(bins, 0.5), percentile_ms(bins, 0.999)) == (0.5, BINS * 0.1)
    with pytest.raises(ValueError, match="no bin"):
        histogram([(BINS + 1, 1)])


# What they say. -----------------------------------------------------------------------------------------------


def pipes() -> tuple[Pipe, Pipe]:
    (send_a, receive_b), (send_b, receive_a) = (
        trio.testing.memory_stream_one_way_pair(),
        trio.testing.memory_stream_one_way_pair(),
    )
    return Pipe(receive_a, send_a), Pipe(receive_b, send_b)


async def test_messages_arrive_whole_and_the_end_is_told():
    a, b = pipes()
    said = [Pages((("process 2", "http://x/"),)), outcome({1: b"\1" * 32}, counted=1)]
    for message in said:
        assert await a.send(message)

    assert await b.receive(TO_PROCESS) == said[0]
    assert await b.receive(TO_PARENT) == said[1]
    await a.aclose()
    assert await b.receive(TO_PARENT) is None
    assert not await b.send(said[0])


@pytest.mark.parametrize(
    "raw, why",
    [
        ((MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"), "at most"),
        (b"\0\0\0\1\xc1", "not a message"),
        (b"\0\0\0\1\x80", "not a message"),
    ],
)
async def test_what_is_no_message__reject(raw, why):
    send, receive = trio.testing.memory_stream_one_way_pair()
    await send.send_all(raw)
    with pytest.raises(PipeError, match=why):
        await Pipe(receive, send).receive(TO_PARENT)


def test_a_message_of_the_other_direction__reject():
    with pytest.raises(msgspec.ValidationError):
        TO_PROCESS.decode(msgspec.msgpack.encode(Failed("OSError", "no")))


# The real thing. ----------------------------------------------------------------------------------------------


WORKERS = ("--set", "population.worker.count=14")
"""Enough for both MEC nodes of the town to draw voters."""


class Parent(Process):
    """A swarm in several processes."""

    def parts(self, kind: str) -> list[list[dict]]:
        """What each process's journal has of a kind."""
        found = []
        for part in sorted(self.journal.parent.glob(f"{self.journal.name}.?")):
            lines = part.read_bytes().split(b"\n")[:-1]
            found.append([record for line in lines if (record := json.loads(line))["k"] == kind])
        return found

    def children(self) -> list[int]:
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/children")
        return sorted(int(child) for thread in threads for child in thread.read_text().split())

    def end_with(self, number: int) -> tuple[int, float]:
        """Exit code and seconds after a signal."""
        began = time.monotonic()
        self._process.send_signal(number)
        return self._process.wait(20), time.monotonic() - began


@pytest.fixture
def start(tmp_path):
    (tmp_path / "town.toml").write_text(TOWN)
    running: list[Parent] = []

    def start(*arguments: str) -> Parent:
        town = str(tmp_path / "town.toml")
        running.append(Parent(tmp_path, "swarm", "swarm", town, "--processes", "2", "--no-web", *WORKERS, *arguments))
        return running[-1]

    yield start
    for process in running:
        process.end()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_two_processes_make_one_network_and_one_report(start, tmp_path):
    swarm = start("--data", str(tmp_path / "data"))
    swarm.wait_for(
        lambda: len(swarm.parts("revealed")) == 2 and all(swarm.parts("revealed")), "votes in both processes"
    )
    swarm.wait_for(
        lambda: all(max((r["height"] for r in part), default=0) > 30 for part in swarm.parts("final")), "blocks"
    )
    children = swarm.children()
    assert len(children) == 2

    report = swarm.stop(signal.SIGINT)

    assert not any(alive(child) for child in children)
    assert report["errors"] == []
    assert report["replicas"] == 5
    assert report["replicas_agree"]
    assert report["supply_conserved"]
    assert report["reports"]["confirmed"] > 0
    assert [share["replicas"] for share in report["shares"]] == [3, 2]
    raw = swarm.journal.read_bytes()
    assert sha256(raw).hexdigest() == report["journal_sha256"]
    records = [json.loads(line) for line in raw.splitlines()]
    assert [r["t"] for r in records] == sorted(r["t"] for r in records)
    assert sum(r["k"] == "up" for r in records) == 21
    assert sum(r["k"] == "reported" for r in records) <= report["reports"]["submitted"]
    blocks = {(r["height"], r["id"]) for r in records if r["k"] == "final"}
    assert len(blocks) == len({height for height, _ in blocks})
    # Where a run in one process looks for them.
    assert len(list((tmp_path / "data").glob("*.sqlite"))) == 5


def test_the_others_go_on_when_one_is_killed_and_the_report_says_so(start):
    swarm = start()
    swarm.wait_for(lambda: len(swarm.parts("final")) == 2 and all(swarm.parts("final")), "final blocks")
    os.kill(swarm.children()[1], signal.SIGKILL)
    swarm.wait_for(lambda: "process 2 ended by signal 9 (SIGKILL)" in swarm.output.read_text(), "the bad news")
    before = max(r["height"] for r in swarm.parts("final")[0])
    swarm.wait_for(lambda: max(r["height"] for r in swarm.parts("final")[0]) > before + 2, "further blocks")

    code, took = swarm.end_with(signal.SIGTERM)

    assert (code, took < 3) == (3, True)
    report = json.loads(swarm.report.read_text())
    assert report["errors"] == ["process 2 ended by signal 9 (SIGKILL)"]
    assert [share["process"] for share in report["shares"]] == [1]
    assert report["replicas_agree"]


def test_processes_end_when_their_parent_is_killed(start):
    swarm = start()
    swarm.wait_for(lambda: len(swarm.parts("final")) == 2 and all(swarm.parts("final")), "final blocks")
    children = swarm.children()
    swarm.kill()
    until = time.monotonic() + 10
    while any(alive(child) for child in children) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(child) for child in children)


def test_a_process_that_cannot_start_is_told(start):
    swarm = start("--listen", "/ip4/192.0.2.1/tcp/0")
    assert swarm._process.wait(30) == 3
    assert "process 1" in swarm.output.read_text()
    assert "cannot listen on 192.0.2.1" in swarm.output.read_text()
