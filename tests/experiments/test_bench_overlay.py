"""The reference evaluation in small: only facts of virtual time are asserted, never what the machine needed for them."""

import signal
from dataclasses import replace
from functools import cache
from typing import Any

from experiments import bench_overlay

SMALL = bench_overlay.Size(actors=200, publishers=20, rate=60.0, seconds=2.0)
TINY = replace(SMALL, actors=40, publishers=5, seconds=1.0)


@cache
def report() -> dict[str, Any]:
    return bench_overlay.run(SMALL)


def figures() -> dict[str, Any]:
    found: dict[str, Any] = report()["figures"]
    return found


def test_every_message_reaches_every_peer_once() -> None:
    assert figures()["undelivered"] == figures()["delivered_twice"] == 0
    assert figures()["deliveries"] == 120 * (SMALL.actors - 1)


def test_latencies_stay_below_those_of_the_reference_evaluation() -> None:
    # One hop is 25 ms ± 10 %, rounded up to the quantum.
    assert 45 <= figures()["p50_ms"] <= figures()["p99_ms"] <= 165
    assert figures()["max_ms"] <= 350


def test_copies_are_declined_in_time() -> None:
    assert 1 <= figures()["payload_frames_per_delivery"] <= 6.3
    assert 6 <= figures()["mesh_degree"] <= 12


def test_same_seed_same_virtual_figures() -> None:
    machine_bound = {"bytes_per_actor", "startup_s", "cpu_s", "deliveries_per_cpu_s"}
    one, other = (bench_overlay.run(TINY, seed=7)["figures"] for _ in range(2))
    assert {k: v for k, v in one.items() if k not in machine_bound} == {
        k: v for k, v in other.items() if k not in machine_bound
    }
    other = bench_overlay.run(TINY, seed=8)["figures"]
    assert one["payload_frames_per_delivery"] != other["payload_frames_per_delivery"]


def test_histogram_holds_every_delivery_and_ends_with_the_latest() -> None:
    latencies, bins = report()["latencies"], report()["latencies"]["deliveries"]
    assert sum(bins) == figures()["deliveries"]
    assert (len(bins) - 1) * latencies["bin_ms"] <= figures()["max_ms"] <= len(bins) * latencies["bin_ms"]


def test_table_shows_the_reference_beside_ours() -> None:
    lines = bench_overlay.table(report()).splitlines()
    (p99,) = [line.split() for line in lines if line.startswith("p99_ms")]
    assert p99 == ["p99_ms", str(figures()["p99_ms"]), "165.0"]
    assert any(bench_overlay.REFERENCE["source"] in line for line in lines)


def test_interrupted_run_keeps_what_it_measured() -> None:
    told: list[str] = []

    def interrupt(text: str) -> None:
        told.append(text)
        if text.startswith("2 of 60 s"):
            signal.raise_signal(signal.SIGINT)

    found = bench_overlay.run(replace(TINY, seconds=60.0), progress=interrupt)
    assert "left" in told[-1]
    assert found["interrupted"]
    # What was published last had no time to arrive, and is not missed.
    assert 2.0 <= found["figures"]["virtual_s"] < 3.0
    assert found["figures"]["undelivered"] == found["figures"]["delivered_twice"] == 0
    assert found["figures"]["deliveries"] > 60 * (TINY.actors - 1)
    assert "interrupted: " in bench_overlay.table(found)
