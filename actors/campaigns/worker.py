"""A worker's part: plan a path and bid it, walk it if it is selected, commit to what was sensed, and hand it over."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import trio

from actors.campaign_config import CampaignConfig
from actors.campaigns.board import Board, end_ms, start_ms
from actors.campaigns.readings import Gathered, gather
from actors.light_node import LightNode
from actors.messages import SENSED, Sensed
from actors.sensing.mobility import Point
from actors.sensing.planning import Plan, Problem, planner
from chain.codec import encode
from chain.contracts.campaign_board import dispute_until_ms
from chain.contracts.campaign_commitments import commit_data
from chain.contracts.campaign_records import (
    BIDDING,
    COLLECTION,
    MAX_BIDS,
    MAX_PATH,
    SUBMISSION,
    Bid,
    CampaignId,
    Chosen,
    Progress,
    Standing,
    Stop,
    Task,
)
from net.peer import PeerId
from net.transport import NotConnectedError, TransportError

SENSED_TIMEOUT_S = 5.0
SEND_ATTEMPTS = 3
MAX_REMEMBERED = 64
"""Cycles whose data are kept at hand."""
LATE_MS = 3_000
"""How long after its last moment a call may still come to be in a block."""
Cycle = tuple[CampaignId, int]
K = TypeVar("K")
V = TypeVar("V")


class CampaignWorker:
    """Plays a worker in all campaigns on its ledger. `attended`: a human decides what is bid; the rest goes on by itself."""

    def __init__(self, node: LightNode, config: CampaignConfig, place: int) -> None:
        """`place` among the workers of the population: the seat that it takes if it can."""
        self._world, self._name = node.world, node.name
        self._identity, self._node = node.identity, node
        self._config, self._place = config, place
        self._board = Board(node.world, node.name, node.ledger)
        self._plan_path = planner(config.walk.planner)
        self.attended = False
        self._tried: OrderedDict[Cycle, None] = OrderedDict()
        """Cycles in which nothing more is bid."""
        self._gathered: OrderedDict[Cycle, Gathered] = OrderedDict()
        self._sent: OrderedDict[tuple[Cycle, int], int] = OrderedDict()
        """How often the data of a task were sent; SEND_ATTEMPTS when they arrived."""
        self._course: tuple[tuple[int, Point], ...] = ()
        """When it is where, while it walks a path that was selected."""

    async def run(self) -> None:
        """Take part until cancelled."""
        await self._board.watch(self._attend)

    def where(self) -> Point | None:
        """Where on a selected path it is; None while it walks none."""
        now_ms = self._world.clock.now_ms()
        course = self._course
        if not course or not course[0][0] <= now_ms < course[-1][0]:
            return None
        place = bisect_right(course, now_ms, key=lambda each: each[0])
        (from_ms, here), (until_ms, there) = course[place - 1], course[place]
        share = (now_ms - from_ms) / (until_ms - from_ms)
        return Point(here.lat + (there.lat - here.lat) * share, here.lon + (there.lon - here.lon) * share)

    async def _attend(self, standing: Standing) -> int | None:
        phase = standing.campaign.phase
        if phase == BIDDING:
            return await self._bid(standing)
        if phase == COLLECTION:
            return await self._collect(standing)
        if phase == SUBMISSION:
            return await self._submit(standing)
        return None

    # Bidding. -------------------------------------------------------------------------------------------------

    def ways(self, cycle: int) -> tuple[Point, Point]:
        """Start and destination in a cycle: somewhere on the western and on the eastern side of the place."""
        rng, place = self._world.rng(self._name, f"campaign/course/{cycle}"), self._world.city.place
        low, high = place.lat_min, place.lat_max
        return Point(rng.uniform(low, high), place.lon_min), Point(rng.uniform(low, high), place.lon_max)

    def problem(self, standing: Standing, tasks: list[Task]) -> Problem:
        """What it has to plan: it departs when data begin to be collected. Raises ValueError (the way is too long)."""
        walk, begin_ms = self._config.walk, start_ms(standing, COLLECTION)
        start, destination = self.ways(standing.campaign.cycle)
        return Problem.geographic(
            [Point.from_e7(task.lat_e7, task.lon_e7) for task in tasks],
            start,
            destination,
            times_s=[(task.time_ms - begin_ms) / 1000 for task in tasks],
            intervals_s=[task.interval_ms / 1000 for task in tasks],
            speed_m_s=walk.speed_m_s,
            limit_m=max(walk.limit_m, start.distance_m(destination)),
        )

    def plan(self, standing: Standing, tasks: list[Task]) -> tuple[Plan, tuple[Stop, ...]]:
        """The path that it would bid for these tasks, and the stops of the bid. Raises ValueError."""
        begin_ms, last_ms = start_ms(standing, COLLECTION), end_ms(standing, COLLECTION)
        rng = self._world.rng(self._name, f"campaign/plan/{standing.campaign.cycle}")
        plan = self._plan_path(self.problem(standing, tasks), rng)
        stops = []
        for place, second in plan.stops[:MAX_PATH]:
            task = tasks[place]
            arrival_ms = begin_ms + round(second * 1000)
            opens_ms, closes_ms = task.time_ms - task.interval_ms, task.time_ms + task.interval_ms
            stops.append(Stop(task.number, min(max(arrival_ms, opens_ms), closes_ms)))
        return plan, tuple(stop for stop in stops if begin_ms <= stop.arrival_ms <= last_ms)

    def seat(self, bids: Sequence[Bid]) -> int | None:
        """One that nobody has; None when there is none."""
        return self._board.free(self._place, {bid.seat for bid in bids}, MAX_BIDS)

    async def _bid(self, standing: Standing) -> int | None:
        cycle, until_ms = _cycle(standing), end_ms(standing, BIDDING)
        if self.attended or cycle in self._tried or self._world.clock.now_ms() > until_ms:
            return None if self.attended else until_ms
        bids = await self._board.bids(standing)
        if any(bid.worker == self._identity.account for bid in bids):
            _remember(self._tried, cycle, None)
            return until_ms
        tasks = list(await self._board.tasks(standing))
        seat = self.seat(bids)
        try:
            _, path = self.plan(standing, tasks)
        except ValueError as error:  # a planner of the scenario's that cannot do this
            self._world.fail(self._name, f"campaign.walk.planner: {error}")
            path = ()
        if not path or seat is None:
            self._world.journal.record(self._name, "campaign_idle", why="no seat" if path else "no task within reach")
            _remember(self._tried, cycle, None)
            return until_ms
        reason = await self._board.call("bid_path", standing.campaign.id, seat, path, quiet=("seat_taken",))
        return None if reason else until_ms

    # Collection. ----------------------------------------------------------------------------------------------

    async def _collect(self, standing: Standing) -> int | None:
        """Walk, sense, and commit once the last task is done."""
        until_ms = end_ms(standing, COLLECTION)
        mine = await self._mine(standing)
        if mine is None or mine.chosen.commitment is not None:
            return until_ms
        bid, tasks = await self._own_bid(standing)
        self._walk(standing, bid, tasks)
        done_ms = bid.path[-1].arrival_ms
        if self._world.clock.now_ms() < done_ms:
            return done_ms
        gathered = self._gather(standing, bid, tasks)
        found = standing.campaign
        commitment = commit_data(found.id, found.cycle, self._identity.account, gathered.digests, gathered.salt)
        reason = await self._board.call("submit_hash", found.id, commitment, quiet=("hash_twice",))
        return None if reason else until_ms

    def _walk(self, standing: Standing, bid: Bid, tasks: dict[int, Task]) -> None:
        start, destination = self.ways(standing.campaign.cycle)
        course = [(start_ms(standing, COLLECTION), start)]
        for stop in bid.path:
            there, last = Point.from_e7(tasks[stop.task].lat_e7, tasks[stop.task].lon_e7), course[-1]
            reached_ms = last[0] + round(1000 * last[1].distance_m(there) / self._config.walk.speed_m_s)
            if last[0] < reached_ms < stop.arrival_ms:
                course.append((reached_ms, there))  # and waits there
            course.append((max(stop.arrival_ms, course[-1][0] + 1), there))
        last = course[-1]
        home_ms = last[0] + max(1, round(1000 * last[1].distance_m(destination) / self._config.walk.speed_m_s))
        self._course = (*course, (home_ms, destination))

    def _gather(self, standing: Standing, bid: Bid, tasks: dict[int, Task]) -> Gathered:
        cycle = _cycle(standing)
        if cycle not in self._gathered:
            rng = self._world.rng(self._name, f"campaign/readings/{cycle[1]}")
            _remember(self._gathered, cycle, gather(self._identity, standing, bid, tasks, rng))
        return self._gathered[cycle]

    # Submission. ----------------------------------------------------------------------------------------------

    async def _submit(self, standing: Standing) -> int | None:
        """Open the commitment, hand the data over, and answer to whoever says that they did not come."""
        until_ms = end_ms(standing, SUBMISSION)
        mine = await self._mine(standing)
        if mine is None or mine.chosen.commitment is None:
            return until_ms
        found, (bid, tasks) = standing.campaign, await self._own_bid(standing)
        gathered = self._gather(standing, bid, tasks)
        if not mine.chosen.opened:
            await self._board.call("submit_data", found.id, gathered.digests, gathered.salt, quiet=("data_twice",))
            return None
        await self._hand_over(standing, mine.chosen, bid, tasks, gathered)
        order = {stop.task: place for place, stop in enumerate(bid.path)}
        async with trio.open_nursery() as nursery:  # one after the other they would be too late
            for number in mine.disputed:
                if number in order:
                    sealed = gathered.sealed[order[number]]
                    answer = partial(self._board.call, "answer", found.id, number, gathered.digests)
                    nursery.start_soon(answer, gathered.salt, sealed)
        disputes_over = self._world.clock.now_ms() > dispute_until_ms(found, standing.terms) + LATE_MS
        return until_ms if disputes_over and not mine.disputed else None

    async def _hand_over(
        self, standing: Standing, chosen: Chosen, bid: Bid, tasks: dict[int, Task], gathered: Gathered
    ) -> None:
        cycle = _cycle(standing)
        async with trio.open_nursery() as nursery:
            for stop, sealed in zip(bid.path, gathered.sealed, strict=True):
                if stop.task in chosen.wins and self._sent.get((cycle, stop.task), 0) < SEND_ATTEMPTS:
                    message = Sensed(*cycle, stop.task, gathered.digests, gathered.salt, sealed)
                    to = PeerId.from_public_key(tasks[stop.task].requester)
                    nursery.start_soon(partial(self._send, cycle, to, message))

    async def _send(self, cycle: Cycle, to: PeerId, message: Sensed) -> None:
        key = (cycle, message.task)
        try:
            await self._node.reach(to)
            await self._node.overlay.request(to, SENSED, encode(message), timeout=SENSED_TIMEOUT_S)
        except (NotConnectedError, TransportError) as error:
            # If it never arrives its requester will say so on the ledger, and be answered there.
            _remember(self._sent, key, self._sent.get(key, 0) + 1)
            self._world.journal.record(self._name, "sensed_unsent", task=message.task, reason=str(error)[:100])
        else:
            _remember(self._sent, key, SEND_ATTEMPTS)
            self._world.journal.record(self._name, "sensed_sent", task=message.task)

    # What the ledger has of it. -------------------------------------------------------------------------------

    async def _mine(self, standing: Standing) -> Progress | None:
        rows = await self._board.progress(standing)
        return next((row for row in rows if row.worker == self._identity.account), None)

    async def _own_bid(self, standing: Standing) -> tuple[Bid, dict[int, Task]]:
        """Of a selected worker."""
        tasks = {task.number: task for task in await self._board.tasks(standing)}
        bids = await self._board.bids(standing)
        return next(bid for bid in bids if bid.worker == self._identity.account), tasks


def _cycle(standing: Standing) -> Cycle:
    return standing.campaign.id, standing.campaign.cycle


def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > MAX_REMEMBERED:
        memory.popitem(last=False)
