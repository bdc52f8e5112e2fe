"""The command `experiment`: what reproduces a paper's evaluation. What runs is imported when it does."""

import sys
from dataclasses import replace
from pathlib import Path

import click

from actors.command_line import QUIET, VIOLATION, errors
from experiments.campaign_commands import campaign_gas, campaign_paper, campaign_scale, campaign_solvers
from experiments.experiment_options import QUICK, conclude, need, options, voice


@click.group()
def experiment() -> None:
    """Reproduce a paper's evaluation: tables, JSON and plots, the same for the same seed. Ctrl-C keeps what is done."""


for command in (campaign_paper, campaign_solvers, campaign_scale, campaign_gas):
    experiment.add_command(command)


@experiment.command("spatial-allocation")
@click.option(
    "--roads",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a road network, nodes.csv and edges.csv.  [default: a grid city, generated from the seed]",
)
@click.option("--speed-kmh", type=click.FloatRange(1, 300), help="Speed on all streets.  [default: 56.327, 35 mph]")
@options
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
    need("scipy", plots)
    with errors():
        from experiments import spatial_allocation as measured
        from experiments import spatial_plots

        plan = measured.Plan(roads=roads, seed=seed, seeds=seeds or (5 if quick else 30))
        if speed_kmh:
            plan = replace(plan, speed_kmh=speed_kmh)
        result = measured.report(measured.run(plan, voice(quiet)))
        conclude(result, measured.table(result), spatial_plots.allocation, plots, report_path, as_json=as_json)


@experiment.command("spatial-accuracy")
@options
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
    need("scipy", plots)
    with errors():
        from experiments import spatial_accuracy as measured
        from experiments import spatial_plots

        plan = replace(measured.QUICK if quick else measured.Plan(), seed=seed, seeds=seeds or 1)
        result = measured.report(measured.run(plan, voice(quiet)))
        conclude(result, measured.table(result), spatial_plots.accuracy, plots, report_path, as_json=as_json)
    if any(row["violations"] for row in result["rows"]):
        sys.exit(VIOLATION)


@experiment.command("spatial-rewards")
@options
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
    need("scipy", plots)
    with errors():
        from experiments import spatial_plots
        from experiments import spatial_rewards as measured

        plan = replace(measured.QUICK if quick else measured.Plan(), seed=seed, seeds=seeds or 3)
        result = measured.report(measured.run(plan, voice(quiet)))
        conclude(result, measured.table(result), spatial_plots.rewards, plots, report_path, as_json=as_json)


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
    need("scipy", out)
    out.mkdir(parents=True, exist_ok=True)
    for name, command in sorted(experiment.commands.items()):
        if command is not everything:
            click.echo(f"== {name}")
            ctx.invoke(command, quick=quick, quiet=quiet, plots=out, report_path=out / f"{name}.json")
