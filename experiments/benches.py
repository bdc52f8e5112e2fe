"""The benches by name, in the size that is asked for."""

from collections.abc import Callable
from typing import Any

NAMES = ("gossip", "overlay-scale", "actors", "pow", "ordered")


def measure(name: str, *, quick: bool, progress: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    """Run one of NAMES; returns its report and that report as a table for people."""
    if name == "gossip":
        from experiments import bench_gossip

        size = {"nodes": 20, "messages": 30} if quick else {}
        report = bench_gossip.run(**size, progress=progress)
        return report, bench_gossip.table(report)
    if name == "overlay-scale":
        from experiments import bench_overlay

        report = bench_overlay.run(bench_overlay.QUICK if quick else bench_overlay.Size(), progress=progress)
        return report, bench_overlay.table(report)
    if name == "pow":
        from experiments import bench_pow

        report = bench_pow.run(bench_pow.QUICK if quick else bench_pow.Size(), progress=progress)
        return report, bench_pow.table(report)
    if name == "ordered":
        from experiments import bench_ordered

        report = bench_ordered.run(bench_ordered.QUICK if quick else bench_ordered.Size(), progress=progress)
        return report, bench_ordered.table(report)
    from experiments import bench_actors

    actors, idle_s = (100, 10.0) if quick else (500, 60.0)
    report = bench_actors.run(actors=actors, idle_s=idle_s, progress=progress)
    return report, bench_actors.table(report)
