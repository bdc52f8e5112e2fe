"""Campaigns for contract tests: a town of organizer, requesters, oracles and workers, each call in a block of its own."""

from copy import copy
from itertools import chain, combinations
from typing import Any

from msgspec.structs import replace

from chain.codec import block_id
from chain.contracts.accounts import balance_of
from chain.contracts.campaign_check import invalid, right_winners
from chain.contracts.campaign_commitments import commit_data, digest_sealed, draw_oracles
from chain.contracts.campaign_records import (
    BIDDING,
    COLLECTION,
    DONE,
    ON_RETURN,
    PHASES,
    PUBLISHING,
    SELECTION,
    SUBMISSION,
    TIMED,
    Bid,
    Selection,
    Standing,
    Stop,
    Task,
    Terms,
)
from chain.genesis import Genesis
from chain.values import Receipt, TxId
from tests.chain.town import SALT, Town
from tests.strategies import account, genesis

ORGANIZER = 1
REQUESTER, OTHER_REQUESTER = 11, 12
ORACLES = (21, 22, 23)
WORKERS = tuple(sorted(range(31, 37), key=account))
"""In the order of their accounts, which is that of their paths."""
OUTSIDER = 50
CROWD = tuple(sorted(range(101, 116), key=account))
"""Fifteen more."""
PEOPLE = (ORGANIZER, REQUESTER, OTHER_REQUESTER, *ORACLES, *WORKERS, OUTSIDER, *CROWD)
FOUNDED = 1_000_000
"""What everybody has at first."""
REWARD, SAMPLES = 1_000, 2
TERMS = Terms(
    durations_ms=(10_000, 10_000, 10_000, 10_000, 10_000, 10_000),
    review_ms=4_000,
    grace_ms=1_000,
    deposit=500,
    stake=700,
    penalty=300,
    bond=60,
    bounty=10,
    oracle_ms=2_000,
    draw_delay=1,
    drawn=1,
    agreeing=1,
    check=ON_RETURN,
    challenge_ms=1_500,
    max_speed_mm_s=0,
    oracles=(),
)


