"""One actor's view of the campaigns on its ledger, its calls there, and when it looks again."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import trio

from actors.ledger import GatewayError, Ledger, OutcomeUnknownError
from actors.world import World
from chain.contracts.campaign_board import challenge_until_ms
from chain.contracts.campaign_queries import MAX_PAGE
from chain.contracts.campaign_records import (
    CLOSED,
    SELECTION,
    SUBMISSION,
    TIMED,
    Bid,
    CampaignId,
    Progress,
    Standing,
    Task,
)
from chain.contracts.campaign_settlement import MAX_SETTLED
from chain.errors import Refused

POLL_S = 1.0
"""Between two looks at what may have changed by now."""
SHARE = 8
"""What may change any time until a deadline is looked at again after this part of the time that is left."""
LONG_MS = 3_600_000
LONG_OVER_MS = 300_000
"""After that nothing opens a closed campaign again, and oracles have their stakes back."""
PATIENCE_S = 30.0
"""How long a call is waited for; after that what became of it is looked up."""
AT_ONCE = 8
"""Campaigns attended to, or calls of one kind made, at a time: gateways refuse too many requests of one peer."""
SETTLED_AT_ONCE = MAX_SETTLED // 2
"""Tasks and bids that one call pays out: well within its gas."""
UNKNOWN = "outcome_unknown"
NO_MONEY = "no money"
"""How it begins when an actor tells that it cannot pay."""
MAX_REMEMBERED = 64
"""Campaigns or cycles of which something is kept at hand."""
Cycle = tuple[CampaignId, int]
K = TypeVar("K")
V = TypeVar("V")

Attend = Callable[[Standing], Awaitable[int | None]]
"""Does what is due in one campaign; returns when to look again, None for soon."""


class Board:
    """Asks and calls in an actor's name. What cannot be asked or done now is left for the next look."""

    def __init__(self, world: World, name: str, ledger: Ledger, *, rest_s: float) -> None:
        """`rest_s`: longest time between two looks. Others may deploy a campaign at any time, which nobody is told of."""
        self._world, self._name, self._ledger = world, name, ledger
        self._longest_rest_ms = round(1000 * max(POLL_S, rest_s))
        self._over: CampaignId | None = None
        """The last of the campaigns that are not looked at any more."""
        self._closed_ms: OrderedDict[CampaignId, int] = OrderedDict()
        """When some were first seen to be closed."""
        self._told: OrderedDict[Cycle | None, str] = OrderedDict()
        # Hundreds of actors would look in the same instant, and call again and again in the same one.
        self._jitter = world.rng(name, "campaign/looks")

    async def watch(self, attend: Attend) -> None:
        """Attend to all campaigns, again and again; until cancelled. What goes wrong in one is no other's trouble."""
        while True:
            now_ms = self._world.clock.now_ms()
            again_ms = now_ms + self._longest_rest_ms
            try:
                looks = [partial(self._attend_to, attend, standing) for standing in await self.campaigns()]
            except (GatewayError, Refused):
                looks, again_ms = [], now_ms + round(1000 * POLL_S)
            again_ms = min([again_ms, *await _together(looks)])
            wait_s = max(0, again_ms - self._world.clock.now_ms()) / 1000
            await trio.sleep(wait_s + POLL_S * self._jitter.uniform(0.1, 0.5))

    async def _attend_to(self, attend: Attend, standing: Standing) -> int:
        soon_ms = self._world.clock.now_ms() + round(1000 * POLL_S)
        try:
            return await attend(standing) or soon_ms
        except (GatewayError, Refused):
            return soon_ms

    def before_ms(self, until_ms: int) -> int:
        """When to look again at what others may do any time until then."""
        now_ms = self._world.clock.now_ms()
        return now_ms + max(round(1000 * POLL_S), (until_ms - now_ms) // SHARE)

    def rest_ms(self, standing: Standing) -> int:
        """When to look again if there is nothing left to do in a phase: when it is over, then less and less often."""
        phase, now_ms = standing.campaign.phase, self._world.clock.now_ms()
        if phase == CLOSED:
            return now_ms + LONG_MS
        until_ms = over_ms(standing) if phase in TIMED else end_ms(standing, SUBMISSION)
        return until_ms if now_ms <= until_ms else self.before_ms(2 * now_ms - until_ms)

    async def campaigns(self) -> Sequence[Standing]:
        """All there are, in the order in which they were deployed, but for the first ones that are over for long.

        Raises GatewayError; Refused when the ledger has lost one that it had.
        """
        found: list[Standing] = []
        after = self._over
        while True:
            try:
                page: Sequence[Standing] = await self._ledger.query("campaign", "campaigns", MAX_PAGE, after)
            except Refused:
                self._over = None
                raise
            found += page
            if len(page) < MAX_PAGE:
                self._pass_over(found)
                return found
            after = page[-1].campaign.id

    def _pass_over(self, there: Sequence[Standing]) -> None:
        """Else each look would take longer than the one before, for ever."""
        now_ms = self._world.clock.now_ms()
        for standing in there:
            campaign = standing.campaign
            if campaign.phase != CLOSED:
                return
            if campaign.id not in self._closed_ms:
                remember(self._closed_ms, campaign.id, now_ms, MAX_PAGE)
            if now_ms - self._closed_ms[campaign.id] < LONG_OVER_MS:
                return
            self._over = campaign.id

    async def tasks(self, standing: Standing) -> Sequence[Task]:
        """Of this cycle, by number. Raises GatewayError."""
        found = standing.campaign
        tasks: Sequence[Task] = await self._ledger.query("campaign", "tasks", found.id, found.cycle)
        return tasks

    async def bids(self, standing: Standing) -> Sequence[Bid]:
        """Of this cycle, by worker. Raises GatewayError."""
        found = standing.campaign
        bids: Sequence[Bid] = await self._ledger.query("campaign", "bids", found.id, found.cycle)
        return bids

    async def progress(self, standing: Standing) -> Sequence[Progress]:
        """Selected workers of this cycle. Raises GatewayError."""
        found = standing.campaign
        rows: Sequence[Progress] = await self._ledger.query("campaign", "progress", found.id, found.cycle)
        return rows

    async def balance(self) -> int:
        """What the actor has that is not locked, in micro-credits. Raises GatewayError."""
        found: int = await self._ledger.query("accounts", "balance", self._ledger.identity.account)
        return found

    async def query(self, method: str, *args: Any) -> Any:
        """Any other question. Raises GatewayError or Refused."""
        return await self._ledger.query("campaign", method, *args)

    @staticmethod
    def free(first: int, taken: Collection[int], there_are: int) -> int | None:
        """The first place from `first` on, and then from 0, that nobody has; None when there is none."""
        places = ((first + step) % there_are for step in range(there_are))
        return next((place for place in places if place not in taken), None)

    async def call(self, method: str, *args: Any, quiet: Sequence[str] = ()) -> str:
        """Call; returns why it was refused, empty when it is in a block, or UNKNOWN. `quiet` reasons are expected."""
        journal = self._world.journal
        try:
            await self._ledger.call("campaign", method, *args, stage="included", patience_s=PATIENCE_S)
        except Refused as refused:
            if refused.reason not in quiet:
                journal.record(
                    self._name, "campaign_refused", method=method, reason=refused.reason, detail=refused.detail[:100]
                )
            return refused.reason
        except (GatewayError, OutcomeUnknownError):
            return UNKNOWN
        journal.record(self._name, "campaign", did=method)
        return ""

    async def calls(self, method: str, each: Iterable[tuple[Any, ...]], quiet: Sequence[str] = ()) -> list[str]:
        """`call` with each of these arguments, some at a time: one after the other, each would wait for a block."""
        return await _together([partial(self.call, method, *args, quiet=quiet) for args in each])

    def idle(self, cycle: Cycle | None, why: str) -> None:
        """Tell that nothing is done in a campaign, though it is time; the same once a cycle."""
        if self._told.get(cycle) != why:
            remember(self._told, cycle, why)
            self._world.journal.record(self._name, "campaign_idle", why=why)

    async def can_pay(self, cycle: Cycle | None, amount: int, what: str) -> bool:
        """Whether the actor has so many micro-credits; if not, that is told. Raises GatewayError."""
        have = await self.balance()
        if have < amount:
            self.idle(cycle, f"{NO_MONEY} for {what}: {amount / 1e6:g} credits are needed, {have / 1e6:g} are there")
        return have >= amount


async def _together(works: Sequence[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """What all of these return, in their order; AT_ONCE of them are under way at a time. What they raise escapes."""
    found: list[Any] = [None] * len(works)
    waiting = list(enumerate(works))[::-1]

    async def work() -> None:
        while waiting:
            place, each = waiting.pop()
            found[place] = await each()

    async with trio.open_nursery() as nursery:
        for _ in range(min(AT_ONCE, len(works))):
            nursery.start_soon(work)
    return found


def cycle_of(standing: Standing) -> Cycle:
    """The cycle that it is in."""
    return standing.campaign.id, standing.campaign.cycle


def remember(memory: OrderedDict[K, V], key: K, value: V, at_most: int = MAX_REMEMBERED) -> None:
    """Keep the latest `at_most`."""
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > at_most:
        memory.popitem(last=False)


def end_ms(standing: Standing, phase: str) -> int:
    """Last millisecond of a timed phase in this cycle."""
    return standing.ends_ms[TIMED.index(phase)]


def start_ms(standing: Standing, phase: str) -> int:
    """First millisecond of a timed phase after registration in this cycle."""
    return standing.ends_ms[TIMED.index(phase) - 1] + 1


def over_ms(standing: Standing) -> int:
    """Last millisecond of the timed phase that it is in: a selection goes on while its result can be challenged."""
    found, accepted = standing.campaign, standing.accepted
    until_ms = end_ms(standing, found.phase)
    if found.phase != SELECTION or accepted is None:
        return until_ms
    return max(until_ms, challenge_until_ms(found, standing.terms, accepted))
