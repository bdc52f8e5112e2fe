"""The commands that measure: `bench` and `attack`. What they run is imported when they do."""

import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import click

from actors.command_line import INTERRUPTED, JSON, QUIET, REPORT, errors, show, write_json


@click.command()
@click.argument("name", type=click.Choice(["gossip", "overlay-scale", "actors", "pow", "ordered"]))
@click.option("--quick", is_flag=True, help="A smaller measurement, of a minute or two.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Of ordered: draw latencies into this PNG; needs matplotlib (make experiments).",
)
@REPORT
@JSON
def bench(name: str, quick: bool, plot: Path | None, report_path: Path | None, as_json: bool) -> None:
    """Measure a part, some against their peers in the same run.

    gossip: deliveries per CPU second of stock py-libp2p GossipSub, and of ours over memory and over TCP: the same graph,
    degree, message size and signing. Two minutes.

    overlay-scale: the reference evaluation of GossipSub in virtual time: 1,000 actors, 100 of which publish 120 messages
    of 2 KiB a second over links of 25 ms. Latencies, losses and copies per delivery. A virtual minute takes the better
    part of an hour; --quick is 5 virtual seconds and some four minutes.

    actors: start-up, memory and idle CPU of 500 actors in one process. Two minutes.

    pow: signed transactions validated and applied, sync of 10,000 blocks, reorganisations; beside py-evm where it is
    installed. A minute.

    ordered: latency of updates and queries by 1 to 16 endorsers who must all endorse, in memory and over TCP, 33 times 50
    in sequence; valid calls a second of 4 peers and 3 orderers at requested rates, by contention. An hour; --quick is 2
    repetitions and some five minutes.
    """
    from experiments.benches import measure

    if plot and name != "ordered":
        raise click.BadParameter("ordered alone has a plot", param_hint="--plot")
    if plot and find_spec("matplotlib") is None:
        raise click.BadParameter("needs matplotlib; please type: make experiments", param_hint="--plot")
    with errors():
        result, table = measure(name, quick=quick, progress=lambda text: click.echo(text, err=True))
        show(result, table, report_path, as_json=as_json)
        if plot:
            from experiments.ordered_plots import latencies

            click.echo(f"drawn: {latencies(result, plot)}", err=True)
    if result.get("interrupted"):
        sys.exit(INTERRUPTED)


@click.command()
@click.argument("name")
@click.option(
    "--ledger",
    type=click.Choice(["pow", "ordered", "both"]),
    help="Those that run on it, on it.  [default: each on its own; campaign: pow]",
)
@click.option("--defence", type=click.Choice(["on", "off", "both", "unscored"]), default="both", help="See above.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=1, help="Trials per row, seeds 1 to N.")
@click.option("--quick/--full", "quick", default=True, help="Small trials, or large ones, some of which take minutes.")
@click.option(
    "--rate", type=click.FloatRange(1, 1000), default=8.0, help="Honest messages per second.", show_default=True
)
@click.option("--data-bytes", type=click.IntRange(13, 65536), default=200, help="Size of a message.", show_default=True)
@REPORT
@JSON
@QUIET
def attack(
    name: str,
    ledger: Literal["pow", "ordered", "both"] | None,
    defence: str,
    seeds: int,
    quick: bool,
    rate: float,
    data_bytes: int,
    report_path: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Attack in virtual time, with and without the defence. NAME is an attack, or "overlay", "chain", "votes",
    "campaign", "ordered" or "all".

    Overlay: defence on is GossipSub v1.1 with scores; off is v1.0; unscored is v1.1 without scores. Quick is 40 honest peers
    and 60 attackers, full 200 and 800, which takes a minute or two of CPU time a trial and grows with the rate; the
    reference evaluation has 120 messages of 2 KiB a second. Chain: replicas that mine; votes and campaign: whole
    populations; ordered: a consortium of three organisations; off is a system without the very check, rule or policy. A
    share of seeds, or of attempts, is won. Attacks on campaigns run on either ledger: --ledger says on which, or both.
    Ctrl-C keeps the rows so far, and --report is written after each.
    """
    from actors.attack_table import NAMES, OVERLAY_NAMES, Runs, cases_on, run

    def keep(runs: Runs) -> None:
        # A link or a pipe (/dev/stdout) gets one report, at the end.
        if report_path and not report_path.is_symlink() and (report_path.is_file() or not report_path.exists()):
            write_json(report_path, runs.report())

    if name not in NAMES:
        raise click.BadParameter(f"one of {', '.join(NAMES)}", param_hint="NAME")
    if name not in OVERLAY_NAMES and not cases_on(name, ledger):
        raise click.BadParameter(f"{name} does not run on {ledger}", param_hint="--ledger")
    with errors():
        runs = run(
            name,
            defence,
            seeds,
            ledger=ledger,
            full=not quick,
            tell=None if quiet else partial(click.echo, err=True),
            keep=keep,
            rate=rate,
            data_bytes=data_bytes,
        )
        show(runs.report(), runs.table(), report_path, as_json=as_json)
    if runs.interrupted:
        sys.exit(INTERRUPTED)