class Fair(Town):
    """A campaign of its organizer's. Calls are a millisecond apart unless told."""

    def __init__(self, founding: Genesis | None = None, **terms: Any) -> None:
        super().__init__(founding or genesis(balances=tuple((who, FOUNDED) for who in PEOPLE)))
        self.terms = replace(TERMS, **terms)
        self.campaign = TxId(self.do(ORGANIZER, "deploy", self.terms).transaction)

    def copy(self) -> "Fair":
        """One that goes its own way from here."""
        other = copy(self)
        other.blocks, other.events, other.receipts = [*self.blocks], [*self.events], [*self.receipts]
        return other

    # Calls. -------------------------------------------------------------------------------------------------------

    def do(self, who: int, method: str, *args: object) -> Receipt:
        return self.call(who, method, *args, contract="campaign", after_ms=1)

    def no(self, who: int, method: str, *args: object) -> str:
        """Why it is refused."""
        return self.refusal(who, method, *args, contract="campaign", after_ms=1)

    def here(self, who: int, method: str, *args: object) -> Receipt:
        return self.do(who, method, self.campaign, *args)

    def not_here(self, who: int, method: str, *args: object) -> str:
        return self.no(who, method, self.campaign, *args)

    def ask(self, method: str, *args: object) -> Any:
        return self.query(method, self.campaign, *args, contract="campaign")

    def at(self, time_ms: int) -> "Fair":
        """The next call comes then."""
        assert self.time_ms < time_ms, "that is over"
        self.time_ms = time_ms - 1
        return self

    # What there is. -----------------------------------------------------------------------------------------------

    @property
    def standing(self) -> Standing:
        found: Standing = self.ask("campaign")
        return found

    @property
    def cycle(self) -> int:
        return self.standing.campaign.cycle

    @property
    def phase(self) -> str:
        return self.standing.campaign.phase

    def end_of(self, phase: str) -> int:
        """Its last millisecond."""
        return self.standing.ends_ms[TIMED.index(phase)]

    @property
    def tasks(self) -> tuple[Task, ...]:
        found: tuple[Task, ...] = self.ask("tasks", self.cycle)
        return found

    @property
    def bids(self) -> tuple[Bid, ...]:
        found: tuple[Bid, ...] = self.ask("bids", self.cycle)
        return found

    def purses(self) -> dict[tuple[str, bytes], int]:
        return {(purse.kind, purse.name): purse.amount for purse in self.ask("purses")}

    def money(self) -> dict[int, int]:
        """What people have more or less than they had at first, but for those for whom it is nothing."""
        found = {who: balance_of(self.state, account(who)) - FOUNDED for who in PEOPLE}
        return {who: amount for who, amount in found.items() if amount}

    # Steps. -------------------------------------------------------------------------------------------------------

    def move(self, who: int = ORGANIZER, late_ms: int = 1) -> str:
        """End a phase so long after its time."""
        self.at(self.end_of(self.phase) + late_ms).here(who, "advance")
        return self.phase

    def register(self, *oracles: int) -> None:
        for seat, who in enumerate(oracles):
            self.here(who, "register_oracle", seat)

    def task(self, number: int, *, at_ms: int | None = None, **changes: Any) -> tuple[object, ...]:
        """The arguments of a task in the middle of collection, which takes samples all the time."""
        middle = self.end_of(COLLECTION) - self.terms.durations_ms[4] // 2
        best_ms = middle if at_ms is None else at_ms
        fields = {"lat_e7": 350_000_000 + number * 1_000, "lon_e7": -800_000_000, "reward": REWARD, "time_ms": best_ms}
        fields |= {"interval_ms": 10_000, "samples": SAMPLES} | changes
        return (number, *fields.values())

    def publish(self, who: int, *numbers: int, **changes: Any) -> None:
        for number in numbers:
            self.here(who, "publish_task", *self.task(number, **changes))

    def path(self, *stops: tuple[int, int]) -> tuple[Stop, ...]:
        """By (task, milliseconds after the middle of collection)."""
        middle = self.end_of(COLLECTION) - self.terms.durations_ms[4] // 2
        return tuple(Stop(number, middle + late_ms) for number, late_ms in stops)

    def bid(self, who: int, *stops: tuple[int, int]) -> None:
        self.here(who, "bid_path", WORKERS.index(who), self.path(*stops))

    def wait_for_draw(self) -> None:
        """The next call can look the seed up."""
        found = self.ask("draw")
        while self.final_id(self.height + 1, found.recorded_height + self.terms.draw_delay) is None:
            self.block(after_ms=1)

    def drawn(self) -> list[int]:
        """Who is drawn, worked out from blocks."""
        self.wait_for_draw()
        found = self.ask("draw")
        seed = block_id(self.blocks[found.recorded_height + self.terms.draw_delay].header)
        registered = [oracle.account for oracle in self.ask("oracles")]
        drawn = draw_oracles(seed, self.campaign, self.cycle, registered, found.draw.passed_over, self.terms.drawn)
        return [who for each in drawn for who in PEOPLE if account(who) == each]

    def result(self, *workers: int) -> Selection:
        """The right winners when the paths of these are selected."""
        places = {bid.worker: place for place, bid in enumerate(self.bids)}
        paths = tuple(sorted(places[account(who)] for who in workers))
        return Selection(paths, right_winners(self.tasks, self.bids, paths))

    def best(self) -> Selection:
        """One with as few paths as possible, found by trying all."""
        places = range(len(self.bids))
        for paths in chain.from_iterable(combinations(places, count) for count in range(len(places) + 1)):
            selection = Selection(paths, right_winners(self.tasks, self.bids, paths))
            if not invalid(self.tasks, self.bids, selection):
                return selection
        raise AssertionError("all paths together are always valid")

    def returned(self, selection: Selection) -> None:
        """By as many drawn oracles as have to agree."""
        for who in self.drawn()[: self.terms.agreeing]:
            self.here(who, "return_selection", selection)

    def digests(self, who: int) -> tuple[bytes, ...]:
        """Of the data for each task of a path."""
        (bid,) = (bid for bid in self.bids if bid.worker == account(who))
        return tuple(digest_sealed(sealed(who, stop.task)) for stop in bid.path)

    def commitment(self, who: int) -> bytes:
        return commit_data(self.campaign, self.cycle, account(who), self.digests(who), SALT)

    def commit(self, *workers: int) -> None:
        for who in workers:
            self.here(who, "submit_hash", self.commitment(who))

    def open(self, *workers: int) -> None:
        for who in workers:
            self.here(who, "submit_data", self.digests(who), SALT)

    def answer(self, who: int, number: int) -> tuple[object, ...]:
        """The arguments of an answer."""
        return number, self.digests(who), SALT, sealed(who, number)

    def settle(self, count: int = 64) -> int:
        """Pay everything out; returns in how many calls."""
        calls = 1
        while self.here(OUTSIDER, "distribute_rewards", count).result != b"\xc3":
            calls += 1
        return calls

    # The way of a whole cycle. ------------------------------------------------------------------------------------

    def to(self, phase: str) -> "Fair":
        """Go on to a phase, and do what makes sense on the way: two requesters, three oracles, four workers.

        The first of them bids for tasks 0 and 1, the second for 1 and 2, the third for 2 and 0 and the fourth for 0 alone:
        of each task two samples are wanted, so the first three are selected.
        """
        steps = {
            PUBLISHING: lambda: self.register(*ORACLES),
            BIDDING: self._publish,
            SELECTION: self._bid,
            COLLECTION: lambda: self.returned(self.best()),
            SUBMISSION: lambda: self.commit(*WORKERS[:3]),
            DONE: lambda: self.open(*WORKERS[:3]),
        }
        while self.phase != phase:
            steps[PHASES[PHASES.index(self.phase) + 1]]()
            self.move()
        return self

    def _publish(self) -> None:
        self.publish(REQUESTER, 0, 1)
        self.publish(OTHER_REQUESTER, 2)

    def _bid(self) -> None:
        one, two, three, four, *_ = WORKERS
        self.bid(one, (0, 100), (1, 200))
        self.bid(two, (1, 300), (2, 400))
        self.bid(three, (2, 500), (0, 600))
        self.bid(four, (0, 0))


def sealed(who: int, number: int) -> bytes:
    """What a worker sensed for a task."""
    return b"data of %d by %d" % (number, who)
