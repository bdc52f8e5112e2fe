"""The spatial contract against a plain model of its rules, under any order of calls.

The model keeps dicts and knows nothing of keys, encodings or commitments: who was drawn is read off the tickets that the
assigner handed out, and what a call must answer is worked out from spec/spatial.md.
"""

from fractions import Fraction
from math import floor

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chain.contracts.accounts import balance_of, supply
from chain.contracts.spatial_draw import commit_ballot
from chain.geodesy import haversine_mm
from tests.chain.town import HERE, PRODUCER, Town
from tests.strategies import FACILITY, MEC, account, genesis, spatial_rules

PEOPLE = list(range(1, 9))
PLACES = [(HERE[0] + 5_000 * row, HERE[1] + 60_000 * column) for row in range(3) for column in range(3)]
FOUNDED = 3_000_000


class Case:
    """What the model knows of a report."""

    def __init__(self, requester, type_, place, seen_ms, recorded_ms):
        self.requester, self.type, self.place, self.seen_ms = requester, type_, place, seen_ms
        self.recorded_ms = recorded_ms
        self.status = "pending"
        self.group = self.sealed = self.assigned_ms = None
        self.ballots = {}
        """Worker → [choice, salt, revealed]."""
        self.confirmers = ()


class SpatialMachine(RuleBasedStateMachine):
    @initialize(reading=st.sampled_from(["paper", "bounded"]), cap=st.integers(1, 3))
    def found(self, reading, cap):
        rules = spatial_rules(reward=reading, history_cap=cap, duplicate_window_ms=20_000)
        self.town = Town(genesis(spatial=rules, balances=((1, FOUNDED),)))
        self.rules = rules
        self.cases = {}
        self.history = {}
        self.combinations = set()
        self.balances = {1: FOUNDED}

    def pick(self, data, *statuses):
        """Mostly a report for which the step makes sense, sometimes any."""
        fit = [report for report, case in self.cases.items() if case.status in statuses]
        choices = fit if fit and data.draw(st.integers(0, 9)) else list(self.cases)
        return data.draw(st.sampled_from(choices))

    def expect(self, reason, who, method, *args, after_ms=1_000):
        receipt = self.town.attempt(who, method, *args, after_ms=after_ms)
        assert receipt.reason == reason, (method, receipt.reason, receipt.detail, "expected", reason)
        self.balances[PRODUCER] = balance_of(self.town.state, account(PRODUCER))
        return receipt.transaction

    @rule(after_ms=st.sampled_from([1, 3_000, 8_000, 30_000]))
    def wait(self, after_ms):
        self.town.block(after_ms=after_ms)

    @rule(
        who=st.sampled_from(PEOPLE),
        type_=st.sampled_from(["fire", "pothole", "ufo"]),
        place=st.sampled_from([*PLACES, *PLACES, (0, 0)]),
        ago=st.sampled_from([0, 0, 5_000, 700_000]),
    )
    def submit(self, who, type_, place, ago):
        self.submit_one(who, type_, place, ago)

    def submit_one(self, who, type_, place, ago):
        now = self.town.time_ms + 1_000
        seen_ms = now - ago
        reason = ""
        if type_ == "ufo":
            reason = "unknown_type"
        elif place == (0, 0):
            reason = "out_of_place"
        elif ago > self.rules.max_report_age_ms:
            reason = "time_out_of_window"
        elif any(
            case.type == type_
            and case.status not in ("rejected", "expired")
            and abs(case.seen_ms - seen_ms) <= self.rules.duplicate_window_ms
            and haversine_mm(case.place, place) < self.rules.duplicate_radius_m * 1_000
            for case in self.cases.values()
        ):
            reason = "duplicate_report"
        report = self.expect(reason, who, "submit", type_, *place, seen_ms)
        if not reason:
            self.cases[report] = Case(who, type_, place, seen_ms, now)
        return report

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), crowd=st.integers(3, 7))
    def assign(self, data, crowd):
        self.assign_one(self.pick(data, "pending"), crowd)

    def assign_one(self, report, crowd):
        case = self.cases[report]
        candidates = [who for who in PEOPLE if who != case.requester][:crowd]
        reason = ""
        if case.status == "expired":
            reason = "assign_window_closed"
        elif case.status != "pending":
            reason = "already_assigned"
        if reason:
            self.expect(reason, MEC, "assign", report, bytes(32), bytes(32))
            return
        try:
            group, sealed = self.town.seal(report, candidates)
        except LookupError:
            return  # every combination of this crowd has served
        if self.town.time_ms + 1_000 > case.recorded_ms + self.rules.assign_window_ms:
            reason = "assign_window_closed"
        self.expect(reason, MEC, "assign", report, sealed.candidates_commitment, sealed.group_root)
        if not reason:
            assert frozenset(group) not in self.combinations
            case.status, case.assigned_ms = "assigned", self.town.time_ms
            case.group, case.sealed = group, sealed

    @precondition(lambda self: any(case.group for case in self.cases.values()))
    @rule(data=st.data(), choice=st.sampled_from([True, True, False]), salt=st.binary(min_size=16, max_size=16))
    def vote(self, data, choice, salt):
        report = self.pick(data, "assigned")
        case = self.cases[report]
        if case.sealed is None:
            return
        who = data.draw(st.sampled_from([*case.group, *case.group, *PEOPLE]))
        ticket = case.sealed.tickets.get(account(who), next(iter(case.sealed.tickets.values())))
        reason = ""
        if case.status != "assigned" or self.town.time_ms + 1_000 > case.assigned_ms + self.rules.vote_window_ms:
            reason = "vote_window_closed"
        elif who == case.requester:
            reason = "vote_by_requester"
        elif who not in case.group:
            reason = "vote_not_assigned"
        elif who in case.ballots:
            reason = "vote_twice"
        self.expect(reason, who, "vote", report, commit_ballot(report, account(who), choice, salt), ticket)
        if not reason:
            case.ballots[who] = [choice, salt, False]

    @rule(
        who=st.sampled_from(PEOPLE),
        type_=st.sampled_from(["fire", "pothole"]),
        place=st.sampled_from(PLACES),
        crowd=st.integers(5, 7),
        choices=st.lists(st.sampled_from([True, True, True, False]), min_size=3, max_size=3),
    )
    def undisturbed_life(self, who, type_, place, crowd, choices):
        """From submission to tally; single steps seldom get that far by chance."""
        report = self.submit_one(who, type_, place, 0)
        if report in self.cases:
            self.assign_one(report, crowd)
        if report in self.cases and self.cases[report].status == "assigned":
            self.vote_and_reveal(report, choices)
            self.tally_one(report, MEC, 1_000)

    @precondition(lambda self: any(case.status == "assigned" for case in self.cases.values()))
    @rule(data=st.data(), choices=st.lists(st.booleans(), min_size=3, max_size=3))
    def everybody_votes(self, data, choices):
        report = data.draw(st.sampled_from([r for r, case in self.cases.items() if case.status == "assigned"]))
        self.vote_and_reveal(report, choices)

    def vote_and_reveal(self, report, choices):
        case = self.cases[report]
        salt = bytes(16)
        for who, choice in zip(case.group, choices, strict=True):
            if self.town.time_ms + 1 <= case.assigned_ms + self.rules.vote_window_ms and who not in case.ballots:
                ballot = commit_ballot(report, account(who), choice, salt)
                self.expect("", who, "vote", report, ballot, case.sealed.tickets[account(who)], after_ms=1)
                case.ballots[who] = [choice, salt, False]
        opens = case.assigned_ms + self.rules.vote_window_ms
        if self.town.time_ms < opens:
            self.town.block(after_ms=opens - self.town.time_ms)
        for who, (choice, salt, revealed) in case.ballots.items():
            if self.town.time_ms + 1 <= opens + self.rules.reveal_window_ms and not revealed:
                self.expect("", who, "reveal", report, choice, salt, after_ms=1)
                case.ballots[who][2] = True

    @precondition(lambda self: any(case.ballots for case in self.cases.values()))
    @rule(data=st.data(), honest=st.integers(0, 9), hurry=st.booleans())
    def reveal(self, data, honest, hurry):
        report = self.pick(data, "assigned")
        case = self.cases[report]
        who = data.draw(st.sampled_from(list(case.ballots) or PEOPLE))
        choice, salt, revealed = case.ballots.get(who, [True, bytes(16), False])
        opens = (case.assigned_ms or 0) + self.rules.vote_window_ms + 1
        after_ms = max(1, opens - self.town.time_ms) if hurry and case.status == "assigned" else 1_000
        now = self.town.time_ms + after_ms
        reason = ""
        if case.status not in ("pending", "assigned"):
            reason = "reveal_window_closed"
        elif who not in case.ballots:
            reason = "reveal_without_vote"
        elif now < opens:
            reason = "reveal_too_early"
        elif now >= opens + self.rules.reveal_window_ms:
            reason = "reveal_window_closed"
        elif revealed:
            reason = "reveal_twice"
        elif not honest:
            reason = "reveal_mismatch"
        self.expect(reason, who, "reveal", report, choice if honest else not choice, salt, after_ms=after_ms)
        if not reason:
            case.ballots[who][2] = True

    @precondition(lambda self: any(case.group for case in self.cases.values()))
    @rule(data=st.data(), by_other=st.integers(0, 9), late_ms=st.integers(1, 12_000), hurry=st.booleans())
    def tally(self, data, by_other, late_ms, hurry):
        report = self.pick(data, "assigned")
        case = self.cases[report]
        if case.sealed is None:
            return
        closes = case.assigned_ms + self.rules.vote_window_ms + self.rules.reveal_window_ms
        after_ms = max(1, closes + late_ms - self.town.time_ms) if hurry else 1_000
        self.tally_one(report, MEC if by_other else PEOPLE[0], after_ms)

    def tally_one(self, report, who, after_ms):
        case = self.cases[report]
        closes = case.assigned_ms + self.rules.vote_window_ms + self.rules.reveal_window_ms
        now = self.town.time_ms + after_ms
        reason = ""
        if case.status != "assigned":
            reason = "tally_not_open"
        elif who != MEC:
            reason = "tally_by_other"
        elif now > closes + self.rules.tally_window_ms:
            reason = "tally_window_closed"
        elif frozenset(case.group) in self.combinations:
            reason = "?"  # it served since it was drawn: whether that was before the assignment decides
        elif now <= closes and sum(ballot[2] for ballot in case.ballots.values()) < len(case.group):
            reason = "tally_too_early"
        if reason == "?":
            return
        self.expect(reason, who, "tally", report, case.sealed.opening, after_ms=after_ms)
        if reason:
            return
        event("tallied")
        self.combinations.add(frozenset(case.group))
        yes = sorted((who for who, ballot in case.ballots.items() if ballot[0] and ballot[2]), key=account)
        case.ballots = {}
        case.status = "confirmed" if Fraction(len(yes), len(case.group)) > Fraction(1, 2) else "rejected"
        if case.status == "confirmed":
            case.confirmers = tuple(yes)
            self.reward(case.requester, "requester", case.place, 1)
            for worker in yes:
                self.reward(worker, "worker", case.place, len(yes))

    def reward(self, who, role, place, sharers):
        rules = self.rules
        past = self.history.setdefault((who, role), [])
        gamma = Fraction(rules.gamma_r_ppm if role == "requester" else rules.gamma_w_ppm, 10**6)
        if rules.reward == "paper":
            base, times, spread = 0, len(past) + 1, 1
            before = past
        else:
            base = rules.base_requester if role == "requester" else rules.base_worker
            before = past[-rules.history_cap :]
            times, spread = min(len(past) + 1, rules.history_cap), max(len(before), 1)
        units = Fraction(sum(haversine_mm(place, earlier) for earlier in before), rules.distance_unit_m * 1_000)
        earned = gamma * times * units / (sharers * spread)
        self.balances[who] = self.balances.get(who, 0) + base + floor(earned * 10**6)
        past.append(place)

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), who=st.sampled_from(PEOPLE))
    def expire(self, data, who):
        report = self.pick(data, "pending", "assigned")
        case = self.cases[report]
        rules, now = self.rules, self.town.time_ms + 1_000
        reason = ""
        if case.status == "pending":
            until = case.recorded_ms + rules.assign_window_ms
        elif case.status == "assigned":
            until = case.assigned_ms + rules.vote_window_ms + rules.reveal_window_ms + rules.tally_window_ms
        else:
            until, reason = 0, "already_decided"
        if now <= until:
            reason = "not_expired"
        self.expect(reason, who, "expire", report)
        if not reason:
            case.status, case.ballots = "expired", {}

    @precondition(lambda self: self.cases)
    @rule(
        data=st.data(),
        who=st.sampled_from([FACILITY, FACILITY, FACILITY, 1]),
        method=st.sampled_from(["take", "close"]),
    )
    def review(self, data, who, method):
        report = self.pick(data, "confirmed" if method == "take" else "taken")
        case = self.cases[report]
        reason = ""
        if method == "take":
            if who != FACILITY:
                reason = "not_facility"
            elif case.status in ("taken", "closed"):
                reason = "already_taken"
            elif case.status != "confirmed":
                reason = "not_confirmed"
        elif case.status != "taken":
            reason = "not_taken"
        elif who != FACILITY:
            reason = "taken_by_other"
        self.expect(reason, who, method, report, *(["repaired"] if method == "close" else []))
        if not reason:
            case.status = "taken" if method == "take" else "closed"

    @rule(to=st.sampled_from(PEOPLE), who=st.sampled_from(PEOPLE), amount=st.sampled_from([0, 1, 700_000, FOUNDED * 2]))
    def transfer(self, to, who, amount):
        receipt = self.town.attempt(who, "transfer", account(to), amount, contract="accounts")
        allowed = amount > 0 and to != who and self.balances.get(who, 0) >= amount
        assert receipt.ok == allowed, receipt.reason
        if allowed:
            self.balances[who] -= amount
            self.balances[to] = self.balances.get(to, 0) + amount

    @invariant()
    def balances_agree_and_supply_is_conserved(self):
        if not hasattr(self, "town"):
            return
        state = self.town.state
        self.balances[PRODUCER] = self.town.height * self.town.network.genesis.ledger.block_reward
        assert {who: balance_of(state, account(who)) for who in self.balances} == self.balances
        minted = sum(each["amount"] for each in self.town.said("minted"))
        assert supply(state) == FOUNDED + minted + self.balances[PRODUCER] == sum(self.balances.values())

    @invariant()
    def reports_agree(self):
        if not hasattr(self, "town"):
            return
        for report, case in self.cases.items():
            found = self.town.report(report)
            assert found.status == case.status
            assert found.workers == tuple(account(who) for who in case.confirmers)
            if case.status in ("rejected", "expired"):
                assert found.content is None
            else:
                content = found.content
                assert (content.lat_e7, content.lon_e7) == case.place
                assert (content.requester, content.type) == (account(case.requester), case.type)
            if case.assigned_ms is not None:
                progress = self.town.query("progress", report)
                assert (progress.votes, progress.reveals) == (
                    len(case.ballots),
                    sum(ballot[2] for ballot in case.ballots.values()),
                )
        for status in ("pending", "assigned", "confirmed", "rejected", "expired", "taken", "closed"):
            listed = [found.id for found in self.town.query("reports", status, 500, None)]
            assert sorted(listed) == sorted(report for report, case in self.cases.items() if case.status == status)

    @invariant()
    def the_forgotten_leave_no_place(self):
        """The index of places holds reports that have content, each once, and nothing else."""
        if not hasattr(self, "town"):
            return
        kept = [key[-32:] for key, _ in self.town.state.scan(b"spatial/cell/")]
        alive = [report for report, case in self.cases.items() if case.status not in ("rejected", "expired")]
        assert sorted(kept) == sorted(alive)


TestSpatial = SpatialMachine.TestCase
TestSpatial.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
