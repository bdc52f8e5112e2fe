"""What the ordered ledger takes: latency by endorsers, as the paper of edge MEC nodes measured it, and valid calls a second.

Latency is that of whole nodes (`experiments.ordered_latency`), throughput that of the ledger alone
(`experiments.ordered_throughput`). Both in this one process, on one core, by the wall clock: best on a quiet machine.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from experiments import ordered_latency, ordered_throughput
from experiments.measuring import machine
from experiments.ordered_latency import LatencyRow, LatencySize
from experiments.ordered_throughput import Load, ThroughputRow, ThroughputSize

PUBLISHED: Final = {"endorsers": (1, 16), "update_ms": (1_800.0, 2_100.0), "query_ms": (5.0, 20.0)}
"""Of the paper, at the fewest and the most endorsers, linear between them."""
UNSHARED_ENDORSERS: Final = 16
PREFIXES: Final = {
    ("memory", "raft"): "",
    ("memory", "solo"): "solo_",
    ("lan", "raft"): "lan_",
    ("tcp", "raft"): "tcp_",
    ("tcp", "solo"): "tcp_solo_",
}
"""Of figures, by links and consensus."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of each is measured."""

    throughput: ThroughputSize = field(default_factory=ThroughputSize)
    latency: LatencySize = field(default_factory=LatencySize)


QUICK = Size(ordered_throughput.QUICK, ordered_latency.QUICK)


