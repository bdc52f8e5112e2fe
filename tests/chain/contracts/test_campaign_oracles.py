"""Oracles: who is drawn, what becomes of those that are late or disagree, and how results are challenged."""

from hashlib import sha256

import pytest
from msgspec.structs import replace

from chain.codec import block_id
from chain.contracts.campaign_commitments import digest_result
from chain.contracts.campaign_records import BIDDING, DONE, ON_CHALLENGE, PHASES, REGISTRATION, SELECTION, Selection
from tests.chain.campaign_town import (
    FOUNDED,
    ORACLES,
    ORGANIZER,
    OTHER_REQUESTER,
    OUTSIDER,
    PEOPLE,
    REQUESTER,
    TERMS,
    WORKERS,
    Fair,
)
from tests.strategies import account

FIVE = (21, 22, 23, OUTSIDER, REQUESTER)
"""Anybody can be an oracle."""


def selecting(oracles=ORACLES, **terms) -> Fair:
    """In selection, with these oracles."""
    fair = Fair(**terms)
    fair.register(*oracles)
    fair.move()
    return fair.to(SELECTION)


def stakes(fair: Fair) -> dict[int, int]:
    held = {name: amount for (kind, name), amount in fair.purses().items() if kind == "oracle"}
    return {who: held[account(who)] for who in PEOPLE if account(who) in held}


def overdue(fair: Fair) -> Fair:
    """The next call is the first that can replace those drawn."""
    fair.wait_for_draw()
    return fair.at(fair.ask("draw").draw.since_ms + TERMS.oracle_ms + 1)


# Who. -----------------------------------------------------------------------------------------------------------------


def test_registering_locks_the_stake_and_takes_a_seat():
    fair = Fair()
    fair.here(21, "register_oracle", 5)
    assert fair.not_here(21, "register_oracle", 6) == "registered_twice"
    assert fair.not_here(22, "register_oracle", 5) == "seat_taken"
    assert fair.not_here(22, "register_oracle", 64) == "no_such_seat"
    fair.here(22, "register_oracle", 63)
    assert [(oracle.account, oracle.seat) for oracle in fair.ask("oracles")] == sorted(
        [(account(21), 5), (account(22), 63)]
    )
    assert stakes(fair) == {21: 700, 22: 700}
    fair.here(21, "withdraw_oracle")
    assert fair.not_here(21, "withdraw_oracle") == "not_oracle"
    fair.here(23, "register_oracle", 5)  # its seat is free
    assert fair.money() == {ORGANIZER: -60, 22: -700, 23: -700}


def test_an_allow_list_lets_no_others_in():
    fair = Fair(oracles=tuple(sorted((account(21), account(OUTSIDER)))))
    assert fair.not_here(22, "register_oracle", 0) == "not_allowed"
    fair.register(21, OUTSIDER)


def test_register__reject_insufficient_balance():
    fair = Fair(stake=FOUNDED + 1)
    assert fair.not_here(21, "register_oracle", 0) == "insufficient_balance"
    fair = Fair(stake=FOUNDED)
    fair.here(21, "register_oracle", 0)


def test_deploy__reject_insufficient_balance():
    assert Fair().no(OUTSIDER, "deploy", replace(TERMS, bond=FOUNDED + 1)) == "insufficient_balance"
    Fair().do(OUTSIDER, "deploy", replace(TERMS, bond=FOUNDED))


@pytest.mark.parametrize("phase", [phase for phase in PHASES[:7] if phase not in (REGISTRATION, SELECTION)])
def test_oracles_may_leave_while_none_is_drawn(phase):
    fair = Fair().to(phase)
    for who in ORACLES:
        fair.here(who, "withdraw_oracle")
    assert stakes(fair) == {} and not set(fair.money()) & set(ORACLES)


# The draw. ------------------------------------------------------------------------------------------------------------


