"""Answering the requests of peers: bounded in parallel, and one handler's bug is nobody else's trouble."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from net.peer import PeerId
from net.transport import FrameTooLargeError, RequestReceived

HANDLERS = 64
"""Requests of others that are being handled at the same time; further ones are refused as busy."""
HANDLERS_PER_PEER = 16
"""The same for requests of one peer, so that one cannot crowd out the others."""
REFUSALS = 64
"""Refusals under way at the same time; what comes on top of them is not answered at all."""

Handler = Callable[[PeerId, bytes], Awaitable[bytes]]
"""Who asks and the request's body to the answer. Raises `RequestRefused` before it has changed anything."""


class RequestRefused(Exception):
    """Raised by a handler: the asker's fault or simply not now. The asker gets the reason, as a definite failure."""


@dataclass(slots=True)
class _Service:
    handler: Handler
    running: list[trio.CancelScope] = field(default_factory=list)


class RequestDesk:
    """Handlers by protocol, and the requests that they are handling.

    `report` is told of a handler that raised what it should not: the protocol and the error.
    """

    def __init__(self, report: Callable[[str, Exception], None]) -> None:
        self._report = report
        self._services: dict[str, _Service] = {}
        self._handling: dict[PeerId, int] = {}  # no entry is 0
        self._total = 0
        self._refusing = 0
        self.turned_away = 0
        """Requests refused as busy, or not even that, so far."""

    @asynccontextmanager
    async def serve(self, protocol: str, handler: Handler) -> AsyncGenerator[None, None]:
        """Have `handler` answer a protocol's requests while in the context; leaving cancels those under way.

        Raises ValueError when the protocol is served already.
        """
        if protocol in self._services:
            raise ValueError(f"{protocol} is served already")
        service = self._services[protocol] = _Service(handler)
        try:
            yield
        finally:
            del self._services[protocol]
            for scope in service.running:
                scope.cancel()

    def admit(self, event: RequestReceived, nursery: trio.Nursery) -> None:
        """Start handling a request in `nursery`, or start to refuse it. Does not wait."""
        service = self._services.get(event.protocol)
        if service is None:
            self._refuse(event, "protocol not served", nursery)
        elif self._total >= HANDLERS or self._handling.get(event.peer, 0) >= HANDLERS_PER_PEER:
            self.turned_away += 1
            self._refuse(event, "busy", nursery)
        else:
            self._total += 1
            self._handling[event.peer] = self._handling.get(event.peer, 0) + 1
            nursery.start_soon(self._handle, event, service)

    def _refuse(self, event: RequestReceived, reason: str, nursery: trio.Nursery) -> None:
        if self._refusing < REFUSALS:
            self._refusing += 1
            nursery.start_soon(self._send_refusal, partial(event.refuse, reason))

    async def _send_refusal(self, refuse: Callable[[], Awaitable[None]]) -> None:
        try:
            await refuse()
        finally:
            self._refusing -= 1

    async def _handle(self, event: RequestReceived, service: _Service) -> None:
        with trio.CancelScope() as scope:
            service.running.append(scope)
            try:
                await self._answer(event, service.handler)
            finally:
                service.running.remove(scope)
                self._total -= 1
                self._handling[event.peer] -= 1
                if not self._handling[event.peer]:
                    del self._handling[event.peer]

    async def _answer(self, event: RequestReceived, handler: Handler) -> None:
        try:
            answer = await handler(event.peer, event.body)
        except RequestRefused as refusal:
            await event.refuse(str(refusal))
            return
        except Exception as error:  # noqa: BLE001 - one request must not be able to stop us
            self._report(event.protocol, error)
            await event.refuse("internal error")
            return
        try:
            await event.reply(answer)
        except FrameTooLargeError as error:
            self._report(event.protocol, error)
            await event.refuse("the answer is too large")
