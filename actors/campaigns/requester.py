"""A requester's part: publish tasks, take in what was sensed, and say on the ledger when it did not come."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Any

import trio

from actors.campaign_config import CampaignConfig
from actors.campaigns.board import Board, Cycle, cycle_of, end_ms, remember, start_ms
from actors.campaigns.readings import Reading, read_sealed
from actors.ledger import GatewayError
from actors.light_node import LightNode
from actors.messages import SENSED, Sensed, read
from actors.sensing.mobility import Point
from chain.contract import event_fields
from chain.contracts.campaign_board import data_until_ms, dispute_until_ms
from chain.contracts.campaign_commitments import commit_data, digest_sealed
from chain.contracts.campaign_records import (
    COLLECTION,
    MAX_TASKS,
    PUBLISHING,
    SUBMISSION,
    CampaignId,
    Number,
    Progress,
    Standing,
)
from chain.errors import MalformedError, Refused
from chain.values import Account, Event
from net.peer import PeerId
from net.requests import RequestRefused

MAX_READINGS = 4_096
ANSWER_BLOCKS = 4_096
"""How far back answers are looked for, at most."""
Key = tuple[CampaignId, int, Account, Number]
"""A campaign, its cycle, a worker, and the number of a task."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task to be: where, and its best time in milliseconds after collection begins."""

    number: int
    """That it takes if it can: its place among the tasks of the population."""
    where: Point
    best_ms: int