def test_the_draw_by_hand():
    """SHA-256 over a prefix, the id of the block after that which had oracles drawn, campaign, cycle and account."""
    fair = selecting(FIVE, drawn=2, agreeing=2)
    recorded = fair.height
    assert fair.ask("draw").recorded_height == recorded and fair.ask("draw").draw.passed_over == ()
    fair.wait_for_draw()
    assert fair.height == recorded + 2  # block recorded + 1 is final for recorded + 3
    seed = block_id(fair.blocks[recorded + 1].header)
    head = b"crowdmesh:campaign:oracle:1:" + seed + fair.campaign + bytes(4)
    by_digest = sorted(FIVE, key=lambda who: sha256(head + account(who)).digest())
    assert set(fair.drawn()) == set(by_digest[:2])
    result = fair.best()
    for who in by_digest[2:]:
        assert fair.not_here(who, "return_selection", result) == "not_drawn"
    assert fair.here(by_digest[0], "return_selection", result).result == b"\xc2"
    assert fair.here(by_digest[1], "return_selection", result).result == b"\xc3"


def test_a_draw_needs_its_block_to_be_final():
    fair = selecting(draw_delay=3)
    result, recorded = fair.best(), fair.height
    for _ in range(4):
        assert fair.not_here(21, "return_selection", result) == "draw_not_ready"
    assert fair.height == recorded + 4
    (drawn,) = fair.drawn()
    assert fair.height == recorded + 4
    fair.here(drawn, "return_selection", result)


def test_a_replacement_needs_the_draw_too():
    """Nobody is fined before it is known who is late."""
    fair = selecting(draw_delay=30)
    fair.at(fair.ask("draw").draw.since_ms + TERMS.oracle_ms + 1)
    assert fair.not_here(OUTSIDER, "replace_oracle") == "draw_not_ready"


def test_an_oracle_has_its_time_to_the_millisecond():
    fair = selecting()
    (drawn,) = fair.drawn()
    last = fair.ask("draw").draw.since_ms + TERMS.oracle_ms
    fair.at(last)
    in_time = fair.copy()
    assert fair.not_here(OUTSIDER, "replace_oracle") == "oracle_in_time"
    assert fair.not_here(drawn, "return_selection", fair.best()) == "oracle_late"
    in_time.here(drawn, "return_selection", in_time.best())
    assert in_time.not_here(drawn, "return_selection", in_time.best()) == "already_selected"
    assert in_time.not_here(OUTSIDER, "replace_oracle") == "already_selected"


def test_late_oracles_pay_whoever_replaces_them_and_are_not_drawn_again():
    """Three of them, one after the other; in the end nobody is left, and the cycle is void."""
    fair = selecting()
    before, passed = fair.money(), []
    for turn in range(1, 4):
        (drawn,) = fair.drawn()
        assert drawn not in passed
        passed.append(drawn)
        overdue(fair).here(OUTSIDER, "replace_oracle")
        assert fair.said("replaced")[-1]["late"] == [account(drawn)]
        assert fair.ask("draw").draw.passed_over == tuple(sorted(account(who) for who in passed))
        assert stakes(fair) == {who: 400 if who in passed else 700 for who in ORACLES}
        assert fair.money() == before | {OUTSIDER: 300 * turn}
    assert fair.drawn() == []
    assert overdue(fair).not_here(OUTSIDER, "replace_oracle") == "nobody_drawn"
    assert fair.not_here(21, "return_selection", fair.best()) == "not_drawn"
    fair.move()
    assert fair.phase == DONE and fair.standing.campaign.void
    fair.settle()
    fair.here(ORGANIZER, "next_cycle")
    fair.to(SELECTION)
    assert len(fair.drawn()) == 1  # in a new cycle all are drawn from again


