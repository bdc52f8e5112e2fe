"""What the commands of `experiment` have in common: options, and how their results are told, written and drawn."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from actors.command_line import FAILURE, INTERRUPTED, JSON, QUIET, REPORT, show

SEED = click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The first seed.")
SEEDS = click.option("--seeds", type=click.IntRange(1, 1000), help="How many seeds, from the first on.")
QUICK = click.option("--quick", is_flag=True, help="A smaller measurement, of half a minute or less.")
PLOTS = click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw the figures into this folder, as PNG; needs matplotlib (make experiments).",
)
Draw = Callable[[Mapping[str, Any], Path], list[Path]]
Command = TypeVar("Command", bound=Callable[..., None])


def options(command: Command) -> Command:
    """The options that every experiment has, in the order of its help."""
    for option in reversed((SEED, SEEDS, QUICK, PLOTS, REPORT, JSON, QUIET)):
        command = option(command)
    return command


def need(module: str, plots: Path | None) -> None:
    """End at once, rather than after an hour, where something is not installed that a swarm does without."""
    missing = [name for name in (module, *(["matplotlib"] if plots else [])) if find_spec(name) is None]
    if missing:
        click.echo(f"crowdmesh: needs {' and '.join(missing)}; please type: make experiments", err=True)
        sys.exit(FAILURE)


def voice(quiet: bool) -> Callable[[str], object] | None:
    """What progress is told to."""
    return None if quiet else partial(click.echo, err=True)


def conclude(
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
