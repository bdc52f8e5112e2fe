"""A requester's part: publish tasks, take in what was sensed, and say on the ledger when it did not come."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from random import Random

import trio

from actors.campaign_config import CampaignConfig
from actors.campaigns.board import Board, end_ms, start_ms
from actors.campaigns.readings import Reading, read_sealed
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
    Task,
)
from chain.errors import MalformedError, Refused
from chain.values import Account
from net.peer import PeerId
from net.requests import RequestRefused

MAX_READINGS = 4_096
ANSWER_BLOCKS = 256
"""How far back answers are looked for."""
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
        self._board = Board(node.world, node.name, node.ledger)
        self.attended = False
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
        return None

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
        until_ms = end_ms(standing, PUBLISHING)
        if self.attended:
            return None
        config, found = self._config.tasks, standing.campaign
        begin_ms = start_ms(standing, COLLECTION)
        there = await self._board.tasks(standing)
        ours = {(task.lat_e7, task.lon_e7) for task in there if task.requester == self._identity.account}
        taken = {task.number for task in there}
        missing = [wanted for wanted in self.wanted(found.cycle) if wanted.where.e7 not in ours]
        for wanted in missing:
            number = self.number(wanted.number, taken)
            if number is None:
                self._world.journal.record(self._name, "campaign_idle", why="no number is free")
                return until_ms
            taken.add(number)
            await self._board.call(
                "publish_task",
                found.id,
                number,
                *wanted.where.e7,
                config.reward,
                begin_ms + wanted.best_ms,
                round(1000 * config.interval_s),
                config.samples,
                quiet=("number_taken",),
            )
        return None if missing else until_ms

    def number(self, first: int, tasks: Collection[Number]) -> int | None:
        """One from `first` on that no task has; None when there is none."""
        return self._board.free(first, tasks, MAX_TASKS)

    # Data. ----------------------------------------------------------------------------------------------------

    async def _take(self, peer: PeerId, body: bytes) -> bytes:
        """Take the data of one task in, if they are what the worker committed to and we can read them."""
        try:
            message = read(Sensed, body)
            worker = Account(peer.public_key)
            standing: Standing = await self._board.query("campaign", message.campaign)
            if standing.campaign.cycle != message.cycle:
                raise RequestRefused("that cycle is over")
            chosen = {row.worker: row.chosen for row in await self._board.progress(standing)}.get(worker)
            committed = commit_data(message.campaign, message.cycle, worker, message.digests, message.salt)
            if chosen is None or chosen.commitment != committed:
                raise RequestRefused("that is not what you committed to")
            if digest_sealed(message.sealed) not in message.digests:
                raise RequestRefused("these data are not among those you committed to")
            self._keep((message.campaign, message.cycle, worker, message.task), message.sealed)
        except (MalformedError, Refused) as error:
            raise RequestRefused(str(error)) from None
        return b""

    def _keep(self, key: Key, sealed: bytes) -> None:
        """Raises MalformedError."""
        reading = read_sealed(self._identity, sealed)
        _, _, worker, task = key
        if (reading.worker, reading.task) != (worker, task):
            raise MalformedError("a reading of another worker or task")
        self.readings[key] = reading
        if len(self.readings) > MAX_READINGS:
            self.readings.popitem(last=False)
        self._world.journal.record(self._name, "sensed", task=task, worker=self._world.name_of(worker))

    async def _review(self, standing: Standing) -> int | None:
        """Dispute what did not come though its worker is to be paid for it; look for the answers."""
        found, now_ms = standing.campaign, self._world.clock.now_ms()
        data_ms, until_ms = data_until_ms(found, standing.terms), end_ms(standing, SUBMISSION)
        if now_ms <= data_ms:
            return data_ms
        tasks = {t.number: t for t in await self._board.tasks(standing) if t.requester == self._identity.account}
        rows = await self._board.progress(standing)
        missing = [key for row in rows for key in self._missing(standing, row, tasks)]
        if not missing:
            return until_ms
        if now_ms > dispute_until_ms(found, standing.terms):
            await self._look_for_answers({*missing}, start_ms(standing, SUBMISSION))
            return None
        dispute = partial(self._board.call, "dispute", quiet=("dispute_twice", "dispute_late"))
        async with trio.open_nursery() as nursery:  # one after the other they would be too late
            for _, _, worker, number in missing:
                nursery.start_soon(dispute, found.id, worker, number)
        return None

    def _missing(self, standing: Standing, row: Progress, tasks: dict[int, Task]) -> list[Key]:
        found = standing.campaign
        if not row.chosen.opened:
            return []
        keys = [(found.id, found.cycle, row.worker, number) for number in row.chosen.wins if number in tasks]
        return [key for key in keys if key not in self.readings]

    async def _look_for_answers(self, missing: set[Key], since_ms: int) -> None:
        """Read what workers handed over on the ledger. It takes a while for each block, in which nothing else is done."""
        head = (await self._node.ledger.heads()).head.height
        for height in range(head, max(0, head - ANSWER_BLOCKS), -1):
            block = await self._node.ledger.block(height)
            if block is None or block.block.header.time_ms < since_ms:
                return
            for receipt in block.receipts:
                for event in receipt.events:
                    if (event.contract, event.name) != ("campaign", "answered"):
                        continue
                    said = event_fields(event)
                    key = (said["campaign"], said["cycle"], Account(said["worker"]), said["task"])
                    if key in missing:
                        missing.discard(key)
                        self._keep_answer(key, said["sealed"])
            if not missing:
                return

    def _keep_answer(self, key: Key, sealed: bytes) -> None:
        try:
            self._keep(key, sealed)
        except MalformedError as error:
            # The worker committed to that, so the contract has to pay for it: what is in it is beyond the ledger.
            self._world.journal.record(self._name, "sensed_worthless", task=key[3], reason=str(error)[:100])
