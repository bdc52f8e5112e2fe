"""How an operator that genesis does not name joins the public directory: once its replica is there, and until it is in."""

import trio

from actors.ledger import OutcomeUnknownError
from actors.local_ledger import LocalLedger
from actors.node import FullNode
from actors.sensing.mobility import Point
from chain.contracts.spatial_records import Operator
from chain.errors import Refused

MAX_OPERATORS = 500
"""Operators of a role that an actor asks for; a network of more needs paging."""
RETRY_S = 5.0
FRESH_BLOCKS = 30
"""A replica whose head is older than so many block intervals is still catching up, and cannot know who is enrolled."""


async def enrol(node: FullNode, ledger: LocalLedger, role: str, site: Point) -> None:
    """Enrol `role` (``mec`` or ``facility``) at `site` on the ledger, or move it there; returns when that is final.

    A network that takes no newcomers is noted as a failure of the actor.
    """

    def is_ours(operator: Operator) -> bool:
        return operator.account == ledger.identity.account and (operator.lat_e7, operator.lon_e7) == site.e7

    world, interval_ms = node.world, node.world.genesis.ledger.block_interval_ms
    while True:
        if any(is_ours(o) for o in await ledger.query("spatial", "operators", role, MAX_OPERATORS, None)):
            return
        if world.clock.now_ms() - node.core.head.time_ms > FRESH_BLOCKS * interval_ms:
            await node.next_block()
            continue
        try:
            await ledger.call("spatial", "enrol", role, *site.e7)
        except Refused as refused:
            if refused.reason == "enrolment_closed":
                world.fail(node.name, f"this network takes no new {role}: {refused}")
                return
            world.journal.record(node.name, "enrol_failed", reason=str(refused)[:200])
        except OutcomeUnknownError as error:
            world.journal.record(node.name, "enrol_failed", reason=str(error)[:200])
        else:
            world.journal.record(node.name, "enrolled", role=role)
            return
        await trio.sleep(RETRY_S)
