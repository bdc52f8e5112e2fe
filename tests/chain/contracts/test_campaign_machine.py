"""Campaigns under any order of calls by anybody at any time, hostile ones among them.

After every call no money was made or lost, and each campaign holds what it was given and did not pay. When a cycle is
settled, what was paid is worked out anew from what anybody can read, by a second writing of the rules. In the end the whole
chain goes through the checkers of final chains. What a contract raises but a refusal ends the test.
"""

from collections import Counter

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from actors.ledger_checkers import check_chain
from chain.contract import event_fields
from chain.contracts.accounts import balance_of, supply
from chain.contracts.campaign_check import right_winners
from chain.contracts.campaign_commitments import commit_data, digest_sealed
from chain.contracts.campaign_records import (
    BIDDING,
    CLOSED,
    COLLECTION,
    DONE,
    ON_CHALLENGE,
    ON_RETURN,
    PUBLISHING,
    REGISTRATION,
    SELECTION,
    SUBMISSION,
    TIMED,
    Selection,
    Stop,
)
from chain.values import MAX_INT, TxId
from tests.chain.campaign_town import FOUNDED, ORGANIZER, PEOPLE, Fair, sealed
from tests.chain.town import SALT
from tests.strategies import account

GUESTS = (ORGANIZER, 11, 12, 21, 22, 23)
"""Everybody may be everything."""
WHO = st.sampled_from(GUESTS)
SMALL = st.integers(0, 5)
INDEX = st.one_of(SMALL, SMALL, SMALL, st.integers(0, MAX_INT))
GARBAGE = st.builds(
    Selection,
    st.lists(INDEX, max_size=6).map(tuple),
    st.lists(st.lists(INDEX, max_size=6).map(tuple), max_size=6).map(tuple),
)
CALLS = ("advance", "next_cycle", "close", "withdraw_oracle", "replace_oracle", "register_oracle", "publish_task")
CALLS += ("bid_path", "return_selection", "challenge", "submit_hash", "submit_data", "dispute", "answer")
CALLS += ("distribute_rewards",)
USUAL = {
    REGISTRATION: "register_oracle",
    PUBLISHING: "publish_task",
    BIDDING: "bid_path",
    SELECTION: "return_selection",
    COLLECTION: "submit_hash",
    SUBMISSION: "submit_data",
    DONE: "distribute_rewards",
    CLOSED: "withdraw_oracle",
}


