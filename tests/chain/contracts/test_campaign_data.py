"""Committing to data, opening the commitment, disputing that data came, and handing them over where everybody sees."""

import pytest

from chain.codec import encode
from chain.contracts.campaign_board import data_until_ms, dispute_until_ms
from chain.contracts.campaign_commitments import commit_data, digest_sealed
from chain.contracts.campaign_records import (
    COLLECTION,
    MAX_SEALED_BYTES,
    ON_CHALLENGE,
    SELECTION,
    SUBMISSION,
    Selection,
)
from tests.chain.campaign_town import OTHER_REQUESTER, OUTSIDER, REQUESTER, WORKERS, Fair, sealed
from tests.chain.town import SALT
from tests.strategies import account

ONE, TWO, THREE, LOSER = WORKERS[:4]


@pytest.fixture
def collecting():
    return Fair().to(COLLECTION)


@pytest.fixture
def submitting():
    """All three selected workers have committed."""
    return Fair().to(SUBMISSION)


@pytest.fixture
def opened(submitting):
    submitting.open(ONE, TWO, THREE)
    return submitting


def data_until(fair):
    return data_until_ms(fair.standing.campaign, fair.terms)


def dispute_until(fair):
    return dispute_until_ms(fair.standing.campaign, fair.terms)


def progress(fair, who):
    (found,) = (each for each in fair.ask("progress", fair.cycle) if each.worker == account(who))
    return found


def test_the_commitment_by_hand(collecting):
    from hashlib import sha256

    digests = tuple(sha256(sealed(ONE, number)).digest() for number in (0, 1))
    packed = encode((collecting.campaign, 0, account(ONE), digests, SALT))
    assert collecting.commitment(ONE) == sha256(b"crowdmesh:campaign:data:1:" + packed).digest()


def test_only_the_selected_commit_and_once(collecting):
    assert collecting.not_here(LOSER, "submit_hash", bytes(32)) == "not_selected"
    assert collecting.not_here(OUTSIDER, "submit_hash", bytes(32)) == "not_selected"
    collecting.commit(ONE)
    assert collecting.not_here(ONE, "submit_hash", bytes(32)) == "hash_twice"
    assert progress(collecting, ONE).chosen.commitment == collecting.commitment(ONE)


def test_only_who_committed_opens_and_once(collecting):
    collecting.commit(ONE)
    digests = {who: collecting.digests(who) for who in (ONE, TWO)}
    collecting.move()
    assert collecting.not_here(LOSER, "submit_data", digests[ONE], SALT) == "not_selected"
    assert collecting.not_here(TWO, "submit_data", digests[TWO], SALT) == "no_hash"
    collecting.open(ONE)
    assert collecting.not_here(ONE, "submit_data", digests[ONE], SALT) == "data_twice"
    assert progress(collecting, ONE).chosen.opened and not progress(collecting, TWO).chosen.opened


def test_what_was_not_committed_to_does_not_open(submitting):
    right = submitting.digests(ONE)
    for digests, salt, reason in (
        (right[:1], SALT, "wrong_number"),
        ((), SALT, "wrong_number"),
        ((*right, right[0]), SALT, "wrong_number"),
        (right[::-1], SALT, "data_mismatch"),
        (right, bytes(16), "data_mismatch"),
        ((right[0], bytes(32)), SALT, "data_mismatch"),
        (submitting.digests(TWO), SALT, "data_mismatch"),
    ):
        assert submitting.not_here(ONE, "submit_data", digests, salt) == reason
    submitting.open(ONE)


@pytest.mark.parametrize("what", ["another's", "of another cycle", "of another campaign", "of fewer data"])
def test_a_commitment_is_good_for_one_thing(collecting, what):
    """Whose commitment was copied cannot be paid for it, even by who knows what it commits to."""
    digests = collecting.digests(ONE)
    campaign, cycle, who, kept = collecting.campaign, 0, account(ONE), digests
    if what == "another's":
        who = account(TWO)
    elif what == "of another cycle":
        cycle = 1
    elif what == "of another campaign":
        campaign = bytes(32)
    else:
        kept = digests[:1]
    collecting.here(ONE, "submit_hash", commit_data(campaign, cycle, who, kept, SALT))
    collecting.move()
    assert collecting.not_here(ONE, "submit_data", digests, SALT) == "data_mismatch"


def test_data_come_before_the_review(submitting):
    last = data_until(submitting)
    assert last == submitting.end_of(SUBMISSION) - 4_000
    late = submitting.copy().at(last + 1)
    assert late.not_here(ONE, "submit_data", late.digests(ONE), SALT) == "data_late"
    submitting.at(last).open(ONE)
    late.at(late.end_of(SUBMISSION) + 1)
    assert late.not_here(ONE, "submit_data", late.digests(ONE), SALT) == "phase_over"


