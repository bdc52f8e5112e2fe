"""The command `experiment`: what reproduces a paper's evaluation. What runs is imported when it does."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from actors.command_line import FAILURE, INTERRUPTED, JSON, QUIET, REPORT, VIOLATION, errors, show

SEED = click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The first seed.")
SEEDS = click.option("--seeds", type=click.IntRange(1, 1000), help="How many seeds, from the first on.")
QUICK = click.option("--quick", is_flag=True, help="A smaller measurement, of half a minute or less.")
PLOTS = click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw the figures into this folder, as PNG; needs matplotlib (make experiments).",
)
Draw = Callable[[Mapping[str, Any], Path], list[Path]]


@click.group()
def experiment() -> None:
    """Reproduce a paper's evaluation: tables, JSON and plots, the same for the same seed. Ctrl-C keeps what is done."""


@experiment.command("spatial-allocation")
@click.option(
    "--roads",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a road network, nodes.csv and edges.csv.  [default: a grid city, generated from the seed]",
)
@click.option("--speed-kmh", type=click.FloatRange(1, 300), help="Speed on all streets.  [default: 56.327, 35 mph]")
@SEED
@SEEDS
@QUICK
@PLOTS
@REPORT
@JSON
@QUIET
def spatial_allocation(
    roads: Path | None,
    speed_kmh: float | None,
    seed: int,
    seeds: int | None,
    quick: bool,
    plots: Path | None,
    report_path: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Review time of 100 facilities for 1,000 reports, of which 0 to 40 % are filtered out, beside the paper's.

    30 seeds in half a minute; --quick: 5.
    """
    _need("scipy", plots)
    with errors():
        from experiments import spatial_allocation as measured
        from experiments import spatial_plots

        plan = measured.Plan(roads=roads, seed=seed, seeds=seeds or (5 if quick else 30))
        if speed_kmh:
            plan = replace(plan, speed_kmh=speed_kmh)
        result = measured.report(measured.run(plan, _voice(quiet)))
        _conclude(result, measured.table(result), spatial_plots.allocation, plots, report_path, as_json=as_json)


@experiment.command("spatial-accuracy")
@SEED
@SEEDS
@QUICK
@PLOTS
@REPORT
@JSON
@QUIET
def spatial_accuracy(
    seed: int,
    seeds: int | None,
    quick: bool,
    plots: Path | None,
    report_path: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Precision and recall of what is recorded, for workers right in 60 to 95 % and 10 to 40 % false reports.

    The whole protocol in virtual time, against Condorcet's prediction. One seed in three minutes; --quick: six cells of
    twenty, and less of each.
    """
    _need("scipy", plots)
    with errors():
        from experiments import spatial_accuracy as measured
        from experiments import spatial_plots

        plan = replace(measured.QUICK if quick else measured.Plan(), seed=seed, seeds=seeds or 1)
        result = measured.report(measured.run(plan, _voice(quiet)))
        _conclude(result, measured.table(result), spatial_plots.accuracy, plots, report_path, as_json=as_json)
    if any(row["violations"] for row in result["rows"]):
        sys.exit(VIOLATION)


@experiment.command("spatial-rewards")
@SEED
@SEEDS
@QUICK
@PLOTS
@REPORT
@JSON
@QUIET
def spatial_rewards(
    seed: int,
    seeds: int | None,
    quick: bool,
    plots: Path | None,
    report_path: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """What both readings of the reward formulas mint over 2,000 confirmed reports, by the contract's own code.

    3 seeds in half a minute; --quick: 500 reports.
    """
    _need("scipy", plots)
    with errors():
        from experiments import spatial_plots
        from experiments import spatial_rewards as measured

        plan = replace(measured.QUICK if quick else measured.Plan(), seed=seed, seeds=seeds or 3)
        result = measured.report(measured.run(plan, _voice(quiet)))
        _conclude(result, measured.table(result), spatial_plots.rewards, plots, report_path, as_json=as_json)


@experiment.command("all")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for reports and plots."
)
@QUICK
@QUIET
@click.pass_context
def everything(ctx: click.Context, out: Path, quick: bool, quiet: bool) -> None:
    """Run all experiments one after the other; each leaves NAME.json and its plots in a folder.

    Ends with the first that is interrupted or finds a violation.
    """
    _need("scipy", out)
    out.mkdir(parents=True, exist_ok=True)
    for name, command in sorted(experiment.commands.items()):
        if command is not everything:
            click.echo(f"== {name}")
            ctx.invoke(command, quick=quick, quiet=quiet, plots=out, report_path=out / f"{name}.json")


def _need(module: str, plots: Path | None) -> None:
    """End at once, rather than after an hour, where something is not installed that a swarm does without."""
    missing = [name for name in (module, *(["matplotlib"] if plots else [])) if find_spec(name) is None]
    if missing:
        click.echo(f"crowdmesh: needs {' and '.join(missing)}; please type: make experiments", err=True)
        sys.exit(FAILURE)


def _voice(quiet: bool) -> Callable[[str], object] | None:
    return None if quiet else partial(click.echo, err=True)


def _conclude(
    result: dict[str, Any], table: str, draw: Draw, plots: Path | None, report_path: Path | None, *, as_json: bool
) -> None:
    """Tell, write and draw what was measured; ends the process when that was interrupted."""
    show(result, table, report_path, as_json=as_json)
    if plots and result["rows"]:
        plots.mkdir(parents=True, exist_ok=True)
        for path in draw(result, plots):
            click.echo(f"drawn: {path}", err=True)
    if result["interrupted"]:
        sys.exit(INTERRUPTED)
