"""The draw can be replayed by anyone from its description, is uniform, and shows nothing before it is opened."""

from collections import Counter
from hashlib import sha256
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.contracts.spatial_draw import (
    MAX_DRAWS,
    combination_id,
    commit_ballot,
    draw_group,
    draw_once,
    group_root,
    holds_ticket,
    seal_group,
)
from chain.contracts.spatial_records import MAX_CANDIDATES
from chain.values import Account, BlockId, TxId
from tests.strategies import account, hashes

BLOCK, REPORT = BlockId(b"\x0b" * 32), TxId(b"\x0e" * 32)
TEN = sorted(Account(bytes([n]) * 32) for n in range(1, 11))


def never(_):
    return False


def replay(block, report, attempt, candidates, size):
    """The draw as its description says, written as plainly as possible: a whole Fisher–Yates shuffle."""
    seed = sha256(b"crowdmesh:spatial:draw:1:" + block + report + attempt.to_bytes(4, "big")).digest()
    stream = b"".join(sha256(seed + n.to_bytes(8, "big")).digest() for n in range(200))
    words = iter(int.from_bytes(stream[at : at + 8], "big") for at in range(0, len(stream), 8))
    pool = sorted(candidates)
    for place in range(len(pool)):
        left = len(pool) - place
        word = next(w for w in words if w < 2**64 // left * left)
        other = place + word % left
        pool[place], pool[other] = pool[other], pool[place]
    return tuple(sorted(pool[:size]))


@given(
    block=hashes,
    report=hashes,
    attempt=st.integers(0, 63),
    candidates=st.sets(hashes, min_size=1, max_size=40),
    size=st.integers(3, 16),
)
def test_a_draw_is_replayed_from_its_description(block, report, attempt, candidates, size):
    drawn = draw_once(block, report, attempt, sorted(candidates), size)
    assert drawn == replay(block, report, attempt, candidates, min(size, len(candidates)))


def test_draw_vectors():
    """Members drawn, by their first byte: part of the protocol."""
    drawn = [[member[0] for member in draw_once(BLOCK, REPORT, attempt, TEN, 3)] for attempt in range(6)]
    assert drawn == [[2, 3, 6], [3, 4, 10], [3, 5, 8], [3, 4, 7], [3, 5, 7], [5, 6, 7]]
    assert combination_id(TEN[:3]).hex() == "4ddd4cf8294deb179bd1b20defb97383787c5dfee6e85b3754fc3806d9f6f22d"
    assert (
        commit_ballot(REPORT, TEN[0], True, bytes(16)).hex()
        == "5bd73ef53817131d1e46ba72a1a882dbf8f9f576a6482e1fa62930b029f4dded"
    )


def test_the_draw_is_uniform():
    """Chi-square over the 120 combinations of 3 of 10; 119 degrees of freedom exceed 173.6 once in 1,000 times."""
    draws = 6_000
    seen = Counter(draw_once(BLOCK, TxId(sha256(n.to_bytes(4, "big")).digest()), 0, TEN, 3) for n in range(draws))
    expected = draws / 120
    assert sum((seen[group] - expected) ** 2 / expected for group in combinations(TEN, 3)) < 173.6


def test_the_first_combination_that_has_not_served_counts():
    served = set()
    order = []
    while (drawn := draw_group(BLOCK, REPORT, TEN, 3, served.__contains__)) is not None:
        attempt, group = drawn
        earlier = [draw_once(BLOCK, REPORT, n, TEN, 3) for n in range(attempt)]
        assert {combination_id(each) for each in earlier} <= served
        assert combination_id(group) not in served
        served.add(combination_id(group))
        order.append(attempt)
    assert order == sorted(order) and len(order) > 40 and order[-1] < MAX_DRAWS


def test_a_small_crowd_has_one_combination():
    assert draw_group(BLOCK, REPORT, TEN[:2], 3, never) == (0, tuple(TEN[:2]))
    assert draw_group(BLOCK, REPORT, TEN[:3], 3, lambda _: True) is None


def test_the_order_and_number_of_mentions_do_not_matter():
    assert draw_group(BLOCK, REPORT, TEN[::-1] + TEN, 3, never) == draw_group(BLOCK, REPORT, TEN, 3, never)


@pytest.mark.parametrize("count", [0, MAX_CANDIDATES + 1])
def test_too_few_or_many_candidates__reject(count):
    crowd = [Account(n.to_bytes(32, "big")) for n in range(count)]
    with pytest.raises(ValueError, match="candidates"):
        draw_group(BLOCK, REPORT, crowd, 3, never)


@given(size=st.integers(1, 16), secret=hashes)
def test_a_ticket_is_its_bearers_alone(size, secret):
    group = sorted(account(n) for n in range(size))
    sealed = seal_group(REPORT, group, group, secret)
    assert sealed.group_root == group_root(REPORT, group, sealed.opening.salts)
    for member in group:
        for bearer in [*group, account(99)]:
            assert holds_ticket(sealed.group_root, REPORT, bearer, sealed.tickets[member]) == (bearer == member)
    assert not holds_ticket(sealed.group_root, TxId(bytes(32)), group[0], sealed.tickets[group[0]])
    assert len({ticket.salt for ticket in sealed.tickets.values()}) == size


def test_sealing_hides_the_group():
    """Another secret gives other commitments: nobody can try all groups until one fits."""
    one, two = (seal_group(REPORT, TEN, TEN[:3], bytes([n]) * 32) for n in (1, 2))
    assert one.group_root != two.group_root and one.candidates_commitment != two.candidates_commitment
    assert one == seal_group(REPORT, TEN, TEN[:3], b"\x01" * 32)


def test_a_place_in_the_tree_says_nothing_about_its_bearer():
    """Under some secrets the first of the sorted group has the first place, under others it has not."""
    places = {seal_group(REPORT, TEN, TEN[:3], bytes([n]) * 32).tickets[TEN[0]].path.index for n in range(20)}
    assert places == {0, 1, 2}


@given(confirm=st.booleans(), salt=st.binary(min_size=16, max_size=16))
def test_a_ballot_binds_report_worker_and_choice(confirm, salt):
    ballot = commit_ballot(REPORT, TEN[0], confirm, salt)
    others = {
        commit_ballot(REPORT, TEN[0], not confirm, salt),
        commit_ballot(REPORT, TEN[1], confirm, salt),
        commit_ballot(TxId(bytes(32)), TEN[0], confirm, salt),
        commit_ballot(REPORT, TEN[0], confirm, bytes(b ^ 1 for b in salt)),
    }
    assert len(others) == 4 and ballot not in others
