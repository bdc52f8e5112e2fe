"""Any calls by anybody, sensible or not, one after the other, come to the same on every ledger, and make no money."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from chain.codec import decode_own
from chain.contracts.accounts import supply
from chain.contracts.spatial_records import Opening, Ticket
from chain.merkle import MerklePath
from chain.values import MAX_INT, TxId
from tests.chain.conformance.all_ledgers import LEDGERS
from tests.chain.conformance.campaign_player import CAMPAIGN_STEPS, CampaignPlayer
from tests.chain.conformance.founding import Founding
from tests.chain.conformance.story import DRAWN_MS, Story
from tests.chain.town import HERE, SALT
from tests.strategies import FACILITY, MEC, account

PEOPLE = st.sampled_from([1, 2, 3, 4, 5, 6, MEC, FACILITY])
REPORT = st.integers(0, 3)
PLACES = [(HERE[0] + step * 9_500, HERE[1]) for step in range(3)]
TRIOS = ([1, 2, 3], [2, 3, 4], [4, 5, 6])
NO_REPORT = TxId(bytes(32))
JUNK = st.lists(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), MAX_INT), st.binary(max_size=40), st.text(max_size=8)),
    max_size=4,
)
STEPS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([1, 3_000, 9_000, 61_000])),
    st.tuples(st.just("pay"), PEOPLE, PEOPLE, st.sampled_from([0, 1, 999_999, 1_000_001, MAX_INT])),
    st.tuples(st.just("submit"), PEOPLE, st.sampled_from(PLACES), st.sampled_from(["fire", "pothole", "ufo"])),
    st.tuples(st.just("assign"), REPORT, st.sampled_from([MEC, MEC, MEC, 1]), st.sampled_from(TRIOS)),
    st.tuples(st.just("vote"), REPORT, PEOPLE, st.integers(0, 2), st.booleans()),
    st.tuples(st.just("reveal"), REPORT, PEOPLE, st.booleans()),
    st.tuples(st.just("tally"), REPORT, st.sampled_from([MEC, MEC, MEC, 1])),
    st.tuples(st.just("of"), REPORT, PEOPLE, st.sampled_from(["expire", "take"])),
    st.tuples(st.just("close"), REPORT, PEOPLE, st.sampled_from(["repaired", "no name"])),
    st.tuples(st.just("enrol"), PEOPLE, st.sampled_from(["mec", "facility", "mayor"])),
    st.tuples(
        st.just("lab"), PEOPLE, st.sampled_from([b"k/1", b"k/2", b""]), st.sampled_from(["put", "drop", "is_there"])
    ),
    st.tuples(
        st.just("junk"),
        PEOPLE,
        st.sampled_from(
            [
                *(("spatial", "submit"), ("spatial", "tally"), ("accounts", "transfer"), ("lab", "put"), ("x", "y")),
                *(("campaign", "deploy"), ("campaign", "bid_path"), ("campaign", "challenge"), ("campaign", "advance")),
            ]
        ),
        JUNK,
    ),
    *[st.tuples(st.just("go on"), REPORT)] * 6,
    *CAMPAIGN_STEPS,
)


class Player:
    """Carries steps out, knowing only what is the same on all ledgers."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.reports: list[TxId] = []
        self.sealed: dict[TxId, Any] = {}
        """(group, sealed) of reports that were to be assigned."""
        self.fairs = CampaignPlayer(story)
        self.deploy, self.campaign_call, self.phase = self.fairs.deploy, self.fairs.call, self.fairs.phase

    def pick(self, place: int) -> TxId:
        return self.reports[place % len(self.reports)] if self.reports else NO_REPORT

    def play(self, step: tuple[Any, ...]) -> None:
        getattr(self, step[0].replace(" ", "_"))(*step[1:])

    def wait(self, for_ms: int) -> None:
        self.story.wait(for_ms + 1_000)

    def pay(self, who: int, to: int, amount: int) -> None:
        self.story.attempt(who, "transfer", account(to), amount, contract="accounts")

    def submit(self, who: int, place: tuple[int, int], type_: str) -> None:
        outcome = self.story.attempt(who, "submit", type_, *place, self.story.time_ms)
        if outcome.transaction is not None and not outcome.reason:
            self.reports.append(outcome.transaction)

    def assign(self, place: int, who: int, trio: list[int]) -> None:
        report = self.pick(place)
        if report in self.sealed or not self.reports:
            self.story.attempt(who, "assign", report, bytes(32), bytes(32))
            return
        self.story.wait(DRAWN_MS)  # before that it depends on the ledger whether the draw is ready
        sealed = self.story.hide(report, trio, trio)
        outcome = self.story.attempt(who, "assign", report, sealed.candidates_commitment, sealed.group_root)
        if not outcome.reason:
            self.sealed[report] = (trio, sealed)

    def vote(self, place: int, who: int, member: int, confirm: bool) -> None:
        report = self.pick(place)
        ticket = Ticket(SALT, MerklePath(0, 1, ()))
        if report in self.sealed:
            group, sealed = self.sealed[report]
            ticket = sealed.tickets[account(group[member])]
        self.story.attempt(who, "vote", report, self.story.ballot(report, who, confirm), ticket)

    def reveal(self, place: int, who: int, confirm: bool) -> None:
        self.story.attempt(who, "reveal", self.pick(place), confirm, SALT)

    def tally(self, place: int, who: int) -> None:
        report = self.pick(place)
        opening = self.sealed[report][1].opening if report in self.sealed else Opening((), SALT, ())
        self.story.attempt(who, "tally", report, opening)

    def of(self, place: int, who: int, method: str) -> None:
        self.story.attempt(who, method, self.pick(place))

    def close(self, place: int, who: int, outcome: str) -> None:
        self.story.attempt(who, "close", self.pick(place), outcome)

    def enrol(self, who: int, role: str) -> None:
        self.story.attempt(who, "enrol", role, *HERE)

    def lab(self, who: int, key: bytes, method: str) -> None:
        args = (key, self.story.time_ms % 1_000) if method == "put" else (key,)
        self.story.attempt(who, method, *args, contract="lab")

    def junk(self, who: int, where: tuple[str, str], args: list[Any]) -> None:
        contract, method = where
        self.story.attempt(who, method, *args, contract=contract)

    def until(self, time_ms: int) -> None:
        """Let a window pass, and in any case the time that the last call may take."""
        self.story.until(max(time_ms, self.story.time_ms + 1_000))

    def go_on(self, place: int) -> None:
        """Do the next thing that honest actors would."""
        report = self.pick(place)
        found = self.story.query("report", report)
        status = "" if found is None else found.status
        if not status:
            self.submit(1 + place, PLACES[place % 3], "fire")
        elif status == "pending":
            self.assign(place, MEC, TRIOS[place % 3])
        elif status == "assigned":
            group, _ = self.sealed[report]
            for member, who in enumerate(group):
                self.vote(place, who, member, True)
            self.until(self.story.progress(report).vote_until_ms)
            for who in group[place % 2 :]:
                self.reveal(place, who, True)
            self.until(self.story.progress(report).reveal_until_ms)
            self.tally(place, MEC)
        elif status == "confirmed":
            self.of(place, FACILITY, "take")
        elif status == "taken":
            self.close(place, FACILITY, "repaired")
        else:
            self.submit(2 + place, PLACES[place % 3], "pothole")