def test_an_oracle_that_cannot_pay_another_penalty_is_one_no_more():
    """Of 700, two penalties of 300 can be paid, and 100 go back."""
    fair = selecting((21,))
    for left in (400, 0):
        overdue(fair).here(OUTSIDER, "replace_oracle")
        assert stakes(fair).get(21, 0) == left
        fair.move()
        fair.settle()
        fair.here(ORGANIZER, "next_cycle")
        if left:
            fair.to(SELECTION)
    assert fair.ask("oracles") == ()
    assert fair.money() == {ORGANIZER: -60, 21: -600, OUTSIDER: 600}


def test_a_whole_stake_can_be_the_penalty():
    fair = selecting((21, 22), penalty=700)
    (drawn,) = fair.drawn()
    overdue(fair).here(OUTSIDER, "replace_oracle")
    (other,) = {21, 22} - {drawn}
    assert stakes(fair) == {other: 700} and fair.money()[OUTSIDER] == 700
    assert fair.drawn() == [other]


def test_without_a_penalty_oracles_are_replaced_all_the_same():
    fair = selecting((21, 22), penalty=0, stake=0)
    (drawn,) = fair.drawn()
    overdue(fair).here(OUTSIDER, "replace_oracle")
    assert fair.drawn() == [22 if drawn == 21 else 21] and OUTSIDER not in fair.money()
    assert len(fair.ask("oracles")) == 2


# m of n. --------------------------------------------------------------------------------------------------------------


def test_fewer_than_have_to_agree_are_not_drawn():
    """They could come to nothing, and would be late."""
    fair = selecting((21,), drawn=3, agreeing=2)
    fair.wait_for_draw()
    assert fair.not_here(21, "return_selection", fair.best()) == "not_drawn"
    assert overdue(fair).not_here(OUTSIDER, "replace_oracle") == "nobody_drawn"
    assert stakes(fair) == {21: 700}


def test_two_of_three_agree_and_the_third_pays_them():
    """A penalty of 301: the first of the two by account gets the odd one."""
    fair = selecting(drawn=3, agreeing=2, penalty=301)
    right, other = fair.best(), fair.result(*WORKERS[:4])
    by_account = sorted(ORACLES, key=account)
    wrong, one, two = by_account
    assert fair.drawn() == by_account
    fair.here(wrong, "return_selection", other)
    assert fair.not_here(wrong, "return_selection", right) == "returned_twice"
    assert fair.here(two, "return_selection", right).result == b"\xc2"
    assert fair.standing.accepted is None and fair.ask("progress", 0) == ()
    assert fair.here(one, "return_selection", right).result == b"\xc3"
    assert stakes(fair) == {wrong: 399, one: 700, two: 700}
    assert {who: fair.money()[who] for who in ORACLES} == {wrong: -700, one: -700 + 151, two: -700 + 150}
    accepted = fair.standing.accepted
    assert accepted.oracles == tuple(sorted((account(one), account(two))))
    assert (accepted.selection, accepted.accepted_ms) == (right, fair.time_ms)
    assert [said["result"] for said in fair.said("returned")] == [digest_result(each) for each in (other, right, right)]


def test_who_comes_after_the_others_agreed_is_not_fined():
    fair = selecting(drawn=3, agreeing=2)
    drawn = fair.drawn()
    for who in drawn[:2]:
        fair.here(who, "return_selection", fair.best())
    assert fair.not_here(drawn[2], "return_selection", fair.best()) == "already_selected"
    assert stakes(fair) == dict.fromkeys(ORACLES, 700)


def test_a_draw_that_disagrees_is_replaced_and_only_the_late_pay():
    fair = selecting(FIVE, drawn=3, agreeing=2)
    one, two, late = fair.drawn()
    fair.here(one, "return_selection", fair.best())
    fair.here(two, "return_selection", fair.result(*WORKERS[:4]))
    overdue(fair).here(REQUESTER, "replace_oracle")
    assert stakes(fair) == {who: 400 if who == late else 700 for who in FIVE}
    drawn = fair.drawn()
    assert set(drawn) == set(FIVE) - {one, two, late}
    for who in drawn:  # what was returned before does not count
        accepted = fair.here(who, "return_selection", fair.best()).result
    assert accepted == b"\xc3"


