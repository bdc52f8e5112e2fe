"""What anybody may ask of campaigns: lists in order, purses that add up, and answers that are never too large to take."""

import pytest
from msgspec.structs import replace

from chain.codec import encode
from chain.contract import MAX_QUERY_BYTES, encode_args
from chain.contracts.campaign_queries import MAX_PAGE
from chain.contracts.campaign_records import MAX_DRAWN, MAX_ORACLES, PUBLISHING, SELECTION, Accepted, Selection
from chain.errors import Refused
from chain.values import MAX_ARGS_BYTES, MAX_INT, TxId
from tests.chain.campaign_town import ORACLES, ORGANIZER, OUTSIDER, REQUESTER, TERMS, WORKERS, Fair
from tests.strategies import account

NOWHERE = TxId(bytes(32))


def test_campaigns_are_listed_in_the_order_in_which_they_were_deployed():
    fair = Fair()
    ids = [fair.campaign, *(TxId(fair.do(who, "deploy", TERMS).transaction) for who in (ORGANIZER, OUTSIDER, 21))]

    def listed(limit, after):
        return [each.campaign.id for each in fair.query("campaigns", limit, after, contract="campaign")]

    assert listed(MAX_PAGE, None) == ids
    assert listed(2, None) == ids[:2] and listed(2, ids[1]) == ids[2:] and listed(1, ids[0]) == [ids[1]]
    assert listed(9, ids[3]) == []
    for after, limit, reason in ((NOWHERE, 1, "unknown_campaign"), (None, 0, "malformed_arguments")):
        with pytest.raises(Refused, match=reason):
            listed(limit, after)
    with pytest.raises(Refused, match="malformed_arguments"):
        listed(MAX_PAGE + 1, None)


@pytest.mark.parametrize(
    "method,args",
    [
        ("campaign", ()),
        ("tasks", (0,)),
        ("bids", (0,)),
        ("oracles", ()),
        ("draw", ()),
        ("returned", ()),
        ("progress", (0,)),
        ("purses", ()),
    ],
)
def test_queries__reject_unknown_campaign(method, args):
    with pytest.raises(Refused, match="unknown_campaign"):
        Fair().query(method, NOWHERE, *args, contract="campaign")


def test_what_there_is_not_yet():
    fair = Fair()
    for method in ("tasks", "bids", "progress"):
        assert fair.ask(method, 0) == fair.ask(method, 2**32 - 1) == ()
        with pytest.raises(Refused, match="malformed_arguments"):
            fair.ask(method, 2**32)
    assert fair.ask("oracles") == fair.ask("returned") == () and fair.ask("draw") is None


def test_purses_say_what_is_held_for_whom():
    fair = Fair().to(SELECTION)
    assert fair.purses() == {
        ("bond", account(ORGANIZER)): 60,
        **{("oracle", account(who)): 700 for who in ORACLES},
        **{("task", number.to_bytes(2, "big")): 2_000 for number in range(3)},
        **{("bid", account(who)): 500 for who in WORKERS[:4]},
    }


def test_the_longest_list_is_taken():
    """Each campaign with the largest terms, and a result as large as a call can bring."""
    fair = Fair()
    winners = ((MAX_INT,) * 16,) * 110
    largest = Selection((MAX_INT,) * 16, winners)
    assert MAX_ARGS_BYTES - 200 < len(encode_args(fair.campaign, largest)) <= MAX_ARGS_BYTES
    accepted = Accepted(largest, (account(1),) * MAX_DRAWN, MAX_INT)
    money = dict.fromkeys(("deposit", "stake", "penalty", "bond", "bounty", "max_speed_mm_s"), MAX_INT)
    terms = replace(TERMS, oracles=(account(1),) * MAX_ORACLES, check="on_challenge", **money)
    standing = replace(fair.standing, terms=terms, accepted=accepted)
    assert len(encode((standing,) * MAX_PAGE)) < MAX_QUERY_BYTES - 10_000


def test_a_result_of_the_largest_size_is_returned_and_told():
    fair = Fair(check="on_challenge").to(PUBLISHING)
    fair.publish(REQUESTER, 0)
    fair.move()
    fair.bid(WORKERS[0], (0, 0))
    fair.move()
    largest = Selection((MAX_INT,) * 16, ((MAX_INT,) * 16,) * 110)
    fair.returned(largest)
    assert fair.standing.accepted.selection == largest and fair.ask("progress", 0) == ()
