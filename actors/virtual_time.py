"""Run a trio program in virtual time, the same way every time: the one place that touches trio's private switches.

Trio shuffles the tasks that wake together with a generator of its own, and breaks ties between equal deadlines by
memory address unless scheduling is declared deterministic. Both must be pinned: the seed alone gives another order in
every process. Threads are forbidden under this clock, since it jumps while they run.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio
import trio._core
import trio._core._run as trio_run
from trio.testing import MockClock

Result = TypeVar("Result")


def run_virtual(main: Callable[..., Awaitable[Result]], *args: Any, seed: int) -> Result:
    """Like ``trio.run``, but time jumps to the next deadline as soon as nothing can run, and a replay is identical.

    `seed` orders tasks that become runnable together. Not for code that uses threads, sockets or processes.
    """
    was = trio_run._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001 - trio has no public switch
    state = trio_run._r.getstate()  # noqa: SLF001
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc] # noqa: SLF001 - declared final
    trio_run._r.seed(seed)  # noqa: SLF001
    try:
        return trio.run(main, *args, clock=MockClock(autojump_threshold=0))
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = was  # type: ignore[misc] # noqa: SLF001
        trio_run._r.setstate(state)  # noqa: SLF001
