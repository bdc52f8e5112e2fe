"""One of several processes that run a population: does what its parent tells it, and tells it what came of it."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from actors.messages import MAX_ADDRESSES, Known
from actors.outcome import report
from actors.process_messages import (
    TO_PROCESS,
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
)
from actors.process_share import Share
from actors.run import RunPlan, Serve, load_reports, run
from actors.scenario import ScenarioError
from actors.standing import standing
from actors.swarm import CannotStartError, Swarm
from chain.codec import decode
from chain.errors import StoreError
from chain.genesis import Genesis
from net.peer import Address, PeerId

PROGRESS_S = 1.0
MAX_GENESIS_BYTES = 1 << 20
KNOWN = (ScenarioError, StoreError, CannotStartError, OSError)
"""Whose message says all."""
MakePages = Callable[[Assignment, Callable[[str], None]], Serve | None]
"""What serves an assignment's web pages, and tells the URL; None for none."""


def serve_parent(pages: MakePages) -> bool:
    """Be one of several processes: `run_child` over stdin and stdout, in an event loop of its own."""
    return trio.run(_over_stdio, pages)


async def _over_stdio(pages: MakePages) -> bool:
    answers = os.dup(1)
    os.dup2(2, 1)  # what else writes to stdout must not end up between messages
    async with trio.lowlevel.FdStream(os.dup(0)) as receive, trio.lowlevel.FdStream(answers) as send:
        return await run_child(Pipe(receive, send), pages)


async def run_child(pipe: Pipe, pages: MakePages) -> bool:
    """Take an assignment from the pipe, run it, and tell what came of it. Whether all went well.

    What goes wrong is the parent's to say to the user: it is told in `Failed`.
    """
    try:
        assignment = await pipe.receive(TO_PROCESS)
        if assignment is None:
            return False
        if not isinstance(assignment, Assignment):
            msg = f"the first message is to be an Assignment, not {type(assignment).__name__}"
            raise PipeError(msg)
        child = _Child(pipe, assignment, pages)
        await child.tell(await run(child.plan(), child.serve))
    except Exception as error:
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        await pipe.send(Failed(type(cause).__name__, str(cause)))
        if not isinstance(cause, KNOWN):
            raise  # a bug: its trace is for stderr
        return False
    return True


class _Child:
    """The conversation with the parent; the run reports to it."""

    def __init__(self, pipe: Pipe, assignment: Assignment, pages: MakePages) -> None:
        self._pipe = pipe
        self._assignment = assignment
        self._page: str | None = None
        self._serve_pages = pages(assignment, self._note_page)
        self._swarm: Swarm | None = None
        self._errors_told = 0
        self._told = False
        self._up = trio.Event()
        self._acquainted = trio.Event()
        self._others: Sequence[Known] = ()

    def plan(self) -> RunPlan:
        """What to run. Raises ScenarioError."""
        a = self._assignment
        file, scenario = load_reports(Path(a.reports), a.scenario) if a.reports else (None, a.scenario)
        return RunPlan(
            scenario=scenario,
            kind="swarm",
            seconds=float("inf"),
            reports=file,
            data=Path(a.data) if a.data else None,
            journal=Path(a.journal) if a.journal else None,
            doors=[Address(door) for door in a.doors],
            first_place=a.first_place,
            share=Share(
                genesis=decode(Genesis, a.genesis, limit=MAX_GENESIS_BYTES),
                started_ms=a.started_ms,
                index=a.index,
                processes=a.processes,
                acquaint=self._acquaint,
                until=self._obey,
            ),
            on_start=lambda _: self._up.set(),
            sum_up=_sum_up,
        )

    async def serve(self, swarm: Swarm, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell the parent each second where the run is; serve the pages."""
        self._swarm = swarm
        async with trio.open_nursery() as nursery:
            if self._serve_pages is not None:
                await nursery.start(self._serve_pages, swarm)
            nursery.start_soon(self._tell_started)
            task_status.started()
            while True:
                await self._tell_progress()
                await trio.sleep(PROGRESS_S)

    async def _tell_started(self) -> None:
        await self._up.wait()
        await self._pipe.send(Started(self._page))

    async def _tell_progress(self) -> None:
        assert self._swarm is not None  # noqa: S101 - serve() has set it
        errors = self._swarm.world.errors
        news, self._errors_told = tuple(errors[self._errors_told :]), len(errors)
        await self._pipe.send(Progress(standing(self._swarm), news))

    async def _acquaint(self, swarm: Swarm) -> None:
        ours = [
            Known(bytes(node.identity.peer_id), tuple(_outside(node.overlay.addresses))) for node in swarm.full_nodes
        ]
        await self._pipe.send(Opened(tuple(ours)))
        await self._acquainted.wait()
        others = [PeerId.parse(known.peer) for known in self._others]
        for peer, known in zip(others, self._others, strict=True):
            swarm.world.addresses.told(peer, [Address(address) for address in known.addresses])
        swarm.meet(others)

    async def tell(self, outcome: Outcome) -> None:
        """Tell what came of it, once."""
        if not self._told:
            self._told = True
            await self._pipe.send(outcome)

    async def _obey(self, sum_up: Callable[[], Outcome]) -> None:
        """Do what the parent says until it says to stop, or is gone."""
        while True:
            match await self._pipe.receive(TO_PROCESS):
                case Acquaint(nodes):
                    self._others = nodes
                    self._acquainted.set()
                case Pages(pages):
                    if self._swarm is not None:
                        self._swarm.pages = pages
                case Stop() | None:
                    # Now: hundreds of actors take seconds to end.
                    await self.tell(sum_up())
                    return
                case other:
                    msg = f"unexpected in a run: {type(other).__name__}"
                    raise PipeError(msg)

    def _note_page(self, url: str) -> None:
        self._page = url


def _outside(addresses: Sequence[Address]) -> Sequence[Address]:
    return [address for address in addresses if not address.startswith("/memory/")][:MAX_ADDRESSES]


def _sum_up(swarm: Swarm, *, rows_refused: int, wall_s: float, cpu_s: float) -> Outcome:
    swarm.world.journal.flush()  # we may be killed while the actors end
    tally = swarm.tally
    return Outcome(
        report=report(swarm, rows_refused=rows_refused, wall_s=wall_s, cpu_s=cpu_s),
        counted=tally.height - tally.base,
        final_ids={height: bytes(id_) for height, id_ in tally.final_ids.items()},
        latencies=tuple(swarm.world.meter.latencies()),
    )
