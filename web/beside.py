"""Pages beside a run: the run does not begin without them if they were asked for, and does not end because of them."""

from collections.abc import Callable

import trio

from actors.control import Control
from web.app import create_app
from web.guard import hosts_of
from web.serve import WebError, serve


async def serve_beside(
    control: Control,
    host: str,
    port: int,
    *,
    secret: bytes,
    elsewhere: bool,
    announce: Callable[[str], None],
    failed: Callable[[str], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; `announce` is told the URL. With `elsewhere`, a free port will do where `port` is taken.

    What goes wrong once the pages answer is told to `failed`, and ends them alone. Raises WebError before that.
    """
    app = create_app(control, secret=secret, allowed_hosts=hosts_of(host))
    announced = False
    try:
        async with trio.open_nursery() as nursery:
            try:
                url = await nursery.start(serve, app, host, port)
            except WebError:
                if not elsewhere:
                    raise
                url = await nursery.start(serve, app, host, 0)
            announce(url)
            announced = True
            task_status.started()
    except Exception as error:
        # The pages are a window: a run that has begun goes on without them.
        if not announced:
            raise
        failed(f"{type(error).__name__}: {error}")