def minted(story: Story) -> int:
    """By what has been called so far."""
    said = (event for call in story.record.calls if len(call) == 7 for event in call[6])
    amounts = (dict(decode_own(tuple[tuple[str, Any], ...], data)) for _, name, data in said if name == "minted")
    return sum(each["amount"] for each in amounts)


def check(steps: Sequence[tuple[Any, ...]], ledgers: Iterable[str]) -> None:
    records = []
    for name in ledgers:
        story = Story(LEDGERS[name](Founding()))
        player = Player(story)
        for step in steps:
            player.play(step)
            assert supply(story.ledger.replica.state) == supply(story.ledger.network.state) + minted(story)
        records.append(story.end())
    for _, _, reason in story.said:
        event(reason or "carried out")
    for record in records[1:]:
        assert record.calls == records[0].calls
        assert record.state == records[0].state


@settings(max_examples=12)
@given(st.lists(STEPS, min_size=10, max_size=40))
def test_any_calls_come_to_the_same_on_every_ledger(steps):
    check(steps, LEDGERS)


@settings(max_examples=6)
@given(st.lists(st.one_of(CAMPAIGN_STEPS), min_size=10, max_size=25))
def test_so_do_calls_of_campaigns_alone(steps):
    check(steps, ("pow", "ordered/solo"))


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(st.one_of(CAMPAIGN_STEPS), min_size=10, max_size=40))
def test_so_do_many_calls_of_campaigns(steps):
    check(steps, LEDGERS)
