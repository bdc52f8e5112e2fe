"""Who deploys a sensing campaign, moves its phases by the clock, has it paid out, and begins the next cycle."""

from typing import ClassVar

import trio

from actors.campaign_config import CampaignConfig
from actors.campaigns.board import LONG_MS, NO_MONEY, SETTLED_AT_ONCE, Board, over_ms
from actors.identity import Identity
from actors.ledger import GatewayError
from actors.local_ledger import LocalLedger
from actors.node import FullNode
from actors.sensing.mobility import Point
from chain.contracts.campaign_records import CLOSED, DONE, TIMED, Standing
from chain.errors import Refused
from chain.ledgers.ordered.channel import OrderedRules
from chain.values import Account

RETRY_S = 2.0
STALE_BLOCKS = 20
"""A head that is older than so many blocks usually take is of a replica that is behind."""


class Organizer:
    """Runs a ledger node and one campaign on it. Closes the node's overlay; bugs of the core escape `run`.

    After a restart it goes on with the campaign that it has on the ledger, even if it lost its disk. `oracles` are those that it allows to register,
    where the scenario says so.
    """

    role: ClassVar[str] = "organizer"

    def __init__(self, node: FullNode, config: CampaignConfig, oracles: tuple[Account, ...] = ()) -> None:
        self.world, self.name = node.world, node.name
        self.identity: Identity = node.identity
        self.node = node
        self.ledger = LocalLedger(node, node.identity)
        self._config = config
        self._terms = config.terms(oracles)
        self._board = Board(node.world, node.name, self.ledger, rest_s=config.phases.registration)

    def where(self) -> Point | None:
        """Nowhere: what an organizer does has no place."""
        return None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.node.run)
            task_status.started()
            await self._deploy()
            await self._board.watch(self._attend)

    async def _deploy(self) -> None:
        """Unless there is a campaign of ours."""
        while True:
            if not self._is_abreast():
                await trio.sleep(RETRY_S)
                continue
            try:
                if any(
                    standing.campaign.organizer == self.identity.account for standing in await self._board.campaigns()
                ):
                    return
                reason = NO_MONEY
                if await self._board.can_pay(None, self._terms.bond, "an organizer's bond"):
                    reason = await self._board.call("deploy", self._terms)
            except (GatewayError, Refused) as error:
                reason = str(error)
            if not reason:
                return
            await trio.sleep(RETRY_S)

    def _is_abreast(self) -> bool:
        """Whether our replica seems to be where the ledger is: one that is behind may lack our campaign."""
        rules, head = self.world.genesis.ledger, self.node.core.head
        if isinstance(rules, OrderedRules) and not rules.channel.batch.idle_ms:
            return True  # blocks come only with transactions, and the first may be ours
        age_ms = self.world.clock.now_ms() - head.time_ms
        return head.height > 0 and age_ms <= STALE_BLOCKS * rules.block_interval_ms

    async def _attend(self, standing: Standing) -> int | None:
        found = standing.campaign
        if found.organizer != self.identity.account or found.phase == CLOSED:
            return self.world.clock.now_ms() + LONG_MS
        if found.phase in TIMED:
            until_ms = over_ms(standing)
            if self.world.clock.now_ms() <= until_ms:
                return until_ms + 1
            await self._board.call("advance", found.id, quiet=("phase_not_over", "challenge_open"))
            return None
        if found.phase == DONE and not standing.settled:
            await self._board.call("distribute_rewards", found.id, SETTLED_AT_ONCE)
            return None
        last = self._config.cycles and found.cycle + 1 >= self._config.cycles
        await self._board.call("close" if last else "next_cycle", found.id)
        return None
