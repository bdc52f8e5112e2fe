"""Calls of campaigns that race: those of different people about different things are not in each other's way."""

from collections.abc import Callable

from chain.contracts.campaign_records import ON_CHALLENGE, REGISTRATION, Selection
from tests.chain.conformance.campaign_scripts import (
    FOUR,
    ONE,
    OTHER,
    OUTSIDER,
    REQUESTER,
    TERMS,
    THREE,
    TWO,
    Told,
    sealed,
)
from tests.chain.conformance.ledgers import Asked
from tests.chain.conformance.story import DRAWN_MS, Story
from tests.chain.town import SALT
from tests.strategies import account

MVCC, PHANTOM = "mvcc_read_conflict", "phantom_read_conflict"
Pair = Callable[[Story], tuple[Asked, Asked]]
EMPTY, WRONG = Selection((), ()), Selection((0,), ())
OTHER_ORGANIZER, OTHER_OUTSIDER = 11, 10


def of(fair: Told, who: int, method: str, *args: object) -> Asked:
    return Asked(who, "campaign", method, (fair.id, *args))


def two_campaigns(story: Story, moves: int = 0, **terms: object) -> tuple[Told, Told]:
    """Of two organizers, each with an oracle, 4 and 5, that is always drawn; so many phases on."""
    one, two = (Told(story, who, drawn=1, agreeing=1, **terms) for who in (1, OTHER_ORGANIZER))
    one.call(4, "register_oracle", 0)
    two.call(5, "register_oracle", 0)
    for _ in range(moves):
        one.move()
        two.move()
    return one, two


def selecting(story: Story, **terms: object) -> tuple[Told, Told]:
    fairs = two_campaigns(story, 3, **terms)
    story.wait(DRAWN_MS)
    return fairs


def in_both(method: str, who: tuple[int, int], *args: object) -> Callable[[tuple[Told, Told]], tuple[Asked, Asked]]:
    def pair(fairs: tuple[Told, Told]) -> tuple[Asked, Asked]:
        one, two = fairs
        return of(one, who[0], method, *args), of(two, who[1], method, *args)

    return pair


def deployments(_: Story) -> tuple[Asked, Asked]:
    one, two = (Asked(who, "campaign", "deploy", (TERMS,)) for who in (1, OTHER_ORGANIZER))
    return one, two


def registrations(seats: tuple[int, int]) -> Pair:
    def pair(story: Story) -> tuple[Asked, Asked]:
        fair = Told(story)
        return of(fair, 4, "register_oracle", seats[0]), of(fair, 5, "register_oracle", seats[1])

    return pair


def withdrawals(story: Story) -> tuple[Asked, Asked]:
    fair = Told(story)
    fair.register(4, 5)
    return of(fair, 4, "withdraw_oracle"), of(fair, 5, "withdraw_oracle")


def publications(who: tuple[int, int]) -> Pair:
    def pair(story: Story) -> tuple[Asked, Asked]:
        fair = Told(story)
        fair.move()
        return of(fair, who[0], "publish_task", *fair.task(0)), of(fair, who[1], "publish_task", *fair.task(1))

    return pair


def bids_for_one_task(story: Story) -> tuple[Asked, Asked]:
    fair = Told(story)
    fair.move()
    fair.call(REQUESTER, "publish_task", *fair.task(0))
    fair.move()
    return of(fair, ONE, "bid_path", 0, fair.path((0, 0))), of(fair, TWO, "bid_path", 1, fair.path((0, 0)))


def results(story: Story) -> tuple[Asked, Asked]:
    return in_both("return_selection", (4, 5), EMPTY)(selecting(story))


def results_of_one_draw(story: Story) -> tuple[Asked, Asked]:
    """Whoever comes second must see whether it agrees with the first."""
    fair = Told(story, drawn=2)
    fair.register(4, 5)
    fair.move()
    fair.move()
    story.wait(DRAWN_MS)
    return of(fair, 4, "return_selection", EMPTY), of(fair, 5, "return_selection", EMPTY)


def replacements(story: Story) -> tuple[Asked, Asked]:
    fairs = selecting(story)
    story.wait(TERMS.oracle_ms)
    return in_both("replace_oracle", (OUTSIDER, OTHER_OUTSIDER))(fairs)


