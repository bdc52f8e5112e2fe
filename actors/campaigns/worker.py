"""A worker's part: plan a path and bid it, walk it if it is selected, commit to what was sensed, and hand it over."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import trio

from actors.campaign_config import CampaignConfig
from actors.campaigns.board import MAX_REMEMBERED, Board, Cycle, cycle_of, end_ms, remember, start_ms
from actors.campaigns.readings import Gathered, gather
from actors.ledger import GatewayError
from actors.light_node import LightNode
from actors.messages import SENSED, Sensed
from actors.sensing.mobility import Point
from actors.sensing.planning import Plan, Problem, broken, planner
from chain.codec import encode
from chain.contracts.campaign_board import data_until_ms, dispute_until_ms
from chain.contracts.campaign_commitments import commit_data
from chain.contracts.campaign_market import NEAR_MM
from chain.contracts.campaign_records import (
    BIDDING,
    COLLECTION,
    MAX_BIDS,
    MAX_PATH,
    SUBMISSION,
    Bid,
    Chosen,
    Progress,
    Standing,
    Stop,
    Task,
)
from chain.geodesy import haversine_mm
from net.peer import PeerId
from net.transport import TransportError

SENSED_TIMEOUT_S = 5.0
SEND_ATTEMPTS = 3
COMMIT_MS = 5_000
"""What a worker leaves itself to commit after its last stop, unless collection is short."""
MAX_SENT = MAX_REMEMBERED * MAX_PATH
LATE_MS = 3_000
"""How long after its last moment a call may still come to be in a block."""
MAX_WHY = 300
"""Characters of what is said of a planner's failure."""
FINAL = ("insufficient_balance", "too_fast", "arrival_out_of_window", "arrivals_out_of_order")
"""Refusals of a bid that another attempt in the cycle would not change."""


