"""Draws the reports of the campaign experiments. Each function takes a report with rows, and returns the files it wrote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.spatial_plots import new_figure, save_figure, with_bars


def paper(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """What the paper's Figures 7 and 8 show, of our campaign; then what is typical of paths and selections."""
    campaign = report["campaign"]
    seed, published = report["first_seed"], report["paper"]
    drawn = new_figure(1, 2)
    _map(drawn.axes[0], campaign)
    drawn.axes[0].set_title(f"seed {seed}: planned paths; bold: selected")
    earned = [path["reward"] or 0 for path in campaign["paths"]]
    drawn.axes[1].bar(
        range(len(earned)), earned, color=["C1" if path["reward"] else "grey" for path in campaign["paths"]]
    )
    drawn.axes[1].set_xticks(range(len(earned)))
    drawn.axes[1].set_xlabel("worker")
    drawn.axes[1].set_ylabel("reward")
    drawn.axes[1].set_title(
        f"{sum(earned)} paid to {len(campaign['rounds'])}; published: {published['rewards']} to {published['selected']}"
    )

    typical = new_figure(1, 3)
    for task, each in enumerate(campaign["tasks"]):
        typical.axes[0].plot([task] * len(each["qualities"]), each["qualities"], "o", color="C0")
    typical.axes[0].set_ylim(0, 1.05)
    typical.axes[0].set_xticks(range(len(campaign["tasks"])))
    typical.axes[0].set_xlabel("task")
    typical.axes[0].set_ylabel("quality q of its winners")
    typical.axes[0].set_title(f"seed {seed}")
    least, most = published["tasks_per_path"]
    typical.axes[1].axvspan(least - 0.5, most + 0.5, color="0.9", label="published, one campaign")
    typical.axes[2].axvline(published["selected"], color="k", linestyle="--", label="published, one campaign")
    for axes, key, name in (
        (typical.axes[1], "tasks_per_path", "tasks of a path"),
        (typical.axes[2], "selected", "workers selected"),
    ):
        for place, row in enumerate(report["rows"]):
            numbers = [int(number) + 0.4 * place - 0.2 for number in row[key]["shares"]]
            axes.bar(numbers, row[key]["shares"].values(), 0.4, label=f"tasks in the {row['reading']}")
        axes.set_xlabel(name)
        axes.set_ylabel(f"share, {report['seeds']} seeds")
        axes.legend()
    return [
        save_figure(drawn, folder / "campaign-paper-paths.png"),
        save_figure(typical, folder / "campaign-paper-typical.png"),
    ]


def _map(axes: Any, campaign: Mapping[str, Any]) -> None:
    """Tasks, and the way of every worker."""
    tasks = [(task["x_m"], task["y_m"]) for task in campaign["tasks"]]
    selected = 0
    for path in campaign["paths"]:
        stops = [path["start_m"], *(tasks[task] for task in path["tasks"]), path["destination_m"]]
        taken = path["reward"] is not None
        style = {"color": f"C{selected % 10}", "linewidth": 2} if taken else {"color": "0.8", "linewidth": 1}
        axes.plot(*zip(*stops, strict=True), zorder=2 if taken else 1, **style)
        selected += taken
    axes.plot(*zip(*tasks, strict=True), "k^", zorder=3)
    for number, place in enumerate(tasks):
        axes.annotate(str(number), place, xytext=(4, 4), textcoords="offset points")
    axes.set_aspect("equal")
    axes.set_xlabel("m")
    axes.set_ylabel("m")


def solvers(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Tasks visited and time by number of tasks; selections by excess over the fewest."""
    planning = [row for row in report["rows"] if row["part"] == "planning"]
    selection = [row for row in report["rows"] if row["part"] == "selection"]
    figure = new_figure(1, 3)
    for name in dict.fromkeys(row["solver"] for row in planning):
        of = [row for row in planning if row["solver"] == name]
        for axes, key in zip(figure.axes[:2], ("covered", "cpu_ms"), strict=True):
            with_bars(axes, [row["tasks"] for row in of], [row[key] for row in of], marker="o", label=name)
    for axes, label in zip(figure.axes[:2], ("tasks visited by a worker", "CPU of a worker, ms"), strict=True):
        axes.set_xlabel("tasks")
        axes.set_ylabel(label)
        if planning:
            axes.legend()
    figure.axes[1].set_yscale("log")
    shown = [row for row in selection if row["solver"] != "exact"]
    names = [f"{row['solver']},\n{row['paths']} paths" for row in shown]
    with_bars(figure.axes[2], range(len(shown)), [row["excess"] for row in shown], 100.0, fmt="o")
    figure.axes[2].set_xticks(range(len(shown)), names)
    figure.axes[2].set_ylabel("paths selected beyond the fewest, %")
    figure.axes[2].set_ylim(bottom=0)
    return [save_figure(figure, folder / "campaign-solvers.png")]


def scale(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """CPU time by the stops of all paths, and the peak of memory so far."""
    figure = new_figure(1, 2)
    for kind in dict.fromkeys(row["paths_of"] for row in report["rows"]):
        of = [row for row in report["rows"] if row["paths_of"] == kind]
        label = "paths of 5 to 9 tasks" if kind == "published" else "paths of a tenth of the tasks"
        stops = [row["stops"] for row in of]
        with_bars(figure.axes[0], stops, [row["cpu_s"] for row in of], marker="o", label=label)
        figure.axes[1].plot(stops, [row["peak_mb"] for row in of], marker="o", label=label)
    for axes, key, label in zip(
        figure.axes, ("cpu_s", "peak_mb"), ("CPU of selection and rewards, s", "peak memory so far, MB"), strict=True
    ):
        axes.axhline(report["target"][key], color="k", linestyle="--", label="target")
        axes.set_xscale("log")
        axes.set_xlabel("stops of all paths")
        axes.set_ylabel(label)
        axes.legend()
    figure.axes[0].set_yscale("log")
    figure.axes[1].set_ylim(bottom=0)
    return [save_figure(figure, folder / "campaign-scale.png")]


def gas(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Ours beside the paper's: by operation, and by the number of tasks where the cost depends on it."""
    rows = [row for row in report["rows"] if row["paper"] is not None]
    figure = new_figure(1, 3)
    single = [row for row in rows if not row["tasks"]]
    for shift, key, label in ((-0.2, "gas", "here"), (0.2, "paper", "published, on Ethereum")):
        places = [place + shift for place in range(len(single))]
        figure.axes[0].bar(places, [row[key] for row in single], 0.4, label=label)
    figure.axes[0].set_xticks(range(len(single)), [row["operation"].replace("_", "\n") for row in single])
    figure.axes[0].set_yscale("log")
    figure.axes[0].set_ylabel("gas")
    figure.axes[0].legend()
    for axes, operation in zip(figure.axes[1:], report["slopes"], strict=False):
        ours = [row for row in report["rows"] if row["operation"] == operation]
        theirs = [row for row in ours if row["paper"] is not None]
        axes.plot([row["tasks"] for row in ours], [row["gas"] for row in ours], marker="o", label="here")
        axes.plot([row["tasks"] for row in theirs], [row["paper"] for row in theirs], marker="s", label="published")
        axes.set_xlabel(f"tasks of a path ({operation})")
        axes.set_ylabel("gas")
        axes.set_ylim(bottom=0)
        axes.legend()
    return [save_figure(figure, folder / "campaign-gas.png")]
