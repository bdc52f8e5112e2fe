#!/usr/bin/env python3
"""crowdmesh's command line: parse, build a plan, call one function, map errors to exit codes.

Exit codes: 0 done, 1 a checker found a violation, 2 bad usage or scenario, 3 a component failed.
Heavy imports are inside the commands, so that --help answers at once.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actors import parameters
from actors.command_line import FAILURE, JSON, NEW_FILE, QUIET, REPORT, VIOLATION, errors, show, write_json
from actors.keys_command import keys, passphrase
from actors.parameters import Parsed
from experiments.commands import attack, bench
from experiments.experiment_command import experiment

if TYPE_CHECKING:
    import trio

    from actors.processes import Processes
    from actors.run import RunPlan
    from actors.scenario import Scenario
    from actors.swarm import Swarm
    from actors.terminal import Terminal

VERSION = "0.1.0"
WEB_DEFAULT = "127.0.0.1:8000"
WEB = parameters.endpoint(WEB_DEFAULT)
DURATION = Parsed("duration", parameters.duration)
ENDPOINT = Parsed("host:port", parameters.endpoint)
PLACE = Parsed("lat,lon", parameters.place)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
SET = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a scenario key; TOML value."
)
LEDGER = click.option(
    "--ledger",
    type=click.Choice(["pow", "ordered"]),
    help="Proof of work, or endorse, order, commit by organisations.  [default: the scenario's, pow]",
)
SEED = click.option("--seed", type=click.IntRange(min=0), help="Seed of the run.  [default: the scenario's, 1]")
FOR = click.option("--for", "seconds", type=DURATION, help="How long, e.g. 90s, 2m, 1h.")
REPORTS = click.option("--reports", type=FILE, help="CSV of real citizen reports (time, category, lat, lon) to replay.")
JOURNAL = click.option("--journal", type=NEW_FILE, help="Write the journal to this file, one JSON object a line.")


@click.group(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
def main() -> None:
    """A testbed for decentralised mobile crowdsensing.

    Local swarms of actors that report, vote, mine and get paid; the same in replayable virtual time; and single actors
    that join over TCP.
    """


@main.command()
@click.argument("scenario", required=False, type=FILE)
@click.option(
    "--actors", type=click.IntRange(min=5), help="Scale the population to N actors.  [default: scenario's, 60]"
)
@LEDGER
@click.option("--network", type=click.Choice(["memory", "libp2p"]), help="Links.  [default: the scenario's, memory]")
@SEED
@FOR
@click.option("--web", type=ENDPOINT, default=None, help=f"Address of the web pages.  [default: {WEB_DEFAULT}]")
@click.option("--no-web", is_flag=True, help="No web pages.")
@click.option(
    "--listen",
    multiple=True,
    metavar="MADDR",
    help="Where others can join, TCP or QUIC; a second actor takes the next port.  [default: /ip4/127.0.0.1/tcp/0]",
)
@click.option("--data", type=FOLDER, help="Keep ledgers here, and go on from there next time.  [default: in memory]")
@click.option("--processes", type=click.IntRange(1, 64), default=1, help="Split the population over P processes.")
@REPORTS
@REPORT
@JOURNAL
@SET
@JSON
@QUIET
def swarm(
    scenario: Path | None,
    actors: int | None,
    ledger: str | None,
    network: str | None,
    seed: int | None,
    seconds: float | None,
    web: tuple[str, int] | None,
    no_web: bool,
    listen: tuple[str, ...],
    data: Path | None,
    processes: int,
    reports: Path | None,
    report_path: Path | None,
    journal: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Run a population in real time, with web pages to watch it and take part.

    SCENARIO is a TOML file; without one, a small seeded city. Ends after --for, or with Ctrl-C.
    """
    from actors import run
    from actors.terminal import voice

    with errors():
        chosen = _chosen(ledger=ledger, network=network)
        config, file = _configure(scenario, [*overrides, *chosen], seed, actors, reports)
        terminal = _terminal(as_json=as_json, quiet=quiet)
        plan = run.RunPlan(
            scenario=config,
            kind="swarm",
            seconds=seconds,
            reports=file,
            data=data,
            journal=journal,
            doors=run.doors(listen),
            **voice(terminal),
        )
        if processes > 1:
            pages = None if no_web else web or WEB
            how = _processes(processes, reports, terminal, pages, elsewhere=web is None)
            _run(plan, None, terminal, report_path, as_json=as_json, processes=how)
            return
        serve = None if no_web else _web(web or WEB, _announcing(terminal), data, elsewhere=web is None)
        _run(plan, serve, terminal, report_path, as_json=as_json)