def test_who_may_dispute_what(opened):
    assert opened.not_here(REQUESTER, "dispute", account(ONE), 3) == "unknown_task"
    assert opened.not_here(OTHER_REQUESTER, "dispute", account(ONE), 0) == "not_requester"
    assert opened.not_here(REQUESTER, "dispute", account(LOSER), 0) == "not_submitted"
    assert opened.not_here(REQUESTER, "dispute", account(OUTSIDER), 0) == "not_submitted"
    assert opened.not_here(REQUESTER, "dispute", account(TWO), 0) == "not_winner"
    opened.here(REQUESTER, "dispute", account(ONE), 0)
    assert opened.not_here(REQUESTER, "dispute", account(ONE), 0) == "dispute_twice"
    opened.here(REQUESTER, "dispute", account(ONE), 1)
    assert progress(opened, ONE).disputed == (0, 1)


def test_data_that_did_not_open_need_no_dispute(submitting):
    assert submitting.not_here(REQUESTER, "dispute", account(ONE), 0) == "not_submitted"
    submitting.open(ONE)
    submitting.here(REQUESTER, "dispute", account(ONE), 0)


def test_disputes_come_in_the_first_half_of_the_review(opened):
    last = dispute_until(opened)
    assert last == data_until(opened) + 2_000
    late = opened.copy().at(last + 1)
    assert late.not_here(REQUESTER, "dispute", account(ONE), 0) == "dispute_late"
    opened.at(last).here(REQUESTER, "dispute", account(ONE), 0)
    late = opened.copy().at(opened.end_of(SUBMISSION) + 1)
    assert late.not_here(ONE, "answer", *late.answer(ONE, 0)) == "phase_over"
    opened.at(opened.end_of(SUBMISSION)).here(ONE, "answer", *opened.answer(ONE, 0))


def test_an_answer_shows_what_was_committed_to(opened):
    number, digests, salt, data = opened.answer(ONE, 0)
    assert opened.not_here(ONE, "answer", number, digests, salt, data) == "no_dispute"
    opened.here(REQUESTER, "dispute", account(ONE), 0)
    assert opened.not_here(TWO, "answer", *opened.answer(TWO, 1)) == "no_dispute"
    assert opened.not_here(ONE, "answer", *opened.answer(ONE, 1)) == "no_dispute"  # another task
    for wrong in (
        (number, digests[:1], salt, data),
        (number, (), salt, data),
        (number, digests[::-1], salt, data),
        (number, digests, bytes(16), data),
        (number, digests, salt, b""),
        (number, digests, salt, sealed(ONE, 1)),
        (number, digests, salt, sealed(TWO, 0)),
        (number, (digest_sealed(b"made up"), digests[1]), salt, b"made up"),
    ):
        assert opened.not_here(ONE, "answer", *wrong) == "data_mismatch"
    opened.here(ONE, "answer", number, digests, salt, data)
    assert opened.said("answered")[-1]["sealed"] == data
    assert progress(opened, ONE).disputed == ()
    assert opened.not_here(ONE, "answer", number, digests, salt, data) == "no_dispute"
    assert opened.not_here(REQUESTER, "dispute", account(ONE), 0) == "dispute_twice"


def test_an_answer_may_be_large():
    fair = Fair().to(COLLECTION)
    data = bytes(MAX_SEALED_BYTES)
    digests = (digest_sealed(data), digest_sealed(b""))
    fair.here(ONE, "submit_hash", commit_data(fair.campaign, 0, account(ONE), digests, SALT))
    fair.move()
    fair.here(ONE, "submit_data", digests, SALT)
    fair.here(REQUESTER, "dispute", account(ONE), 0)
    fair.here(REQUESTER, "dispute", account(ONE), 1)
    fair.here(ONE, "answer", 0, digests, SALT, data)
    fair.here(ONE, "answer", 1, digests, SALT, b"")


def test_a_task_that_is_not_on_the_path_cannot_be_answered():
    """Results that nobody checked may have somebody win what it does not have: its requester disputes, and keeps its money."""
    fair = Fair(check=ON_CHALLENGE).to(SELECTION)
    fair.returned(Selection((0, 1), ((1,), (0,), ())))
    fair.move()
    fair.commit(ONE, TWO)
    fair.move()
    fair.open(ONE, TWO)
    fair.here(REQUESTER, "dispute", account(TWO), 0)
    assert fair.not_here(TWO, "answer", 0, fair.digests(TWO), SALT, b"") == "not_on_path"
    fair.move()
    fair.settle()
    # Two has neither the reward nor its deposit, half of which goes to each requester on its path.
    assert {who: fair.money().get(who, 0) for who in (ONE, TWO)} == {ONE: 1_000, TWO: -500}
    assert fair.money()[REQUESTER] == -1_000 + 250 and fair.money()[OTHER_REQUESTER] == 250
