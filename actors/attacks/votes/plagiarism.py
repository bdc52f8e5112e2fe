"""Claiming another's report: somebody else is paid for what a requester saw.

Attacked: the requester's reward. In `stolen` another requester reads new reports off the ledger and submits each as its own.
In `stolen-at-gateway` the ledger node that a phone submits through keeps the transaction back, and submits what it says
under another key, which the phone cannot tell from a slow network.
Budget: one requester; or one MEC node and a key.
Success: the thief's copy is confirmed.
Defence: who reported it is who signed it, and a copy is a duplicate of the original (off: `duplicate_radius_m = 0`).
What remains: the rule goes by who is first on the ledger. A gateway that sees a report before anybody else does can be
first, and then the original is the duplicate. The phone finds that out, from the refusal or from silence, and can prove to
people that it signed earlier, but not to the contract. Hiding what is reported until it is recorded would take a
commitment and a second transaction for each report, which the system does not have.
Source: spec, "claiming another's report".
"""

from functools import cached_property, partial

import trio

from actors.actor import Actor
from actors.attacks.case import Case, Measured, Size
from actors.attacks.votes.gateways import untouched_sender
from actors.identity import Identity
from actors.ledger import GatewayError, OutcomeUnknownError, Sender
from actors.node import FullNode
from actors.population import Member
from actors.protocol_trial import ACCOMPLICE, DUPLICATE_RADIUS_M, HONEST, Ending, Plot, incidents, play
from actors.requester import Requester
from chain.codec import decode
from chain.contracts.spatial_records import CONFIRMED, PENDING, Report
from chain.errors import Refused
from chain.values import Account, Natural, Transaction

LOOK_S = 1.0
LISTED = 100
GATEWAY = "mec-01"


class Plagiarist(Requester):
    """Submits what others have submitted."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(super().run)
            task_status.started()
            copied: set[bytes] = set()
            while True:
                await trio.sleep(LOOK_S)
                try:
                    found: list[Report] = list(await self.ledger.query("spatial", "reports", PENDING, LISTED, None))
                except (GatewayError, Refused):
                    continue
                for report in found:
                    if report.id not in copied and report.content is not None:
                        copied.add(report.id)
                        if report.content.requester != self.identity.account:
                            nursery.start_soon(self._copy, report)

    async def _copy(self, report: Report) -> None:
        assert report.content is not None  # noqa: S101 - a pending report has its content
        content, now_ms = report.content, self.world.clock.now_ms()
        try:
            await self.ledger.call("spatial", "submit", content.type, content.lat_e7, content.lon_e7, now_ms)
        except (Refused, GatewayError, OutcomeUnknownError):
            return


def _plagiarist(actor: Actor, member: Member) -> Actor:
    if not isinstance(actor, Requester) or member.place is None:
        raise TypeError(f"{member.name} is no requester")
    return Plagiarist(actor.node, member.place, iter(()))


def thief_of(seed: int) -> Identity:
    """The key under which the gateway's copies are submitted."""
    return Identity.derive(seed, "thief")


class ThievingNode(FullNode):
    """A ledger node whose gateway submits the reports of others under another key, and says that all went well."""

    @cached_property
    def _thief(self) -> Sender:
        return untouched_sender(self, thief_of(self.world.scenario.seed))

    async def submit(self, transaction: Transaction) -> None:
        """Take what is no report in as it is. Raises Refused."""
        if (transaction.contract, transaction.method) != ("spatial", "submit"):
            await super().submit(transaction)
            return
        args = decode(tuple[str, int, int, Natural], transaction.args, limit=len(transaction.args))
        await self._thief.send(self.core.chain, "spatial", "submit", args)


def _confirmed(ending: Ending, thief: Account) -> int:
    statuses = ending.statuses()
    return sum(
        statuses[each.receipt.transaction] == CONFIRMED
        for each in ending.calls("submit")
        if each.transaction.sender == thief
    )


def _steal(at_gateway: bool, defended: bool, seed: int, size: Size) -> Measured:
    seen = incidents(seed, HONEST, size.reports, real=True)
    plot = Plot(
        {HONEST: seen},
        turned={} if at_gateway else {ACCOMPLICE: _plagiarist},
        nodes={GATEWAY: ThievingNode} if at_gateway else {},
        rules={"duplicate_radius_m": DUPLICATE_RADIUS_M if defended else 0},
    )
    ending = play(plot, seed)
    thief = thief_of(seed).account if at_gateway else ending.account(ACCOMPLICE)
    return Measured(_confirmed(ending, thief), len(seen))


def _case(name: str, *, at_gateway: bool, stands: str = "") -> Case:
    return Case(
        name=name,
        family="votes",
        goal="the thief's copy of a report is confirmed",
        budget="the MEC node that phones submit through, and a key" if at_gateway else "one requester",
        defence="a copy is a duplicate; off: radius 0",
        source="malicious requester: claiming another's report",
        run=partial(_steal, at_gateway),
        stands=stands,
    )


PLAGIARISM = (
    _case("stolen", at_gateway=False),
    _case("stolen-at-gateway", at_gateway=True, stands="the gateway is first: then the original is the duplicate"),
)