# Results and challenges. ----------------------------------------------------------------------------------------------


def test_results_are_checked_on_return():
    fair = selecting()
    (drawn,) = fair.drawn()
    nothing = Selection((), ((), (), ()))
    assert fair.not_here(drawn, "return_selection", nothing) == "invalid_selection"
    fair.here(drawn, "return_selection", fair.best())
    assert fair.not_here(OUTSIDER, "challenge", None) == "selection_holds"


def test_a_result_that_nobody_challenges_stands_unchecked():
    fair = selecting(check=ON_CHALLENGE)
    fair.returned(Selection((), ()))
    assert fair.move() == "collection"
    for _ in range(2):
        fair.move()
    fair.settle()
    assert not set(fair.money()) & {REQUESTER, OTHER_REQUESTER, *WORKERS}


def test_a_wrong_result_is_challenged_and_others_are_drawn():
    fair = selecting(check=ON_CHALLENGE)
    (first,) = fair.drawn()
    fair.here(first, "return_selection", Selection((1, 1, 9), ((0, 1, 7), (2**40,))))
    assert [each.worker for each in fair.ask("progress", 0)] == [account(WORKERS[1])]
    fair.here(WORKERS[3], "challenge", None)
    assert fair.money()[WORKERS[3]] == -500 + 300 and stakes(fair)[first] == 400
    assert fair.ask("progress", 0) == () and fair.standing.accepted is None
    assert fair.ask("draw").draw.passed_over == (account(first),)
    assert fair.not_here(OUTSIDER, "challenge", None) == "no_selection"
    assert fair.not_here(first, "return_selection", fair.best()) == "draw_not_ready"
    (second,) = fair.drawn()
    assert second != first
    assert fair.not_here(first, "return_selection", fair.best()) == "not_drawn"
    fair.here(second, "return_selection", fair.best())
    assert fair.not_here(OUTSIDER, "challenge", None) == "selection_holds"


def test_a_wrong_result_of_several_is_theirs_to_pay():
    fair = selecting(drawn=3, agreeing=2, check=ON_CHALLENGE)
    wrong, honest = Selection((0,), ()), fair.best()
    *liars, truthful = fair.drawn()
    fair.here(truthful, "return_selection", honest)
    for who in liars:
        fair.here(who, "return_selection", wrong)
    assert stakes(fair)[truthful] == 400
    fair.here(truthful, "challenge", honest)  # which makes good for it
    assert stakes(fair) == {**dict.fromkeys(liars, 400), truthful: 400}
    assert fair.money()[truthful] == -700 + 2 * 300
    assert fair.standing.accepted.selection == honest and fair.standing.accepted.oracles == ()


def test_who_was_right_can_say_so_again():
    """Two of three agreed on something wrong. The third is drawn anew with two others, and what it returned is forgotten."""
    fair = selecting(FIVE, drawn=3, agreeing=2, check=ON_CHALLENGE)
    *liars, truthful = fair.drawn()
    fair.here(truthful, "return_selection", fair.best())
    for who in liars:
        fair.here(who, "return_selection", Selection((0,), ()))
    fair.here(OUTSIDER, "challenge", None)
    assert set(fair.drawn()) == set(FIVE) - set(liars)
    assert fair.here(truthful, "return_selection", fair.best()).result == b"\xc2"
    (other, *_) = set(fair.drawn()) - {truthful}
    assert fair.here(other, "return_selection", fair.best()).result == b"\xc3"
    assert fair.standing.accepted.oracles == tuple(sorted((account(truthful), account(other))))


