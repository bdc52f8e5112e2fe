"""A population in several processes of one machine, from a plan to one report.

The parent founds the network, deals the members out, starts a process for each share, introduces their ledger nodes to
each other, and stops them. It runs no actor itself. A process that dies is not started again, for what it kept in memory
is gone: the others go on, and the report says so. What parent and processes say is in `actors.process_messages`.
"""

import math
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import merge
from pathlib import Path
from typing import Any

import trio

from actors.clock import Stopwatch, wall_clock_ms
from actors.data_directory import DataDirectory
from actors.fault_config import MEMORY_FAULTS, kind_of
from actors.population import Member, build_city, build_members
from actors.process_messages import (
    TO_PARENT,
    Acquaint,
    Assignment,
    Failed,
    Opened,
    Outcome,
    Pages,
    Pipe,
    PipeError,
    Progress,
    Started,
    Stop,
    ToProcess,
)
from actors.process_report import one_report
from actors.process_share import deal
from actors.run import RunPlan, found_or_resume, stop_on_signal
from actors.scenario import ScenarioError
from actors.standing import Standing, together
from actors.transports import listens
from chain.codec import encode
from chain.errors import StoreError
from net.peer import PeerId

START_TIMEOUT_S = 180.0
"""For all actors of all processes to be up."""
TELL_TIMEOUT_S = 5.0
"""For a process to take a message; one that does not is stuck."""
END_S = 2.0
"""For the processes to tell what came of it, and in that time to end; then they are killed."""
MAX_ERRORS = 100


class ProcessError(Exception):
    """A process could not do its share; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Processes:
    """How many, how each is started, and where their web pages are."""

    count: int
    command: Sequence[str]
    """Program and arguments of one process; it calls `actors.process_child.run_child`."""
    reports: Path | None = None
    """The file of the plan's reports: each process reads it."""
    web: tuple[str, int] | None = None
    """Host and port of the first process's pages, the others take the next ports; None for none."""
    web_elsewhere: bool = True
    """Whether free ports will do where those are taken."""
    on_page: Callable[[str, str], None] = field(default=lambda _name, _url: None)
    on_open: Callable[[str], None] = field(default=lambda _address: None)
    """Told an address, with its peer id, at which others can join."""
    on_standing: Callable[[Standing], None] = field(default=lambda _: None)


def run_processes(plan: RunPlan, processes: Processes) -> dict[str, Any]:
    """Run a plan in several processes, to its end or until SIGINT or SIGTERM, and return its report.

    Makes its own event loop. Raises ScenarioError, StoreError or ProcessError, perhaps in an ExceptionGroup.
    """
    wrong = [
        f"faults[{number}].kind: a {kind_of(fault)} cannot strike links between processes: leave out it or --processes"
        for number, fault in enumerate(plan.scenario.faults)
        if isinstance(fault, MEMORY_FAULTS)
    ]
    if wrong:
        raise ScenarioError("; ".join(wrong))
    return trio.run(_run, plan, processes)


@dataclass(slots=True)
class _Process:
    """A process, as far as its parent knows."""

    index: int
    process: trio.Process
    pipe: Pipe
    opened: Opened | None = None
    started: Started | None = None
    standing: Standing | None = None
    outcome: Outcome | None = None
    failure: Failed | None = None
    gone: bool = False
    killed: bool = False
    errors: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"process {self.index + 1}"


async def _run(plan: RunPlan, processes: Processes) -> dict[str, Any]:
    watch = Stopwatch()
    started_ms = wall_clock_ms()
    scenario = plan.scenario
    city = build_city(scenario, plan.reports)
    members = build_members(scenario, city)
    shares = deal(members, processes.count)
    data = DataDirectory(plan.data) if plan.data else None
    parent = _Parent(plan, processes)
    try:
        genesis = encode(found_or_resume(plan, data, city, members, started_ms))
        async with trio.open_nursery() as readers:
            try:
                with trio.move_on_after(plan.seconds or scenario.duration_s or math.inf):
                    async with trio.open_nursery() as nursery:
                        await nursery.start(stop_on_signal, nursery.cancel_scope)
                        await parent.start(_assignments(plan, processes, shares, genesis, started_ms), readers)
                        await parent.watch()
                        nursery.cancel_scope.cancel()
                await parent.stop()
            finally:
                await parent.close()
                readers.cancel_scope.cancel()
    finally:
        if data is not None:
            data.close()
    journal = _merge_journals(plan.journal, processes.count) if plan.journal else None
    try:
        return one_report(
            parent.outcomes,
            parent.lost,
            actors=len(members),
            processes=processes.count,
            rows_refused=len(plan.reports.refused) if plan.reports else 0,
            virtual_s=watch.wall_s,
            wall_s=watch.wall_s,
            cpu_s=watch.cpu_s,
            journal_sha256=journal,
            errors=parent.errors,
        )
    except ValueError as error:
        raise ProcessError("; ".join([*parent.errors, str(error)])) from None


