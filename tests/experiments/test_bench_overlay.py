"""The reference evaluation in small: only facts of virtual time are asserted, never what the machine needed for them."""

from dataclasses import replace
from functools import cache
from typing import Any

from experiments import bench_overlay

SMALL = bench_overlay.Size(actors=200, publishers=20, rate=60.0, seconds=2.0)


@cache
def figures() -> dict[str, Any]:
    found: dict[str, Any] = bench_overlay.run(SMALL)["figures"]
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
    tiny = replace(SMALL, actors=40, publishers=5, seconds=1.0)
    machine_bound = {"bytes_per_actor", "startup_s", "cpu_s", "deliveries_per_cpu_s"}
    one, other = (bench_overlay.run(tiny, seed=7)["figures"] for _ in range(2))
    assert {k: v for k, v in one.items() if k not in machine_bound} == {
        k: v for k, v in other.items() if k not in machine_bound
    }
    other = bench_overlay.run(tiny, seed=8)["figures"]
    assert one["payload_frames_per_delivery"] != other["payload_frames_per_delivery"]