@main.command(hidden=True)
def process() -> None:
    """One of the processes of `swarm --processes`: takes its part in from its parent on stdin."""
    from actors.process_child import serve_parent
    from actors.process_messages import Assignment

    def pages(assignment: Assignment, announce: Callable[[str], None]) -> Callable[..., Any] | None:
        if assignment.web is None:
            return None
        data = Path(assignment.data, f"process-{assignment.index + 1}") if assignment.data else None
        return _web(assignment.web, announce, data, elsewhere=assignment.web_elsewhere)

    sys.exit(0 if serve_parent(pages) else FAILURE)


@main.command()
@click.argument("scenario", required=False, type=FILE)
@click.option(
    "--actors", type=click.IntRange(min=5), help="Scale the population to N actors.  [default: scenario's, 60]"
)
@LEDGER
@SEED
@FOR
@REPORTS
@REPORT
@JOURNAL
@SET
@JSON
@QUIET
def simulate(
    scenario: Path | None,
    actors: int | None,
    ledger: str | None,
    seed: int | None,
    seconds: float | None,
    reports: Path | None,
    report_path: Path | None,
    journal: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Run the same actors in virtual time: as fast as the machine can, and the same every time.

    Two runs of one seed have the same journal, byte for byte. --for is virtual time (default 10m).
    """
    from actors import run
    from actors.terminal import voice

    with errors():
        config, file = _configure(scenario, [*overrides, *_chosen(ledger=ledger)], seed, actors, reports)
        terminal = _terminal(as_json=as_json, quiet=quiet)
        plan = run.RunPlan(
            scenario=config,
            kind="simulate",
            seconds=seconds,
            reports=file,
            journal=journal,
            progress_s=10.0,
            **voice(terminal),
        )
        _run(plan, None, terminal, report_path, as_json=as_json)


@main.command()
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    metavar="ROLE",
    help="requester, worker, mec, facility, organizer, oracle; with proof of work miner, on an ordered ledger endorser, orderer.",
)
@click.option(
    "--data", type=FOLDER, required=True, help="Keys and ledgers of this node; it goes on from there next time."
)
@click.option("--bootstrap", multiple=True, metavar="MADDR", help="A ledger node to join, /ip4/…/tcp/…/p2p/12D3….")
@click.option(
    "--listen",
    multiple=True,
    metavar="MADDR",
    help="Where to listen, TCP or QUIC; a second role takes the next port.  [default: /ip4/127.0.0.1/tcp/0]",
)
@click.option(
    "--certificate",
    "certificates",
    multiple=True,
    type=FILE,
    help="Of a role's key, to endorse or order with on an ordered ledger; see `keys certify`.",
)
@click.option("--at", type=PLACE, help="Home or site, LAT,LON in degrees.  [default: the middle of the network's box]")
@click.option("--scenario", type=FILE, help="TOML with the parameters of the roles (hash rate, accuracy, …).")
@click.option("--web", type=ENDPOINT, default=None, help="Serve web pages here, e.g. 127.0.0.1:8001.  [default: none]")
@FOR
@REPORT
@JOURNAL
@SET
@JSON
@QUIET
def node(
    roles: tuple[str, ...],
    data: Path,
    bootstrap: tuple[str, ...],
    listen: tuple[str, ...],
    certificates: tuple[Path, ...],
    at: tuple[float, float] | None,
    scenario: Path | None,
    web: tuple[str, int] | None,
    seconds: float | None,
    report_path: Path | None,
    journal: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Join a running network over TCP with one or more actors of this process.

    Their keys are made in --data at the first start, encrypted if CROWDMESH_PASSPHRASE is set.
    """
    from actors import join, run
    from actors.scenario import load
    from actors.sensing.mobility import Point
    from actors.terminal import voice

    with errors():
        config = load(scenario, overrides)
        joining = join.join(
            roles,
            data,
            bootstrap,
            at=Point(*at) if at else None,
            passphrase=passphrase(),
            certificates=certificates,
        )
        terminal = _terminal(as_json=as_json, quiet=quiet)
        plan = run.RunPlan(
            scenario=join.joined_scenario(config, joining),
            kind="node",
            seconds=seconds,
            data=data,
            journal=journal,
            doors=run.doors(listen),
            join=joining,
            **voice(terminal),
        )
        serve = _web(web, _announcing(terminal), data, elsewhere=False) if web else None
        _run(plan, serve, terminal, report_path, as_json=as_json)


@main.command()
@click.argument("report")
@click.option("--data", type=FOLDER, required=True, help="Where the swarm or node kept its ledgers.")
@click.option("--actor", help="Whose ledger to read.  [default: any]")
@REPORT
@JSON
def audit(report: str, data: Path, actor: str | None, report_path: Path | None, as_json: bool) -> None:
    """Replay the draw of a report's voters from public data, and say whether it was honest.

    REPORT is its id. Reads the ledger of a run that has ended; while it runs, ask the report's page. Exits with 1 when
    the draw was dishonest.
    """
    from actors.stored_books import as_report, audit_stored, told

    with errors():
        found = audit_stored(data, report, actor)
        show(as_report(found), told(found), report_path, as_json=as_json)
    if found.verdict == "dishonest":
        sys.exit(VIOLATION)


main.add_command(bench)
main.add_command(attack)
main.add_command(experiment)
main.add_command(keys)


@main.command()
def version() -> None:
    """Print the versions of crowdmesh, Python and the libraries that matter in a report of a problem."""
    from importlib.metadata import version as version_of

    click.echo(f"crowdmesh {VERSION}\npython {sys.version.split()[0]}")
    for library in ("trio", "libp2p", "msgspec", "pynacl", "quart", "hypercorn"):
        click.echo(f"{library} {version_of(library)}")


def _chosen(**kinds: str | None) -> list[str]:
    """Options that are keys of the scenario."""
    return [f"{table}.kind={kind!r}" for table, kind in kinds.items() if kind]


def _configure(
    path: Path | None, overrides: list[str], seed: int | None, actors: int | None, reports: Path | None
) -> "tuple[Scenario, Any]":
    """The checked scenario, with the options in, and the file of reports."""
    import msgspec

    from actors.population import scaled
    from actors.run import load_reports
    from actors.scenario import load

    config = load(path, overrides)
    if seed is not None:
        config = msgspec.structs.replace(config, seed=seed)
    if actors is not None:
        config = scaled(config, actors)
    if reports is None:
        return config, None
    file, config = load_reports(reports, config)
    return config, file


def _terminal(*, as_json: bool, quiet: bool) -> "Terminal | None":
    from actors.terminal import Terminal

    if quiet:
        return None
    out = sys.stderr if as_json else sys.stdout
    return None if out is None else Terminal(out)  # None: the stream is closed


def _run(
    plan: "RunPlan",
    serve: Callable[..., Any] | None,
    terminal: "Terminal | None",
    report_path: Path | None,
    *,
    as_json: bool,
    processes: "Processes | None" = None,
) -> None:
    """Run a plan, write and print its report, and end the process as its outcome says."""
    import json

    from actors.run import run_plan

    if terminal:
        terminal.introduce(plan)
    if processes is None:
        report = run_plan(plan, serve)
    else:
        from actors.processes import run_processes

        report = run_processes(plan, processes)
    if plan.reports is not None:
        report["refused_rows"] = [{"line": row.line, "reason": row.reason} for row in plan.reports.refused]
    if as_json:
        click.echo(json.dumps(report, indent=2))
    elif terminal:
        terminal.summary(report)
    if report_path:
        write_json(report_path, report)
    if not (report["replicas_agree"] and report["supply_conserved"]):
        sys.exit(VIOLATION)
    if report["errors"]:
        sys.exit(FAILURE)


def _announcing(terminal: "Terminal | None") -> Callable[[str], None]:
    return lambda url: terminal.say(f"web      {url}") if terminal else None


def _processes(
    count: int, reports: Path | None, terminal: "Terminal | None", web: tuple[str, int] | None, *, elsewhere: bool
) -> "Processes":
    """How a population is split over processes of this program, and what is told of it."""
    from actors.processes import Processes
    from actors.terminal import parents_voice

    command = [sys.executable, str(Path(__file__).resolve()), "process"]
    return Processes(count, command, reports=reports, web=web, web_elsewhere=elsewhere, **parents_voice(terminal))


def _web(
    endpoint: tuple[str, int], announce: Callable[[str], None], data: Path | None, *, elsewhere: bool
) -> Callable[..., Any]:
    """What serves the web pages beside a run, and announces their URL; `elsewhere`: on a free port if need be.

    Sessions of browsers outlive a restart with the same `data` directory.
    """

    async def serve(swarm: "Swarm", *, task_status: "trio.TaskStatus[None]") -> None:
        from actors.keyfile import session_secret
        from actors.swarm_control import SwarmControl
        from web.beside import serve_beside

        await serve_beside(
            SwarmControl(swarm),
            *endpoint,
            secret=session_secret(data),
            elsewhere=elsewhere,
            announce=announce,
            failed=lambda text: swarm.world.fail("web", text),
            task_status=task_status,
        )

    return serve


if __name__ == "__main__":
    main()