class _Parent:
    """The processes of one run, and what they said."""

    def __init__(self, plan: RunPlan, processes: Processes) -> None:
        self._plan = plan
        self._how = processes
        self._processes: list[_Process] = []
        self._changed = trio.Event()
        self._stopping = False
        self.errors: list[str] = []
        """What the processes did not say themselves, the first MAX_ERRORS."""

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """By process, of those that told one."""
        return {p.index: p.outcome for p in self._processes if p.outcome is not None}

    @property
    def lost(self) -> dict[int, Standing]:
        """How far the others were when they were heard of last."""
        return {p.index: p.standing for p in self._processes if p.outcome is None and p.standing is not None}

    async def start(self, assignments: Sequence[Assignment], readers: trio.Nursery) -> None:
        """Return when all actors are up. Raises ScenarioError, StoreError or ProcessError."""
        for assignment in assignments:
            try:
                process = await trio.lowlevel.open_process(
                    self._how.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C reaches the parent alone, which tells the others
                )
            except OSError as error:
                raise ProcessError(f"cannot start a process: {error}") from None
            assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - they are pipes
            started = _Process(assignment.index, process, Pipe(process.stdout, process.stdin))
            self._processes.append(started)
            readers.start_soon(self._listen, started)
        with trio.move_on_after(START_TIMEOUT_S) as scope:
            async with trio.open_nursery() as nursery:
                for each, assignment in zip(self._processes, assignments, strict=True):
                    nursery.start_soon(self._tell, each, assignment)
            await self._all_have(lambda each: each.opened)
            for each in self._processes:
                await self._tell(
                    each, Acquaint(tuple(n for p in self._others(each) if p.opened for n in p.opened.nodes))
                )
            await self._all_have(lambda each: each.started)
        if scope.cancelled_caught:
            slow = ", ".join(each.name for each in self._processes if each.started is None)
            raise ProcessError(f"{slow}: not up after {START_TIMEOUT_S:.0f} s")
        await self._introduce()

    async def _introduce(self) -> None:
        """Tell the user, and the processes' web pages, where the pages are; and the user where others can join."""
        pages = {p.index: p.started.page for p in self._processes if p.started is not None and p.started.page}
        for index, url in pages.items():
            self._how.on_page(f"process {index + 1}", url)
        for each in self._processes:
            others = tuple((f"process {index + 1}", url) for index, url in pages.items() if index != each.index)
            if others:
                await self._tell(each, Pages(others))
        first = self._processes[0].opened
        for node in first.nodes[:1] if first is not None else ():
            for address in node.addresses[:1]:
                self._how.on_open(f"{address}/p2p/{PeerId.parse(node.peer)}")

    async def watch(self) -> None:
        """Tell where the run is, until no process is left."""
        while not all(each.gone for each in self._processes):
            self._changed = trio.Event()
            if parts := [each.standing for each in self._processes if each.standing is not None]:
                self._how.on_standing(together(parts))
            with trio.move_on_after(self._plan.progress_s):
                await self._changed.wait()

    async def stop(self) -> None:
        """Have all processes tell what came of it and end, in `END_S` seconds.

        One that told, and still ends its actors then, is killed as well: whatever its stores have is whole.
        """
        self._stopping = True
        with trio.move_on_after(END_S):
            async with trio.open_nursery() as nursery:
                for each in self._processes:
                    nursery.start_soon(each.pipe.send, Stop())
            while not all(each.gone for each in self._processes):
                self._changed = trio.Event()
                await self._changed.wait()

    async def close(self) -> None:
        """Kill what still runs, and wait until nothing does."""
        for each in self._processes:
            if each.process.poll() is None:
                if each.outcome is None:
                    self._note(f"{each.name} did not end in {END_S:g} s, and was killed")
                    each.killed = True
                each.process.kill()
        with trio.CancelScope(shield=True):
            for each in self._processes:
                await each.process.wait()
                await each.pipe.aclose()

    async def _listen(self, each: _Process) -> None:
        """Hear what a process says until it ends."""
        try:
            while (message := await each.pipe.receive(TO_PARENT)) is not None:
                match message:
                    case Opened():
                        each.opened = message
                    case Started():
                        each.started = message
                    case Progress(now, errors):
                        each.standing = now
                        each.errors += errors[: MAX_ERRORS - len(each.errors)]
                        for error in errors:
                            self._plan.on_error(f"{each.name}: {error}")
                    case Failed():
                        each.failure = message
                    case Outcome():
                        each.outcome = message
                self._changed.set()
        except PipeError as error:
            self._note(f"{each.name}: {error}")
            each.killed = True
            each.process.kill()
        with trio.move_on_after(TELL_TIMEOUT_S) as scope:
            await each.process.wait()
        if scope.cancelled_caught:
            each.process.kill()
            await each.process.wait()
        each.gone = True
        if each.outcome is None:
            for told in each.errors:
                self._note(f"{each.name}: {told}", told=True)
        if each.failure is not None:
            self._note(f"{each.name}: {each.failure.text or each.failure.kind}")
        elif each.outcome is None and not each.killed:
            self._note(f"{each.name} ended {_how(each.process.returncode)}")
        elif not self._stopping:
            self._note(f"{each.name} ended before the run did")
        self._changed.set()

    async def _all_have(self, what: Callable[[_Process], object]) -> None:
        """Wait until all processes told it. Raises what a process failed with."""
        while True:
            for each in self._processes:
                if each.failure is not None:
                    known = {"ScenarioError": ScenarioError, "StoreError": StoreError}
                    raise known.get(each.failure.kind, ProcessError)(f"{each.name}: {each.failure.text}")
                if each.gone:
                    raise ProcessError(f"{each.name} ended {_how(each.process.returncode)} before it was up")
            if all(what(each) is not None for each in self._processes):
                return
            self._changed = trio.Event()
            await self._changed.wait()

    async def _tell(self, each: _Process, message: ToProcess) -> None:
        with trio.move_on_after(TELL_TIMEOUT_S) as scope:
            await each.pipe.send(message)
        if scope.cancelled_caught:
            self._note(f"{each.name} took no message for {TELL_TIMEOUT_S:.0f} s, and was killed")
            each.killed = True
            each.process.kill()

    def _others(self, each: _Process) -> Sequence[_Process]:
        return [other for other in self._processes if other is not each]

    def _note(self, error: str, *, told: bool = False) -> None:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(error)
        if not told:
            self._plan.on_error(error)


