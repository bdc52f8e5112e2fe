"""Where the money of a campaign went, as the book reads it from real blocks: each flow, and that none is missed."""

from actors.campaign_book import MAX_CAMPAIGNS, CampaignBook
from actors.ledger import FoundBlock
from actors.views import actor_id
from chain.contracts.campaign_check import right_winners
from chain.contracts.campaign_commitments import commit_data
from chain.contracts.campaign_records import Selection, Stop, Terms
from chain.values import TxId
from tests.chain.town import Town
from tests.strategies import account, genesis

ORGANIZER, STRANGER, REQUESTER = 1, 2, 3
ORACLES = (11, 12)
GOOD, SILENT, SPARE = WORKERS = (21, 22, 23)
EVERYBODY = (ORGANIZER, STRANGER, REQUESTER, *ORACLES, *WORKERS)
NAMES = {actor_id(account(number)): number for number in EVERYBODY}
SECOND = 1_000
TERMS = Terms(
    durations_ms=(10 * SECOND, 10 * SECOND, 10 * SECOND, 60 * SECOND, 10 * SECOND, 10 * SECOND),
    review_ms=2 * SECOND,
    grace_ms=2 * SECOND,
    deposit=101,
    stake=300,
    penalty=200,
    bond=60,
    bounty=10,
    oracle_ms=8 * SECOND,
    draw_delay=1,
    drawn=1,
    agreeing=1,
    check="on_return",
    challenge_ms=SECOND,
    max_speed_mm_s=0,
    oracles=(),
)
SALT = b"s" * 16
DIGESTS = (b"d" * 32, b"e" * 32)


class Fair(Town):
    """A town with a campaign, whose final blocks a book reads."""

    def __init__(self):
        super().__init__(genesis(balances=tuple((number, 10_000) for number in EVERYBODY)))
        self.book = CampaignBook(self.network.registry)
        self.campaign = TxId(self.play(ORGANIZER, "deploy", TERMS).transaction)

    def block(self, *transactions, after_ms=SECOND):
        receipts = super().block(*transactions, after_ms=after_ms)
        for _ in range(2):  # another replica says so again
            self.book.finalised(FoundBlock(self.blocks[-1], receipts, final=True))
        return receipts

    def play(self, who, method, *args):
        return self.call(who, method, *args, contract="campaign", after_ms=100)

    def ask(self, method, *args):
        return self.query(method, self.campaign, *args, contract="campaign")

    def wait(self, ms):
        self.block(after_ms=ms)

    def move(self, who=ORGANIZER, late_ms=1):
        """Wait for the phase's end and begin the next."""
        standing = self.ask("campaign")
        place = ("registration", "publishing", "bidding", "selection", "collection", "submission").index(
            standing.campaign.phase
        )
        self.wait(standing.ends_ms[place] - self.time_ms + late_ms)
        self.play(who, "advance", self.campaign)

    def checked(self):
        """Whether the book has what the ledger holds, by kind of purse."""
        held = dict.fromkeys(("task", "bid", "oracle", "bond"), 0)
        for purse in self.ask("purses"):
            held[purse.kind] += purse.amount
        balance = dict.fromkeys(held, 0)
        for (purse, kind), amount in self.book.totals(self.campaign).items():
            balance[purse] += amount if kind == "locked" else -amount
        assert balance == held

    def told(self, since=0):
        """Flows in order, as (purse, kind, task, from, to, micro-credits)."""
        flows = list(reversed(self.book.flows(self.campaign)))[since:]
        return [(f.purse, f.kind, f.task, NAMES.get(f.source), NAMES.get(f.target), f.amount) for f in flows]

    def register_and_publish(self):
        for seat, oracle in enumerate(ORACLES):
            self.play(oracle, "register_oracle", self.campaign, seat)
        self.move()
        at = self.ask("campaign").ends_ms[3] + 5 * SECOND
        for number, samples, reward in ((4, 2, 1_000), (9, 1, 500)):
            self.play(REQUESTER, "publish_task", self.campaign, number, 0, 0, reward, at, 4 * SECOND, samples)
        self.move(STRANGER, late_ms=TERMS.grace_ms + 1)
        return at

    def bid(self, at):
        paths = {GOOD: ((4, at), (9, at)), SILENT: ((4, at + 1),), SPARE: ((9, at + 2),)}
        for seat, (worker, path) in enumerate(paths.items()):
            self.play(worker, "bid_path", self.campaign, seat, tuple(Stop(*stop) for stop in path))
        self.move()

    def late_oracle(self):
        """Have the drawn one replaced; returns it."""
        self.wait(TERMS.oracle_ms)
        for _ in range(4):
            self.block()
        before = {oracle.account for oracle in self.ask("oracles")}
        self.play(STRANGER, "replace_oracle", self.campaign)
        (gone,) = before - {oracle.account for oracle in self.ask("oracles")}
        for _ in range(4):
            self.block()
        return gone

    def select(self):
        """The two who pass task 4; of the others' the better one wins task 9."""
        tasks, bids = self.ask("tasks", 0), self.ask("bids", 0)
        spare = account(SPARE)
        chosen = tuple(place for place, bid in enumerate(bids) if bid.worker != spare)
        (left,) = self.ask("oracles")
        oracle = next(number for number in ORACLES if account(number) == left.account)
        selection = Selection(chosen, right_winners(tasks, bids, chosen))
        self.play(oracle, "return_selection", self.campaign, selection)
        self.move()

    def collect(self):
        commitment = commit_data(self.campaign, 0, account(GOOD), DIGESTS, SALT)
        self.play(GOOD, "submit_hash", self.campaign, commitment)
        self.move()
        self.play(GOOD, "submit_data", self.campaign, DIGESTS, SALT)
        self.move()


