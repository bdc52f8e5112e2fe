"""Campaigns, told to every ledger: every call, and every refusal that a docstring of theirs lists.

All oracles that there are are drawn, for chance differs between ledgers; whom others came after is never drawn again.
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from chain.contracts.campaign_check import right_winners
from chain.contracts.campaign_commitments import commit_data, digest_sealed
from chain.contracts.campaign_records import (
    BIDDING,
    COLLECTION,
    DONE,
    MAX_BIDS,
    MAX_ORACLES,
    MAX_SAMPLES,
    ON_CHALLENGE,
    ON_RETURN,
    PUBLISHING,
    REGISTRATION,
    SELECTION,
    SUBMISSION,
    TIMED,
    Selection,
    Standing,
    Stop,
    Terms,
)
from chain.values import MAX_INT, TxId
from tests.chain.conformance.founding import CREDIT, HOARDER
from tests.chain.conformance.ledgers import Outcome
from tests.chain.conformance.story import DRAWN_MS, Story
from tests.chain.town import SALT
from tests.strategies import account

ORGANIZER, REQUESTER, OTHER, OUTSIDER = 1, 2, 3, 12
ORACLES = (4, 5, 6)
ONE, TWO, THREE, FOUR = WORKERS = tuple(sorted((7, 8, 9, 10), key=account))
"""In the order of their accounts, which is that of their paths."""
NO_CAMPAIGN = TxId(bytes(32))
TERMS = Terms(
    durations_ms=(20_000, 40_000, 40_000, 70_000, 30_000, 50_000),
    review_ms=30_000,
    grace_ms=3_000,
    deposit=501,
    stake=700,
    penalty=301,
    bond=15,
    bounty=10,
    oracle_ms=20_000,
    draw_delay=1,
    drawn=3,
    agreeing=2,
    check=ON_RETURN,
    challenge_ms=5_000,
    max_speed_mm_s=0,
    oracles=(),
)


class Told:
    """A campaign that a story tells of."""

    def __init__(self, story: Story, organizer: int = ORGANIZER, **terms: Any) -> None:
        self.story = story
        self.organizer = organizer
        self.terms = replace(TERMS, **terms)
        deployed = story.call(organizer, "deploy", self.terms, contract="campaign").transaction
        assert deployed is not None
        self.id = deployed
        self.cycle = 0

    def call(self, who: int, method: str, *args: object, after_ms: int = 1_000) -> Outcome:
        return self.story.call(who, method, self.id, *args, contract="campaign", after_ms=after_ms)

    def refused(self, reason: str, who: int, method: str, *args: object, after_ms: int = 1_000) -> None:
        self.story.refused(reason, who, method, self.id, *args, contract="campaign", after_ms=after_ms)

    def query(self, method: str, *args: object) -> Any:
        return self.story.query(method, self.id, *args, contract="campaign")

    @property
    def standing(self) -> Standing:
        found = self.query("campaign")
        assert isinstance(found, Standing)
        return found

    def end_of(self, phase: str) -> int:
        return self.standing.ends_ms[TIMED.index(phase)]

    def until_over(self, phase: str) -> None:
        """The next call, made a millisecond later, is the first after its time."""
        self.story.until(self.end_of(phase))

    def move(self, who: int = 0, late_ms: int = 1) -> None:
        """By the organizer unless told."""
        self.until_over(self.standing.campaign.phase)
        self.call(who or self.organizer, "advance", after_ms=late_ms)

    def register(self, *oracles: int) -> None:
        for seat, who in enumerate(oracles):
            self.call(who, "register_oracle", seat)
        self.move()

    def task(self, number: int, **changes: Any) -> tuple[object, ...]:
        fields = {"lat_e7": 350_000_000 + 1_000 * number, "lon_e7": 7, "reward": 1_000, "time_ms": self.middle}
        fields |= {"interval_ms": 10_000, "samples": 2} | changes
        return (number, *fields.values())

    @property
    def middle(self) -> int:
        """Of collection."""
        return self.end_of(COLLECTION) - self.terms.durations_ms[4] // 2

    def path(self, *stops: tuple[int, int]) -> tuple[Stop, ...]:
        """By (task, milliseconds after the middle of collection)."""
        middle = self.middle
        return tuple(Stop(number, middle + late_ms) for number, late_ms in stops)

    def market(self) -> None:
        """Three tasks, and four paths of which the first three are needed; in the end it is time to select."""
        for who, number in ((REQUESTER, 0), (REQUESTER, 1), (OTHER, 2)):
            self.call(who, "publish_task", *self.task(number))
        self.move()
        stops = (((0, 100), (1, 200)), ((1, 300), (2, 400)), ((2, 500), (0, 600)), ((0, 0),))
        for who, each in zip(WORKERS, stops, strict=True):
            self.call(who, "bid_path", WORKERS.index(who), self.path(*each))
        self.move()

    def result(self, *paths: int) -> Selection:
        """The right winners of these."""
        tasks, bids = self.query("tasks", self.cycle), self.query("bids", self.cycle)
        return Selection(paths, right_winners(tasks, bids, paths))

    def returned(self, selection: Selection, oracles: Sequence[int] = ORACLES[:2]) -> None:
        for who in oracles:
            self.call(who, "return_selection", selection)

    def digests(self, who: int) -> tuple[bytes, ...]:
        (bid,) = (bid for bid in self.query("bids", self.cycle) if bid.worker == account(who))
        return tuple(digest_sealed(sealed(who, stop.task)) for stop in bid.path)

    def commit(self, *workers: int) -> None:
        for who in workers:
            commitment = commit_data(self.id, self.cycle, account(who), self.digests(who), SALT)
            self.story.name(f"commitment {len(self.story.record.calls)}", commitment)
            self.call(who, "submit_hash", commitment)

    def open(self, *workers: int) -> None:
        for who in workers:
            self.call(who, "submit_data", self.digests(who), SALT)

    def told(self) -> None:
        """All that can be asked."""
        for method in ("tasks", "bids", "progress"):
            self.query(method, self.cycle)
        for method in ("campaign", "oracles", "draw", "returned", "purses"):
            self.query(method)


def sealed(who: int, number: int) -> bytes:
    return b"data of %d by %d" % (number, who)


def nowhere(story: Story) -> None:
    """Calls and queries of a campaign that there is not."""
    empty = Selection((), ())
    calls: tuple[tuple[str, tuple[object, ...]], ...] = (
        *((method, ()) for method in ("advance", "next_cycle", "close", "withdraw_oracle", "replace_oracle")),
        *(("register_oracle", (0,)), ("publish_task", (0, 0, 0, 1, 0, 1, 1)), ("bid_path", (0, ()))),
        *(("return_selection", (empty,)), ("challenge", (None,)), ("challenge", (empty,))),
        *(("submit_hash", (bytes(32),)), ("submit_data", ((), SALT)), ("dispute", (account(ONE), 0))),
        *(("answer", (0, (), SALT, b"")), ("distribute_rewards", (1,))),
    )
    for method, args in calls:
        story.refused("unknown_campaign", OUTSIDER, method, NO_CAMPAIGN, *args, contract="campaign")
    for method in ("tasks", "bids", "progress"):
        story.query(method, NO_CAMPAIGN, 0, contract="campaign")
    for method in ("campaign", "oracles", "draw", "returned", "purses"):
        story.query(method, NO_CAMPAIGN, contract="campaign")
    story.query("campaigns", 9, NO_CAMPAIGN, contract="campaign")
    story.query("campaigns", 9, None, contract="campaign")


def oracles_come(story: Story) -> None:
    """Deploying, registering, leaving."""
    story.refused("bad_terms", ORGANIZER, "deploy", replace(TERMS, check="never"), contract="campaign")
    story.refused("insufficient_balance", ORGANIZER, "deploy", replace(TERMS, bond=CREDIT + 1), contract="campaign")
    fair = Told(story)
    fair.call(4, "register_oracle", 3)
    fair.refused("registered_twice", 4, "register_oracle", 4)
    fair.refused("seat_taken", 5, "register_oracle", 3)
    fair.refused("no_such_seat", 5, "register_oracle", MAX_ORACLES)
    fair.refused("malformed_arguments", 5, "register_oracle", -1)
    fair.refused("not_oracle", 5, "withdraw_oracle")
    fair.call(4, "withdraw_oracle")
    fair.call(5, "register_oracle", 3)
    fair.refused("wrong_phase", REQUESTER, "publish_task", *fair.task(0))
    fair.refused("phase_not_over", ORGANIZER, "advance")
    fair.told()
    fair.until_over(REGISTRATION)
    fair.refused("phase_over", 6, "register_oracle", 6, after_ms=1)
    fair.refused("not_organizer", OUTSIDER, "advance")
    fair.call(OUTSIDER, "advance", after_ms=2_000)
    fair.refused("wrong_phase", 6, "register_oracle", 6)
    listed = Told(story, oracles=(account(HOARDER),), stake=MAX_INT)
    listed.refused("not_allowed", 4, "register_oracle", 0)
    listed.refused("insufficient_balance", HOARDER, "register_oracle", 0)
    story.call(1, "mint", account(HOARDER), 12 * CREDIT, contract="lab")
    listed.call(HOARDER, "register_oracle", 0)
    story.call(1, "mint", account(HOARDER), 5, contract="lab")
    listed.call(HOARDER, "withdraw_oracle")  # but for 5, which do not fit
    listed.refused("purse_overflow", HOARDER, "register_oracle", 0)
    story.query("campaigns", 1, None, contract="campaign")
    story.query("campaigns", 9, fair.id, contract="campaign")


def markets(story: Story) -> None:
    """What tasks and paths may be."""
    fair = Told(story, max_speed_mm_s=1_000)
    fair.move()
    for reason, number, changes in (
        ("out_of_range", 0, {"lat_e7": 900_000_001}),
        ("zero_reward", 0, {"reward": 0}),
        ("bad_samples", 0, {"samples": MAX_SAMPLES + 1}),
        ("time_out_of_collection", 0, {"time_ms": 0}),
        ("bad_interval", 0, {"interval_ms": 0}),
        ("insufficient_balance", 0, {"reward": MAX_INT}),
        ("malformed_arguments", 128, {}),
    ):
        fair.refused(reason, REQUESTER, "publish_task", *fair.task(number, **changes))
    fair.call(REQUESTER, "publish_task", *fair.task(0))
    fair.refused("number_taken", OTHER, "publish_task", *fair.task(0))
    fair.call(OTHER, "publish_task", *fair.task(1, lat_e7=-350_000_000))
    fair.refused("wrong_phase", ONE, "bid_path", 0, fair.path((0, 0)))
    fair.until_over(PUBLISHING)
    fair.refused("phase_over", OTHER, "publish_task", *fair.task(2), after_ms=1)
    fair.call(ORGANIZER, "advance")
    fair.refused("wrong_phase", OTHER, "publish_task", *fair.task(2))
    for reason, seat, stops in (
        ("no_such_seat", MAX_BIDS, ((0, 0),)),
        ("empty_path", 0, ()),
        ("unknown_task", 0, ((2, 0),)),
        ("task_twice", 0, ((0, 0), (0, 1))),
        ("arrivals_out_of_order", 0, ((0, 1), (1, 0))),
        ("arrival_out_of_window", 0, ((0, 10_001),)),
        ("too_fast", 0, ((0, 0), (1, 10_000))),
    ):
        fair.refused(reason, ONE, "bid_path", seat, fair.path(*stops))
    fair.call(ONE, "bid_path", 0, fair.path((0, 0)))
    fair.refused("bid_twice", ONE, "bid_path", 1, fair.path((0, 0)))
    fair.refused("seat_taken", TWO, "bid_path", 0, fair.path((0, 0)))
    story.call(TWO, "transfer", account(OUTSIDER), CREDIT, contract="accounts")
    fair.refused("insufficient_balance", TWO, "bid_path", 1, fair.path((0, 0)))
    fair.until_over(BIDDING)
    fair.refused("phase_over", THREE, "bid_path", 2, fair.path((0, 0)), after_ms=1)
    fair.told()


def selections(story: Story) -> None:
    """Two of three agree; others beat them, and others again are refused."""
    fair = Told(story)
    fair.register(*ORACLES)
    fair.refused("wrong_phase", 4, "return_selection", Selection((), ()))
    fair.refused("wrong_phase", OUTSIDER, "challenge", None)
    fair.refused("wrong_phase", OUTSIDER, "replace_oracle")
    fair.market()
    fair.refused("wrong_phase", 4, "withdraw_oracle")
    right, all_four = fair.result(0, 1, 2), fair.result(0, 1, 2, 3)
    fair.refused("no_selection", OUTSIDER, "challenge", None)
    story.wait(DRAWN_MS)
    fair.refused("not_oracle", OUTSIDER, "return_selection", right)
    fair.refused("invalid_selection", 4, "return_selection", fair.result(0))
    fair.call(4, "return_selection", right)
    fair.refused("returned_twice", 4, "return_selection", right)
    fair.refused("oracle_in_time", OUTSIDER, "replace_oracle")
    assert fair.call(5, "return_selection", all_four).result == b"\xc2"
    assert fair.call(6, "return_selection", all_four).result == b"\xc3"
    fair.told()
    fair.refused("already_selected", 4, "return_selection", right)
    fair.refused("already_selected", OUTSIDER, "replace_oracle")
    fair.refused("selection_holds", OUTSIDER, "challenge", None)
    fair.call(OUTSIDER, "challenge", right)
    fair.refused("invalid_selection", OUTSIDER, "challenge", fair.result(0, 1))
    fair.refused("not_better", OUTSIDER, "challenge", all_four)
    fair.told()
    story.until(fair.standing.accepted.accepted_ms + TERMS.challenge_ms)
    fair.refused("challenge_over", OUTSIDER, "challenge", None, after_ms=1)
    fair.move()
    fair.refused("wrong_phase", 4, "return_selection", right)
    for who in ORACLES:
        fair.call(who, "withdraw_oracle")


def late_oracles(story: Story) -> None:
    """Replaced, until nobody is left; a draw that is never ready; and a cycle without a result."""
    fair = Told(story, agreeing=1)
    fair.register(*ORACLES)
    fair.market()
    right = fair.result(0, 1, 2)
    story.until(fair.query("draw").draw.since_ms + TERMS.oracle_ms)
    fair.refused("oracle_late", 4, "return_selection", right, after_ms=1)
    fair.call(OUTSIDER, "replace_oracle")
    story.wait(max(DRAWN_MS, TERMS.oracle_ms))
    fair.refused("not_drawn", 4, "return_selection", right)
    fair.refused("nobody_drawn", OUTSIDER, "replace_oracle")
    fair.until_over(SELECTION)
    fair.refused("phase_over", 4, "return_selection", right, after_ms=1)
    fair.refused("phase_over", OUTSIDER, "replace_oracle")
    fair.call(ORGANIZER, "advance")
    assert fair.standing.campaign.void
    fair.refused("not_settled", ORGANIZER, "next_cycle")
    fair.call(OUTSIDER, "distribute_rewards", 64)
    fair.told()


def a_draw_that_is_not_ready(story: Story) -> None:
    fair = Told(story, draw_delay=1_000)
    fair.register(*ORACLES)
    fair.move()
    fair.move()
    fair.refused("draw_not_ready", 4, "return_selection", Selection((), ()))
    story.until(fair.query("draw").draw.since_ms + TERMS.oracle_ms)
    fair.refused("draw_not_ready", OUTSIDER, "replace_oracle", after_ms=1)


def data(story: Story) -> None:
    """Committing, opening, disputing, answering: from a result that nobody checked, which has two win what it does not have."""
    fair = Told(story, check=ON_CHALLENGE)
    fair.register(*ORACLES)
    fair.market()
    story.wait(DRAWN_MS)
    fair.returned(Selection((0, 1, 2), ((0, 1), (0, 1), (1, 2))))
    fair.refused("wrong_phase", ONE, "submit_hash", bytes(32))
    fair.move()
    fair.refused("not_selected", FOUR, "submit_hash", bytes(32))
    fair.refused("wrong_phase", ONE, "submit_data", (), SALT)
    fair.commit(ONE, TWO)
    fair.refused("hash_twice", ONE, "submit_hash", bytes(32))
    fair.until_over(COLLECTION)
    fair.refused("phase_over", THREE, "submit_hash", bytes(32), after_ms=1)
    fair.refused("wrong_phase", REQUESTER, "dispute", account(ONE), 0)
    fair.refused("wrong_phase", ONE, "answer", 0, (), SALT, b"")
    fair.call(ORGANIZER, "advance")
    one, two = fair.digests(ONE), fair.digests(TWO)
    fair.refused("not_selected", FOUR, "submit_data", one, SALT)
    fair.refused("no_hash", THREE, "submit_data", one, SALT)
    fair.refused("wrong_number", ONE, "submit_data", one[:1], SALT)
    fair.refused("data_mismatch", ONE, "submit_data", one[::-1], SALT)
    fair.refused("not_submitted", REQUESTER, "dispute", account(ONE), 0)
    fair.open(ONE, TWO)
    fair.refused("data_twice", ONE, "submit_data", one, SALT)
    story.until(fair.end_of(SUBMISSION) - TERMS.review_ms)
    fair.refused("data_late", THREE, "submit_data", one, SALT, after_ms=1)
    fair.refused("unknown_task", REQUESTER, "dispute", account(ONE), 9)
    fair.refused("not_requester", OTHER, "dispute", account(ONE), 0)
    fair.refused("not_winner", OTHER, "dispute", account(ONE), 2)
    fair.refused("no_dispute", ONE, "answer", 0, one, SALT, sealed(ONE, 0))
    fair.call(REQUESTER, "dispute", account(ONE), 0)
    fair.refused("dispute_twice", REQUESTER, "dispute", account(ONE), 0)
    fair.call(REQUESTER, "dispute", account(TWO), 0)
    fair.told()
    fair.refused("data_mismatch", ONE, "answer", 0, two, SALT, sealed(ONE, 0))
    fair.refused("data_mismatch", ONE, "answer", 0, one, SALT, sealed(ONE, 1))
    fair.refused("not_on_path", TWO, "answer", 0, two, SALT, sealed(TWO, 0))
    fair.call(ONE, "answer", 0, one, SALT, sealed(ONE, 0))
    story.until(fair.end_of(SUBMISSION) - TERMS.review_ms // 2)
    fair.refused("dispute_late", REQUESTER, "dispute", account(ONE), 1, after_ms=1)
    fair.until_over(SUBMISSION)
    fair.refused("phase_over", TWO, "answer", 0, two, SALT, b"", after_ms=1)
    fair.refused("phase_over", ONE, "submit_data", one, SALT)
    fair.refused("phase_over", REQUESTER, "dispute", account(ONE), 1)
    fair.refused("wrong_phase", OUTSIDER, "distribute_rewards", 1)
    fair.call(OUTSIDER, "advance", after_ms=2_000)
    fair.refused("wrong_phase", ORGANIZER, "advance")
    assert [fair.call(OUTSIDER, "distribute_rewards", 3).result for _ in range(3)] == [b"\xc2", b"\xc2", b"\xc3"]
    fair.refused("already_settled", OUTSIDER, "distribute_rewards", 1)
    fair.told()
    for who in (REQUESTER, OTHER, *WORKERS):
        story.query("balance", account(who), contract="accounts")


def cycles(story: Story) -> None:
    """A wrong result, challenged; a right one; the next cycle; and the end."""
    fair = Told(story, agreeing=1, check=ON_CHALLENGE, oracle_ms=90_000)
    fair.register(*ORACLES)
    fair.refused("wrong_phase", ORGANIZER, "next_cycle")
    fair.refused("wrong_phase", ORGANIZER, "close")
    fair.market()
    right = fair.result(0, 1, 2)
    story.wait(DRAWN_MS)
    fair.call(4, "return_selection", Selection((0, 0, 9), ((MAX_INT,),)))
    fair.call(OUTSIDER, "challenge", None)
    story.wait(DRAWN_MS)
    fair.refused("not_drawn", 4, "return_selection", right)
    story.until(fair.end_of(SELECTION))
    fair.call(5, "return_selection", right, after_ms=0)
    fair.refused("challenge_open", ORGANIZER, "advance")
    fair.call(OUTSIDER, "advance", after_ms=TERMS.challenge_ms + TERMS.grace_ms)
    fair.commit(ONE, TWO, THREE)
    fair.move()
    fair.open(ONE, THREE)
    fair.move(OUTSIDER, late_ms=60_000)
    fair.call(OUTSIDER, "distribute_rewards", 64)
    fair.refused("not_organizer", OUTSIDER, "next_cycle")
    fair.refused("not_organizer", OUTSIDER, "close")
    assert fair.call(ORGANIZER, "next_cycle").result == b"\x01"
    fair.cycle = 1
    fair.told()
    fair.market()
    fair.move()
    assert fair.standing.campaign.phase == DONE
    fair.refused("not_settled", ORGANIZER, "close")
    fair.call(OUTSIDER, "distribute_rewards", 64)
    fair.call(ORGANIZER, "close")
    fair.refused("wrong_phase", OUTSIDER, "distribute_rewards", 1)
    for who in ORACLES:
        fair.call(who, "withdraw_oracle")
    fair.told()
    story.query("campaigns", 9, None, contract="campaign")
    for who in range(1, 13):
        story.query("balance", account(who), contract="accounts")


CAMPAIGN_SCRIPTS = {
    "no campaign": nowhere,
    "campaigns: oracles come": oracles_come,
    "campaigns: markets": markets,
    "campaigns: selections": selections,
    "campaigns: late oracles": late_oracles,
    "campaigns: a draw that is not ready": a_draw_that_is_not_ready,
    "campaigns: data": data,
    "campaigns: cycles": cycles,
}
