"""The checkers find what they are for: each is shown a run in which it happened."""

import pytest

from tests.checkers import blame, conflicting_finality, messages_from_nowhere, votes_out_of_order, what_went_wrong

GOOD = {
    "errors": [],
    "replicas_agree": True,
    "supply_conserved": True,
    "reports": {"submitted": 3, "confirmed": 2, "rejected": 1, "expired": 0, "closed": 1},
    "votes": {"cast": 9, "revealed": 8},
}


def test_a_good_report_has_no_faults():
    assert what_went_wrong(GOOD) == []


@pytest.mark.parametrize(
    "changes, found",
    [
        ({"errors": ["miner-01: boom"]}, "boom"),
        ({"replicas_agree": False}, "replicas_agree is false"),
        ({"supply_conserved": False}, "supply_conserved is false"),
        ({"reports": {**GOOD["reports"], "expired": 1}}, "4 reports decided of 3"),
        ({"reports": {**GOOD["reports"], "closed": 3}}, "3 reports closed of 2"),
        ({"votes": {"cast": 1, "revealed": 2}}, "more votes"),
    ],
)
def test_report(changes, found):
    (wrong,) = what_went_wrong(GOOD | changes)
    assert found in wrong


def record(actor, kind, **fields):
    return {"t": 0, "a": actor, "k": kind, **fields}


JOURNALS = {
    "finalised y at height 1, another node x": (
        conflicting_finality,
        [record("a", "final", height=1, id="x"), record("b", "final", height=1, id="y")],
    ),
    "finalised height 3 after 1": (
        conflicting_finality,
        [record("a", "final", height=1, id="x"), record("a", "final", height=3, id="z")],
    ),
    "which nobody published": (messages_from_nowhere, [record("a", "delivered", id="m")]),
    "its own": (messages_from_nowhere, [record("a", "published", id="m"), record("a", "delivered", id="m")]),
    "twice": (
        messages_from_nowhere,
        [record("a", "published", id="m"), record("b", "delivered", id="m"), record("b", "delivered", id="m")],
    ),
    "['voted']": (votes_out_of_order, [record("w", "voted", report="r")]),
    "'voted', 'voted'": (
        votes_out_of_order,
        [record("w", kind, report="r") for kind in ("ballot", "voted", "voted")],
    ),
    "penalised: bad signature (1 times)": (blame, [record("a", "penalised", peer="p", reason="bad signature")]),
}


@pytest.mark.parametrize("found", JOURNALS)
def test_journal(found):
    checker, journal = JOURNALS[found]
    (wrong,) = checker(journal)
    assert found in wrong


def test_a_new_life_begins_anew():
    life = [record("a", "up"), record("a", "final", height=1, id="x"), record("a", "delivered", id="m")]
    journal = [record("b", "published", id="m"), *life, *life]
    assert conflicting_finality(journal) == messages_from_nowhere(journal) == []