@pytest.mark.parametrize("check", ["on_return", ON_CHALLENGE])
def test_fewer_paths_are_a_better_result(check):
    """All four are a valid selection, three are a better one: it stands, and is open to challenge itself."""
    fair = selecting(check=check)
    (drawn,) = fair.drawn()
    all_four, three = fair.result(*WORKERS[:4]), fair.best()
    fair.here(drawn, "return_selection", all_four)
    assert fair.not_here(OUTSIDER, "challenge", all_four) == "not_better"
    assert fair.not_here(OUTSIDER, "challenge", Selection((0,), ((0,), (), ()))) == "invalid_selection"
    assert fair.not_here(OUTSIDER, "challenge", None) == "selection_holds"
    fair.here(OUTSIDER, "challenge", three)
    assert fair.money()[OUTSIDER] == 300 and stakes(fair)[drawn] == 400
    accepted = fair.standing.accepted
    assert (accepted.selection, accepted.oracles, accepted.accepted_ms) == (three, (), fair.time_ms)
    assert {each.worker for each in fair.ask("progress", 0)} == {account(who) for who in WORKERS[:3]}
    assert fair.not_here(REQUESTER, "challenge", three) == "not_better"
    assert fair.not_here(REQUESTER, "challenge", None) == "selection_holds"
    assert fair.not_here(REQUESTER, "challenge", all_four) == "not_better"
    fair.move()
    fair.commit(*WORKERS[:3])


def test_against_a_wrong_result_any_valid_one_will_do():
    fair = selecting(check=ON_CHALLENGE)
    fair.returned(Selection((0,), ((0,), (0,), ())))
    fair.here(OUTSIDER, "challenge", fair.result(*WORKERS[:4]))
    assert len(fair.standing.accepted.selection.paths) == 4


def test_challenges_end_to_the_millisecond():
    fair = selecting()
    fair.returned(fair.result(*WORKERS[:4]))
    fair.at(fair.standing.accepted.accepted_ms + TERMS.challenge_ms)
    last = fair.copy()
    assert fair.not_here(OUTSIDER, "challenge", None) == "selection_holds"
    assert fair.not_here(OUTSIDER, "challenge", fair.best()) == "challenge_over"
    last.here(OUTSIDER, "challenge", last.best())
    assert last.standing.accepted.accepted_ms == last.time_ms
    last.at(last.time_ms + TERMS.challenge_ms)
    assert last.not_here(OUTSIDER, "challenge", None) == "selection_holds"
    assert last.not_here(OUTSIDER, "challenge", None) == "challenge_over"


def test_challenges_do_not_eat_collection_up():
    """Five selections, each a path shorter, shown one after the other at the last moment: they have one window in all."""
    fair = Fair(oracle_ms=20_000)
    fair.register(21)
    fair.move()
    fair.publish(REQUESTER, 0, samples=1)
    fair.move()
    for who in WORKERS:
        fair.bid(who, (0, 0))
    fair.move()
    fair.drawn()
    end = fair.end_of(SELECTION)
    fair.at(end).here(21, "return_selection", fair.result(*WORKERS))
    for count in (5, 4, 3):
        fair.at(fair.time_ms + TERMS.challenge_ms // 3).here(OUTSIDER, "challenge", fair.result(*WORKERS[:count]))
    assert fair.time_ms == end + TERMS.challenge_ms
    assert fair.not_here(OUTSIDER, "challenge", fair.result(*WORKERS[:2])) == "challenge_over"
    fair.here(ORGANIZER, "advance")
    assert fair.phase == "collection"


def test_a_wrong_result_of_the_last_moment_makes_the_cycle_void():
    fair = selecting(check=ON_CHALLENGE, oracle_ms=20_000)
    (drawn,) = fair.drawn()
    fair.at(fair.end_of(SELECTION)).here(drawn, "return_selection", Selection((), ()))
    fair.here(OUTSIDER, "challenge", None)
    fair.wait_for_draw()
    assert fair.not_here(21, "return_selection", fair.best()) == "phase_over"
    assert fair.not_here(OUTSIDER, "replace_oracle") == "phase_over"
    fair.here(ORGANIZER, "advance")
    assert fair.phase == DONE and fair.standing.campaign.void


def test_before_selection_there_is_no_draw():
    assert Fair().to(BIDDING).ask("draw") is None
