"""A computing oracle: selects paths when it is drawn, and watches those who were, for it is paid for what it catches."""

from collections import OrderedDict
from collections.abc import Sequence
from operator import index
from typing import ClassVar

import trio

from actors.campaign_config import CampaignConfig
from actors.campaigns.board import LONG_MS, SETTLED_AT_ONCE, Board, Cycle, cycle_of, end_ms, over_ms, remember
from actors.identity import Identity
from actors.local_ledger import LocalLedger
from actors.node import FullNode
from actors.sensing.mobility import Point
from actors.sensing.selection import selector
from chain.codec import block_id
from chain.contracts.campaign_board import challenge_until_ms
from chain.contracts.campaign_check import invalid, right_winners
from chain.contracts.campaign_commitments import draw_oracles
from chain.contracts.campaign_queries import Drawn
from chain.contracts.campaign_records import (
    CLOSED,
    DONE,
    MAX_ORACLES,
    REGISTRATION,
    SELECTION,
    TIMED,
    Bid,
    CampaignId,
    Selection,
    Standing,
    Task,
)
from chain.contracts.campaign_records import (
    Oracle as Registered,
)
from chain.values import Account

HASTE_S = (0.1, 1.0)
"""How long after its time somebody else's duty is done for it: not all at once."""
MAX_WHY = 300
"""Characters of what is said of a selector's failure."""
NOT_TO_REPLACE = ("oracle_in_time", "already_selected", "draw_not_ready", "nobody_drawn")
NOT_TO_ADVANCE = ("wrong_phase", "phase_not_over", "challenge_open", "not_organizer")
NOT_TO_CHALLENGE = ("no_selection", "selection_holds", "not_better", "challenge_over")
"""Refusals that say that another oracle was faster."""


