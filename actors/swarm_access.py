"""How the user interface's seam gets at the actors of a process, and in which words it is told that it cannot."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

import trio

from actors.actor import Actor
from actors.control import CommandRefusedError, LedgerUnavailableError, UnknownActorError, UnknownRecordError
from actors.ledger import GatewayError, OutcomeUnknownError
from actors.node import FullNode
from actors.requester import Requester
from actors.swarm import Swarm
from actors.views import actor_id
from actors.worker import Worker
from chain.errors import Refused
from chain.values import Account

T = TypeVar("T")


class Access:
    """The actors of a swarm and the answers of their ledgers."""

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm

    def find(self, actor: str) -> Actor:
        """By id or name. Raises UnknownActorError."""
        for found in self._swarm.actors.values():
            if actor in (actor_id(found.identity.account), found.name):
                return found
        raise UnknownActorError(actor)

    def reference(self) -> FullNode | None:
        """The ledger node that speaks for the whole run."""
        nodes = self._swarm.full_nodes
        return nodes[0] if nodes else None

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """A query's answer. Raises LedgerUnavailableError, or UnknownRecordError where it is refused."""
        try:
            return await question()
        except GatewayError as error:
            raise LedgerUnavailableError(str(error)) from None
        except Refused as refused:
            raise UnknownRecordError(str(refused)) from None

    async def ask_all(self, questions: Sequence[Callable[[], Awaitable[Any]]]) -> Sequence[Any]:
        """The answers in their order, all asked at once. Raises as `ask` does, once all have come."""
        answers: dict[int, Any] = {}
        failed: list[LedgerUnavailableError | UnknownRecordError] = []

        async def put(place: int, question: Callable[[], Awaitable[Any]]) -> None:
            try:
                answers[place] = await self.ask(question)
            except (LedgerUnavailableError, UnknownRecordError) as error:
                failed.append(error)

        async with trio.open_nursery() as nursery:
            for place, question in enumerate(questions):
                nursery.start_soon(put, place, question)
        if failed:
            raise failed[0]
        return [answers[place] for place in range(len(questions))]

    async def command(self, command: Callable[[], Awaitable[T]]) -> T:
        """A call's outcome. Raises LedgerUnavailableError or CommandRefusedError."""
        try:
            return await command()
        except (GatewayError, OutcomeUnknownError) as error:
            raise LedgerUnavailableError(str(error)) from None
        except Refused as refused:
            raise CommandRefusedError(refused.reason, self._told(refused)) from None

    def _told(self, refused: Refused) -> str:
        """The detail of a refusal for people, who do not count in E7."""
        if refused.reason != "out_of_place":
            return refused.detail
        box = self._swarm.world.city.place
        return (
            f"latitudes from {box.lat_min:.5f} to {box.lat_max:.5f} and longitudes from {box.lon_min:.5f} to "
            f"{box.lon_max:.5f} are allowed"
        )


def accounts_of(actor: Actor) -> Collection[Account]:
    """An actor's own account and those of the pseudonyms that served it."""
    own = [actor.identity.account]
    if isinstance(actor, Worker | Requester) and actor.pseudonyms is not None:
        own += actor.pseudonyms.used()
    return frozenset(own)


def id_bytes(text: str) -> bytes:
    """An id as people write it. Raises UnknownRecordError unless it is 64 hex digits."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise UnknownRecordError(text[:80])
    return raw
