"""Draws the latencies of the ordered ledger by endorsers, beside the published ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.spatial_plots import new_figure, save_figure

_NAMES = {"memory": "memory", "lan": "memory, 1 ms one way", "tcp": "TCP on loopback"}


def latencies(report: Mapping[str, Any], path: Path) -> Path:
    """Updates and queries, p50 on a logarithmic axis. Returns `path`."""
    rows = [row for row in report["rows"] if row["part"] == "latency" and row["shared"]]
    figure = new_figure(1, 2)
    published = report["published"]
    for axes, name in zip(figure.axes, ("update", "query"), strict=True):
        axes.plot(published["endorsers"], published[f"{name}_ms"], "k--s", label="published")
        for variant in dict.fromkeys((row["links"], row["consensus"]) for row in rows):
            of = [row for row in rows if (row["links"], row["consensus"]) == variant]
            axes.plot(
                [row["endorsers"] for row in of],
                [row[f"{name}_p50_ms"] for row in of],
                marker="o",
                label=f"{_NAMES[variant[0]]}, {variant[1]}",
            )
        axes.set_yscale("log")
        axes.set_xlabel("endorsers, all of which must endorse")
        axes.set_ylabel(f"{name}, p50, ms")
        axes.legend()
    return save_figure(figure, path)