class CampaignWorker:
    """Plays a worker in all campaigns on its ledger. `attended`: a human decides what is bid; the rest goes on by itself."""

    def __init__(self, node: LightNode, config: CampaignConfig, place: int) -> None:
        """`place` among the workers of the population: the seat that it takes if it can."""
        self._world, self._name = node.world, node.name
        self._identity, self._node = node.identity, node
        self._config, self._place, phases = config, place, config.phases
        self._board = Board(node.world, node.name, node.ledger, rest_s=(phases.registration + phases.publishing) / 2)
        self._plan_path = planner(config.walk.planner)
        self.attended = False
        self._tried: OrderedDict[Cycle, None] = OrderedDict()
        """Cycles in which nothing more is bid."""
        self._engaged: OrderedDict[Cycle, tuple[int, int]] = OrderedDict()
        """First and last millisecond of collection in the cycles in which it bids."""
        self._gathered: OrderedDict[Cycle, Gathered] = OrderedDict()
        self._sent: OrderedDict[tuple[Cycle, int], int] = OrderedDict()
        """How often the data of a task were sent; SEND_ATTEMPTS when they arrived."""
        self._sending: set[tuple[Cycle, int]] = set()
        self._nursery: trio.Nursery | None = None
        self._course: tuple[tuple[int, Point], ...] = ()
        """When it is where, while it walks a path that was selected."""

    async def run(self) -> None:
        """Take part until cancelled."""
        async with trio.open_nursery() as self._nursery:
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
        return self._board.rest_ms(standing)

    # Bidding. -------------------------------------------------------------------------------------------------

    def ways(self, cycle: int) -> tuple[Point, Point]:
        """Start and destination in a cycle: somewhere on the western and on the eastern side of the place."""
        rng, place = self._world.rng(self._name, f"campaign/course/{cycle}"), self._world.city.place
        low, high = place.lat_min, place.lat_max
        return Point(rng.uniform(low, high), place.lon_min), Point(rng.uniform(low, high), place.lon_max)

    def problem(self, standing: Standing, tasks: list[Task]) -> Problem:
        """What it has to plan: it departs when data begin to be collected. Raises ValueError (the way is too long)."""
        walk, begin_ms, speed_m_s = self._config.walk, start_ms(standing, COLLECTION), self._config.walk.speed_m_s
        if standing.terms.max_speed_mm_s:
            speed_m_s = min(speed_m_s, standing.terms.max_speed_mm_s / 1000)
        start, destination = self.ways(standing.campaign.cycle)
        return Problem.geographic(
            [Point.from_e7(task.lat_e7, task.lon_e7) for task in tasks],
            start,
            destination,
            times_s=[(task.time_ms - begin_ms) / 1000 for task in tasks],
            intervals_s=[task.interval_ms / 1000 for task in tasks],
            speed_m_s=speed_m_s,
            limit_m=max(walk.limit_m, start.distance_m(destination)),
        )

    def plan(self, standing: Standing, tasks: list[Task]) -> tuple[Plan, tuple[Stop, ...]]:
        """The path that it would bid for these tasks, and the stops of the bid. Raises ValueError."""
        rng = self._world.rng(self._name, f"campaign/plan/{standing.campaign.cycle}")
        problem = self.problem(standing, tasks)
        try:
            plan = self._plan_path(problem, rng)
            wrong = "; ".join(broken(problem, plan))
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}"[:MAX_WHY]) from error
        if wrong:
            raise ValueError(wrong[:MAX_WHY])
        return plan, tuple(_stops(standing, tasks, plan, self._home_by_ms(standing)))

    @staticmethod
    def _home_by_ms(standing: Standing) -> int:
        """Last millisecond of a stop: the commitment must be in a block before collection ends."""
        begin_ms, last_ms = _collection(standing)
        return last_ms - min(COMMIT_MS, (last_ms - begin_ms) // 4)

    def seat(self, bids: Sequence[Bid]) -> int | None:
        """One that nobody has; None when there is none."""
        return self._board.free(self._place, {bid.seat for bid in bids}, MAX_BIDS)

    async def _bid(self, standing: Standing) -> int | None:
        cycle, until_ms = cycle_of(standing), end_ms(standing, BIDDING)
        if cycle in self._tried or self._world.clock.now_ms() > until_ms:
            return self._board.rest_ms(standing)
        if self.attended:
            return self._board.before_ms(until_ms)
        bids = await self._board.bids(standing)
        if any(bid.worker == self._identity.account for bid in bids):
            remember(self._tried, cycle, None)
            remember(self._engaged, cycle, _collection(standing))
            return until_ms
        if not await self._board.can_pay(cycle, standing.terms.deposit, "the deposit of a bid"):
            remember(self._tried, cycle, None)
            return until_ms
        if self._is_elsewhere(standing):
            return self._sit_out(cycle, until_ms, "on its way for another campaign then")
        # Campaigns are attended to at the same time: no other one may take it to be free from here on.
        remember(self._engaged, cycle, _collection(standing))
        tasks = list(await self._board.tasks(standing))
        seat, path = self.seat(bids), self._path(standing, tasks)
        if not path or seat is None:
            return self._sit_out(cycle, until_ms, "no seat" if path else "no task within reach")
        reason = await self._board.call("bid_path", standing.campaign.id, seat, path, quiet=("seat_taken",))
        if reason in FINAL:
            return self._sit_out(cycle, until_ms, reason)
        return None if reason else until_ms

    def _is_elsewhere(self, standing: Standing) -> bool:
        """Whether it may have to walk for another campaign while data are collected in this one."""
        begin_ms, last_ms = _collection(standing)
        return any(
            first_ms <= last_ms and begin_ms <= until_ms
            for cycle, (first_ms, until_ms) in self._engaged.items()
            if cycle != cycle_of(standing)
        )

    def _path(self, standing: Standing, tasks: list[Task]) -> tuple[Stop, ...]:
        try:
            return self.plan(standing, tasks)[1]
        except ValueError as error:
            self._world.fail(self._name, f"campaign.walk.planner: {error}")
            return ()

    def _sit_out(self, cycle: Cycle, until_ms: int, why: str) -> int:
        self._board.idle(cycle, f"not bid: {why}")
        self._engaged.pop(cycle, None)
        remember(self._tried, cycle, None)
        return until_ms

    # Collection. ----------------------------------------------------------------------------------------------

    async def _collect(self, standing: Standing) -> int | None:
        """Walk, sense, and commit once the last task is done."""
        until_ms = end_ms(standing, COLLECTION)
        mine = await self._mine(standing)
        if mine is None or mine.chosen.commitment is not None:
            return self._board.rest_ms(standing)
        bid, tasks = await self._own_bid(standing)
        self._walk(standing, bid, tasks)
        done_ms, now_ms = bid.path[-1].arrival_ms, self._world.clock.now_ms()
        if now_ms < done_ms:
            return done_ms
        if now_ms > until_ms:
            return self._board.rest_ms(standing)
        gathered = self._gather(standing, bid, tasks)
        found = standing.campaign
        commitment = commit_data(found.id, found.cycle, self._identity.account, gathered.digests, gathered.salt)
        await self._board.call("submit_hash", found.id, commitment, quiet=("hash_twice",))
        return None

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
        cycle = cycle_of(standing)
        if cycle not in self._gathered:
            rng = self._world.rng(self._name, f"campaign/readings/{cycle[1]}")
            remember(self._gathered, cycle, gather(self._identity, standing, bid, tasks, rng))
        return self._gathered[cycle]

    # Submission. ----------------------------------------------------------------------------------------------

    async def _submit(self, standing: Standing) -> int | None:
        """Open the commitment, hand the data over, and answer to whoever says that they did not come."""
        found, until_ms = standing.campaign, end_ms(standing, SUBMISSION)
        mine, now_ms = await self._mine(standing), self._world.clock.now_ms()
        if mine is None or mine.chosen.commitment is None:
            return self._board.rest_ms(standing)
        bid, tasks = await self._own_bid(standing)
        gathered = self._gather(standing, bid, tasks)
        if not mine.chosen.opened:
            if now_ms > data_until_ms(found, standing.terms):
                return self._board.rest_ms(standing)
            await self._board.call("submit_data", found.id, gathered.digests, gathered.salt, quiet=("data_twice",))
            return None
        unsent = await self._hand_over(standing, mine.chosen, bid, tasks, gathered)
        order = {stop.task: place for place, stop in enumerate(bid.path)}
        answers = [
            (found.id, number, gathered.digests, gathered.salt, gathered.sealed[order[number]])
            for number in mine.disputed
            if number in order
        ]
        if answers and now_ms <= until_ms:
            await self._board.calls("answer", answers, quiet=("no_dispute",))
        if answers or unsent:
            return None
        disputed_ms = dispute_until_ms(found, standing.terms) + LATE_MS
        return self._board.before_ms(disputed_ms) if now_ms <= disputed_ms else self._board.rest_ms(standing)

    async def _hand_over(
        self, standing: Standing, chosen: Chosen, bid: Bid, tasks: dict[int, Task], gathered: Gathered
    ) -> bool:
        """Begin to send what did not arrive yet: whoever cannot be reached must not keep us from answering on the ledger.

        Whether something is still to be sent.
        """
        cycle = cycle_of(standing)
        assert self._nursery is not None  # noqa: S101 - we are attending, inside run()
        for stop, sealed in zip(bid.path, gathered.sealed, strict=True):
            if stop.task in chosen.wins and self._sent.get((cycle, stop.task), 0) < SEND_ATTEMPTS:
                message = Sensed(*cycle, stop.task, gathered.digests, gathered.salt, sealed)
                if (cycle, stop.task) not in self._sending:
                    self._sending.add((cycle, stop.task))
                    to = PeerId.from_public_key(tasks[stop.task].requester)
                    self._nursery.start_soon(self._send, cycle, to, message)
        await trio.lowlevel.checkpoint()
        return any(self._sent.get((cycle, number), 0) < SEND_ATTEMPTS for number in chosen.wins)

    async def _send(self, cycle: Cycle, to: PeerId, message: Sensed) -> None:
        key, why = (cycle, message.task), f"no answer in {SENSED_TIMEOUT_S:g} s"
        with trio.move_on_after(SENSED_TIMEOUT_S):  # dialling may take for ever
            try:
                await self._node.reach(to)
                await self._node.overlay.request(to, SENSED, encode(message), timeout=SENSED_TIMEOUT_S)
                why = ""
            except TransportError as error:
                why = str(error)
        self._sending.discard(key)
        if why:
            # If it never arrives its requester will say so on the ledger, and be answered there.
            remember(self._sent, key, self._sent.get(key, 0) + 1, MAX_SENT)
            self._world.journal.record(self._name, "sensed_unsent", task=message.task, reason=why[:100])
        else:
            remember(self._sent, key, SEND_ATTEMPTS, MAX_SENT)
            self._world.journal.record(self._name, "sensed_sent", task=message.task)

    # What the ledger has of it. -------------------------------------------------------------------------------

    async def _mine(self, standing: Standing) -> Progress | None:
        rows = await self._board.progress(standing)
        return next((row for row in rows if row.worker == self._identity.account), None)

    async def _own_bid(self, standing: Standing) -> tuple[Bid, dict[int, Task]]:
        """Of a selected worker. Raises GatewayError, also when gateways contradict each other."""
        tasks = {task.number: task for task in await self._board.tasks(standing)}
        for bid in await self._board.bids(standing):
            if bid.worker == self._identity.account and bid.path and all(stop.task in tasks for stop in bid.path):
                return bid, tasks
        raise GatewayError("selected, but there is no bid of ours")


def _stops(standing: Standing, tasks: list[Task], plan: Plan, last_ms: int) -> Iterator[Stop]:
    """A plan in whole milliseconds, as the contract takes it: in the tasks' windows, and nowhere too fast.

    It may cost stops whose windows are about to close, and those after `last_ms`.
    """
    begin_ms = start_ms(standing, COLLECTION)
    before: Stop | None = None
    place: tuple[int, int] | None = None
    for index, second in plan.stops[:MAX_PATH]:
        task = tasks[index]
        there = task.lat_e7, task.lon_e7
        earliest_ms = max(begin_ms, task.time_ms - task.interval_ms)
        if before is not None and place is not None:
            earliest_ms = max(earliest_ms, before.arrival_ms + _least_ms(place, there, standing.terms.max_speed_mm_s))
        planned_ms = begin_ms + round(second * 1000)
        latest_ms = min(last_ms, task.time_ms + task.interval_ms)
        if earliest_ms > latest_ms or planned_ms > latest_ms + 1:
            continue
        before, place = Stop(task.number, min(max(planned_ms, earliest_ms), latest_ms)), there
        yield before


def _least_ms(here: tuple[int, int], there: tuple[int, int], max_speed_mm_s: int) -> int:
    """What the contract wants between two stops."""
    if not max_speed_mm_s:
        return 0
    way_mm = haversine_mm(here, there) - NEAR_MM
    return max(0, -(-way_mm * 1000 // max_speed_mm_s))


def _collection(standing: Standing) -> tuple[int, int]:
    """First and last millisecond."""
    return start_ms(standing, COLLECTION), end_ms(standing, COLLECTION)