class CampaignMachine(RuleBasedStateMachine):
    fair: Fair

    @initialize(
        check=st.sampled_from([ON_RETURN, ON_CHALLENGE]),
        drawn=st.integers(1, 3),
        agreeing=st.integers(1, 2),
        deposit=st.sampled_from([0, 7, FOUNDED // 2]),
        stake=st.sampled_from([0, 700, FOUNDED // 3]),
        bond=st.sampled_from([0, 25]),
    )
    def found(self, check, drawn, agreeing, deposit, stake, bond):
        self.fair = Fair(
            check=check,
            drawn=max(drawn, agreeing),
            agreeing=agreeing,
            deposit=deposit,
            stake=stake,
            penalty=stake * 3 // 7,
            bond=bond,
            bounty=min(bond, 10),
            oracle_ms=5_000,
        )
        self.founded = supply(self.fair.network.state)
        self.held = Counter({self.fair.campaign: bond})
        self.paid = Counter()
        """(campaign, cycle, account) → what `distribute_rewards` released."""
        self.settled = set()
        self.campaigns = [self.fair.campaign]

    # Calls. -------------------------------------------------------------------------------------------------------

    def attempt(self, who, method, *args, after_ms=1):
        """A call, and what is known after it without asking."""
        fair = self.fair
        cycle = self.standing(args[0]).campaign.cycle if method == "distribute_rewards" else 0
        receipt = fair.attempt(who, method, *args, contract="campaign", after_ms=after_ms)
        event(receipt.reason or f"{method} is carried out")
        campaign = receipt.transaction if method == "deploy" else args[0]
        for each in receipt.events:
            if each.contract == "accounts":
                said = event_fields(each)
                assert said["by"] == "campaign"
                self.held[campaign] += said["amount"] * (1 if each.name == "locked" else -1)
                if method == "distribute_rewards":
                    self.paid[campaign, cycle, said["account"]] += said["amount"]
        if method == "deploy" and receipt.ok:
            self.campaigns.append(TxId(receipt.transaction))
        self.no_money_is_made_or_lost()
        if receipt.ok:
            self.campaigns_hold_what_they_were_given()
            self.settled_cycles_paid_what_they_should()
        return receipt

    def standing(self, campaign):
        return self.fair.query("campaign", campaign, contract="campaign")

    def ask(self, campaign, method, *args):
        return self.fair.query(method, campaign, *args, contract="campaign")

    @rule(who=WHO)
    @precondition(lambda self: len(self.campaigns) < 2)
    def deploy(self, who):
        self.attempt(who, "deploy", self.fair.terms)

    @rule(ms=st.sampled_from([1, 1_000, 5_001, 9_000]))
    def wait(self, ms):
        self.fair.block(after_ms=ms)

    @rule(data=st.data(), who=WHO, method=st.sampled_from(CALLS))
    def anything(self, data, who, method):
        campaign = data.draw(st.sampled_from(self.campaigns))
        self.attempt(who, method, campaign, *self.arguments(data, campaign, who, method))

    @rule(data=st.data(), steps=st.integers(1, 8), disputed=st.booleans())
    def cycle(self, data, steps, disputed):
        """One phase after the other; single ones seldom get far by chance."""
        for _ in range(steps):
            self.phase(data, data.draw(st.sampled_from([1, 1, 1, 1, 1_001])))
            if disputed and self.standing(self.campaigns[0]).campaign.phase == SUBMISSION:
                for who in GUESTS:
                    self.attempt(who, "submit_data", self.campaigns[0], *self.opening(self.campaigns[0], who))
                self.disputes(data)

    @rule(data=st.data(), late_ms=st.sampled_from([1, 1, 1, 1_001, 1_001, 3_000, 6_000, 40_000]))
    def phase(self, data, late_ms):
        """What is usual in a phase, by most, and then its end."""
        campaign = self.campaigns[0]
        found = self.standing(campaign)
        phase = found.campaign.phase
        if phase == SELECTION:
            self.wait_for_draw(campaign)
        for place, who in enumerate(GUESTS):
            kind = data.draw(st.integers(0, 7))
            args = self.usual(campaign, who, place) if kind > 1 else self.arguments(data, campaign, who, USUAL[phase])
            if kind or phase == DONE:
                self.attempt(who, USUAL[phase], campaign, *args)
        if phase == DONE:
            self.attempt(ORGANIZER, "next_cycle", campaign)
        if phase in TIMED:
            end = found.ends_ms[TIMED.index(phase)]
            accepted = self.standing(campaign).accepted
            if accepted is not None and phase == SELECTION:
                end = max(end, accepted.accepted_ms + self.fair.terms.challenge_ms)
            after_ms = max(1, end + late_ms - self.fair.time_ms)
            self.attempt(ORGANIZER if late_ms == 1 else 11, "advance", campaign, after_ms=after_ms)

    @rule(data=st.data())
    def disputes(self, data):
        """Requesters that say that nothing came, and workers that answer, or not."""
        campaign = self.campaigns[0]
        cycle = self.standing(campaign).campaign.cycle
        requesters = {task.number: task.requester for task in self.ask(campaign, "tasks", cycle)}
        for each in self.ask(campaign, "progress", cycle):
            worker = next(who for who in PEOPLE if account(who) == each.worker)
            for number in each.chosen.wins:
                requester = next(who for who in PEOPLE if account(who) == requesters[number])
                if data.draw(st.booleans()):
                    self.attempt(requester, "dispute", campaign, each.worker, number)
                if data.draw(st.booleans()):
                    answer = (number, *self.opening(campaign, worker), sealed(worker, number))
                    self.attempt(worker, "answer", campaign, *answer)

    def wait_for_draw(self, campaign):
        recorded = self.ask(campaign, "draw").recorded_height
        while self.fair.final_id(self.fair.height + 1, recorded + 1) is None:
            self.fair.block(after_ms=1)

    # Arguments behind the campaign. -------------------------------------------------------------------------------

    def arguments(self, data, campaign, who, method):
        draw = data.draw
        found = self.standing(campaign)
        cycle, middle = found.campaign.cycle, found.ends_ms[4] - 5_000
        match method:
            case "register_oracle":
                return (draw(st.integers(0, 3)),)
            case "publish_task":
                reward = draw(st.sampled_from([1, 333, 1_000, FOUNDED // 2, MAX_INT]))
                late_ms = draw(st.sampled_from([0, 0, 100, 5_001]))
                return draw(SMALL), 350_000_000, 0, reward, middle + late_ms, 3_000, draw(st.integers(0, 3))
            case "bid_path":
                numbers = [task.number for task in self.ask(campaign, "tasks", cycle)]
                stops = draw(st.lists(st.sampled_from([*numbers, 9]), max_size=4, unique=bool(draw(SMALL))))
                lates = sorted(draw(st.lists(st.integers(-3_001, 3_001), min_size=len(stops), max_size=len(stops))))
                path = [Stop(number, middle + late) for number, late in zip(stops, lates, strict=True)]
                return draw(SMALL), tuple(path)
            case "return_selection":
                return (self.selection(data, campaign, cycle),)
            case "challenge":
                return (self.selection(data, campaign, cycle) if draw(st.booleans()) else None,)
            case "submit_hash":
                digests, salt = self.opening(campaign, who)
                return (commit_data(campaign, cycle, account(who), digests, salt if draw(SMALL) else bytes(16)),)
            case "submit_data":
                digests, salt = self.opening(campaign, who)
                return digests[: None if draw(SMALL) else 1], salt
            case "dispute":
                return account(draw(WHO)), draw(SMALL)
            case "answer":
                number = draw(SMALL)
                return (number, *self.opening(campaign, who), sealed(who, number))
            case "distribute_rewards":
                return (draw(st.sampled_from([1, 2, 5, 64])),)
        return ()

    def usual(self, campaign, who, place):
        """Of the call that is usual in the phase, so that it makes sense."""
        found = self.standing(campaign)
        cycle, middle = found.campaign.cycle, found.ends_ms[4] - 5_000
        tasks, bids = self.ask(campaign, "tasks", cycle), self.ask(campaign, "bids", cycle)
        match found.campaign.phase:
            case "registration":
                return (place,)
            case "publishing":
                return place, 350_000_000, 0, 100 + place, middle, 3_000, 1 + place % 3
            case "bidding":
                stops = [task.number for task in tasks if (task.number + place) % 3]
                return place, tuple(Stop(number, middle + place - 2) for number in stops)
            case "selection":
                return (Selection(tuple(range(len(bids))), right_winners(tasks, bids, range(len(bids)))),)
            case "collection":
                return (commit_data(campaign, cycle, account(who), *self.opening(campaign, who)),)
            case "submission":
                return self.opening(campaign, who)
            case "done":
                return (3,)
        return ()

    def selection(self, data, campaign, cycle):
        """Garbage, or the right winners of some paths, mostly of all of them."""
        tasks, bids = self.ask(campaign, "tasks", cycle), self.ask(campaign, "bids", cycle)
        kind = data.draw(SMALL)
        if kind == 0:
            return data.draw(GARBAGE)
        paths = tuple(range(len(bids)))
        if kind < 3:
            paths = tuple(place for place in paths if data.draw(SMALL))
        return Selection(paths, right_winners(tasks, bids, paths))

    def opening(self, campaign, who):
        cycle = self.standing(campaign).campaign.cycle
        path = next((bid.path for bid in self.ask(campaign, "bids", cycle) if bid.worker == account(who)), ())
        return tuple(digest_sealed(sealed(who, stop.task)) for stop in path), SALT

    # What must hold. ----------------------------------------------------------------------------------------------

    def no_money_is_made_or_lost(self):
        fair = self.fair
        assert supply(fair.state) == self.founded + fair.height * fair.network.genesis.ledger.block_reward
        assert all(balance_of(fair.state, account(who)) >= 0 for who in PEOPLE)

    def campaigns_hold_what_they_were_given(self):
        for campaign in self.campaigns:
            purses, found = self.ask(campaign, "purses"), self.standing(campaign)
            assert all(purse.amount > 0 for purse in purses)
            assert sum(purse.amount for purse in purses) == self.held[campaign]
            if found.settled:
                assert {purse.kind for purse in purses} <= {"bond", "oracle"}
            if found.campaign.phase == CLOSED:
                assert {purse.kind for purse in purses} <= {"oracle"}
            stakes = {purse.name: purse.amount for purse in purses if purse.kind == "oracle"}
            for oracle in self.ask(campaign, "oracles"):
                assert stakes.get(oracle.account, 0) >= self.fair.terms.penalty

    def settled_cycles_paid_what_they_should(self):
        for campaign in self.campaigns:
            found = self.standing(campaign)
            cycle = found.campaign.cycle
            if found.settled and (campaign, cycle) not in self.settled:
                self.settled.add((campaign, cycle))
                expected = self.due(campaign, cycle, void=found.campaign.void)
                paid = {who: amount for (of, at, who), amount in self.paid.items() if (of, at) == (campaign, cycle)}
                assert paid == +expected
                event("settled and void" if found.campaign.void else f"settled with {len(expected)} paid")

    def due(self, campaign, cycle, *, void):
        """By account, from what anybody can read."""
        due = Counter()
        tasks, bids = self.ask(campaign, "tasks", cycle), self.ask(campaign, "bids", cycle)
        selected = {} if void else {each.worker: each for each in self.ask(campaign, "progress", cycle)}
        for task in tasks:
            left = task.reward * task.samples
            for worker in sorted(selected):
                each = selected[worker]
                won = task.number in each.chosen.wins and task.number not in each.disputed
                if each.chosen.opened and won and left:
                    due[worker] += task.reward
                    left -= task.reward
            due[task.requester] += left
        requesters = {task.number: task.requester for task in tasks}
        for bid in bids:
            each = selected.get(bid.worker)
            deposit = self.fair.terms.deposit
            if each is None or (each.chosen.opened and not each.disputed):
                due[bid.worker] += deposit
                continue
            for place, stop in enumerate(bid.path):
                due[requesters[stop.task]] += deposit // len(bid.path)
                due[requesters[stop.task]] += deposit % len(bid.path) if place == 0 else 0
        return due

    def teardown(self):
        if hasattr(self, "fair"):
            chain = list(zip(self.fair.blocks[1:], self.fair.receipts, strict=True))
            assert check_chain(self.fair.network, chain, self.fair.state) == []


TestCampaign = CampaignMachine.TestCase
TestCampaign.settings = settings(
    max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.slow
class TestManyCampaigns(CampaignMachine.TestCase):
    settings = settings(
        max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
