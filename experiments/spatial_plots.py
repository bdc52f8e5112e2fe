"""Draws the reports of the spatial experiments. Each function takes a report with rows, and returns the files it wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.condorcet import prediction
from experiments.spatial_allocation import interval_name

PAPER = "Kamali et al. 2021"
CURVE_POINTS = 101


def allocation(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Total review times beside the paper's Table 1; what its Figures 4 and 5 count, of our run."""
    rows, intervals = report["rows"], report["intervals"]
    reports = [row["reports"] for row in rows]
    totals = new_figure(1, 2)
    for axes, suffix, scale in ((totals.axes[0], "min", 1.0), (totals.axes[1], "change", 100.0)):
        for reading, name in (("one_way", "ours: one way to each report"), ("rounds", "ours: one round a facility")):
            with_bars(axes, reports, [row[f"{reading}_{suffix}"] for row in rows], scale, label=name, marker="o")
        paper = [scale * row[f"paper_{suffix}"] for row in rows]
        axes.plot([row["paper_reports"] for row in rows], paper, "k--s", label=f"{PAPER}, Table 1")
        axes.set_xlabel("reports left to review")
        axes.invert_xaxis()
        axes.legend()
    totals.axes[0].set_ylabel("total review time, minutes")
    totals.axes[0].set_ylim(bottom=0)
    totals.axes[1].set_ylabel("change against no filtering, %")

    bars = new_figure(1, 2)
    width = 0.8 / len(rows)
    for axes, key, name, label in (
        (bars.axes[0], "reports", "reports", "as the paper's Figure 4"),
        (bars.axes[1], "one_way_min", "review time (one way), minutes", "as the paper's Figure 5"),
    ):
        for place, row in enumerate(rows):
            heights = [interval[key][place]["mean"] for interval in intervals]
            lefts = [at + (place - len(rows) / 2 + 0.5) * width for at in range(len(intervals))]
            text = "without filtering" if not row["incorrect"] else f"{row['incorrect']:.0%} filtered out"
            axes.bar(lefts, heights, width, label=text)
        axes.set_xticks(range(len(intervals)), [interval_name(interval) for interval in intervals])
        axes.set_xlabel("street distance from report to facility, km")
        axes.set_ylabel(name)
        axes.set_title(f"{label}, of our run")
        axes.legend()
    first, last = rows[0], rows[-1]
    ours = " → ".join(f"{row['one_way_min']['mean']:.0f}" for row in (first, last))
    theirs = " → ".join(f"{row['paper_min']:.0f}" for row in (first, last))
    bars.suptitle(
        f"total, minutes, {first['reports']} → {last['reports']} reports: ours {ours}; {PAPER}, of which we have totals alone: {theirs}"
    )
    return [
        save_figure(totals, folder / "spatial-allocation-totals.png"),
        save_figure(bars, folder / "spatial-allocation-distances.png"),
    ]


def accuracy(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Recall and precision over the accuracy of workers, with Condorcet's prediction as lines."""
    rows = report["rows"]
    figure = new_figure(1, 2)
    curve = [0.5 + 0.5 * point / (CURVE_POINTS - 1) for point in range(CURVE_POINTS)]
    for place, share in enumerate(sorted({row["false_share"] for row in rows})):
        ours = [row for row in rows if row["false_share"] == share]
        for axes, name in zip(figure.axes, ("recall", "precision"), strict=True):
            lines = [prediction(each, share, {(report["group_size"],) * 2: 1})[name] for each in curve]
            # What is recalled does not depend on the share of false reports: one line for all.
            if name == "precision" or place == 0:
                axes.plot(curve, lines, color=f"C{place}" if name == "precision" else "grey", linewidth=1)
            measured = [row for row in ours if row[name]["ci95"]]
            points = [row["accuracy"] + (place - 1.5) * 0.004 for row in measured]  # apart, to be seen
            with_bars(
                axes,
                points,
                [row[name] for row in measured],
                fmt="o",
                color=f"C{place}",
                label=f"{share:.0%} false reports",
            )
            if name == "precision":
                axes.axhline(1 - share, color=f"C{place}", linestyle=":", linewidth=1)
    for axes, name in zip(figure.axes, ("recall", "precision"), strict=True):
        axes.set_xlabel("accuracy of a worker")
        axes.set_ylabel(name)
        axes.legend(loc="lower right")
    figure.axes[0].set_title("line: Condorcet, groups of " + str(report["group_size"]))
    figure.axes[1].set_title("lines: Condorcet; dotted: share of true reports submitted")
    return [save_figure(figure, folder / "spatial-accuracy.png")]


def rewards(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Minting, supply and spread of balances under both readings."""
    rows = report["rows"]
    figure = new_figure(1, 3)
    ends = [row["last_report"] for row in rows]
    middles = [(row["first_report"] + row["last_report"]) / 2 for row in rows]
    for place, reading in enumerate(("paper", "bounded")):
        of = [row[reading] for row in rows]
        with_bars(
            figure.axes[0], middles, [each["per_report"] for each in of], fmt="o", color=f"C{place}", label=reading
        )
        label = "by the formula" if reading == "paper" else "limit, by the formula"
        figure.axes[0].plot(middles, [each["expected"] for each in of], color=f"C{place}", label=label)
        with_bars(figure.axes[1], ends, [each["supply"] for each in of], color=f"C{place}", label=reading)
        with_bars(figure.axes[2], ends, [each["gini"] for each in of], color=f"C{place}", label=reading)
    for axes, name in zip(figure.axes, ("credits minted a report", "supply, credits", "Gini of balances"), strict=True):
        axes.set_xlabel("confirmed reports")
        axes.set_ylabel(name)
        axes.legend()
    for axes in figure.axes[:2]:
        axes.set_yscale("log")
    figure.axes[2].set_ylim(0, 1)
    return [save_figure(figure, folder / "spatial-rewards.png")]


def new_figure(rows: int, columns: int) -> Any:
    """A figure with so many axes, without a display."""
    # Not pyplot: that keeps figures in a global, and asks for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 * columns, 4.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.subplots(rows, columns)
    return figure


def with_bars(
    axes: Any, places: Sequence[float], estimates: Sequence[Mapping[str, Any]], scale: float = 1.0, **style: Any
) -> None:
    """Means with their 95 % intervals, where they have any."""
    means = [scale * each["mean"] for each in estimates]
    ends = [[scale * end for end in each["ci95"] or (each["mean"], each["mean"])] for each in estimates]
    below = [max(0.0, mean - low) for mean, (low, _) in zip(means, ends, strict=True)]
    above = [max(0.0, high - mean) for mean, (_, high) in zip(means, ends, strict=True)]
    axes.errorbar(places, means, yerr=[below, above], capsize=3, **style)


def save_figure(figure: Any, path: Path) -> Path:
    """Write it; returns `path`."""
    figure.savefig(path, dpi=120)
    return path