class CampaignRequester:
    """Plays the `place`-th of `of` requesters in all campaigns on its ledger.

    `attended`: a human decides what is published; the rest goes on by itself.
    """

    def __init__(self, node: LightNode, config: CampaignConfig, place: int, of: int) -> None:
        self._world, self._name = node.world, node.name
        self._identity, self._node = node.identity, node
        self._config = config
        self._place, self._of = place, of
        self._board = Board(node.world, node.name, node.ledger, rest_s=config.phases.registration / 2)
        self.attended = False
        self._published: OrderedDict[Cycle, None] = OrderedDict()
        """Cycles in which nothing more is published."""
        self._disputed: OrderedDict[Key, None] = OrderedDict()
        self._looked: OrderedDict[Cycle, int] = OrderedDict()
        """Up to which height answers were looked for."""
        self.readings: OrderedDict[Key, Reading] = OrderedDict()
        """What came, latest last."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until cancelled; started() when data can come."""
        async with self._node.overlay.serve(SENSED, self._take):
            task_status.started()
            await self._board.watch(self._attend)

    async def _attend(self, standing: Standing) -> int | None:
        phase = standing.campaign.phase
        if phase == PUBLISHING:
            return await self._publish(standing)
        if phase == SUBMISSION:
            return await self._review(standing)
        return self._board.rest_ms(standing)

    # Publishing. ----------------------------------------------------------------------------------------------

    def wanted(self, cycle: int) -> list[Wanted]:
        """What we publish in a cycle: our share of the population's tasks, which follow from the seed."""
        config, place = self._config.tasks, self._world.city.place
        mine = []
        for number in range(self._place, config.count, self._of):
            rng = Random(f"{self._world.scenario.seed}/campaign/task/{cycle}/{number}")
            where = Point(
                rng.uniform(place.lat_min, place.lat_max),
                place.lon_min + (place.lon_max - place.lon_min) * rng.uniform(config.margin, 1 - config.margin),
            )
            mine.append(Wanted(number, where, round(1000 * rng.uniform(*config.best_s))))
        return mine

    async def _publish(self, standing: Standing) -> int | None:
        until_ms, cycle = end_ms(standing, PUBLISHING), cycle_of(standing)
        if cycle in self._published or self._world.clock.now_ms() > until_ms:
            return self._board.rest_ms(standing)
        if self.attended:
            return self._board.before_ms(until_ms)
        there = await self._board.tasks(standing)
        ours = {(task.lat_e7, task.lon_e7) for task in there if task.requester == self._identity.account}
        taken = {task.number for task in there}
        calls: list[tuple[Any, ...]] = []
        for wanted in self.wanted(standing.campaign.cycle):
            if wanted.where.e7 in ours:
                continue
            number = self.number(wanted.number, taken)
            if number is None:
                return self._done_publishing(standing, "no number is free")
            taken.add(number)
            calls.append((standing.campaign.id, number, *wanted.where.e7, *self._wish(standing, wanted)))
        if not calls:
            return self._done_publishing(standing)
        cost = self._config.tasks.reward * self._config.tasks.samples
        affordable = min(len(calls), await self._board.balance() // cost)
        await self._board.calls("publish_task", calls[:affordable], quiet=("number_taken",))
        if affordable == len(calls):
            return None
        await self._board.can_pay(cycle, cost, f"{len(calls) - affordable} of {len(calls)} tasks")
        return self._done_publishing(standing)

    def _wish(self, standing: Standing, wanted: Wanted) -> tuple[int, int, int, int]:
        """Reward, best time, interval and samples of a task; its time is one in which this campaign collects."""
        config, begin_ms, last_ms = self._config.tasks, start_ms(standing, COLLECTION), end_ms(standing, COLLECTION)
        time_ms = min(begin_ms + wanted.best_ms, last_ms)
        return config.reward, time_ms, round(1000 * config.interval_s), config.samples

    def _done_publishing(self, standing: Standing, why: str = "") -> int:
        if why:
            self._board.idle(cycle_of(standing), f"not published: {why}")
        remember(self._published, cycle_of(standing), None)
        return self._board.rest_ms(standing)

    def number(self, first: int, tasks: Collection[Number]) -> int | None:
        """One from `first` on that no task has; None when there is none."""
        return self._board.free(first, tasks, MAX_TASKS)

    # Data. ----------------------------------------------------------------------------------------------------

    async def _take(self, peer: PeerId, body: bytes) -> bytes:
        """Take the data of one task in, if they are what the worker committed to, we want them, and we can read them."""
        try:
            message = read(Sensed, body)
            worker = Account(peer.public_key)
            key = (message.campaign, message.cycle, worker, message.task)
            # Cheap checks first: who passes them has the ledger asked.
            if digest_sealed(message.sealed) not in message.digests:
                raise RequestRefused("these data are not among those you committed to")
            reading = self._read(key, message.sealed)
            if key not in self.readings:
                await self._check(message, worker)
                self._keep(key, reading)
        except (MalformedError, Refused) as error:
            raise RequestRefused(str(error)) from None
        except GatewayError:
            raise RequestRefused("the ledger cannot be asked") from None
        return b""

    async def _check(self, message: Sensed, worker: Account) -> None:
        """Raises RequestRefused, Refused or GatewayError."""
        standing: Standing = await self._board.query("campaign", message.campaign)
        if standing.campaign.cycle != message.cycle:
            raise RequestRefused("that cycle is over")
        chosen = {row.worker: row.chosen for row in await self._board.progress(standing)}.get(worker)
        committed = commit_data(message.campaign, message.cycle, worker, message.digests, message.salt)
        if chosen is None or chosen.commitment != committed:
            raise RequestRefused("that is not what you committed to")
        # Else whoever has a campaign of its own could make us forget what others sent.
        if message.task not in chosen.wins or message.task not in await self._own_tasks(standing):
            raise RequestRefused("nobody wants these data of you")

    async def _own_tasks(self, standing: Standing) -> set[Number]:
        there = await self._board.tasks(standing)
        return {task.number for task in there if task.requester == self._identity.account}

    def _read(self, key: Key, sealed: bytes) -> Reading:
        """Raises MalformedError."""
        reading = read_sealed(self._identity, sealed)
        _, _, worker, task = key
        if (reading.worker, reading.task) != (worker, task):
            raise MalformedError("a reading of another worker or task")
        return reading

    def _keep(self, key: Key, reading: Reading) -> None:
        remember(self.readings, key, reading, MAX_READINGS)
        self._world.journal.record(self._name, "sensed", task=key[3], worker=self._world.name_of(key[2]))

    async def _review(self, standing: Standing) -> int | None:
        """Dispute what did not come though its worker is to be paid for it; look for the answers."""
        found, now_ms = standing.campaign, self._world.clock.now_ms()
        data_ms = data_until_ms(found, standing.terms)
        if now_ms <= data_ms:
            return data_ms
        tasks, rows = await self._own_tasks(standing), await self._board.progress(standing)
        missing = [key for row in rows for key in self._missing(standing, row, tasks)]
        if not missing:
            return self._board.rest_ms(standing)
        waiting = {(found.id, found.cycle, row.worker, number) for row in rows for number in row.disputed}
        unsaid = [key for key in missing if key not in waiting and key not in self._disputed]
        if unsaid and now_ms <= dispute_until_ms(found, standing.terms):
            calls = [(found.id, worker, number) for _, _, worker, number in unsaid]
            reasons = await self._board.calls("dispute", calls, quiet=("dispute_twice", "dispute_late"))
            for key, reason in zip(unsaid, reasons, strict=True):
                if reason in ("", "dispute_twice"):
                    remember(self._disputed, key, None, MAX_READINGS)
            return None
        if any(key not in waiting for key in missing):
            await self._look_for_answers(standing, {*missing})
        return self._board.before_ms(end_ms(standing, SUBMISSION))

    def _missing(self, standing: Standing, row: Progress, tasks: Collection[Number]) -> list[Key]:
        found = standing.campaign
        if not row.chosen.opened:
            return []
        keys = [(found.id, found.cycle, row.worker, number) for number in row.chosen.wins if number in tasks]
        return [key for key in keys if key not in self.readings]

    async def _look_for_answers(self, standing: Standing, missing: set[Key]) -> None:
        """Read what workers handed over on the ledger, in blocks that were not looked at when they were final."""
        ledger, cycle = self._node.ledger, cycle_of(standing)
        heads, first_ms = await ledger.heads(), data_until_ms(standing.campaign, standing.terms)
        least = max(self._looked.get(cycle, 0), heads.head.height - ANSWER_BLOCKS)
        for height in range(heads.head.height, least, -1):
            block = await ledger.block(height)
            if block is None or block.block.header.time_ms < first_ms:
                break
            for receipt in block.receipts:
                for event in receipt.events:
                    self._hear(event, missing)
        remember(self._looked, cycle, heads.final.height)

    def _hear(self, event: Event, missing: set[Key]) -> None:
        if (event.contract, event.name) != ("campaign", "answered"):
            return
        said = event_fields(event)
        key = (said["campaign"], said["cycle"], Account(said["worker"]), said["task"])
        if key not in missing:
            return
        missing.discard(key)
        try:
            self._keep(key, self._read(key, said["sealed"]))
        except MalformedError as error:
            # The worker committed to that, so the contract has to pay for it: what is in it is beyond the ledger.
            self._world.journal.record(self._name, "sensed_worthless", task=key[3], reason=str(error)[:100])