class Oracle:
    """Runs a ledger node and serves all campaigns on it. Closes the node's overlay; bugs of the core escape `run`.

    It selects by the scenario's selector when it is drawn; has late ones replaced; challenges a result that is not valid, or
    that its own beats; moves a phase that its organizer lets stall, and has paid out what its organizer does not.
    """

    role: ClassVar[str] = "oracle"

    def __init__(self, node: FullNode, config: CampaignConfig, place: int) -> None:
        """`place` among the oracles of the population: the seat that it takes if it can."""
        self.world, self.name = node.world, node.name
        self.identity: Identity = node.identity
        self.node = node
        self.ledger = LocalLedger(node, node.identity)
        self._select = selector(config.oracles.selector)
        self._board = Board(node.world, node.name, self.ledger, rest_s=config.phases.registration / 4)
        self._haste_ms = round(1000 * node.world.rng(node.name, "campaign/haste").uniform(*HASTE_S))
        self._place = place
        self._left: OrderedDict[CampaignId, None] = OrderedDict()
        """Closed campaigns that hold no stake of ours."""
        self._computed: OrderedDict[CampaignId, tuple[Sequence[Task], Sequence[Bid], Selection | None]] = OrderedDict()
        """What the latest selections were computed from, and what came of it."""
        self._upheld: OrderedDict[Cycle, Selection] = OrderedDict()
        """Results that were looked at, and are as good as ours."""

    def where(self) -> Point | None:
        """Nowhere: what an oracle does has no place."""
        return None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `actors.actor.Actor.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.node.run)
            task_status.started()
            await self._board.watch(self._attend)

    async def _attend(self, standing: Standing) -> int | None:
        found, now_ms = standing.campaign, self.world.clock.now_ms()
        if found.phase == CLOSED:
            return now_ms + LONG_MS if await self._leave(standing) else None
        if found.phase == DONE:
            return await self._pay_out(standing, now_ms)
        until_ms = over_ms(standing)
        stalled_ms = until_ms + standing.terms.grace_ms + self._haste_ms
        if now_ms > stalled_ms:
            await self._board.call("advance", found.id, quiet=NOT_TO_ADVANCE)
            return None
        if found.phase == REGISTRATION and now_ms <= until_ms:
            return until_ms if await self._register(standing) else None
        if found.phase == SELECTION:
            await self._serve(standing, now_ms)
            return None
        # The phase may move any time after its end. When it does not, little time is left until the cycle is void.
        return until_ms if now_ms <= until_ms else min(stalled_ms + 1, self._board.rest_ms(standing))

    async def _register(self, standing: Standing) -> bool:
        """Whether there is nothing more to do for it."""
        found, terms = standing.campaign, standing.terms
        there: Sequence[Registered] = await self._board.query("oracles", found.id)
        if any(oracle.account == self.identity.account for oracle in there):
            return True
        if terms.oracles and self.identity.account not in terms.oracles:
            return True
        seat = self._board.free(self._place, {oracle.seat for oracle in there}, MAX_ORACLES)
        if seat is None:
            return True
        if not await self._board.can_pay(cycle_of(standing), terms.stake, "an oracle's stake"):
            return True
        await self._board.call("register_oracle", found.id, seat, quiet=("seat_taken",))
        return False

    async def _leave(self, standing: Standing) -> bool:
        """Get our stake back; whether there is none of ours."""
        found = standing.campaign.id
        if found in self._left:
            return True
        there: Sequence[Registered] = await self._board.query("oracles", found)
        if any(oracle.account == self.identity.account for oracle in there):
            await self._board.call("withdraw_oracle", found, quiet=("not_oracle",))
            return False
        remember(self._left, found, None)
        return True

    async def _pay_out(self, standing: Standing, now_ms: int) -> int | None:
        """Have a cycle paid out, once its organizer had the grace that it has after a phase."""
        due_ms = end_ms(standing, TIMED[-1]) + standing.terms.grace_ms + self._haste_ms
        if standing.settled:
            return self._board.rest_ms(standing)
        if now_ms <= due_ms:
            return due_ms + 1
        await self._board.call(
            "distribute_rewards", standing.campaign.id, SETTLED_AT_ONCE, quiet=("already_settled", "wrong_phase")
        )
        return None

    async def _serve(self, standing: Standing, now_ms: int) -> None:
        """Return a result, have others replaced, or challenge: whatever is due in a selection."""
        found, accepted = standing.campaign, standing.accepted
        if accepted is not None:
            if now_ms <= challenge_until_ms(found, standing.terms, accepted):
                await self._review(standing, accepted.selection)
            return
        drawn: Drawn | None = await self._board.query("draw", found.id)
        if drawn is None or now_ms > end_ms(standing, SELECTION):
            return
        late_ms = drawn.draw.since_ms + standing.terms.oracle_ms
        if now_ms > late_ms + self._haste_ms:
            await self._board.call("replace_oracle", found.id, quiet=NOT_TO_REPLACE)
        elif now_ms <= late_ms and await self._is_drawn(standing, drawn):
            tasks, bids = await self._board.tasks(standing), await self._board.bids(standing)
            ours = self._selection(standing, tasks, bids)
            if ours is not None:
                await self._board.call("return_selection", found.id, ours, quiet=("returned_twice", "already_selected"))

    async def _is_drawn(self, standing: Standing, drawn: Drawn) -> bool:
        """Whether we are, and did not return anything yet; not while the seed's block is not final."""
        found = standing.campaign
        height = drawn.recorded_height + standing.terms.draw_delay
        header = self.node.core.header(height)
        if header is None or height > self.node.core.final.height:
            return False
        registered: Sequence[Registered] = await self._board.query("oracles", found.id)
        accounts = [oracle.account for oracle in registered]
        chosen = draw_oracles(
            block_id(header), found.id, found.cycle, accounts, drawn.draw.passed_over, standing.terms.drawn
        )
        returned: Sequence[Account] = await self._board.query("returned", found.id)
        return self.identity.account in chosen and self.identity.account not in returned

    def _selection(self, standing: Standing, tasks: Sequence[Task], bids: Sequence[Bid]) -> Selection | None:
        """Our result, computed once; None when there is none."""
        found = standing.campaign.id
        if found not in self._computed or self._computed[found][:2] != (tasks, bids):
            ours: Selection | None = None
            try:
                ours = self.compute(tasks, bids)
            except ValueError as error:
                self.world.fail(self.name, f"campaign.oracles.selector: {error}")
            remember(self._computed, found, (tasks, bids, ours))
        return self._computed[found][2]

    def compute(self, tasks: Sequence[Task], bids: Sequence[Bid]) -> Selection:
        """Select paths (Algorithm 2) and say who wins each task (Algorithm 3).

        Raises ValueError when the scenario's selector fails, or selects what the contract would not take.
        """
        place_of = {task.number: place for place, task in enumerate(tasks)}
        paths = [[place_of[stop.task] for stop in bid.path] for bid in bids]
        try:
            chosen = tuple(int(index(path)) for path in self._select(paths, [task.samples for task in tasks]))
            ours = Selection(chosen, right_winners(tasks, bids, chosen))
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}"[:MAX_WHY]) from error
        if min(chosen, default=0) < 0:
            raise ValueError(f"there is no path {min(chosen)}")
        if wrong := invalid(tasks, bids, ours):
            raise ValueError(wrong)
        return ours

    async def _review(self, standing: Standing, accepted: Selection) -> None:
        """Challenge a result that is not valid, or that ours beats."""
        if self._upheld.get(cycle_of(standing)) == accepted:
            return
        tasks, bids = await self._board.tasks(standing), await self._board.bids(standing)
        ours = self._selection(standing, tasks, bids)
        beaten = ours is not None and len(ours.paths) < len(accepted.paths)
        if beaten or invalid(tasks, bids, accepted):
            await self._board.call("challenge", standing.campaign.id, ours, quiet=NOT_TO_CHALLENGE)
        else:
            remember(self._upheld, cycle_of(standing), accepted)