def run(size: Size, *, seed: int = 1, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Measure everything. Ctrl-C ends it, and keeps the rows so far."""
    calls: list[ThroughputRow] = []
    waits: list[LatencyRow] = []
    interrupted = False
    try:
        with _seldom_collecting():
            calls.extend(_throughput(size.throughput, seed, progress))
            waits.extend(_latency(size.latency, seed, progress))
    except* KeyboardInterrupt:  # trio's nurseries put it into a group
        interrupted = True
    return {
        "bench": "ordered",
        "seed": seed,
        "size": asdict(size),
        "machine": machine(),
        "published": PUBLISHED,
        "figures": _throughput_figures(calls) | _latency_figures(waits),
        "rows": [{"part": "throughput", **asdict(row)} for row in calls]
        + [{"part": "latency", **asdict(row)} for row in waits],
        "interrupted": interrupted,
    }


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """As runs of actors have it (`actors.run`): values make no cycles, and to look for some often costs a tenth."""
    before = gc.get_threshold()
    gc.set_threshold(20_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _throughput(size: ThroughputSize, seed: int, progress: Progress) -> Iterator[ThroughputRow]:
    plan: Sequence[tuple[Load, Sequence[int], bool]] = (
        ("low", size.rates, True),
        ("disjoint", size.rates, True),
        ("hot", size.rates, True),
        ("low", size.unshared_rates, False),
    )
    for load, rates, shared in plan:
        for per_s in rates:
            row = ordered_throughput.measure(load, per_s, size, shared=shared, seed=seed)
            yield row
            progress(
                f"{_load(row)}, {per_s:,} calls/s asked for: {row.sent_per_s:,.0f} sent, {row.committed_per_s:,.0f} "
                f"committed, {row.valid_per_s:,.0f} valid a second, p50 {row.p50_ms} ms"
            )


def _latency(size: LatencySize, seed: int, progress: Progress) -> Iterator[LatencyRow]:
    unshared = [(*size.variants[0], UNSHARED_ENDORSERS, False)] if UNSHARED_ENDORSERS in size.endorsers else []
    wanted = [(*variant, endorsers, True) for variant in size.variants for endorsers in size.endorsers]
    for links, consensus, endorsers, shared in [*wanted, *unshared]:
        row = ordered_latency.measure(endorsers, links, consensus, size, shared=shared, seed=seed)
        yield row
        progress(
            f"{_variant(row)}, {endorsers} endorsers: update p50 {row.update_p50_ms:.1f} ms, "
            f"query p50 {row.query_p50_ms:.2f} ms"
        )


# --- figures ----------------------------------------------------------------------------------------------------------


def _throughput_figures(rows: Sequence[ThroughputRow]) -> dict[str, float]:
    figures: dict[str, float] = {}
    low = _best(row for row in rows if row.load == "low" and row.shared)
    if low is not None:
        figures |= {
            "valid_tx_per_s": low.valid_per_s,
            "goodput_share": low.goodput_share,
            "valid_tx_per_cpu_s": low.valid_per_cpu_s,
        }
    disjoint = _best(row for row in rows if row.load == "disjoint")
    if disjoint is not None:
        figures["disjoint_valid_tx_per_s"] = disjoint.valid_per_s
    hot = _best(row for row in rows if row.load == "hot")
    if hot is not None:
        figures |= {
            "hot_valid_tx_per_s": hot.valid_per_s,
            "hot_goodput_share": hot.goodput_share,
            "hot_attempts_per_call": hot.attempts_per_call,
            "hot_given_up_share": round(hot.given_up / max(1, hot.calls), 4),
        }
    unshared = _best(row for row in rows if not row.shared)
    if unshared is not None:
        figures["unshared_valid_tx_per_s"] = unshared.valid_per_s
    if rows:
        figures["unfinished"] = sum(row.unfinished for row in rows)
    return figures


def _best(rows: Iterable[ThroughputRow]) -> ThroughputRow | None:
    """The row with the most valid calls a second."""
    return max(rows, key=lambda row: row.valid_per_s, default=None)


def _latency_figures(rows: Sequence[LatencyRow]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for variant, prefix in PREFIXES.items():
        of = [row for row in rows if (row.links, row.consensus) == variant and row.shared]
        for row in of:
            figures[f"{prefix}update_p50_ms_{row.endorsers}"] = row.update_p50_ms
            figures[f"{prefix}query_p50_ms_{row.endorsers}"] = row.query_p50_ms
        if len({row.endorsers for row in of}) > 1:
            figures[f"{prefix}update_slope_ms"] = _slope(
                [row.endorsers for row in of], [row.update_p50_ms for row in of]
            )
    for row in rows:
        if not row.shared:
            figures[f"unshared_update_p50_ms_{row.endorsers}"] = row.update_p50_ms
    return figures


def _slope(places: Sequence[float], heights: Sequence[float]) -> float:
    """Of the straight line with the least squares."""
    mean_x, mean_y = sum(places) / len(places), sum(heights) / len(heights)
    spread = sum((x - mean_x) ** 2 for x in places)
    return round(sum((x - mean_x) * (y - mean_y) for x, y in zip(places, heights, strict=True)) / spread, 3)


# --- for people -------------------------------------------------------------------------------------------------------

_VARIANTS: Final = {"memory": "memory", "lan": "memory, 1 ms", "tcp": "TCP"}


def table(report: dict[str, Any]) -> str:
    """Render a report of `run` for people."""
    lines = [
        (
            f"{'load':14}{'asked/s':>8}{'sent/s':>9}{'in blocks/s':>12}{'valid/s':>9}{'/CPU s':>8}{'goodput':>9}{'p50 ms':>8}{'p99 ms':>8}"
            f"{'tries':>7}{'given up':>9}{'unfinished':>11}"
        )
    ]
    for each in report["rows"]:
        if each["part"] == "throughput":
            row = ThroughputRow(**{name: value for name, value in each.items() if name != "part"})
            p50, p99 = (f"{value:,.0f}" if value is not None else "-" for value in (row.p50_ms, row.p99_ms))
            lines.append(
                f"{_load(row):14}{row.requested_per_s:>8,}{row.sent_per_s:>9,.0f}{row.committed_per_s:>12,.0f}"
                f"{row.valid_per_s:>9,.0f}{row.valid_per_cpu_s:>8,.0f}{row.goodput_share:>9.1%}{p50:>8}{p99:>8}"
                f"{row.attempts_per_call:>7.2f}{row.given_up:>9,}{row.unfinished:>11}"
            )
    lines += [
        "",
        (
            f"{'links':22}{'endorsers':>10}{'update p50':>12}{'p99':>9}{'deviation':>11}{'query p50':>11}{'p99':>9}"
            f"{'local':>8}{'CPU/update':>12}   (ms)"
        ),
    ]
    for each in report["rows"]:
        if each["part"] == "latency":
            wait = LatencyRow(**{name: value for name, value in each.items() if name != "part"})
            lines.append(
                f"{_variant(wait):22}{wait.endorsers:>10}{wait.update_p50_ms:>12.1f}{wait.update_p99_ms:>9.1f}"
                f"{wait.update_deviation:>11.1%}{wait.query_p50_ms:>11.3f}{wait.query_p99_ms:>9.2f}"
                f"{wait.local_query_p50_ms:>8.3f}{wait.update_cpu_ms:>12.1f}"
            )
    (few, many), (low, high) = report["published"]["endorsers"], report["published"]["update_ms"]
    lines.append(
        f"{'published':22}{f'{few} to {many}':>10}{f'{low:,.0f}-{high:,.0f}':>12}"
        f"{'':20}{'{:.0f}-{:.0f}'.format(*report['published']['query_ms']):>11}"
    )
    lines += [
        f"{name}: {value:,}"
        for name, value in report["figures"].items()
        if "_p50_ms_" not in name and "slope" not in name
    ]
    for name, value in report["figures"].items():
        if name.endswith("slope_ms"):
            lines.append(f"{name}: {value} ms an endorser; published: {(high - low) / (many - few):.0f}")
    return "\n".join(lines)


def _load(row: ThroughputRow) -> str:
    return row.load if row.shared else f"{row.load}, unshared"


def _variant(row: LatencyRow) -> str:
    return f"{_VARIANTS[row.links]}, {row.consensus}" + ("" if row.shared else ", unshared")