def challenges(story: Story) -> tuple[Asked, Asked]:
    fairs = selecting(story, check=ON_CHALLENGE)
    story.at_once(*in_both("return_selection", (4, 5), WRONG)(fairs))
    return in_both("challenge", (OUTSIDER, OTHER_OUTSIDER), None)(fairs)


def collecting(story: Story) -> Told:
    """One to three are selected."""
    fair = Told(story)
    fair.register(4, 5, 6)
    fair.market()
    story.wait(DRAWN_MS)
    fair.returned(fair.result(0, 1, 2))
    fair.move()
    return fair


def submitting(story: Story, *opened: int) -> Told:
    fair = collecting(story)
    fair.commit(ONE, TWO, THREE)
    fair.move()
    fair.open(*opened)
    return fair


def hashes(story: Story) -> tuple[Asked, Asked]:
    fair = collecting(story)
    return of(fair, ONE, "submit_hash", bytes(32)), of(fair, TWO, "submit_hash", bytes(32))


def data(story: Story) -> tuple[Asked, Asked]:
    fair = submitting(story)
    one, two = (of(fair, who, "submit_data", fair.digests(who), SALT) for who in (ONE, TWO))
    return one, two


def disputes(story: Story) -> tuple[Asked, Asked]:
    fair = submitting(story, ONE)
    return of(fair, REQUESTER, "dispute", account(ONE), 0), of(fair, REQUESTER, "dispute", account(ONE), 1)


def answers(story: Story) -> tuple[Asked, Asked]:
    fair = submitting(story, ONE)
    story.at_once(*(of(fair, REQUESTER, "dispute", account(ONE), number) for number in (0, 1)))
    digests = fair.digests(ONE)
    one, two = (of(fair, ONE, "answer", number, digests, SALT, sealed(ONE, number)) for number in (0, 1))
    return one, two


def payouts_of_one_cycle(story: Story) -> tuple[Asked, Asked]:
    fair = submitting(story, ONE, TWO)
    fair.move()
    return of(fair, OUTSIDER, "distribute_rewards", 4), of(fair, FOUR, "distribute_rewards", 4)


def ended(story: Story) -> tuple[Told, Told]:
    """Without a result, for nobody came."""
    return two_campaigns(story, 4)


def settled(story: Story) -> tuple[Told, Told]:
    fairs = ended(story)
    story.at_once(*in_both("distribute_rewards", (OUTSIDER, OUTSIDER), 1)(fairs))
    return fairs


def stalled(story: Story) -> tuple[Told, Told]:
    """Registration is over, and so is the organizers' grace."""
    fairs = two_campaigns(story)
    fairs[1].until_over(REGISTRATION)
    story.wait(TERMS.grace_ms)
    return fairs


CAMPAIGN_PAIRS: dict[str, tuple[Pair, str]] = {
    "deployments": (deployments, ""),
    "registrations": (registrations((0, 1)), ""),
    "registrations for one seat": (registrations((0, 0)), MVCC),
    "withdrawals": (withdrawals, ""),
    "ends of phases of two campaigns": (
        lambda story: in_both("advance", (OUTSIDER, OTHER_OUTSIDER))(stalled(story)),
        "",
    ),
    "ends of phases, both paid to one": (lambda story: in_both("advance", (OUTSIDER, OUTSIDER))(stalled(story)), MVCC),
    "tasks of two requesters": (publications((REQUESTER, OTHER)), ""),
    "tasks of one requester": (publications((REQUESTER, REQUESTER)), MVCC),
    "bids for one task": (bids_for_one_task, ""),
    "results of two campaigns": (results, ""),
    "results of one draw": (results_of_one_draw, PHANTOM),
    "replacements in two campaigns": (replacements, ""),
    "challenges in two campaigns": (challenges, ""),
    "hashes of two workers": (hashes, ""),
    "data of two workers": (data, ""),
    "disputes about one worker": (disputes, ""),
    "answers by one worker": (answers, ""),
    "payouts of two campaigns": (
        lambda story: in_both("distribute_rewards", (OUTSIDER, OUTSIDER), 1)(ended(story)),
        "",
    ),
    "payouts of one cycle": (payouts_of_one_cycle, MVCC),
    "new cycles of two campaigns": (lambda story: in_both("next_cycle", (1, OTHER_ORGANIZER))(settled(story)), ""),
    "ends of two campaigns": (lambda story: in_both("close", (1, OTHER_ORGANIZER))(settled(story)), ""),
}
