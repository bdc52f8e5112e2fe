"""Copying others' votes: a worker is paid for agreeing with those who looked, without a look of its own.

Attacked: the independence of votes, on which Condorcet's theorem rests, and the pay. Late in the vote window the copycat
reads the votes on its report off the blocks. If it can tell what they say, it votes with the majority; if not, it hands in
somebody's commitment as its own, and copies what that voter reveals.
Budget: 5 of 15 workers, who never look.
Success: a copycat is among the confirmers of a report, who are paid.
Defence: a vote is a commitment with 16 bytes of salt, and names its voter. Off: votes without a salt (all zero), which
anybody finds out by trying both.
What remains: a copycat can guess. That is `careless`.
Source: spec, "copying others' votes"; "Vote".
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

import trio

from actors.actor import Actor
from actors.attacks.case import Case, Measured, Size
from actors.attacks.votes.voters import insist, place_of
from actors.ledger import GatewayError
from actors.population import Member
from actors.protocol_trial import HONEST, WORKERS, Plot, incidents, play, workers
from actors.sensing.mobility import Point
from actors.trial import Turn
from actors.worker import REVEAL_MARGIN_MS, Task, Worker
from chain.codec import decode
from chain.contracts.spatial_draw import commit_ballot
from chain.contracts.spatial_records import SALT_BYTES, Commitment, ReportId, Salt, Ticket
from chain.errors import MalformedError, Refused
from chain.values import Account, Transaction, TxId

Decoded = TypeVar("Decoded")
COPYCATS = 5
NO_SALT = bytes(SALT_BYTES)
LAST_MS = 5_000
"""How long before the end of the window a copycat votes: its vote has to get into a block."""
BLOCKS = 12


class Unsalted(Worker):
    """An honest worker of a network in which votes have no salt."""

    def __init__(self, honest: Worker, home: Point) -> None:
        super().__init__(honest.node, honest.world.scenario.population.worker, home)

    def _salt(self, report: TxId) -> bytes:
        del report
        return NO_SALT


class Copycat(Worker):
    """Votes what others have voted, as far as it can tell."""

    def __init__(self, honest: Worker, home: Point) -> None:
        super().__init__(honest.node, honest.world.scenario.population.worker, home)

    async def _vote(self, report: TxId, task: Task) -> None:
        clock, ballot = self.world.clock, task.ballot
        await clock.sleep_until_ms(ballot.vote_until_ms - LAST_MS)
        votes = dict(await self._votes(report))
        seen = [
            choice for voter, vote in votes.items() for choice in (True, False) if _opens(report, voter, vote, choice)
        ]
        if seen:
            confirm, salt = 2 * sum(seen) > len(seen), NO_SALT
            commitment = commit_ballot(report, self.identity.account, confirm, salt)
            if await insist(self, "vote", ballot.vote_until_ms, report, commitment, ballot.ticket):
                await clock.sleep_until_ms(ballot.vote_until_ms + REVEAL_MARGIN_MS)
                await insist(self, "reveal", ballot.reveal_until_ms, report, confirm, salt)
        elif votes:
            model = min(votes)
            if await insist(self, "vote", ballot.vote_until_ms, report, votes[model], ballot.ticket):
                await self._copy_reveal(report, model, ballot.reveal_until_ms)

    async def _copy_reveal(self, report: TxId, model: Account, until_ms: int) -> None:
        while self.world.clock.now_ms() < until_ms - LAST_MS / 2:
            await trio.sleep(1.0)
            for transaction in await self._recent("reveal"):
                args = _decode(tuple[ReportId, bool, Salt], transaction)
                if args is not None and args[0] == report and transaction.sender == model:
                    await insist(self, "reveal", until_ms, report, args[1], args[2])
                    return

    async def _votes(self, report: TxId) -> list[tuple[Account, bytes]]:
        """The votes of others on a report, as they stand in blocks."""
        votes = [
            (each.sender, _decode(tuple[ReportId, Commitment, Ticket], each)) for each in await self._recent("vote")
        ]
        return [(voter, args[1]) for voter, args in votes if args is not None and args[0] == report]

    async def _recent(self, method: str) -> list[Transaction]:
        """Calls of a method in the last blocks."""
        try:
            height = (await self.ledger.heads()).head.height
            found = [await self.ledger.block(number) for number in range(max(1, height - BLOCKS), height + 1)]
        except (GatewayError, Refused):
            return []
        return [
            each for block in found if block is not None for each in block.block.transactions if each.method == method
        ]


def _decode(type_: type[Decoded], transaction: Transaction) -> Decoded | None:
    try:
        return decode(type_, transaction.args, limit=len(transaction.args))
    except MalformedError:
        return None


def _opens(report: TxId, voter: Account, vote: bytes, choice: bool) -> bool:
    return commit_ballot(report, voter, choice, NO_SALT) == vote


def _turn(kind: type[Unsalted | Copycat]) -> Turn:
    def turn(actor: Actor, member: Member) -> Actor:
        return kind(*place_of(actor, member))

    return turn


def _turned(*, salted: bool) -> Iterator[tuple[str, Turn]]:
    yield from ((name, _turn(Copycat)) for name in workers(COPYCATS))
    if not salted:
        yield from ((name, _turn(Unsalted)) for name in workers(WORKERS - COPYCATS, first=COPYCATS + 1))


def _copy(defended: bool, seed: int, size: Size) -> Measured:
    seen = incidents(seed, HONEST, size.reports, real=True)
    turned: Mapping[str, Turn] = dict(_turned(salted=defended))
    ending = play(Plot({HONEST: seen}, turned=turned), seed)
    copycats = {ending.account(name) for name in workers(COPYCATS)}
    paid = sum(worker in copycats for each in ending.events("confirmed") for worker in each["workers"])
    voted = sum(each["worker"] in copycats for each in ending.events("voted"))
    return Measured(paid, voted, {"reports confirmed": len(ending.events("confirmed")) / len(seen)})


COPYING = Case(
    name="vote-copying",
    family="votes",
    goal="a worker is paid for a vote that it copied",
    budget=f"{COPYCATS} of {WORKERS} workers",
    defence="commitments with salt, which name their voter; off: no salt",
    source="malicious worker: copying others' votes",
    run=_copy,
)