def test_each_flow_is_told_with_whose_it_was_and_who_has_it():
    fair = Fair()
    at = fair.register_and_publish()
    fair.checked()
    assert fair.told() == [
        ("bond", "locked", None, ORGANIZER, None, 60),
        ("oracle", "locked", None, ORACLES[0], None, 300),
        ("oracle", "locked", None, ORACLES[1], None, 300),
        ("task", "locked", 4, REQUESTER, None, 2_000),
        ("task", "locked", 9, REQUESTER, None, 500),
        ("bond", "bounty", None, ORGANIZER, STRANGER, 10),
    ]
    fair.bid(at)
    late = NAMES[actor_id(fair.late_oracle())]
    fair.checked()
    assert fair.told(6) == [
        *(("bid", "locked", None, worker, None, 101) for worker in WORKERS),
        ("oracle", "penalised", None, late, STRANGER, 200),
        ("oracle", "returned", None, late, late, 100),
    ]
    fair.select()
    fair.collect()
    while not fair.ask("campaign").settled:
        fair.play(STRANGER, "distribute_rewards", fair.campaign, 1)
        fair.checked()
    paid = fair.told(11)
    assert paid[:3] == [
        ("task", "rewarded", 4, REQUESTER, GOOD, 1_000),
        ("task", "unspent", 4, REQUESTER, REQUESTER, 1_000),
        ("task", "rewarded", 9, REQUESTER, GOOD, 500),
    ]
    assert sorted(paid[3:]) == [
        ("bid", "forfeited", None, SILENT, REQUESTER, 101),
        ("bid", "returned", None, GOOD, GOOD, 101),
        ("bid", "returned", None, SPARE, SPARE, 101),
    ]
    left = next(oracle for oracle in ORACLES if oracle != late)
    fair.play(ORGANIZER, "close", fair.campaign)
    fair.play(left, "withdraw_oracle", fair.campaign)
    fair.checked()
    assert fair.told(17) == [
        ("bond", "returned", None, ORGANIZER, ORGANIZER, 50),
        ("oracle", "returned", None, left, left, 300),
    ]


def test_all_paid_out_in_one_call_is_told_apart():
    """Deposits go back without a word, and one that is forfeited is told of after it went: which is which?"""
    fair = Fair()
    at = fair.register_and_publish()
    fair.bid(at)
    for _ in range(4):
        fair.block()
    drawn = next(number for number in ORACLES if fair_drawn(fair) == account(number))
    tasks, bids = fair.ask("tasks", 0), fair.ask("bids", 0)
    chosen = tuple(range(len(bids)))
    selection = Selection(chosen, right_winners(tasks, bids, chosen))
    fair.play(drawn, "return_selection", fair.campaign, selection)
    fair.move()
    fair.collect()
    before = len(fair.told())
    fair.play(STRANGER, "distribute_rewards", fair.campaign, 64)
    fair.checked()
    bids_paid = sorted(flow for flow in fair.told(before) if flow[0] == "bid")
    assert bids_paid == [
        ("bid", "forfeited", None, SILENT, REQUESTER, 101),
        ("bid", "forfeited", None, SPARE, REQUESTER, 101),
        ("bid", "returned", None, GOOD, GOOD, 101),
    ]


def fair_drawn(fair):
    """Who is drawn: the one whose result is not refused for that."""
    for oracle in ORACLES:
        receipt = fair.attempt(
            oracle, "return_selection", fair.campaign, Selection((), ()), contract="campaign", after_ms=100
        )
        if receipt.reason == "invalid_selection":
            return account(oracle)
    raise AssertionError("nobody is drawn")


def test_what_is_not_known_any_more_is_not_made_up():
    """A book that begins later tells what it saw, and of whom it knows; campaigns are forgotten under a bound."""
    fair = Fair()
    fair.book = late = CampaignBook(fair.network.registry)
    late.jumped(fair.height)
    fair.register_and_publish()
    assert ("bond", "bounty", None, None, STRANGER, 10) in fair.told()
    assert late.flows(TxId(b"n" * 32)) == [] and late.totals(TxId(b"n" * 32)) == {}
    for _ in range(MAX_CAMPAIGNS):
        fair.play(ORGANIZER, "deploy", TERMS)
    assert late.flows(fair.campaign) == []
