"""Hypercorn in the caller's nursery, with an end that no browser can hold up.

Hypercorn 0.18 shields each write from cancellation and gives it no deadline, so that one browser which stopped
reading keeps the whole process from ending; and with quart-trio it leaves connections open that it means to close.
`PatientServer` replaces that one method; the version is pinned in pyproject.toml, and tests/web/test_serve.py fails
when an update changes what it relies on.
"""

import errno
import logging
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import wrap_app
from quart_trio import QuartTrio

WRITE_TIMEOUT_S = 10.0
"""A browser that takes no `SLICE` in this time is disconnected."""

SLICE = 64 * 1024
"""Bytes. The deadline is one of progress: a large answer over a slow line may take as long as it needs."""

SETTLE_S = 0.5
"""For closing a connection or making it ready for the next request; it takes microseconds."""

KEEP_ALIVE_S = 30.0
"""How long a connection may wait for its (next) request."""

BACKLOG = 128
MAX_CONNECTIONS = 1024
"""Sockets at once; more wait in the backlog."""

log = logging.getLogger("web")


class WebError(Exception):
    """The web UI could not start. The text says what to do; the population is not affected."""


class PatientServer(TCPServer):
    """One connection whose writes can be cancelled and have a deadline."""

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            # Hypercorn tells the app that its request is over before it closes or recycles the connection, in the
            # app's own task, which quart-trio then cancels: unshielded, connections would stay open for good.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + SETTLE_S):
                await super().protocol_send(event)
            return
        async with self.send_lock:
            try:
                for start in range(0, len(event.data), SLICE):
                    with trio.fail_after(WRITE_TIMEOUT_S):
                        await self.stream.send_all(event.data[start : start + SLICE])
            except trio.Cancelled:
                # Part of the bytes are out: nothing that made sense could follow them.
                await trio.aclose_forcefully(self.stream)
                raise
            except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
                await trio.aclose_forcefully(self.stream)
                await self.protocol.handle(Closed())


async def serve(
    app: QuartTrio, host: str, port: int, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; then every connection ends at once, whatever its browser does.

    `port` 0 takes a free one. Reports the address of the pages, e.g. ``http://127.0.0.1:8080/``, when they answer.

    Raises:
        WebError: The address cannot be bound.
    """
    listeners = await _listen(host, port)
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("web.server")
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.read_timeout = None  # a websocket may be silent for hours
    config.websocket_max_message_size = 4096  # browsers only listen
    config.websocket_ping_interval = 20.0  # finds browsers that vanished without a word
    wrapped = wrap_app(app, config.wsgi_max_body_size, "asgi")
    state: LifespanState = {}
    lifespan = Lifespan(wrapped, config, state)
    places = trio.CapacityLimiter(MAX_CONNECTIONS)

    async with trio.open_nursery() as nursery:
        await nursery.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        context = WorkerContext(None)
        handler = partial(_handle, wrapped, config, context, state, places)
        await nursery.start(partial(trio.serve_listeners, handler, listeners))
        task_status.started(_address(listeners[0]))


async def _listen(host: str, port: int) -> list[trio.SocketListener]:
    try:
        return list(await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = (
                f"port {port} on {host} is in use: end the program that holds it, or choose another port "
                f"(--web {host}:{port + 1}, or :0 for any free one)"
            )
        elif error.errno in {errno.EACCES, errno.EPERM}:
            message = f"port {port} on {host} needs rights that this user lacks: choose one above 1023"
        else:
            message = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise WebError(message) from error


async def _handle(
    app: AppWrapper,
    config: Config,
    context: WorkerContext,
    state: LifespanState,
    places: trio.CapacityLimiter,
    stream: trio.SocketStream,
) -> None:
    """One connection. What goes wrong in it ends with it: the swarm in the same process goes on."""
    if places.available_tokens < 1:
        return  # the listener closes the socket
    try:
        async with places:
            await PatientServer(app, config, context, ConnectionState(state), stream)  # type: ignore[arg-type]  # hypercorn means either
    except Exception as error:
        # Mostly bytes that no browser sends, at a moment when Hypercorn has no words left to refuse them.
        log.warning("a browser's connection failed: %r", error)
        log.debug("its trace", exc_info=error)


def _address(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
