"""What the commands have in common: options, exit codes, and how what goes wrong is told.

Light to import, as `actors.parameters` is: --help must answer at once.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from actors import parameters
from actors.parameters import Parsed

VIOLATION, USAGE, FAILURE = 1, 2, 3
INTERRUPTED = 130
"""As shells count it: nothing was done. Who interrupts a run gets its report, and the exit code that it says."""
USER_ERRORS = {"ScenarioError", "KeyFileError", "UnauditableError"}
FAILURES = {"JoinError", "StoreError", "WebError", "GenesisError", "CannotStartError", "ProcessError", "OSError"}
NEW_FILE = Parsed("file", parameters.new_file)
REPORT = click.option("--report", "report_path", type=NEW_FILE, help="Write the run's report to this file, as JSON.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else, on stdout.")
QUIET = click.option("--quiet", is_flag=True, help="No progress.")


def show(result: dict[str, Any], table: str, report_path: Path | None, *, as_json: bool) -> None:
    """Write a report to its file, if it has one, and print it: as JSON or as `table`."""
    if report_path:
        write_json(report_path, result)
    click.echo(json.dumps(result, indent=2) if as_json else table)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a report to a file, whole or not at all. Raises OSError."""
    text = json.dumps(value, indent=2) + "\n"
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text)  # a link, a device or a pipe (/dev/stdout) must not be replaced by a file
        return
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


class errors:  # noqa: N801 - used as a statement
    """Maps what goes wrong to one line and an exit code."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if isinstance(error, KeyboardInterrupt):
            click.echo("crowdmesh: interrupted before the run began", err=True)
            raise SystemExit(INTERRUPTED) from None
        # By name: importing what defines them would cost --help a second.
        names = {each.__name__ for each in type(error).__mro__}
        code = USAGE if names & USER_ERRORS else FAILURE if names & FAILURES else None
        if code is not None:
            click.echo(f"crowdmesh: {error}", err=True)
            raise SystemExit(code) from None
