"""Altering a report on its way: what a requester saw is recorded elsewhere, under its name.

Attacked: what is on the ledger, and the requester's good name. The MEC node through which phones submit moves each report
half a kilometre before it passes it on.
Budget: the gateway.
Success: a report stands on the ledger under a requester's name, at a place where that requester did not see it.
Defence: the requester signs the whole call; altered, it is refused wherever it comes. Off: gateways that take reports in
the requester's name and sign themselves, and a contract that lets them, as platforms with a login do.
What remains: the gateway can keep a report back. That is not recorded, and the requester notices, since it believes in
nothing but a proof of inclusion.
Source: spec, "altering a report on its way".
"""

from contextlib import suppress
from functools import cached_property

from msgspec.structs import replace

from actors.attacks.case import Case, Measured, Size
from actors.attacks.votes.gateways import untouched_sender
from actors.attacks.votes.variants import submit_for, variant
from actors.identity import Identity
from actors.ledger import Sender
from actors.node import FullNode
from actors.protocol_trial import HONEST, Plot, incidents, play
from chain.codec import decode
from chain.contract import encode_args
from chain.contracts import spatial
from chain.errors import Refused
from chain.values import Natural, Transaction

SHIFT_E7 = 45_000
"""Half a kilometre of latitude."""
GATEWAY = "mec-01"


class AlteringNode(FullNode):
    """A ledger node whose gateway moves what is reported; what it cannot pass on like that it keeps back."""

    async def submit(self, transaction: Transaction) -> None:
        """Take what is no report in as it is. Raises Refused."""
        if (transaction.contract, transaction.method) != ("spatial", "submit"):
            await super().submit(transaction)
            return
        with suppress(Refused):
            await self.pass_on(transaction, *altered(transaction))

    async def pass_on(self, transaction: Transaction, *args: object) -> None:
        """Put other arguments under the requester's signature. Raises Refused."""
        await super().submit(replace(transaction, args=encode_args(*args)))


class CustodialNode(AlteringNode):
    """The same where gateways sign for requesters."""

    @cached_property
    def _desk(self) -> Sender:
        return untouched_sender(self, Identity.derive(self.world.scenario.seed, "desk"))

    async def pass_on(self, transaction: Transaction, *args: object) -> None:
        """Submit for the requester. Raises Refused."""
        await self._desk.send(self.core.chain, "spatial", "submit_for", (transaction.sender, *args))


def altered(transaction: Transaction) -> tuple[str, int, int, int]:
    """The arguments of a report, with its place moved."""
    type_, lat_e7, lon_e7, time_ms = decode(
        tuple[str, int, int, Natural], transaction.args, limit=len(transaction.args)
    )
    return type_, lat_e7 + SHIFT_E7, lon_e7, time_ms


def _alter(defended: bool, seed: int, size: Size) -> Measured:
    seen = incidents(seed, HONEST, size.reports, real=True)
    plot = Plot(
        {HONEST: seen},
        nodes={GATEWAY: AlteringNode if defended else CustodialNode},
        contract=spatial if defended else variant(submit_for=submit_for),
    )
    ending = play(plot, seed)
    seen_at = {each.where.e7 for each in seen}
    recorded = [(each["lat_e7"], each["lon_e7"]) for each in ending.events("submitted")]
    return Measured(sum(place not in seen_at for place in recorded), len(seen), {"recorded": len(recorded) / len(seen)})


ALTERATION = Case(
    name="altered",
    family="votes",
    goal="a report is recorded under its requester's name at another place",
    budget="the MEC node that phones submit through",
    defence="the requester signs the call; off: gateways sign for requesters",
    source="malicious requester: altering a report on its way",
    run=_alter,
)