def _assignments(
    plan: RunPlan, processes: Processes, shares: Sequence[Sequence[Member]], genesis: bytes, started_ms: int
) -> Sequence[Assignment]:
    everywhere = plan.scenario.network.kind == "libp2p"
    made, listening = [], 0
    for index, share in enumerate(shares):
        web = processes.web
        if web is not None and web[1] != 0:
            web = (web[0], web[1] + index)
        made.append(
            Assignment(
                scenario=plan.scenario,
                genesis=genesis,
                started_ms=started_ms,
                index=index,
                processes=len(shares),
                doors=tuple(plan.doors),
                first_place=listening,
                data=str(plan.data) if plan.data else None,
                journal=str(_part(plan.journal, index)) if plan.journal else None,
                reports=str(processes.reports) if processes.reports else None,
                web=web,
                web_elsewhere=processes.web_elsewhere,
            )
        )
        listening += sum(listens(member, everywhere=everywhere, between=True) for member in share)
    return made


def _part(journal: Path, index: int) -> Path:
    return journal.with_name(f"{journal.name}.{index + 1}")


def _merge_journals(path: Path, count: int) -> str:
    """Make one journal of the processes' in the order of time, and take theirs away; its hex SHA-256.

    A line that a process was killed in is left out.
    """
    digest = sha256()
    parts = [part for index in range(count) if (part := _part(path, index)).exists()]
    with path.open("wb") as whole, ExitStack() as stack:
        files = [stack.enter_context(part.open("rb")) for part in parts]
        for line in merge(*files, key=_time_of):
            if line.endswith(b"\n"):
                digest.update(line)
                whole.write(line)
    for part in parts:
        part.unlink()
    return digest.hexdigest()


def _time_of(line: bytes) -> int:
    """Milliseconds since the run began: what a record starts with, see `actors.journal`."""
    number = line[len(b'{"t":') :].partition(b",")[0]
    return int(number) if number.isdigit() else 0


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"by signal {-code} ({signal.Signals(-code).name})"
    return f"unexpectedly, with exit code {code}"
