"""The commands of `experiment` that reproduce ChainSensing's evaluation. What runs is imported when it does."""

from dataclasses import replace
from pathlib import Path

import click

from actors.command_line import errors
from experiments.experiment_options import conclude, need, options, voice


@click.command("campaign-paper")
@click.option(
    "--planner",
    default="greedy",
    show_default=True,
    help="How workers plan: greedy (the paper's), improved, exact, or your own as module:function.",
)
@options
def campaign_paper(
    planner: str,
    seed: int,
    seeds: int | None,
    quick: bool,
    plots: Path | None,
    report_path: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Tasks, paths, selection and rewards of 15 workers and 10 tasks: one campaign, and what is typical, beside the paper's.

    200 seeds in some seconds; --quick: 20.
    """
    need("scipy", plots)
    with errors():
        from experiments import campaign_paper as measured
        from experiments import campaign_plots

        plan = measured.Plan(planner=planner, seed=seed, seeds=seeds or (20 if quick else 200))
        result = measured.report(measured.run(plan, voice(quiet)))
        conclude(result, measured.table(result), campaign_plots.paper, plots, report_path, as_json=as_json)


@click.command("campaign-solvers")
@options
def campaign_solvers(
    seed: int,
    seeds: int | None,
    quick: bool,
    plots: Path | None,
    report_path: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Greedy, improved and exact planning at 10, 20 and 50 tasks; greedy, improved and exact selection, 200 instances.

    20 seeds of 15 workers in a minute; --quick: 3.
    """
    need("scipy", plots)
    with errors():
        from experiments import campaign_plots
        from experiments import campaign_solvers as measured

        plan = measured.Plan(seed=seed, seeds=seeds or (3 if quick else 20))
        result = measured.report(measured.run(plan, voice(quiet)))
        conclude(result, measured.table(result), campaign_plots.solvers, plots, report_path, as_json=as_json)


@click.command("campaign-scale")
@options
def campaign_scale(
    seed: int,
    seeds: int | None,
    quick: bool,
    plots: Path | None,
    report_path: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """CPU seconds and memory of selection and rewards, for up to 1,000 tasks and 5,000 paths.

    5 seeds in ten seconds; --quick: 1.
    """
    need("scipy", plots)
    with errors():
        from experiments import campaign_plots
        from experiments import campaign_scale as measured

        plan = replace(measured.QUICK if quick else measured.Plan(), seed=seed)
        if seeds:
            plan = replace(plan, seeds=seeds)
        result = measured.report(measured.run(plan, voice(quiet)))
        conclude(result, measured.table(result), campaign_plots.scale, plots, report_path, as_json=as_json)


@click.command("campaign-gas")
@options
def campaign_gas(
    seed: int,
    seeds: int | None,
    quick: bool,
    plots: Path | None,
    report_path: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Gas of each call of a campaign, by operation and number of tasks, beside what the paper reports of Ethereum.

    50 seeds in some seconds; --quick: 5.
    """
    need("scipy", plots)
    with errors():
        from experiments import campaign_gas as measured
        from experiments import campaign_plots

        plan = measured.Plan(seed=seed, seeds=seeds or (5 if quick else 50))
        result = measured.report(measured.run(plan, voice(quiet)))
        conclude(result, measured.table(result), campaign_plots.gas, plots, report_path, as_json=as_json)
