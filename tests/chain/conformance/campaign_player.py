"""Campaigns among random calls: whatever anybody may try, worked out from what is the same on all ledgers.

At most three oracles have a seat, and all that there are are drawn: chance picks the same everywhere.
"""

from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from chain.contracts.campaign_check import right_winners
from chain.contracts.campaign_commitments import commit_data, digest_sealed
from chain.contracts.campaign_records import ON_CHALLENGE, ON_RETURN, SELECTION, TIMED, Selection, Stop
from chain.values import MAX_INT, TxId
from tests.chain.conformance.campaign_scripts import TERMS, sealed
from tests.chain.conformance.founding import CREDIT
from tests.chain.conformance.ledgers import Outcome
from tests.chain.conformance.story import DRAWN_MS, Story
from tests.chain.town import SALT
from tests.strategies import account

PEOPLE = (1, 2, 3, 4, 5, 6)
WHO = st.sampled_from(PEOPLE)
CHOICES = st.integers(0, 5)
METHODS = ("advance", "next_cycle", "close", "register_oracle", "withdraw_oracle", "publish_task", "bid_path")
METHODS += ("return_selection", "replace_oracle", "challenge", "submit_hash", "submit_data", "dispute", "answer")
METHODS += ("distribute_rewards",)
CAMPAIGN_STEPS = (
    st.tuples(st.just("deploy"), WHO, st.sampled_from([ON_RETURN, ON_CHALLENGE]), st.sampled_from([0, 700, CREDIT])),
    st.tuples(st.just("campaign call"), st.integers(0, 1), WHO, st.sampled_from(METHODS), CHOICES, CHOICES),
    *[st.tuples(st.just("phase"), st.sampled_from([0, 0, 0, 0, 1]), CHOICES)] * 6,
)


class CampaignPlayer:
    """Makes the calls of campaigns."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.campaigns: list[TxId] = []

    def attempt(self, who: int, method: str, *args: object) -> Outcome:
        return self.story.attempt(who, method, *args, contract="campaign")

    def deploy(self, who: int, check: str, stake: int) -> None:
        terms = replace(TERMS, check=check, stake=stake, penalty=min(stake, 301), agreeing=2, oracle_ms=50_000)
        outcome = self.attempt(who, "deploy", terms)
        if outcome.transaction is not None and not outcome.reason:
            self.campaigns.append(outcome.transaction)

    def call(self, place: int, who: int, method: str, first: int, second: int) -> None:
        """One call by anybody, with arguments of which two choices are made."""
        id_ = self.campaigns[place % len(self.campaigns)] if self.campaigns else TxId(bytes(32))
        if method in ("return_selection", "replace_oracle"):
            self.story.wait(DRAWN_MS)  # before that it depends on the ledger whether the draw is ready
        self.attempt(who, method, id_, *self.arguments(id_, who, method, first, second))

    def phase(self, place: int, choice: int) -> None:
        """What is to be done in a phase, by all who might, a few of whom leave it; and its end."""
        if not self.campaigns:
            self.deploy(1 + place, ON_RETURN if choice % 2 else ON_CHALLENGE, 700)
            return
        place %= len(self.campaigns)
        standing = self.story.query("campaign", self.campaigns[place], contract="campaign")
        usual = {
            "registration": ("register_oracle",),
            "publishing": ("publish_task",),
            "bidding": ("bid_path",),
            "selection": ("return_selection", "challenge"),
            "collection": ("submit_hash",),
            "submission": ("submit_data", "dispute", "answer"),
            "done": ("distribute_rewards", "next_cycle"),
            "closed": ("withdraw_oracle",),
        }
        for method in usual[standing.campaign.phase]:
            for who in PEOPLE[:3]:
                self.call(place, who, method, who + (choice if method != "register_oracle" else 0), choice)
        if standing.campaign.phase in TIMED:
            self.story.until(max(self.end_of(standing), self.story.time_ms + 1_000))
            if self.attempt(PEOPLE[choice], "advance", self.campaigns[place]).reason == "not_organizer":
                self.story.wait(TERMS.grace_ms)
                self.attempt(PEOPLE[choice], "advance", self.campaigns[place])

    def end_of(self, standing: Any) -> int:
        """When a phase can be ended by its organizer."""
        end: int = standing.ends_ms[TIMED.index(standing.campaign.phase)]
        return end + (TERMS.challenge_ms if standing.campaign.phase == SELECTION else 0)

    def arguments(self, id_: TxId, who: int, method: str, first: int, second: int) -> tuple[object, ...]:
        """Behind the campaign's id."""
        match method:
            case "register_oracle":
                return (first % 3,)
            case "distribute_rewards":
                return (1 + 9 * second,)
            case "submit_hash" | "submit_data" | "answer":
                return self.data(id_, who, method, first, second)
            case "dispute":
                return account(PEOPLE[second]), first % 4
            case "publish_task" | "bid_path" | "return_selection" | "challenge":
                standing = self.story.query("campaign", id_, contract="campaign")
                if standing is None:
                    return self.nowhere(method)
                middle = standing.ends_ms[4] - standing.terms.durations_ms[4] // 2
                cycle = standing.campaign.cycle
                if method == "publish_task":
                    reward = (1, 999, 1_000, CREDIT // 3, CREDIT, MAX_INT)[second]
                    return first % 4, 1_000 * first, 7, reward, middle + second, 5_000, 1 + first % 3
                if method == "bid_path":
                    stops = ((0, 1), (1, 2), (0,), (3, 1, 0), (2, 0), ())[second]
                    return first, tuple(Stop(number, middle + late) for late, number in enumerate(stops))
                return (self.selection(id_, cycle, first, second, none=method == "challenge"),)
        return ()

    def nowhere(self, method: str) -> tuple[object, ...]:
        empty = Selection((), ())
        return {"publish_task": (0, 0, 0, 1, 0, 1, 1), "bid_path": (0, ())}.get(method, (empty,))

    def selection(self, id_: TxId, cycle: int, first: int, second: int, *, none: bool) -> Selection | None:
        """A right one, mostly; or none, or one that cannot be."""
        tasks = self.story.query("tasks", id_, cycle, contract="campaign")
        bids = self.story.query("bids", id_, cycle, contract="campaign")
        if none and second == 0:
            return None
        if second == 1:
            return Selection((0, 0, 7, MAX_INT), ((0, 1, 7, MAX_INT, 0),) * first)
        everybody = tuple(range(max(0, len(bids) - (second == 2))))
        return Selection(everybody, right_winners(tasks, bids, everybody))

    def data(self, id_: TxId, who: int, method: str, first: int, second: int) -> tuple[object, ...]:
        """Of the path that the sender bid, mostly."""
        standing = self.story.query("campaign", id_, contract="campaign")
        cycle = 0 if standing is None else standing.campaign.cycle
        bids = self.story.query("bids", id_, cycle, contract="campaign") or ()
        path = next((bid.path for bid in bids if bid.worker == account(who)), ())
        digests = tuple(digest_sealed(sealed(who, stop.task)) for stop in path)
        if method == "submit_hash":
            found = commit_data(id_, cycle, account(who), digests, SALT if second else bytes(16))
            self.story.name(f"commitment {len(self.story.record.calls)}", found)
            return (found,)
        if method == "submit_data":
            return digests[: None if second < 5 else 1], SALT
        return first % 4, digests, SALT, sealed(who, first % 4)
